/* See handover.h.  On the wire: 4 bytes of length, little-endian, and the text; back "STATUS\nMESSAGE". */
#include "handover.h"

#include "library.h"
#include "names.h"
#include "store.h"

#include <sddl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIPE_BYTES      65536
#define SERVICE_WAIT_MS 10000u
#define NO_TEXT         0xFFFFFFFFu

static bool pipe_name(const char *name, WCHAR *path)
{
    WCHAR wide[TUNNEL_NAME_BYTES];
    if (!utf16_of(name, wide, TUNNEL_NAME_BYTES))
        return false;
    swprintf(path, PATH_UNITS, HANDOVER_PIPES L"%ls", wide);
    return true;
}

/* What an overlapped operation came to; ERROR_TIMEOUT: it was cancelled. */
static DWORD finish(HANDLE pipe, OVERLAPPED *operation, BOOL begun, unsigned wait_ms, DWORD *bytes)
{
    DWORD code = begun ? 0 : GetLastError();
    if (code && code != ERROR_IO_PENDING)
        return code;
    bool late = WaitForSingleObject(operation->hEvent, wait_ms) != WAIT_OBJECT_0;
    if (late)
        CancelIoEx(pipe, operation);
    if (GetOverlappedResult(pipe, operation, bytes, TRUE))
        return 0;
    return late ? ERROR_TIMEOUT : GetLastError();
}

static DWORD transfer(HANDLE pipe, bool write, void *data, size_t length, unsigned wait_ms)
{
    OVERLAPPED operation = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    DWORD code = operation.hEvent ? 0 : GetLastError();
    for (size_t at = 0; !code && at < length;) {
        DWORD part = length - at < PIPE_BYTES ? (DWORD)(length - at) : PIPE_BYTES, moved = 0;
        BOOL begun = write ? WriteFile(pipe, (BYTE *)data + at, part, NULL, &operation)
                           : ReadFile(pipe, (BYTE *)data + at, part, NULL, &operation);
        code = finish(pipe, &operation, begun, wait_ms, &moved);
        if (!code && !moved)
            code = ERROR_BROKEN_PIPE;
        at += moved;
    }
    if (operation.hEvent)
        CloseHandle(operation.hEvent);
    return code;
}

/* ---- the administrator's side ---- */

HANDLE handover_offer(const char *name, struct failure *failure)
{
    WCHAR path[PATH_UNITS];
    SECURITY_ATTRIBUTES attributes = {.nLength = sizeof attributes};
    if (!pipe_name(name, path) ||
        !ConvertStringSecurityDescriptorToSecurityDescriptorW(PRIVATE_PIPE_SDDL, SDDL_REVISION_1,
                                                              &attributes.lpSecurityDescriptor, NULL)) {
        fail_windows(failure, GetLastError(), "%.60s: the pipe to the service cannot be made", name);
        return NULL;
    }
    HANDLE pipe = CreateNamedPipeW(
        path, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
        PIPE_TYPE_BYTE | PIPE_REJECT_REMOTE_CLIENTS, 1, PIPE_BYTES, PIPE_BYTES, 0, &attributes);
    DWORD code = GetLastError();
    LocalFree(attributes.lpSecurityDescriptor);
    if (pipe != INVALID_HANDLE_VALUE)
        return pipe;
    fail_windows(failure, code,
                 "%.60s: the pipe to the service cannot be made; is another program configuring this tunnel?",
                 name);
    return NULL;
}

static DWORD wait_for_service(HANDLE pipe, unsigned wait_ms)
{
    OVERLAPPED operation = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    DWORD bytes = 0, code = GetLastError();
    if (operation.hEvent) {
        code = finish(pipe, &operation, ConnectNamedPipe(pipe, &operation), wait_ms, &bytes);
        CloseHandle(operation.hEvent);
    }
    return code == ERROR_PIPE_CONNECTED ? 0 : code;
}

static DWORD read_answer(HANDLE pipe, char *text, size_t size, unsigned wait_ms)
{
    size_t length = 0;
    DWORD code = 0;
    /* Byte by byte until the end: it is short, and the service closes behind it. */
    while (!code && length + 1 < size && !(code = transfer(pipe, false, text + length, 1, wait_ms)))
        length++;
    text[length] = 0;
    return length && code == ERROR_BROKEN_PIPE ? 0 : code;
}

bool handover_deliver(HANDLE pipe, const struct secure_buffer *text, unsigned wait_ms,
                      struct failure *failure)
{
    char answer[sizeof failure->text + 16];
    uint32_t length = text ? (uint32_t)text->length : NO_TEXT;
    DWORD code = wait_for_service(pipe, wait_ms);
    if (!code)
        code = transfer(pipe, true, &length, sizeof length, wait_ms);
    if (!code && text)
        code = transfer(pipe, true, text->data, text->length, wait_ms);
    if (!code)
        code = read_answer(pipe, answer, sizeof answer, wait_ms);
    if (code)
        return fail_windows(failure, code, "the service does not take the configuration");
    const char *line = strchr(answer, '\n');
    if (!line)
        return fail(failure, EXIT_NO_ANSWER, "the service ended while it took the configuration");
    long status = strtol(answer, NULL, 10);
    return !status || fail(failure, (enum exit_status)status, "%s", line + 1);
}

/* ---- the service's side ---- */

bool handover_take(const char *name, HANDLE *pipe, bool *given, struct secure_buffer *text,
                   struct failure *failure)
{
    WCHAR path[PATH_UNITS];
    uint32_t length;
    *pipe = NULL;
    *given = false;
    if (!pipe_name(name, path))
        return true;
    /* Whoever made the pipe may not act in our name. */
    HANDLE end = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                             FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
    if (end == INVALID_HANDLE_VALUE)
        return true;
    *pipe = end;
    DWORD code = transfer(end, false, &length, sizeof length, SERVICE_WAIT_MS);
    if (!code && length != NO_TEXT && length > STORE_LIMIT_BYTES)
        code = ERROR_FILE_TOO_LARGE;
    *given = !code && length != NO_TEXT;
    if (*given && !secure_buffer_reserve(text, length + 1))
        code = ERROR_NOT_ENOUGH_MEMORY;
    if (!code && *given) {
        code = transfer(end, false, text->data, length, SERVICE_WAIT_MS);
        text->length = length;
    }
    return !code || fail_windows(failure, code, "%.60s: the handed over configuration cannot be read", name);
}

void handover_answer(HANDLE pipe, const struct failure *failure)
{
    char text[sizeof failure->text + 16];
    if (!pipe)
        return;
    int length = snprintf(text, sizeof text, "%d\n%s", failure->status, failure->status ? failure->text : "");
    transfer(pipe, true, text, (size_t)length, SERVICE_WAIT_MS);
    FlushFileBuffers(pipe);
    CloseHandle(pipe);
}
