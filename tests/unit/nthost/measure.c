/* What the hot verbs cost, uncontended, in cycles of the time-stamp counter: printed, never judged. */
#include "support.h"

#include "ke/exports.h"

#include <x86intrin.h>

#define ROUNDS 200000

#define MEASURE(name, ...)                                                                                   \
    do {                                                                                                     \
        uint64_t best = UINT64_MAX;                                                                          \
        for (unsigned pass = 0; pass < 5; pass++) {                                                          \
            uint64_t start = __rdtsc();                                                                      \
            for (unsigned i = 0; i < ROUNDS; i++) {                                                          \
                __VA_ARGS__;                                                                                 \
            }                                                                                                \
            uint64_t cycles = (__rdtsc() - start) / ROUNDS;                                                  \
            best = cycles < best ? cycles : best;                                                            \
        }                                                                                                    \
        printf("  %-62s %4llu cycles\n", name, (unsigned long long)best);                                    \
    } while (0)

static VOID NTAPI nothing(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
}

void measure_costs(void)
{
    KSPIN_LOCK lock = 0;
    EX_SPIN_LOCK ex_lock = 0;
    EX_RUNDOWN_REF reference;
    SLIST_HEADER list;
    static SLIST_ENTRY entry;
    KEVENT event;
    KTIMER timer;
    KDPC dpc;
    KLOCK_QUEUE_HANDLE handle;
    KIRQL irql;
    LARGE_INTEGER zero = {.QuadPart = 0};
    InitializeSListHead(&list);
    ExInitializeRundownProtection(&reference);
    KeInitializeEvent(&event, NotificationEvent, TRUE);
    KeInitializeTimer(&timer);
    KeInitializeDpc(&dpc, nothing, NULL);
    KeSetTimer(&timer, relative_ms(600000), NULL); /* so that the measured one is not the earliest */
    KTIMER second;
    KeInitializeTimer(&second);
    printf("uncontended costs (pairs; an atomic exchange alone is the first line):\n");
    MEASURE("one atomic exchange", __atomic_exchange_n(&lock, 0, __ATOMIC_SEQ_CST));
    MEASURE("KeGetCurrentIrql", KeGetCurrentIrql());
    MEASURE("sched_irql_raise + sched_irql_lower, PASSIVE", irql = sched_irql_raise(2);
            sched_irql_lower(irql));
    MEASURE("KeAcquireSpinLockRaiseToDpc + KeReleaseSpinLock, PASSIVE",
            irql = KeAcquireSpinLockRaiseToDpc(&lock);
            KeReleaseSpinLock(&lock, irql));
    irql = KeRaiseIrqlToDpcLevel();
    MEASURE("KeAcquireSpinLockRaiseToDpc + KeReleaseSpinLock, DISPATCH",
            KIRQL inner = KeAcquireSpinLockRaiseToDpc(&lock);
            KeReleaseSpinLock(&lock, inner));
    MEASURE("KeAcquireSpinLockAtDpcLevel + FromDpcLevel", KeAcquireSpinLockAtDpcLevel(&lock);
            KeReleaseSpinLockFromDpcLevel(&lock));
    MEASURE("KeAcquireInStackQueuedSpinLockAtDpcLevel + FromDpcLevel",
            KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handle);
            KeReleaseInStackQueuedSpinLockFromDpcLevel(&handle));
    MEASURE("ExAcquireSpinLockSharedAtDpcLevel + FromDpcLevel", ExAcquireSpinLockSharedAtDpcLevel(&ex_lock);
            ExReleaseSpinLockSharedFromDpcLevel(&ex_lock));
    KeLowerIrql(irql);
    MEASURE("ExAcquireRundownProtection + Release", ExAcquireRundownProtection(&reference);
            ExReleaseRundownProtection(&reference));
    MEASURE("ExpInterlockedPushEntrySList + Pop", ExpInterlockedPushEntrySList(&list, &entry);
            ExpInterlockedPopEntrySList(&list));
    MEASURE("KeSetEvent, nobody waits", KeSetEvent(&event, 0, FALSE));
    MEASURE("KeWaitForSingleObject, signalled",
            KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &zero));
    MEASURE("KeInsertQueueDpc at PASSIVE, runs at once", KeInsertQueueDpc(&dpc, NULL, NULL));
    MEASURE("KeSetTimer, replacing, not the earliest", KeSetTimer(&second, relative_ms(900000), NULL));
    KeCancelTimer(&second);
    MEASURE("KeCancelTimer, not set", KeCancelTimer(&second));
    KeCancelTimer(&timer);
    MEASURE("KeQueryInterruptTimePrecise", KeQueryInterruptTimePrecise(NULL));
    MEASURE("host_count_add", host_count_add(HOST_IRP, 1); host_count_add(HOST_IRP, -1));
}
