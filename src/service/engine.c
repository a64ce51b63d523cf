/* See engine.h. */
#include "engine.h"

#include "engine_pipe.h"
#include "library.h"
#include "log.h"
#include "names.h"
#include "win/netio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READY_WAIT_MS 60000u /* the first adapter of a machine installs a driver */
#define END_WAIT_MS   10000u
#define ALIAS_WAIT_MS 10000u
#define LOOK_MS       100u
#define ENGINE_FILE   WYRM_VENDOR_FILE "-engine.exe"

struct engine {
    struct backend common;
    HANDLE input;   /* our end of its standard input: closing it ends the engine */
    HANDLE output;  /* our end of its output */
    HANDLE reader;  /* the thread that logs what it says */
    HANDLE ready;   /* event: it said so */
    char last[200]; /* what it said last */
};

bool engine_is_chosen(void)
{
    HKEY key;
    DWORD value = 0, type = 0, bytes = sizeof value;
    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, SETTINGS_KEY, 0, KEY_QUERY_VALUE | KEY_WOW64_64KEY, &key))
        return false;
    LSTATUS status =
        RegQueryValueExW(key, L"UseUserspaceImplementation", NULL, &type, (BYTE *)&value, &bytes);
    RegCloseKey(key);
    return !status && type == REG_DWORD && value;
}

bool engine_path(WCHAR *path)
{
    return beside_us(L"" ENGINE_FILE, path, PATH_UNITS);
}

static struct engine *engine_of(struct backend *backend)
{
    return (struct engine *)backend;
}

/* ---- its output ---- */

static void take_line(struct engine *engine, const char *line)
{
    if (!line[0])
        return;
    if (!strcmp(line, "ready")) {
        SetEvent(engine->ready);
        return;
    }
    log_foreign(LOG_INFO, "engine", line);
    snprintf(engine->last, sizeof engine->last, "%.199s", line);
}

static DWORD WINAPI read_output(void *argument)
{
    struct engine *engine = argument;
    char line[512];
    size_t length = 0;
    char byte;
    DWORD got;
    while (ReadFile(engine->output, &byte, 1, &got, NULL) && got) {
        if (byte != '\n' && length + 1 < sizeof line) {
            line[length] = byte == '\r' ? 0 : byte;
            length += byte != '\r';
            continue;
        }
        line[length] = 0;
        take_line(engine, line);
        length = 0;
    }
    return 0;
}

/* ---- its process ---- */

struct ends {
    HANDLE input, output; /* the engine's */
};

static bool make_pipes(struct engine *engine, struct ends *ends)
{
    SECURITY_ATTRIBUTES inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};
    if (!CreatePipe(&ends->input, &engine->input, &inherited, 0))
        return false;
    if (!CreatePipe(&engine->output, &ends->output, &inherited, 0)) {
        CloseHandle(ends->input);
        CloseHandle(engine->input);
        return false;
    }
    SetHandleInformation(engine->input, HANDLE_FLAG_INHERIT, 0);
    SetHandleInformation(engine->output, HANDLE_FLAG_INHERIT, 0);
    return true;
}

/* With the pipes' ends and no other handle of ours. */
static DWORD start_process(struct engine *engine, const struct ends *ends, const WCHAR *name)
{
    WCHAR program[PATH_UNITS], line[PATH_UNITS + 100];
    HANDLE inherited[] = {ends->input, ends->output};
    PROCESS_INFORMATION information = {0};
    SIZE_T size = 0;
    STARTUPINFOEXW start = {.StartupInfo = {.cb = sizeof start,
                                            .dwFlags = STARTF_USESTDHANDLES,
                                            .hStdInput = ends->input,
                                            .hStdOutput = ends->output,
                                            .hStdError = ends->output}};
    if (!engine_path(program))
        return GetLastError();
    swprintf(line, PATH_UNITS + 100, L"\"%ls\" --stdin %ls", program, name);
    InitializeProcThreadAttributeList(NULL, 1, 0, &size);
    start.lpAttributeList = malloc(size);
    if (!start.lpAttributeList)
        return ERROR_NOT_ENOUGH_MEMORY;
    DWORD code = 0;
    if (!InitializeProcThreadAttributeList(start.lpAttributeList, 1, 0, &size) ||
        !UpdateProcThreadAttribute(start.lpAttributeList, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, inherited,
                                   sizeof inherited, NULL, NULL) ||
        !CreateProcessW(program, line, NULL, NULL, TRUE, CREATE_NO_WINDOW | EXTENDED_STARTUPINFO_PRESENT,
                        NULL, NULL, &start.StartupInfo, &information))
        code = GetLastError();
    free(start.lpAttributeList);
    if (code)
        return code;
    CloseHandle(information.hThread);
    engine->common.process = information.hProcess;
    return 0;
}

static void engine_close(struct backend *backend)
{
    struct engine *engine = engine_of(backend);
    if (engine->input)
        CloseHandle(engine->input);
    if (backend->process) {
        if (WaitForSingleObject(backend->process, END_WAIT_MS) != WAIT_OBJECT_0) {
            log_line(LOG_WARNING, "the engine does not end within %u s: it is terminated",
                     END_WAIT_MS / 1000);
            TerminateProcess(backend->process, 1);
        }
        CloseHandle(backend->process);
    }
    if (engine->reader) {
        WaitForSingleObject(engine->reader, END_WAIT_MS); /* its output ended with it */
        CloseHandle(engine->reader);
    }
    if (engine->output)
        CloseHandle(engine->output);
    if (engine->ready)
        CloseHandle(engine->ready);
    backend->process = engine->input = engine->output = engine->reader = engine->ready = NULL;
}

/* Its status when it ended before it was ready (docs/engine.md). */
static bool explain(struct engine *engine, struct failure *failure)
{
    DWORD status = 0;
    const char *name = engine->common.name;
    if (WaitForSingleObject(engine->common.process, 0) != WAIT_OBJECT_0)
        return fail(failure, EXIT_NO_ANSWER, "%.60s: the engine is not ready after %u s", name,
                    READY_WAIT_MS / 1000);
    WaitForSingleObject(engine->reader, END_WAIT_MS);
    GetExitCodeProcess(engine->common.process, &status);
    return fail(failure, EXIT_REFUSED, "%.60s: the engine ended with status %lu: %.199s", name, status,
                engine->last[0] ? engine->last : "it said nothing");
}

static bool wait_until_ready(struct engine *engine, struct failure *failure)
{
    HANDLE handles[] = {engine->ready, engine->common.process};
    return WaitForMultipleObjects(2, handles, FALSE, READY_WAIT_MS) == WAIT_OBJECT_0 ||
           explain(engine, failure);
}

static bool find_interface(const char *name, const WCHAR *alias, NET_LUID *luid, struct failure *failure)
{
    DWORD code = netio_find(alias, luid);
    for (unsigned waited = 0; code && code != ERROR_NOT_SUPPORTED && waited < ALIAS_WAIT_MS;
         waited += LOOK_MS) {
        Sleep(LOOK_MS);
        code = netio_find(alias, luid);
    }
    return !code || fail_windows(failure, code, "%.60s: the engine's adapter cannot be found", name);
}

static bool engine_open(struct backend *backend, const char *name, NET_LUID *luid, struct failure *failure)
{
    struct engine *engine = engine_of(backend);
    struct ends ends;
    WCHAR wide[TUNNEL_NAME_BYTES];
    backend->name = name;
    engine->last[0] = 0;
    if (!utf16_of(name, wide, TUNNEL_NAME_BYTES))
        return fail(failure, EXIT_USAGE, "\"%.60s\" cannot be the name of an adapter: use 1 to 32 characters",
                    name);
    engine->ready = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!engine->ready || !make_pipes(engine, &ends)) {
        engine->input = engine->output = NULL;
        fail_windows(failure, GetLastError(), "%.60s: no pipe to the engine", name);
        engine_close(backend);
        return false;
    }
    DWORD code = start_process(engine, &ends, wide);
    CloseHandle(ends.input);
    CloseHandle(ends.output);
    if (code) {
        fail_windows(failure, code, "%.60s: " ENGINE_FILE " beside this program cannot be started", name);
        engine_close(backend);
        return false;
    }
    engine->reader = CreateThread(NULL, 0, read_output, engine, 0, NULL);
    if (!engine->reader)
        fail_windows(failure, GetLastError(), "%.60s: no thread for the engine", name);
    if (!engine->reader || !wait_until_ready(engine, failure) || !find_interface(name, wide, luid, failure)) {
        engine_close(backend);
        return false;
    }
    log_line(LOG_INFO, "the user-space engine serves %s", name);
    return true;
}

static bool engine_get(struct backend *backend, struct device *device, struct failure *failure)
{
    return engine_pipe_get(backend->name, device, failure);
}

static bool engine_set(struct backend *backend, const struct change *change, struct failure *failure)
{
    return engine_pipe_set(backend->name, change, failure);
}

/* The engine's adapter is up from the beginning. */
static bool engine_up(struct backend *backend, struct failure *failure)
{
    return true;
}

static bool engine_alive(struct backend *backend)
{
    return WaitForSingleObject(backend->process, 0) == WAIT_TIMEOUT;
}

struct backend *backend_engine(void)
{
    static struct engine engine = {.common = {.open = engine_open,
                                              .get = engine_get,
                                              .set = engine_set,
                                              .up = engine_up,
                                              .alive = engine_alive,
                                              .close = engine_close}};
    return &engine.common;
}
