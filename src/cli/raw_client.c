/* See raw_client.h. */
#include "raw_client.h"

#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_FORMAT    "/var/run/wireguard/%s.ctl"
#define PATIENCE_MS      5000 /* for an answer that must come at once */
#define SYSTEM_INTEGRITY 0x4000u

static bool send_frame(struct raw_client *client, uint32_t operation, const void *payload, uint32_t length,
                       const void *input, uint32_t input_bytes)
{
    struct raw_header header = {.length = length + input_bytes, .operation = operation, .id = ++client->id};
    struct iovec pieces[] = {
        {&header, sizeof header}, {(void *)payload, length}, {(void *)input, input_bytes}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 3};
    return sendmsg(client->fd, &message, MSG_NOSIGNAL) == (ssize_t)(sizeof header + length + input_bytes);
}

/* The answer to the last frame, whose payload has `head_bytes` and up to `body_bytes` behind them. */
static int receive_frame(struct raw_client *client, void *head, uint32_t head_bytes, void *body,
                         uint32_t body_bytes, int timeout_ms)
{
    struct raw_header header;
    struct pollfd readable = {.fd = client->fd, .events = POLLIN};
    int ready = poll(&readable, 1, timeout_ms);
    if (ready <= 0)
        return ready < 0 ? -errno : 0;
    if (recv(client->fd, &header, sizeof header, MSG_WAITALL) != sizeof header)
        return -EPIPE;
    if (header.length < head_bytes || header.length - head_bytes > body_bytes || header.id != client->id ||
        header.operation == RAW_REFUSED)
        return -EPROTO;
    if (recv(client->fd, head, head_bytes, MSG_WAITALL) != (ssize_t)head_bytes)
        return -EPIPE;
    uint32_t rest = header.length - head_bytes;
    return !rest || recv(client->fd, body, rest, MSG_WAITALL) == (ssize_t)rest ? 1 : -EPIPE;
}

bool raw_client_open(struct raw_client *client, const char *name, const char *what, struct failure *failure)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct raw_open open = {.system = 1, .administrator = 1, .integrity = SYSTEM_INTEGRITY};
    struct raw_open_reply reply = {0};
    *client = (struct raw_client){.fd = -1};
    if (!config_name_valid(name))
        return fail(failure, EXIT_USAGE, "\"%.60s\" cannot be the name of an adapter", name);
    snprintf(address.sun_path, sizeof address.sun_path, SOCKET_FORMAT, name);
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        return fail_errno(failure, errno, "no socket");
    if (connect(client->fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return fail(failure, EXIT_NO_ADAPTER,
                        "there is no %s of %s: nothing answers at " SOCKET_FORMAT
                        " (only adapters in nthost have one)",
                        what, name, name);
        return fail_errno(failure, errno, SOCKET_FORMAT " cannot be reached", name);
    }
    if (!send_frame(client, RAW_OPEN, &open, sizeof open, NULL, 0) ||
        receive_frame(client, &reply, sizeof reply, NULL, 0, PATIENCE_MS) != 1)
        return fail(failure, EXIT_NO_ANSWER, "%s: its control socket does not answer", name);
    if (reply.status < 0)
        return fail(failure, EXIT_REFUSED, "%s cannot be opened (NTSTATUS 0x%08X)", name,
                    (unsigned)reply.status);
    client->handle = reply.handle;
    return true;
}

void raw_client_close(struct raw_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

bool raw_client_control(struct raw_client *client, uint32_t code, const void *input, uint32_t input_bytes,
                        uint32_t output_bytes)
{
    struct raw_control request = {.handle = client->handle,
                                  .code = code,
                                  .flags = RAW_CONTROL_ASYNC | (input ? 0 : RAW_CONTROL_IN_NULL),
                                  .in_length = input_bytes,
                                  .out_length = output_bytes};
    return send_frame(client, RAW_CONTROL, &request, sizeof request, input, input_bytes);
}

int raw_client_answer(struct raw_client *client, int timeout_ms, int32_t *status, void *output,
                      uint32_t output_bytes)
{
    struct raw_control_reply reply = {0};
    int got = receive_frame(client, &reply, sizeof reply, output, output_bytes, timeout_ms);
    if (got == 1)
        *status = reply.status;
    return got;
}

const char *raw_client_end(int error)
{
    return error == -EPIPE ? "the adapter is gone" : strerror(-error);
}
