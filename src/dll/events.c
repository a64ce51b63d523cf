/* Reading an adapter's events.  Each reader has a device handle of its own, opened for overlapped requests,
 * so that waiting has a limit and WyrmCloseEvents can end it. */
#include "adapter.h"
#include "log.h"
#include "wyrm/control_extensions.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(WYRM_EVENT) == sizeof(struct wyrm_ioctl_event), "an event is the driver's");
_Static_assert(offsetof(WYRM_EVENT, Timestamp) == offsetof(struct wyrm_ioctl_event, timestamp) &&
                   offsetof(WYRM_EVENT, Kind) == offsetof(struct wyrm_ioctl_event, kind) &&
                   offsetof(WYRM_EVENT, PublicKey) == offsetof(struct wyrm_ioctl_event, public_key) &&
                   offsetof(WYRM_EVENT, Endpoint) == offsetof(struct wyrm_ioctl_event, endpoint),
               "an event is the driver's");
_Static_assert((int)WYRM_EVENT_KIND_HANDSHAKE == WYRM_EVENT_HANDSHAKE &&
                   (int)WYRM_EVENT_KIND_ENDPOINT == WYRM_EVENT_ENDPOINT &&
                   (int)WYRM_EVENT_KIND_EXPIRED == WYRM_EVENT_EXPIRED &&
                   (int)WYRM_EVENT_KIND_ADAPTER_STATE == WYRM_EVENT_ADAPTER_STATE &&
                   (int)WYRM_EVENT_KIND_LOG_LOST == WYRM_EVENT_LOG_LOST,
               "a kind is the driver's");

enum { EVENTS_AT_ONCE = 128 }; /* so many the driver keeps */

struct answer {
    struct wyrm_ioctl_events head;
    WYRM_CONTROL_ALIGN BYTE events[EVENTS_AT_ONCE * sizeof(struct wyrm_ioctl_event)];
};

struct _WYRM_EVENTS {
    SRWLOCK reading; /* exclusive: one reader, or the end */
    HANDLE device;
    HANDLE stop;  /* event: being closed */
    HANDLE ready; /* event of the request */
    DWORD64 after;
    DWORD64 lost;
    DWORD first, count, event_bytes; /* what of the answer was not handed out yet */
    struct answer answer;
};

static void events_free(struct _WYRM_EVENTS *events)
{
    DWORD error = GetLastError();
    if (events->device && events->device != INVALID_HANDLE_VALUE)
        CloseHandle(events->device);
    if (events->stop)
        CloseHandle(events->stop);
    if (events->ready)
        CloseHandle(events->ready);
    free(events);
    SetLastError(error);
}

/* Takes over what the driver answered.  False: it makes no sense. */
static bool answer_take(struct _WYRM_EVENTS *events, DWORD bytes)
{
    const struct wyrm_ioctl_events *head = &events->answer.head;
    if (bytes < sizeof(*head) || head->event_bytes < sizeof(struct wyrm_ioctl_event) ||
        head->count > (bytes - sizeof(*head)) / head->event_bytes)
        return false;
    events->after = head->last;
    events->lost += head->lost;
    events->event_bytes = head->event_bytes;
    events->first = 0;
    events->count = head->count;
    return true;
}

/* One request, for at most `wait_ms`.  ERROR_SUCCESS: events->count of them are there; WAIT_TIMEOUT: none
 * came; ERROR_OPERATION_ABORTED also when the reader is being closed. */
static DWORD events_request(struct _WYRM_EVENTS *events, DWORD wait_ms)
{
    OVERLAPPED overlapped = {.hEvent = events->ready};
    struct wyrm_ioctl_events_request request = {.after = events->after};
    const HANDLE either[] = {events->ready, events->stop};
    DWORD bytes = 0, error = ERROR_SUCCESS;
    bool late = false;
    if (!DeviceIoControl(events->device, WYRM_IOCTL_EVENTS, &request, sizeof(request), &events->answer,
                         sizeof(events->answer), NULL, &overlapped)) {
        error = GetLastError();
        if (error != ERROR_IO_PENDING)
            return error;
        if (WaitForMultipleObjects(2, either, FALSE, wait_ms) != WAIT_OBJECT_0) {
            late = WaitForSingleObject(events->stop, 0) != WAIT_OBJECT_0;
            CancelIoEx(events->device, &overlapped);
        }
    }
    /* Also when it was cancelled: the buffer is the driver's until then, and it may have been answered. */
    if (!GetOverlappedResult(events->device, &overlapped, &bytes, TRUE)) {
        error = GetLastError();
        return error == ERROR_OPERATION_ABORTED && late ? WAIT_TIMEOUT : error;
    }
    return answer_take(events, bytes) ? ERROR_SUCCESS : ERROR_INVALID_DATA;
}

static DWORD events_prepare(struct _WYRM_EVENTS *events, const wchar_t *path)
{
    events->device = CreateFileW(path, GENERIC_READ | GENERIC_WRITE,
                                 FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
                                 FILE_FLAG_OVERLAPPED, NULL);
    if (events->device == INVALID_HANDLE_VALUE)
        return GetLastError();
    events->stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    events->ready = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!events->stop || !events->ready)
        return GetLastError();
    /* Also tells whether the driver knows the request, and with `after` 0 what the last event is. */
    DWORD64 after = events->after;
    if (after == WYRM_EVENTS_FROM_NOW)
        events->after = 0;
    DWORD error = events_request(events, 0);
    if (error == ERROR_SUCCESS && after == WYRM_EVENTS_FROM_NOW)
        events->count = 0;
    events->lost = after == WYRM_EVENTS_FROM_NOW ? 0 : events->lost;
    return error == WAIT_TIMEOUT ? ERROR_SUCCESS : error;
}

WYRM_EVENTS_HANDLE WINAPI WyrmOpenEvents(WIREGUARD_ADAPTER_HANDLE Adapter, DWORD64 After)
{
    struct _WYRM_EVENTS *events = calloc(1, sizeof(*events));
    if (!events) {
        log_failure(ERROR_NOT_ENOUGH_MEMORY, L"No memory for reading events");
        return NULL;
    }
    InitializeSRWLock(&events->reading);
    events->after = After;
    DWORD error = events_prepare(events, Adapter->interface_path);
    if (error == ERROR_SUCCESS)
        return events;
    events_free(events);
    if (driver_knows_not(error))
        log_failure(ERROR_NOT_SUPPORTED, L"The running driver is too old for this; install a newer one");
    else
        log_failure(error, L"Cannot read the adapter's events");
    return NULL;
}

BOOL WINAPI WyrmReadEvents(WYRM_EVENTS_HANDLE Events, WYRM_EVENT *Buffer, DWORD *Count, DWORD64 *Lost,
                           DWORD Milliseconds)
{
    DWORD error = ERROR_SUCCESS, copied = 0;
    if (!Buffer || !Count || *Count == 0)
        return log_failure(ERROR_INVALID_PARAMETER, L"There is no buffer for events");
    AcquireSRWLockExclusive(&Events->reading);
    if (Events->count == 0)
        error = events_request(Events, Milliseconds);
    if (error == ERROR_SUCCESS) {
        for (; copied < *Count && Events->count; copied++, Events->count--, Events->first++)
            memcpy(&Buffer[copied], Events->answer.events + (size_t)Events->first * Events->event_bytes,
                   sizeof(Buffer[copied]));
        if (Lost) {
            *Lost = Events->lost;
            Events->lost = 0;
        }
    }
    ReleaseSRWLockExclusive(&Events->reading);
    *Count = copied;
    if (error == ERROR_SUCCESS)
        return TRUE;
    if (error == WAIT_TIMEOUT || error == ERROR_OPERATION_ABORTED) {
        SetLastError(error); /* no failure worth a line */
        return FALSE;
    }
    return log_failure(error, L"Cannot read the adapter's events");
}

VOID WINAPI WyrmCloseEvents(WYRM_EVENTS_HANDLE Events)
{
    if (!Events)
        return;
    SetEvent(Events->stop);
    AcquireSRWLockExclusive(&Events->reading); /* until a reader is out */
    ReleaseSRWLockExclusive(&Events->reading);
    events_free(Events);
}
