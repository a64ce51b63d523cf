#include "device.h"
#include "device_change.h"
#include "log.h"
#include "name_property.h"
#include "names.h"
#include "optional.h"

/* The GUIDs themselves, not only their declarations. */
#include <initguid.h>

#include <cfgmgr32.h>
#include <devguid.h>
#include <stdlib.h>
#include <wchar.h>

/* Microsoft, "GUID_DEVINTERFACE_NET". */
DEFINE_GUID(interface_class_net, 0xcac88484, 0x7515, 0x4c03, 0x82, 0xe6, 0x71, 0xa8, 0x7a, 0xba, 0xc3, 0x61);

bool device_list_open(struct device_list *list)
{
    list->next = 0;
    list->set = SetupDiGetClassDevsW(&GUID_DEVCLASS_NET, NULL, NULL, 0);
    if (list->set == INVALID_HANDLE_VALUE)
        return log_failure(GetLastError(), L"Cannot list the network devices");
    return true;
}

bool device_list_next(struct device_list *list, struct device *device)
{
    const size_t prefix = wcslen(INSTANCE_PREFIX);
    device->set = list->set;
    device->data.cbSize = sizeof(device->data);
    while (SetupDiEnumDeviceInfo(list->set, list->next++, &device->data))
        if (SetupDiGetDeviceInstanceIdW(list->set, &device->data, device->instance_id, INSTANCE_ID_UNITS,
                                        NULL) &&
            !_wcsnicmp(device->instance_id, INSTANCE_PREFIX, prefix))
            return true;
    return false;
}

void device_list_close(struct device_list *list)
{
    DWORD error = GetLastError();
    SetupDiDestroyDeviceInfoList(list->set);
    SetLastError(error);
}

bool device_find(struct device *device, const wchar_t *instance_id)
{
    device->set = SetupDiCreateDeviceInfoList(NULL, NULL);
    if (device->set == INVALID_HANDLE_VALUE)
        return false;
    device->data.cbSize = sizeof(device->data);
    wcsncpy(device->instance_id, instance_id, INSTANCE_ID_UNITS - 1);
    device->instance_id[INSTANCE_ID_UNITS - 1] = 0;
    if (SetupDiOpenDeviceInfoW(device->set, instance_id, NULL, 0, &device->data))
        return true;
    DWORD error = GetLastError();
    SetupDiDestroyDeviceInfoList(device->set);
    SetLastError(error);
    return false;
}

struct device_status device_status(const struct device *device)
{
    struct device_status result = {0};
    ULONG status = 0, problem = 0;
    if (!optional()->CM_Get_DevNode_Status ||
        optional()->CM_Get_DevNode_Status(&status, &problem, device->data.DevInst, 0) != CR_SUCCESS)
        return result;
    result.present = true;
    result.started = (status & DN_STARTED) && (status & DN_DRIVER_LOADED);
    result.problem = status & DN_HAS_PROBLEM ? problem : 0;
    return result;
}

bool device_name(const struct device *device, wchar_t name[WIREGUARD_MAX_ADAPTER_NAME])
{
    DEVPROPKEY key = name_property_key();
    DEVPROPTYPE type;
    name[0] = 0;
    if (!SetupDiGetDevicePropertyW(device->set, (SP_DEVINFO_DATA *)&device->data, &key, &type, (BYTE *)name,
                                   WIREGUARD_MAX_ADAPTER_NAME * sizeof(*name), NULL, 0) ||
        type != DEVPROP_TYPE_STRING)
        return false;
    name[WIREGUARD_MAX_ADAPTER_NAME - 1] = 0;
    return name[0] != 0;
}

bool device_description(const struct device *device, wchar_t text[WIREGUARD_MAX_ADAPTER_NAME])
{
    text[0] = 0;
    bool found = SetupDiGetDeviceRegistryPropertyW(device->set, (SP_DEVINFO_DATA *)&device->data,
                                                   SPDRP_DEVICEDESC, NULL, (BYTE *)text,
                                                   WIREGUARD_MAX_ADAPTER_NAME * sizeof(*text), NULL);
    text[WIREGUARD_MAX_ADAPTER_NAME - 1] = 0;
    return found;
}

static bool read_u32(HKEY key, const wchar_t *name, DWORD *value)
{
    DWORD type, bytes = sizeof(*value);
    return RegQueryValueExW(key, name, NULL, &type, (BYTE *)value, &bytes) == ERROR_SUCCESS &&
           type == REG_DWORD;
}

bool device_identity(const struct device *device, GUID *guid, NET_LUID *luid)
{
    wchar_t text[64] = L"";
    DWORD index, type, bytes = sizeof(text) - sizeof(*text);
    HKEY key = SetupDiOpenDevRegKey(device->set, (SP_DEVINFO_DATA *)&device->data, DICS_FLAG_GLOBAL, 0,
                                    DIREG_DRV, KEY_QUERY_VALUE);
    if (key == INVALID_HANDLE_VALUE)
        return false;
    bool found =
        RegQueryValueExW(key, L"NetCfgInstanceId", NULL, &type, (BYTE *)text, &bytes) == ERROR_SUCCESS &&
        type == REG_SZ && guid_from_text(text, guid) && read_u32(key, L"NetLuidIndex", &index) &&
        read_u32(key, L"*IfType", &type);
    RegCloseKey(key);
    if (!found) {
        SetLastError(ERROR_FILE_NOT_FOUND);
        return false;
    }
    luid->Value = 0;
    luid->Info.NetLuidIndex = index;
    luid->Info.IfType = type;
    return true;
}

wchar_t *device_interface_path(const wchar_t *instance_id)
{
    wchar_t *path = NULL;
    HDEVINFO set =
        SetupDiGetClassDevsW(&interface_class_net, instance_id, NULL, DIGCF_PRESENT | DIGCF_DEVICEINTERFACE);
    if (set == INVALID_HANDLE_VALUE)
        return NULL;
    SP_DEVICE_INTERFACE_DATA iface = {.cbSize = sizeof(iface)};
    DWORD bytes = 0;
    if (SetupDiEnumDeviceInterfaces(set, NULL, &interface_class_net, 0, &iface) && iface.Flags & SPINT_ACTIVE)
        SetupDiGetDeviceInterfaceDetailW(set, &iface, NULL, 0, &bytes, NULL);
    SP_DEVICE_INTERFACE_DETAIL_DATA_W *detail = bytes ? calloc(1, bytes) : NULL;
    if (detail) {
        detail->cbSize = sizeof(*detail);
        if (SetupDiGetDeviceInterfaceDetailW(set, &iface, detail, bytes, NULL, NULL))
            path = _wcsdup(detail->DevicePath);
        free(detail);
    }
    SetupDiDestroyDeviceInfoList(set);
    return path;
}

/* A problem that passes by itself while a device starts. */
static bool problem_is_passing(ULONG problem)
{
    return problem == CM_PROB_NOT_CONFIGURED || problem == CM_PROB_REINSTALL ||
           problem == CM_PROB_DEVICE_NOT_THERE;
}

wchar_t *device_wait_for_interface(const wchar_t *instance_id, DWORD wait_ms, DWORD timeout_error)
{
    enum { STEP_MS = 20, SETTLE_MS = 2000, TELL_MS = 3000 };
    ULONGLONG begin = GetTickCount64();
    bool told = false;
    struct device_status status = {0};
    for (;;) {
        wchar_t *path = device_interface_path(instance_id);
        if (path)
            return path;
        struct device device;
        ULONGLONG waited = GetTickCount64() - begin;
        if (device_find(&device, instance_id)) {
            status = device_status(&device);
            SetupDiDestroyDeviceInfoList(device.set);
        }
        if (status.problem && (waited > SETTLE_MS || !problem_is_passing(status.problem))) {
            log_failure(device_problem_error(status.problem),
                        L"The adapter's device cannot start: problem %lu, %s", status.problem,
                        device_problem_text(status.problem));
            return NULL;
        }
        if (waited >= wait_ms)
            break;
        if (waited > TELL_MS && !told) {
            told = true;
            log_line(WIREGUARD_LOG_INFO, L"Waiting for the adapter's device to start (%s), for at most %lu s",
                     status.started   ? L"its driver runs, its interface is not enabled yet"
                     : status.present ? L"its driver is not started yet"
                                      : L"Windows has not made its node yet",
                     wait_ms / 1000);
        }
        Sleep(STEP_MS);
    }
    log_failure(timeout_error,
                L"The adapter's device did not start within %lu s and reports no problem; see "
                L"setupapi.dev.log in the "
                L"Windows\\INF folder",
                wait_ms / 1000);
    return NULL;
}
