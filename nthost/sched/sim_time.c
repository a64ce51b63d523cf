/* Virtual time, what is due at which time, and the random streams of a simulation. */
#include "sim_internal.h"

#include "host.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define START_NS           (3600u * 1000000000ull) /* interrupt time at the start: a machine up for an hour */
#define START_SYSTEM_100NS 134116992000000000ull   /* 2026-01-01 00:00 UTC, since 1601 */

struct event {
    uint64_t time_ns, number;
    void (*function)(void *context);
    void *context;
};

uint32_t sim_switch_rate, sim_import_cost_ns;
uint64_t sim_stall_ns;

static uint64_t now_ns = START_NS, suspended_ns;
static int64_t system_offset_100ns;
static uint64_t streams[SIM_STREAM_COUNT];
static uint64_t hash = 0xcbf29ce484222325ull;
static struct event *events; /* a binary heap */
static size_t event_count, event_size;
static uint64_t event_number;

/* ---- randomness ---- */

/* SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). */
static uint64_t split_mix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t sim_random_next(enum sim_stream stream)
{
    return split_mix(&streams[stream]);
}

bool sim_chance(enum sim_stream stream, uint32_t of_65536)
{
    return of_65536 != 0 && (sim_random_next(stream) & 0xffff) < of_65536;
}

void sim_start(const struct sim_settings *settings)
{
    uint64_t state = settings->seed;
    for (unsigned i = 0; i < SIM_STREAM_COUNT; i++)
        streams[i] = split_mix(&state);
    sim_switch_rate = settings->switch_rate;
    sim_import_cost_ns = settings->import_cost_ns;
    sim_stall_ns = settings->stall_ns;
    sim_active = true;
    sim_fibers_start();
}

/* ---- the trace ---- */

void sim_note(uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
    hash ^= hash >> 32;
}

void sim_note_bytes(const void *data, size_t length)
{
    const uint8_t *at = data;
    uint64_t word = length;
    for (; length >= sizeof word; at += sizeof word, length -= sizeof word) {
        sim_note(word);
        memcpy(&word, at, sizeof word);
    }
    while (length--)
        word = word << 8 ^ at[length];
    sim_note(word);
}

uint64_t sim_hash(void)
{
    return hash;
}

/* ---- the clock ---- */

uint64_t sim_time_ns(void)
{
    return now_ns;
}

uint64_t sim_time_unbiased_ns(void)
{
    return now_ns - suspended_ns;
}

uint64_t sim_time_system_100ns(void)
{
    return (uint64_t)((int64_t)(START_SYSTEM_100NS + (now_ns - START_NS) / 100) + system_offset_100ns);
}

void sim_step_system_time(int64_t delta_100ns)
{
    system_offset_100ns += delta_100ns;
}

void sim_pass_suspended(uint64_t duration_ns)
{
    now_ns += duration_ns;
    suspended_ns += duration_ns;
}

void sim_time_add(uint64_t ns)
{
    now_ns += ns;
}

void sim_time_reach(uint64_t time_ns)
{
    if (now_ns < time_ns)
        now_ns = time_ns;
}

/* ---- events ---- */

static bool before(const struct event *a, const struct event *b)
{
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->number < b->number;
}

void sim_at(uint64_t time_ns, void (*function)(void *context), void *context)
{
    if (event_count == event_size) {
        event_size = event_size ? 2 * event_size : 256;
        struct event *larger = realloc(events, event_size * sizeof *events);
        if (!larger)
            host_fatal("no memory for the events of the simulation");
        events = larger;
    }
    struct event event = {time_ns, event_number++, function, context};
    size_t at = event_count++;
    for (; at > 0 && before(&event, &events[(at - 1) / 2]); at = (at - 1) / 2)
        events[at] = events[(at - 1) / 2];
    events[at] = event;
    if (at == 0)
        loop_wake();
}

static struct event take_first(void)
{
    struct event first = events[0], last = events[--event_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < event_count; at = child) {
        if (child + 1 < event_count && before(&events[child + 1], &events[child]))
            child++;
        if (!before(&events[child], &last))
            break;
        events[at] = events[child];
    }
    if (event_count)
        events[at] = last;
    return first;
}

uint64_t sim_events_run(void)
{
    while (event_count && events[0].time_ns <= now_ns) {
        struct event event = take_first();
        event.function(event.context);
    }
    return event_count ? events[0].time_ns : SCHED_FOREVER;
}
