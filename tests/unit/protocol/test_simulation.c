/* Two whole peers - handshake, sessions, cookies' MACs, index table, timers - over a simulated link in
 * virtual time.  The wheel of each moves only when a verb says so: a deadline that is not announced is missed
 * here as in the driver. */
#include "simulated_world.h"

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
