/* What the senders of src/driver share: a filled batch gets its nonces and its place in the peer's order, and
 * then runs here or on a worker.  Internal to transmit*.c and staged.c. */
#pragma once

#include "batch.h"
#include "peer.h"

/* A batch for `peer` on `session` (a reference of which it takes over); NULL: memory, the reference stays. */
struct tx_batch *transmit_batch_create(struct peer *peer, struct session_object *session, uint32_t packets,
                                       uint32_t plaintext, uint64_t now_ns);
/* The MTU that limits the padding of packets of an IP version. */
uint32_t transmit_inner_mtu(const struct adapter *adapter, uint8_t version);

/* The short step that decides the order of a peer's messages: nonces and ticket, counted in the
 * statistics.  peer->staged_lock held, so that what is staged comes first.  False: counted, and the batch is
 * to be abandoned. */
bool transmit_batch_order(struct tx_batch *tx);
/* After transmit_batch_order, with a reference of the session beside the batch's own: encrypts, delivers in
 * order, and frees; here when nothing is before it and `*budget` (bytes) lasts, else on a worker.  NBLs done
 * with go to `done`. */
void transmit_batch_run(struct tx_batch *tx, uint32_t *budget, struct nbl_chain *done);
