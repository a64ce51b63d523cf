/* What the simulated network needs of the host, without the host: virtual time that a test moves, events, and
 * seeded randomness. */
#include "world.h"

#include "host.h"
#include "sched/sched.h"
#include "sched/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct event {
    uint64_t time, order;
    void (*function)(void *context);
    void *context;
};

struct host_options host_options;
bool sim_active = true;

static struct event *events;
static size_t count, capacity;
static uint64_t now, order, state = 1;
static bool on_loop = true;

uint64_t sched_time_ns(void)
{
    return now;
}

uint64_t sim_random_next(enum sim_stream stream)
{
    uint64_t z = state += 0x9e3779b97f4a7c15ull; /* SplitMix64 */

    (void)stream;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

void sim_note_bytes(const void *data, size_t length)
{
    (void)data;
    (void)length;
}

void world_seed(uint64_t seed)
{
    state = seed;
}

static bool earlier(const struct event *a, const struct event *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

static void exchange(size_t a, size_t b)
{
    struct event kept = events[a];

    events[a] = events[b];
    events[b] = kept;
}

/* A binary heap. */
void sim_at(uint64_t time, void (*function)(void *context), void *context)
{
    if (count == capacity) {
        capacity = capacity ? 2 * capacity : 64;
        struct event *more = realloc(events, capacity * sizeof *events);

        if (!more)
            abort();
        events = more;
    }
    events[count] = (struct event){time < now ? now : time, order++, function, context};
    for (size_t i = count++; i && earlier(&events[i], &events[(i - 1) / 2]); i = (i - 1) / 2)
        exchange(i, (i - 1) / 2);
}

/* The first of the earliest; false if it is later than `limit`. */
static bool run_one(uint64_t limit)
{
    struct event next;

    if (!count || events[0].time > limit)
        return false;
    next = events[0];
    events[0] = events[--count];
    for (size_t i = 0, child; (child = 2 * i + 1) < count; i = child) {
        child += child + 1 < count && earlier(&events[child + 1], &events[child]);
        if (!earlier(&events[child], &events[i]))
            break;
        exchange(i, child);
    }
    now = next.time;
    next.function(next.context);
    return true;
}

void world_run_for(uint64_t ns)
{
    uint64_t limit = now + ns;

    while (run_one(limit))
        ;
    now = limit;
}

void world_run(void)
{
    while (run_one(UINT64_MAX))
        ;
}

void world_on_loop(bool is)
{
    on_loop = is;
}

bool loop_is_self(void)
{
    return on_loop;
}

void loop_post(void (*function)(void *context), void *context)
{
    sim_at(now, function, context);
}

struct sched_thread *sched_self(void)
{
    return (struct sched_thread *)&state;
}

void sched_wake(struct sched_thread *thread)
{
    (void)thread;
}

bool sched_block(uint64_t deadline)
{
    (void)deadline;
    run_one(UINT64_MAX);
    return true;
}

void sched_spin(unsigned *iteration)
{
    (*iteration)++;
}

void host_fatal(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    abort();
}

/* The Linux edge is not part of this program. */
#include "edge/functions.h"
const struct tun_functions linux_tun;
const struct udp_functions linux_udp;
const struct net_functions linux_net;
