/*
 * Breaks of the rules about locks.
 */
#include "breaks.h"

typedef VOID FASTCALL mutex_function(PFAST_MUTEX FastMutex);

static KSPIN_LOCK first, second, third;
static EX_SPIN_LOCK ex_lock;
static FAST_MUTEX mutex;

static BREAKS VOID recursion(struct adapter *adapter)
{
    KIRQL irql;
    KeAcquireSpinLock(&first, &irql);
    KeAcquireSpinLockAtDpcLevel(&first);
    KeReleaseSpinLock(&first, irql);
}

static BREAKS VOID shared_recursion(struct adapter *adapter)
{
    KIRQL irql = ExAcquireSpinLockShared(&ex_lock);
    ExAcquireSpinLockSharedAtDpcLevel(&ex_lock);
    ExReleaseSpinLockShared(&ex_lock, irql);
}

static BREAKS VOID mutex_recursion(struct adapter *adapter)
{
    ExInitializeFastMutex(&mutex);
    ExAcquireFastMutex(&mutex);
    ExAcquireFastMutex(&mutex);
    ExReleaseFastMutex(&mutex);
}

static BREAKS VOID release_not_held(struct adapter *adapter)
{
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeReleaseSpinLockFromDpcLevel(&first);
    KeLowerIrql(irql);
}

static BREAKS VOID release_other_kind(struct adapter *adapter)
{
    KIRQL irql = ExAcquireSpinLockShared(&ex_lock);
    ExReleaseSpinLockExclusive(&ex_lock, irql);
}

static BREAKS VOID held_at_exit(struct adapter *adapter)
{
    KIRQL irql;
    KeAcquireSpinLock(&first, &irql);
    keep(&irql);
}

static BREAKS VOID take_both(KSPIN_LOCK *outer, KSPIN_LOCK *inner)
{
    KIRQL irql;
    KeAcquireSpinLock(outer, &irql);
    KeAcquireSpinLockAtDpcLevel(inner);
    KeReleaseSpinLockFromDpcLevel(inner);
    KeReleaseSpinLock(outer, irql);
}

static BREAKS VOID order(struct adapter *adapter)
{
    take_both(&first, &second);
    take_both(&second, &first);
}

static BREAKS VOID order_of_three(struct adapter *adapter)
{
    take_both(&first, &second);
    take_both(&second, &third);
    take_both(&third, &first);
}

struct pair {
    KSPIN_LOCK a, b;
};

static BREAKS struct pair *pair_make(VOID)
{
    struct pair *pair = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*pair), BREAKS_TAG);
    KeInitializeSpinLock(&pair->a);
    KeInitializeSpinLock(&pair->b);
    return pair;
}

/* Four different locks, two classes: no lock is ever taken in both orders. */
static BREAKS VOID order_of_classes(struct adapter *adapter)
{
    struct pair *pairs[4];
#pragma clang loop unroll(disable) /* one call, one class */
    for (ULONG i = 0; i < 4; i++) {
        pairs[i] = pair_make();
    }
    take_both(&pairs[0]->a, &pairs[1]->b);
    take_both(&pairs[2]->b, &pairs[3]->a);
}

/* Two locks of one class. */
static BREAKS VOID order_of_instances(struct adapter *adapter)
{
    struct pair *pairs[2];
#pragma clang loop unroll(disable)
    for (ULONG i = 0; i < 2; i++) {
        pairs[i] = pair_make();
    }
    take_both(&pairs[0]->a, &pairs[1]->a);
    take_both(&pairs[1]->a, &pairs[0]->a);
}

/* Not in the import libraries: found as a driver for several versions of Windows finds functions. */
static VOID unsafe_acquire_release(VOID)
{
    UNICODE_STRING acquire = RTL_CONSTANT_STRING(u"ExAcquireFastMutexUnsafe");
    UNICODE_STRING release = RTL_CONSTANT_STRING(u"ExReleaseFastMutexUnsafe");
    ((mutex_function *)MmGetSystemRoutineAddress(&acquire))(&mutex);
    ((mutex_function *)MmGetSystemRoutineAddress(&release))(&mutex);
}

static BREAKS VOID unsafe_mutex(struct adapter *adapter)
{
    ExInitializeFastMutex(&mutex);
    unsafe_acquire_release();
}

static BREAKS VOID initialize_held(struct adapter *adapter)
{
    KIRQL irql;
    KeAcquireSpinLock(&first, &irql);
    KeInitializeSpinLock(&first);
    KeReleaseSpinLock(&first, irql);
}

/* What is right: orders that agree, shared and exclusive in turn, nested regions. No report. */
static BREAKS VOID right_order(struct adapter *adapter)
{
    KIRQL irql;
    for (ULONG i = 0; i < 3; i++) {
        take_both(&first, &second);
        take_both(&second, &third);
        take_both(&first, &third);
    }
    irql = ExAcquireSpinLockShared(&ex_lock);
    ExReleaseSpinLockShared(&ex_lock, irql);
    irql = ExAcquireSpinLockExclusive(&ex_lock);
    ExReleaseSpinLockExclusive(&ex_lock, irql);
    ExInitializeFastMutex(&mutex);
    ExAcquireFastMutex(&mutex);
    ExReleaseFastMutex(&mutex);
    KeEnterCriticalRegion();
    unsafe_acquire_release();
    KeLeaveCriticalRegion();
}

const struct rule_break lock_breaks[] = {
    {.name = "recursion", .passive = recursion},
    {.name = "shared_recursion", .passive = shared_recursion},
    {.name = "mutex_recursion", .passive = mutex_recursion},
    {.name = "release_not_held", .passive = release_not_held},
    {.name = "release_other_kind", .passive = release_other_kind},
    {.name = "held_at_exit", .passive = held_at_exit},
    {.name = "order", .passive = order},
    {.name = "order_of_three", .passive = order_of_three},
    {.name = "order_of_classes", .passive = order_of_classes},
    {.name = "order_of_instances", .passive = order_of_instances},
    {.name = "unsafe_mutex", .passive = unsafe_mutex},
    {.name = "initialize_held", .passive = initialize_held},
    {.name = "right_order", .passive = right_order},
    {.name = NULL},
};
