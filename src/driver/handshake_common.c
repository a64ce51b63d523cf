/* What both roles of the handshake do with a peer: its identity, the session at the end, and the books. */
#include "handshake_common.h"
#include "driver.h"
#include "udp_socket.h"

/* The present identity, and the peer's static-static secret made to belong to it: the two are always used
 * together.  What was begun under another identity is given up.  Handshake lock held; the caller wipes
 * `identity` and removes the index returned. */
uint32_t handshake_follow_identity(struct peer *peer, struct identity *identity)
{
    uint32_t generation = adapter_copy_identity(peer->adapter, identity);
    if (peer->identity_generation == generation)
        return INDEX_NONE;
    peer->identity_generation = generation;
    return handshake_set_identity(&peer->handshake, identity);
}

enum drop_reason handshake_drop_reason_of(enum handshake_result result)
{
    switch (result) {
    case HANDSHAKE_REPLAYED:
        return DROP_HS_REPLAY;
    case HANDSHAKE_FLOOD:
        return DROP_HS_FLOOD;
    default:
        return DROP_HS_INVALID;
    }
}

/* Sends a message of the peer's and books it. */
void handshake_send_to_peer(struct peer *peer, const void *message, uint32_t length)
{
    struct endpoint endpoint;
    endpoint_read(&peer->endpoint, &endpoint);
    if (!NT_SUCCESS(udp_send_message(peer->adapter, &endpoint, message, length)))
        return;
    __atomic_add_fetch(&peer->tx_bytes, length, __ATOMIC_RELAXED);
    peer_sent(peer, NULL, false, time_now_ns());
}

/* An authenticated message came from the peer. */
void handshake_received_from_peer(struct peer *peer, const struct handshake_message *message)
{
    peer_learn_endpoint(peer, &message->from, &message->to, message->ifindex);
    __atomic_add_fetch(&peer->rx_bytes, message->length, __ATOMIC_RELAXED);
    peer_received(peer, NULL, false, time_now_ns());
}

/* The session of a finished handshake, installed; false: no memory, or the peer is going away.  Handshake
 * lock held. */
bool handshake_install_session(struct peer *peer, uint64_t now_ns)
{
    if (peer->removed || !peer->adapter->up || peer->adapter->suspended)
        return false;
    struct session_object *session = session_object_create(peer);
    if (!session) {
        drop_count(peer->adapter, DROP_HS_MEMORY, 1);
        return false;
    }
    if (handshake_begin_session(&peer->handshake, &session->session, now_ns) != HANDSHAKE_OK) {
        session_release(session);
        return false;
    }
    peer_install_session(peer, session);
    peer_timers_session_derived(peer, now_ns);
    return true;
}
