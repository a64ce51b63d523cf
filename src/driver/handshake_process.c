/* Handshake messages at PASSIVE_LEVEL (white paper 5.4): what is cheap is checked first, the peer's handshake
 * lock is held only around its own state, and never across a send. */
#include "handshake_process.h"
#include "crypto/secure_memory.h"
#include "driver.h"
#include "handshake_common.h"
#include "handshake_work.h"
#include "protocol/stack_erase.h"
#include "protocol/tai64n.h"
#include "rate_limit.h"
#include "responder.h"
#include "route.h"
#include "transmit.h"
#include "udp_socket.h"

/* ---- MACs, cookies and load ---- */

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

/* Nonces for the cookie replies of one batch.  All come from the generator at once, when the first is needed:
 * under a flood a call for each would cost as much as the reply. */
struct reply_nonces {
    uint32_t left;
    uint8_t bytes[RESPONDER_BATCH][24];
};

static const uint8_t *next_nonce(struct reply_nonces *nonces)
{
    if (!nonces->left) {
        random_bytes(nonces->bytes, sizeof(nonces->bytes));
        nonces->left = RESPONDER_BATCH;
    }
    return nonces->bytes[--nonces->left];
}

/* With a new secret when there is none or it is too old.  False: the adapter has no identity. */
static bool create_cookie_reply(struct adapter *adapter, const struct handshake_message *message,
                                const uint8_t source[COOKIE_SOURCE_BYTES], const uint8_t nonce[24],
                                uint64_t now_ns, struct message_cookie_reply *reply)
{
    KIRQL irql = ExAcquireSpinLockShared(&adapter->cookie_lock);
    bool made = cookie_checker_create_reply(&adapter->cookie_checker, reply, message->bytes, message->length,
                                            source, nonce, now_ns);
    ExReleaseSpinLockShared(&adapter->cookie_lock, irql);
    if (made)
        return true;

    uint8_t secret[32];
    random_bytes(secret, sizeof(secret));
    irql = ExAcquireSpinLockExclusive(&adapter->cookie_lock);
    if (cookie_checker_secret_is_stale(&adapter->cookie_checker, now_ns))
        cookie_checker_rotate_secret(&adapter->cookie_checker, secret, now_ns);
    made = cookie_checker_create_reply(&adapter->cookie_checker, reply, message->bytes, message->length,
                                       source, nonce, now_ns);
    ExReleaseSpinLockExclusive(&adapter->cookie_lock, irql);
    secure_zero(secret, sizeof(secret));
    return made;
}

static void send_cookie_reply(struct adapter *adapter, const struct handshake_message *message,
                              const uint8_t source[COOKIE_SOURCE_BYTES], uint64_t now_ns,
                              struct reply_nonces *nonces)
{
    struct message_cookie_reply reply;
    if (!create_cookie_reply(adapter, message, source, next_nonce(nonces), now_ns, &reply))
        return;

    struct endpoint endpoint = {
        .remote = message->from, .local = message->to, .local_ifindex = message->ifindex};
    if (NT_SUCCESS(udp_send_message(adapter, &endpoint, &reply, sizeof(reply))))
        drop_count(adapter, DROP_HS_COOKIE_SENT, 1);
}

/* True when the message may go on to the asymmetric part. */
static bool pass_macs(struct adapter *adapter, const struct handshake_message *message,
                      struct reply_nonces *nonces)
{
    uint8_t source[COOKIE_SOURCE_BYTES];
    uint64_t now_ns = time_now_ns();
    bool loaded = under_load_check(&adapter->under_load, message->waiting, HANDSHAKE_QUEUE_LIMIT, now_ns);
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
        send_cookie_reply(adapter, message, source, now_ns, nonces);
        return false;
    }
    if (!rate_limit_allow(&message->from, now_ns)) {
        drop_count(adapter, DROP_HS_RATE_LIMITED, 1);
        return false;
    }
    return true;
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
        abandoned = handshake_follow_identity(peer, &identity);
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
    handshake_send_to_peer(peer, &message, sizeof(message));
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
    uint32_t abandoned = handshake_follow_identity(peer, &identity);
    enum handshake_result result = handshake_consume_response(&peer->handshake, &identity, response);
    if (result == HANDSHAKE_OK) {
        begun = handshake_install_session(peer, now_ns);
        if (!begun)
            index = handshake_clear(&peer->handshake);
    }
    ExReleaseFastMutex(&peer->handshake_lock);
    secure_zero(&identity, sizeof(identity));
    receiver_index_remove(adapter, abandoned);
    receiver_index_remove(adapter, index);

    if (begun) {
        peer_timers_handshake_complete(peer, WYRM_HANDSHAKE_BY_US);
        handshake_received_from_peer(peer, message);
        log_line_limited(adapter, LOG_INFORMATION, "Received handshake response from peer %llu (%pI)",
                         peer->id, &message->from);
        /* The first packet on the new session confirms it to the responder: data that waits, else a
         * keepalive. */
        if (__atomic_load_n(&peer->staged_count, __ATOMIC_ACQUIRE))
            transmit_flush_staged(peer);
        else
            transmit_keepalive(peer);
    } else if (result != HANDSHAKE_OK) {
        drop_count(adapter, handshake_drop_reason_of(result), 1);
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

/* True: an initiation, to be answered. */
static bool process(struct adapter *adapter, const struct handshake_message *message,
                    struct reply_nonces *nonces)
{
    enum message_type type = message_classify(message->bytes, message->length);
    if (type == MESSAGE_COOKIE_REPLY)
        process_cookie_reply(adapter, message);
    else if (!pass_macs(adapter, message, nonces))
        type = MESSAGE_INVALID;
    if (type == MESSAGE_RESPONSE)
        process_response(adapter, message);
    return type == MESSAGE_INITIATION;
}

void handshake_process(struct adapter *adapter, struct responder *responder,
                       struct handshake_message *const messages[], uint32_t count)
{
    const struct handshake_message *initiations[RESPONDER_BATCH];
    struct reply_nonces nonces;
    uint32_t initiation_count = 0;
    nonces.left = 0;
    for (uint32_t i = 0; i < count; i++)
        if (process(adapter, messages[i], &nonces))
            initiations[initiation_count++] = messages[i];
    if (initiation_count)
        responder_answer(adapter, responder, initiations, initiation_count);
    stack_erase(); /* of what cookies and keys left there */
}
