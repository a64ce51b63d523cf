/* See control.h.  A connection has a thread (front_server.h) that reads and translates; the configuration
 * itself is touched on the loop's thread, to which the request goes. */
#include "control.h"

#include "config.h"
#include "host.h"
#include "sched/sched.h"
#include "wg_dialogue.h"

#include <errno.h>
#include <pthread.h>

#ifdef _WIN32
#define DIRECTORY "\\\\.\\pipe\\ProtectedPrefix\\Administrators\\Wyrm"
#define SUFFIX    ""
#else
#define DIRECTORY "/var/run/wireguard"
#define SUFFIX    ".sock"
#endif

struct request {
    struct engine *engine;
    struct secure_buffer *config; /* get */
    uint32_t fwmark;
    const struct wg_set *set; /* NULL: get */
    int error;
    bool done;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool closing; /* the loop no longer runs */

static void serve(struct request *request)
{
    const struct wg_set *set = request->set;
    if (set) {
        request->error = config_set(request->engine, set->buffer.data, set->buffer.length,
                                    set->has_fwmark ? &set->fwmark : NULL);
    } else {
        request->error = config_get(request->engine, request->config);
        request->fwmark = request->engine->fwmark;
    }
}

/* On the loop's thread. */
static void run(void *context)
{
    struct request *request = context;
    serve(request);
    pthread_mutex_lock(&lock);
    request->done = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int call(struct request *request)
{
    pthread_mutex_lock(&lock);
    if (closing) {
        pthread_mutex_unlock(&lock);
        return ENODEV;
    }
    loop_post(run, request);
    while (!request->done)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return request->error;
}

static int get(void *context, struct secure_buffer *config, uint32_t *fwmark)
{
    struct request request = {.engine = context, .config = config};
    int error = call(&request);
    *fwmark = request.fwmark;
    return error;
}

static int set(void *context, const struct wg_set *set)
{
    struct request request = {.engine = context, .set = set};
    return call(&request);
}

static void serve_connection(void *context, int fd)
{
    static const struct wg_backend backend = {get, set};
    wg_dialogue(&backend, context, fd);
}

static void destroy(void *context)
{
}

int control_open(struct engine *engine, const char *name, struct front **front, char *error, unsigned size)
{
    static const struct front_service service = {serve_connection, destroy, host_warn};
    return front_listen(DIRECTORY, name, SUFFIX, &service, engine, front, error, size);
}

void control_close(struct front *front)
{
    pthread_mutex_lock(&lock);
    closing = true;
    pthread_mutex_unlock(&lock);
    loop_run(); /* the loop was stopped: this only carries out what was posted before */
    front_close(front);
}
