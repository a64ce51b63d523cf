/* Shared by the tests of nthost's kernel core: driver-like threads, checks that any thread may make, and the
 * verify hooks, which a recorder takes the place of. */
#pragma once

#include "host.h"
#include "nt/ex.h"
#include "nt/ke.h"
#include "nt/ob_ps_se.h"
#include "sched/sched.h"
#include "verify/verify.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Like CHECK of check.h, but for any thread. */
#define EXPECT(condition) expect_at((condition), #condition, __FILE__, __LINE__)
void expect_at(bool condition, const char *text, const char *file, int line);
int expect_summary(void);

/* How often races are tried: ThreadSanitizer costs a factor of ten. */
#if __has_feature(thread_sanitizer)
#define SCALE 1
#else
#define SCALE 6
#endif

#define MS 10000 /* of 100 ns */
static inline LARGE_INTEGER relative_ms(int64_t ms)
{
    return (LARGE_INTEGER){.QuadPart = -ms * MS};
}

void sleep_ms(int64_t ms);
uint64_t now_ms(void);

/* System threads in the driver's way: created, referenced, waited for, dereferenced. */
#define MAX_THREADS 8
struct crew {
    unsigned count;
    PVOID threads[MAX_THREADS];
};
void crew_start(struct crew *crew, unsigned count, PKSTART_ROUTINE routine, void *const contexts[]);
void crew_join(struct crew *crew);
/* Starts `count` threads with their number (0..) as context and waits for all. */
void crew_run(unsigned count, PKSTART_ROUTINE routine);

uint32_t random_next(uint64_t *state);
/* Now and then gives the host's processor away: in the middle of a section, so that a missing lock shows. */
void dawdle(uint64_t *state);

/* The recorder: what the hooks of verify.h were told. */
struct verify_record {
    uint64_t lock_wanted, lock_taken, lock_released, lock_initialized;
    uint64_t active_added, active_removed;
    uint64_t callbacks_begun, callbacks_ended;
};
extern struct verify_record verify_record;
/* Runs `action(context)` on this thread and says whether it ended in a report of `rule`. */
bool reports(enum verify_rule rule, void (*action)(void *context), void *context);

void test_irql(void);
void test_locks(void);
void test_wait(void);
void test_wait_races(void);
void test_timer(void);
void test_dpc(void);
void test_ex(void);
void test_threads(void);
void test_loop(void);            /* on the loop's thread, before loop_run() */
void test_loop_other(void);      /* on another thread, while the loop runs */
void test_idle_cpu_choice(void); /* on the loop's thread, before loop_run() */
void test_idle_cpu(void);
void test_no_hooks(void);     /* fast mode: after everything else */
void test_verify_hooks(void); /* verify mode */
void measure_costs(void);
