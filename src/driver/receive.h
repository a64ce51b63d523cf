/* The way in: chains of datagrams from the sockets become batches of opened packets: group by session, open,
 * then in order: replay window, key confirmation, endpoint, inner header, allowed source; indicated as one
 * chain. */
#pragma once

#include "adapter.h"
#include "nt/wsk.h"

struct peer;
struct udp_socket;

void receive_initialize_peer(struct peer *peer);
/* WskReceiveFromEvent of both sockets.  Returns STATUS_SUCCESS when every datagram is done with and the chain
 * is as it came; STATUS_PENDING when the chain was taken apart: each datagram was or will be released by us
 * (WskRelease). IRQL
 * <= DISPATCH_LEVEL. */
NTSTATUS receive_datagrams(struct adapter *adapter, WSK_DATAGRAM_INDICATION *chain,
                           struct udp_socket *socket);
