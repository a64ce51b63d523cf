/* The way in: chains of datagrams from the sockets become batches of opened packets: group by session, open,
 * then in order: replay window, key confirmation, endpoint, inner header, allowed source; indicated as one
 * chain. */
#pragma once

#include "adapter.h"
#include "nt/wsk.h"

/* WskReceiveFromEvent of both sockets. Returns STATUS_SUCCESS when every datagram is done with,
 * STATUS_PENDING when some are kept until WskRelease. IRQL <= DISPATCH_LEVEL. */
NTSTATUS receive_datagrams(struct adapter *adapter, WSK_DATAGRAM_INDICATION *chain,
                           struct udp_socket *socket);
