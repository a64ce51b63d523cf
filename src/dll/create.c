/* Creating an adapter: driver, a forerunner (which tells NDIS the interface's GUID), device, connection's
 * name. */
#include "adapter.h"
#include "device.h"
#include "driver.h"
#include "lock.h"
#include "log.h"
#include "name_property.h"
#include "names.h"
#include "rename.h"

/* Need windows.h before them. */
#include <objbase.h>

#include <initguid.h>

#include <devguid.h>
#include <devpkey.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#define ROOT_DEVICE L"HTREE\\ROOT\\0"

/* What the creation callback, which may come after its waiter gave up, and the waiter share. */
struct creation {
    LONG references;
    HANDLE done;
    HRESULT result;
};

static void creation_release(struct creation *creation)
{
    if (InterlockedDecrement(&creation->references))
        return;
    CloseHandle(creation->done);
    free(creation);
}

static void WINAPI created(HSWDEVICE device, HRESULT result, void *context, const wchar_t *instance_id)
{
    struct creation *creation = context;
    creation->result = result;
    SetEvent(creation->done);
    creation_release(creation);
}

static DWORD win32_of(HRESULT result)
{
    return HRESULT_FACILITY(result) == FACILITY_WIN32 ? (DWORD)HRESULT_CODE(result) : (DWORD)result;
}

/* SwDeviceCreate and the wait for its callback.  Logs. */
static HSWDEVICE software_device_create(const struct software_device_info *info,
                                        const struct device_property *properties, ULONG count)
{
    HSWDEVICE device = NULL;
    struct creation *creation = calloc(1, sizeof(*creation));
    if (!creation || !(creation->done = CreateEventW(NULL, TRUE, FALSE, NULL))) {
        free(creation);
        log_failure(ERROR_NOT_ENOUGH_MEMORY, L"No memory for a device");
        return NULL;
    }
    creation->references = 2;
    HRESULT result = optional()->SwDeviceCreate(ENUMERATOR, ROOT_DEVICE, info, count, properties, created,
                                                creation, &device);
    if (FAILED(result)) {
        creation_release(creation);
        creation_release(creation);
        log_failure(win32_of(result), L"Windows refused to create the device %s", info->instance_id);
        return NULL;
    }
    DWORD waited = WaitForSingleObject(creation->done, DEVICE_START_MS);
    result = creation->result;
    creation_release(creation);
    if (waited == WAIT_OBJECT_0 && SUCCEEDED(result))
        return device;
    /* After closing no callback comes any more; one that came has given its reference back. */
    optional()->SwDeviceClose(device);
    if (waited == WAIT_OBJECT_0)
        log_failure(win32_of(result), L"Windows could not create the device %s", info->instance_id);
    else
        log_failure(ERROR_TIMEOUT, L"Windows did not create the device %s within %d s", info->instance_id,
                    DEVICE_START_MS / 1000);
    return NULL;
}

static struct device_property property(const DEVPROPKEY *key, ULONG type, const void *data, size_t bytes)
{
    struct device_property result = {
        .key = {key->fmtid, key->pid}, .type = type, .data = (void *)data, .bytes = (ULONG)bytes};
    return result;
}

/* Makes and removes a forerunner of the device: without a driver, but with the same software key, from which
 * NDIS takes the interface's GUID. */
static bool suggest_guid(const wchar_t *instance, const wchar_t *instance_id, const GUID *guid)
{
    struct device_property properties[] = {
        property(&DEVPKEY_Device_ClassGuid, DEVPROP_TYPE_GUID, &GUID_DEVCLASS_NET, sizeof(GUID))};
    struct software_device_info info = {.size = sizeof(info),
                                        .instance_id = instance,
                                        .hardware_ids = L"\0",
                                        .capabilities = SW_DEVICE_SILENT_INSTALL,
                                        .description = VENDOR_NAME L" Tunnel"};
    struct device device;
    LSTATUS error = ERROR_SUCCESS;
    HSWDEVICE forerunner = software_device_create(&info, properties, 1);
    if (!forerunner)
        return false;
    if (device_find(&device, instance_id)) {
        HKEY key =
            SetupDiCreateDevRegKeyW(device.set, &device.data, DICS_FLAG_GLOBAL, 0, DIREG_DRV, NULL, NULL);
        if (key == INVALID_HANDLE_VALUE) {
            error = (LSTATUS)GetLastError();
        } else {
            error =
                RegSetValueExW(key, L"SuggestedInstanceId", 0, REG_BINARY, (const BYTE *)guid, sizeof(*guid));
            RegCloseKey(key);
        }
        SetupDiDestroyDeviceInfoList(device.set);
    } else {
        error = (LSTATUS)GetLastError();
    }
    optional()->SwDeviceClose(forerunner);
    return error == ERROR_SUCCESS ||
           log_failure((DWORD)error, L"Cannot write the interface's GUID for %s", instance_id);
}

static HSWDEVICE create_device(const wchar_t *instance, const wchar_t *name, const wchar_t *type)
{
    wchar_t description[WIREGUARD_MAX_ADAPTER_NAME + 8];
    swprintf(description, WIREGUARD_MAX_ADAPTER_NAME + 8, L"%s Tunnel", type);
    size_t bytes = (wcslen(description) + 1) * sizeof(*description);
    DEVPROPKEY name_key = name_property_key();
    struct device_property properties[] = {
        property(&name_key, DEVPROP_TYPE_STRING, name, (wcslen(name) + 1) * sizeof(*name)),
        property(&DEVPKEY_Device_FriendlyName, DEVPROP_TYPE_STRING, description, bytes),
        property(&DEVPKEY_Device_DeviceDesc, DEVPROP_TYPE_STRING, description, bytes),
    };
    struct software_device_info info = {.size = sizeof(info),
                                        .instance_id = instance,
                                        .hardware_ids = HARDWARE_ID L"\0",
                                        .capabilities = SW_DEVICE_SILENT_INSTALL | SW_DEVICE_DRIVER_REQUIRED,
                                        .description = description};
    return software_device_create(&info, properties, 3);
}

/* Removes what is left of a device of this instance; one that works belongs to somebody. */
static bool clear_the_way(const wchar_t *instance_id)
{
    struct device device;
    if (!device_find(&device, instance_id))
        return true;
    struct device_status status = device_status(&device);
    bool clear;
    if (status.present && !status.problem) {
        clear = log_failure(ERROR_ALREADY_EXISTS, L"A living process has an adapter with this GUID: %s",
                            instance_id);
    } else {
        clear = device_remove(&device);
        if (clear)
            log_line(WIREGUARD_LOG_INFO, L"Removed what was left of the device %s", instance_id);
    }
    DWORD error = GetLastError();
    SetupDiDestroyDeviceInfoList(device.set);
    SetLastError(error);
    return clear;
}

static bool create_locked(WIREGUARD_ADAPTER_HANDLE adapter, const wchar_t *name, const wchar_t *type,
                          const GUID *guid)
{
    wchar_t instance[GUID_TEXT_UNITS], instance_id[INSTANCE_ID_UNITS];
    guid_to_text(guid, instance);
    swprintf(instance_id, INSTANCE_ID_UNITS, INSTANCE_PREFIX L"%s", instance);
    if (!clear_the_way(instance_id) || !suggest_guid(instance, instance_id, guid))
        return false;
    adapter->software_device = create_device(instance, name, type);
    if (!adapter->software_device)
        return false;
    wchar_t *path = device_wait_for_interface(instance_id, DEVICE_START_MS, ERROR_DEVICE_NOT_AVAILABLE);
    if (!path || !adapter_read_identity(adapter, instance_id, path))
        return false;
    connection_rename(&adapter->guid, name);
    return true;
}

static bool arguments_right(const wchar_t *name, const wchar_t *type)
{
    if (!name || !*name || !type || !*type)
        return log_failure(ERROR_INVALID_PARAMETER, L"An adapter to create needs a name and a tunnel type");
    if (wcslen(name) >= WIREGUARD_MAX_ADAPTER_NAME || wcslen(type) >= WIREGUARD_MAX_ADAPTER_NAME)
        return log_failure(ERROR_BUFFER_OVERFLOW,
                           L"An adapter's name and tunnel type have at most %d units each",
                           WIREGUARD_MAX_ADAPTER_NAME - 1);
    if (!optional()->SwDeviceCreate || !optional()->SwDeviceClose)
        return log_failure(ERROR_NOT_SUPPORTED,
                           L"This system cannot create software devices; Windows 10 or later can");
    return true;
}

WIREGUARD_ADAPTER_HANDLE WINAPI WireGuardCreateAdapter(LPCWSTR Name, LPCWSTR TunnelType,
                                                       const GUID *RequestedGUID)
{
    struct machine_lock lock;
    struct driver_upgrade upgrade = {0};
    GUID guid;
    if (!arguments_right(Name, TunnelType))
        return NULL;
    if (RequestedGUID) {
        guid = *RequestedGUID;
    } else if (FAILED(CoCreateGuid(&guid))) {
        log_failure(ERROR_GEN_FAILURE, L"Windows cannot make a GUID");
        return NULL;
    }
    WIREGUARD_ADAPTER_HANDLE adapter = adapter_new(&lock);
    if (!adapter)
        return NULL;
    bool done = driver_install(&upgrade) && create_locked(adapter, Name, TunnelType, &guid);
    DWORD error = GetLastError();
    driver_upgrade_finish(&upgrade);
    if (!done) {
        if (adapter->software_device)
            optional()->SwDeviceClose(adapter->software_device);
        adapter_free(adapter);
        adapter = NULL;
    }
    machine_lock_release(&lock);
    orphans_remove_later();
    SetLastError(error);
    return adapter;
}
