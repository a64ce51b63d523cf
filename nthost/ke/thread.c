/* What belongs to the current thread: its object, critical and guarded regions, priority.  APCs do not exist
 * here, so that regions only have to balance.  Microsoft's page titles: "Critical Regions and Guarded
 * Regions". */
#include "dispatcher.h"

#include "exports.h"
#include "host.h"
#include "ps/process.h"
#include "verify/verify.h"

PKTHREAD ke_thread_create_object(void)
{
    PKTHREAD thread = ps_thread_allocate();
    if (thread == NULL)
        host_fatal("out of memory for a thread object");
    sched_thread_set_object(sched_self_fast(), thread);
    return thread;
}

PETHREAD NTAPI PsGetCurrentThread(VOID)
{
    return ke_current_thread();
}

PKTHREAD NTAPI nt_KeGetCurrentThread(VOID)
{
    return ke_current_thread();
}

static void unbalanced(const char *function)
{
    if (host_options.verify)
        verify_report(RULE_LOCK_NOT_HELD, "%s without the matching Enter", function);
    KeBugCheckEx(0x01 /* APC_INDEX_MISMATCH */, 0, 0, 0, 0);
}

VOID NTAPI KeEnterCriticalRegion(VOID)
{
    ke_current_thread()->critical_regions++;
}

VOID NTAPI KeLeaveCriticalRegion(VOID)
{
    if (--ke_current_thread()->critical_regions < 0)
        unbalanced("KeLeaveCriticalRegion");
}

VOID NTAPI KeEnterGuardedRegion(VOID)
{
    ke_current_thread()->guarded_regions++;
}

VOID NTAPI KeLeaveGuardedRegion(VOID)
{
    if (--ke_current_thread()->guarded_regions < 0)
        unbalanced("KeLeaveGuardedRegion");
}

BOOLEAN NTAPI KeAreApcsDisabled(VOID)
{
    PKTHREAD thread = ke_current_thread();
    return thread->critical_regions != 0 || thread->guarded_regions != 0;
}

BOOLEAN NTAPI KeAreAllApcsDisabled(VOID)
{
    return sched_self_fast()->irql >= APC_LEVEL || ke_current_thread()->guarded_regions != 0;
}

/* Priorities are remembered, not used: the host's threads are Linux' to schedule. */
KPRIORITY NTAPI KeSetPriorityThread(PKTHREAD Thread, KPRIORITY Priority)
{
    return __atomic_exchange_n(&Thread->priority, Priority, __ATOMIC_RELAXED);
}

KPRIORITY NTAPI KeQueryPriorityThread(PKTHREAD Thread)
{
    return __atomic_load_n(&Thread->priority, __ATOMIC_RELAXED);
}

LONG NTAPI KeSetBasePriorityThread(PKTHREAD Thread, LONG Increment)
{
    const KPRIORITY base = 8; /* of the system process */
    return __atomic_exchange_n(&Thread->priority, base + Increment, __ATOMIC_RELAXED) - base;
}

/* A hint to long loops; a host thread is preempted anyway. */
ULONG NTAPI KeShouldYieldProcessor(VOID)
{
    return 0;
}
