/* See service_handle.h. */
#include "service_handle.h"

#include "library.h"
#include "names.h"
#include "plan.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS 50u

SC_HANDLE service_manager(DWORD access, struct failure *failure)
{
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, access);
    if (!manager)
        fail_windows(failure, GetLastError(), "the service control manager cannot be opened");
    return manager;
}

bool service_name(const char *name, WCHAR *wide, struct failure *failure)
{
    WCHAR text[TUNNEL_NAME_BYTES];
    if (!plan_name_valid(name) || !utf16_of(name, text, TUNNEL_NAME_BYTES))
        return fail(failure, EXIT_USAGE,
                    "\"%.60s\" cannot be the name of a tunnel: use 1 to 32 of a-z A-Z 0-9 _ = + . -, and no "
                    "name of a DOS device",
                    name);
    swprintf(wide, SERVICE_NAME_UNITS, SERVICE_PREFIX L"%ls", text);
    return true;
}

SC_HANDLE service_open(const char *name, DWORD access, struct failure *failure)
{
    WCHAR wide[SERVICE_NAME_UNITS];
    SC_HANDLE manager =
        service_name(name, wide, failure) ? service_manager(SC_MANAGER_CONNECT, failure) : NULL;
    if (!manager)
        return NULL;
    SC_HANDLE service = OpenServiceW(manager, wide, access);
    DWORD code = GetLastError();
    CloseServiceHandle(manager);
    if (!service && code == ERROR_SERVICE_DOES_NOT_EXIST)
        fail(failure, EXIT_NO_ADAPTER, "there is no tunnel %.60s (`" SERVICE_PROGRAM " status` lists them)",
             name);
    else if (!service)
        fail_windows(failure, code, "%.60s: its service cannot be opened", name);
    return service;
}

bool service_query(SC_HANDLE service, const char *name, SERVICE_STATUS_PROCESS *status,
                   struct failure *failure)
{
    DWORD bytes;
    return QueryServiceStatusEx(service, SC_STATUS_PROCESS_INFO, (BYTE *)status, sizeof *status, &bytes) ||
           fail_windows(failure, GetLastError(), "%.60s: its service does not tell its state", name);
}

static void visit_all(const ENUM_SERVICE_STATUS_PROCESSW *services, DWORD count, service_visit *visit,
                      void *context)
{
    size_t prefix = wcslen(SERVICE_PREFIX);
    bool more = true;
    for (DWORD i = 0; more && i < count; i++) {
        char name[TUNNEL_NAME_BYTES];
        if (_wcsnicmp(services[i].lpServiceName, SERVICE_PREFIX, prefix) == 0 &&
            utf8_of(services[i].lpServiceName + prefix, name, sizeof name) && plan_name_valid(name))
            more = visit(name, &services[i].ServiceStatusProcess, context);
    }
}

bool service_each(service_visit *visit, void *context, struct failure *failure)
{
    SC_HANDLE manager = service_manager(SC_MANAGER_CONNECT | SC_MANAGER_ENUMERATE_SERVICE, failure);
    DWORD bytes = 65536, needed = 0, count = 0, code = ERROR_MORE_DATA;
    BYTE *services = NULL;
    if (!manager)
        return false;
    while (code == ERROR_MORE_DATA) {
        DWORD resume = 0;
        free(services);
        services = malloc(bytes);
        if (!services)
            code = ERROR_NOT_ENOUGH_MEMORY;
        else if (EnumServicesStatusExW(manager, SC_ENUM_PROCESS_INFO, SERVICE_WIN32_OWN_PROCESS,
                                       SERVICE_STATE_ALL, services, bytes, &needed, &count, &resume, NULL))
            code = 0;
        else
            code = GetLastError();
        bytes += needed;
    }
    CloseServiceHandle(manager);
    if (!code)
        visit_all((const ENUM_SERVICE_STATUS_PROCESSW *)(const void *)services, count, visit, context);
    free(services);
    return !code || fail_windows(failure, code, "the services cannot be listed");
}

bool service_wait(SC_HANDLE service, const char *name, DWORD pending, DWORD wait_ms,
                  SERVICE_STATUS_PROCESS *status, struct failure *failure)
{
    for (DWORD waited = 0;; waited += LOOK_MS) {
        if (!service_query(service, name, status, failure))
            return false;
        if (status->dwCurrentState != pending)
            return true;
        if (waited >= wait_ms)
            return fail(failure, EXIT_NO_ANSWER, "%.60s: its service has not changed its state for %lu s",
                        name, wait_ms / 1000);
        Sleep(LOOK_MS);
    }
}
