/*
 * Breaks of the rules about IRPs and memory descriptor lists.
 */
#include "breaks.h"

static BREAKS NTSTATUS completed_twice(PDEVICE_OBJECT device, PIRP irp)
{
    complete_irp(irp, STATUS_SUCCESS, 0);
    return complete_irp(irp, STATUS_SUCCESS, 0);
}

static BREAKS NTSTATUS pending_not_marked(PDEVICE_OBJECT device, PIRP irp)
{
    complete_irp(irp, STATUS_SUCCESS, 0);
    return STATUS_PENDING;
}

static BREAKS NTSTATUS marked_not_pending(PDEVICE_OBJECT device, PIRP irp)
{
    IoMarkIrpPending(irp);
    return complete_irp(irp, STATUS_SUCCESS, 0);
}

static BREAKS NTSTATUS not_completed(PDEVICE_OBJECT device, PIRP irp)
{
    return STATUS_SUCCESS;
}

static BREAKS NTSTATUS too_much_information(PDEVICE_OBJECT device, PIRP irp)
{
    ULONG length = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.OutputBufferLength;
    return complete_irp(irp, STATUS_SUCCESS, length + 1);
}

static BREAKS NTSTATUS output_not_written(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    return complete_irp(irp, STATUS_SUCCESS, stack->Parameters.DeviceIoControl.OutputBufferLength);
}

static BREAKS NTSTATUS overrun_system_buffer(PDEVICE_OBJECT device, PIRP irp)
{
    volatile UCHAR *buffer = irp->AssociatedIrp.SystemBuffer;
    for (ULONG i = 0; i < 64; i++) {
        buffer[i] = 0;
    }
    return complete_irp(irp, STATUS_SUCCESS, 0);
}

static BREAKS NTSTATUS completed_with_pending(PDEVICE_OBJECT device, PIRP irp)
{
    return complete_irp(irp, STATUS_PENDING, 0);
}

static VOID NTAPI cancel_routine(PDEVICE_OBJECT device, PIRP irp)
{
    IoReleaseCancelSpinLock(irp->CancelIrql);
    complete_irp(irp, STATUS_CANCELLED, 0);
}

static BREAKS NTSTATUS cancel_routine_left(PDEVICE_OBJECT device, PIRP irp)
{
    IoSetCancelRoutine(irp, cancel_routine);
    return complete_irp(irp, STATUS_SUCCESS, 0);
}

static BREAKS VOID no_stack_location(struct adapter *adapter)
{
    PDEVICE_OBJECT device = NULL;
    PIRP irp = IoAllocateIrp(0, FALSE);
    NdisMGetDeviceProperty(adapter->handle, NULL, &device, NULL, NULL, NULL);
    IoCallDriver(device, irp);
    IoFreeIrp(irp);
}

static BREAKS VOID irp_freed_twice(struct adapter *adapter)
{
    PIRP irp = IoAllocateIrp(1, FALSE);
    IoFreeIrp(irp);
    IoFreeIrp(irp);
}

static BREAKS VOID irp_after_free(struct adapter *adapter)
{
    PIRP irp = IoAllocateIrp(1, FALSE);
    IoFreeIrp(irp);
    ((volatile IRP *)irp)->IoStatus.Information = 5;
}

/* ---- MDLs ---- */

static UCHAR memory[5000];

static BREAKS VOID mdl_freed_twice(struct adapter *adapter)
{
    PMDL mdl = IoAllocateMdl(memory, sizeof(memory), FALSE, FALSE, NULL);
    IoFreeMdl(mdl);
    IoFreeMdl(mdl);
}

static BREAKS VOID mdl_after_free(struct adapter *adapter)
{
    PMDL mdl = IoAllocateMdl(memory, sizeof(memory), FALSE, FALSE, NULL);
    IoFreeMdl(mdl);
    ((volatile MDL *)mdl)->ByteCount = 0;
}

static BREAKS VOID mdl_unlock(struct adapter *adapter)
{
    PMDL mdl = IoAllocateMdl(memory, sizeof(memory), FALSE, FALSE, NULL);
    MmUnlockPages(mdl);
    IoFreeMdl(mdl);
}

static BREAKS VOID mdl_partial_outside(struct adapter *adapter)
{
    PMDL source = IoAllocateMdl(memory, 100, FALSE, FALSE, NULL);
    PMDL target = IoAllocateMdl(memory, sizeof(memory), FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(source);
    IoBuildPartialMdl(source, target, memory + 50, 51);
    IoFreeMdl(target);
    IoFreeMdl(source);
}

const struct rule_break irp_breaks[] = {
    {.name = "completed_twice", .control = completed_twice},
    {.name = "pending_not_marked", .control = pending_not_marked},
    {.name = "marked_not_pending", .control = marked_not_pending},
    {.name = "not_completed", .control = not_completed},
    {.name = "too_much_information", .control = too_much_information},
    {.name = "output_not_written", .control = output_not_written},
    {.name = "overrun_system_buffer", .control = overrun_system_buffer},
    {.name = "completed_with_pending", .control = completed_with_pending},
    {.name = "cancel_routine_left", .control = cancel_routine_left},
    {.name = "no_stack_location", .passive = no_stack_location},
    {.name = "irp_freed_twice", .passive = irp_freed_twice},
    {.name = "irp_after_free", .passive = irp_after_free},
    {.name = "mdl_freed_twice", .passive = mdl_freed_twice},
    {.name = "mdl_after_free", .passive = mdl_after_free},
    {.name = "mdl_unlock", .passive = mdl_unlock},
    {.name = "mdl_partial_outside", .passive = mdl_partial_outside},
    {.name = NULL},
};
