#include "bridge.h"

#include <stdio.h>
#include <wchar.h>
#include <winsvc.h>

/* The proxy is named as the driver that it stands for, whose version it also has: WYRM_BRIDGE_DRIVER, a
 * vendor's name in lower case, else ours. */
static void driver_name(wchar_t name[MAX_PATH], wchar_t path[2 * MAX_PATH])
{
    DWORD count = GetEnvironmentVariableW(L"WYRM_BRIDGE_DRIVER", name, MAX_PATH);

    if (!count || count >= MAX_PATH) {
        wcscpy(name, L"wyrm");
    }
    swprintf(path, 2 * MAX_PATH, L"C:\\windows\\system32\\drivers\\%ls.sys", name);
}

bool bridge_start_driver(void)
{
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_ALL_ACCESS), service;
    wchar_t name[MAX_PATH], path[2 * MAX_PATH];
    bool started;

    driver_name(name, path);
    if (!manager) {
        return false;
    }
    service = CreateServiceW(manager, name, name, SERVICE_ALL_ACCESS, SERVICE_KERNEL_DRIVER,
                             SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL, path, NULL, NULL, NULL, NULL, NULL);
    if (!service) {
        service = OpenServiceW(manager, name, SERVICE_ALL_ACCESS);
    }
    started = service && (StartServiceW(service, 0, NULL) || GetLastError() == ERROR_SERVICE_ALREADY_RUNNING);
    if (service) {
        CloseServiceHandle(service);
    }
    CloseServiceHandle(manager);
    return started;
}

bool bridge_tell(DWORD code, const wchar_t *link, const char *socket, const struct proxy_token *token)
{
    struct proxy_adapter adapter = {.token = {0, 1, 0, 0, 0x3000}};
    HANDLE device;
    DWORD bytes, error;
    BOOL done;

    if (token) {
        adapter.token = *token;
    }
    for (size_t i = 0; link[i] && i < PROXY_LINK_UNITS - 1; i++) {
        adapter.link[i] = link[i];
    }
    snprintf(adapter.socket, sizeof(adapter.socket), "%s", socket ? socket : "");
    device = CreateFileW(L"\\\\.\\WyrmBridge", GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (device == INVALID_HANDLE_VALUE) {
        return false;
    }
    done = DeviceIoControl(device, code, &adapter, sizeof(adapter), NULL, 0, &bytes, NULL);
    error = GetLastError();
    CloseHandle(device);
    SetLastError(error);
    return done;
}
