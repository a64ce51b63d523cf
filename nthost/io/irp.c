/* IRPs: allocation, travel down (IofCallDriver) and up (IofCompleteRequest) a device stack, cancellation.
 * Verify mode checks ownership: a driver may touch or complete an IRP only while it has it. */
#include "host.h"
#include "io/request.h"
#include "nt/io.h"
#include "nt/rtl.h"
#include "ps/process.h"
#include "sched/sched.h"
#include "se/token.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <string.h>

#define BUGCHECK_NO_MORE_STACK_LOCATIONS    0x35u
#define BUGCHECK_MULTIPLE_COMPLETE_REQUESTS 0x44u
#define BUGCHECK_CANCEL_IN_COMPLETED_IRP    0x48u

static KSPIN_LOCK cancel_lock;

VOID NTAPI IoInitializeIrp(PIRP Irp, USHORT PacketSize, CCHAR StackSize)
{
    memset(Irp, 0, PacketSize);
    Irp->Type = IO_TYPE_IRP;
    Irp->Size = PacketSize;
    Irp->StackCount = StackSize;
    Irp->CurrentLocation = (CHAR)(StackSize + 1);
    Irp->Tail.Overlay.CurrentStackLocation = (PIO_STACK_LOCATION)(Irp + 1) + StackSize;
    InitializeListHead(&Irp->ThreadListEntry);
}

PIRP NTAPI IoAllocateIrp(CCHAR StackSize, BOOLEAN ChargeQuota)
{
    (void)ChargeQuota;
    if (StackSize < 0)
        return NULL;
    USHORT size = IoSizeOfIrp(StackSize);
    PIRP irp = lent_allocate(size, "IRP", RULE_IRP_NOT_OWNED);
    if (!irp)
        return NULL;
    IoInitializeIrp(irp, size, StackSize);
    irp->AllocationFlags = IRP_FROM_DRIVER;
    host_count_add(HOST_IRP, 1);
    if (host_options.verify)
        ledger_add(HOST_IRP, irp, OWNER_DRIVER, "IRP");
    return irp;
}

VOID NTAPI IoFreeIrp(PIRP Irp)
{
    if (host_options.verify) {
        ledger_remove(HOST_IRP, Irp, OWNER_DRIVER, RULE_IRP_NOT_OWNED);
        if (Irp->CancelRoutine)
            verify_report(RULE_IRP_CANCEL_ROUTINE, "IoFreeIrp: the IRP still has a cancel routine");
    }
    host_count_add(HOST_IRP, -1);
    lent_free(Irp);
}

VOID NTAPI IoReuseIrp(PIRP Irp, NTSTATUS Iostatus)
{
    UCHAR flags = Irp->AllocationFlags;
    if (host_options.verify && ledger_owned_by(HOST_IRP, Irp, OWNER_WSK))
        verify_report(RULE_IRP_NOT_OWNED, "IoReuseIrp: the IRP %p is pending in Winsock Kernel", (void *)Irp);
    IoInitializeIrp(Irp, Irp->Size, Irp->StackCount);
    Irp->AllocationFlags = flags;
    Irp->IoStatus.Status = Iostatus;
}

/* ---- down ---- */

NTSTATUS FASTCALL IofCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    if (--Irp->CurrentLocation <= 0) {
        if (host_options.verify)
            verify_report(RULE_IRP_STACK_LOCATION,
                          "IofCallDriver: the IRP has no stack location left (of %d)", Irp->StackCount);
        KeBugCheckEx(BUGCHECK_NO_MORE_STACK_LOCATIONS, (ULONG_PTR)Irp, 0, 0, 0);
    }
    PIO_STACK_LOCATION stack = --Irp->Tail.Overlay.CurrentStackLocation;
    stack->DeviceObject = DeviceObject;
    if (stack->MajorFunction > IRP_MJ_MAXIMUM_FUNCTION) {
        Irp->IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
        IofCompleteRequest(Irp, IO_NO_INCREMENT);
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    PDRIVER_DISPATCH dispatch = DeviceObject->DriverObject->MajorFunction[stack->MajorFunction];
    struct host_callback callback;
    host_callback_begin(&callback, "dispatch routine");
    NTSTATUS status = dispatch(DeviceObject, Irp);
    host_callback_end(&callback);
    return status;
}

/* ---- up ---- */

static bool wants_completion(const IO_STACK_LOCATION *stack, const IRP *irp)
{
    if (!stack->CompletionRoutine)
        return false;
    return (NT_SUCCESS(irp->IoStatus.Status) && (stack->Control & SL_INVOKE_ON_SUCCESS)) ||
           (!NT_SUCCESS(irp->IoStatus.Status) && (stack->Control & SL_INVOKE_ON_ERROR)) ||
           (irp->Cancel && (stack->Control & SL_INVOKE_ON_CANCEL));
}

static void check_completion(PIRP irp)
{
    if (irp->CancelRoutine)
        verify_report(
            RULE_IRP_CANCEL_ROUTINE,
            "IoCompleteRequest: the IRP still has a cancel routine (IoSetCancelRoutine(Irp, NULL))");
    if (irp->IoStatus.Status == STATUS_PENDING)
        verify_report(RULE_IRP_INFORMATION, "IoCompleteRequest: IoStatus.Status is STATUS_PENDING");
}

static void check_not_completed(PIRP irp)
{
    if ((irp->AllocationFlags & IRP_FROM_REQUEST) &&
        (irp->CurrentLocation > irp->StackCount ||
         __atomic_load_n(&request_of(irp)->completed, __ATOMIC_ACQUIRE)))
        verify_report(RULE_IRP_COMPLETED_TWICE, "IoCompleteRequest: the IRP %p has been completed already",
                      (void *)irp);
}

VOID FASTCALL IofCompleteRequest(PIRP Irp, CCHAR PriorityBoost)
{
    (void)PriorityBoost;
    if (host_options.verify) {
        check_not_completed(Irp);
        check_completion(Irp);
    }
    if (Irp->CurrentLocation > Irp->StackCount + 1)
        KeBugCheckEx(BUGCHECK_MULTIPLE_COMPLETE_REQUESTS, (ULONG_PTR)Irp, 0, 0, 0);

    while (Irp->CurrentLocation <= Irp->StackCount) {
        PIO_STACK_LOCATION stack = Irp->Tail.Overlay.CurrentStackLocation;
        Irp->PendingReturned = (stack->Control & SL_PENDING_RETURNED) != 0;
        Irp->CurrentLocation++;
        Irp->Tail.Overlay.CurrentStackLocation++;
        bool top = Irp->CurrentLocation > Irp->StackCount;
        if (wants_completion(stack, Irp)) {
            PIO_COMPLETION_ROUTINE routine = stack->CompletionRoutine;
            PVOID context = stack->Context;
            PDEVICE_OBJECT device = top ? NULL : Irp->Tail.Overlay.CurrentStackLocation->DeviceObject;
            stack->CompletionRoutine = NULL;
            stack->Control = 0;
            struct host_callback callback;
            host_callback_begin(&callback, "completion routine");
            NTSTATUS status = routine(device, Irp, context);
            host_callback_end(&callback);
            if (status == STATUS_MORE_PROCESSING_REQUIRED)
                return; /* the IRP may be gone: the routine's owner has it again */
        } else if (Irp->PendingReturned && !top) {
            IoMarkIrpPending(Irp);
        }
    }
    if (Irp->AllocationFlags & IRP_FROM_REQUEST) {
        request_completed(Irp);
    } else if (host_options.verify) {
        verify_report(
            RULE_IRP_NOT_OWNED,
            "IRP %p, made by the driver, was completed to its end: its completion routine has to return "
            "STATUS_MORE_PROCESSING_REQUIRED",
            (void *)Irp);
    } else {
        host_warn("an IRP made by the driver was completed to its end; it is left to the driver");
    }
}

/* ---- cancellation ---- */

VOID NTAPI IoAcquireCancelSpinLock(PKIRQL Irql)
{
    *Irql = KeAcquireSpinLockRaiseToDpc(&cancel_lock);
}

VOID NTAPI IoReleaseCancelSpinLock(KIRQL Irql)
{
    KeReleaseSpinLock(&cancel_lock, Irql);
}

BOOLEAN NTAPI IoCancelIrp(PIRP Irp)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&cancel_lock);
    Irp->Cancel = TRUE;
    PDRIVER_CANCEL routine = IoSetCancelRoutine(Irp, NULL);
    if (!routine) {
        KeReleaseSpinLock(&cancel_lock, irql);
        return FALSE;
    }
    if (Irp->CurrentLocation > Irp->StackCount + 1)
        KeBugCheckEx(BUGCHECK_CANCEL_IN_COMPLETED_IRP, (ULONG_PTR)Irp, 0, 0, 0);
    Irp->CancelIrql = irql;
    /* The routine releases the lock, and the IRP may be gone when it returns. */
    routine(IoGetCurrentIrpStackLocation(Irp)->DeviceObject, Irp);
    if (host_options.verify && sched_irql() != irql)
        verify_report(
            RULE_IRQL_CALLBACK_EXIT,
            "the cancel routine returned at IRQL %u instead of %u (IoReleaseCancelSpinLock(Irp->CancelIrql))",
            sched_irql(), irql);
    return TRUE;
}

/* ---- who asks ---- */

PEPROCESS NTAPI IoGetRequestorProcess(PIRP Irp)
{
    (void)Irp; /* there is one process */
    return IoGetCurrentProcess();
}

BOOLEAN NTAPI IoIs32bitProcess(PIRP Irp)
{
    struct io_request *request = Irp ? request_of(Irp) : NULL;
    const struct io_token *token = request ? request->token : token_current();
    return token->process32 ? TRUE : FALSE;
}
