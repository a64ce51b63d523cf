/* The WireGuard userspace socket of an adapter: what stock `wg` talks to.  A whole `set` is read and checked
 * before the driver sees any of it; keys are wiped from every buffer they passed through. */
#include "edge/edge.h"
#include "fronts.h"
#include "host.h"
#include "io/file.h"
#include "ndis/adapter.h"
#include "sched/sched.h"
#include "wg_dialogue.h"

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
#define STATUS_BUFFER_OVERFLOW_VALUE ((int32_t)0x80000005)

struct wg_front {
    struct ndis_adapter *adapter;
    pthread_mutex_t lock; /* one set at a time; fwmark */
    uint32_t fwmark;      /* the driver knows no mark: the host's sockets carry it */
};

/* One client: its open file in the driver. */
struct wg_client {
    struct wg_front *front;
    struct io_file *file; /* NULL: open_error says why */
    int open_error;
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

static int get(void *context, struct secure_buffer *config, uint32_t *fwmark)
{
    struct wg_client *client = context;
    int error = client->open_error ? client->open_error : config_get(client, config);
    pthread_mutex_lock(&client->front->lock);
    *fwmark = client->front->fwmark;
    pthread_mutex_unlock(&client->front->lock);
    return error;
}

static int set(void *context, const struct wg_set *set)
{
    struct wg_client *client = context;
    struct wg_front *front = client->front;
    uint64_t information = 0;
    int error = client->open_error;
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

static void wg_serve(void *context, int fd)
{
    static const struct wg_backend backend = {get, set};
    struct wg_client client = {.front = context};
    sched_thread_adopt("wg front");
    /* A device that cannot be opened (it was removed) is answered to every command: a client that writes into
     * a closed connection would die of it. */
    int32_t status = io_file_open(ndis_adapter_device(client.front->adapter), &io_token_system, &client.file);
    if (status < 0) {
        client.file = NULL;
        client.open_error = wg_errno_of_status(status);
    }
    wg_dialogue(&backend, &client, fd);
    if (client.file)
        io_file_close(client.file);
    sched_thread_disown();
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
    static const struct front_service service = {wg_serve, wg_destroy, host_warn};
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
