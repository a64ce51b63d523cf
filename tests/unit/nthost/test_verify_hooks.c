/* In verify mode the core calls the hooks of verify.h in pairs and reports the rules that are its own to see.
 */
#include "support.h"

#include "ke/exports.h"
#include "ps/process.h"

static void lower_upwards(void *context)
{
    KeLowerIrql(APC_LEVEL);
}

static void raise_downwards(void *context)
{
    KfRaiseIrql(APC_LEVEL);
}

static void wait_at_dispatch(void *context)
{
    LARGE_INTEGER soon = relative_ms(1);
    KeWaitForSingleObject(context, Executive, KernelMode, FALSE, &soon);
}

static void delay_at_dispatch(void *context)
{
    sleep_ms(1);
}

static void flush_at_dispatch(void *context)
{
    KeFlushQueuedDpcs();
}

static void release_unowned_mutex(void *context)
{
    KMUTEX mutex;
    KeInitializeMutex(&mutex, 0);
    KeReleaseMutex(&mutex, FALSE);
}

static void release_free_spin_lock(void *context)
{
    KeReleaseSpinLock(context, PASSIVE_LEVEL);
}

static void acquire_at_wrong_level(void *context)
{
    KeAcquireSpinLockAtDpcLevel(context);
}

static void release_ex_lock(void *context)
{
    ExReleaseSpinLockExclusiveFromDpcLevel(context);
}

static void leave_region(void *context)
{
    KeLeaveCriticalRegion();
}

static void dereference_garbage(void *context)
{
    static uint64_t garbage[16];
    ObDereferenceObject(&garbage[8]);
}

static void close_garbage(void *context)
{
    ZwClose((HANDLE)(uintptr_t)0x1230);
}

static void release_rundown(void *context)
{
    EX_RUNDOWN_REF reference;
    ExInitializeRundownProtection(&reference);
    ExReleaseRundownProtection(&reference);
}

static VOID NTAPI nothing(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
}

/* Each acquisition once, recursive ones not again, whichever way the mutex was waited for. */
static void mutexes_are_locks(void)
{
    KMUTEX first, second;
    KEVENT event;
    PVOID objects[] = {&event, &first, &second};
    LARGE_INTEGER zero = {.QuadPart = 0};
    struct verify_record before = verify_record;
    KeInitializeMutex(&first, 0);
    KeInitializeMutex(&second, 0);
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    KeWaitForSingleObject(&first, Executive, KernelMode, FALSE, NULL);
    KeWaitForSingleObject(&first, Executive, KernelMode, FALSE, NULL);
    EXPECT(verify_record.lock_taken == before.lock_taken + 1);
    EXPECT(verify_record.lock_wanted == before.lock_wanted + 1);
    EXPECT(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &zero) == STATUS_TIMEOUT);
    EXPECT(KeWaitForMultipleObjects(3, objects, WaitAny, Executive, KernelMode, FALSE, &zero, NULL) == 1);
    KeReleaseMutex(&first, FALSE);
    KeReleaseMutex(&first, FALSE);
    EXPECT(verify_record.lock_released == before.lock_released);
    KeReleaseMutex(&first, FALSE);
    EXPECT(verify_record.lock_released == before.lock_released + 1);
    KeSetEvent(&event, 0, FALSE);
    KeWaitForMultipleObjects(3, objects, WaitAll, Executive, KernelMode, FALSE, NULL, NULL);
    EXPECT(verify_record.lock_taken == before.lock_taken + 3);
    KeReleaseMutex(&second, FALSE);
    KeReleaseMutex(&first, FALSE);
    EXPECT(verify_record.lock_released == before.lock_released + 3);
    EXPECT(verify_record.lock_initialized == before.lock_initialized + 2);
}

static void pairs(void)
{
    KSPIN_LOCK lock;
    KLOCK_QUEUE_HANDLE handle;
    EX_SPIN_LOCK ex_lock = 0;
    FAST_MUTEX mutex;
    KIRQL irql;
    struct verify_record before = verify_record;
    KeInitializeSpinLock(&lock);
    KeAcquireSpinLock(&lock, &irql);
    KeReleaseSpinLock(&lock, irql);
    KeAcquireInStackQueuedSpinLock(&lock, &handle);
    KeReleaseInStackQueuedSpinLock(&handle);
    irql = ExAcquireSpinLockShared(&ex_lock);
    ExReleaseSpinLockShared(&ex_lock, irql);
    irql = ExAcquireSpinLockExclusive(&ex_lock);
    ExReleaseSpinLockExclusive(&ex_lock, irql);
    ExInitializeFastMutex(&mutex);
    ExAcquireFastMutex(&mutex);
    ExReleaseFastMutex(&mutex);
    EXPECT(verify_record.lock_initialized == before.lock_initialized + 1);
    EXPECT(verify_record.lock_wanted == before.lock_wanted + 5);
    EXPECT(verify_record.lock_taken == before.lock_taken + 5);
    EXPECT(verify_record.lock_released == before.lock_released + 5);
    mutexes_are_locks();

    KTIMER timer;
    KDPC dpc;
    KeInitializeTimer(&timer);
    KeInitializeDpc(&dpc, nothing, NULL);
    KeSetTimer(&timer, relative_ms(1000), &dpc);
    KeSetTimer(&timer, relative_ms(2000), &dpc);
    KeCancelTimer(&timer);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    EXPECT(verify_record.active_added == before.active_added + 3);
    EXPECT(verify_record.active_removed == before.active_removed + 3);
    EXPECT(verify_record.callbacks_begun == before.callbacks_begun + 1);
    EXPECT(verify_record.callbacks_ended == before.callbacks_ended + 1);
}

void test_verify_hooks(void)
{
    KEVENT event;
    KSPIN_LOCK lock = 0;
    EX_SPIN_LOCK ex_lock = 0;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    KIRQL irql;
    pairs();
    EXPECT(reports(RULE_IRQL_RAISE_LOWER, lower_upwards, NULL));
    irql = KeRaiseIrqlToDpcLevel();
    EXPECT(reports(RULE_IRQL_RAISE_LOWER, raise_downwards, NULL));
    EXPECT(reports(RULE_WAIT_AT_DISPATCH, wait_at_dispatch, &event));
    EXPECT(reports(RULE_WAIT_AT_DISPATCH, delay_at_dispatch, NULL));
    EXPECT(reports(RULE_WAIT_AT_DISPATCH, flush_at_dispatch, NULL));
    EXPECT(reports(RULE_LOCK_NOT_HELD, release_ex_lock, (void *)(uintptr_t)&ex_lock));
    KeLowerIrql(irql);
    EXPECT(reports(RULE_LOCK_NOT_HELD, release_unowned_mutex, NULL));
    EXPECT(reports(RULE_LOCK_NOT_HELD, release_free_spin_lock, &lock));
    EXPECT(reports(RULE_LOCK_LEVEL, acquire_at_wrong_level, &lock));
    EXPECT(reports(RULE_LOCK_NOT_HELD, leave_region, NULL));
    KeEnterCriticalRegion(); /* the report left the count at -1 */
    EXPECT(reports(RULE_OBJECT_REFERENCE, dereference_garbage, NULL));
    EXPECT(reports(RULE_OBJECT_REFERENCE, close_garbage, NULL));
    EXPECT(reports(RULE_RUNDOWN_MISUSE, release_rundown, NULL));
}

void test_no_hooks(void)
{
    const struct verify_record none = {0};
    EXPECT(!host_options.verify && __builtin_memcmp(&verify_record, &none, sizeof(none)) == 0);
}
