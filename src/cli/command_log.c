/* `wyrm log` on Linux: the driver's own log lines, over the raw control socket of nthost
 * (docs/control-socket.md). */
#include "command.h"
#include "config.h"
#include "format_log.h"
#include "raw_protocol.h"

#include <wyrm/control.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_FORMAT    "/var/run/wireguard/%s.ctl"
#define PATIENCE_MS      5000 /* for an answer that must come at once */
#define QUIET_MS         300  /* after so long without a line, all that were kept have come */
#define SYSTEM_INTEGRITY 0x4000u

struct control {
    int fd;
    uint64_t id;
};

static bool send_frame(struct control *control, uint32_t operation, const void *payload, uint32_t length)
{
    struct raw_header header = {.length = length, .operation = operation, .id = ++control->id};
    char frame[sizeof header + sizeof(struct raw_control) + sizeof(struct wyrm_ioctl_log_entry)];
    memcpy(frame, &header, sizeof header);
    memcpy(frame + sizeof header, payload, length);
    ssize_t size = (ssize_t)(sizeof header + length);
    return send(control->fd, frame, (size_t)size, MSG_NOSIGNAL) == size;
}

/* The answer to the last frame: 1; 0: none came in time; an errno below 0. */
static int receive_frame(struct control *control, void *payload, uint32_t size, int timeout_ms)
{
    struct raw_header header;
    struct pollfd readable = {.fd = control->fd, .events = POLLIN};
    int ready = poll(&readable, 1, timeout_ms);
    if (ready <= 0)
        return ready < 0 ? -errno : 0;
    if (recv(control->fd, &header, sizeof header, MSG_WAITALL) != sizeof header)
        return -EPIPE;
    if (header.length != size || header.id != control->id || header.operation == RAW_REFUSED)
        return -EPROTO;
    return recv(control->fd, payload, size, MSG_WAITALL) == (ssize_t)size ? 1 : -EPIPE;
}

static bool open_adapter(const char *name, struct control *control, uint32_t *handle, struct failure *failure)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct raw_open open = {.system = 1, .administrator = 1, .integrity = SYSTEM_INTEGRITY};
    struct raw_open_reply reply = {0};
    if (!config_name_valid(name))
        return fail(failure, EXIT_USAGE, "\"%.60s\" cannot be the name of an adapter", name);
    snprintf(address.sun_path, sizeof address.sun_path, SOCKET_FORMAT, name);
    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (control->fd < 0)
        return fail_errno(failure, errno, "no socket");
    if (connect(control->fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return fail(failure, EXIT_NO_ADAPTER,
                        "there is no log of %s: nothing answers at " SOCKET_FORMAT
                        " (only adapters in nthost have one)",
                        name, name);
        return fail_errno(failure, errno, SOCKET_FORMAT " cannot be reached", name);
    }
    if (!send_frame(control, RAW_OPEN, &open, sizeof open) ||
        receive_frame(control, &reply, sizeof reply, PATIENCE_MS) != 1)
        return fail(failure, EXIT_NO_ANSWER, "%s: its control socket does not answer", name);
    if (reply.status < 0)
        return fail(failure, EXIT_REFUSED, "%s cannot be opened (NTSTATUS 0x%08X)", name,
                    (unsigned)reply.status);
    *handle = reply.handle;
    return true;
}

static bool print_entry(const struct wyrm_ioctl_log_entry *entry, bool json, struct failure *failure)
{
    char text[WYRM_LOG_TEXT_LENGTH];
    memcpy(text, entry->text, sizeof text);
    text[sizeof text - 1] = 0;
    bool leveled = text[0] >= '1' && text[0] <= '3';
    return print_log_line(leveled ? text[0] - '1' : FORMAT_LOG_INFO, entry->timestamp,
                          leveled ? text + 1 : text, json, failure);
}

static bool read_log(struct control *control, uint32_t handle, const struct invocation *invocation,
                     struct failure *failure)
{
    struct raw_control request = {.handle = handle,
                                  .code = WYRM_IOCTL_LOG,
                                  .flags = RAW_CONTROL_IN_NULL | RAW_CONTROL_ASYNC,
                                  .out_length = sizeof(struct wyrm_ioctl_log_entry)};
    struct {
        struct raw_control_reply head;
        struct wyrm_ioctl_log_entry entry;
    } answer = {0};
    const char *name = invocation->arguments[0];
    _Static_assert(sizeof answer == sizeof answer.head + sizeof answer.entry, "as it comes, without gaps");
    for (;;) {
        if (!send_frame(control, RAW_CONTROL, &request, sizeof request))
            return fail(failure, EXIT_NO_ANSWER, "%s is gone", name);
        int got = receive_frame(control, &answer, sizeof answer, invocation->follow ? -1 : QUIET_MS);
        if (got == 0)
            return true;
        if (got < 0)
            return fail(failure, EXIT_NO_ANSWER, "%s: the log ended: %s", name,
                        got == -EPIPE ? "the adapter is gone" : strerror(-got));
        if (answer.head.status < 0)
            return fail(failure, EXIT_REFUSED, "%s: the log ended (NTSTATUS 0x%08X)", name,
                        (unsigned)answer.head.status);
        if (!print_entry(&answer.entry, invocation->json, failure))
            return false;
    }
}

bool command_log(const struct invocation *invocation, struct failure *failure)
{
    struct control control = {.fd = -1};
    uint32_t handle = 0;
    if (invocation->count != 1)
        return fail(failure, EXIT_USAGE, "log wants one adapter: wyrm log NAME [--follow]");
    bool done = open_adapter(invocation->arguments[0], &control, &handle, failure) && control.fd >= 0 &&
                read_log(&control, handle, invocation, failure);
    if (control.fd >= 0)
        close(control.fd); /* takes the request that waits with it */
    return done;
}
