/* `wyrm up` and `wyrm down` on Windows.  An adapter lives as long as the process that made it, so `up` starts
 * this program once more, which makes the tunnel, tells how that went, and waits for `down`. */
#include "command.h"
#include "library.h"
#include "tunnel.h"
#include "tunnel_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEPER_WORD   "--keep"
#define DOWN_WAIT_MS  30000u
#define LOOK_MS       50u
#define PATH_UNITS    32768
#define ANSWER_FORMAT "%u\n"

/* ---- the process that keeps the tunnel ---- */

/* To the one that started it: the exit status, and the message. */
static void answer(const struct failure *failure)
{
    char text[sizeof failure->text + 16];
    HANDLE output = GetStdHandle(STD_OUTPUT_HANDLE);
    DWORD put;
    int length = snprintf(text, sizeof text, ANSWER_FORMAT "%s", failure->status, failure->text);
    WriteFile(output, text, (DWORD)length, &put, NULL);
    CloseHandle(output);
    SetStdHandle(STD_OUTPUT_HANDLE, NULL);
}

static bool keep(const char *file, const char *name, const struct config *config, struct failure *failure)
{
    struct tunnel tunnel;
    HANDLE event = tunnel_event_claim(name, failure);
    if (!event)
        return false;
    bool made = tunnel_create(&tunnel, name, backend_driver(NULL), failure);
    if (!made || !tunnel_configure(&tunnel, config, endpoint_resolve, failure)) {
        if (made)
            tunnel_close(&tunnel);
        CloseHandle(event);
        return false;
    }
    answer(&(struct failure){.status = EXIT_DONE});
    WaitForSingleObject(event, INFINITE);
    tunnel_close(&tunnel);
    CloseHandle(event);
    return true;
}

/* ---- up ---- */

static bool start_keeper(const char *file, HANDLE pipe, HANDLE *process, struct failure *failure)
{
    static WCHAR line[PATH_UNITS], program[PATH_UNITS], wide[PATH_UNITS], full[PATH_UNITS];
    PROCESS_INFORMATION information;
    STARTUPINFOEXW start = {
        .StartupInfo = {.cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES, .hStdOutput = pipe}};
    SIZE_T size = 0;
    if (!utf16_of(file, wide, PATH_UNITS) || !GetFullPathNameW(wide, PATH_UNITS, full, NULL) ||
        !GetModuleFileNameW(NULL, program, PATH_UNITS) || wcslen(program) + wcslen(full) + 32 > PATH_UNITS)
        return fail(failure, EXIT_USAGE, "\"%.200s\" is too long", file);
    /* Names of files have no quotation marks. */
    swprintf(line, PATH_UNITS,
             L"\"%s\" up \"%s\" "
             L"" KEEPER_WORD,
             program, full);
    InitializeProcThreadAttributeList(NULL, 1, 0, &size);
    start.lpAttributeList = malloc(size);
    /* No other handle of ours goes to a process that lives on. */
    if (!start.lpAttributeList || !InitializeProcThreadAttributeList(start.lpAttributeList, 1, 0, &size) ||
        !UpdateProcThreadAttribute(start.lpAttributeList, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, &pipe,
                                   sizeof pipe, NULL, NULL))
        return fail(failure, EXIT_REFUSED, "out of memory");
    bool started = CreateProcessW(program, line, NULL, NULL, TRUE,
                                  DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP | EXTENDED_STARTUPINFO_PRESENT,
                                  NULL, NULL, &start.StartupInfo, &information);
    DWORD code = GetLastError();
    free(start.lpAttributeList);
    if (!started)
        return fail_windows(failure, code, "the process that keeps the tunnel cannot be started");
    CloseHandle(information.hThread);
    *process = information.hProcess;
    return true;
}

static bool take_answer(HANDLE pipe, const char *name, struct failure *failure)
{
    char text[sizeof failure->text + 16];
    size_t length = 0;
    DWORD got;
    while (length + 1 < sizeof text &&
           ReadFile(pipe, text + length, (DWORD)(sizeof text - 1 - length), &got, NULL) && got)
        length += got;
    text[length] = 0;
    const char *line = strchr(text, '\n');
    if (!line)
        return fail(failure, EXIT_REFUSED, "%.100s: the process that keeps the tunnel ended without a word",
                    name);
    long status = strtol(text, NULL, 10);
    return !status || fail(failure, (enum exit_status)status, "%s", line + 1);
}

static bool is_up(const char *name)
{
    struct failure failure;
    HANDLE event = tunnel_event_open(name, EVENT_MODIFY_STATE);
    if (!event)
        return false;
    CloseHandle(event);
    const struct library *library = library_load(&failure);
    WIREGUARD_ADAPTER_HANDLE adapter = library ? library_open(library, name, &failure) : NULL;
    WIREGUARD_ADAPTER_STATE state = WIREGUARD_ADAPTER_STATE_DOWN;
    if (adapter) {
        library->get_state(adapter, &state);
        library->close(adapter);
    }
    return state == WIREGUARD_ADAPTER_STATE_UP;
}

static bool up(const char *file, const char *name, struct failure *failure)
{
    SECURITY_ATTRIBUTES inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};
    HANDLE reader, writer, process;
    if (is_up(name))
        return true;
    if (!CreatePipe(&reader, &writer, &inherited, 0) || !SetHandleInformation(reader, HANDLE_FLAG_INHERIT, 0))
        return fail_windows(failure, GetLastError(), "no pipe");
    bool done = start_keeper(file, writer, &process, failure);
    CloseHandle(writer);
    if (done) {
        done = take_answer(reader, name, failure);
        CloseHandle(process);
    }
    CloseHandle(reader);
    return done;
}

bool command_up(const struct invocation *invocation, struct failure *failure)
{
    char name[WIREGUARD_MAX_ADAPTER_NAME];
    char *const *words = invocation->arguments;
    bool keeper = invocation->keep;
    if (invocation->count != 1)
        return fail(failure, EXIT_USAGE, "up wants one configuration: wyrm up FILE.conf");
    if (invocation->engine)
        return fail(failure, EXIT_USAGE, "there is no --engine on Windows");
    if (!tunnel_name_of(words[0], name, sizeof name, failure))
        return false;
    struct config *config = config_load(words[0], CONFIG_QUICK, "wyrm", failure->text, sizeof failure->text);
    failure->status = EXIT_INVALID;
    bool done = config != NULL;
    if (done && keeper)
        done = keep(words[0], name, config, failure);
    else if (done && plan_refusal(config))
        done = fail(failure, EXIT_INVALID, "%.100s: %s", name, plan_refusal(config));
    else if (done)
        done = up(words[0], name, failure);
    config_free(config);
    if (!done && keeper)
        answer(failure);
    return done && (keeper || report_done(invocation, name, failure));
}

/* ---- down ---- */

bool command_down(const struct invocation *invocation, struct failure *failure)
{
    char name[WIREGUARD_MAX_ADAPTER_NAME];
    if (invocation->count != 1)
        return fail(failure, EXIT_USAGE, "down wants one configuration: wyrm down FILE.conf");
    if (!tunnel_name_of(invocation->arguments[0], name, sizeof name, failure))
        return false;
    HANDLE event = tunnel_event_open(name, EVENT_MODIFY_STATE);
    if (!event && GetLastError() != ERROR_FILE_NOT_FOUND)
        return fail_windows(failure, GetLastError(), "%.100s: the tunnel's event cannot be opened", name);
    if (event) {
        SetEvent(event);
        CloseHandle(event);
        for (unsigned waited = 0; (event = tunnel_event_open(name, SYNCHRONIZE)); waited += LOOK_MS) {
            CloseHandle(event);
            if (waited >= DOWN_WAIT_MS)
                return fail(failure, EXIT_NO_ANSWER, "%.100s: the tunnel's process does not end within %u s",
                            name, DOWN_WAIT_MS / 1000);
            Sleep(LOOK_MS);
        }
    }
    return report_done(invocation, name, failure);
}
