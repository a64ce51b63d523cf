/* Spin locks of all kinds, fast mutexes and guarded mutexes: mutual exclusion and IRQL. */
#include "support.h"

#include "ke/exports.h"

#define THREADS 4
#define ROUNDS  (2000 * SCALE)

/* Plain variables that only the lock under test protects. */
static KSPIN_LOCK spin, queued, tried;
static EX_SPIN_LOCK shared_lock;
static FAST_MUTEX fast, guarded;
static uint64_t spin_count, queued_count, tried_count, exclusive_count, shared_copy, fast_count,
    guarded_count;
static uint64_t tried_taken, converted;

static void expect_irql(KIRQL wanted, uint64_t *wrong)
{
    *wrong += KeGetCurrentIrql() != wanted;
}

/* Read, perhaps lose the processor, write: only a lock makes an addition of it. */
static void add_slowly(uint64_t *value, uint64_t *random)
{
    uint64_t seen = *(volatile uint64_t *)value;
    dawdle(random);
    *(volatile uint64_t *)value = seen + 1;
}

static VOID NTAPI use_all(PVOID context)
{
    uint64_t random = (uintptr_t)context + 11, wrong = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        KIRQL irql;
        KeAcquireSpinLock(&spin, &irql);
        expect_irql(DISPATCH_LEVEL, &wrong);
        add_slowly(&spin_count, &random);
        KeReleaseSpinLock(&spin, irql);
        expect_irql(PASSIVE_LEVEL, &wrong);

        KLOCK_QUEUE_HANDLE handle, inner;
        KeAcquireInStackQueuedSpinLock(&queued, &handle);
        add_slowly(&queued_count, &random);
        KeReleaseInStackQueuedSpinLock(&handle);

        irql = KeRaiseIrqlToDpcLevel();
        if (KeTryToAcquireSpinLockAtDpcLevel(&tried)) {
            add_slowly(&tried_count, &random);
            KeReleaseSpinLockFromDpcLevel(&tried);
            __atomic_fetch_add(&tried_taken, 1, __ATOMIC_RELAXED);
        }
        KeAcquireSpinLockAtDpcLevel(&tried);
        add_slowly(&tried_count, &random);
        KeReleaseSpinLockFromDpcLevel(&tried);
        KeAcquireInStackQueuedSpinLockAtDpcLevel(&queued, &inner);
        add_slowly(&queued_count, &random);
        KeReleaseInStackQueuedSpinLockFromDpcLevel(&inner);
        KeLowerIrql(irql);

        if (random_next(&random) % 4 == 0) {
            irql = ExAcquireSpinLockExclusive(&shared_lock);
            add_slowly(&exclusive_count, &random);
            shared_copy = exclusive_count;
            ExReleaseSpinLockExclusive(&shared_lock, irql);
        } else {
            irql = ExAcquireSpinLockShared(&shared_lock);
            wrong += shared_copy != exclusive_count;
            if (round % 64 == 0 && ExTryConvertSharedSpinLockExclusive(&shared_lock)) {
                exclusive_count++;
                shared_copy = exclusive_count;
                __atomic_fetch_add(&converted, 1, __ATOMIC_RELAXED);
                ExReleaseSpinLockExclusive(&shared_lock, irql);
            } else {
                ExReleaseSpinLockShared(&shared_lock, irql);
            }
        }

        ExAcquireFastMutex(&fast);
        expect_irql(APC_LEVEL, &wrong);
        add_slowly(&fast_count, &random);
        ExReleaseFastMutex(&fast);
        if (ExTryToAcquireFastMutex(&fast)) {
            add_slowly(&fast_count, &random);
            ExReleaseFastMutex(&fast);
        } else {
            ExAcquireFastMutex(&fast);
            add_slowly(&fast_count, &random);
            ExReleaseFastMutex(&fast);
        }
        expect_irql(PASSIVE_LEVEL, &wrong);

        KeAcquireGuardedMutex(&guarded);
        wrong += !KeAreAllApcsDisabled();
        add_slowly(&guarded_count, &random);
        KeReleaseGuardedMutex(&guarded);
        wrong += KeAreAllApcsDisabled();
    }
    EXPECT(wrong == 0);
}

static void try_variants(void)
{
    EX_SPIN_LOCK lock = 0;
    KSPIN_LOCK plain;
    KeInitializeSpinLock(&plain);
    KIRQL irql = KeRaiseIrqlToDpcLevel();
    EXPECT(KeTestSpinLock(&plain));
    EXPECT(KeTryToAcquireSpinLockAtDpcLevel(&plain) && !KeTryToAcquireSpinLockAtDpcLevel(&plain));
    EXPECT(!KeTestSpinLock(&plain));
    KeReleaseSpinLockFromDpcLevel(&plain);
    EXPECT(ExTryAcquireSpinLockSharedAtDpcLevel(&lock) && ExTryAcquireSpinLockSharedAtDpcLevel(&lock));
    EXPECT(!ExTryAcquireSpinLockExclusiveAtDpcLevel(&lock) && !ExTryConvertSharedSpinLockExclusive(&lock));
    ExReleaseSpinLockSharedFromDpcLevel(&lock);
    EXPECT(ExTryConvertSharedSpinLockExclusive(&lock) && !ExTryAcquireSpinLockSharedAtDpcLevel(&lock));
    ExReleaseSpinLockExclusiveFromDpcLevel(&lock);
    EXPECT(lock == 0);
    KeLowerIrql(irql);
    FAST_MUTEX mutex;
    ExInitializeFastMutex(&mutex);
    EXPECT(ExTryToAcquireFastMutex(&mutex) && KeGetCurrentIrql() == APC_LEVEL);
    EXPECT(!ExTryToAcquireFastMutex(&mutex) && KeGetCurrentIrql() == APC_LEVEL);
    ExReleaseFastMutex(&mutex);
    EXPECT(KeGetCurrentIrql() == PASSIVE_LEVEL);
}

/* A held APC_LEVEL is kept across a nested fast mutex. */
static void nested_levels(void)
{
    FAST_MUTEX outer, inner;
    ExInitializeFastMutex(&outer);
    ExInitializeFastMutex(&inner);
    ExAcquireFastMutex(&outer);
    ExAcquireFastMutex(&inner);
    ExReleaseFastMutex(&inner);
    EXPECT(KeGetCurrentIrql() == APC_LEVEL);
    ExReleaseFastMutex(&outer);
    EXPECT(KeGetCurrentIrql() == PASSIVE_LEVEL);
    KeEnterCriticalRegion();
    EXPECT(KeAreApcsDisabled() && !KeAreAllApcsDisabled());
    KeLeaveCriticalRegion();
    EXPECT(!KeAreApcsDisabled());
}

void test_locks(void)
{
    KeInitializeSpinLock(&spin);
    KeInitializeSpinLock(&queued);
    KeInitializeSpinLock(&tried);
    ExInitializeFastMutex(&fast);
    KeInitializeGuardedMutex(&guarded);
    try_variants();
    nested_levels();
    crew_run(THREADS, use_all);
    EXPECT(spin_count == THREADS * ROUNDS);
    EXPECT(queued_count == 2 * THREADS * ROUNDS);
    EXPECT(tried_count == THREADS * ROUNDS + tried_taken);
    EXPECT(fast_count == 2 * THREADS * ROUNDS && guarded_count == THREADS * ROUNDS);
    EXPECT(exclusive_count == shared_copy && exclusive_count > ROUNDS / 2);
    EXPECT(fast.Count == 1 && guarded.Count == 1 && spin == 0 && queued == 0 && shared_lock == 0);
}
