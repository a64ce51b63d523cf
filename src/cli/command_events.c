/* `wyrm events` on Linux: what the driver tells of sessions, endpoints and the adapter. */
#include "command.h"
#include "format_event.h"
#include "raw_client.h"

#include <string.h>

#define QUIET_MS       300 /* after so long without an answer, all that were kept have come */
#define EVENTS_AT_ONCE 128 /* so many the driver keeps */

#define STATUS_INVALID_DEVICE_REQUEST ((int32_t)0xC0000010)

struct answer {
    struct wyrm_ioctl_events head;
    uint8_t events[EVENTS_AT_ONCE * sizeof(struct wyrm_ioctl_event)];
};

static bool print_answer(const struct answer *answer, const char *name, bool json, struct failure *failure)
{
    const struct wyrm_ioctl_events *head = &answer->head;
    struct output output = {0};
    if (head->event_bytes < sizeof(struct wyrm_ioctl_event) ||
        head->count > sizeof answer->events / head->event_bytes)
        return fail(failure, EXIT_REFUSED, "%s: its driver's answer makes no sense to this tool", name);
    format_events_lost(&output, head->lost, json);
    for (uint32_t i = 0; i < head->count; i++) {
        struct wyrm_ioctl_event event;
        memcpy(&event, answer->events + (size_t)i * head->event_bytes, sizeof event);
        format_event(&output, &event, json);
    }
    return output_flush(&output, failure);
}

static bool read_events(struct raw_client *client, const struct invocation *invocation,
                        struct failure *failure)
{
    static struct answer answer;
    struct wyrm_ioctl_events_request request = {0};
    const char *name = invocation->arguments[0];
    int32_t status = 0;
    for (;;) {
        if (!raw_client_control(client, WYRM_IOCTL_EVENTS, &request, sizeof request, sizeof answer))
            return fail(failure, EXIT_NO_ANSWER, "%s is gone", name);
        int got =
            raw_client_answer(client, invocation->follow ? -1 : QUIET_MS, &status, &answer, sizeof answer);
        if (got == 0)
            return true;
        if (got < 0)
            return fail(failure, EXIT_NO_ANSWER, "%s: the events ended: %s", name, raw_client_end(got));
        if (status == STATUS_INVALID_DEVICE_REQUEST)
            return fail(failure, EXIT_REFUSED, "%s: its driver is too old to tell of events", name);
        if (status < 0)
            return fail(failure, EXIT_REFUSED, "%s: the events ended (NTSTATUS 0x%08X)", name,
                        (unsigned)status);
        if (!print_answer(&answer, name, invocation->json, failure))
            return false;
        request.after = answer.head.last;
    }
}

bool command_events(const struct invocation *invocation, struct failure *failure)
{
    struct raw_client client;
    if (invocation->count != 1)
        return fail(failure, EXIT_USAGE, "events wants one adapter: wyrm events NAME [--follow]");
    bool done = raw_client_open(&client, invocation->arguments[0], "record of events", failure) &&
                read_events(&client, invocation, failure);
    raw_client_close(&client);
    return done;
}
