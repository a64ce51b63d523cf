/* Fast mutexes and guarded mutexes (the same structure).  Count: 1 free, 0 held, below: the number of
 * waiters; each release with waiters sets the event for exactly one.  Microsoft's page title: "Fast Mutexes
 * and Guarded Mutexes". */
#include "exports.h"
#include "ke/dispatcher.h"
#include "ke/exports.h"

#include "host.h"
#include "verify/verify.h"

static void take(PFAST_MUTEX mutex)
{
    if (host_options.verify)
        verify_lock_wanted(mutex, LOCK_FAST_MUTEX);
    if (__atomic_sub_fetch(&mutex->Count, 1, __ATOMIC_ACQUIRE) != 0) {
        __atomic_fetch_add(&mutex->Contention, 1, __ATOMIC_RELAXED);
        KeWaitForSingleObject(&mutex->Event, Executive, KernelMode, FALSE, NULL);
    }
    mutex->Owner = ke_current_thread();
    if (host_options.verify)
        verify_lock_taken(mutex, LOCK_FAST_MUTEX);
}

static bool try_take(PFAST_MUTEX mutex)
{
    LONG free_count = 1;
    if (!__atomic_compare_exchange_n(&mutex->Count, &free_count, 0, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return false;
    mutex->Owner = ke_current_thread();
    if (host_options.verify)
        verify_lock_taken(mutex, LOCK_FAST_MUTEX);
    return true;
}

static void drop(PFAST_MUTEX mutex)
{
    if (host_options.verify) {
        if (mutex->Owner != ke_current_thread())
            verify_report(RULE_LOCK_NOT_HELD, "fast mutex %p is released by a thread that does not own it",
                          (void *)mutex);
        verify_lock_released(mutex, LOCK_FAST_MUTEX);
    }
    mutex->Owner = NULL;
    if (__atomic_add_fetch(&mutex->Count, 1, __ATOMIC_RELEASE) != 1)
        KeSetEvent(&mutex->Event, IO_NO_INCREMENT, FALSE);
}

VOID FASTCALL ExAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL irql = sched_irql_raise_fast(APC_LEVEL);
    take(FastMutex);
    FastMutex->OldIrql = irql;
}

BOOLEAN FASTCALL ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL irql = sched_irql_raise_fast(APC_LEVEL);
    if (!try_take(FastMutex)) {
        sched_irql_lower_fast(irql);
        return FALSE;
    }
    FastMutex->OldIrql = irql;
    return TRUE;
}

VOID FASTCALL ExReleaseFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL irql = (KIRQL)FastMutex->OldIrql;
    drop(FastMutex);
    sched_irql_lower_fast(irql);
}

/* Normal kernel APCs must be off: a thread that is suspended while it owns the mutex stops everybody. */
static void check_level(const void *mutex)
{
    if (sched_self_fast()->irql < APC_LEVEL && !KeAreApcsDisabled())
        verify_report(
            RULE_LOCK_LEVEL,
            "fast mutex %p is acquired with ExAcquireFastMutexUnsafe at PASSIVE_LEVEL and outside of a "
            "critical region",
            mutex);
}

VOID FASTCALL ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    if (host_options.verify)
        check_level(FastMutex);
    take(FastMutex);
}

VOID FASTCALL ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    drop(FastMutex);
}

/* ---- guarded mutexes ---- */

VOID NTAPI KeInitializeGuardedMutex(PFAST_MUTEX Mutex)
{
    ExInitializeFastMutex(Mutex);
}

VOID NTAPI KeAcquireGuardedMutex(PFAST_MUTEX Mutex)
{
    KeEnterGuardedRegion();
    take(Mutex);
}

VOID NTAPI KeReleaseGuardedMutex(PFAST_MUTEX Mutex)
{
    drop(Mutex);
    KeLeaveGuardedRegion();
}

BOOLEAN NTAPI KeTryToAcquireGuardedMutex(PFAST_MUTEX Mutex)
{
    KeEnterGuardedRegion();
    if (try_take(Mutex))
        return TRUE;
    KeLeaveGuardedRegion();
    return FALSE;
}

VOID NTAPI KeAcquireGuardedMutexUnsafe(PFAST_MUTEX Mutex)
{
    take(Mutex);
}

VOID NTAPI KeReleaseGuardedMutexUnsafe(PFAST_MUTEX Mutex)
{
    drop(Mutex);
}
