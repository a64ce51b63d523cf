/* `wyrm log` on Linux: the driver's own log lines. */
#include "command.h"
#include "format_log.h"
#include "raw_client.h"

#include <wyrm/control.h>

#include <string.h>

#define QUIET_MS 300 /* after so long without a line, all that were kept have come */

static bool print_entry(const struct wyrm_ioctl_log_entry *entry, bool json, struct failure *failure)
{
    char text[WYRM_LOG_TEXT_LENGTH];
    memcpy(text, entry->text, sizeof text);
    text[sizeof text - 1] = 0;
    bool leveled = text[0] >= '1' && text[0] <= '3';
    return print_log_line(leveled ? text[0] - '1' : FORMAT_LOG_INFO, entry->timestamp,
                          leveled ? text + 1 : text, json, failure);
}

static bool read_log(struct raw_client *client, const struct invocation *invocation, struct failure *failure)
{
    struct wyrm_ioctl_log_entry entry = {0};
    const char *name = invocation->arguments[0];
    int32_t status = 0;
    for (;;) {
        if (!raw_client_control(client, WYRM_IOCTL_LOG, NULL, 0, sizeof entry))
            return fail(failure, EXIT_NO_ANSWER, "%s is gone", name);
        int got =
            raw_client_answer(client, invocation->follow ? -1 : QUIET_MS, &status, &entry, sizeof entry);
        if (got == 0)
            return true;
        if (got < 0)
            return fail(failure, EXIT_NO_ANSWER, "%s: the log ended: %s", name, raw_client_end(got));
        if (status < 0)
            return fail(failure, EXIT_REFUSED, "%s: the log ended (NTSTATUS 0x%08X)", name, (unsigned)status);
        if (!print_entry(&entry, invocation->json, failure))
            return false;
    }
}

bool command_log(const struct invocation *invocation, struct failure *failure)
{
    struct raw_client client;
    if (invocation->count != 1)
        return fail(failure, EXIT_USAGE, "log wants one adapter: wyrm log NAME [--follow]");
    bool done = raw_client_open(&client, invocation->arguments[0], "log", failure) &&
                read_log(&client, invocation, failure);
    raw_client_close(&client);
    return done;
}
