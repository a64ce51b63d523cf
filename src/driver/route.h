/* Which interface and source address lead to an endpoint, never through the adapter itself.  Resolution is
 * slow and at PASSIVE_LEVEL; senders use the cached answer in the endpoint and ask for a new one when the
 * generation has moved. */
#pragma once

#include "endpoint.h"

struct adapter;
struct peer;

NTSTATUS
route_initialize(struct adapter *adapter);        /* subscribes to route and address changes. PASSIVE_LEVEL */
void route_uninitialize(struct adapter *adapter); /* waits for running callbacks. PASSIVE_LEVEL */
void route_initialize_peer(struct peer *peer);
uint32_t route_generation(const struct adapter *adapter); /* never 0; bumped by every change */

/* The endpoint's source was resolved before an address was taken away, perhaps this one.  IRQL <=
 * DISPATCH_LEVEL. */
bool route_source_doubtful(const struct adapter *adapter, const struct endpoint *endpoint);

/* Longest prefix, then smallest route + interface metric, over interfaces that are up, without our own; then
 * the source address for it.  STATUS_NETWORK_UNREACHABLE when there is none.  PASSIVE_LEVEL. */
NTSTATUS route_resolve(struct adapter *adapter, const SOCKADDR_INET *remote, SOCKADDR_INET *local,
                       uint32_t *ifindex);
/* Resolves the peer's endpoint now and stores it (also the negative answer).  PASSIVE_LEVEL. */
NTSTATUS route_refresh(struct peer *peer);
/* Asks a worker to read the inner MTUs again. IRQL <= DISPATCH_LEVEL. */
void route_request_mtu(struct adapter *adapter);
/* Asks a worker to refresh the endpoint. IRQL <= DISPATCH_LEVEL. */
void route_request_refresh(struct peer *peer);
