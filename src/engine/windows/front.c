/* src/uapi/front_server.h over a named pipe: only administrators and the system may open it, and only on this
 * machine. Windows keeps names below ProtectedPrefix\Administrators for them, so that nobody else can take
 * the name first.  Each connection has a thread and an instance of the pipe; front_close() ends what waits.
 */
#include "front_server.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <errno.h>
#include <process.h>
#include <sddl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRONT_CONNECTIONS_MAX 32
#define FRONT_PIPE_BYTES      65536
/* LocalSystem and administrators, of high integrity; for nobody else. */
#define FRONT_SDDL L"O:BAD:P(A;;GA;;;SY)(A;;GA;;;BA)S:(ML;;NWNRNX;;;HI)"

struct connection {
    struct front *front;
    HANDLE pipe, thread, moved; /* `moved`: of the transfer under way */
};

struct front {
    const struct front_service *service;
    void *context;
    wchar_t path[256];
    SECURITY_ATTRIBUTES security;
    HANDLE stop, thread; /* `stop` stays signaled */
    HANDLE waiting;      /* the instance that the next client gets */
    struct connection connections[FRONT_CONNECTIONS_MAX];
};

/* `fd` is a place in its connections: there is one front in a process. */
static struct front *the_front;

/* What an overlapped operation came to: bytes, 0 when it failed or when the front closes. */
static DWORD finish(const struct front *front, HANDLE pipe, OVERLAPPED *operation, BOOL done)
{
    DWORD bytes = 0;
    HANDLE handles[2] = {operation->hEvent, front->stop};
    if (!done && GetLastError() != ERROR_IO_PENDING)
        return 0;
    if (!done && WaitForMultipleObjects(2, handles, FALSE, INFINITE) != WAIT_OBJECT_0)
        CancelIoEx(pipe, operation);
    return GetOverlappedResult(pipe, operation, &bytes, TRUE) ? bytes : 0;
}

size_t front_read_some(int fd, void *data, size_t length)
{
    const struct connection *connection = &the_front->connections[fd];
    OVERLAPPED operation = {.hEvent = connection->moved};
    BOOL done =
        ReadFile(connection->pipe, data, length < INT32_MAX ? (DWORD)length : INT32_MAX, NULL, &operation);
    return finish(connection->front, connection->pipe, &operation, done);
}

bool front_write_all(int fd, const void *data, size_t length)
{
    const struct connection *connection = &the_front->connections[fd];
    for (size_t put = 0, bytes; put < length; put += bytes) {
        OVERLAPPED operation = {.hEvent = connection->moved};
        size_t left = length - put;
        BOOL done = WriteFile(connection->pipe, (const char *)data + put,
                              left < FRONT_PIPE_BYTES ? (DWORD)left : FRONT_PIPE_BYTES, NULL, &operation);
        bytes = finish(connection->front, connection->pipe, &operation, done);
        if (!bytes)
            return false;
    }
    return true;
}

/* What the client did not read yet stays in the pipe until it closes its end. */
static unsigned __stdcall connection_main(void *argument)
{
    struct connection *connection = argument;
    struct front *front = connection->front;
    front->service->serve(front->context, (int)(connection - front->connections));
    CloseHandle(connection->pipe);
    return 0;
}

/* A place that no thread uses; NULL: all are taken. */
static struct connection *free_place(struct front *front)
{
    for (unsigned i = 0; i < FRONT_CONNECTIONS_MAX; i++) {
        struct connection *connection = &front->connections[i];
        if (!connection->thread)
            return connection;
        if (WaitForSingleObject(connection->thread, 0) == WAIT_OBJECT_0) {
            CloseHandle(connection->thread);
            connection->thread = NULL;
            return connection;
        }
    }
    return NULL;
}

static void connection_start(struct front *front, HANDLE pipe)
{
    struct connection *connection = free_place(front);
    if (connection && !connection->moved)
        connection->moved = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (connection && connection->moved) {
        connection->front = front;
        connection->pipe = pipe;
        connection->thread = (HANDLE)_beginthreadex(NULL, 0, connection_main, connection, 0, NULL);
        if (connection->thread)
            return;
    }
    front->service->warn("connection refused: %s",
                         connection ? "no memory or thread for it" : "too many connections");
    CloseHandle(pipe);
}

static HANDLE make_instance(struct front *front, DWORD first)
{
    return CreateNamedPipeW(front->path, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | first,
                            PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
                            PIPE_UNLIMITED_INSTANCES, FRONT_PIPE_BYTES, FRONT_PIPE_BYTES, 0,
                            &front->security);
}

static unsigned __stdcall acceptor_main(void *argument)
{
    struct front *front = argument;
    HANDLE connected = CreateEventW(NULL, TRUE, FALSE, NULL);
    while (connected && WaitForSingleObject(front->stop, 0) != WAIT_OBJECT_0) {
        if (front->waiting == INVALID_HANDLE_VALUE)
            front->waiting = make_instance(front, 0);
        if (front->waiting ==
            INVALID_HANDLE_VALUE) { /* nothing to be done but wait until something is closed */
            WaitForSingleObject(front->stop, 100);
            continue;
        }
        OVERLAPPED operation = {.hEvent = connected};
        BOOL done = ConnectNamedPipe(front->waiting, &operation);
        if (!done && GetLastError() == ERROR_IO_PENDING) {
            finish(front, front->waiting, &operation, FALSE);
            if (WaitForSingleObject(front->stop, 0) == WAIT_OBJECT_0)
                break;
        } else if (!done && GetLastError() != ERROR_PIPE_CONNECTED) {
            CloseHandle(front->waiting); /* a client that left at once */
            front->waiting = INVALID_HANDLE_VALUE;
            continue;
        }
        HANDLE pipe = front->waiting;
        front->waiting = make_instance(front, 0); /* before this one can close: the name stays ours */
        connection_start(front, pipe);
    }
    if (connected)
        CloseHandle(connected);
    return 0;
}

static void front_free(struct front *front)
{
    if (front->waiting != INVALID_HANDLE_VALUE)
        CloseHandle(front->waiting);
    for (unsigned i = 0; i < FRONT_CONNECTIONS_MAX; i++)
        if (front->connections[i].moved)
            CloseHandle(front->connections[i].moved);
    if (front->stop)
        CloseHandle(front->stop);
    LocalFree(front->security.lpSecurityDescriptor);
    the_front = NULL;
    free(front);
}

int front_listen(const char *directory, const char *name, const char *suffix,
                 const struct front_service *service, void *context, struct front **out, char *error,
                 unsigned size)
{
    char path[256];
    struct front *front = calloc(1, sizeof(*front));
    snprintf(error, size, "out of memory");
    if (!front)
        return -ENOMEM;
    the_front = front;
    front->service = service;
    front->context = context;
    front->waiting = INVALID_HANDLE_VALUE;
    front->security.nLength = sizeof(front->security);
    snprintf(path, sizeof(path), "%s\\%s%s", directory, name, suffix);
    front->stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!front->stop || !MultiByteToWideChar(CP_UTF8, 0, path, -1, front->path, 256) ||
        !ConvertStringSecurityDescriptorToSecurityDescriptorW(FRONT_SDDL, SDDL_REVISION_1,
                                                              &front->security.lpSecurityDescriptor, NULL)) {
        front_free(front);
        return -ENOMEM;
    }
    front->waiting = make_instance(front, FILE_FLAG_FIRST_PIPE_INSTANCE);
    if (front->waiting == INVALID_HANDLE_VALUE) {
        DWORD code = GetLastError();
        snprintf(error, size,
                 "cannot listen on %s: error %lu; an administrator must start it, once for each name", path,
                 code);
        front_free(front);
        return -EACCES;
    }
    front->thread = (HANDLE)_beginthreadex(NULL, 0, acceptor_main, front, 0, NULL);
    if (!front->thread) {
        front_free(front);
        return -ENOMEM;
    }
    *out = front;
    return 0;
}

void front_close(struct front *front)
{
    if (!front)
        return;
    SetEvent(front->stop);
    WaitForSingleObject(front->thread, INFINITE);
    CloseHandle(front->thread);
    for (unsigned i = 0; i < FRONT_CONNECTIONS_MAX; i++)
        if (front->connections[i].thread) {
            WaitForSingleObject(front->connections[i].thread, INFINITE);
            CloseHandle(front->connections[i].thread);
        }
    front->service->destroy(front->context);
    front_free(front);
}
