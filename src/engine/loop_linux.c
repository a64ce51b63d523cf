/* The event loop of the engine: file descriptors (epoll), one timer, and functions posted by other threads.
 * It implements the loop part of sched/sched.h, which is all that the Linux edges need of a scheduler; there
 * is one thread that works, so that the rest of it is trivial. */
#include "host.h"
#include "sched/sched.h"
#include "system.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_PER_CALL 16
#define NS_PER_MS_      UINT64_C(1000000)

struct source {
    int fd;
    bool removed; /* freed when no event fetched can point to it any more */
    loop_callback *callback;
    void *context;
    struct source *next;
};

struct post {
    void (*function)(void *context);
    void *context;
    struct post *next;
};

static struct {
    int epoll, wake;
    pthread_t thread;
    struct source *sources;
    bool any_removed, stop; /* atomic: `stop` */
    pthread_mutex_t lock;   /* posts */
    struct post *first_post, *last_post;
    uint64_t (*timer_next)(void);
    void (*timer_expire)(void);
} loop = {.epoll = -1, .wake = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

int loop_open(void)
{
    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    loop.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop.thread = pthread_self();
    /* Edge-triggered: each write is one event, and nobody has to read it. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    if (loop.epoll < 0 || loop.wake < 0 || epoll_ctl(loop.epoll, EPOLL_CTL_ADD, loop.wake, &event) < 0)
        return -errno;
    return 0;
}

bool loop_is_self(void)
{
    return pthread_equal(pthread_self(), loop.thread);
}

static struct source **find(int fd)
{
    struct source **link = &loop.sources;
    while (*link && ((*link)->fd != fd || (*link)->removed))
        link = &(*link)->next;
    return link;
}

int loop_add(int fd, uint32_t events, loop_callback *callback, void *context)
{
    struct source *source = malloc(sizeof(*source));
    if (!source)
        return -ENOMEM;
    *source = (struct source){.fd = fd, .callback = callback, .context = context, .next = loop.sources};
    struct epoll_event event = {.events = events, .data.ptr = source};
    if (epoll_ctl(loop.epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        int error = -errno;
        free(source);
        return error;
    }
    loop.sources = source;
    return 0;
}

int loop_modify(int fd, uint32_t events)
{
    struct source *source = *find(fd);
    if (!source)
        return -ENOENT;
    struct epoll_event event = {.events = events, .data.ptr = source};
    return epoll_ctl(loop.epoll, EPOLL_CTL_MOD, fd, &event) < 0 ? -errno : 0;
}

void loop_remove(int fd)
{
    struct source *source = *find(fd);
    if (!source)
        return;
    epoll_ctl(loop.epoll, EPOLL_CTL_DEL, fd, NULL);
    source->removed = true;
    loop.any_removed = true;
}

static void free_removed(void)
{
    loop.any_removed = false;
    for (struct source **link = &loop.sources; *link;) {
        struct source *source = *link;
        if (source->removed) {
            *link = source->next;
            free(source);
        } else {
            link = &source->next;
        }
    }
}

/* ---- posts ---- */

static void wake(void)
{
    eventfd_write(loop.wake, 1);
}

void loop_post(void (*function)(void *context), void *context)
{
    struct post *post = malloc(sizeof(*post));
    if (!post)
        host_fatal("out of memory for posted work");
    *post = (struct post){.function = function, .context = context};
    pthread_mutex_lock(&loop.lock);
    if (loop.last_post)
        loop.last_post->next = post;
    else
        __atomic_store_n(&loop.first_post, post, __ATOMIC_RELEASE);
    loop.last_post = post;
    pthread_mutex_unlock(&loop.lock);
    if (!loop_is_self())
        wake();
}

static bool posts_waiting(void)
{
    return __atomic_load_n(&loop.first_post, __ATOMIC_ACQUIRE) != NULL;
}

/* Those that are there now: what they post waits for the next round, behind packets. */
static void run_posts(void)
{
    pthread_mutex_lock(&loop.lock);
    struct post *post = loop.first_post;
    __atomic_store_n(&loop.first_post, NULL, __ATOMIC_RELEASE);
    loop.last_post = NULL;
    pthread_mutex_unlock(&loop.lock);
    while (post) {
        struct post *done = post;
        post->function(post->context);
        post = post->next;
        free(done);
    }
}

/* ---- the loop ---- */

void loop_set_timer(uint64_t (*next)(void), void (*expire)(void))
{
    loop.timer_next = next;
    loop.timer_expire = expire;
}

/* Milliseconds until the timer, rounded up; -1: none. */
static int patience(void)
{
    uint64_t next_ns = loop.timer_next ? loop.timer_next() : SCHED_FOREVER, now_ns;
    if (posts_waiting())
        return 0;
    if (next_ns == SCHED_FOREVER)
        return -1;
    now_ns = system_time_ns();
    if (next_ns <= now_ns)
        return 0;
    uint64_t left_ms = (next_ns - now_ns + NS_PER_MS_ - 1) / NS_PER_MS_;
    return left_ms < 60000 ? (int)left_ms : 60000;
}

void loop_run(void)
{
    struct epoll_event events[EVENTS_PER_CALL];
    while (!__atomic_load_n(&loop.stop, __ATOMIC_ACQUIRE)) {
        int count = epoll_wait(loop.epoll, events, EVENTS_PER_CALL, patience());
        if (count < 0 && errno != EINTR)
            host_fatal("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++) {
            struct source *source = events[i].data.ptr;
            if (source && !source->removed)
                source->callback(source->context, events[i].events);
        }
        if (posts_waiting())
            run_posts();
        if (loop.timer_next && loop.timer_next() <= system_time_ns())
            loop.timer_expire();
        if (loop.any_removed)
            free_removed();
    }
    run_posts(); /* somebody may wait for one */
}

/* Safe in a signal handler. */
void loop_stop(void)
{
    int saved = errno;
    __atomic_store_n(&loop.stop, true, __ATOMIC_RELEASE);
    wake();
    errno = saved;
}

/* ---- of the scheduler, what edges use when another thread closes them: here none does ---- */

struct sched_thread *sched_self(void)
{
    return NULL;
}

bool sched_block(uint64_t deadline_ns)
{
    host_fatal("the loop's own thread waits for the loop");
}

void sched_wake(struct sched_thread *thread)
{
}

void sched_spin(unsigned *iteration)
{
}
