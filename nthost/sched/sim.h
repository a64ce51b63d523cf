/* The simulated implementation of the scheduler's lowest layer: one OS thread, seeded choices, virtual time.
 *
 * What real_*.c do with threads, futexes, clocks and the event loop's sleep comes here when sim_active is
 * set: each thread is a fiber with a stack of its own, exactly one of them runs, and it runs until it waits,
 * yields or comes to a switch point (every import of the driver is one).  Which ready fiber goes on is drawn
 * from the seed.  Virtual time moves a little with each import, and to the next deadline when nothing is
 * ready. So a run is a function of the image, the scenario and the seed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Set by sim_start(), before sched_initialize(), and never cleared. */
extern bool sim_active;

struct sim_settings {
    uint64_t seed;
    uint32_t switch_rate;    /* chance of 2^16 that an import is a switch */
    uint32_t import_cost_ns; /* virtual time that each import takes */
    uint64_t stall_ns;       /* not 0: now and then a thread stops at an import for up to so long */
};
void sim_start(const struct sim_settings *settings);

/* Independent streams of random numbers, so that more draws in one do not shift the others. */
enum sim_stream {
    SIM_STREAM_CHOICE,   /* which fiber runs, where it is switched */
    SIM_STREAM_DRIVER,   /* what the driver is given as random bytes */
    SIM_STREAM_DICE,     /* verify mode's inline or pending, order of completion */
    SIM_STREAM_NETWORK,  /* loss, delay, grouping */
    SIM_STREAM_TUN,      /* super-segments, bursts */
    SIM_STREAM_MEMORY,   /* which freed blocks are looked at */
    SIM_STREAM_SCENARIO, /* the scenario's own */
    SIM_STREAM_FAULTS,   /* failing allocations */
    SIM_STREAM_STALLS,
    SIM_STREAM_COUNT
};
uint64_t sim_random_next(enum sim_stream stream);
/* True with probability `of_65536` / 2^16. */
bool sim_chance(enum sim_stream stream, uint32_t of_65536);

/* ---- time ---- */
uint64_t sim_time_ns(void);
uint64_t sim_time_unbiased_ns(void);
uint64_t sim_time_system_100ns(void);
void sim_step_system_time(int64_t delta_100ns);
/* Interrupt time passes, unbiased time does not; deadlines that come in it are late. */
void sim_pass_suspended(uint64_t duration_ns);
/* Calls function(context) on the event loop's fiber at PASSIVE_LEVEL, at or soon after `time_ns`; those of
 * one instant in the order of their calls. */
void sim_at(uint64_t time_ns, void (*function)(void *context), void *context);

/* ---- switch points ---- */
/* An import is entered: costs time, and may let another fiber run. */
void sim_import(uint32_t row);
/* It returns: what it did is seen by others before the driver goes on. */
void sim_import_done(void);
void sim_yield(void);
/* Called at the next import, where the driver's stack is known. Safe in a signal handler. */
void sim_interrupt(void (*function)(void));
/* Trace hash: everything that decided the run, folded into one number. */
void sim_note(uint64_t value);
void sim_note_bytes(const void *data, size_t length);
uint64_t sim_hash(void);
uint64_t sim_switches(void);

/* A variable that each thread has its own of (_Thread_local) must follow the fibers: put this at file level.
 */
#define SIM_FOLLOWS_THREAD(variable)                                                                         \
    __attribute__((constructor)) static void sim_follow_##variable(void)                                     \
    {                                                                                                        \
        sim_follow(&(variable), sizeof(__typeof__(variable)), false);                                        \
    }
/* The same for a block that a later fiber may go on using instead of getting it zeroed. */
#define SIM_STAYS_WITH_STACK(variable)                                                                       \
    __attribute__((constructor)) static void sim_follow_##variable(void)                                     \
    {                                                                                                        \
        sim_follow(&(variable), sizeof(__typeof__(variable)), true);                                         \
    }
void sim_follow(void *variable, size_t size, bool stays);

/* The stacks of all fibers, for the search of memory. What is below `live` was left by calls that have
 * returned. */
void sim_each_stack(void (*visit)(void *context, const char *thread, const void *low, size_t size,
                                  const void *live),
                    void *context);
/* Called when no fiber can ever run again, once for each fiber, with that fiber's variables in place; then
 * the process ends with status 71. */
#define SIM_EXIT_STUCK 71
void sim_set_describe(void (*describe)(const char *thread, const char *state));

/* ---- for sched/ only ---- */
struct timespec;
/* Like futex(2): 0, -EAGAIN or -ETIMEDOUT. deadline: absolute, SCHED_FOREVER for none. */
int sim_wait(const uint32_t *word, uint32_t expected, uint64_t deadline_ns);
void sim_wake(const uint32_t *word, int count);
/* A fiber that runs start(context); it ends by returning. False: no memory. */
bool sim_fiber_create(const char *name, void *(*start)(void *context), void *context);
void sim_stack_bounds(uintptr_t *low, uintptr_t *high);
/* The loop: runs what is due of sim_at(); the next one's time (SCHED_FOREVER: none). */
uint64_t sim_events_run(void);
