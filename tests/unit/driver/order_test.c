/* Tickets under stress: several threads take tickets, finish them out of order, and whoever comes upon the
 * head delivers.  Checked: every batch is delivered, in order, by one thread at a time. */
#include "batch.h"
#include "check.h"
#include "order.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "shake.h"
/* the code under test, shaken */
#include "order.c"

#define THREADS    4
#define PER_THREAD 64
#define ROUNDS     2000
#define IN_FLIGHT  48 /* tickets one thread holds before it finishes them in a shuffled order */

#define STUCK_YIELDS 1000000

static struct order order;
static struct batch *volatile slots[ORDER_SLOTS];
static pthread_barrier_t round_start, round_end;
static struct batch batches[THREADS][PER_THREAD];
static uint32_t expected; /* plain on purpose: only a deliverer touches it, ThreadSanitizer looks on */
static int32_t inside;    /* deliverers at this moment */
static uint64_t out_of_order, overlaps;

static void deliver(struct batch *batch)
{
    if (__atomic_add_fetch(&inside, 1, __ATOMIC_RELAXED) != 1)
        overlaps++;
    if (batch->ticket != expected)
        out_of_order++;
    expected++;
    __atomic_sub_fetch(&inside, 1, __ATOMIC_RELAXED);
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static volatile uint32_t handed_over, hand_overs; /* a delivery waits for somebody to go on with it */

static void hand_over(void)
{
    __atomic_add_fetch(&hand_overs, 1, __ATOMIC_RELAXED);
    if (__atomic_exchange_n(&handed_over, 1, __ATOMIC_RELEASE) != 0)
        overlaps++; /* there is only one delivery */
}

/* Any thread may be the one that is asked. */
static void go_on(void)
{
    if (__atomic_exchange_n(&handed_over, 0, __ATOMIC_ACQUIRE) && !order_continue(&order, deliver))
        hand_over();
}

/* One round of one thread.  A lost wake-up shows when a round ends and something is left behind: later
 * batches would only heal it. */
static void run_round(struct batch *mine, uint64_t random)
{
    uint32_t stuck = 0;
    for (int done = 0; done < PER_THREAD;) {
        go_on();
        struct batch *held[IN_FLIGHT];
        int count = 1 + (int)(next_random(&random) % IN_FLIGHT);
        if (count > PER_THREAD - done)
            count = PER_THREAD - done;
        /* When all slots are taken, go on with what there is: the batch they wait for may be one of ours. */
        int wanted = count;
        for (count = 0; count < wanted; count++) {
            held[count] = &mine[done + count];
            if (!order_take_ticket(&order, &held[count]->ticket))
                break;
        }
        if (count > 0) {
            stuck = 0;
        } else if (++stuck > STUCK_YIELDS) {
            fprintf(stderr, "FAIL: a finished batch waits for ever, nobody delivers it\n");
            _exit(1);
        } else {
            sched_yield();
        }
        done += count;
        for (int i = count - 1; i > 0; i--) {
            int j = (int)(next_random(&random) % (uint32_t)(i + 1));
            struct batch *other = held[i];
            held[i] = held[j];
            held[j] = other;
        }
        for (int i = 0; i < count; i++) {
            if (next_random(&random) % 16 == 0)
                sched_yield();
            if (!order_finish(&order, held[i], deliver))
                hand_over();
        }
    }
}

static void *run(void *argument)
{
    struct batch *mine = argument;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&round_start);
        run_round(mine, round * 977 + (uint64_t)(mine - batches[0]));
        pthread_barrier_wait(&round_end);
    }
    return NULL;
}

static void test_stress(void)
{
    pthread_t threads[THREADS];
    uint32_t left_behind = 0;
    order_initialize(&order, slots);
    /* The counters wrap during the run. */
    order.next_ticket = order.head = expected = UINT32_MAX - THREADS * PER_THREAD * ROUNDS / 2;
    pthread_barrier_init(&round_start, NULL, THREADS + 1);
    pthread_barrier_init(&round_end, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run, batches[i]);
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t first = expected;
        pthread_barrier_wait(&round_start);
        pthread_barrier_wait(&round_end);
        while (handed_over)
            go_on();
        left_behind += THREADS * PER_THREAD - (expected - first);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK(left_behind == 0); /* no wake-up was lost */
    CHECK(out_of_order == 0);
    CHECK(overlaps == 0);
    CHECK(order_is_idle(&order));
    CHECK(hand_overs > 0); /* long deliveries did happen */
}

static uint32_t delivered[ORDER_SLOTS + 1], delivered_count;

static void note(struct batch *batch)
{
    delivered[delivered_count++] = batch->ticket;
}

static void test_bounds(void)
{
    static struct batch many[ORDER_SLOTS + 1];
    order_initialize(&order, slots);
    CHECK(order_is_idle(&order));
    for (uint32_t i = 0; i < ORDER_SLOTS; i++) {
        CHECK(order_take_ticket(&order, &many[i].ticket));
        CHECK(many[i].ticket == i);
    }
    CHECK(!order_is_idle(&order));
    CHECK(!order_take_ticket(&order, &many[ORDER_SLOTS].ticket)); /* full */
    CHECK(order_is_next(&order, 0) && !order_is_next(&order, 1));

    order_finish(&order, &many[1], note); /* not its turn */
    CHECK(delivered_count == 0);
    CHECK(!order_take_ticket(&order, &many[ORDER_SLOTS].ticket));
    order_finish(&order, &many[0], note); /* both */
    CHECK(delivered_count == 2 && delivered[0] == 0 && delivered[1] == 1);
    CHECK(order_take_ticket(&order, &many[ORDER_SLOTS].ticket)); /* in the slot of the first */
    for (uint32_t i = ORDER_SLOTS; i > 2; i--)
        CHECK(order_finish(&order, &many[i], note));
    /* All of them are due now, and one go delivers so many. */
    CHECK(!order_finish(&order, &many[2], note));
    for (uint32_t left = ORDER_SLOTS - 1, before = 2; left > 0;) {
        uint32_t go = left < ORDER_DELIVER_MAX ? left : ORDER_DELIVER_MAX;
        CHECK(delivered_count == before + go);
        before = delivered_count;
        left -= go;
        if (left > 0)
            CHECK(order_continue(&order, note) == (left <= ORDER_DELIVER_MAX));
    }
    CHECK(delivered_count == ORDER_SLOTS + 1);
    for (uint32_t i = 0; i < delivered_count; i++)
        CHECK(delivered[i] == i);
    CHECK(order_is_idle(&order));
}

static struct batch nested[2];
static uint32_t nested_depth, nested_depth_max;

/* A delivery may lead to another finish of the same order (an indication answered by a send): it must neither
 * recurse nor be lost. */
static void deliver_nested(struct batch *batch)
{
    if (++nested_depth > nested_depth_max)
        nested_depth_max = nested_depth;
    note(batch);
    if (batch == &nested[0])
        order_finish(&order, &nested[1], deliver_nested);
    nested_depth--;
}

static void test_nested(void)
{
    order_initialize(&order, slots);
    delivered_count = 0;
    CHECK(order_take_ticket(&order, &nested[0].ticket) && order_take_ticket(&order, &nested[1].ticket));
    order_finish(&order, &nested[0], deliver_nested);
    CHECK(delivered_count == 2 && nested_depth_max == 1);
}

int main(void)
{
    test_bounds();
    test_nested();
    test_stress();
    return check_summary();
}
