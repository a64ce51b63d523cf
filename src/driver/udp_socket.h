/* The lower edge: one IPv4 and one IPv6 datagram socket per adapter over Winsock Kernel.  Registration with
 * WSK is lazy (first Up) and retried; PKTINFO in both directions with the second control header that Windows
 * demands. */
#pragma once

#include "batch.h"
#include "endpoint.h"

struct adapter;
struct udp_socket;

/* ---- wsk.c: driver-wide WSK registration ---- */
/* Registers on the first call; waits for the provider up to WSK_CAPTURE_TIMEOUT_MS.  After a failure (also
 * STATUS_DEVICE_NOT_READY: no provider yet) it may be called again.  PASSIVE_LEVEL. */
#define WSK_CAPTURE_TIMEOUT_MS 3000
NTSTATUS wsk_ensure_registered(void);
void wsk_initialize(void); /* DriverEntry */
void wsk_deregister(void); /* unload; every socket is closed. PASSIVE_LEVEL */

/* Sockets that the system takes away are opened again, on the same port, with growing pauses while that
 * fails. initialize: before the first Up; uninitialize: the wheel is gone, the adapter is down. PASSIVE_LEVEL
 */
void udp_sockets_initialize(struct adapter *adapter);
void udp_sockets_uninitialize(struct adapter *adapter);

/* Opens both sockets (a family that the transport list lacks is left out), v6 on v4's port; port 0 chooses
 * one, with up to 100 retries.  Owner = adapter->socket_owner, for firewall rules.  On success the adapter's
 * sockets are replaced (new bound before old closed) and the port returned.  STATUS_ADDRESS_ALREADY_EXISTS
 * when the port is taken; on failure the old sockets stay.  PASSIVE_LEVEL, config lock held. */
NTSTATUS udp_sockets_open(struct adapter *adapter, uint16_t port, uint16_t *bound_port);
/* Unpublishes, waits for senders and kept datagrams, closes (then no callback runs any more). PASSIVE_LEVEL.
 */
void udp_sockets_close(struct adapter *adapter);

/* Sends the messages of an encrypted batch (at least one) to the endpoint, one WskSendMessages call, runs of
 * equal-sized ones as segments of one buffer; takes the batch over and retires it when the socket is done
 * (perhaps before the call returns).  Segments that are refused are sent again, one by one.  Errors are
 * counted and logged (limited). No lock held.  IRQL <= DISPATCH_LEVEL. */
void udp_send_batch(struct tx_batch *batch, const struct endpoint *endpoint);
/* One small message (handshake, cookie reply), copied.  While MESSAGES_OUTSTANDING_MAX of them are in the
 * sockets (COOKIE_REPLIES_OUTSTANDING_MAX for cookie replies: a flood of these must not keep responses back)
 * it is refused and counted: peers ask again.  IRQL <= DISPATCH_LEVEL. */
#define MESSAGES_OUTSTANDING_MAX       1024
#define COOKIE_REPLIES_OUTSTANDING_MAX 768
NTSTATUS udp_send_message(struct adapter *adapter, const struct endpoint *endpoint, const void *message,
                          uint32_t bytes);

/* Keeps the socket open for datagrams that were kept in its callback; false: it is closing.  Released by
 * udp_socket_unhold.  IRQL <= DISPATCH_LEVEL. */
bool udp_socket_hold(struct udp_socket *socket);
void udp_socket_unhold(struct udp_socket *socket);
/* Gives kept datagrams back, a chain in one call. In the callback that brought them, or with a hold.  IRQL <=
 * DISPATCH_LEVEL. */
void udp_release_datagrams(struct udp_socket *socket, WSK_DATAGRAM_INDICATION *chain);

/* How many bytes each message of a datagram has but the last, which may be shorter: its length when it was
 * not coalesced; 0: what the system says of it cannot be. */
uint32_t udp_message_bytes(const struct udp_socket *socket, const WSK_DATAGRAM_INDICATION *datagram);
/* The system's word on coalesced datagrams cannot be relied on: coalescing is switched off.  IRQL <=
 * DISPATCH_LEVEL. */
void udp_coalescing_refuse(struct udp_socket *socket, const char *reason);

/* Sender, and the local address and interface on which a datagram came in (ifindex 0: not known).  All of
 * `origin` is written, so that two can be compared as memory. */
void udp_origin_of_datagram(const WSK_DATAGRAM_INDICATION *datagram, struct rx_origin *origin);
