/* IRP dispatch of the adapter's device object.  NDIS owns the device; requests that are ours are answered
 * here, and all others, as well as devices that are not ours, go on to the handlers that NDIS installed. */
#include "control.h"
#include "driver.h"
#include "events.h"
#include "log_ring.h"
#include "state.h"
#include "wyrm/control.h"
#include "wyrm/control_extensions.h"

static struct {
    PDRIVER_DISPATCH create, cleanup, device_control, pnp;
} ndis;

static NTSTATUS complete(IRP *irp, NTSTATUS status, uint64_t information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = (ULONG_PTR)information;
    IofCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

/* The caller's buffer of a direct method; NULL when it gave none.  `status` tells a failed mapping from that.
 */
static void *direct_buffer(IRP *irp, NTSTATUS *status)
{
    *status = STATUS_SUCCESS;
    if (!irp->MdlAddress)
        return NULL;
    void *buffer = MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority | MdlMappingNoExecute);
    if (!buffer)
        *status = STATUS_INSUFFICIENT_RESOURCES;
    return buffer;
}

static NTSTATUS control_get(struct adapter *adapter, IRP *irp, const IO_STACK_LOCATION *stack,
                            uint64_t *information)
{
    NTSTATUS status;
    void *buffer = direct_buffer(irp, &status);
    if (!NT_SUCCESS(status))
        return status;
    if (adapter->removing)
        return NDIS_STATUS_ADAPTER_REMOVED;
    return config_get(adapter, buffer, stack->Parameters.DeviceIoControl.OutputBufferLength, information);
}

/* SET and SET_ATOMIC: `apply` is config_set or config_set_atomic. */
static NTSTATUS control_set(struct adapter *adapter, IRP *irp, const IO_STACK_LOCATION *stack,
                            NTSTATUS (*apply)(struct adapter *adapter, const void *buffer, uint32_t length,
                                              uint64_t *information),
                            uint64_t *information)
{
    NTSTATUS status;
    const void *buffer = direct_buffer(irp, &status);
    if (!NT_SUCCESS(status))
        return status;
    if (!buffer)
        return STATUS_INVALID_PARAMETER;
    if (adapter->removing)
        return NDIS_STATUS_ADAPTER_REMOVED;
    return apply(adapter, buffer, stack->Parameters.DeviceIoControl.OutputBufferLength, information);
}

static NTSTATUS control_state(struct adapter *adapter, IRP *irp, const IO_STACK_LOCATION *stack,
                              uint64_t *information)
{
    uint32_t *buffer = irp->AssociatedIrp.SystemBuffer, verb;
    if (stack->Parameters.DeviceIoControl.InputBufferLength != sizeof(verb))
        return STATUS_INVALID_PARAMETER;
    if (adapter->removing)
        return NDIS_STATUS_ADAPTER_REMOVED;
    verb = *buffer;
    if (verb == WYRM_ADAPTER_QUERY) {
        if (stack->Parameters.DeviceIoControl.OutputBufferLength != sizeof(verb))
            return STATUS_INVALID_PARAMETER;
        *buffer = adapter->up ? WYRM_ADAPTER_UP : WYRM_ADAPTER_DOWN;
        *information = sizeof(verb);
        return STATUS_SUCCESS;
    }
    if (verb != WYRM_ADAPTER_UP && verb != WYRM_ADAPTER_DOWN)
        return STATUS_INVALID_PARAMETER;
    KeWaitForSingleObject(&adapter->config_lock, Executive, KernelMode, FALSE, NULL);
    NTSTATUS status = verb == WYRM_ADAPTER_UP ? state_up(adapter) : state_down(adapter);
    KeReleaseMutex(&adapter->config_lock, FALSE);
    return status;
}

static NTSTATUS control_drops(struct adapter *adapter, IRP *irp, const IO_STACK_LOCATION *stack,
                              uint64_t *information)
{
    struct wyrm_ioctl_drops *out = irp->AssociatedIrp.SystemBuffer;
    uint32_t length = stack->Parameters.DeviceIoControl.OutputBufferLength;
    counters_sum sum;
    if (length < sizeof(*out))
        return STATUS_BUFFER_TOO_SMALL;
    if (adapter->removing)
        return NDIS_STATUS_ADAPTER_REMOVED;
    uint32_t count = (length - sizeof(*out)) / sizeof(sum.drops[0]);
    if (count > DROP_REASONS)
        count = DROP_REASONS;
    counters_read(adapter, &sum);
    *out = (struct wyrm_ioctl_drops){.version = WYRM_EXTENSIONS_VERSION, .count = DROP_REASONS};
    __builtin_memcpy(out + 1, sum.drops, count * sizeof(sum.drops[0]));
    *information = sizeof(*out) + count * sizeof(sum.drops[0]);
    return STATUS_SUCCESS;
}

/* Returns what the dispatch routine returns; the IRP is completed or pended. */
static NTSTATUS control_events(struct adapter *adapter, IRP *irp, const IO_STACK_LOCATION *stack)
{
    if (stack->Parameters.DeviceIoControl.InputBufferLength != sizeof(struct wyrm_ioctl_events_request))
        return complete(irp, STATUS_INVALID_PARAMETER, 0);
    if (stack->Parameters.DeviceIoControl.OutputBufferLength <
        sizeof(struct wyrm_ioctl_events) + sizeof(struct wyrm_ioctl_event))
        return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    if (adapter->removing)
        return complete(irp, NDIS_STATUS_ADAPTER_REMOVED, 0);
    events_read(adapter, irp);
    return STATUS_PENDING;
}

/* The same. */
static NTSTATUS control_log(struct adapter *adapter, IRP *irp, const IO_STACK_LOCATION *stack)
{
    if (stack->Parameters.DeviceIoControl.OutputBufferLength < sizeof(struct wyrm_ioctl_log_entry))
        return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    if (adapter->removing)
        return complete(irp, NDIS_STATUS_ADAPTER_REMOVED, 0);
    log_ring_read(adapter, irp);
    return STATUS_PENDING;
}

static NTSTATUS control_request(struct adapter *adapter, IRP *irp, const IO_STACK_LOCATION *stack)
{
    uint32_t code = stack->Parameters.DeviceIoControl.IoControlCode;
    bool reads = code == WYRM_IOCTL_GET || code == WYRM_IOCTL_LOG || code == WYRM_IOCTL_DROPS ||
                 code == WYRM_IOCTL_EVENTS;
    uint64_t information = 0;
    NTSTATUS status = security_check(irp, reads ? FILE_READ_DATA : FILE_WRITE_DATA);
    if (!NT_SUCCESS(status))
        return complete(irp, status, 0);
    switch (code) {
    case WYRM_IOCTL_GET:
        status = control_get(adapter, irp, stack, &information);
        break;
    case WYRM_IOCTL_SET:
        status = control_set(adapter, irp, stack, config_set, &information);
        break;
    case WYRM_IOCTL_SET_ATOMIC:
        status = control_set(adapter, irp, stack, config_set_atomic, &information);
        break;
    case WYRM_IOCTL_STATE:
        status = control_state(adapter, irp, stack, &information);
        break;
    case WYRM_IOCTL_DROPS:
        status = control_drops(adapter, irp, stack, &information);
        break;
    case WYRM_IOCTL_EVENTS:
        return control_events(adapter, irp, stack);
    default:
        return control_log(adapter, irp, stack);
    }
    return complete(irp, status, information);
}

static NTSTATUS NTAPI dispatch_device_control(PDEVICE_OBJECT device, PIRP irp)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    struct adapter *adapter;
    switch (stack->Parameters.DeviceIoControl.IoControlCode) {
    case WYRM_IOCTL_GET:
    case WYRM_IOCTL_SET:
    case WYRM_IOCTL_STATE:
    case WYRM_IOCTL_LOG:
    case WYRM_IOCTL_DROPS:
    case WYRM_IOCTL_EVENTS:
    case WYRM_IOCTL_SET_ATOMIC:
        adapter = adapter_from_device(device);
        if (adapter) {
            NTSTATUS status = control_request(adapter, irp, stack);
            adapter_release(adapter);
            return status;
        }
        break;
    default:
        break;
    }
    return ndis.device_control(device, irp);
}

static NTSTATUS NTAPI dispatch_create(PDEVICE_OBJECT device, PIRP irp)
{
    struct adapter *adapter = adapter_from_device(device);
    if (adapter) {
        bool removing = adapter->removing;
        adapter_release(adapter);
        if (removing)
            return complete(irp, NDIS_STATUS_ADAPTER_REMOVED, 0);
    }
    return ndis.create(device, irp);
}

/* The last handle of a file object was closed: its readers of the log and of events go home. */
static NTSTATUS NTAPI dispatch_cleanup(PDEVICE_OBJECT device, PIRP irp)
{
    struct adapter *adapter = adapter_from_device(device);
    if (adapter) {
        FILE_OBJECT *file = IoGetCurrentIrpStackLocation(irp)->FileObject;
        log_ring_wake(adapter, file, STATUS_CANCELLED);
        events_wake(adapter, file, STATUS_CANCELLED);
        adapter_release(adapter);
    }
    return ndis.cleanup(device, irp);
}

static NTSTATUS NTAPI dispatch_pnp(PDEVICE_OBJECT device, PIRP irp)
{
    struct adapter *adapter = adapter_from_device(device);
    if (adapter) {
        switch (IoGetCurrentIrpStackLocation(irp)->MinorFunction) {
        case IRP_MN_QUERY_REMOVE_DEVICE:
        case IRP_MN_SURPRISE_REMOVAL:
            state_removing(adapter, true);
            break;
        case IRP_MN_CANCEL_REMOVE_DEVICE:
            state_removing(adapter, false);
            break;
        default:
            break;
        }
        adapter_release(adapter);
    }
    return ndis.pnp(device, irp);
}

void control_hook_dispatch(DRIVER_OBJECT *object)
{
    ndis.create = object->MajorFunction[IRP_MJ_CREATE];
    ndis.cleanup = object->MajorFunction[IRP_MJ_CLEANUP];
    ndis.device_control = object->MajorFunction[IRP_MJ_DEVICE_CONTROL];
    ndis.pnp = object->MajorFunction[IRP_MJ_PNP];
    object->MajorFunction[IRP_MJ_CREATE] = dispatch_create;
    object->MajorFunction[IRP_MJ_CLEANUP] = dispatch_cleanup;
    object->MajorFunction[IRP_MJ_DEVICE_CONTROL] = dispatch_device_control;
    object->MajorFunction[IRP_MJ_PNP] = dispatch_pnp;
}
