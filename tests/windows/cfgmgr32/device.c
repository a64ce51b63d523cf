/* SetupAPI's side of a software device: its entry among the devices, its driver key, its NET interface. */
#include "stand_in.h"

#include "../lib/bridge.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

static const GUID class_net = {0x4d36e972, 0xe325, 0x11ce, {0xbf, 0xc1, 0x08, 0x00, 0x2b, 0xe1, 0x03, 0x18}};
static const GUID interface_net = {
    0xcac88484, 0x7515, 0x4c03, {0x82, 0xe6, 0x71, 0xa8, 0x7a, 0xba, 0xc3, 0x61}};

#define INTERFACE_NET L"{cac88484-7515-4c03-82e6-71a87abac361}"

enum { IF_TYPE_PROPRIETARY_VIRTUAL = 53 };

DWORD device_open(struct device *device, const wchar_t *instance, bool make)
{
    DWORD error;

    device->data.cbSize = sizeof(device->data);
    device->set = SetupDiCreateDeviceInfoList(&class_net, NULL);
    if (device->set == INVALID_HANDLE_VALUE) {
        return GetLastError();
    }
    if (SetupDiOpenDeviceInfoW(device->set, instance, NULL, 0, &device->data)) {
        return 0;
    }
    if (make && SetupDiCreateDeviceInfoW(device->set, instance, &class_net, NULL, NULL, 0, &device->data) &&
        SetupDiRegisterDeviceInfo(device->set, &device->data, 0, NULL, NULL, NULL)) {
        return 0;
    }
    error = make ? GetLastError() : ERROR_NO_SUCH_DEVINST;
    device_release(device);
    return error;
}

void device_release(struct device *device)
{
    SetupDiDestroyDeviceInfoList(device->set);
    device->set = INVALID_HANDLE_VALUE;
}

/* "SWD\Enumerator\{guid}" as in the names of interfaces: # for each backslash. */
static void hashed(wchar_t *text, const wchar_t *instance)
{
    size_t length = 0;

    for (; instance[length] && length < INSTANCE_UNITS - 1; length++) {
        text[length] = instance[length] == L'\\' ? L'#' : instance[length];
    }
    text[length] = 0;
}

/* An interface is enabled while its key has the volatile key Control with Linked = 1. */
static void set_linked(const wchar_t *instance, bool linked)
{
    wchar_t name[INSTANCE_UNITS], path[2 * INSTANCE_UNITS + 128];
    DWORD value = 1;
    HKEY key;

    hashed(name, instance);
    swprintf(path, ARRAYSIZE(path),
             L"System\\CurrentControlSet\\Control\\DeviceClasses\\%ls\\##?#%ls#%ls\\#%ls", INTERFACE_NET,
             name, INTERFACE_NET, linked ? L"\\Control" : L"");
    if ((linked ? RegCreateKeyExW(HKEY_LOCAL_MACHINE, path, 0, NULL, REG_OPTION_VOLATILE, KEY_SET_VALUE, NULL,
                                  &key, NULL)
                : RegOpenKeyExW(HKEY_LOCAL_MACHINE, path, 0, KEY_ALL_ACCESS, &key)) != ERROR_SUCCESS) {
        return;
    }
    if (linked) {
        RegSetValueExW(key, L"Linked", 0, REG_DWORD, (const BYTE *)&value, sizeof(value));
    } else {
        RegDeleteKeyW(key, L"Control");
    }
    RegCloseKey(key);
}

DWORD device_write_driver_key(struct device *device, const wchar_t *instance, ULONG luid_index)
{
    HKEY key =
        SetupDiCreateDevRegKeyW(device->set, &device->data, DICS_FLAG_GLOBAL, 0, DIREG_DRV, NULL, NULL);
    const wchar_t *last = wcsrchr(instance, L'\\');
    wchar_t text[40];
    GUID guid;
    DWORD bytes = sizeof(guid), type, if_type = IF_TYPE_PROPRIETARY_VIRTUAL;

    if (key == INVALID_HANDLE_VALUE) {
        return GetLastError();
    }
    if (RegQueryValueExW(key, L"SuggestedInstanceId", NULL, &type, (BYTE *)&guid, &bytes) == ERROR_SUCCESS &&
        type == REG_BINARY && bytes == sizeof(guid)) {
        swprintf(text, ARRAYSIZE(text), L"{%08lX-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X}", guid.Data1,
                 guid.Data2, guid.Data3, guid.Data4[0], guid.Data4[1], guid.Data4[2], guid.Data4[3],
                 guid.Data4[4], guid.Data4[5], guid.Data4[6], guid.Data4[7]);
    } else {
        swprintf(text, ARRAYSIZE(text), L"%ls", last ? last + 1 : instance);
    }
    RegSetValueExW(key, L"NetCfgInstanceId", 0, REG_SZ, (const BYTE *)text,
                   (DWORD)(wcslen(text) + 1) * sizeof(wchar_t));
    RegSetValueExW(key, L"NetLuidIndex", 0, REG_DWORD, (const BYTE *)&luid_index, sizeof(luid_index));
    RegSetValueExW(key, L"*IfType", 0, REG_DWORD, (const BYTE *)&if_type, sizeof(if_type));
    RegCloseKey(key);
    return 0;
}

/* The part of the path behind \\?\ that the proxy's link has. */
static void link_of(wchar_t *link, const wchar_t *instance)
{
    wchar_t name[INSTANCE_UNITS];

    hashed(name, instance);
    swprintf(link, PROXY_LINK_UNITS, L"%ls#%ls", name, INTERFACE_NET);
}

DWORD device_enable_interface(struct device *device, const wchar_t *instance, const char *socket)
{
    SP_DEVICE_INTERFACE_DATA interface = {.cbSize = sizeof(interface)};
    wchar_t link[PROXY_LINK_UNITS];

    link_of(link, instance);
    if (!SetupDiCreateDeviceInterfaceW(device->set, &device->data, &interface_net, NULL, 0, &interface) ||
        !bridge_start_driver() || !bridge_tell(PROXY_IOCTL_ADD, link, socket, NULL)) {
        return GetLastError();
    }
    set_linked(instance, true);
    return 0;
}

void device_disable_interface(const wchar_t *instance)
{
    wchar_t link[PROXY_LINK_UNITS];

    link_of(link, instance);
    set_linked(instance, false);
    bridge_tell(PROXY_IOCTL_REMOVE, link, NULL, NULL);
}

void device_forget(HDEVINFO set, SP_DEVINFO_DATA *data)
{
    wchar_t instance[INSTANCE_UNITS], name[INSTANCE_UNITS], path[2 * INSTANCE_UNITS + 128];

    if (SetupDiGetDeviceInstanceIdW(set, data, instance, ARRAYSIZE(instance), NULL)) {
        hashed(name, instance);
        swprintf(path, ARRAYSIZE(path),
                 L"System\\CurrentControlSet\\Control\\DeviceClasses\\%ls\\##?#%ls#%ls", INTERFACE_NET, name,
                 INTERFACE_NET);
        RegDeleteTreeW(HKEY_LOCAL_MACHINE, path);
    }
    SetupDiDeleteDevRegKey(set, data, DICS_FLAG_GLOBAL, 0, DIREG_DRV);
}
