/* Handshake messages at PASSIVE_LEVEL (white paper 5.4): what is cheap is checked first, the peer's handshake
 * lock is held only around its own state, and never across a send. */
#include "handshake_process.h"
#include "crypto/secure_memory.h"
#include "driver.h"
#include "handshake_work.h"
#include "protocol/stack_erase.h"
#include "protocol/tai64n.h"
#include "rate_limit.h"
#include "route.h"
#include "transmit.h"
#include "udp_socket.h"

/* ---- common ---- */

/* The present identity, and the peer's static-static secret made to belong to it: the two are always used
 * together.  What was begun under another identity is given up.  Handshake lock held; the caller wipes
 * `identity` and removes the index returned. */
static uint32_t follow_identity(struct peer *peer, struct identity *identity)
{
    uint32_t generation = adapter_copy_identity(peer->adapter, identity);
    if (peer->identity_generation == generation)
        return INDEX_NONE;
    peer->identity_generation = generation;
    return handshake_set_identity(&peer->handshake, identity);
}

static void source_bytes(const SOCKADDR_INET *from, uint8_t source[COOKIE_SOURCE_BYTES])
{
    __builtin_memset(source, 0, COOKIE_SOURCE_BYTES);
    if (from->si_family == AF_INET) {
        __builtin_memcpy(source, &from->Ipv4.sin_addr, 4);
        __builtin_memcpy(source + 16, &from->Ipv4.sin_port, 2);
    } else {
        __builtin_memcpy(source, &from->Ipv6.sin6_addr, 16);
        __builtin_memcpy(source + 16, &from->Ipv6.sin6_port, 2);
    }
}

static enum drop_reason drop_reason_of(enum handshake_result result)
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
static void send_to_peer(struct peer *peer, const void *message, uint32_t length)
{
    struct endpoint endpoint;
    endpoint_read(&peer->endpoint, &endpoint);
    if (!NT_SUCCESS(udp_send_message(peer->adapter, &endpoint, message, length)))
        return;
    __atomic_add_fetch(&peer->tx_bytes, length, __ATOMIC_RELAXED);
    peer_sent(peer, NULL, false, time_now_ns());
}

/* An authenticated message came from the peer. */
static void received_from_peer(struct peer *peer, const struct handshake_message *message)
{
    endpoint_learn(&peer->endpoint, &message->from, &message->to, message->ifindex);
    __atomic_add_fetch(&peer->rx_bytes, message->length, __ATOMIC_RELAXED);
    peer_received(peer, NULL, false, time_now_ns());
}

/* The session of a finished handshake, installed; false: no memory, or the peer is going away.  Handshake
 * lock held. */
static bool begin_session(struct peer *peer, uint64_t now_ns)
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

/* ---- MACs, cookies and load ---- */

static void send_cookie_reply(struct adapter *adapter, const struct handshake_message *message,
                              const uint8_t source[COOKIE_SOURCE_BYTES], uint64_t now_ns)
{
    struct message_cookie_reply reply;
    uint8_t nonce[24], secret[32];
    random_bytes(nonce, sizeof(nonce));
    random_bytes(secret, sizeof(secret));

    KIRQL irql = ExAcquireSpinLockExclusive(&adapter->cookie_lock);
    if (cookie_checker_secret_is_stale(&adapter->cookie_checker, now_ns))
        cookie_checker_rotate_secret(&adapter->cookie_checker, secret, now_ns);
    bool made = cookie_checker_create_reply(&adapter->cookie_checker, &reply, message->bytes, message->length,
                                            source, nonce, now_ns);
    ExReleaseSpinLockExclusive(&adapter->cookie_lock, irql);
    secure_zero(secret, sizeof(secret));
    if (!made)
        return;

    struct endpoint endpoint = {
        .remote = message->from, .local = message->to, .local_ifindex = message->ifindex};
    if (NT_SUCCESS(udp_send_message(adapter, &endpoint, &reply, sizeof(reply))))
        drop_count(adapter, DROP_HS_COOKIE_SENT, 1);
}

/* True when the message may go on to the asymmetric part. */
static bool pass_macs(struct adapter *adapter, const struct handshake_message *message, uint32_t waiting)
{
    uint8_t source[COOKIE_SOURCE_BYTES];
    uint64_t now_ns = time_now_ns();
    bool loaded = under_load_check(&adapter->under_load, waiting, HANDSHAKE_QUEUE_LIMIT, now_ns);
    source_bytes(&message->from, source);

    KIRQL irql = ExAcquireSpinLockShared(&adapter->cookie_lock);
    enum cookie_verdict verdict = cookie_checker_verify(&adapter->cookie_checker, message->bytes,
                                                        message->length, source, loaded, now_ns);
    ExReleaseSpinLockShared(&adapter->cookie_lock, irql);

    if (verdict == COOKIE_MAC1_INVALID) {
        drop_count(adapter, DROP_HS_MAC1, 1);
        return false;
    }
    if (!loaded)
        return true;
    if (verdict != COOKIE_MAC2_VALID) {
        send_cookie_reply(adapter, message, source, now_ns);
        return false;
    }
    if (!rate_limit_allow(&message->from, now_ns)) {
        drop_count(adapter, DROP_HS_RATE_LIMITED, 1);
        return false;
    }
    return true;
}

/* ---- responder ---- */

/* Second half of an initiation, the response and its session, under the peer's lock.  True: `response` is to
 * be sent. */
static bool respond(struct peer *peer, struct initiation *initiation, uint32_t generation,
                    struct message_response *response)
{
    struct adapter *adapter = peer->adapter;
    uint8_t ephemeral[PRIVATE_KEY_BYTES];
    uint32_t abandoned, released = INDEX_NONE, index = INDEX_NONE;
    uint64_t now_ns = time_now_ns();
    bool begun = false, no_index = false;
    struct identity identity;
    random_bytes(ephemeral, sizeof(ephemeral));

    ExAcquireFastMutex(&peer->handshake_lock);
    abandoned = follow_identity(peer, &identity);
    secure_zero(&identity, sizeof(identity));
    /* An initiation to a key that we no longer have was opened just before that changed. */
    enum handshake_result result =
        peer->removed || peer->identity_generation != generation
            ? HANDSHAKE_WRONG_PEER
            : handshake_consume_initiation(&peer->handshake, initiation, now_ns, &released);
    if (result == HANDSHAKE_OK) {
        index = receiver_index_insert(adapter, peer, INDEX_KIND_HANDSHAKE);
        no_index = index == INDEX_NONE;
        if (no_index)
            handshake_clear(&peer->handshake); /* half a handshake: no index of its own yet */
        else
            result = handshake_create_response(&peer->handshake, index, ephemeral, response);
        if (!no_index && result == HANDSHAKE_OK) {
            cookie_maker_add_macs(&peer->cookie, response, sizeof(*response), now_ns);
            begun = begin_session(peer, now_ns);
            if (!begun)
                index = handshake_clear(&peer->handshake);
        }
    }
    ExReleaseFastMutex(&peer->handshake_lock);

    initiation_clear(initiation);
    secure_zero(ephemeral, sizeof(ephemeral));
    receiver_index_remove(adapter, abandoned);
    receiver_index_remove(adapter, released);
    if (!begun) {
        receiver_index_remove(adapter, index);
        if (result != HANDSHAKE_OK)
            drop_count(adapter, drop_reason_of(result), 1);
        else if (no_index)
            drop_count(adapter, DROP_HS_MEMORY, 1);
    }
    return begun;
}

static void process_initiation(struct adapter *adapter, const struct handshake_message *message)
{
    struct identity identity;
    struct initiation initiation;
    uint32_t generation = adapter_copy_identity(adapter, &identity);
    enum handshake_result result =
        initiation_open(&initiation, &identity, (const struct message_initiation *)message->bytes);
    secure_zero(&identity, sizeof(identity));
    if (result != HANDSHAKE_OK) {
        drop_count(adapter, DROP_HS_INVALID, 1);
        return;
    }

    struct peer *peer = peer_table_find(adapter, initiation.remote_static);
    if (!peer) {
        initiation_clear(&initiation);
        drop_count(adapter, DROP_HS_UNKNOWN_PEER, 1);
        return;
    }
    struct message_response response;
    if (respond(peer, &initiation, generation, &response)) {
        received_from_peer(peer, message);
        log_line_limited(adapter, LOG_INFORMATION,
                         "Received handshake initiation from peer %llu (%pI), answering", peer->id,
                         &message->from);
        send_to_peer(peer, &response, sizeof(response));
    }
    peer_release(peer);
}

/* ---- initiator ---- */

void handshake_send_initiation(struct peer *peer)
{
    struct adapter *adapter = peer->adapter;
    struct endpoint endpoint;
    uint64_t now_ns = time_now_ns();
    if (!adapter->up || peer->removed || !peer_timers_begin_initiation(peer, now_ns))
        return;

    endpoint_read(&peer->endpoint, &endpoint);
    if (!endpoint.remote.si_family)
        return;
    if (!endpoint.local_ifindex || endpoint.route_generation != route_generation(adapter))
        route_refresh(peer);

    struct message_initiation message;
    struct identity identity;
    uint8_t ephemeral[PRIVATE_KEY_BYTES], timestamp[TAI64N_BYTES];
    LARGE_INTEGER system_time;
    KeQuerySystemTimePrecise(&system_time);
    tai64n_from_system_time(timestamp, (uint64_t)system_time.QuadPart);
    random_bytes(ephemeral, sizeof(ephemeral));

    uint32_t abandoned = INDEX_NONE, released = INDEX_NONE;
    uint32_t index = receiver_index_insert(adapter, peer, INDEX_KIND_HANDSHAKE);
    bool made = false;
    if (index != INDEX_NONE) {
        ExAcquireFastMutex(&peer->handshake_lock);
        abandoned = follow_identity(peer, &identity);
        /* Down and removal erase the handshake under this lock, after they have said so: nothing is left
         * behind. */
        made = adapter->up && !adapter->suspended && !peer->removed &&
               handshake_create_initiation(&peer->handshake, &identity, index, ephemeral, timestamp, &message,
                                           &released) == HANDSHAKE_OK;
        if (made)
            cookie_maker_add_macs(&peer->cookie, &message, sizeof(message), now_ns);
        ExReleaseFastMutex(&peer->handshake_lock);
        secure_zero(&identity, sizeof(identity));
    } else {
        drop_count(adapter, DROP_HS_MEMORY, 1);
    }
    secure_zero(ephemeral, sizeof(ephemeral));
    receiver_index_remove(adapter, abandoned);
    receiver_index_remove(adapter, released);
    if (!made) {
        receiver_index_remove(adapter, index);
        return;
    }
    log_line_limited(adapter, LOG_INFORMATION, "Sending handshake initiation to peer %llu (%pI)", peer->id,
                     &endpoint.remote);
    send_to_peer(peer, &message, sizeof(message));
}

/* The peer that a receiver index stands for, as handshake or session; referenced. */
static struct peer *peer_from_index(struct adapter *adapter, uint32_t index)
{
    struct epoch_guard guard;
    enum index_kind kind;
    epoch_enter(&guard);
    void *object = index_table_lookup(&adapter->indexes, index, &kind);
    struct peer *peer =
        object && kind == INDEX_KIND_SESSION ? ((struct session_object *)object)->peer : object;
    if (peer && !peer_reference(peer))
        peer = NULL;
    epoch_leave(&guard);
    return peer;
}

static void process_response(struct adapter *adapter, const struct handshake_message *message)
{
    const struct message_response *response = (const struct message_response *)message->bytes;
    struct peer *peer = peer_from_index(adapter, load_le32(response->receiver_index));
    if (!peer) {
        drop_count(adapter, DROP_RX_UNKNOWN_INDEX, 1);
        return;
    }
    struct identity identity;
    uint64_t now_ns = time_now_ns();
    uint32_t index = INDEX_NONE;
    bool begun = false;

    ExAcquireFastMutex(&peer->handshake_lock);
    uint32_t abandoned = follow_identity(peer, &identity);
    enum handshake_result result = handshake_consume_response(&peer->handshake, &identity, response);
    if (result == HANDSHAKE_OK) {
        begun = begin_session(peer, now_ns);
        if (!begun)
            index = handshake_clear(&peer->handshake);
    }
    ExReleaseFastMutex(&peer->handshake_lock);
    secure_zero(&identity, sizeof(identity));
    receiver_index_remove(adapter, abandoned);
    receiver_index_remove(adapter, index);

    if (begun) {
        peer_timers_handshake_complete(peer);
        received_from_peer(peer, message);
        log_line_limited(adapter, LOG_INFORMATION, "Received handshake response from peer %llu (%pI)",
                         peer->id, &message->from);
        /* The first packet on the new session confirms it to the responder: data that waits, else a
         * keepalive. */
        if (__atomic_load_n(&peer->staged_count, __ATOMIC_ACQUIRE))
            transmit_flush_staged(peer);
        else
            transmit_keepalive(peer);
    } else if (result != HANDSHAKE_OK) {
        drop_count(adapter, drop_reason_of(result), 1);
    }
    peer_release(peer);
}

static void process_cookie_reply(struct adapter *adapter, const struct handshake_message *message)
{
    const struct message_cookie_reply *reply = (const struct message_cookie_reply *)message->bytes;
    struct peer *peer = peer_from_index(adapter, load_le32(reply->receiver_index));
    if (!peer) {
        drop_count(adapter, DROP_RX_UNKNOWN_INDEX, 1);
        return;
    }
    ExAcquireFastMutex(&peer->handshake_lock);
    bool consumed = cookie_maker_consume_reply(&peer->cookie, reply, time_now_ns());
    ExReleaseFastMutex(&peer->handshake_lock);
    if (consumed)
        log_line_limited(adapter, LOG_INFORMATION, "Received cookie from peer %llu (%pI)", peer->id,
                         &message->from);
    else
        drop_count(adapter, DROP_HS_INVALID, 1);
    peer_release(peer);
}

void handshake_process(struct adapter *adapter, const struct handshake_message *message, uint32_t waiting)
{
    enum message_type type = message_classify(message->bytes, message->length);
    if (type == MESSAGE_COOKIE_REPLY)
        process_cookie_reply(adapter, message);
    else if (!pass_macs(adapter, message, waiting))
        type = MESSAGE_INVALID;
    if (type == MESSAGE_INITIATION)
        process_initiation(adapter, message);
    else if (type == MESSAGE_RESPONSE)
        process_response(adapter, message);
    stack_erase(); /* of what cookies and keys left there */
}
