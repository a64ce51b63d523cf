/* The gate in verify mode: what must hold around each call of the host into the driver (host.h).  IRQL and
 * locks are as before, and at DISPATCH_LEVEL nothing takes long. */
#include "verify/internal.h"

#include "imports/imports.h"
#include "sched/sched.h"
#include "sched/sim.h"

#include <time.h>

/* Windows' limit for one DPC is 100 ms of time.  Here the thread's processor time counts, because the host's
 * threads are preempted, and the checks themselves cost several times the driver's own work. */
#define WATCHDOG_NS 500000000ull

_Thread_local uint64_t gate_irql_changed_at;
SIM_FOLLOWS_THREAD(gate_irql_changed_at)
static _Thread_local struct host_callback *innermost;
SIM_FOLLOWS_THREAD(innermost)
static _Thread_local bool prepared;
SIM_FOLLOWS_THREAD(prepared)

static uint64_t thread_time_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void host_callback_begin_checked(struct host_callback *cb, const char *name)
{
    if (!prepared) {
        fault_prepare_thread();
        prepared = true;
    }
    *cb = (struct host_callback){.name = name,
                                 .outer = innermost,
                                 .stack = (uintptr_t)__builtin_frame_address(0),
                                 .locks_held = verify_locks_held(),
                                 .irql = sched_irql()};
    if (cb->irql >= SCHED_DISPATCH && !sim_active)
        cb->start_ns = thread_time_ns();
    innermost = cb;
}

static void check_irql(const struct host_callback *cb)
{
    struct report_note note = {"the driver last changed IRQL", stack_single(gate_irql_changed_at)};
    if (sched_irql() != cb->irql)
        report_notes(RULE_IRQL_CALLBACK_EXIT, &note, gate_irql_changed_at != 0,
                     "%s was entered at IRQL %u and returned at %u", cb->name, cb->irql, sched_irql());
}

static void check_locks(const struct host_callback *cb)
{
    struct report_note note = {.title = ""};
    const void *lock;
    if (verify_locks_held() == cb->locks_held)
        return;
    if (verify_locks_held() > cb->locks_held && locks_innermost(&lock, &note.stack))
        snprintf(note.title, sizeof note.title, "lock %p was taken", lock);
    report_notes(RULE_LOCK_HELD_AT_EXIT, &note, note.title[0] != 0,
                 "%s was entered with %u locks held and returned with %u", cb->name, cb->locks_held,
                 verify_locks_held());
}

void host_callback_end_checked(struct host_callback *cb)
{
    check_locks(cb); /* first: a lock that is still held explains the IRQL */
    check_irql(cb);
    if (cb->irql >= SCHED_DISPATCH && !sim_active) {
        uint64_t took_ns = thread_time_ns() - cb->start_ns;
        if (took_ns > WATCHDOG_NS)
            verify_report(RULE_DPC_WATCHDOG, "%s took %llu ms of processor time at IRQL %u", cb->name,
                          (unsigned long long)(took_ns / 1000000u), cb->irql);
    }
    innermost = cb->outer;
}

const char *gate_callback_name(void)
{
    return innermost ? innermost->name : NULL;
}

void verify_import_entered(bool changes_irql, uint64_t return_address, uintptr_t slot)
{
    if (changes_irql)
        gate_irql_changed_at = return_address;
    if (innermost && innermost->stack > slot && innermost->stack - slot > VERIFY_KERNEL_STACK)
        verify_report(RULE_STACK_OVERFLOW,
                      "%s uses %zu bytes of stack; a kernel stack has %u, of which the driver is not alone",
                      innermost->name, (size_t)(innermost->stack - slot), VERIFY_KERNEL_STACK);
}
