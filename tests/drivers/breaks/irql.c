/*
 * Breaks of the rules about IRQL, waiting and stacks.
 */
#include "breaks.h"

static KDPC dpc;
static KEVENT event;

static BREAKS VOID range(struct adapter *adapter)
{
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ZwClose(NULL);
    KeLowerIrql(irql);
}

static BREAKS VOID at_dpc_level(struct adapter *adapter)
{
    KSPIN_LOCK lock;
    KeInitializeSpinLock(&lock);
    KeAcquireSpinLockAtDpcLevel(&lock);
    KeReleaseSpinLockFromDpcLevel(&lock);
}

static BREAKS VOID lower_upwards(struct adapter *adapter)
{
    KeLowerIrql(DISPATCH_LEVEL);
    keep(adapter);
}

static BREAKS VOID raise_downwards(struct adapter *adapter)
{
    KIRQL irql, other;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeRaiseIrql(APC_LEVEL, &other);
    KeLowerIrql(irql);
}

static BREAKS VOID return_raised(struct adapter *adapter)
{
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    keep(&irql);
}

static BREAKS VOID NTAPI lowering_dpc(PKDPC object, PVOID context, PVOID argument1, PVOID argument2)
{
    KeLowerIrql(APC_LEVEL);
    keep(object);
}

static BREAKS VOID queue_lowering_dpc(struct adapter *adapter)
{
    KeInitializeDpc(&dpc, lowering_dpc, NULL);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    KeFlushQueuedDpcs();
}

static BREAKS VOID wait_raised(struct adapter *adapter)
{
    KIRQL irql;
    LARGE_INTEGER second = {.QuadPart = -10000000};
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &second);
    KeLowerIrql(irql);
}

/* A chain of multiplications takes three cycles each on every x64 processor: 0.8 s at 5 GHz. */
static BREAKS VOID NTAPI slow_dpc(PKDPC object, PVOID context, PVOID argument1, PVOID argument2)
{
    ULONGLONG value = 3;
    for (ULONG i = 0; i < 1300000000u; i++) {
        value *= 6364136223846793005ull; /* no shorter way than IMUL */
        __asm__ volatile("" : "+r"(value));
    }
    keep(&value);
}

static BREAKS VOID queue_slow_dpc(struct adapter *adapter)
{
    KeInitializeDpc(&dpc, slow_dpc, NULL);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    KeFlushQueuedDpcs();
}

/* 40 * about 1 KB. */
static BREAKS ULONG deep(ULONG depth)
{
    volatile UCHAR frame[1024];
    frame[depth] = 1;
    ULONG result = depth ? deep(depth - 1) : KeGetCurrentIrql();
    return result + frame[depth];
}

static BREAKS VOID deep_stack(struct adapter *adapter)
{
    ULONG result = deep(40);
    keep(&result);
}

static BREAKS ULONG endless(ULONG depth)
{
    volatile UCHAR frame[1024];
    frame[depth % sizeof(frame)] = 1;
    ULONG result = depth ? endless(depth + 1) : 0;
    return result + frame[depth % sizeof(frame)];
}

static BREAKS VOID endless_recursion(struct adapter *adapter)
{
    ULONG result = endless(1);
    keep(&result);
}

const struct rule_break irql_breaks[] = {
    {.name = "range", .passive = range},
    {.name = "at_dpc_level", .passive = at_dpc_level},
    {.name = "lower_upwards", .passive = lower_upwards},
    {.name = "raise_downwards", .passive = raise_downwards},
    {.name = "return_raised", .passive = return_raised},
    {.name = "lowering_dpc", .passive = queue_lowering_dpc},
    {.name = "wait_raised", .passive = wait_raised},
    {.name = "slow_dpc", .passive = queue_slow_dpc},
    {.name = "deep_stack", .passive = deep_stack},
    {.name = "endless_recursion", .passive = endless_recursion},
    {.name = NULL},
};
