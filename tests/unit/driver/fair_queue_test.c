/* fair_queue.c: order within a flow, turns by bytes, and that nobody waits for another's backlog. */
#include "check.h"
#include "fair_queue.h"

#include <stdlib.h>

#define FLOWS 5
#define ITEMS 400

struct thing {
    struct fair_item item;
    uint32_t flow, number, bytes;
};

static struct fair_queue queue;
static struct fair_flow flows[FLOWS];
static struct thing things[FLOWS][ITEMS];

static void reset(void)
{
    fair_queue_initialize(&queue);
    for (uint32_t f = 0; f < FLOWS; f++)
        fair_flow_initialize(&flows[f]);
}

static struct thing *put(uint32_t flow, uint32_t number, uint32_t bytes)
{
    struct thing *thing = &things[flow][number];
    *thing = (struct thing){.flow = flow, .number = number, .bytes = bytes};
    fair_queue_put(&queue, &flows[flow], &thing->item, bytes);
    return thing;
}

static struct thing *take(void)
{
    struct fair_item *item = fair_queue_take(&queue);
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

int main(void)
{
    test_order();
    test_backlog();
    test_shares();
    test_random();
    return check_summary();
}
