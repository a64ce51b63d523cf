/* Devices of the proxy driver: the one for control and one per adapter. */
#include "proxy.h"

#include <nt/rtl.h>

enum { NAME_UNITS = PROXY_LINK_UNITS + 16 };

static DRIVER_OBJECT *this_driver;
static DEVICE_OBJECT *control_device;
static struct proxy_device *devices;
static ULONG devices_ever;

/* Appends to a zero-terminated text of NAME_UNITS. */
static void append(WCHAR *text, const WCHAR *more)
{
    ULONG length = 0;

    while (text[length]) {
        length++;
    }
    while (*more && length < NAME_UNITS - 1) {
        text[length++] = *more++;
    }
    text[length] = 0;
}

static void device_name(WCHAR *name, ULONG number)
{
    WCHAR digits[9] = {0};

    for (ULONG i = 0; i < 8; i++) {
        ULONG digit = (number >> (28 - 4 * i)) & 15;
        digits[i] = (WCHAR)(digit < 10 ? '0' + digit : 'a' + digit - 10);
    }
    name[0] = 0;
    append(name, u"\\Device\\WyrmBridge");
    append(name, digits);
}

static void link_name(WCHAR *name, const struct proxy_adapter *adapter)
{
    name[0] = 0;
    append(name, u"\\DosDevices\\");
    append(name, adapter->link);
}

static WCHAR lower(WCHAR unit)
{
    return unit >= 'A' && unit <= 'Z' ? (WCHAR)(unit + 'a' - 'A') : unit;
}

static struct proxy_device *find(const struct proxy_adapter *adapter)
{
    for (struct proxy_device *device = devices; device; device = device->next) {
        ULONG i = 0;
        while (adapter->link[i] && lower(adapter->link[i]) == lower(device->adapter.link[i])) {
            i++;
        }
        if (!device->removed && lower(adapter->link[i]) == lower(device->adapter.link[i])) {
            return device;
        }
    }
    return NULL;
}

static NTSTATUS add(const struct proxy_adapter *adapter)
{
    WCHAR name[NAME_UNITS], link[NAME_UNITS];
    UNICODE_STRING name_string, link_string;
    struct proxy_device *device = find(adapter);
    DEVICE_OBJECT *object;
    NTSTATUS status;

    if (device) {
        device->adapter = *adapter;
        return STATUS_SUCCESS;
    }
    device_name(name, devices_ever++);
    link_name(link, adapter);
    RtlInitUnicodeString(&name_string, name);
    RtlInitUnicodeString(&link_string, link);
    status = IoCreateDevice(this_driver, sizeof(*device), &name_string, FILE_DEVICE_PHYSICAL_NETCARD, 0,
                            FALSE, &object);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = IoCreateSymbolicLink(&link_string, &name_string);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(object);
        return status;
    }
    device = object->DeviceExtension;
    *device = (struct proxy_device){.next = devices, .device = object, .adapter = *adapter};
    devices = device;
    object->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static void free_unused(struct proxy_device *device)
{
    struct proxy_device **link = &devices;

    if (!device->removed || device->files) {
        return;
    }
    while (*link != device) {
        link = &(*link)->next;
    }
    *link = device->next;
    IoDeleteDevice(device->device);
}

static NTSTATUS remove(const struct proxy_adapter *adapter)
{
    WCHAR link[NAME_UNITS];
    UNICODE_STRING link_string;
    struct proxy_device *device = find(adapter);

    if (!device) {
        return STATUS_NOT_FOUND;
    }
    link_name(link, &device->adapter);
    RtlInitUnicodeString(&link_string, link);
    IoDeleteSymbolicLink(&link_string);
    device->removed = TRUE;
    free_unused(device);
    return STATUS_SUCCESS;
}

static NTSTATUS control(IRP *irp)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    struct proxy_adapter *adapter = irp->AssociatedIrp.SystemBuffer;

    if (stack->Parameters.DeviceIoControl.InputBufferLength != sizeof(*adapter)) {
        return STATUS_INVALID_PARAMETER;
    }
    adapter->link[PROXY_LINK_UNITS - 1] = 0;
    adapter->socket[LINUX_PATH_BYTES - 1] = 0;
    switch (stack->Parameters.DeviceIoControl.IoControlCode) {
    case PROXY_IOCTL_ADD:
        return add(adapter);
    case PROXY_IOCTL_REMOVE:
        return remove(adapter);
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

static NTSTATUS complete(IRP *irp, NTSTATUS status)
{
    if (status != STATUS_PENDING) {
        irp->IoStatus.Status = status;
        irp->IoStatus.Information = 0;
        IoCompleteRequest(irp, 0);
    }
    return status;
}

static NTSTATUS NTAPI dispatch_create(DEVICE_OBJECT *object, IRP *irp)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    struct proxy_device *device = object->DeviceExtension;
    NTSTATUS status = STATUS_SUCCESS;

    if (object != control_device) {
        struct proxy_file *file = NULL;
        status = proxy_file_open(device, &file);
        if (NT_SUCCESS(status)) {
            stack->FileObject->FsContext = file;
            device->files++;
        }
    }
    return complete(irp, status);
}

static NTSTATUS NTAPI dispatch_close(DEVICE_OBJECT *object, IRP *irp)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    struct proxy_device *device = object->DeviceExtension;

    if (object != control_device && stack->FileObject->FsContext) {
        proxy_file_close(stack->FileObject->FsContext);
        device->files--;
        free_unused(device);
    }
    return complete(irp, STATUS_SUCCESS);
}

static NTSTATUS NTAPI dispatch_control(DEVICE_OBJECT *object, IRP *irp)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);

    if (object == control_device) {
        return complete(irp, control(irp));
    }
    /* Wine gives a program its handle whatever the driver says to IRP_MJ_CREATE. */
    if (!stack->FileObject->FsContext) {
        return complete(irp, STATUS_NO_SUCH_DEVICE);
    }
    return complete(irp, proxy_file_control(stack->FileObject->FsContext, irp));
}

static VOID NTAPI unload(DRIVER_OBJECT *driver)
{
    UNICODE_STRING link;

    (void)driver;
    while (devices) { /* no file is open any more */
        struct proxy_device *device = devices;
        if (device->removed) {
            devices = device->next;
            IoDeleteDevice(device->device);
        } else {
            remove(&device->adapter);
        }
    }
    RtlInitUnicodeString(&link, u"\\DosDevices\\WyrmBridge");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(control_device);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path)
{
    UNICODE_STRING name, link;
    NTSTATUS status;

    (void)registry_path;
    this_driver = driver;
    RtlInitUnicodeString(&name, u"\\Device\\WyrmBridge");
    RtlInitUnicodeString(&link, u"\\DosDevices\\WyrmBridge");
    status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &control_device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(control_device);
        return status;
    }
    driver->MajorFunction[IRP_MJ_CREATE] = dispatch_create;
    driver->MajorFunction[IRP_MJ_CLOSE] = dispatch_close;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = dispatch_control;
    driver->DriverUnload = unload;
    control_device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}
