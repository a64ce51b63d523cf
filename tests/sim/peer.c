/* The scripted peer: its life, what it notes, its timers. */
#include "peer.h"
#include "peer_internal.h"
#include "secrets.h"
#include <stdlib.h>
#include <string.h>

uint32_t peer_random32(void)
{
    return (uint32_t)(random_u64() >> 32);
}

static void on_datagram(void *context, struct sim_endpoint *endpoint, const struct sim_address *from,
                        const uint8_t *data, uint32_t length)
{
    struct peer *peer = context;
    switch (message_classify(data, length)) {
    case MESSAGE_INVALID:
        peer_note(peer, GOT_INVALID, from, length);
        break;
    case MESSAGE_DATA:
        peer_receive_data(peer, from, data, length);
        break;
    default:
        peer_receive_handshake(peer, from, data, length);
        break;
    }
    forget_registers();
}

void peer_learn_node(struct peer *peer)
{
    memcpy(peer->node_key, peer->node->model.public_key, 32);
    handshake_destroy(&peer->handshake);
    handshake_init(&peer->handshake, &peer->identity, peer->node_key);
    handshake_set_preshared_key(&peer->handshake, peer->preshared_key);
    cookie_maker_init(&peer->maker, peer->node_key);
}

void peer_open(struct peer *peer, uint8_t end, uint8_t family, struct node *node)
{
    memset(peer, 0, sizeof(*peer));
    peer->end = end;
    peer->node = node;
    peer->address = family == 4 ? address_v4(198, 51, 100, end, (uint16_t)(50000 + end))
                                : address_v6(1, end, (uint16_t)(50000 + end));
    peer->endpoint = sim->endpoint_open(&peer->address, on_datagram, peer);
    if (!peer->endpoint)
        sim->fail("no endpoint for end %u", end);
    random_fill(peer->private_key, 32);
    identity_init(&peer->identity);
    identity_set(&peer->identity, peer->private_key);
    end_register(end, peer->identity.public_key);
    cookie_checker_init(&peer->checker);
    cookie_checker_set_identity(&peer->checker, peer->identity.public_key);
    peer_learn_node(peer);
    session_set_init(&peer->set);
    timers_init(&peer->times, peer_random32());
    peer->wanted_ns = peer->asked_ns = TIME_FOREVER_NS;
}

void peer_close(struct peer *peer)
{
    peer_set_automatic(peer, false, 0);
    if (peer->endpoint)
        sim->endpoint_close(peer->endpoint);
    peer->endpoint = NULL;
    for (struct peer_session *session = peer->sessions, *chain; session; session = chain) {
        chain = session->chain;
        free(session);
    }
    peer->sessions = NULL;
    session_set_init(&peer->set);
}

void peer_set_preshared_key(struct peer *peer, const uint8_t key[32])
{
    memcpy(peer->preshared_key, key, 32);
    handshake_set_preshared_key(&peer->handshake, key);
    secret_note(SECRET_PRESHARED_KEY, peer->node->end, peer->end, key);
}

void peer_move(struct peer *peer)
{
    uint16_t port = (uint16_t)(20000 + random_below(20000));
    struct sim_address to = peer->address.family == 4
                                ? address_v4(203, 0, 113, (uint8_t)(1 + random_below(250)), port)
                                : address_v6(2, (uint16_t)(1 + random_below(60000)), port);
    peer->address = to;
    sim->endpoint_move(peer->endpoint, &to);
}

void peer_configure(struct peer *peer, bool endpoint, uint16_t keepalive)
{
    static const uint8_t none[32];
    node_add_peer(peer->node, peer->end, peer->identity.public_key, endpoint ? &peer->address : NULL,
                  memcmp(none, peer->preshared_key, 32) ? peer->preshared_key : NULL, keepalive);
}

/* ---- what it has heard ---- */

struct peer_event *peer_note(struct peer *peer, enum peer_event_kind kind, const struct sim_address *from,
                             uint32_t length)
{
    struct peer_event *event = &peer->events[peer->events_count++ % PEER_EVENTS_KEPT];
    *event = (struct peer_event){.kind = kind, .time_ns = now_ns(), .length = length, .from = *from};
    peer->counts[kind]++;
    if (kind != GOT_DATA)
        sim->log("end %u hears event %d, %u bytes", peer->end, kind, length);
    return event;
}

uint64_t peer_count(const struct peer *peer, enum peer_event_kind kind)
{
    return peer->counts[kind];
}

const struct peer_event *peer_last(const struct peer *peer, enum peer_event_kind kind, uint32_t back)
{
    uint64_t kept = peer->events_count < PEER_EVENTS_KEPT ? peer->events_count : PEER_EVENTS_KEPT;
    for (uint64_t i = 1; i <= kept; i++) {
        const struct peer_event *event = &peer->events[(peer->events_count - i) % PEER_EVENTS_KEPT];
        if (event->kind == kind && back-- == 0)
            return event;
    }
    return NULL;
}

bool peer_wait(struct peer *peer, enum peer_event_kind kind, uint64_t count, uint64_t until_ns)
{
    while (peer->counts[kind] < count && now_ns() < until_ns) {
        uint64_t left_ns = until_ns - now_ns();
        sleep_ns(left_ns < 20 * NS_PER_MS ? left_ns : 20 * NS_PER_MS);
    }
    return peer->counts[kind] >= count;
}

/* ---- timers ---- */

static void on_time(void *context);

static void ask(struct peer *peer)
{
    if (peer->wanted_ns < peer->asked_ns) {
        peer->asked_ns = peer->wanted_ns;
        sim->at(peer->wanted_ns, on_time, peer);
    }
}

void peer_reschedule(struct peer *peer, bool wanted)
{
    if (wanted && peer->automatic) {
        peer->wanted_ns = timers_scheduled_ns(&peer->times);
        ask(peer);
    }
}

static void act(struct peer *peer)
{
    struct timer_decision decision;
    timers_evaluate(&peer->times, now_ns(), peer_random32(), &decision);
    peer->wanted_ns = decision.next_ns;
    if (decision.actions & TIMER_ERASE_KEYS)
        session_set_init(&peer->set);
    if ((decision.actions & TIMER_SEND_INITIATION) &&
        timers_begin_initiation(&peer->times, now_ns(), peer_random32())) {
        peer->wanted_ns = timers_scheduled_ns(&peer->times);
        peer_initiate(peer, NULL);
    }
    if ((decision.actions & TIMER_SEND_KEEPALIVE) && !peer_send_plain(peer, NULL, 0))
        peer_reschedule(peer, timers_request_handshake(&peer->times, now_ns()));
}

static void on_time(void *context)
{
    struct peer *peer = context;
    peer->asked_ns = TIME_FOREVER_NS;
    if (!peer->automatic || !peer->endpoint)
        return;
    if (now_ns() >= peer->wanted_ns)
        act(peer);
    forget_registers();
    if (peer->wanted_ns != TIME_FOREVER_NS)
        ask(peer);
}

void peer_set_automatic(struct peer *peer, bool automatic, uint16_t keepalive)
{
    bool keepalive_now = false;
    if (automatic == peer->automatic)
        return;
    peer->automatic = automatic;
    if (!automatic) {
        timers_stop(&peer->times);
        return;
    }
    timers_set_persistent_keepalive(&peer->times, keepalive, now_ns(), &keepalive_now);
    peer_reschedule(peer, timers_start(&peer->times, now_ns(), &keepalive_now));
    if (keepalive_now)
        peer_reschedule(peer, timers_request_handshake(&peer->times, now_ns()));
}
