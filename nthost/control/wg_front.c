/* The WireGuard userspace socket of an adapter: what stock `wg` talks to.  A whole `set` is read and checked
 * before the driver sees any of it; keys are wiped from every buffer they passed through. */
#include "edge/edge.h"
#include "front_server.h"
#include "fronts.h"
#include "host.h"
#include "io/file.h"
#include "ndis/adapter.h"
#include "wg_protocol.h"

#include <wyrm/control.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WG_DIRECTORY "/var/run/wireguard"
/* A configuration can grow between the call that tells its size and the next. */
#define GET_ATTEMPTS                 16
#define GET_INITIAL_BYTES            4096
#define LINE_MAX_BYTES               4096
#define STATUS_BUFFER_OVERFLOW_VALUE ((int32_t)0x80000005)

struct wg_front {
    struct ndis_adapter *adapter;
    pthread_mutex_t lock; /* one set at a time; fwmark */
    uint32_t fwmark;      /* the driver knows no mark: the host's sockets carry it */
};

/* One client: its open file in the driver and its half-read lines. */
struct wg_client {
    struct wg_front *front;
    int fd;
    struct io_file *file; /* NULL: open_error says why */
    int open_error;
    struct secure_buffer input;
    size_t line_length; /* of the line that next_line() returned, with its newline */
};

/* The configuration as GET returns it. 0 or a positive errno. */
static int config_get(struct wg_client *client, struct secure_buffer *config)
{
    size_t wanted = GET_INITIAL_BYTES;
    for (unsigned attempt = 0; attempt < GET_ATTEMPTS; attempt++) {
        uint64_t information = 0;
        secure_buffer_clear(config);
        if (wanted > UINT32_MAX || !secure_buffer_reserve(config, wanted))
            return ENOMEM;
        memset(config->data, 0, wanted);
        config->length = wanted; /* so that clear() wipes whatever the driver wrote */
        int32_t status = io_file_control(client->file, WYRM_IOCTL_GET, NULL, 0, config->data,
                                         (uint32_t)wanted, &information);
        if (status == STATUS_BUFFER_OVERFLOW_VALUE) {
            wanted = information + information / 8 + sizeof(struct wyrm_ioctl_peer);
            continue;
        }
        if (status < 0)
            return wg_errno_of_status(status);
        if (information > wanted)
            return EPROTO;
        config->length = information;
        return 0;
    }
    return EAGAIN;
}

static int serve_get(struct wg_client *client, struct secure_buffer *answer)
{
    struct secure_buffer config = {0};
    int error = client->open_error ? client->open_error : config_get(client, &config);
    if (!error) {
        pthread_mutex_lock(&client->front->lock);
        uint32_t fwmark = client->front->fwmark;
        pthread_mutex_unlock(&client->front->lock);
        error = wg_get_format(answer, config.data, config.length, fwmark);
    }
    secure_buffer_free(&config);
    return error;
}

static int apply_set(struct wg_client *client, struct wg_set *set)
{
    struct wg_front *front = client->front;
    uint64_t information = 0;
    int error = client->open_error ? client->open_error : wg_set_finish(set);
    if (error)
        return error;
    pthread_mutex_lock(&front->lock);
    if (set->has_fwmark)
        error = -udp_set_mark(set->fwmark);
    if (!error) {
        error = wg_errno_of_status(io_file_control(client->file, WYRM_IOCTL_SET, NULL, 0, set->buffer.data,
                                                   (uint32_t)set->buffer.length, &information));
        if (!error && set->has_fwmark)
            front->fwmark = set->fwmark;
        else if (error && set->has_fwmark)
            udp_set_mark(front->fwmark);
    }
    pthread_mutex_unlock(&front->lock);
    return error;
}

/* The next line without its newline; valid until the next call. NULL: end of the connection, or a line that
 * is too long to be one. */
static const char *next_line(struct wg_client *client, size_t *length)
{
    struct secure_buffer *input = &client->input;
    secure_buffer_consume(input, client->line_length);
    client->line_length = 0;
    for (size_t searched = 0;;) {
        char *start = (char *)input->data;
        char *newline = start ? memchr(start + searched, '\n', input->length - searched) : NULL;
        if (newline) {
            *length = (size_t)(newline - start);
            client->line_length = *length + 1;
            return start;
        }
        searched = input->length;
        if (input->length >= LINE_MAX_BYTES || !secure_buffer_reserve(input, LINE_MAX_BYTES))
            return NULL;
        ssize_t got = read(client->fd, input->data + input->length, LINE_MAX_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return NULL;
        input->length += (size_t)got;
    }
}

/* Reads up to the empty line. `set` NULL: there must not be any line. false: the connection ended before. */
static bool read_block(struct wg_client *client, struct wg_set *set, int *error)
{
    size_t length;
    const char *line;
    while ((line = next_line(client, &length)) && length) {
        if (!set)
            *error = EINVAL;
        else if (!*error)
            *error = wg_set_line(set, line, length);
    }
    return line != NULL;
}

static bool is(const char *line, size_t length, const char *word)
{
    return length == strlen(word) && !memcmp(line, word, length);
}

/* One command. false: the connection is to be closed. */
static bool serve_command(struct wg_client *client, const char *line, size_t length)
{
    struct secure_buffer answer = {0};
    struct wg_set set = {0};
    int error = 0;
    bool whole, alive, get = is(line, length, "get=1");
    if (get) {
        whole = read_block(client, NULL, &error);
        if (whole && !error)
            error = serve_get(client, &answer);
    } else if (is(line, length, "set=1")) {
        whole = read_block(client, &set, &error);
        if (whole && !error)
            error = apply_set(client, &set);
    } else {
        whole = length == 0 || read_block(client, NULL, &error);
        error = EINVAL;
    }
    if (error)
        secure_buffer_clear(&answer);
    /* Stock `wg` reads the errno of get as a positive number and that of set as a negative one. */
    alive = whole && secure_buffer_printf(&answer, "errno=%d\n\n", get ? error : -error) &&
            front_write_all(client->fd, answer.data, answer.length);
    secure_buffer_free(&answer);
    wg_set_free(&set);
    return alive;
}

static void wg_serve(void *context, int fd)
{
    struct wg_client client = {.front = context, .fd = fd};
    /* A device that cannot be opened (it was removed) is answered to every command: a client that writes into
     * a closed connection would die of it. */
    int32_t status = io_file_open(ndis_adapter_device(client.front->adapter), &io_token_system, &client.file);
    if (status < 0) {
        client.file = NULL;
        client.open_error = wg_errno_of_status(status);
    }
    size_t length;
    const char *line;
    while ((line = next_line(&client, &length)) && serve_command(&client, line, length))
        ;
    secure_buffer_free(&client.input);
    if (client.file)
        io_file_close(client.file);
}

static void wg_destroy(void *context)
{
    struct wg_front *front = context;
    pthread_mutex_destroy(&front->lock);
    free(front);
}

int wg_front_open(struct ndis_adapter *adapter, const char *directory, struct front **front, char *error,
                  unsigned size)
{
    static const struct front_service service = {"wg front", wg_serve, wg_destroy};
    struct wg_front *made = calloc(1, sizeof *made);
    if (!made) {
        snprintf(error, size, "out of memory");
        return -ENOMEM;
    }
    made->adapter = adapter;
    pthread_mutex_init(&made->lock, NULL);
    int result = front_listen(directory ? directory : WG_DIRECTORY, ndis_adapter_name(adapter), ".sock",
                              &service, made, front, error, size);
    if (result)
        wg_destroy(made);
    return result;
}
