/* Helpers of the tests, and the recorder in place of verify/. */
#include "support.h"

#include "check.h"
#include "ps/process.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

static pthread_mutex_t expect_lock = PTHREAD_MUTEX_INITIALIZER;

void expect_at(bool condition, const char *text, const char *file, int line)
{
    pthread_mutex_lock(&expect_lock);
    if (condition) {
        check_passed++;
    } else {
        check_failed++;
        fprintf(stderr, "FAIL %s:%d: %s\n", file, line, text);
    }
    pthread_mutex_unlock(&expect_lock);
}

int expect_summary(void)
{
    return check_summary();
}

void sleep_ms(int64_t ms)
{
    LARGE_INTEGER interval = relative_ms(ms);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

uint64_t now_ms(void)
{
    return sched_time_ns() / 1000000u;
}

void crew_start(struct crew *crew, unsigned count, PKSTART_ROUTINE routine, void *const contexts[])
{
    crew->count = count;
    for (unsigned i = 0; i < count; i++) {
        HANDLE handle;
        void *context = contexts != NULL ? contexts[i] : (void *)(uintptr_t)i;
        EXPECT(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, routine, context) ==
               STATUS_SUCCESS);
        EXPECT(ObReferenceObjectByHandle(handle, SYNCHRONIZE, *PsThreadType, KernelMode, &crew->threads[i],
                                         NULL) == STATUS_SUCCESS);
        EXPECT(ZwClose(handle) == STATUS_SUCCESS);
    }
}

void crew_join(struct crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++) {
        EXPECT(KeWaitForSingleObject(crew->threads[i], Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
        ObDereferenceObject(crew->threads[i]);
    }
}

void crew_run(unsigned count, PKSTART_ROUTINE routine)
{
    struct crew crew;
    crew_start(&crew, count, routine, NULL);
    crew_join(&crew);
}

uint32_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

void dawdle(uint64_t *state)
{
    if (random_next(state) % 256 == 0)
        sched_yield();
}

/* ---- the recorder ---- */

struct verify_record verify_record;
static __thread jmp_buf *report_target;
static __thread enum verify_rule reported_rule;

#define COUNT(field) __atomic_fetch_add(&verify_record.field, 1, __ATOMIC_RELAXED)

_Noreturn void verify_report(enum verify_rule rule, const char *format, ...)
{
    if (report_target == NULL) {
        fprintf(stderr, "unexpected report of rule %d: %s\n", (int)rule, format);
        abort();
    }
    reported_rule = rule;
    longjmp(*report_target, 1);
}

bool reports(enum verify_rule rule, void (*action)(void *context), void *context)
{
    jmp_buf target;
    volatile bool reported = false;
    report_target = &target;
    if (setjmp(target) == 0)
        action(context);
    else
        reported = true;
    report_target = NULL;
    return reported && reported_rule == rule;
}

void verify_lock_wanted(const void *lock, enum lock_kind kind)
{
    COUNT(lock_wanted);
}

void verify_lock_taken(const void *lock, enum lock_kind kind)
{
    COUNT(lock_taken);
}

void verify_lock_released(const void *lock, enum lock_kind kind)
{
    COUNT(lock_released);
}

void verify_lock_initialized(const void *lock, enum lock_kind kind, const void *site)
{
    COUNT(lock_initialized);
}

void verify_active_add(const void *object, const char *what)
{
    COUNT(active_added);
}

void verify_active_check(const void *object, const char *function)
{
}

void verify_active_remove(const void *object)
{
    COUNT(active_removed);
}

void host_callback_begin_checked(struct host_callback *cb, const char *name)
{
    COUNT(callbacks_begun);
}

void host_callback_end_checked(struct host_callback *cb)
{
    COUNT(callbacks_ended);
}
