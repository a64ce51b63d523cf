/* The way out: NBL chains from the stack become batches of encrypted messages (data-path.md calls it the
 * transmit pass): classify by destination, reserve nonces, encrypt out of the MDLs, complete the chain, send.
 */
#pragma once

#include "nt/ndis.h"
#include "peer.h"

void transmit_initialize_peer(struct peer *peer);
/* MiniportSendNetBufferLists. IRQL <= DISPATCH_LEVEL. */
void transmit_send(struct adapter *adapter, NET_BUFFER_LIST *chain, ULONG send_flags);
/* Sends what waits for a session, now that there is one.  True: nothing waits any more.  False: it waits for
 * a session again, or for memory.  The caller holds the peer (a reference or an epoch).  IRQL <=
 * DISPATCH_LEVEL. */
bool transmit_flush_staged(struct peer *peer);
/* Drops what waits (gave up, removal, down), counted. */
void transmit_purge_staged(struct peer *peer);
/* Sends an empty message (keepalive, key confirmation) on the current session, or what is staged instead;
 * without a session asks for a handshake and stages it.  The caller holds the peer.  IRQL <= DISPATCH_LEVEL.
 */
void transmit_keepalive(struct peer *peer);
