/* The raw control socket of an adapter (docs/control-socket.md): other processes open the driver's device,
 * send control codes, cancel them, and play the PnP and power manager.  Requests of a connection run in order
 * on its thread; asynchronous ones are answered when the driver completes them. */
#include "fronts.h"
#include "host.h"
#include "io/file.h"
#include "ndis/adapter.h"
#include "netio/netio.h"
#include "raw_protocol.h"
#include "sched/sched.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RAW_DIRECTORY   "/var/run/wireguard"
#define RAW_FILES_MAX   64
#define RAW_ASYNC_MAX   256
#define CANCEL_PATIENCE 5000 /* ms until a request that does not come back is spoken of */

#define STATUS_SUCCESS_VALUE                0
#define STATUS_INVALID_HANDLE_VALUE         ((int32_t)0xC0000008)
#define STATUS_INSUFFICIENT_RESOURCES_VALUE ((int32_t)0xC000009A)
#define STATUS_NOT_FOUND_VALUE              ((int32_t)0xC0000225)

/* A frame that comes in, and where its reader stands. */
struct raw_request {
    struct raw_header header;
    uint8_t *payload;
    uint32_t at;
};

/* A CONTROL that the driver has. */
struct raw_async {
    struct raw_async *next;      /* in client->pending, connection thread only */
    struct raw_async *next_done; /* in client->done, under client->lock */
    struct raw_client *client;
    struct io_request *request;
    uint64_t id;
    uint8_t *in, *out;
    uint32_t in_length, out_length, answer_length; /* answer: 0 with OUT_NULL */
    int32_t status;
    uint64_t information;
};

struct raw_client {
    struct ndis_adapter *adapter;
    int fd;
    struct io_file *files[RAW_FILES_MAX]; /* handle - 1 */
    struct raw_async *pending;
    unsigned pending_count;
    pthread_mutex_t lock;
    struct raw_async *done;
    int done_event; /* eventfd: `done` is not empty */
};

static void free_wiped(uint8_t *data, size_t length)
{
    if (data)
        explicit_bzero(data, length);
    free(data);
}

/* ---- frames ---- */

/* Takes a fixed-size part of the payload. */
static bool request_take(struct raw_request *request, void *into, uint32_t size)
{
    if (request->header.length - request->at < size)
        return false;
    if (size) /* `into` may be NULL then */
        memcpy(into, request->payload + request->at, size);
    request->at += size;
    return true;
}

static bool request_at_end(const struct raw_request *request)
{
    return request->at == request->header.length;
}

static bool answer(struct raw_client *client, uint64_t id, uint32_t operation, const void *fixed,
                   uint32_t fixed_length, const void *bytes, uint32_t length)
{
    struct raw_header header = {fixed_length + length, operation | RAW_REPLY, id};
    return front_write_all(client->fd, &header, sizeof header) &&
           front_write_all(client->fd, fixed, fixed_length) &&
           (!length || front_write_all(client->fd, bytes, length));
}

static bool answer_status(struct raw_client *client, const struct raw_request *request, int32_t status)
{
    return answer(client, request->header.id, request->header.operation, &status, sizeof status, NULL, 0);
}

/* Says what is wrong with a frame; the connection goes on. */
__attribute__((format(printf, 3, 4))) static bool
refuse(struct raw_client *client, const struct raw_request *request, const char *format, ...)
{
    char text[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return answer(client, request->header.id, RAW_REFUSED, text, (uint32_t)strlen(text), NULL, 0);
}

/* ---- files and control codes ---- */

static struct io_token token_of(const struct raw_open *open)
{
    return (struct io_token){open->system != 0, open->administrator != 0, open->integrity,
                             open->process32 != 0};
}

static bool serve_open(struct raw_client *client, struct raw_request *request)
{
    struct raw_open open;
    struct raw_open_reply reply = {STATUS_INSUFFICIENT_RESOURCES_VALUE, 0};
    if (!request_take(request, &open, sizeof open) || !request_at_end(request))
        return refuse(client, request, "OPEN: want %zu bytes of payload", sizeof open);
    unsigned slot = 0;
    while (slot < RAW_FILES_MAX && client->files[slot])
        slot++;
    if (slot < RAW_FILES_MAX) {
        struct io_token token = token_of(&open);
        struct io_file *file = NULL;
        reply.status = io_file_open(ndis_adapter_device(client->adapter), &token, &file);
        if (reply.status >= 0) {
            client->files[slot] = file;
            reply.handle = slot + 1;
        }
    }
    return answer(client, request->header.id, RAW_OPEN, &reply, sizeof reply, NULL, 0);
}

static struct io_file **client_file(struct raw_client *client, uint32_t handle)
{
    return handle - 1 < RAW_FILES_MAX && client->files[handle - 1] ? &client->files[handle - 1] : NULL;
}

static bool serve_pass(struct raw_client *client, struct raw_request *request)
{
    struct raw_pass pass;
    if (!request_take(request, &pass, sizeof pass) || !request_at_end(request))
        return refuse(client, request, "PASS: want %zu bytes of payload", sizeof pass);
    struct io_file **file = client_file(client, pass.handle);
    struct io_token token = token_of(&pass.token);
    if (file)
        io_file_pass(*file, &token);
    return answer_status(client, request, file ? 0 : STATUS_INVALID_HANDLE_VALUE);
}

static bool serve_close(struct raw_client *client, struct raw_request *request)
{
    uint32_t handle;
    if (!request_take(request, &handle, sizeof handle) || !request_at_end(request))
        return refuse(client, request, "CLOSE: want 4 bytes of payload");
    struct io_file **file = client_file(client, handle);
    if (!file)
        return answer_status(client, request, STATUS_INVALID_HANDLE_VALUE);
    io_file_close(*file);
    *file = NULL;
    return answer_status(client, request, STATUS_SUCCESS_VALUE);
}

static void async_free(struct raw_async *async)
{
    free_wiped(async->in, async->in_length);
    free_wiped(async->out, async->answer_length);
    free(async);
}

static bool answer_control(struct raw_client *client, const struct raw_async *async)
{
    struct raw_control_reply reply = {async->status, async->answer_length, async->information};
    return answer(client, async->id, RAW_CONTROL, &reply, sizeof reply, async->out, async->answer_length);
}

/* Any thread, any IRQL up to DISPATCH_LEVEL. */
static void control_done(void *context, int32_t status, uint64_t information)
{
    struct raw_async *async = context;
    struct raw_client *client = async->client;
    async->status = status;
    async->information = information;
    pthread_mutex_lock(&client->lock);
    async->next_done = client->done;
    client->done = async;
    eventfd_write(client->done_event, 1);
    pthread_mutex_unlock(&client->lock);
}

/* Copies the buffers of a CONTROL out of its frame. NULL with *problem set. */
static struct raw_async *control_parse(struct raw_client *client, struct raw_request *request,
                                       const struct raw_control *control, const char **problem)
{
    bool in_null = control->flags & RAW_CONTROL_IN_NULL, out_null = control->flags & RAW_CONTROL_OUT_NULL;
    uint32_t in_bytes = in_null ? 0 : control->in_length;
    uint32_t left = request->header.length - request->at;
    *problem = "CONTROL: the payload does not have the lengths that it names";
    if (in_bytes > left || control->out_given != left - in_bytes ||
        control->out_given > (out_null ? 0 : control->out_length))
        return NULL;
    *problem = "CONTROL: the buffers are larger than 64 MiB";
    if (!out_null && control->out_length > RAW_PAYLOAD_LIMIT - sizeof(struct raw_control_reply))
        return NULL;
    *problem = "CONTROL: out of memory";
    struct raw_async *async = calloc(1, sizeof *async);
    if (!async)
        return NULL;
    async->client = client;
    async->id = request->header.id;
    async->in_length = in_bytes;
    async->out_length = control->out_length;
    async->answer_length = out_null ? 0 : control->out_length;
    /* A buffer of no bytes is a valid pointer; only the NULL flags make one absent. */
    async->in = in_null ? NULL : malloc(in_bytes ? in_bytes : 1);
    async->out = out_null ? NULL : calloc(1, control->out_length ? control->out_length : 1);
    if ((!in_null && !async->in) || (!out_null && !async->out)) {
        async_free(async);
        return NULL;
    }
    request_take(request, async->in, in_bytes);
    request_take(request, async->out, control->out_given);
    return async;
}

static bool serve_control(struct raw_client *client, struct raw_request *request)
{
    struct raw_control control;
    const char *problem;
    if (!request_take(request, &control, sizeof control))
        return refuse(client, request, "CONTROL: want at least %zu bytes of payload", sizeof control);
    struct raw_async *async = control_parse(client, request, &control, &problem);
    if (!async)
        return refuse(client, request, "%s", problem);
    struct io_file **file = client_file(client, control.handle);
    bool alive = true;
    if (!file) {
        async->status = STATUS_INVALID_HANDLE_VALUE;
        async->answer_length = 0;
    } else if (!(control.flags & RAW_CONTROL_ASYNC)) {
        async->status = io_file_control(*file, control.code, async->in, control.in_length, async->out,
                                        async->out_length, &async->information);
    } else if (client->pending_count >= RAW_ASYNC_MAX) {
        alive = refuse(client, request, "CONTROL: %u requests are pending already", RAW_ASYNC_MAX);
        async_free(async);
        return alive;
    } else {
        async->next = client->pending;
        client->pending = async;
        client->pending_count++;
        /* The completion may come first; only this thread takes finished requests off the list. */
        async->request = io_file_control_async(*file, control.code, async->in, control.in_length, async->out,
                                               async->out_length, control_done, async);
        return true;
    }
    alive = answer_control(client, async);
    async_free(async);
    return alive;
}

static bool serve_cancel(struct raw_client *client, struct raw_request *request)
{
    uint64_t id;
    if (!request_take(request, &id, sizeof id) || !request_at_end(request))
        return refuse(client, request, "CANCEL: want 8 bytes of payload");
    for (struct raw_async *async = client->pending; async; async = async->next) {
        if (async->id == id) {
            if (async->request)
                io_request_cancel(async->request);
            return answer_status(client, request, STATUS_SUCCESS_VALUE);
        }
    }
    return answer_status(client, request, STATUS_NOT_FOUND_VALUE);
}

/* Answers what the driver has completed. false: the client does not read any more. */
static bool serve_done(struct raw_client *client)
{
    eventfd_t ignored;
    bool alive = true;
    pthread_mutex_lock(&client->lock);
    struct raw_async *done = client->done, *next;
    client->done = NULL;
    eventfd_read(client->done_event, &ignored);
    pthread_mutex_unlock(&client->lock);
    for (; done; done = next) {
        next = done->next_done;
        struct raw_async **link = &client->pending;
        while (*link != done)
            link = &(*link)->next;
        *link = done->next;
        client->pending_count--;
        alive = alive && answer_control(client, done);
        if (done->request)
            io_request_release(done->request);
        async_free(done);
    }
    return alive;
}

/* ---- the adapter ---- */

static bool serve_oid(struct raw_client *client, struct raw_request *request)
{
    struct raw_oid oid;
    if (!request_take(request, &oid, sizeof oid) || request->header.length - request->at != oid.given ||
        oid.given > oid.length || oid.length > RAW_PAYLOAD_LIMIT / 2)
        return refuse(client, request, "OID: the payload does not have the lengths that it names");
    uint8_t *buffer = calloc(1, oid.length ? oid.length : 1);
    if (!buffer)
        return refuse(client, request, "OID: out of memory");
    request_take(request, buffer, oid.given);
    struct raw_oid_reply reply = {.length = oid.length};
    reply.status = ndis_adapter_oid(client->adapter, oid.set != 0, oid.oid, buffer, oid.length, &reply.bytes);
    bool alive = answer(client, request->header.id, RAW_OID, &reply, sizeof reply, buffer, oid.length);
    free(buffer);
    return alive;
}

static bool serve_pnp(struct raw_client *client, struct raw_request *request)
{
    uint32_t minor;
    if (!request_take(request, &minor, sizeof minor) || !request_at_end(request) || minor > UINT8_MAX)
        return refuse(client, request, "PNP: want a minor code (4 bytes, at most 255)");
    return answer_status(client, request, io_pnp(ndis_adapter_device(client->adapter), (uint8_t)minor));
}

static bool serve_power(struct raw_client *client, struct raw_request *request)
{
    uint32_t values[2];
    if (!request_take(request, values, sizeof values) || !request_at_end(request) || values[0] > UINT8_MAX)
        return refuse(client, request,
                      "POWER: want a minor code (4 bytes, at most 255) and a state (4 bytes)");
    return answer_status(client, request,
                         io_power(ndis_adapter_device(client->adapter), (uint8_t)values[0], values[1]));
}

static bool serve_counters(struct raw_client *client, struct raw_request *request)
{
    struct raw_counter counters[HOST_OBJECT_KINDS] = {0};
    uint32_t fixed[2] = {STATUS_SUCCESS_VALUE, HOST_OBJECT_KINDS};
    for (unsigned kind = 0; kind < HOST_OBJECT_KINDS; kind++) {
        struct host_count count = host_count_read(kind);
        snprintf(counters[kind].name, sizeof counters[kind].name, "%s", host_object_name(kind));
        counters[kind].total = count.total;
        counters[kind].now = count.now;
        counters[kind].peak = count.peak;
    }
    return answer(client, request->header.id, RAW_COUNTERS, fixed, sizeof fixed, counters, sizeof counters);
}

static bool serve_hello(struct raw_client *client, struct raw_request *request)
{
    uint32_t version;
    if (!request_take(request, &version, sizeof version) || !request_at_end(request) ||
        version != RAW_VERSION)
        return refuse(client, request, "HELLO: want version %u (4 bytes)", RAW_VERSION);
    struct raw_hello_reply reply = {STATUS_SUCCESS_VALUE, RAW_VERSION, host_options.verify, host_options.cpus,
                                    ""};
    snprintf(reply.name, sizeof reply.name, "%s", ndis_adapter_name(client->adapter));
    return answer(client, request->header.id, RAW_HELLO, &reply, sizeof reply, NULL, 0);
}

/* Operations without payload. */
static bool serve_plain(struct raw_client *client, struct raw_request *request)
{
    uint32_t link[2] = {STATUS_SUCCESS_VALUE, 0};
    if (request->header.length)
        return refuse(client, request, "operation %u has no payload", request->header.operation);
    switch (request->header.operation) {
    case RAW_PAUSE:
        return answer_status(client, request, ndis_adapter_pause(client->adapter));
    case RAW_RESTART:
        return answer_status(client, request, ndis_adapter_restart(client->adapter));
    case RAW_SURPRISE_REMOVE:
        ndis_adapter_surprise_remove(client->adapter);
        return answer_status(client, request, STATUS_SUCCESS_VALUE);
    case RAW_LOSE_SOCKETS:
        wsk_sockets_lost();
        return answer_status(client, request, STATUS_SUCCESS_VALUE);
    case RAW_LINK:
        link[1] = ndis_adapter_link_up(client->adapter);
        return answer(client, request->header.id, RAW_LINK, link, sizeof link, NULL, 0);
    case RAW_COUNTERS:
        return serve_counters(client, request);
    default: /* RAW_STOP: the same as SIGTERM from outside */
        if (!answer_status(client, request, STATUS_SUCCESS_VALUE))
            return false;
        kill(getpid(), SIGTERM);
        return true;
    }
}

static bool serve_request(struct raw_client *client, struct raw_request *request)
{
    switch (request->header.operation) {
    case RAW_HELLO:
        return serve_hello(client, request);
    case RAW_OPEN:
        return serve_open(client, request);
    case RAW_CLOSE:
        return serve_close(client, request);
    case RAW_PASS:
        return serve_pass(client, request);
    case RAW_CONTROL:
        return serve_control(client, request);
    case RAW_CANCEL:
        return serve_cancel(client, request);
    case RAW_PNP:
        return serve_pnp(client, request);
    case RAW_POWER:
        return serve_power(client, request);
    case RAW_OID:
        return serve_oid(client, request);
    case RAW_PAUSE:
    case RAW_RESTART:
    case RAW_SURPRISE_REMOVE:
    case RAW_LINK:
    case RAW_COUNTERS:
    case RAW_STOP:
    case RAW_LOSE_SOCKETS:
        return serve_plain(client, request);
    default:
        return refuse(client, request, "operation %u is not known", request->header.operation);
    }
}

/* Reads one frame and serves it. false: the connection is to be closed. */
static bool serve_frame(struct raw_client *client)
{
    struct raw_request request = {0};
    if (!front_read_all(client->fd, &request.header, sizeof request.header))
        return false;
    uint32_t length = request.header.length;
    if (length > RAW_PAYLOAD_LIMIT) {
        refuse(client, &request, "a payload of %u bytes is longer than 64 MiB", length);
        return false;
    }
    request.payload = malloc(length ? length : 1);
    bool alive = request.payload && front_read_all(client->fd, request.payload, length) &&
                 serve_request(client, &request);
    free_wiped(request.payload, length);
    return alive;
}

/* Cancels what the driver still has and waits for it: its buffers are ours until then. */
static void finish_pending(struct raw_client *client)
{
    for (struct raw_async *async = client->pending; async; async = async->next)
        if (async->request)
            io_request_cancel(async->request);
    bool spoken = false;
    while (client->pending) {
        struct pollfd event = {.fd = client->done_event, .events = POLLIN};
        if (poll(&event, 1, CANCEL_PATIENCE) == 0 && !spoken) {
            host_warn("%s: %u control requests were cancelled, but the driver keeps them; waiting",
                      ndis_adapter_name(client->adapter), client->pending_count);
            spoken = true;
        }
        serve_done(client);
    }
}

static void serve_connection(struct ndis_adapter *adapter, int fd)
{
    struct raw_client client = {.adapter = adapter, .fd = fd};
    client.done_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (client.done_event < 0) {
        host_warn("raw control connection refused: %s", strerror(errno));
        return;
    }
    pthread_mutex_init(&client.lock, NULL);
    struct pollfd polls[2] = {{.fd = fd, .events = POLLIN}, {.fd = client.done_event, .events = POLLIN}};
    for (bool alive = true; alive;) {
        if (poll(polls, 2, -1) < 0 && errno != EINTR)
            break;
        if (polls[1].revents)
            alive = serve_done(&client);
        if (alive && polls[0].revents)
            alive = serve_frame(&client);
    }
    finish_pending(&client);
    for (unsigned slot = 0; slot < RAW_FILES_MAX; slot++)
        if (client.files[slot])
            io_file_close(client.files[slot]);
    close(client.done_event);
    pthread_mutex_destroy(&client.lock);
}

/* The connection's thread calls into the driver at PASSIVE_LEVEL. */
static void raw_serve(void *context, int fd)
{
    sched_thread_adopt("raw front");
    serve_connection(context, fd);
    sched_thread_disown();
}

static void raw_destroy(void *context)
{
    (void)context; /* the adapter, which is not the front's */
}

int raw_front_open(struct ndis_adapter *adapter, const char *directory, struct front **front, char *error,
                   unsigned size)
{
    static const struct front_service service = {raw_serve, raw_destroy, host_warn};
    return front_listen(directory ? directory : RAW_DIRECTORY, ndis_adapter_name(adapter), ".ctl", &service,
                        adapter, front, error, size);
}
