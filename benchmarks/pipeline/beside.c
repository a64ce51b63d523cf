/* What the driver alone makes of one peer's latency while another is at full rate: a processor for each. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#define TIMES_MAX   65536u
#define PAUSE_HERTZ 20000.0 /* packets a second of the quiet one */

struct side {
    const struct tunnel *tunnel;
    uint32_t length;
    volatile bool *over;
    uint64_t cycles, pause; /* of the quiet one; 0: this is the flood */
    uint64_t sent;
    uint64_t times[TIMES_MAX];
    unsigned count;
};

static void flood(struct side *side)
{
    static uint8_t memory[BURST_MAX][1500];
    static struct pipeline_packet packets[BURST_MAX];
    uint16_t port = side->tunnel->ends[1].port;

    for (unsigned i = 0; i < BURST_MAX; i++) {
        packets[i] = (struct pipeline_packet){.data = memory[i], .length = side->length};
        tunnel_packet(side->tunnel, memory[i], side->length, false, i);
    }
    while (!*side->over) {
        if (!pipeline_holds_too_much(side->tunnel->ends[0].adapter))
            pipeline_send(side->tunnel->ends[0].adapter, packets, BURST_MAX);
    }
    side->sent = pipeline_datagrams(port, &(uint64_t){0});
}

static void quiet(struct side *side)
{
    static uint8_t memory[1500];
    struct pipeline_packet packet = {.data = memory, .length = side->length};
    uint16_t port = side->tunnel->ends[1].port;
    uint64_t begin = pipeline_tsc(), next = begin, bytes;

    tunnel_packet(side->tunnel, memory, side->length, false, 0);
    while (side->count < TIMES_MAX && pipeline_tsc() - begin < side->cycles) {
        uint64_t before = pipeline_datagrams(port, &bytes), start = pipeline_tsc(), now;

        pipeline_send(side->tunnel->ends[0].adapter, &packet, 1);
        do
            now = pipeline_tsc();
        while (pipeline_datagrams(port, &bytes) == before && now - begin < side->cycles);
        side->times[side->count++] = now - start;
        for (next += side->pause; pipeline_tsc() < next;)
            ;
    }
    *side->over = true;
}

static void run_side(void *context)
{
    struct side *side = context;

    if (side->cycles)
        quiet(side);
    else if (side->tunnel)
        flood(side);
}

static int compare_counts(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

struct beside_cost beside_measure(const struct tunnel *one, const struct tunnel *other, uint32_t length,
                                  uint64_t cycles, double tsc_hertz)
{
    static struct side loud, still;
    volatile bool over = false;
    void *sides[2] = {&loud, &still};
    struct beside_cost cost;

    memset(&loud, 0, sizeof loud);
    memset(&still, 0, sizeof still);
    loud.tunnel = other;
    still.tunnel = one;
    loud.length = still.length = length;
    loud.over = still.over = &over;
    still.cycles = cycles;
    still.pause = (uint64_t)(tsc_hertz / PAUSE_HERTZ);
    pipeline_discard(one->ends[1].port, true);
    if (other)
        pipeline_discard(other->ends[1].port, true);
    uint64_t before = other ? pipeline_datagrams(other->ends[1].port, &(uint64_t){0}) : 0;
    pipeline_on_cpus(2, run_side, sides);
    pipeline_discard(one->ends[1].port, false);
    if (other)
        pipeline_discard(other->ends[1].port, false);
    qsort(still.times, still.count, sizeof still.times[0], compare_counts);
    size_t middle = still.count / 2, late = still.count * 99 / 100;
    cost.median = (double)still.times[middle];
    cost.p99 = (double)still.times[late];
    cost.flood_packets = other ? (double)(loud.sent - before) / ((double)cycles / tsc_hertz) : 0;
    return cost;
}
