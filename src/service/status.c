/* `status`: see commands.h. */
#include "commands.h"

#include "library.h"
#include "names.h"
#include "service_handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *state_text(DWORD state)
{
    switch (state) {
    case SERVICE_STOPPED:
        return "stopped";
    case SERVICE_START_PENDING:
        return "starting";
    case SERVICE_STOP_PENDING:
        return "stopping";
    case SERVICE_RUNNING:
        return "running";
    default:
        return "unknown";
    }
}

/* How it ended: 0 well, else one of this program's statuses, or a code of Windows (negative). */
static long ending(const SERVICE_STATUS_PROCESS *status)
{
    if (status->dwCurrentState != SERVICE_STOPPED || status->dwWin32ExitCode == ERROR_SERVICE_NEVER_STARTED)
        return 0;
    if (status->dwWin32ExitCode == ERROR_SERVICE_SPECIFIC_ERROR)
        return (long)status->dwServiceSpecificExitCode;
    return -(long)status->dwWin32ExitCode;
}

/* Names of tunnels need no escapes. */
static void print(const char *name, const SERVICE_STATUS_PROCESS *status, bool json, bool first)
{
    const char *state = state_text(status->dwCurrentState);
    if (json)
        printf("%s{\"name\":\"%s\",\"state\":\"%s\",\"process\":%lu,\"ending\":%ld}", first ? "" : ",", name,
               state, status->dwProcessId, ending(status));
    else if (ending(status))
        printf("%s\t%s\tended with %ld\n", name, state, ending(status));
    else
        printf("%s\t%s\n", name, state);
}

static void print_all(const ENUM_SERVICE_STATUS_PROCESSW *services, DWORD count, bool json)
{
    size_t prefix = wcslen(SERVICE_PREFIX);
    bool first = true;
    for (DWORD i = 0; i < count; i++) {
        char name[TUNNEL_NAME_BYTES * 3];
        if (_wcsnicmp(services[i].lpServiceName, SERVICE_PREFIX, prefix) != 0 ||
            !utf8_of(services[i].lpServiceName + prefix, name, sizeof name))
            continue;
        print(name, &services[i].ServiceStatusProcess, json, first);
        first = false;
    }
}

static bool list(bool json, struct failure *failure)
{
    SC_HANDLE manager = service_manager(SC_MANAGER_CONNECT | SC_MANAGER_ENUMERATE_SERVICE, failure);
    DWORD bytes = 65536, needed = 0, count = 0, resume = 0, code = ERROR_MORE_DATA;
    BYTE *services = NULL;
    if (!manager)
        return false;
    while (code == ERROR_MORE_DATA) {
        free(services);
        services = malloc(bytes);
        resume = 0;
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
    if (!code) {
        printf(json ? "{\"tunnels\":[" : "");
        print_all((const ENUM_SERVICE_STATUS_PROCESSW *)(const void *)services, count, json);
        printf(json ? "]}\n" : "");
    }
    free(services);
    return !code || fail_windows(failure, code, "the services cannot be listed");
}

bool command_status(const char *name, bool json, struct failure *failure)
{
    SERVICE_STATUS_PROCESS status;
    if (!name)
        return list(json, failure);
    SC_HANDLE service = service_open(name, SERVICE_QUERY_STATUS, failure);
    if (!service)
        return false;
    bool done = service_query(service, name, &status, failure);
    CloseServiceHandle(service);
    if (!done)
        return false;
    printf(json ? "{\"tunnels\":[" : "");
    print(name, &status, json, true);
    printf(json ? "]}\n" : "");
    return true;
}
