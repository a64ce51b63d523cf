/* The scripted peer's side of handshakes. */
#include "peer.h"
#include "peer_internal.h"
#include "secrets.h"
#include <stdlib.h>
#include <string.h>

static const uint8_t no_mac[MAC_BYTES];

static void source_bytes(const struct sim_address *from, uint8_t source[COOKIE_SOURCE_BYTES])
{
    memset(source, 0, COOKIE_SOURCE_BYTES);
    memcpy(source, from->bytes, from->family == 4 ? 4 : 16);
    memcpy(source + 16, &from->port, 2);
}

static uint64_t utc_100ns(const struct peer *peer)
{
    return sim->system_time_100ns() + (uint64_t)peer->clock_offset_100ns;
}

void peer_build_initiation(struct peer *peer, struct message_initiation *message, int64_t utc_offset_100ns)
{
    uint8_t ephemeral[32], timestamp[TAI64N_BYTES];
    uint32_t released;
    random_fill(ephemeral, sizeof(ephemeral));
    tai64n_from_system_time(timestamp, utc_100ns(peer) + (uint64_t)utc_offset_100ns);
    enum handshake_result result = handshake_create_initiation(
        &peer->handshake, &peer->identity, peer_random32() | 1, ephemeral, timestamp, message, &released);
    if (result != HANDSHAKE_OK)
        sim->fail("the scripted peer cannot make an initiation (%d)", result);
    cookie_maker_add_macs(&peer->maker, message, sizeof(*message), now_ns());
}

void peer_initiate(struct peer *peer, struct message_initiation *sent)
{
    struct message_initiation message;
    peer_build_initiation(peer, &message, 0);
    timers_any_authenticated_sent(&peer->times, now_ns());
    peer_send_raw(peer, &message, sizeof(message));
    if (sent)
        *sent = message;
}

struct peer_session *peer_begin_session(struct peer *peer)
{
    struct session_evictions evictions;
    struct peer_session *session = calloc(1, sizeof(*session));
    if (handshake_begin_session(&peer->handshake, &session->session, now_ns()) != HANDSHAKE_OK)
        sim->fail("the scripted peer's handshake is not ready for a session");
    session->chain = peer->sessions;
    peer->sessions = session;
    session_set_add(&peer->set, &session->session, &evictions);
    secret_note(SECRET_SESSION_KEY, peer->node->end, peer->end, session->session.send_key);
    secret_note(SECRET_SESSION_KEY, peer->node->end, peer->end, session->session.receive_key);
    if (peer->automatic)
        peer_reschedule(peer, timers_session_derived(&peer->times, now_ns()));
    return session;
}

static void receive_initiation(struct peer *peer, const struct sim_address *from,
                               const struct message_initiation *message)
{
    struct initiation initiation;
    struct message_response response;
    uint8_t ephemeral[32], timestamp[TAI64N_BYTES];
    uint32_t released;
    bool had_mac2 = memcmp(message->mac2, no_mac, MAC_BYTES) != 0;
    if (initiation_open(&initiation, &peer->identity, message) != HANDSHAKE_OK ||
        handshake_consume_initiation(&peer->handshake, &initiation, now_ns(), &released) != HANDSHAKE_OK) {
        peer_note(peer, GOT_INVALID, from, sizeof(*message));
        return;
    }
    memcpy(timestamp, peer->handshake.latest_timestamp, TAI64N_BYTES);
    struct peer_event *event = peer_note(peer, GOT_INITIATION, from, sizeof(*message));
    event->had_mac2 = had_mac2;
    memcpy(event->timestamp, timestamp, TAI64N_BYTES);
    peer->remote = *from;
    timers_any_authenticated_received(&peer->times, now_ns());
    if (peer->silent || peer->no_response) {
        handshake_clear(&peer->handshake);
        return;
    }
    random_fill(ephemeral, sizeof(ephemeral));
    if (handshake_create_response(&peer->handshake, peer_random32() | 1, ephemeral, &response) !=
        HANDSHAKE_OK)
        sim->fail("the scripted peer cannot make a response");
    cookie_maker_add_macs(&peer->maker, &response, sizeof(response), now_ns());
    peer_begin_session(peer);
    timers_any_authenticated_sent(&peer->times, now_ns());
    peer_send_raw(peer, &response, sizeof(response));
}

static void receive_response(struct peer *peer, const struct sim_address *from,
                             const struct message_response *message)
{
    bool had_mac2 = memcmp(message->mac2, no_mac, MAC_BYTES) != 0;
    if (handshake_consume_response(&peer->handshake, &peer->identity, message) != HANDSHAKE_OK) {
        peer_note(peer, GOT_INVALID, from, sizeof(*message));
        return;
    }
    peer_note(peer, GOT_RESPONSE, from, sizeof(*message))->had_mac2 = had_mac2;
    peer->remote = *from;
    timers_any_authenticated_received(&peer->times, now_ns());
    peer_begin_session(peer);
    timers_handshake_complete(&peer->times, peer_random32());
    if (!peer->no_confirm && !peer->silent)
        peer_send_plain(peer, NULL, 0);
}

static void send_cookie(struct peer *peer, const struct sim_address *from, const uint8_t *bytes,
                        uint32_t length, const uint8_t source[COOKIE_SOURCE_BYTES])
{
    struct message_cookie_reply reply;
    uint8_t nonce[24], secret[32];
    random_fill(nonce, sizeof(nonce));
    if (cookie_checker_secret_is_stale(&peer->checker, now_ns())) {
        random_fill(secret, sizeof(secret));
        cookie_checker_rotate_secret(&peer->checker, secret, now_ns());
    }
    peer->remote = *from;
    if (cookie_checker_create_reply(&peer->checker, &reply, bytes, length, source, nonce, now_ns()))
        peer_send_raw(peer, &reply, sizeof(reply));
}

void peer_receive_handshake(struct peer *peer, const struct sim_address *from, const uint8_t *bytes,
                            uint32_t length)
{
    uint8_t source[COOKIE_SOURCE_BYTES];
    if (bytes[0] == MESSAGE_COOKIE_REPLY) {
        bool taken =
            cookie_maker_consume_reply(&peer->maker, (const struct message_cookie_reply *)bytes, now_ns());
        peer_note(peer, taken ? GOT_COOKIE_REPLY : GOT_INVALID, from, length);
        return;
    }
    source_bytes(from, source);
    enum cookie_verdict verdict =
        cookie_checker_verify(&peer->checker, bytes, length, source, peer->demand_cookies, now_ns());
    if (verdict == COOKIE_MAC1_INVALID) {
        peer_note(peer, GOT_INVALID, from, length);
    } else if (peer->demand_cookies && verdict != COOKIE_MAC2_VALID) {
        /* Noted as what it is, so that tests see it; not processed. */
        peer_note(peer, bytes[0] == MESSAGE_INITIATION ? GOT_INITIATION : GOT_RESPONSE, from, length);
        send_cookie(peer, from, bytes, length, source);
    } else if (bytes[0] == MESSAGE_INITIATION) {
        receive_initiation(peer, from, (const struct message_initiation *)bytes);
    } else {
        receive_response(peer, from, (const struct message_response *)bytes);
    }
}
