/* Registration of miniport drivers.  As on Windows, NDIS fills the driver object's dispatch table with its
 * own handlers: a miniport may replace some afterwards and pass on to the old ones what is not its own. */
#include "ndis.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <string.h>

struct control_device { /* NdisRegisterDeviceEx */
    struct control_device *next;
    struct ndis_driver *driver;
    DEVICE_OBJECT *object;
    DRIVER_DISPATCH *dispatch[IRP_MJ_MAXIMUM_FUNCTION + 1];
    UNICODE_STRING link; /* Buffer NULL: none */
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ndis_driver *drivers;
static struct control_device *devices;

struct ndis_driver *driver_find(const DRIVER_OBJECT *object)
{
    struct ndis_driver *driver;

    pthread_mutex_lock(&registry_lock);
    for (driver = drivers; driver && driver->object != object; driver = driver->next)
        ;
    pthread_mutex_unlock(&registry_lock);
    return driver;
}

static NTSTATUS complete(IRP *irp, NTSTATUS status)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 0;
    IofCompleteRequest(irp, 0);
    return status;
}

static NTSTATUS adapter_pnp(struct ndis_adapter *adapter, IRP *irp, uint8_t minor)
{
    switch (minor) {
    case IRP_MN_QUERY_REMOVE_DEVICE:
        adapter->removal_pending = true;
        adapter_notify_pnp(adapter, NdisDevicePnPEventQueryRemoved);
        return complete(irp, STATUS_SUCCESS);
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        adapter->removal_pending = false;
        return complete(irp, STATUS_SUCCESS);
    case IRP_MN_SURPRISE_REMOVAL:
        adapter->surprise_removed = true;
        adapter_notify_pnp(adapter, NdisDevicePnPEventSurpriseRemoved);
        return complete(irp, STATUS_SUCCESS);
    case IRP_MN_REMOVE_DEVICE:
        adapter_stop(adapter);
        return complete(irp, STATUS_SUCCESS);
    case IRP_MN_START_DEVICE:
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
        return complete(irp, STATUS_SUCCESS);
    default:
        return complete(irp, STATUS_NOT_SUPPORTED);
    }
}

/* NDIS's own dispatch routine for every major function. */
static NTSTATUS NTAPI ndis_dispatch(DEVICE_OBJECT *object, IRP *irp)
{
    const IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    DRIVER_DISPATCH *handler = NULL;
    struct control_device *device;
    struct ndis_adapter *adapter;

    pthread_mutex_lock(&registry_lock);
    for (device = devices; device && device->object != object; device = device->next)
        ;
    if (device && location->MajorFunction <= IRP_MJ_MAXIMUM_FUNCTION)
        handler = device->dispatch[location->MajorFunction];
    pthread_mutex_unlock(&registry_lock);
    if (handler) {
        struct host_callback cb;
        NTSTATUS status;

        host_callback_begin(&cb, "control device dispatch routine");
        status = handler(object, irp);
        host_callback_end(&cb);
        return status;
    }

    adapter = device ? NULL : adapter_from_device(object);
    switch (location->MajorFunction) {
    case IRP_MJ_CREATE:
    case IRP_MJ_CLEANUP:
    case IRP_MJ_CLOSE:
        return complete(irp, STATUS_SUCCESS);
    case IRP_MJ_PNP:
        if (adapter)
            return adapter_pnp(adapter, irp, location->MinorFunction);
        return complete(irp, STATUS_NOT_SUPPORTED);
    case IRP_MJ_POWER:
        return complete(irp, adapter ? STATUS_SUCCESS : STATUS_NOT_SUPPORTED);
    default:
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST);
    }
}

static NTSTATUS NTAPI ndis_add_device(DRIVER_OBJECT *driver, DEVICE_OBJECT *physical)
{
    return STATUS_SUCCESS; /* the host creates adapters itself: ndis_adapter_create() */
}

/* Header and handlers that every NDIS 6 miniport must have. */
static NDIS_STATUS check_characteristics(const NDIS_MINIPORT_DRIVER_CHARACTERISTICS *c)
{
    static const uint16_t sizes[] = {0, NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_1,
                                     NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2,
                                     NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_3};

    if (c->Header.Type != NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS || c->Header.Revision < 1 ||
        c->Header.Revision > 3 || c->Header.Size < sizes[c->Header.Revision])
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    if (c->MajorNdisVersion != NDIS_MINIPORT_MAJOR_VERSION ||
        ((uint32_t)c->MajorNdisVersion << 16 | c->MinorNdisVersion) > NDIS_HOST_VERSION)
        return NDIS_STATUS_BAD_VERSION;
    /* Revisions 2 and 3 need NDIS 6.10 and 6.80. */
    if ((c->Header.Revision == 2 && c->MinorNdisVersion < 1) ||
        (c->Header.Revision == 3 && c->MinorNdisVersion < 80))
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    if (!c->InitializeHandlerEx || !c->HaltHandlerEx || !c->PauseHandler || !c->RestartHandler ||
        !c->OidRequestHandler || !c->SendNetBufferListsHandler || !c->ReturnNetBufferListsHandler ||
        !c->CancelSendHandler || !c->DevicePnPEventNotifyHandler || !c->ShutdownHandlerEx)
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    return NDIS_STATUS_SUCCESS;
}

NDIS_STATUS NTAPI NdisMRegisterMiniportDriver(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath,
                                              NDIS_HANDLE MiniportDriverContext,
                                              PNDIS_MINIPORT_DRIVER_CHARACTERISTICS Characteristics,
                                              PNDIS_HANDLE NdisMiniportDriverHandle)
{
    NDIS_STATUS status = check_characteristics(Characteristics);
    struct ndis_driver *driver;
    size_t bytes;

    *NdisMiniportDriverHandle = NULL;
    if (status != NDIS_STATUS_SUCCESS) {
        if (host_options.verify)
            verify_report(
                RULE_NDIS_ATTRIBUTES,
                "NdisMRegisterMiniportDriver: characteristics of type 0x%x, revision %u, size %u for "
                "NDIS %u.%u: status 0x%08x",
                Characteristics->Header.Type, Characteristics->Header.Revision, Characteristics->Header.Size,
                Characteristics->MajorNdisVersion, Characteristics->MinorNdisVersion, (unsigned)status);
        return status;
    }
    if (driver_find(DriverObject))
        return NDIS_STATUS_FAILURE;
    driver = calloc(1, sizeof *driver);
    if (!driver)
        return NDIS_STATUS_RESOURCES;
    driver->object = DriverObject;
    driver->context = MiniportDriverContext;
    bytes = Characteristics->Header.Size < sizeof driver->handlers ? Characteristics->Header.Size
                                                                   : sizeof driver->handlers;
    memcpy(&driver->handlers, Characteristics, bytes);
    for (unsigned i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        DriverObject->MajorFunction[i] = ndis_dispatch;
    if (DriverObject->DriverExtension)
        DriverObject->DriverExtension->AddDevice = ndis_add_device;
    DriverObject->DriverUnload = driver->handlers.UnloadHandler;

    pthread_mutex_lock(&registry_lock);
    driver->next = drivers;
    drivers = driver;
    pthread_mutex_unlock(&registry_lock);
    *NdisMiniportDriverHandle = driver;

    if (driver->handlers.SetOptionsHandler) {
        struct host_callback cb;

        host_callback_begin(&cb, "MiniportSetOptions");
        status = driver->handlers.SetOptionsHandler(driver, MiniportDriverContext);
        host_callback_end(&cb);
        if (status != NDIS_STATUS_SUCCESS) {
            NdisMDeregisterMiniportDriver(driver);
            *NdisMiniportDriverHandle = NULL;
        }
    }
    return status;
}

VOID NTAPI NdisMDeregisterMiniportDriver(NDIS_HANDLE NdisMiniportDriverHandle)
{
    struct ndis_driver *driver = NdisMiniportDriverHandle, **link;

    pthread_mutex_lock(&registry_lock);
    for (link = &drivers; *link && *link != driver; link = &(*link)->next)
        ;
    if (*link)
        *link = driver->next;
    else
        driver = NULL;
    pthread_mutex_unlock(&registry_lock);
    if (!driver) {
        if (host_options.verify)
            verify_report(RULE_NDIS_STATE, "NdisMDeregisterMiniportDriver: %p is not registered",
                          NdisMiniportDriverHandle);
        host_warn("NdisMDeregisterMiniportDriver: %p is not registered", NdisMiniportDriverHandle);
        return;
    }
    if (driver->adapters && host_options.verify)
        verify_report(RULE_NDIS_STATE, "NdisMDeregisterMiniportDriver: %u of its adapters are not halted",
                      driver->adapters);
    free(driver);
}

NDIS_STATUS NTAPI NdisSetOptionalHandlers(NDIS_HANDLE NdisHandle,
                                          PNDIS_DRIVER_OPTIONAL_HANDLERS OptionalHandlers)
{
    return NDIS_STATUS_NOT_SUPPORTED; /* no co-NDIS, no NetDma, no TCP chimney here */
}

UINT NTAPI NdisGetVersion(VOID)
{
    return NDIS_HOST_VERSION;
}

NDIS_STATUS NTAPI NdisRegisterDeviceEx(NDIS_HANDLE NdisHandle, PNDIS_DEVICE_OBJECT_ATTRIBUTES Attributes,
                                       PDEVICE_OBJECT *pDeviceObject, PNDIS_HANDLE NdisDeviceHandle)
{
    struct control_device *device;
    struct ndis_driver *driver = NdisHandle;
    NTSTATUS status;

    *pDeviceObject = NULL;
    *NdisDeviceHandle = NULL;
    if (((struct ndis_adapter *)NdisHandle)->magic == ADAPTER_MAGIC)
        driver = ((struct ndis_adapter *)NdisHandle)->driver;
    if (Attributes->Header.Type != NDIS_OBJECT_TYPE_DEVICE_OBJECT_ATTRIBUTES ||
        Attributes->Header.Revision != NDIS_DEVICE_OBJECT_ATTRIBUTES_REVISION_1 ||
        Attributes->Header.Size < NDIS_SIZEOF_DEVICE_OBJECT_ATTRIBUTES_REVISION_1 ||
        !Attributes->DeviceName || !Attributes->MajorFunctions) {
        if (host_options.verify)
            verify_report(RULE_NDIS_ATTRIBUTES, "NdisRegisterDeviceEx: invalid attributes");
        return NDIS_STATUS_INVALID_PARAMETER;
    }
    device = calloc(1, sizeof *device);
    if (!device)
        return NDIS_STATUS_RESOURCES;
    status = IoCreateDevice(driver->object, Attributes->ExtensionSize, Attributes->DeviceName,
                            FILE_DEVICE_NETWORK, FILE_DEVICE_SECURE_OPEN, FALSE, &device->object);
    if (status < 0) {
        free(device);
        return status;
    }
    if (Attributes->SymbolicName) {
        status = IoCreateSymbolicLink(Attributes->SymbolicName, Attributes->DeviceName);
        if (status >= 0) {
            device->link = *Attributes->SymbolicName;
            device->link.MaximumLength = device->link.Length;
            device->link.Buffer = malloc(device->link.Length ? device->link.Length : 1u);
            if (device->link.Buffer) {
                memcpy(device->link.Buffer, Attributes->SymbolicName->Buffer, device->link.Length);
            } else {
                IoDeleteSymbolicLink(Attributes->SymbolicName);
                status = STATUS_INSUFFICIENT_RESOURCES;
            }
        }
        if (status < 0) {
            IoDeleteDevice(device->object);
            free(device);
            return status;
        }
    }
    device->driver = driver;
    memcpy(device->dispatch, Attributes->MajorFunctions, sizeof device->dispatch);
    device->object->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    pthread_mutex_lock(&registry_lock);
    device->next = devices;
    devices = device;
    pthread_mutex_unlock(&registry_lock);
    *pDeviceObject = device->object;
    *NdisDeviceHandle = device;
    return NDIS_STATUS_SUCCESS;
}

VOID NTAPI NdisDeregisterDeviceEx(NDIS_HANDLE NdisDeviceHandle)
{
    struct control_device *device = NdisDeviceHandle, **link;

    pthread_mutex_lock(&registry_lock);
    for (link = &devices; *link && *link != device; link = &(*link)->next)
        ;
    if (*link)
        *link = device->next;
    else
        device = NULL;
    pthread_mutex_unlock(&registry_lock);
    if (!device) {
        if (host_options.verify)
            verify_report(RULE_NDIS_STATE, "NdisDeregisterDeviceEx: %p is not registered", NdisDeviceHandle);
        return;
    }
    if (device->link.Buffer) {
        IoDeleteSymbolicLink(&device->link);
        free(device->link.Buffer);
    }
    IoDeleteDevice(device->object);
    free(device);
}
