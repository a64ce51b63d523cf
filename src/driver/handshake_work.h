/* Handshakes: messages wait in a bounded queue of the adapter (never a lock shared with data) and are worked
 * on at PASSIVE_LEVEL: mac1 first, then cookie and rate limit when under load, then the asymmetric part. */
#pragma once

#include "peer.h"

#define HANDSHAKE_QUEUE_LIMIT 4096

NTSTATUS handshake_work_initialize(struct adapter *adapter);
void handshake_work_initialize_peer(struct peer *peer);
void handshake_work_uninitialize(struct adapter *adapter);
/* Drops what is queued and waits for what runs. Down, halt. PASSIVE_LEVEL. */
void handshake_work_drain(struct adapter *adapter);

/* A datagram of type 1-3 with exact length: copied and queued, or dropped and counted. IRQL <=
 * DISPATCH_LEVEL. */
void handshake_receive(struct adapter *adapter, const uint8_t *message, uint32_t bytes,
                       const SOCKADDR_INET *from, const SOCKADDR_INET *to, uint32_t ifindex);
/* Asks for an initiation to the peer (at most one per 5 s goes out).  `retry`: from the timer policy, the
 * attempts go on counting; else because there is data, and they start again.  IRQL <= DISPATCH_LEVEL. */
void handshake_request(struct peer *peer, bool retry);
