/* fair_queue.c: order within a flow, turns by bytes, that nobody waits for another's backlog, and for how
 * long anything waits for its own. */
#include "check.h"
#include "fair_queue.h"

#include <stdlib.h>

#define FLOWS 5
#define ITEMS 400

#define MS     1000000ull
#define SECOND (1000 * MS)
#define LIMIT  (20 * MS) /* of each flow but the first, which has none */

struct thing {
    struct fair_item item;
    uint32_t flow, number, bytes;
};

static struct fair_queue queue;
static struct fair_flow flows[FLOWS];
static struct thing things[FLOWS][ITEMS];
static uint64_t now_ns;

static void reset(void)
{
    fair_queue_initialize(&queue);
    for (uint32_t f = 0; f < FLOWS; f++)
        fair_flow_initialize(&flows[f], f == 0 ? 0 : LIMIT);
    now_ns = 5 * SECOND;
}

static struct thing *put(uint32_t flow, uint32_t number, uint32_t bytes)
{
    struct thing *thing = &things[flow][number];
    *thing = (struct thing){.flow = flow, .number = number, .bytes = bytes};
    fair_queue_put(&queue, &flows[flow], &thing->item, bytes, now_ns);
    return thing;
}

static struct thing *take(void)
{
    struct fair_item *item = fair_queue_take(&queue, now_ns);
    return item ? CONTAINING_RECORD(item, struct thing, item) : NULL;
}

static void test_order(void)
{
    reset();
    CHECK(take() == NULL);
    for (uint32_t i = 0; i < ITEMS; i++)
        put(0, i, 1 + i % 3 * 40000);
    for (uint32_t i = 0; i < ITEMS; i++)
        CHECK(take() == &things[0][i]);
    CHECK(take() == NULL);
}

/* One flow has a long backlog of full batches; another's single item goes after at most one of them. */
static void test_backlog(void)
{
    reset();
    for (uint32_t i = 0; i < 100; i++)
        put(0, i, FAIR_QUANTUM_BYTES - 49);
    for (uint32_t i = 0; i < 50; i++)
        take();
    struct thing *single = put(1, 0, 1500);
    uint32_t waited = 0;
    while (take() != single)
        waited++;
    CHECK_MSG(waited <= 2, "%u batches before it", waited);
    /* it has gone and comes again: no credit is kept, none is owed */
    for (uint32_t i = 1; i < 40; i++) {
        single = put(1, i, 1500);
        for (waited = 0; take() != single; waited++)
            ;
        CHECK_MSG(waited <= 2, "%u batches before it", waited);
    }
}

/* Flows that always have something get the same bytes, whatever the sizes of their items. */
static void test_shares(void)
{
    static const uint32_t sizes[FLOWS] = {65536, 1500, 30000, 64, 200000};
    uint64_t served[FLOWS] = {0};
    uint32_t next[FLOWS] = {0};
    reset();
    for (uint32_t f = 0; f < FLOWS; f++)
        for (uint32_t i = 0; i < 2; i++)
            put(f, next[f]++ % ITEMS, sizes[f]);
    for (uint32_t i = 0; i < 200000; i++) {
        struct thing *thing = take();
        uint32_t f = thing->flow;
        served[f] += thing->bytes < FAIR_QUANTUM_BYTES ? thing->bytes : FAIR_QUANTUM_BYTES;
        put(f, next[f]++ % ITEMS, sizes[f]);
    }
    for (uint32_t f = 1; f < FLOWS; f++) {
        double ratio = (double)served[f] / (double)served[0];
        CHECK_MSG(ratio > 0.97 && ratio < 1.03, "flow %u got %.3f of the first one's bytes", f, ratio);
    }
}

/* Random puts and takes: nothing is lost or doubled, each flow stays in order. */
static void test_random(void)
{
    uint32_t in[FLOWS] = {0}, out[FLOWS] = {0};
    bool good = true;
    reset();
    srand(7);
    for (uint32_t i = 0; i < 200000; i++) {
        uint32_t f = (uint32_t)rand() % FLOWS;
        if (rand() % 2 && in[f] - out[f] < ITEMS) {
            put(f, in[f] % ITEMS, (uint32_t)rand() % 70000);
            in[f]++;
        } else {
            struct thing *thing = take();
            good = good && (!thing || thing->number == out[thing->flow]++ % ITEMS);
        }
    }
    for (struct thing *thing; (thing = take()) != NULL;)
        good = good && thing->number == out[thing->flow]++ % ITEMS;
    CHECK(good);
    for (uint32_t f = 0; f < FLOWS; f++)
        CHECK(in[f] == out[f]);
}

/* ---- time ---- */

/* A flow that is offered a batch every `offer_ns` and served one every `serve_ns`. */
struct load {
    uint32_t flow, in, out, dropped;
    uint64_t next_ns, worst_ns; /* when the next batch comes; the longest that one waited which was served */
    uint64_t first_drop_ns;     /* 0: none */
};

/* Until `end_ns`, all queues bounded by `bound` items as a peer's tickets bound them. */
static void run_load(struct load *load, uint32_t loads, uint64_t offer_ns, uint64_t serve_ns, uint32_t bound,
                     uint64_t end_ns)
{
    uint64_t start_ns = now_ns;
    for (uint32_t i = 0; i < loads; i++)
        load[i].next_ns = start_ns;
    while (now_ns < end_ns) {
        uint64_t until_ns = now_ns;
        for (uint32_t i = 0; i < loads; i++) {
            for (; load[i].next_ns <= until_ns; load[i].next_ns += offer_ns) {
                if (load[i].in - load[i].out >= bound)
                    continue;
                now_ns = load[i].next_ns > start_ns ? load[i].next_ns : start_ns;
                put(load[i].flow, load[i].in++ % ITEMS, FAIR_QUANTUM_BYTES);
            }
        }
        now_ns = until_ns;
        struct thing *thing = take();
        if (!thing) {
            now_ns += MS / 10;
            continue;
        }
        for (uint32_t i = 0; i < loads; i++) {
            struct load *its = &load[i];
            if (its->flow != thing->flow)
                continue;
            uint64_t waited_ns = now_ns - thing->item.queued_ns;
            its->out++;
            if (thing->item.overdue) {
                its->dropped++;
                if (its->first_drop_ns == 0)
                    its->first_drop_ns = now_ns - start_ns;
            } else if (waited_ns > its->worst_ns) {
                its->worst_ns = waited_ns;
            }
        }
        if (!thing->item.overdue)
            now_ns += serve_ns;
    }
}

/* Three times what can be served, for a second: after the first interval nothing is served late, and what is
 * dropped is no more than what is too much.  Without a limit it all waits as long as the bound allows. */
static void test_overload(void)
{
    reset();
    struct load load = {.flow = 1};
    run_load(&load, 1, MS, 3 * MS, 128, now_ns + SECOND);
    CHECK_MSG(load.first_drop_ns >= FAIR_INTERVAL_NS && load.first_drop_ns < 2 * FAIR_INTERVAL_NS,
              "first drop after %llu ms", (unsigned long long)(load.first_drop_ns / MS));
    load = (struct load){.flow = 1, .in = load.in, .out = load.out};
    run_load(&load, 1, MS, 3 * MS, 128, now_ns + SECOND);
    CHECK_MSG(load.worst_ns <= LIMIT, "one was served that had waited %llu ms",
              (unsigned long long)(load.worst_ns / MS));
    CHECK_MSG(load.dropped > 600 && load.dropped < 700, "%u of 1000 dropped", load.dropped);
    CHECK(load.in - load.out > 15 && load.in - load.out <= 24); /* it is never empty: no time is lost */

    reset();
    load = (struct load){.flow = 0};
    run_load(&load, 1, MS, 3 * MS, 128, now_ns + 2 * SECOND);
    CHECK(load.dropped == 0 && load.worst_ns > 300 * MS);
}

/* What drains within the interval is never dropped, however late: a burst, a worker that got no processor;
 * and a queue that is served in time may be as long as it likes. */
static void test_bursts(void)
{
    reset();
    for (uint32_t burst = 0; burst < 20; burst++) {
        for (uint32_t i = 0; i < 90; i++)
            put(1, i, FAIR_QUANTUM_BYTES);
        for (uint32_t i = 0; i < 90; i++, now_ns += MS)
            CHECK(!take()->item.overdue);
    }
    for (uint32_t stall = 0; stall < 5; stall++) { /* one of 300 ms behind the other */
        for (uint32_t i = 0; i < 90; i++)
            put(1, i, FAIR_QUANTUM_BYTES);
        now_ns += 300 * MS;
        for (uint32_t i = 0; i < 90; i++, now_ns += MS)
            CHECK(!take()->item.overdue);
    }
    struct load load = {.flow = 1};
    reset();
    for (; load.in < 120; load.in++)
        put(1, load.in, FAIR_QUANTUM_BYTES);
    run_load(&load, 1, MS / 10, MS / 10, 128, now_ns + SECOND);
    CHECK(load.dropped == 0 && load.worst_ns < LIMIT && load.worst_ns > LIMIT / 2);
}

/* As long as not all of an interval are late, the queue does not stand. */
static void test_alternately_late(void)
{
    reset();
    put(1, 0, 1500);
    for (uint32_t i = 1; i < 200; i += 2) {
        now_ns += 25 * MS;
        put(1, i, 1500);
        put(1, i + 1, 1500);
        CHECK(!take()->item.overdue); /* late */
        CHECK(!take()->item.overdue); /* at once */
    }
    CHECK(!IsListEmpty(&flows[1].items));
}

/* The last one is never dropped: it makes nobody wait, and a sender with one packet at a time gets through.
 */
static void test_last(void)
{
    reset();
    for (uint32_t i = 0; i < 100; i++) {
        struct thing *thing = put(1, 0, 1500);
        now_ns += SECOND;
        CHECK(take() == thing && !thing->item.overdue);
    }
}

/* A queue that stood is judged from the beginning once it was empty, or for an interval in time. */
static struct load stand(void)
{
    struct load load = {.flow = 1};
    reset();
    run_load(&load, 1, MS, 3 * MS, 128, now_ns + SECOND);
    CHECK(load.dropped > 0 && flows[1].standing);
    load.dropped = 0;
    return load;
}

static void test_recovery(void)
{
    stand();
    while (take())
        ;
    for (uint32_t i = 0; i < 90; i++)
        put(1, i, FAIR_QUANTUM_BYTES);
    now_ns += 300 * MS;
    CHECK(!take()->item.overdue);

    struct load load = stand();
    for (; load.in - load.out > 10; load.out++) /* never empty */
        take();
    CHECK(flows[1].standing);
    run_load(&load, 1, MS, MS, 128, now_ns + FAIR_INTERVAL_NS / 2);
    CHECK(load.dropped == 0 && flows[1].standing);
    for (uint32_t i = 0; i < 1000 && flows[1].standing; i++)
        run_load(&load, 1, MS, MS, 128, now_ns + 1);
    CHECK(load.dropped == 0 && load.in - load.out > 1);
    now_ns += FAIR_INTERVAL_NS;
    CHECK(!take()->item.overdue); /* the one late item so far */
}

/* A reading of the clock that is older than what was noted is no time, not an age. */
static void test_clock_behind(void)
{
    stand();
    while (take())
        ;
    put(1, 0, 1500);
    put(1, 1, 1500);
    put(1, 2, 1500);
    now_ns += 30 * MS;
    CHECK(!take()->item.overdue);
    now_ns -= 5 * MS;
    CHECK(!take()->item.overdue);
    reset();
    put(1, 0, 1500);
    put(1, 1, 1500);
    now_ns -= MS;
    CHECK(!take()->item.overdue && flows[1].late_ns == 0);
}

/* What one flow has to drop does not hold up another for longer than a batch of its would. */
static void test_drops_of_another(void)
{
    struct load load = stand();
    for (uint32_t i = 0; i < 300; i++)
        put(1, load.in++ % ITEMS, FAIR_QUANTUM_BYTES);
    now_ns += 100 * MS;
    struct thing *single = put(2, 0, 1500);
    uint32_t served = 0, dropped = 0;
    for (struct thing *thing; (thing = take()) != single;)
        *(thing->item.overdue ? &dropped : &served) += 1;
    CHECK_MSG(served <= 1 && dropped > 1 && dropped <= FAIR_DROPS_MAX, "%u served, %u dropped before it",
              served, dropped);
    /* and while the one is overloaded, another that is not loses nothing and waits for at most two batches */
    reset();
    load = (struct load){.flow = 1};
    run_load(&load, 1, MS, 3 * MS, 128, now_ns + SECOND);
    for (uint32_t i = 0; i < 300; i++) {
        run_load(&load, 1, MS, 3 * MS, 128, now_ns + 10 * MS);
        single = put(2, 0, 1500);
        uint64_t since_ns = now_ns;
        for (struct thing *thing; (thing = take()) != single;) {
            load.out++;
            now_ns += thing->item.overdue ? 3 * MS / FAIR_DROP_DISCOUNT : 3 * MS;
        }
        CHECK(!single->item.overdue);
        CHECK_MSG(now_ns - since_ns <= 6 * MS, "waited %llu us",
                  (unsigned long long)(now_ns - since_ns) / 1000);
    }
}

int main(void)
{
    test_order();
    test_backlog();
    test_shares();
    test_random();
    test_overload();
    test_bursts();
    test_alternately_late();
    test_last();
    test_recovery();
    test_clock_behind();
    test_drops_of_another();
    return check_summary();
}
