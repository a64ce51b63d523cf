/* `status`: see commands.h. */
#include "commands.h"

#include "service_handle.h"

#include <stdio.h>

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

struct printing {
    bool json, first;
};

static bool print_next(const char *name, const SERVICE_STATUS_PROCESS *status, void *context)
{
    struct printing *printing = context;
    print(name, status, printing->json, printing->first);
    printing->first = false;
    return true;
}

static bool list(bool json, struct failure *failure)
{
    struct printing printing = {.json = json, .first = true};
    printf(json ? "{\"tunnels\":[" : "");
    bool done = service_each(print_next, &printing, failure);
    printf(json ? "]}\n" : "");
    return done;
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
