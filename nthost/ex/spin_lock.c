/* EX_SPIN_LOCK: reader/writer spin locks.  Bit 31: held exclusively; bit 30: a writer waits, readers stay
 * out; below: the number of readers.  Microsoft's page titles: "Reader-Writer Spin Locks",
 * "ExAcquireSpinLockShared". */
#include "ke/dispatcher.h"
#include "ke/exports.h"
#include "nt/ex.h"

#include "host.h"
#include "verify/verify.h"

#define EXCLUSIVE      0x80000000u
#define WRITER_WAITING 0x40000000u
#define READERS        0x3fffffffu
#define VERIFYING      __builtin_expect(host_options.verify, 0)
#define COLD           __attribute__((ms_abi, noinline, cold)) static

static inline uint32_t *word_of(PEX_SPIN_LOCK lock)
{
    return (uint32_t *)(uintptr_t)lock;
}

COLD void check_wanted(const void *lock, enum lock_kind kind, bool at_dpc_level)
{
    if (at_dpc_level && sched_self_fast()->irql < DISPATCH_LEVEL)
        verify_report(RULE_LOCK_LEVEL, "EX_SPIN_LOCK %p acquired with an AtDpcLevel function at IRQL %u",
                      lock, sched_self_fast()->irql);
    verify_lock_wanted(lock, kind);
}

COLD void check_taken(const void *lock, enum lock_kind kind)
{
    verify_lock_taken(lock, kind);
}

COLD void check_released(PEX_SPIN_LOCK lock, enum lock_kind kind)
{
    uint32_t value = __atomic_load_n(word_of(lock), __ATOMIC_RELAXED);
    if (kind == LOCK_EX_EXCLUSIVE ? (value & EXCLUSIVE) == 0 : (value & READERS) == 0)
        verify_report(RULE_LOCK_NOT_HELD, "EX_SPIN_LOCK %p is released %s and not held so", word_of(lock),
                      kind == LOCK_EX_EXCLUSIVE ? "exclusive" : "shared");
    verify_lock_released(word_of(lock), kind);
}

static inline bool try_shared(uint32_t *word)
{
    uint32_t value = __atomic_load_n(word, __ATOMIC_RELAXED);
    return (value & (EXCLUSIVE | WRITER_WAITING)) == 0 &&
           __atomic_compare_exchange_n(word, &value, value + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline bool try_exclusive(uint32_t *word)
{
    uint32_t value = __atomic_load_n(word, __ATOMIC_RELAXED);
    return (value & ~WRITER_WAITING) == 0 &&
           __atomic_compare_exchange_n(word, &value, EXCLUSIVE, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

COLD void shared_contended(uint32_t *word)
{
    unsigned spins = 0;
    while (!try_shared(word))
        sched_spin_slow(&spins);
}

/* Whoever wins clears WRITER_WAITING; other writers set it again. */
COLD void exclusive_contended(uint32_t *word)
{
    unsigned spins = 0;
    while (!try_exclusive(word)) {
        if ((__atomic_load_n(word, __ATOMIC_RELAXED) & WRITER_WAITING) == 0)
            __atomic_fetch_or(word, WRITER_WAITING, __ATOMIC_RELAXED);
        sched_spin_slow(&spins);
    }
}

static inline void acquire_shared(PEX_SPIN_LOCK lock, bool at_dpc_level)
{
    if (VERIFYING)
        check_wanted(word_of(lock), LOCK_EX_SHARED, at_dpc_level);
    if (__builtin_expect(!try_shared(word_of(lock)), 0))
        shared_contended(word_of(lock));
    if (VERIFYING)
        check_taken(word_of(lock), LOCK_EX_SHARED);
}

static inline void release_shared(PEX_SPIN_LOCK lock)
{
    if (VERIFYING)
        check_released(lock, LOCK_EX_SHARED);
    __atomic_fetch_sub(word_of(lock), 1, __ATOMIC_RELEASE);
}

static inline void acquire_exclusive(PEX_SPIN_LOCK lock, bool at_dpc_level)
{
    if (VERIFYING)
        check_wanted(word_of(lock), LOCK_EX_EXCLUSIVE, at_dpc_level);
    if (__builtin_expect(!try_exclusive(word_of(lock)), 0))
        exclusive_contended(word_of(lock));
    if (VERIFYING)
        check_taken(word_of(lock), LOCK_EX_EXCLUSIVE);
}

static inline void release_exclusive(PEX_SPIN_LOCK lock)
{
    if (VERIFYING)
        check_released(lock, LOCK_EX_EXCLUSIVE);
    __atomic_fetch_and(word_of(lock), ~EXCLUSIVE, __ATOMIC_RELEASE);
}

KIRQL NTAPI ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock)
{
    KIRQL irql = sched_irql_raise_fast(DISPATCH_LEVEL);
    acquire_shared(SpinLock, false);
    return irql;
}

VOID NTAPI ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)
{
    release_shared(SpinLock);
    sched_irql_lower_fast(OldIrql);
}

VOID NTAPI ExAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    acquire_shared(SpinLock, true);
}

VOID NTAPI ExReleaseSpinLockSharedFromDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    release_shared(SpinLock);
}

KIRQL NTAPI ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock)
{
    KIRQL irql = sched_irql_raise_fast(DISPATCH_LEVEL);
    acquire_exclusive(SpinLock, false);
    return irql;
}

VOID NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)
{
    release_exclusive(SpinLock);
    sched_irql_lower_fast(OldIrql);
}

VOID NTAPI ExAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    acquire_exclusive(SpinLock, true);
}

VOID NTAPI ExReleaseSpinLockExclusiveFromDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    release_exclusive(SpinLock);
}

BOOLEAN NTAPI ExTryAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    if (!try_shared(word_of(SpinLock)))
        return FALSE;
    if (VERIFYING)
        check_taken(word_of(SpinLock), LOCK_EX_SHARED);
    return TRUE;
}

BOOLEAN NTAPI ExTryAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    if (!try_exclusive(word_of(SpinLock)))
        return FALSE;
    if (VERIFYING)
        check_taken(word_of(SpinLock), LOCK_EX_EXCLUSIVE);
    return TRUE;
}

LONG NTAPI ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock)
{
    uint32_t *word = word_of(SpinLock);
    uint32_t value = __atomic_load_n(word, __ATOMIC_RELAXED);
    do {
        if ((value & READERS) != 1)
            return 0;
    } while (!__atomic_compare_exchange_n(word, &value, (value & WRITER_WAITING) | EXCLUSIVE, true,
                                          __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
    if (VERIFYING) {
        verify_lock_released(word, LOCK_EX_SHARED);
        verify_lock_taken(word, LOCK_EX_EXCLUSIVE);
    }
    return 1;
}
