/* Steps that the initiator's and the responder's side share.  All at IRQL <= APC_LEVEL; "lock" is the peer's
 * handshake lock. */
#pragma once

#include "counters.h"
#include "handshake_process.h"
#include "peer.h"

/* The present identity, and the peer's static-static secret made to belong to it: the two are always used
 * together.  What was begun under another identity is given up.  Lock held; the caller wipes `identity` and
 * removes the index returned. */
uint32_t handshake_follow_identity(struct peer *peer, struct identity *identity);

/* The session of a finished handshake, installed; false: no memory, or the peer is going away.  Lock held. */
bool handshake_install_session(struct peer *peer, uint64_t now_ns);

/* What a refused message is counted as. */
enum drop_reason handshake_drop_reason_of(enum handshake_result result);

/* Sends a message of the peer's and books it.  No lock held. */
void handshake_send_to_peer(struct peer *peer, const void *message, uint32_t length);

/* An authenticated message came from the peer.  No lock held. */
void handshake_received_from_peer(struct peer *peer, const struct handshake_message *message);
