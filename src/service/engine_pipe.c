/* See engine_pipe.h. */
#include "engine_pipe.h"

#include "library.h"
#include "names.h"
#include "uapi.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_LIMIT_BYTES (512u << 20)
#define READ_BYTES         65536u
#define BUSY_WAIT_MS       10000u

static HANDLE connect_to(const char *name)
{
    WCHAR wide[TUNNEL_NAME_BYTES], path[PATH_UNITS];
    if (!utf16_of(name, wide, TUNNEL_NAME_BYTES))
        return INVALID_HANDLE_VALUE;
    swprintf(path, PATH_UNITS, ENGINE_PIPES L"%ls", wide);
    for (;;) {
        HANDLE pipe = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                                  SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
        if (pipe != INVALID_HANDLE_VALUE || GetLastError() != ERROR_PIPE_BUSY ||
            !WaitNamedPipeW(path, BUSY_WAIT_MS))
            return pipe;
    }
}

/* Up to and with the empty line; 0 or a code of Windows. */
static DWORD converse(HANDLE pipe, const struct secure_buffer *request, struct secure_buffer *answer)
{
    DWORD moved;
    for (size_t at = 0; at < request->length; at += moved) {
        size_t left = request->length - at;
        if (!WriteFile(pipe, request->data + at, left < READ_BYTES ? (DWORD)left : READ_BYTES, &moved, NULL))
            return GetLastError();
    }
    while (answer->length < 2 || memcmp(answer->data + answer->length - 2, "\n\n", 2) != 0) {
        if (answer->length > ANSWER_LIMIT_BYTES || !secure_buffer_reserve(answer, READ_BYTES))
            return ERROR_NOT_ENOUGH_MEMORY;
        if (!ReadFile(pipe, answer->data + answer->length, READ_BYTES, &moved, NULL))
            return GetLastError();
        if (!moved)
            return ERROR_BROKEN_PIPE;
        answer->length += moved;
    }
    return 0;
}

static bool ask(const char *name, const struct secure_buffer *request, struct secure_buffer *answer,
                struct failure *failure)
{
    HANDLE pipe = connect_to(name);
    if (pipe == INVALID_HANDLE_VALUE)
        return fail_windows(failure, GetLastError(), "%.60s: the engine's pipe cannot be opened", name);
    DWORD code = converse(pipe, request, answer);
    CloseHandle(pipe);
    if (code)
        return fail_windows(failure, code, "%.60s: the engine does not answer", name);
    int number = uapi_errno((const char *)answer->data, answer->length);
    return !number || fail(failure, EXIT_REFUSED, "%.60s: the engine refused the configuration (errno %d)",
                           name, number);
}

bool engine_pipe_get(const char *name, struct device *device, struct failure *failure)
{
    struct secure_buffer request = {0}, answer = {0};
    bool done = secure_buffer_printf(&request, "get=1\n\n") || fail(failure, EXIT_REFUSED, "out of memory");
    snprintf(device->name, sizeof device->name, "%s", name);
    done = done && ask(name, &request, &answer, failure) &&
           uapi_get_parse((char *)answer.data, answer.length, device, failure);
    secure_buffer_free(&request);
    secure_buffer_free(&answer);
    return done;
}

bool engine_pipe_set(const char *name, const struct change *change, struct failure *failure)
{
    struct secure_buffer request = {0}, answer = {0};
    bool done = uapi_set_format(&request, change) || fail(failure, EXIT_REFUSED, "out of memory");
    done = done && ask(name, &request, &answer, failure);
    secure_buffer_free(&request);
    secure_buffer_free(&answer);
    return done;
}
