/* Loading and unloading a driver, as the I/O manager does it: the driver object with all dispatch entries set
 * to "invalid request", the registry path, DriverEntry, then INIT is discarded. */
#include "io/driver.h"

#include "host.h"
#include "imports/imports.h"
#include "io/device.h"
#include "io/text.h"
#include "io/work.h"
#include "loader/image.h"
#include "nt/io.h"
#include "verify/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct driver {
    DRIVER_OBJECT object;
    DRIVER_EXTENSION extension;
    struct image *image;
    NTSTATUS entry_status;
    WCHAR name[128];
    WCHAR registry_path[192];
    WCHAR hardware[64];
    UNICODE_STRING registry_path_string;
    UNICODE_STRING hardware_string;
    UNICODE_STRING service_string;
};

static NTSTATUS NTAPI invalid_device_request(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    irp->IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
    irp->IoStatus.Information = 0;
    IofCompleteRequest(irp, IO_NO_INCREMENT);
    return STATUS_INVALID_DEVICE_REQUEST;
}

/* The service name is the file name without ".sys". */
static void name_driver(struct driver *driver)
{
    char service[64], text[192];
    snprintf(service, sizeof service, "%s", image_name(driver->image));
    size_t length = strlen(service);
    if (length > 4 && strcmp(service + length - 4, ".sys") == 0)
        service[length - 4] = 0;
    snprintf(text, sizeof text, "\\Driver\\%s", service);
    driver->object.DriverName = text_to_unicode(text, driver->name, sizeof driver->name);
    driver->service_string = driver->object.DriverName;
    driver->service_string.Buffer += 8;
    driver->service_string.Length -= 16;
    driver->service_string.MaximumLength -= 16;
    driver->extension.ServiceKeyName = driver->service_string;
    snprintf(text, sizeof text, "\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Services\\%s", service);
    driver->registry_path_string = text_to_unicode(text, driver->registry_path, sizeof driver->registry_path);
    driver->hardware_string = text_to_unicode("\\REGISTRY\\MACHINE\\HARDWARE\\DESCRIPTION\\SYSTEM",
                                              driver->hardware, sizeof driver->hardware);
    driver->object.HardwareDatabase = &driver->hardware_string;
}

bool driver_load(const char *path, struct driver **result, char *error, size_t error_size)
{
    struct driver *driver = calloc(1, sizeof *driver);
    if (!driver) {
        snprintf(error, error_size, "%s: no memory", path);
        return false;
    }
    driver->image = image_load(path, error, error_size);
    if (!driver->image) {
        free(driver);
        return false;
    }
    DRIVER_OBJECT *object = &driver->object;
    object->Type = IO_TYPE_DRIVER;
    object->Size = sizeof *object;
    object->DriverStart = image_base(driver->image);
    object->DriverSize = (ULONG)image_size(driver->image);
    object->DriverInit = (PDRIVER_INITIALIZE)image_entry(driver->image);
    object->DriverExtension = &driver->extension;
    driver->extension.DriverObject = object;
    name_driver(driver);
    for (unsigned i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        object->MajorFunction[i] = invalid_device_request;

    struct host_callback callback;
    host_callback_begin(&callback, "DriverEntry");
    driver->entry_status = object->DriverInit(object, &driver->registry_path_string);
    host_callback_end(&callback);

    if (driver->entry_status < 0) {
        import_fault_report();
        snprintf(error, error_size, "%s: DriverEntry returned 0x%08X", path, (unsigned)driver->entry_status);
        driver_free(driver);
        return false;
    }
    for (DEVICE_OBJECT *device = object->DeviceObject; device; device = device->NextDevice)
        device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    image_discard_init(driver->image);
    *result = driver;
    return true;
}

bool driver_stop(struct driver *driver)
{
    if (!driver->object.DriverUnload)
        return false;
    struct host_callback callback;
    host_callback_begin(&callback, "DriverUnload");
    driver->object.DriverUnload(&driver->object);
    host_callback_end(&callback);
    work_drain();
    work_shutdown();
    import_fault_report();
    return true;
}

void driver_free(struct driver *driver)
{
    image_unload(driver->image);
    free(driver);
}

bool driver_unload(struct driver *driver)
{
    if (!driver_stop(driver))
        return false;
    driver_free(driver);
    return true;
}

struct image *driver_image(const struct driver *driver)
{
    return driver->image;
}

struct _DRIVER_OBJECT *driver_object(const struct driver *driver)
{
    return (DRIVER_OBJECT *)&driver->object;
}

int32_t driver_entry_status(const struct driver *driver)
{
    return driver->entry_status;
}
