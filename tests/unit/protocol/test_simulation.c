/* Two whole peers - handshake, sessions, cookies' MACs, index table, timers - over a simulated link in
 * virtual time.  The wheel of each moves only when a verb says so: a deadline that is not announced is missed
 * here as in the driver. */
#include "crypto/chacha20poly1305.h"
#include "protocol/index_table.h"
#include "protocol/session_set.h"
#include "protocol/timer_policy.h"
#include "support.h"

#define MS NS_PER_MS
#define S  NS_PER_SECOND

static struct random rng;

struct counted_session {
    struct session session;
    int references; /* of the set */
};

struct node {
    struct side side;
    struct session_set set;
    struct peer_times times;
    struct index_table indexes;
    uint64_t wheel_ns;
    uint32_t staged;
    /* user traffic */
    uint64_t send_every_ns, next_send_ns;
    /* statistics */
    uint32_t data_sent, data_delivered, keepalives_sent, initiations_sent, handshakes_complete, give_ups,
        erasures, forgets, staged_dropped, replays_refused, bad_messages;
    uint64_t last_delivery_ns, longest_gap_ns, oldest_session_used_ns;
    int64_t sessions_alive;
};

struct datagram {
    uint64_t deliver_ns;
    int to;
    size_t length;
    uint8_t bytes[160];
};

enum { FLIGHT_MAX = 4096 };

static struct world {
    struct node nodes[2];
    struct datagram flight[FLIGHT_MAX];
    uint32_t flying;
    uint64_t now_ns, start_ns;
    uint32_t loss_percent, duplicate_percent;
    uint64_t latency_ns, latency_jitter_ns;
    bool cut[2]; /* cut[i]: nothing reaches node i */
} w;

static uint32_t random32(void)
{
    return (uint32_t)random_u64(&rng);
}

static void transmit(int from, const void *bytes, size_t length)
{
    int to = 1 - from;
    for (uint32_t copies = 1 + (random_below(&rng, 100) < w.duplicate_percent); copies; copies--) {
        if (w.cut[to] || random_below(&rng, 100) < w.loss_percent || w.flying == FLIGHT_MAX)
            continue;
        struct datagram *d = &w.flight[w.flying++];
        d->deliver_ns =
            w.now_ns + w.latency_ns + (w.latency_jitter_ns ? random_u64(&rng) % w.latency_jitter_ns : 0);
        d->to = to;
        d->length = length;
        memcpy(d->bytes, bytes, length);
    }
}

static void reschedule(struct node *n, bool wanted)
{
    if (wanted)
        n->wheel_ns = timers_scheduled_ns(&n->times);
}

static void evict(struct node *n, const struct session_evictions *evictions)
{
    for (uint32_t i = 0; i < evictions->count; i++) {
        struct counted_session *s = (struct counted_session *)evictions->sessions[i];
        CHECK(s->references == 1 && index_table_remove(&n->indexes, s->session.local_index));
        session_wipe(&s->session);
        free(s);
        n->sessions_alive--;
    }
}

static void release(struct node *n, uint32_t index)
{
    if (index != INDEX_NONE)
        CHECK(index_table_remove(&n->indexes, index));
}

static void send_initiation(int i)
{
    struct node *n = &w.nodes[i];
    uint8_t ephemeral[32], timestamp[12];
    struct message_initiation message;
    uint32_t released;
    if (!timers_begin_initiation(&n->times, w.now_ns, random32()))
        return;
    n->wheel_ns = timers_scheduled_ns(&n->times);
    random_bytes(&rng, ephemeral, 32);
    tai64n_from_system_time(timestamp, TEST_UTC_100NS + w.now_ns / 100);
    uint32_t index = index_table_insert(&n->indexes, n, INDEX_KIND_HANDSHAKE);
    CHECK(handshake_create_initiation(&n->side.handshake, &n->side.identity, index, ephemeral, timestamp,
                                      &message, &released) == HANDSHAKE_OK);
    release(n, released);
    cookie_maker_add_macs(&n->side.maker, &message, sizeof(message), w.now_ns);
    n->initiations_sent++;
    timers_any_authenticated_sent(&n->times, w.now_ns);
    transmit(i, &message, sizeof(message));
}

static void begin_session(struct node *n)
{
    struct session_evictions evictions;
    struct counted_session *s = malloc(sizeof(*s));
    s->references = 1;
    CHECK(handshake_begin_session(&n->side.handshake, &s->session, w.now_ns) == HANDSHAKE_OK);
    CHECK(index_table_replace(&n->indexes, s->session.local_index, s, INDEX_KIND_SESSION));
    n->sessions_alive++;
    session_set_add(&n->set, &s->session, &evictions);
    evict(n, &evictions);
    reschedule(n, timers_session_derived(&n->times, w.now_ns));
}

/* A user's packet, or a keepalive (`data` false). */
static void send_transport(int i, bool data)
{
    struct node *n = &w.nodes[i];
    struct session *session = session_set_current(&n->set);
    uint64_t counter;
    if (!session || !session_may_send(session, w.now_ns) || !session_reserve_nonces(session, 1, &counter)) {
        if (data && n->staged < 128)
            n->staged++;
        reschedule(n, timers_request_handshake(&n->times, w.now_ns));
        return;
    }
    uint8_t wire[64], plain[16] = {0x45}, nonce[12] = {0};
    size_t length = data ? sizeof(plain) : 0;
    message_data_header_write((struct message_data_header *)wire, session->remote_index, counter);
    store_le64(nonce + 4, counter);
    chacha20poly1305_seal(wire + 16, plain, length, NULL, 0, nonce, session->send_key);
    uint64_t age_ns = w.now_ns - session->birth_ns;
    if (age_ns > n->oldest_session_used_ns)
        n->oldest_session_used_ns = age_ns;
    if (data) {
        n->data_sent++;
        reschedule(n, timers_data_sent(&n->times, w.now_ns));
    } else {
        n->keepalives_sent++;
        timers_any_authenticated_sent(&n->times, w.now_ns);
    }
    if (session_wants_rekey_on_send(session, w.now_ns))
        reschedule(n, timers_request_handshake(&n->times, w.now_ns));
    transmit(i, wire, 32 + length);
}

static void flush_staged(int i)
{
    struct node *n = &w.nodes[i];
    if (n->staged == 0) {
        send_transport(i, false); /* confirms the session to the peer */
        return;
    }
    for (uint32_t left = n->staged, k = 0; k < left; k++) {
        n->staged--;
        send_transport(i, true);
    }
}

static void receive_initiation(int i, const struct message_initiation *message)
{
    struct node *n = &w.nodes[i];
    struct message_response response;
    struct initiation initiation;
    uint8_t ephemeral[32];
    uint32_t released;
    if (initiation_open(&initiation, &n->side.identity, message) != HANDSHAKE_OK ||
        handshake_consume_initiation(&n->side.handshake, &initiation, w.now_ns, &released) != HANDSHAKE_OK) {
        n->replays_refused++;
        return;
    }
    release(n, released);
    timers_any_authenticated_received(&n->times, w.now_ns);
    random_bytes(&rng, ephemeral, 32);
    uint32_t index = index_table_insert(&n->indexes, n, INDEX_KIND_HANDSHAKE);
    CHECK(handshake_create_response(&n->side.handshake, index, ephemeral, &response) == HANDSHAKE_OK);
    cookie_maker_add_macs(&n->side.maker, &response, sizeof(response), w.now_ns);
    begin_session(n);
    timers_any_authenticated_sent(&n->times, w.now_ns);
    transmit(i, &response, sizeof(response));
}

static void receive_response(int i, const struct message_response *message)
{
    struct node *n = &w.nodes[i];
    enum index_kind kind;
    void *object = index_table_lookup(&n->indexes, load_le32(message->receiver_index), &kind);
    if (object != n || kind != INDEX_KIND_HANDSHAKE ||
        handshake_consume_response(&n->side.handshake, &n->side.identity, message) != HANDSHAKE_OK) {
        n->replays_refused++;
        return;
    }
    timers_any_authenticated_received(&n->times, w.now_ns);
    begin_session(n);
    timers_handshake_complete(&n->times, random32());
    n->handshakes_complete++;
    flush_staged(i);
}

static void receive_data(int i, const uint8_t *wire, size_t length)
{
    struct node *n = &w.nodes[i];
    const struct message_data_header *header = (const struct message_data_header *)wire;
    enum index_kind kind;
    struct counted_session *s = index_table_lookup(&n->indexes, load_le32(header->receiver_index), &kind);
    uint8_t plain[64], nonce[12] = {0};
    uint64_t counter = load_le64(header->counter);
    if (!s || kind != INDEX_KIND_SESSION || !session_may_receive(&s->session, w.now_ns))
        return;
    store_le64(nonce + 4, counter);
    if (!chacha20poly1305_open(plain, wire + 16, length - 16, NULL, 0, nonce, s->session.receive_key)) {
        n->bad_messages++;
        return;
    }
    if (!session_accept_counter(&s->session, counter)) {
        n->replays_refused++;
        return;
    }
    struct session_evictions evictions;
    bool confirmed = session_set_confirm(&n->set, &s->session, &evictions);
    if (confirmed) {
        evict(n, &evictions);
        timers_handshake_complete(&n->times, random32());
        n->handshakes_complete++;
    }
    if (length == 32) {
        timers_any_authenticated_received(&n->times, w.now_ns);
    } else {
        reschedule(n, timers_data_received(&n->times, w.now_ns));
        n->data_delivered++;
        if (n->last_delivery_ns && w.now_ns - n->last_delivery_ns > n->longest_gap_ns)
            n->longest_gap_ns = w.now_ns - n->last_delivery_ns;
        n->last_delivery_ns = w.now_ns;
    }
    if (session_wants_rekey_on_receive(&s->session, w.now_ns))
        reschedule(n, timers_request_handshake(&n->times, w.now_ns));
    if (confirmed && n->staged)
        flush_staged(i);
}

static void deliver(const struct datagram *d)
{
    static const uint8_t source[COOKIE_SOURCE_BYTES];
    struct node *n = &w.nodes[d->to];
    switch (message_classify(d->bytes, d->length)) {
    case MESSAGE_INITIATION:
    case MESSAGE_RESPONSE:
        if (cookie_checker_verify(&n->side.checker, d->bytes, d->length, source, false, w.now_ns) !=
            COOKIE_MAC1_VALID) {
            n->bad_messages++;
        } else if (d->bytes[0] == MESSAGE_INITIATION) {
            receive_initiation(d->to, (const struct message_initiation *)d->bytes);
        } else {
            receive_response(d->to, (const struct message_response *)d->bytes);
        }
        break;
    case MESSAGE_DATA:
        receive_data(d->to, d->bytes, d->length);
        break;
    default:
        n->bad_messages++;
        break;
    }
}

static void on_timer(int i)
{
    struct node *n = &w.nodes[i];
    struct timer_decision decision;
    timers_evaluate(&n->times, w.now_ns, random32(), &decision);
    n->wheel_ns = decision.next_ns;
    n->forgets += !!(decision.actions & TIMER_FORGET_SOURCE);
    if (decision.actions & TIMER_GIVE_UP) {
        n->give_ups++;
        n->staged_dropped += n->staged;
        n->staged = 0;
    }
    if (decision.actions & TIMER_ERASE_KEYS) {
        struct session_evictions evictions;
        n->erasures++;
        session_set_clear(&n->set, &evictions);
        evict(n, &evictions);
        release(n, handshake_clear(&n->side.handshake));
    }
    if (decision.actions & TIMER_SEND_INITIATION)
        send_initiation(i);
    if (decision.actions & TIMER_SEND_KEEPALIVE)
        send_transport(i, false);
}

static void *index_memory[2];

static void world_init(uint64_t seed)
{
    memset(&w, 0, sizeof(w));
    rng.state = seed;
    w.now_ns = w.start_ns = TEST_NOW_NS;
    w.latency_ns = 20 * MS;
    sides_init(&w.nodes[0].side, &w.nodes[1].side, &rng);
    for (int i = 0; i < 2; i++) {
        struct node *n = &w.nodes[i];
        uint8_t key[INDEX_KEY_BYTES];
        bool now;
        random_bytes(&rng, key, sizeof(key));
        index_memory[i] = malloc(index_table_memory_bytes(16));
        CHECK(index_table_init(&n->indexes, index_memory[i], 16, key));
        session_set_init(&n->set);
        timers_init(&n->times, random32());
        n->wheel_ns = TIME_FOREVER_NS;
        n->next_send_ns = TIME_FOREVER_NS;
        reschedule(n, timers_start(&n->times, w.now_ns, &now));
    }
}

/* Takes all down; whatever a session or index was leaked shows here. */
static void world_end(void)
{
    for (int i = 0; i < 2; i++) {
        struct node *n = &w.nodes[i];
        struct session_evictions evictions;
        CHECK(n->bad_messages == 0);
        session_set_clear(&n->set, &evictions);
        evict(n, &evictions);
        release(n, handshake_clear(&n->side.handshake));
        CHECK(n->sessions_alive == 0 && index_table_used(&n->indexes) == 0);
        free(index_memory[i]);
    }
}

static void run_until(uint64_t end_ns)
{
    for (;;) {
        uint64_t next_ns = end_ns;
        int kind = 0, who = 0;
        for (uint32_t f = 0; f < w.flying; f++) {
            if (w.flight[f].deliver_ns < next_ns) {
                next_ns = w.flight[f].deliver_ns;
                kind = 1;
                who = (int)f;
            }
        }
        for (int i = 0; i < 2; i++) {
            if (w.nodes[i].next_send_ns < next_ns) {
                next_ns = w.nodes[i].next_send_ns;
                kind = 2;
                who = i;
            }
            if (w.nodes[i].wheel_ns < next_ns) {
                next_ns = w.nodes[i].wheel_ns;
                kind = 3;
                who = i;
            }
        }
        if (next_ns > w.now_ns)
            w.now_ns = next_ns;
        if (kind == 0)
            return;
        if (kind == 1) {
            struct datagram d = w.flight[who];
            w.flight[who] = w.flight[--w.flying];
            deliver(&d);
        } else if (kind == 2) {
            w.nodes[who].next_send_ns += w.nodes[who].send_every_ns;
            send_transport(who, true);
        } else {
            on_timer(who);
        }
    }
}

static void run_for(uint64_t duration_ns)
{
    run_until(w.now_ns + duration_ns);
}

static void traffic(int i, uint64_t every_ns)
{
    w.nodes[i].send_every_ns = every_ns;
    w.nodes[i].next_send_ns = every_ns ? w.now_ns + every_ns : TIME_FOREVER_NS;
}

static struct node *const a = &w.nodes[0], *const b = &w.nodes[1];

/* An hour both ways on a good link: a rekey every 120 s, no packet lost, no keepalive needed. */
static void both_ways(void)
{
    world_init(1);
    traffic(0, 500 * MS);
    traffic(1, 700 * MS);
    run_for(3600 * S);
    traffic(0, 0);
    traffic(1, 0);
    run_for(5 * S);
    CHECK(a->data_sent == b->data_delivered && b->data_sent == a->data_delivered);
    CHECK(a->data_sent >= 7198 && b->data_sent >= 5140);
    uint32_t handshakes = a->initiations_sent + b->initiations_sent;
    CHECK_MSG(handshakes >= 29 && handshakes <= 32, "%u", handshakes);
    CHECK(a->handshakes_complete >= 29 && b->handshakes_complete >= 29);
    CHECK(a->oldest_session_used_ns < 123 * S && b->oldest_session_used_ns < 123 * S);
    CHECK(a->longest_gap_ns < 800 * MS && b->longest_gap_ns < 600 * MS);
    CHECK(a->give_ups + b->give_ups + a->erasures + b->erasures + a->forgets + b->forgets == 0);
    /* silence: the last data gets its keepalive, then 540 s later the keys go, and the wheels stand still */
    run_for(600 * S);
    CHECK(a->erasures == 1 && b->erasures == 1 && a->sessions_alive == 0 && b->sessions_alive == 0);
    CHECK(a->wheel_ns == TIME_FOREVER_NS && b->wheel_ns == TIME_FOREVER_NS);
    world_end();
}

/* Only a sends, and a is the initiator: b answers with keepalives, a rekeys at 120 s. */
static void one_way(void)
{
    world_init(2);
    traffic(0, 1000 * MS);
    run_for(3600 * S);
    CHECK(a->data_sent == b->data_delivered + w.flying && a->forgets == 0);
    CHECK_MSG(b->keepalives_sent >= 290 && b->keepalives_sent <= 362, "%u", b->keepalives_sent);
    CHECK(a->initiations_sent >= 29 && a->initiations_sent <= 31 && b->initiations_sent == 0);
    world_end();
}

/* Only a sends, but b made the sessions: b renews when it sends its keepalives. */
static void one_way_towards_initiator(void)
{
    world_init(3);
    traffic(1, 1000 * MS);
    run_for(3 * S);
    traffic(1, 0);
    traffic(0, 1000 * MS);
    run_for(3600 * S);
    CHECK_MSG(b->initiations_sent >= 27 && b->initiations_sent <= 30, "%u", b->initiations_sent);
    CHECK(a->initiations_sent == 0 && a->oldest_session_used_ns < 132 * S);
    CHECK(a->data_sent == b->data_delivered + w.flying && a->staged == 0);
    world_end();
}

/* An idle session's initiator renews it in the last minute when something comes in, and only then. */
static void last_minute(void)
{
    for (uint64_t at_s = 163; at_s <= 181; at_s += 4) { /* 163, 167, 171, 175, 179 */
        world_init(30 + at_s);
        traffic(1, 1000 * MS);
        run_for(1500 * MS);
        traffic(1, 0);
        run_until(w.start_ns + 1 * S + at_s * S);
        CHECK(b->initiations_sent == 1 && a->initiations_sent == 0);
        send_transport(0, true);
        run_for(1 * S);
        CHECK_MSG(b->initiations_sent == 1 + (at_s > 165) && a->initiations_sent == 0, "%llu s: %u",
                  (unsigned long long)at_s, b->initiations_sent);
        CHECK(a->data_sent == 1 && b->data_delivered == 1);
        world_end();
    }
}

/* One packet into a dead link: 15 s, then 20 initiations, then silence. */
static void dead_link(void)
{
    world_init(4);
    traffic(0, 1000 * MS);
    run_for(10 * S);
    traffic(0, 0);
    run_for(20 * S);
    uint32_t before = a->initiations_sent;
    w.cut[0] = w.cut[1] = true;
    uint64_t cut_ns = w.now_ns;
    traffic(0, 1000 * MS);
    run_for(1500 * MS);
    traffic(0, 0);
    run_until(cut_ns + 16 * S - 1);
    CHECK(a->initiations_sent == before);
    run_until(cut_ns + 16 * S + 400 * MS);
    CHECK(a->initiations_sent == before + 1 && a->forgets == 1);
    run_until(cut_ns + 16 * S + 99 * S);
    CHECK(a->give_ups == 0);
    run_until(cut_ns + 16 * S + 108 * S);
    CHECK(a->give_ups == 1 && a->initiations_sent == before + 20);
    run_for(600 * S);
    CHECK(a->erasures == 1 && a->wheel_ns == TIME_FOREVER_NS && a->initiations_sent == before + 20);
    /* the link comes back, and so does the tunnel with the next packet */
    w.cut[0] = w.cut[1] = false;
    uint32_t delivered = b->data_delivered;
    traffic(0, 1000 * MS);
    run_for(5 * S);
    CHECK(b->data_delivered >= delivered + 3);
    world_end();
}

/* A user who keeps trying is never given up, and is served within a retry when the link returns. */
static void outage_under_traffic(void)
{
    world_init(5);
    traffic(0, 100 * MS);
    traffic(1, 100 * MS);
    run_for(100 * S);
    w.cut[0] = w.cut[1] = true;
    run_for(400 * S);
    CHECK(a->give_ups == 0 && b->give_ups == 0);
    CHECK(a->initiations_sent > 60 && a->initiations_sent < 90);
    w.cut[0] = w.cut[1] = false;
    uint32_t delivered_a = a->data_delivered, delivered_b = b->data_delivered;
    run_for(12 * S);
    CHECK(a->data_delivered > delivered_a + 10 && b->data_delivered > delivered_b + 10);
    world_end();
}

/* Only one direction is dead: the sender notices after 15 s and goes on trying. */
static void half_dead_link(void)
{
    world_init(6);
    traffic(0, 1000 * MS);
    traffic(1, 1000 * MS);
    run_for(30 * S);
    w.cut[0] = true; /* b's packets do not reach a */
    uint32_t a_before = a->initiations_sent;
    run_for(60 * S);
    CHECK(a->initiations_sent > a_before + 5);
    w.cut[0] = false;
    uint32_t delivered = a->data_delivered;
    run_for(10 * S);
    CHECK(a->data_delivered > delivered + 4);
    world_end();
}

/* Loss, duplicates and reordering for an hour; nothing is delivered twice, and the tunnel stays up. */
static void lossy(uint64_t seed, uint32_t loss, uint64_t jitter_ns)
{
    world_init(seed);
    w.loss_percent = loss;
    w.duplicate_percent = 10;
    w.latency_jitter_ns = jitter_ns;
    traffic(0, 330 * MS);
    traffic(1, 470 * MS);
    run_for(3600 * S);
    CHECK(b->data_delivered <= a->data_sent && a->data_delivered <= b->data_sent);
    uint32_t percent = 100 - loss;
    CHECK_MSG(b->data_delivered >= a->data_sent * percent / 100 * 95 / 100, "seed %llu: %u of %u",
              (unsigned long long)seed, b->data_delivered, a->data_sent);
    CHECK(a->data_delivered >= b->data_sent * percent / 100 * 95 / 100);
    CHECK(a->replays_refused > 100 && b->replays_refused > 100);
    CHECK_MSG(a->longest_gap_ns < 40 * S && b->longest_gap_ns < 40 * S, "seed %llu: %.1f s, %.1f s",
              (unsigned long long)seed, (double)a->longest_gap_ns / 1e9, (double)b->longest_gap_ns / 1e9);
    CHECK(a->oldest_session_used_ns < 180 * S && b->oldest_session_used_ns < 180 * S);
    CHECK(a->give_ups + b->give_ups == 0);
    world_end();
}

/* Both begin in the same instant, again and again: jitter parts them. */
static void simultaneous(void)
{
    for (uint64_t seed = 100; seed < 120; seed++) {
        world_init(seed);
        w.nodes[0].next_send_ns = w.nodes[1].next_send_ns = w.now_ns + 1;
        w.nodes[0].send_every_ns = w.nodes[1].send_every_ns = 100 * MS;
        run_for(25 * S);
        CHECK_MSG(a->data_delivered > 50 && b->data_delivered > 50, "seed %llu", (unsigned long long)seed);
        world_end();
    }
}

/* A persistent keepalive and nothing else: sessions are made and renewed, a packet at least every 25 s. */
static void persistent(void)
{
    world_init(8);
    bool now;
    reschedule(a, timers_set_persistent_keepalive(&a->times, 25, w.now_ns, &now));
    CHECK(now);
    send_transport(0, false);
    run_for(3600 * S);
    CHECK_MSG(a->keepalives_sent >= 144 && a->keepalives_sent <= 180, "%u", a->keepalives_sent);
    /* every 125 s: the first keepalive after 120 s asks for the handshake */
    CHECK_MSG(a->initiations_sent >= 28 && a->initiations_sent <= 30, "%u", a->initiations_sent);
    CHECK(b->initiations_sent == 0 && a->erasures + b->erasures + a->give_ups == 0);
    /* the peer vanishes: initiations go on for ever, since each keepalive asks anew */
    w.cut[0] = w.cut[1] = true;
    uint32_t before = a->initiations_sent;
    run_for(1000 * S);
    CHECK(a->initiations_sent > before + 100);
    w.cut[0] = w.cut[1] = false;
    run_for(30 * S);
    CHECK(session_set_current(&a->set) && session_may_send(session_set_current(&a->set), w.now_ns));
    world_end();
}

/* One side loses all its state (restart): the other's data brings up a new session by itself. */
static void restart(void)
{
    world_init(9);
    traffic(0, 1000 * MS);
    run_for(30 * S);
    struct session_evictions evictions;
    session_set_clear(&b->set, &evictions);
    evict(b, &evictions);
    release(b, handshake_clear(&b->side.handshake));
    bool now;
    timers_stop(&b->times);
    b->wheel_ns = TIME_FOREVER_NS;
    reschedule(b, timers_start(&b->times, w.now_ns, &now));
    uint32_t delivered = b->data_delivered;
    run_for(25 * S);
    CHECK_MSG(b->data_delivered >= delivered + 5, "%u", b->data_delivered - delivered);
    world_end();
}

int main(void)
{
    both_ways();
    one_way();
    one_way_towards_initiator();
    last_minute();
    dead_link();
    outage_under_traffic();
    half_dead_link();
    lossy(20, 5, 50 * MS);
    lossy(21, 20, 200 * MS);
    lossy(22, 10, 0);
    simultaneous();
    persistent();
    restart();
    return check_summary();
}
