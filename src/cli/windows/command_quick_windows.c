/* `wyrm up` and `wyrm down` on Windows.  An adapter lives as long as the process that made it, so `up` starts
 * this program once more, which makes the tunnel, tells how that went, and waits for `down`. */
#include "command.h"
#include "tunnel.h"

#include <sddl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEPER_WORD   "--keep"
#define DOWN_WAIT_MS  30000u
#define LOOK_MS       50u
#define PATH_UNITS    32768
#define ANSWER_FORMAT "%u\n"

/* FILE.conf: the tunnel has the file's name. */
static bool name_of(const char *file, char *name, size_t size, struct failure *failure)
{
    const char *base = file;
    for (const char *at = file; *at; at++)
        if (*at == '\\' || *at == '/' || *at == ':')
            base = at + 1;
    size_t length = strlen(base);
    if (length <= 5 || _stricmp(base + length - 5, ".conf") != 0)
        return fail(failure, EXIT_USAGE, "\"%.200s\" is not a file NAME.conf", file);
    length -= 5;
    if (length >= WIREGUARD_MAX_ADAPTER_NAME || length >= size)
        return fail(failure, EXIT_USAGE,
                    "the file's name becomes the adapter's: at most 127 bytes before .conf");
    memcpy(name, base, length);
    name[length] = 0;
    return true;
}

/* Set by `down`, there as long as the tunnel.  Only administrators and SYSTEM can make it under this name's
 * access list or set it. */
static bool event_name(const char *name, WCHAR *wide, int units, struct failure *failure)
{
    WCHAR text[WIREGUARD_MAX_ADAPTER_NAME];
    if (!utf16_of(name, text, WIREGUARD_MAX_ADAPTER_NAME))
        return fail(failure, EXIT_USAGE,
                    "\"%.60s\" cannot be the name of an adapter: use 1 to 127 characters", name);
    swprintf(wide, (size_t)units, L"Global\\" WYRM_VENDOR_NAME L"-Tunnel-%s", text);
    return true;
}

static HANDLE event_create(const WCHAR *name, bool *existed)
{
    SECURITY_ATTRIBUTES attributes = {.nLength = sizeof attributes};
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(L"D:P(A;;GA;;;SY)(A;;GA;;;BA)", SDDL_REVISION_1,
                                                              &attributes.lpSecurityDescriptor, NULL))
        return NULL;
    HANDLE event = CreateEventW(&attributes, TRUE, FALSE, name);
    DWORD code = GetLastError();
    *existed = event ? code == ERROR_ALREADY_EXISTS : code == ERROR_ACCESS_DENIED;
    LocalFree(attributes.lpSecurityDescriptor);
    SetLastError(code);
    return event;
}

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
    WCHAR wide[WIREGUARD_MAX_ADAPTER_NAME + 64];
    struct tunnel tunnel;
    bool existed = false;
    if (!event_name(name, wide, sizeof wide / sizeof *wide, failure))
        return false;
    HANDLE event = event_create(wide, &existed);
    if (existed)
        return fail(failure, EXIT_REFUSED, "%.100s: another process is making or keeping this tunnel", name);
    if (!event)
        return fail_windows(failure, GetLastError(), "%.100s: the tunnel's event cannot be made", name);
    if (!tunnel_open(&tunnel, name, config, failure)) {
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
    WCHAR wide[WIREGUARD_MAX_ADAPTER_NAME + 64];
    struct failure failure;
    if (!event_name(name, wide, sizeof wide / sizeof *wide, &failure))
        return false;
    HANDLE event = OpenEventW(EVENT_MODIFY_STATE, FALSE, wide);
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

static bool has_hooks(const struct config *config)
{
    return config->pre_up.count || config->post_up.count || config->pre_down.count || config->post_down.count;
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
    if (!name_of(words[0], name, sizeof name, failure))
        return false;
    struct config *config = config_load(words[0], CONFIG_QUICK, "wyrm", failure->text, sizeof failure->text);
    failure->status = EXIT_INVALID;
    bool done = config != NULL;
    if (done && keeper)
        done = keep(words[0], name, config, failure);
    else if (done && has_hooks(config))
        done =
            fail(failure, EXIT_INVALID,
                 "%.100s: PreUp, PostUp, PreDown and PostDown are not run on Windows: take them out", name);
    else if (done && config->save)
        done =
            fail(failure, EXIT_INVALID, "%.100s: SaveConfig is not possible on Windows: take it out", name);
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
    WCHAR wide[WIREGUARD_MAX_ADAPTER_NAME + 64];
    if (invocation->count != 1)
        return fail(failure, EXIT_USAGE, "down wants one configuration: wyrm down FILE.conf");
    if (!name_of(invocation->arguments[0], name, sizeof name, failure) ||
        !event_name(name, wide, sizeof wide / sizeof *wide, failure))
        return false;
    HANDLE event = OpenEventW(EVENT_MODIFY_STATE, FALSE, wide);
    if (!event && GetLastError() != ERROR_FILE_NOT_FOUND)
        return fail_windows(failure, GetLastError(), "%.100s: the tunnel's event cannot be opened", name);
    if (event) {
        SetEvent(event);
        CloseHandle(event);
        for (unsigned waited = 0; (event = OpenEventW(SYNCHRONIZE, FALSE, wide)); waited += LOOK_MS) {
            CloseHandle(event);
            if (waited >= DOWN_WAIT_MS)
                return fail(failure, EXIT_NO_ANSWER, "%.100s: the tunnel's process does not end within %u s",
                            name, DOWN_WAIT_MS / 1000);
            Sleep(LOOK_MS);
        }
    }
    return report_done(invocation, name, failure);
}
