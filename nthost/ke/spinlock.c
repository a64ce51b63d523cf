/* KSPIN_LOCK and in-stack queued spin locks.  An uncontended acquire at DISPATCH_LEVEL is one atomic
 * exchange, a release one store.  Microsoft's page titles: "Introduction to Spin Locks", "Queued Spin Locks".
 */
#include "spinlock.h"

#include "exports.h"
#include "host.h"
#include "verify/verify.h"

/* Out of line and with the Microsoft ABI, for the same reason as the contended path. */
#define CHECKED __attribute__((ms_abi, noinline, cold)) static

CHECKED void check_wanted(const void *lock, enum lock_kind kind, bool at_dpc_level)
{
    if (at_dpc_level && sched_self_fast()->irql < DISPATCH_LEVEL)
        verify_report(RULE_LOCK_LEVEL, "spin lock %p acquired with an AtDpcLevel function at IRQL %u", lock,
                      sched_self_fast()->irql);
    verify_lock_wanted(lock, kind);
}

CHECKED void check_taken(const void *lock, enum lock_kind kind)
{
    verify_lock_taken(lock, kind);
}

CHECKED void check_released(KSPIN_LOCK *lock, enum lock_kind kind, bool from_dpc_level)
{
    verify_lock_released(lock, kind);
    if (__atomic_load_n(lock, __ATOMIC_RELAXED) == 0)
        verify_report(RULE_LOCK_NOT_HELD, "spin lock %p is released and nobody holds it", (void *)lock);
    if (from_dpc_level && sched_self_fast()->irql < DISPATCH_LEVEL)
        verify_report(RULE_LOCK_LEVEL, "spin lock %p released with a FromDpcLevel function at IRQL %u",
                      (void *)lock, sched_self_fast()->irql);
}

#define VERIFYING __builtin_expect(host_options.verify, 0)

static inline void acquire(KSPIN_LOCK *lock, enum lock_kind kind, bool at_dpc_level)
{
    if (VERIFYING)
        check_wanted(lock, kind, at_dpc_level);
    spin_lock_take(lock);
    if (VERIFYING)
        check_taken(lock, kind);
}

static inline void release(KSPIN_LOCK *lock, enum lock_kind kind, bool from_dpc_level)
{
    if (VERIFYING)
        check_released(lock, kind, from_dpc_level);
    spin_lock_drop(lock);
}

void spin_lock_contended(KSPIN_LOCK *lock)
{
    unsigned spins = 0;
    do {
        while (__atomic_load_n(lock, __ATOMIC_RELAXED) != 0)
            sched_spin_slow(&spins);
    } while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) != 0);
}

VOID NTAPI KeInitializeSpinLock(PKSPIN_LOCK SpinLock)
{
    if (VERIFYING)
        verify_lock_initialized(SpinLock, LOCK_SPIN, __builtin_return_address(0));
    __atomic_store_n(SpinLock, 0, __ATOMIC_RELEASE);
}

KIRQL FASTCALL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)
{
    KIRQL irql = sched_irql_raise_fast(DISPATCH_LEVEL);
    acquire(SpinLock, LOCK_SPIN, false);
    return irql;
}

VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    release(SpinLock, LOCK_SPIN, false);
    sched_irql_lower_fast(NewIrql);
}

VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    acquire(SpinLock, LOCK_SPIN, true);
}

VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    release(SpinLock, LOCK_SPIN, true);
}

BOOLEAN FASTCALL KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    if (__atomic_load_n(SpinLock, __ATOMIC_RELAXED) != 0 ||
        __atomic_exchange_n(SpinLock, 1, __ATOMIC_ACQUIRE) != 0)
        return FALSE;
    if (VERIFYING)
        check_taken(SpinLock, LOCK_SPIN);
    return TRUE;
}

BOOLEAN FASTCALL KeTestSpinLock(PKSPIN_LOCK SpinLock)
{
    return __atomic_load_n(SpinLock, __ATOMIC_RELAXED) == 0;
}

KIRQL FASTCALL KfAcquireSpinLock(PKSPIN_LOCK SpinLock)
{
    return KeAcquireSpinLockRaiseToDpc(SpinLock);
}

VOID FASTCALL KfReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    KeReleaseSpinLock(SpinLock, NewIrql);
}

/* SYNCH_LEVEL is DISPATCH_LEVEL as far as a virtual CPU's owner is concerned. */
KIRQL FASTCALL KeAcquireSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock)
{
    return KeAcquireSpinLockRaiseToDpc(SpinLock);
}

KIRQL NTAPI KeAcquireSpinLockForDpc(PKSPIN_LOCK SpinLock)
{
    return KeAcquireSpinLockRaiseToDpc(SpinLock);
}

VOID NTAPI KeReleaseSpinLockForDpc(PKSPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KeReleaseSpinLock(SpinLock, OldIrql);
}

/* ---- in-stack queued ---- */

VOID FASTCALL KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    LockHandle->OldIrql = sched_irql_raise_fast(DISPATCH_LEVEL);
    LockHandle->LockQueue.Next = NULL;
    LockHandle->LockQueue.Lock = SpinLock;
    acquire(SpinLock, LOCK_QUEUED_SPIN, false);
}

VOID FASTCALL KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle)
{
    KIRQL irql = LockHandle->OldIrql;
    release(LockHandle->LockQueue.Lock, LOCK_QUEUED_SPIN, false);
    sched_irql_lower_fast(irql);
}

VOID FASTCALL KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    LockHandle->LockQueue.Next = NULL;
    LockHandle->LockQueue.Lock = SpinLock;
    acquire(SpinLock, LOCK_QUEUED_SPIN, true);
}

VOID FASTCALL KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle)
{
    release(LockHandle->LockQueue.Lock, LOCK_QUEUED_SPIN, true);
}

VOID NTAPI KeAcquireInStackQueuedSpinLockForDpc(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    KeAcquireInStackQueuedSpinLock(SpinLock, LockHandle);
}

VOID NTAPI KeReleaseInStackQueuedSpinLockForDpc(PKLOCK_QUEUE_HANDLE LockHandle)
{
    KeReleaseInStackQueuedSpinLock(LockHandle);
}
