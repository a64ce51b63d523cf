/* The lower edge: one IPv4 and one IPv6 datagram socket per adapter over Winsock Kernel.  Registration with
 * WSK is lazy (first Up) and retried; PKTINFO in both directions with the second control header that Windows
 * demands. */
#pragma once

#include "batch.h"
#include "endpoint.h"

struct adapter;

/* Driver-wide WSK registration. PASSIVE_LEVEL. */
NTSTATUS wsk_ensure_registered(void); /* bounded wait for the provider; may be retried */
void wsk_deregister(void);            /* unload */

/* Opens both sockets (a family that the transport list lacks is left out), v6 on v4's port; port 0 chooses
 * one, with up to 100 retries.  `owner` = process for firewall rules.  On success the adapter's sockets are
 * replaced (new bound before old closed) and the port stored.  STATUS_ADDRESS_ALREADY_EXISTS when the port is
 * taken.  PASSIVE_LEVEL, config lock held. */
NTSTATUS udp_sockets_open(struct adapter *adapter, uint16_t port, uint16_t *bound_port);
/* Unpublishes, waits for senders and callbacks to leave, closes. PASSIVE_LEVEL. */
void udp_sockets_close(struct adapter *adapter);

/* Sends the messages of a finished batch to the endpoint, one WskSendMessages call; takes the batch over and
 * frees it when the socket is done.  Errors are counted and logged (limited). No lock held.  IRQL <=
 * DISPATCH_LEVEL. */
void udp_send_batch(struct tx_batch *batch, const struct endpoint *endpoint);
/* One small message (handshake, cookie reply), copied.  IRQL <= DISPATCH_LEVEL. */
NTSTATUS udp_send_message(struct adapter *adapter, const struct endpoint *endpoint, const void *message,
                          uint32_t bytes);

/* Reads local address and interface of a datagram from its control data. False when there is none. */
bool udp_local_of_datagram(const WSK_DATAGRAM_INDICATION *datagram, SOCKADDR_INET *local, uint32_t *ifindex);
