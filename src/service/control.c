/* `start`, `stop` and `reload`: see commands.h. */
#include "commands.h"

#include "handover.h"
#include "install.h"
#include "library.h"
#include "log.h"
#include "names.h"
#include "service_handle.h"
#include "tunnel_event.h"

#include <string.h>

#define START_WAIT_MS  660000u /* at boot a start may take 10 minutes */
#define STOP_WAIT_MS   30000u
#define RELOAD_WAIT_MS 60000u

static bool explain_start(const char *name, const SERVICE_STATUS_PROCESS *status, struct failure *failure)
{
    char text[300];
    enum exit_status said = EXIT_REFUSED;
    if (status->dwWin32ExitCode == ERROR_SERVICE_SPECIFIC_ERROR)
        said = (enum exit_status)status->dwServiceSpecificExitCode;
    if (log_last_error(name, text, sizeof text))
        return fail(failure, said, "%.60s did not start: %s", name, text);
    return fail(failure, said, "%.60s did not start, and its log does not say why (code %lu)", name,
                status->dwWin32ExitCode);
}

bool command_start(const char *name, struct failure *failure)
{
    SERVICE_STATUS_PROCESS status = {.dwCurrentState = SERVICE_STOPPED};
    SC_HANDLE service = service_open(name, SERVICE_START | SERVICE_QUERY_STATUS, failure);
    if (!service)
        return false;
    bool done = StartServiceW(service, 0, NULL) || GetLastError() == ERROR_SERVICE_ALREADY_RUNNING ||
                fail_windows(failure, GetLastError(), "%.60s: its service cannot be started", name);
    done = done && service_wait(service, name, SERVICE_START_PENDING, START_WAIT_MS, &status, failure);
    CloseServiceHandle(service);
    if (!done || status.dwCurrentState == SERVICE_RUNNING)
        return done;
    if (status.dwWin32ExitCode == NO_ERROR)
        return fail(failure, EXIT_REFUSED, "%.60s was stopped before the tunnel was up", name);
    return explain_start(name, &status, failure);
}

/* While it starts a service takes no controls; its event ends it then. */
static bool ask_to_stop(SC_HANDLE service, const char *name, struct failure *failure)
{
    SERVICE_STATUS status;
    if (ControlService(service, SERVICE_CONTROL_STOP, &status))
        return true;
    DWORD code = GetLastError();
    if (code == ERROR_SERVICE_NOT_ACTIVE)
        return true;
    HANDLE event =
        code == ERROR_SERVICE_CANNOT_ACCEPT_CTRL ? tunnel_event_open(name, EVENT_MODIFY_STATE) : NULL;
    if (event) {
        SetEvent(event);
        CloseHandle(event);
        return true;
    }
    return fail_windows(failure, code, "%.60s: its service cannot be stopped", name);
}

bool command_stop(const char *name, struct failure *failure)
{
    SERVICE_STATUS_PROCESS status;
    SC_HANDLE service = service_open(name, SERVICE_STOP | SERVICE_QUERY_STATUS, failure);
    if (!service)
        return false;
    bool done = ask_to_stop(service, name, failure) &&
                service_wait(service, name, SERVICE_START_PENDING, STOP_WAIT_MS, &status, failure) &&
                service_wait(service, name, SERVICE_RUNNING, STOP_WAIT_MS, &status, failure) &&
                service_wait(service, name, SERVICE_STOP_PENDING, STOP_WAIT_MS, &status, failure);
    CloseServiceHandle(service);
    return done;
}

/* `text`: NULL, or the new configuration. */
static bool reload_running(SC_HANDLE service, const char *name, const struct secure_buffer *text,
                           struct failure *failure)
{
    SERVICE_STATUS status;
    HANDLE pipe = handover_offer(name, failure);
    if (!pipe)
        return false;
    bool done =
        ControlService(service, SERVICE_CONTROL_PARAMCHANGE, &status) ||
        fail_windows(failure, GetLastError(), "%.60s: its service takes no new configuration now", name);
    done = done && handover_deliver(pipe, text, RELOAD_WAIT_MS, failure);
    CloseHandle(pipe);
    return done;
}

static bool is_file(const char *word)
{
    size_t length = strlen(word);
    return strpbrk(word, "\\/:") || (length > 5 && !_stricmp(word + length - 5, ".conf"));
}

bool command_reload(const char *word, struct failure *failure)
{
    struct secure_buffer text = {0};
    char from_file[TUNNEL_NAME_BYTES];
    const char *name = word;
    SERVICE_STATUS_PROCESS status;
    bool file = is_file(word), done = !file || load_plain(word, from_file, &text, failure);
    if (file)
        name = from_file;
    SC_HANDLE service =
        done ? service_open(name, SERVICE_PAUSE_CONTINUE | SERVICE_START | SERVICE_QUERY_STATUS, failure)
             : NULL;
    done = service && service_query(service, name, &status, failure);
    if (done && status.dwCurrentState != SERVICE_STOPPED)
        done = reload_running(service, name, file ? &text : NULL, failure);
    else if (done && file)
        done = store_by_service(service, name, &text, failure);
    else if (done)
        done = fail(failure, EXIT_REFUSED, "%.60s does not run: `" SERVICE_PROGRAM " start %.60s` starts it",
                    name, name);
    if (service)
        CloseServiceHandle(service);
    secure_buffer_free(&text);
    return done;
}
