/* The simulated world: what each peer does with messages, timers and user data, as a driver would; and the
 * link between them. */
#include "simulated_world.h"
#include "crypto/chacha20poly1305.h"

static struct random rng;
struct world w;

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

void reschedule(struct node *n, bool wanted)
{
    if (wanted)
        n->wheel_ns = timers_scheduled_ns(&n->times);
}

void evict(struct node *n, const struct session_evictions *evictions)
{
    for (uint32_t i = 0; i < evictions->count; i++) {
        struct counted_session *s = (struct counted_session *)evictions->sessions[i];
        CHECK(s->references == 1 && index_table_remove(&n->indexes, s->session.local_index));
        session_wipe(&s->session);
        free(s);
        n->sessions_alive--;
    }
}

void release(struct node *n, uint32_t index)
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
void send_transport(int i, bool data)
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

void world_init(uint64_t seed)
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
void world_end(void)
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

void run_until(uint64_t end_ns)
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

void run_for(uint64_t duration_ns)
{
    run_until(w.now_ns + duration_ns);
}

void traffic(int i, uint64_t every_ns)
{
    w.nodes[i].send_every_ns = every_ns;
    w.nodes[i].next_send_ns = every_ns ? w.now_ns + every_ns : TIME_FOREVER_NS;
}
