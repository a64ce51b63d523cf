/* Device objects, device stacks, device names and symbolic links.  A deleted device stays until its last
 * reference is gone (open files), as on Windows. */
#include "io/device.h"

#include "host.h"
#include "io/text.h"
#include "nt/rtl.h"
#include "ob/object.h"
#include "verify/verify.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The host's part of a device object, as DEVICE_OBJECT.DeviceObjectExtension (opaque to drivers). */
struct _DEVOBJ_EXTENSION {
    UNICODE_STRING name;
    DEVICE_OBJECT *attached_to;
};

struct device_name { /* an entry of the object name space */
    struct device_name *next;
    UNICODE_STRING name;
    UNICODE_STRING target; /* of a symbolic link; empty for a device */
    DEVICE_OBJECT *device;
};

static pthread_mutex_t devices_lock = PTHREAD_MUTEX_INITIALIZER;
static struct device_name *names;

static void destroy_device(void *body)
{
    struct _DEVOBJ_EXTENSION *own = ((DEVICE_OBJECT *)body)->DeviceObjectExtension;
    if (own)
        free(own->name.Buffer);
    free(own);
}

static OBJECT_TYPE device_type = {"Device", destroy_device};
static POBJECT_TYPE device_type_pointer = &device_type;
POBJECT_TYPE *IoDeviceObjectType = &device_type_pointer;

static bool copy_string(UNICODE_STRING *copy, const UNICODE_STRING *string)
{
    copy->Buffer = malloc(string->Length + sizeof(WCHAR));
    if (!copy->Buffer)
        return false;
    memcpy(copy->Buffer, string->Buffer, string->Length);
    copy->Buffer[string->Length / sizeof(WCHAR)] = 0;
    copy->Length = string->Length;
    copy->MaximumLength = (USHORT)(string->Length + sizeof(WCHAR));
    return true;
}

static struct device_name **find_name(const UNICODE_STRING *name)
{
    struct device_name **link = &names;
    while (*link && !RtlEqualUnicodeString(&(*link)->name, name, TRUE))
        link = &(*link)->next;
    return link;
}

/* "\??\X" and "\GLOBAL??\X" are "\DosDevices\X". */
static UNICODE_STRING without_alias(const UNICODE_STRING *name, WCHAR *buffer, size_t size)
{
    static const char *const aliases[] = {"\\??\\", "\\GLOBAL??\\", "\\\\.\\"};
    char text[256];
    text_from_unicode(name, text, sizeof text);
    for (unsigned i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        size_t length = strlen(aliases[i]);
        if (strncasecmp(text, aliases[i], length) == 0 && strlen(text) < sizeof text - 16) {
            char full[sizeof text];
            snprintf(full, sizeof full, "\\DosDevices\\%.230s", text + length);
            return text_to_unicode(full, buffer, size);
        }
    }
    return *name;
}

static NTSTATUS add_name(const UNICODE_STRING *name, const UNICODE_STRING *target, DEVICE_OBJECT *device)
{
    WCHAR buffer[256];
    UNICODE_STRING real = without_alias(name, buffer, sizeof buffer);
    if (real.Length < 2 || real.Length % 2 || real.Buffer[0] != u'\\')
        return STATUS_OBJECT_NAME_INVALID;
    struct device_name *entry = calloc(1, sizeof *entry);
    if (!entry || !copy_string(&entry->name, &real) || (target && !copy_string(&entry->target, target))) {
        if (entry)
            free(entry->name.Buffer);
        free(entry);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    entry->device = device;
    pthread_mutex_lock(&devices_lock);
    bool exists = *find_name(&real) != NULL;
    if (!exists) {
        entry->next = names;
        names = entry;
    }
    pthread_mutex_unlock(&devices_lock);
    if (!exists)
        return STATUS_SUCCESS;
    free(entry->name.Buffer);
    free(entry->target.Buffer);
    free(entry);
    return STATUS_OBJECT_NAME_COLLISION;
}

static bool remove_name(const UNICODE_STRING *name, bool link_wanted)
{
    WCHAR buffer[256];
    UNICODE_STRING real = without_alias(name, buffer, sizeof buffer);
    pthread_mutex_lock(&devices_lock);
    struct device_name **link = find_name(&real), *entry = *link;
    if (entry && (entry->target.Buffer != NULL) == link_wanted)
        *link = entry->next;
    else
        entry = NULL;
    pthread_mutex_unlock(&devices_lock);
    if (!entry)
        return false;
    free(entry->name.Buffer);
    free(entry->target.Buffer);
    free(entry);
    return true;
}

DEVICE_OBJECT *device_by_name(const UNICODE_STRING *name)
{
    WCHAR buffer[256];
    UNICODE_STRING real = without_alias(name, buffer, sizeof buffer);
    DEVICE_OBJECT *device = NULL;
    pthread_mutex_lock(&devices_lock);
    for (unsigned links = 0; links < 8; links++) {
        struct device_name *entry = *find_name(&real);
        if (!entry)
            break;
        if (!entry->target.Buffer) {
            device = entry->device;
            break;
        }
        real = entry->target;
    }
    pthread_mutex_unlock(&devices_lock);
    return device;
}

DEVICE_OBJECT *device_stack_top(DEVICE_OBJECT *device)
{
    while (device->AttachedDevice)
        device = device->AttachedDevice;
    return device;
}

NTSTATUS NTAPI IoCreateDevice(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize,
                              PUNICODE_STRING DeviceName, DEVICE_TYPE DeviceType, ULONG DeviceCharacteristics,
                              BOOLEAN Exclusive, PDEVICE_OBJECT *DeviceObject)
{
    *DeviceObject = NULL;
    if (DeviceExtensionSize > 0xfff0 - sizeof(DEVICE_OBJECT)) /* DEVICE_OBJECT.Size is 16 bits wide */
        return STATUS_INVALID_PARAMETER;
    DEVICE_OBJECT *object = ob_create(&device_type, sizeof *object + DeviceExtensionSize);
    struct _DEVOBJ_EXTENSION *own = object ? calloc(1, sizeof *own) : NULL;
    if (object)
        object->DeviceObjectExtension = own;
    if (!own) {
        if (object)
            ob_dereference(object);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    object->Type = IO_TYPE_DEVICE;
    object->Size = (USHORT)(sizeof *object + DeviceExtensionSize);
    object->DriverObject = DriverObject;
    object->Flags = DO_DEVICE_INITIALIZING | (Exclusive ? DO_EXCLUSIVE : 0);
    object->Characteristics = DeviceCharacteristics;
    object->DeviceType = DeviceType;
    object->StackSize = 1;
    object->DeviceExtension = DeviceExtensionSize ? (PVOID)(object + 1) : NULL;
    InitializeListHead(&object->DeviceQueue.DeviceListHead);
    KeInitializeEvent(&object->DeviceLock, SynchronizationEvent, TRUE);

    if (DeviceName && DeviceName->Length) {
        NTSTATUS status = copy_string(&own->name, DeviceName) ? add_name(DeviceName, NULL, object)
                                                              : STATUS_INSUFFICIENT_RESOURCES;
        if (!NT_SUCCESS(status)) {
            ob_dereference(object);
            return status;
        }
        object->Flags |= DO_DEVICE_HAS_NAME;
    }
    pthread_mutex_lock(&devices_lock);
    object->NextDevice = DriverObject->DeviceObject;
    DriverObject->DeviceObject = object;
    pthread_mutex_unlock(&devices_lock);
    host_count_add(HOST_DEVICE, 1);
    if (host_options.verify)
        ledger_add(HOST_DEVICE, object, OWNER_DRIVER, "device object");
    *DeviceObject = object;
    return STATUS_SUCCESS;
}

void device_reference(DEVICE_OBJECT *object)
{
    __atomic_fetch_add(&object->ReferenceCount, 1, __ATOMIC_RELAXED);
    ob_reference(object);
}

void device_dereference(DEVICE_OBJECT *object)
{
    __atomic_fetch_sub(&object->ReferenceCount, 1, __ATOMIC_RELAXED);
    ob_dereference(object);
}

VOID NTAPI IoDeleteDevice(PDEVICE_OBJECT DeviceObject)
{
    struct _DEVOBJ_EXTENSION *own = DeviceObject->DeviceObjectExtension;
    if (host_options.verify) {
        ledger_remove(HOST_DEVICE, DeviceObject, OWNER_DRIVER, RULE_OBJECT_REFERENCE);
        if (DeviceObject->AttachedDevice)
            verify_report(RULE_OBJECT_REFERENCE,
                          "IoDeleteDevice: another device is still attached to this one");
    }
    if (own->name.Buffer)
        remove_name(&own->name, false);
    pthread_mutex_lock(&devices_lock);
    for (DEVICE_OBJECT **link = &DeviceObject->DriverObject->DeviceObject; *link;
         link = &(*link)->NextDevice) {
        if (*link == DeviceObject) {
            *link = DeviceObject->NextDevice;
            break;
        }
    }
    DeviceObject->NextDevice = NULL;
    pthread_mutex_unlock(&devices_lock);
    host_count_add(HOST_DEVICE, -1);
    ob_dereference(DeviceObject);
}

PDEVICE_OBJECT NTAPI IoAttachDeviceToDeviceStack(PDEVICE_OBJECT SourceDevice, PDEVICE_OBJECT TargetDevice)
{
    pthread_mutex_lock(&devices_lock);
    DEVICE_OBJECT *top = device_stack_top(TargetDevice);
    top->AttachedDevice = SourceDevice;
    SourceDevice->StackSize = (CCHAR)(top->StackSize + 1);
    SourceDevice->AlignmentRequirement = top->AlignmentRequirement;
    SourceDevice->DeviceObjectExtension->attached_to = top;
    pthread_mutex_unlock(&devices_lock);
    return top;
}

VOID NTAPI IoDetachDevice(PDEVICE_OBJECT TargetDevice)
{
    pthread_mutex_lock(&devices_lock);
    if (TargetDevice->AttachedDevice)
        TargetDevice->AttachedDevice->DeviceObjectExtension->attached_to = NULL;
    TargetDevice->AttachedDevice = NULL;
    pthread_mutex_unlock(&devices_lock);
}

NTSTATUS NTAPI IoCreateSymbolicLink(PUNICODE_STRING SymbolicLinkName, PUNICODE_STRING DeviceName)
{
    if (DeviceName->Length < 2)
        return STATUS_OBJECT_NAME_INVALID;
    NTSTATUS status = add_name(SymbolicLinkName, DeviceName, NULL);
    if (NT_SUCCESS(status))
        host_count_add(HOST_DEVICE, 1);
    return status;
}

NTSTATUS NTAPI IoDeleteSymbolicLink(PUNICODE_STRING SymbolicLinkName)
{
    if (!remove_name(SymbolicLinkName, true))
        return STATUS_OBJECT_NAME_NOT_FOUND;
    host_count_add(HOST_DEVICE, -1);
    return STATUS_SUCCESS;
}
