/* `install` and `remove`: see commands.h. */
#include "install.h"

#include "commands.h"
#include "config.h"
#include "folders.h"
#include "handover.h"
#include "library.h"
#include "log.h"
#include "names.h"
#include "privileges.h"
#include "scm.h"
#include "service_handle.h"
#include "store.h"
#include "tunnel.h"

#include <stdio.h>

#define STORE_WAIT_MS 30000u
#define RESTART_MS    5000u
#define FORGET_S      86400u

bool load_plain(const char *file, char *name, struct secure_buffer *text, struct failure *failure)
{
    WCHAR wide[SERVICE_NAME_UNITS];
    if (!tunnel_name_of(file, name, TUNNEL_NAME_BYTES, failure) || !service_name(name, wide, failure) ||
        !store_load(file, name, text, failure))
        return false;
    struct config *config = store_parse(text, file, failure);
    config_free(config);
    return config != NULL;
}

/* "C:\...\wyrm-service.exe" service "C:\...\NAME.conf.dpapi" */
static bool command_line(const char *name, WCHAR *line, size_t units, struct failure *failure)
{
    WCHAR program[PATH_UNITS], path[PATH_UNITS];
    DWORD length = GetModuleFileNameW(NULL, program, PATH_UNITS);
    if (!length || length >= PATH_UNITS || !folder_file(FOLDER_CONFIGURATIONS, name, L".conf.dpapi", path))
        return fail(failure, EXIT_REFUSED, "the path of this program, or of ProgramData, is too long");
    swprintf(line, units, L"\"%ls\" service \"%ls\"", program, path);
    return true;
}

static void warn(const char *what)
{
    char text[200];
    windows_text(GetLastError(), text, sizeof text);
    fprintf(stderr, SERVICE_PROGRAM ": warning: %s: %s\n", what, text);
}

/* What makes the service safer or more faithful; without it the tunnel works as well. */
static void refine(SC_HANDLE service)
{
    SC_ACTION actions[] = {{SC_ACTION_RESTART, RESTART_MS},
                           {SC_ACTION_RESTART, 2 * RESTART_MS},
                           {SC_ACTION_RESTART, 12 * RESTART_MS}};
    SERVICE_FAILURE_ACTIONSW failures = {
        .dwResetPeriod = FORGET_S, .cActions = sizeof actions / sizeof *actions, .lpsaActions = actions};
    SERVICE_SID_INFO sid = {.dwServiceSidType = SERVICE_SID_TYPE_UNRESTRICTED};
    SERVICE_REQUIRED_PRIVILEGES_INFOW privileges = {.pmszRequiredPrivileges = privileges_required};
    static WCHAR text[] = L"A tunnel from a stored configuration";
    SERVICE_DESCRIPTIONW description = {.lpDescription = text};
    if (!ChangeServiceConfig2W(service, SERVICE_CONFIG_FAILURE_ACTIONS, &failures))
        warn("after a crash it will not be started again");
    if (!ChangeServiceConfig2W(service, SERVICE_CONFIG_SERVICE_SID_INFO, &sid))
        warn("it has no SID of its own");
    if (!ChangeServiceConfig2W(service, SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO, &privileges))
        warn("its privileges cannot be reduced before it starts");
    if (!ChangeServiceConfig2W(service, SERVICE_CONFIG_DESCRIPTION, &description))
        warn("it has no description");
    if (log_register_source())
        warn("its events have no source in the event log");
}

static SC_HANDLE create(const char *name, struct failure *failure)
{
    WCHAR wide[SERVICE_NAME_UNITS], display[SERVICE_NAME_UNITS], text[TUNNEL_NAME_BYTES];
    static WCHAR line[2 * PATH_UNITS + 32];
    SC_HANDLE manager = NULL, service = NULL;
    if (service_name(name, wide, failure) && command_line(name, line, sizeof line / sizeof *line, failure))
        manager = service_manager(SC_MANAGER_CONNECT | SC_MANAGER_CREATE_SERVICE, failure);
    if (!manager || !utf16_of(name, text, TUNNEL_NAME_BYTES))
        return NULL;
    swprintf(display, SERVICE_NAME_UNITS, SERVICE_DISPLAY L"%ls", text);
    service = CreateServiceW(manager, wide, display, SERVICE_ALL_ACCESS, SERVICE_WIN32_OWN_PROCESS,
                             SERVICE_AUTO_START, SERVICE_ERROR_NORMAL, line, NULL, NULL, L"Nsi\0TcpIp\0",
                             NULL, NULL);
    DWORD code = GetLastError();
    CloseServiceHandle(manager);
    if (!service && code == ERROR_SERVICE_EXISTS)
        fail(failure, EXIT_REFUSED,
             "%.60s is installed already: `" SERVICE_PROGRAM " reload FILE.conf` changes it", name);
    else if (!service)
        fail_windows(failure, code, "%.60s: its service cannot be made", name);
    return service;
}

bool store_by_service(SC_HANDLE service, const char *name, const struct secure_buffer *text,
                      struct failure *failure)
{
    WCHAR wide[SERVICE_NAME_UNITS];
    const WCHAR *words[] = {SCM_STORE_WORD};
    SERVICE_STATUS_PROCESS status;
    HANDLE pipe = service_name(name, wide, failure) ? handover_offer(name, failure) : NULL;
    if (!pipe)
        return false;
    bool done = StartServiceW(service, 1, words) ||
                fail_windows(failure, GetLastError(), "%.60s: its service cannot be started", name);
    done = done && handover_deliver(pipe, text, STORE_WAIT_MS, failure);
    CloseHandle(pipe);
    return done && service_wait(service, name, SERVICE_START_PENDING, STORE_WAIT_MS, &status, failure);
}

bool command_install(const char *file, struct failure *failure)
{
    struct secure_buffer text = {0};
    char name[TUNNEL_NAME_BYTES];
    struct failure ignored;
    bool done = load_plain(file, name, &text, failure) && folders_prepare(failure);
    SC_HANDLE service = done ? create(name, failure) : NULL;
    if (service) {
        refine(service);
        done = store_by_service(service, name, &text, failure);
        if (!done) {
            DeleteService(service);
            store_delete(name, &ignored);
        }
        CloseServiceHandle(service);
    }
    secure_buffer_free(&text);
    return service && done;
}

bool command_remove(const char *name, struct failure *failure)
{
    SERVICE_STATUS_PROCESS status;
    SC_HANDLE service = service_open(name, DELETE | SERVICE_QUERY_STATUS, failure);
    if (!service)
        return false;
    bool done = service_query(service, name, &status, failure);
    if (done && status.dwCurrentState != SERVICE_STOPPED)
        done = command_stop(name, failure);
    if (done && !DeleteService(service) && GetLastError() != ERROR_SERVICE_MARKED_FOR_DELETE)
        done = fail_windows(failure, GetLastError(), "%.60s: its service cannot be removed", name);
    CloseServiceHandle(service);
    return done && store_delete(name, failure);
}
