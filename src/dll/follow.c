/* Following an adapter's log: a thread that reads the driver's lines one by one.  What the thread uses
 * belongs to both the handle and the thread; the last one frees it. */
#include "adapter.h"
#include "log.h"
#include "wyrm/control.h"

/* Needs windows.h before it. */
#include <iphlpapi.h>

#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

enum {
    REOPEN_TRIES = 10,
    REOPEN_MS = 1000,
    DRIVER_GONE_MS = 5000,
    STOP_STEP_MS = 100,
    STOP_LIMIT_MS = 15000
};

struct follower {
    LONG references;
    LONG alive;       /* the thread has not ended by itself */
    LONG with_prefix; /* lines begin with the interface's index */
    HANDLE stop;      /* event */
    HANDLE thread;
    HMODULE module;
    DWORD index;
    wchar_t *path;
};

static void follower_release(struct follower *follower)
{
    if (InterlockedDecrement(&follower->references))
        return;
    if (follower->stop)
        CloseHandle(follower->stop);
    if (follower->thread)
        CloseHandle(follower->thread);
    free(follower->path);
    free(follower);
}

static bool stopped(const struct follower *follower, DWORD wait_ms)
{
    return WaitForSingleObject(follower->stop, wait_ms) == WAIT_OBJECT_0;
}

/* The driver writes the level as the first character: '1' error, '2' warning, '3' information. */
static void pass_on(const struct follower *follower, const struct wyrm_ioctl_log_entry *entry)
{
    wchar_t line[sizeof(entry->text) + 32] = L"";
    char text[sizeof(entry->text) + 1] = {0};
    size_t used = 0;
    for (size_t i = 0; i < sizeof(entry->text) && entry->text[i]; i++)
        text[i] = entry->text[i];
    WIREGUARD_LOGGER_LEVEL level = text[0] == '1'   ? WIREGUARD_LOG_ERR
                                   : text[0] == '2' ? WIREGUARD_LOG_WARN
                                                    : WIREGUARD_LOG_INFO;
    if (follower->with_prefix)
        used = (size_t)swprintf(line, 32, L"%lu: ", follower->index);
    MultiByteToWideChar(CP_UTF8, 0, text[0] ? text + 1 : text, -1, line + used, (int)(sizeof(text)));
    log_at(level, entry->timestamp, line);
}

/* INVALID_HANDLE_VALUE: stopped, or the adapter is gone. */
static HANDLE reopen(const struct follower *follower)
{
    for (int i = 0; i < REOPEN_TRIES; i++) {
        HANDLE device = control_open(follower->path, false);
        if (device != INVALID_HANDLE_VALUE || stopped(follower, REOPEN_MS))
            return device;
    }
    return INVALID_HANDLE_VALUE;
}

static DWORD WINAPI follow(void *parameter)
{
    struct follower *follower = parameter;
    HMODULE module = follower->module;
    HANDLE device = reopen(follower);
    while (device != INVALID_HANDLE_VALUE && !stopped(follower, 0)) {
        struct wyrm_ioctl_log_entry entry;
        DWORD bytes = 0;
        if (DeviceIoControl(device, WYRM_IOCTL_LOG, NULL, 0, &entry, sizeof(entry), &bytes, NULL) &&
            bytes == sizeof(entry)) {
            pass_on(follower, &entry);
            continue;
        }
        DWORD error = GetLastError();
        CloseHandle(device);
        /* Cancelled: by follow_stop, or because the driver goes, which an upgrade follows. */
        device = stopped(follower, error == ERROR_OPERATION_ABORTED ? DRIVER_GONE_MS : REOPEN_MS)
                     ? INVALID_HANDLE_VALUE
                     : reopen(follower);
    }
    if (device != INVALID_HANDLE_VALUE)
        CloseHandle(device);
    if (!stopped(follower, 0))
        log_line(WIREGUARD_LOG_WARN, L"The adapter's log ended because its device is gone");
    InterlockedExchange(&follower->alive, 0);
    follower_release(follower);
    FreeLibraryAndExitThread(module, 0);
    return 0;
}

static bool follow_start(WIREGUARD_ADAPTER_HANDLE adapter, bool with_prefix)
{
    struct follower *follower = calloc(1, sizeof(*follower));
    if (!follower)
        return log_failure(ERROR_NOT_ENOUGH_MEMORY, L"No memory for following an adapter's log");
    follower->references = 1;
    follower->alive = 1;
    follower->with_prefix = with_prefix;
    ConvertInterfaceLuidToIndex(&adapter->luid, &follower->index);
    follower->path = _wcsdup(adapter->interface_path);
    follower->stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!follower->path || !follower->stop ||
        !GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (const wchar_t *)(void *)follow,
                            &follower->module)) {
        DWORD error = follower->path ? GetLastError() : ERROR_NOT_ENOUGH_MEMORY;
        follower_release(follower);
        return log_failure(error, L"Cannot prepare following an adapter's log");
    }
    follower->references = 2;
    follower->thread = CreateThread(NULL, 0, follow, follower, 0, NULL);
    if (!follower->thread) {
        DWORD error = GetLastError();
        HMODULE module = follower->module;
        follower->references = 1;
        follower_release(follower);
        FreeLibrary(module);
        return log_failure(error, L"Cannot start the thread that follows an adapter's log");
    }
    adapter->follower = follower;
    return true;
}

/* Holds follow_lock. */
static void stop_locked(WIREGUARD_ADAPTER_HANDLE adapter)
{
    struct follower *follower = adapter->follower;
    if (!follower)
        return;
    adapter->follower = NULL;
    SetEvent(follower->stop);
    /* The request may begin just after a cancellation: hence again and again. */
    bool is_self = GetThreadId(follower->thread) == GetCurrentThreadId(); /* a logger that has had enough */
    for (int waited = 0; !is_self && waited < STOP_LIMIT_MS; waited += STOP_STEP_MS) {
        CancelSynchronousIo(follower->thread);
        if (WaitForSingleObject(follower->thread, STOP_STEP_MS) == WAIT_OBJECT_0)
            break;
        if (waited + STOP_STEP_MS >= STOP_LIMIT_MS)
            log_line(WIREGUARD_LOG_WARN,
                     L"The thread that follows an adapter's log does not end; leaving it behind");
    }
    follower_release(follower);
}

void follow_stop(WIREGUARD_ADAPTER_HANDLE adapter)
{
    AcquireSRWLockExclusive(&adapter->follow_lock);
    stop_locked(adapter);
    ReleaseSRWLockExclusive(&adapter->follow_lock);
}

BOOL WINAPI WireGuardSetAdapterLogging(WIREGUARD_ADAPTER_HANDLE Adapter, WIREGUARD_ADAPTER_LOG_STATE LogState)
{
    bool done = true;
    if (LogState != WIREGUARD_ADAPTER_LOG_OFF && LogState != WIREGUARD_ADAPTER_LOG_ON &&
        LogState != WIREGUARD_ADAPTER_LOG_ON_WITH_PREFIX)
        return log_failure(ERROR_INVALID_PARAMETER,
                           L"%d is no state of logging: 0 is off, 1 is on, 2 is on with prefix",
                           (int)LogState);
    bool with_prefix = LogState == WIREGUARD_ADAPTER_LOG_ON_WITH_PREFIX;
    AcquireSRWLockExclusive(&Adapter->follow_lock);
    if (LogState == WIREGUARD_ADAPTER_LOG_OFF) {
        stop_locked(Adapter);
    } else if (Adapter->follower && Adapter->follower->alive) {
        InterlockedExchange(&Adapter->follower->with_prefix, with_prefix);
    } else {
        stop_locked(Adapter); /* it ended by itself */
        done = follow_start(Adapter, with_prefix);
    }
    ReleaseSRWLockExclusive(&Adapter->follow_lock);
    return done;
}

VOID WINAPI WireGuardSetLogger(WIREGUARD_LOGGER_CALLBACK NewLogger)
{
    log_set_callback(NewLogger);
}
