/* NDIS's own services that wrap kernel ones: memory, spin locks, timers, events, work items, sleeping, the
 * error log. */
#include "ndis.h"
#include "nt/ex.h"
#include "verify/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

/* The tag is remembered in front of the memory: NdisFreeMemory does not know it. */
struct memory_header {
    uint64_t tag;
    uint64_t padding;
};

PVOID NTAPI NdisAllocateMemoryWithTagPriority(NDIS_HANDLE NdisHandle, UINT Length, ULONG Tag,
                                              EX_POOL_PRIORITY Priority)
{
    struct memory_header *header = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof *header + Length, Tag);

    if (!header)
        return NULL;
    header->tag = Tag;
    return header + 1;
}

VOID NTAPI NdisFreeMemory(PVOID VirtualAddress, UINT Length, UINT MemoryFlags)
{
    struct memory_header *header = (struct memory_header *)VirtualAddress - 1;

    ExFreePoolWithTag(header, (ULONG)header->tag);
}

/* ---- spin locks ---- */

VOID NTAPI NdisAllocateSpinLock(PNDIS_SPIN_LOCK SpinLock)
{
    KeInitializeSpinLock(&SpinLock->SpinLock);
    SpinLock->OldIrql = 0;
}

VOID NTAPI NdisFreeSpinLock(PNDIS_SPIN_LOCK SpinLock)
{
}

VOID NTAPI NdisAcquireSpinLock(PNDIS_SPIN_LOCK SpinLock)
{
    KIRQL old = KeAcquireSpinLockRaiseToDpc(&SpinLock->SpinLock);

    SpinLock->OldIrql = old; /* only the holder writes it */
}

VOID NTAPI NdisReleaseSpinLock(PNDIS_SPIN_LOCK SpinLock)
{
    KeReleaseSpinLock(&SpinLock->SpinLock, SpinLock->OldIrql);
}

VOID NTAPI NdisDprAcquireSpinLock(PNDIS_SPIN_LOCK SpinLock)
{
    KeAcquireSpinLockAtDpcLevel(&SpinLock->SpinLock);
    SpinLock->OldIrql = SCHED_DISPATCH;
}

VOID NTAPI NdisDprReleaseSpinLock(PNDIS_SPIN_LOCK SpinLock)
{
    KeReleaseSpinLockFromDpcLevel(&SpinLock->SpinLock);
}

/* ---- timers ---- */

struct timer {
    KTIMER timer;
    KDPC dpc;
    PNDIS_TIMER_FUNCTION function;
    void *context, *set_context;
};

static VOID NTAPI timer_dpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    struct timer *timer = DeferredContext;

    timer->function(Dpc, timer->set_context ? timer->set_context : timer->context, SystemArgument1,
                    SystemArgument2);
}

NDIS_STATUS NTAPI NdisAllocateTimerObject(NDIS_HANDLE NdisHandle, PNDIS_TIMER_CHARACTERISTICS Characteristics,
                                          PNDIS_HANDLE pTimerObject)
{
    struct timer *timer;

    *pTimerObject = NULL;
    if (Characteristics->Header.Type != NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS ||
        Characteristics->Header.Size < NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1 ||
        !Characteristics->TimerFunction)
        return NDIS_STATUS_INVALID_PARAMETER;
    timer =
        ExAllocatePoolWithTag(NonPagedPoolNx, sizeof *timer,
                              Characteristics->AllocationTag ? Characteristics->AllocationTag : 0x746e644e);
    if (!timer)
        return NDIS_STATUS_RESOURCES;
    memset(timer, 0, sizeof *timer);
    timer->function = Characteristics->TimerFunction;
    timer->context = Characteristics->FunctionContext;
    KeInitializeTimerEx(&timer->timer, NotificationTimer);
    KeInitializeDpc(&timer->dpc, timer_dpc, timer);
    *pTimerObject = timer;
    return NDIS_STATUS_SUCCESS;
}

BOOLEAN NTAPI NdisSetTimerObject(NDIS_HANDLE TimerObject, LARGE_INTEGER DueTime, LONG MillisecondsPeriod,
                                 PVOID FunctionContext)
{
    struct timer *timer = TimerObject;

    timer->set_context = FunctionContext;
    return KeSetTimerEx(&timer->timer, DueTime, MillisecondsPeriod, &timer->dpc);
}

BOOLEAN NTAPI NdisCancelTimerObject(NDIS_HANDLE TimerObject)
{
    return KeCancelTimer(&((struct timer *)TimerObject)->timer);
}

VOID NTAPI NdisFreeTimerObject(NDIS_HANDLE TimerObject)
{
    struct timer *timer = TimerObject;

    KeCancelTimer(&timer->timer);
    ExFreePoolWithTag(timer, 0);
}

/* ---- events, sleeping ---- */

VOID NTAPI NdisInitializeEvent(PNDIS_EVENT Event)
{
    KeInitializeEvent(&Event->Event, NotificationEvent, FALSE);
}

VOID NTAPI NdisSetEvent(PNDIS_EVENT Event)
{
    KeSetEvent(&Event->Event, 0, FALSE);
}

VOID NTAPI NdisResetEvent(PNDIS_EVENT Event)
{
    KeClearEvent(&Event->Event);
}

BOOLEAN NTAPI NdisWaitEvent(PNDIS_EVENT Event, UINT MsToWait)
{
    LARGE_INTEGER timeout = {.QuadPart = -(LONGLONG)MsToWait * 10000};

    return KeWaitForSingleObject(&Event->Event, Executive, KernelMode, FALSE, MsToWait ? &timeout : NULL) ==
           STATUS_SUCCESS;
}

VOID NTAPI NdisMSleep(ULONG MicrosecondsToSleep)
{
    LARGE_INTEGER interval = {.QuadPart = -(LONGLONG)MicrosecondsToSleep * 10};

    KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

/* ---- work items ---- */

struct work_item {
    PIO_WORKITEM item;
    NDIS_IO_WORKITEM_ROUTINE routine;
    void *context;
};

static VOID NTAPI run_work_item(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    struct work_item *work = Context;

    work->routine(work->context, work);
}

NDIS_HANDLE NTAPI NdisAllocateIoWorkItem(NDIS_HANDLE NdisObjectHandle)
{
    struct ndis_adapter *adapter = NdisObjectHandle;
    struct work_item *work;

    if (!adapter || adapter->magic != ADAPTER_MAGIC)
        return NULL;
    work = calloc(1, sizeof *work);
    if (!work)
        return NULL;
    work->item = IoAllocateWorkItem(adapter->functional);
    if (!work->item) {
        free(work);
        return NULL;
    }
    return work;
}

VOID NTAPI NdisQueueIoWorkItem(NDIS_HANDLE NdisIoWorkItemHandle, NDIS_IO_WORKITEM_ROUTINE Routine,
                               PVOID WorkItemContext)
{
    struct work_item *work = NdisIoWorkItemHandle;

    work->routine = Routine;
    work->context = WorkItemContext;
    IoQueueWorkItem(work->item, run_work_item, DelayedWorkQueue, work);
}

VOID NTAPI NdisFreeIoWorkItem(NDIS_HANDLE NdisIoWorkItemHandle)
{
    struct work_item *work = NdisIoWorkItemHandle;

    IoFreeWorkItem(work->item);
    free(work);
}

/* ---- error log ---- */

VOID NTAPIV NdisWriteErrorLogEntry(NDIS_HANDLE NdisAdapterHandle, NDIS_ERROR_CODE ErrorCode,
                                   ULONG NumberOfErrorValues, ...)
{
    struct ndis_adapter *adapter = adapter_from_handle(NdisAdapterHandle, "NdisWriteErrorLogEntry");
    char values[128] = "";
    __builtin_ms_va_list list;
    size_t used = 0;

    __builtin_ms_va_start(list, NumberOfErrorValues);
    for (ULONG i = 0; i < NumberOfErrorValues && used + 12 < sizeof values; i++) {
        /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it does not know __builtin_ms_va_start */
        ULONG value = __builtin_va_arg(list, ULONG);

        used += (size_t)snprintf(values + used, sizeof values - used, " 0x%08x", value);
    }
    __builtin_ms_va_end(list);
    host_warn("%s: the driver wrote to the error log: code 0x%08x%s", adapter ? adapter->name : "?",
              ErrorCode, values);
}
