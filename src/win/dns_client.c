/* See dns_client.h. */
#include "win/dns_client.h"

#include <winsvc.h>

#define SERVICE L"Dnscache"

static SC_HANDLE open_service(DWORD access)
{
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    if (!manager)
        return NULL;
    SC_HANDLE service = OpenServiceW(manager, SERVICE, access);
    DWORD code = GetLastError();
    CloseServiceHandle(manager);
    SetLastError(code);
    return service;
}

DWORD dns_client_refresh(void)
{
    SERVICE_STATUS status;
    SC_HANDLE service = open_service(SERVICE_PAUSE_CONTINUE);
    if (!service)
        return GetLastError();
    DWORD code = ControlService(service, SERVICE_CONTROL_PARAMCHANGE, &status) ? 0 : GetLastError();
    CloseServiceHandle(service);
    return code;
}

BOOL dns_client_disabled(void)
{
    union {
        QUERY_SERVICE_CONFIGW config;
        BYTE bytes[8192]; /* the most that it can be (documented with QueryServiceConfigW) */
    } answer;
    DWORD size;
    SC_HANDLE service = open_service(SERVICE_QUERY_CONFIG);
    if (!service)
        return FALSE;
    BOOL disabled = QueryServiceConfigW(service, &answer.config, sizeof answer, &size) &&
                    answer.config.dwStartType == SERVICE_DISABLED;
    CloseServiceHandle(service);
    return disabled;
}
