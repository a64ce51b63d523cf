#include "bridge.h"

#include <stdio.h>
#include <winsvc.h>

/* Named as the driver that it stands for, whose version it also has. */
#define SERVICE L"Wyrm"

bool bridge_start_driver(void)
{
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_ALL_ACCESS), service;
    bool started;

    if (!manager) {
        return false;
    }
    service = CreateServiceW(manager, SERVICE, SERVICE, SERVICE_ALL_ACCESS, SERVICE_KERNEL_DRIVER,
                             SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL,
                             L"C:\\windows\\system32\\drivers\\wyrm.sys", NULL, NULL, NULL, NULL, NULL);
    if (!service) {
        service = OpenServiceW(manager, SERVICE, SERVICE_ALL_ACCESS);
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
