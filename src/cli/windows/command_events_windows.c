/* `wyrm events` on Windows: what wyrm.dll hands out of an adapter's driver. */
#include "command.h"
#include "format_event.h"
#include "library.h"

#include <string.h>

#define QUIET_MS       300  /* after so long without an event, all that were kept have come */
#define LOOK_MS        1000 /* whether the adapter is still there */
#define EVENTS_AT_ONCE 16

_Static_assert(sizeof(WYRM_EVENT) == sizeof(struct wyrm_ioctl_event) &&
                   offsetof(WYRM_EVENT, Endpoint) == offsetof(struct wyrm_ioctl_event, endpoint),
               "the library's event is the driver's");

static bool print_all(const WYRM_EVENT *events, DWORD count, DWORD64 lost, bool json, struct failure *failure)
{
    struct wyrm_ioctl_event event;
    struct output output = {0};
    format_events_lost(&output, lost, json);
    for (DWORD i = 0; i < count; i++) {
        memcpy(&event, &events[i], sizeof event);
        format_event(&output, &event, json);
    }
    return output_flush(&output, failure);
}

static bool read_events(const struct library *library, WIREGUARD_ADAPTER_HANDLE adapter,
                        WYRM_EVENTS_HANDLE reader, const struct invocation *invocation,
                        struct failure *failure)
{
    WIREGUARD_ADAPTER_STATE state;
    for (;;) {
        WYRM_EVENT events[EVENTS_AT_ONCE];
        DWORD count = EVENTS_AT_ONCE;
        DWORD64 lost = 0;
        if (library->read_events(reader, events, &count, &lost, invocation->follow ? LOOK_MS : QUIET_MS)) {
            if (!print_all(events, count, lost, invocation->json, failure))
                return false;
            continue;
        }
        DWORD code = GetLastError();
        if (code == WAIT_TIMEOUT && !invocation->follow)
            return true;
        if (code != WAIT_TIMEOUT || !library->get_state(adapter, &state))
            return fail_windows(failure, code == WAIT_TIMEOUT ? GetLastError() : code,
                                "%.200s: the events ended: the adapter is gone", invocation->arguments[0]);
    }
}

bool command_events(const struct invocation *invocation, struct failure *failure)
{
    if (invocation->count != 1)
        return fail(failure, EXIT_USAGE, "events wants one adapter: wyrm events NAME [--follow]");
    const char *name = invocation->arguments[0];
    const struct library *library = library_load(failure);
    WIREGUARD_ADAPTER_HANDLE adapter = library ? library_open(library, name, failure) : NULL;
    if (!adapter)
        return false;
    WYRM_EVENTS_HANDLE reader = library->open_events(adapter, 0);
    bool done = reader || fail_windows(failure, GetLastError(), "%.200s: its events cannot be read", name);
    done = done && read_events(library, adapter, reader, invocation, failure);
    library->close_events(reader);
    library->close(adapter);
    return done;
}
