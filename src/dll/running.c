#include "running.h"
#include "log.h"
#include "names.h"
#include "wyrm/wireguard.h"

#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

enum { PATH_LIMIT = 600 };

/* winerror.h; MinGW's has it not. */
#ifndef ERROR_VERSION_PARSE_ERROR
#define ERROR_VERSION_PARSE_ERROR 777
#endif

/* The driver's file as the loader wrote it into the service's ImagePath, as a path that files are opened
 * with. */
static void to_file_path(const wchar_t *image, wchar_t path[PATH_LIMIT])
{
    static const wchar_t system_root[] = L"\\SystemRoot\\", dos[] = L"\\??\\";
    wchar_t windows[MAX_PATH] = L"";
    GetSystemWindowsDirectoryW(windows, MAX_PATH);
    if (!_wcsnicmp(image, system_root, wcslen(system_root)))
        swprintf(path, PATH_LIMIT, L"%s\\%s", windows, image + wcslen(system_root));
    else if (!wcsncmp(image, dos, wcslen(dos)))
        swprintf(path, PATH_LIMIT, L"%s", image + wcslen(dos));
    else if (wcschr(image, L':'))
        swprintf(path, PATH_LIMIT, L"%s", image);
    else
        swprintf(path, PATH_LIMIT, L"%s\\%s", windows, image);
}

/* Opens the driver's service if the driver is loaded; NULL otherwise. */
static SC_HANDLE open_running_service(SC_HANDLE *manager)
{
    SERVICE_STATUS status;
    *manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    if (!*manager)
        return NULL;
    SC_HANDLE service = OpenServiceW(*manager, SERVICE_NAME, SERVICE_QUERY_STATUS | SERVICE_QUERY_CONFIG);
    if (service && QueryServiceStatus(service, &status) && status.dwCurrentState != SERVICE_STOPPED)
        return service;
    if (service)
        CloseServiceHandle(service);
    CloseServiceHandle(*manager);
    return NULL;
}

bool running_driver_loaded(void)
{
    SC_HANDLE manager, service = open_running_service(&manager);
    if (!service)
        return false;
    CloseServiceHandle(service);
    CloseServiceHandle(manager);
    return true;
}

/* 0: last error. */
static DWORD version_of_file(const wchar_t *path)
{
    VS_FIXEDFILEINFO *fixed = NULL;
    UINT bytes = 0;
    DWORD version = 0, size = GetFileVersionInfoSizeW(path, NULL);
    void *data = size ? malloc(size) : NULL;
    if (!data)
        return 0;
    if (GetFileVersionInfoW(path, 0, size, data) && VerQueryValueW(data, L"\\", (void **)&fixed, &bytes) &&
        fixed) {
        version = fixed->dwFileVersionMS;
        SetLastError(version ? ERROR_SUCCESS : ERROR_VERSION_PARSE_ERROR);
    }
    DWORD error = GetLastError();
    free(data);
    SetLastError(error);
    return version;
}

DWORD WINAPI WireGuardGetRunningDriverVersion(VOID)
{
    union {
        QUERY_SERVICE_CONFIGW config;
        BYTE bytes[8192]; /* the documented limit is 8 KB */
    } buffer;
    wchar_t path[PATH_LIMIT];
    DWORD needed, version = 0;
    SC_HANDLE manager, service = open_running_service(&manager);
    if (!service) {
        log_failure(ERROR_FILE_NOT_FOUND, L"The driver is not loaded: there is no adapter");
        return 0;
    }
    if (QueryServiceConfigW(service, &buffer.config, sizeof(buffer), &needed)) {
        to_file_path(buffer.config.lpBinaryPathName, path);
        version = version_of_file(path);
        if (!version)
            log_failure(GetLastError(), L"Cannot read the version of the driver's file %s", path);
    } else {
        log_failure(GetLastError(), L"Cannot ask the service manager about the driver");
    }
    DWORD error = GetLastError();
    CloseServiceHandle(service);
    CloseServiceHandle(manager);
    SetLastError(error);
    return version;
}
