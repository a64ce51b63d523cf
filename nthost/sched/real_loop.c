/* The event loop of CPU 0: file descriptors (epoll), timers, posted functions, and DPCs of CPU 0 that nobody
 * else runs.  A wait on the loop's own thread serves the loop until its wake comes. */
#include "internal.h"

#include "host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define EVENTS_PER_CALL 64

struct source {
    int fd;
    uint32_t events;
    uint32_t active; /* callbacks running (more than one when nested) */
    bool removed;    /* under sources_lock; freed by the loop when nothing can point to it any more */
    bool disarmed;   /* it fired while its callback was waiting; armed again when that returns */
    loop_callback *callback;
    void *context;
    struct source *next;
};

struct post {
    void (*function)(void *context);
    void *context;
};

static int epoll_fd = -1, wake_fd = -1;
static struct sched_thread *loop_thread;
static uint32_t sources_lock, posts_lock;
static struct source *sources, *removed_sources;
static struct post *posts;
static size_t posts_first, posts_count, posts_size;
static uint32_t asleep, stop_wanted;
static uint64_t sleep_until;
static unsigned depth;
static uint64_t (*timer_next)(void);
static void (*timer_expire)(void);

static void lock(uint32_t *word)
{
    unsigned spins = 0;
    while (__atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE) != 0)
        sched_spin(&spins);
}

static void unlock(uint32_t *word)
{
    __atomic_store_n(word, 0, __ATOMIC_RELEASE);
}

bool loop_is_self(void)
{
    return sched_current != NULL && sched_current == loop_thread;
}

bool loop_is_nested(void)
{
    return loop_is_self() && depth > 1;
}

/* ---- sources ---- */

static struct source *find_source(int fd)
{
    for (struct source *source = sources; source != NULL; source = source->next)
        if (source->fd == fd)
            return source;
    return NULL;
}

int loop_add(int fd, uint32_t events, loop_callback *callback, void *context)
{
    struct source *source = calloc(1, sizeof(*source));
    if (source == NULL)
        return -ENOMEM;
    *source = (struct source){.fd = fd, .events = events, .callback = callback, .context = context};
    struct epoll_event event = {.events = events, .data.ptr = source};
    lock(&sources_lock);
    int result = epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
    if (result == 0) {
        source->next = sources;
        sources = source;
    }
    unlock(&sources_lock);
    if (result != 0)
        free(source);
    return result;
}

int loop_modify(int fd, uint32_t events)
{
    lock(&sources_lock);
    struct source *source = find_source(fd);
    int result = -ENOENT;
    if (source != NULL) {
        struct epoll_event event = {.events = events, .data.ptr = source};
        source->events = events;
        result = source->disarmed || epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0 ? 0 : -errno;
    }
    unlock(&sources_lock);
    return result;
}

void loop_remove(int fd)
{
    lock(&sources_lock);
    struct source *source = NULL;
    for (struct source **at = &sources; *at != NULL; at = &(*at)->next) {
        if ((*at)->fd != fd)
            continue;
        source = *at;
        *at = source->next;
        source->removed = true;
        __atomic_add_fetch(&source->active, 1, __ATOMIC_RELAXED); /* keeps it for the wait below */
        source->next = removed_sources;
        __atomic_store_n(&removed_sources, source, __ATOMIC_RELAXED);
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        break;
    }
    unlock(&sources_lock);
    if (source == NULL)
        return;
    unsigned spins = 0;
    if (!loop_is_self() && sched_irql() < SCHED_DISPATCH)
        while (__atomic_load_n(&source->active, __ATOMIC_ACQUIRE) > 1)
            sched_spin(&spins);
    __atomic_sub_fetch(&source->active, 1, __ATOMIC_RELEASE);
}

/* Only at the outermost level, between two calls of epoll_pwait2(): no event points to a removed source then.
 */
static void free_removed_sources(void)
{
    if (__atomic_load_n(&removed_sources, __ATOMIC_RELAXED) == NULL)
        return;
    lock(&sources_lock);
    for (struct source **at = &removed_sources; *at != NULL;) {
        struct source *source = *at;
        if (__atomic_load_n(&source->active, __ATOMIC_ACQUIRE) != 0) {
            at = &source->next;
            continue;
        }
        __atomic_store_n(at, source->next, __ATOMIC_RELAXED);
        free(source);
    }
    unlock(&sources_lock);
}

static void arm(struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, source->fd, &event);
}

static void dispatch(struct source *source, uint32_t events)
{
    lock(&sources_lock);
    bool run = !source->removed;
    if (run && source->active != 0) {
        source->disarmed = true;
        arm(source, 0);
        run = false;
    }
    if (run)
        __atomic_add_fetch(&source->active, 1, __ATOMIC_RELAXED);
    unlock(&sources_lock);
    if (!run)
        return;
    source->callback(source->context, events);
    lock(&sources_lock);
    if (source->disarmed) {
        source->disarmed = false;
        if (!source->removed)
            arm(source, source->events);
    }
    __atomic_sub_fetch(&source->active, 1, __ATOMIC_RELEASE);
    unlock(&sources_lock);
}

/* ---- posted functions ---- */

void loop_post(void (*function)(void *context), void *context)
{
    lock(&posts_lock);
    if (posts_count == posts_size) {
        size_t size = posts_size != 0 ? posts_size * 2 : 64;
        struct post *grown = malloc(size * sizeof(*grown));
        if (grown == NULL)
            host_fatal("out of memory for posted work");
        for (size_t i = 0; i < posts_count; i++)
            grown[i] = posts[(posts_first + i) % posts_size];
        free(posts);
        posts = grown;
        posts_size = size;
        posts_first = 0;
    }
    posts[(posts_first + posts_count) % posts_size] = (struct post){function, context};
    __atomic_store_n(&posts_count, posts_count + 1, __ATOMIC_SEQ_CST);
    unlock(&posts_lock);
    if (!loop_is_self())
        loop_wake();
}

static bool posts_waiting(void)
{
    return __atomic_load_n(&posts_count, __ATOMIC_SEQ_CST) != 0;
}

static void run_posts(void)
{
    /* those that are there now: what they post waits for the next round, after I/O */
    for (size_t left = __atomic_load_n(&posts_count, __ATOMIC_RELAXED); left != 0; left--) {
        lock(&posts_lock);
        if (posts_count == 0) { /* a nested round took them */
            unlock(&posts_lock);
            return;
        }
        struct post post = posts[posts_first];
        posts_first = (posts_first + 1) % posts_size;
        __atomic_store_n(&posts_count, posts_count - 1, __ATOMIC_RELAXED);
        unlock(&posts_lock);
        post.function(post.context);
    }
}

/* ---- timers ---- */

void loop_set_timer(uint64_t (*next)(void), void (*expire)(void))
{
    timer_next = next;
    timer_expire = expire;
}

void loop_timer_changed(void)
{
    if (loop_is_self() || timer_next == NULL)
        return;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&asleep, __ATOMIC_SEQ_CST) != 0 &&
        timer_next() < __atomic_load_n(&sleep_until, __ATOMIC_SEQ_CST))
        loop_wake();
}

/* ---- the loop ---- */

void loop_wake(void)
{
    if (__atomic_exchange_n(&asleep, 0, __ATOMIC_SEQ_CST) == 0)
        return;
    if (sim_active) {
        sim_wake(&asleep, 1);
        return;
    }
    uint64_t one = 1;
    ssize_t written = write(wake_fd, &one, sizeof(one)); /* EAGAIN: a wake is already waiting */
    (void)written;
}

/* One round: what is due, then sleep until `deadline_ns` or an event, then the events' callbacks.  Does not
 * sleep when `token` (may be NULL) says that somebody woke this thread. */
static void loop_round(uint64_t deadline_ns, const uint32_t *token)
{
    struct epoll_event events[EVENTS_PER_CALL];
    depth++;
    if (depth == 1)
        free_removed_sources();
    run_posts();
    cpu_serve(0);
    uint64_t until = deadline_ns;
    struct timespec timeout = {0, 0};
    if (timer_next != NULL) {
        uint64_t next = timer_next();
        if (next != SCHED_FOREVER && next <= sched_time_ns()) {
            timer_expire();
            next = timer_next();
        }
        if (next < until)
            until = next;
    }
    if (sim_active) {
        uint64_t next = sim_events_run();
        if (next < until)
            until = next;
    }
    __atomic_store_n(&sleep_until, until, __ATOMIC_SEQ_CST);
    __atomic_exchange_n(&asleep, 1, __ATOMIC_SEQ_CST);
    bool busy = posts_waiting() || cpu_requested(0) || __atomic_load_n(&stop_wanted, __ATOMIC_SEQ_CST) != 0 ||
                (timer_next != NULL && timer_next() < until) ||
                (token != NULL && __atomic_load_n(token, __ATOMIC_SEQ_CST) == TOKEN_WOKEN);
    if (sim_active) {
        if (!busy)
            sim_wait(&asleep, 1, until);
        else
            sim_yield();
        __atomic_store_n(&asleep, 0, __ATOMIC_SEQ_CST);
        depth--;
        return;
    }
    if (!busy && until != SCHED_FOREVER) {
        uint64_t now = sched_time_ns();
        if (until > now)
            timeout = timespec_from_ns(until - now < LONGEST_SLEEP_NS ? until - now : LONGEST_SLEEP_NS);
    }
    int count = epoll_pwait2(epoll_fd, events, EVENTS_PER_CALL,
                             busy || until != SCHED_FOREVER ? &timeout : NULL, NULL);
    __atomic_store_n(&asleep, 0, __ATOMIC_SEQ_CST);
    if (count < 0 && errno != EINTR)
        host_fatal("epoll_pwait2: %s", strerror(errno));
    if (count > 0)
        idle_cpu_woken();
    for (int i = 0; i < count; i++)
        if (events[i].data.ptr != NULL)
            dispatch(events[i].data.ptr, events[i].events);
    depth--;
}

bool loop_wait(uint32_t *token, uint64_t deadline_ns)
{
    struct sched_thread *self = sched_self_fast();
    uint8_t irql = self->irql;
    self->irql = SCHED_PASSIVE; /* what its callbacks expect; back before returning */
    bool woken;
    for (;;) {
        woken = __atomic_exchange_n(token, TOKEN_NONE, __ATOMIC_ACQ_REL) == TOKEN_WOKEN;
        if (woken || (deadline_ns != SCHED_FOREVER && sched_time_ns() >= deadline_ns))
            break;
        loop_round(deadline_ns, token);
    }
    self->irql = irql;
    return woken;
}

void loop_run(void)
{
    while (__atomic_load_n(&stop_wanted, __ATOMIC_SEQ_CST) == 0)
        loop_round(SCHED_FOREVER, NULL);
    __atomic_store_n(&stop_wanted, 0, __ATOMIC_SEQ_CST);
}

/* Safe in a signal handler. */
void loop_stop(void)
{
    int saved = errno;
    __atomic_store_n(&stop_wanted, 1, __ATOMIC_SEQ_CST);
    loop_wake();
    errno = saved;
}

void loop_open(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* edge-triggered: each write is one event, and nobody has to read it */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (epoll_fd < 0 || wake_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &event) != 0)
        host_fatal("cannot make the event loop: %s", strerror(errno));
    loop_thread = sched_current;
    stop_wanted = asleep = 0;
    depth = 0;
}

void loop_close(void)
{
    close(wake_fd);
    close(epoll_fd);
    epoll_fd = wake_fd = -1;
    loop_thread = NULL;
    lock(&sources_lock);
    for (struct source *source = sources, *next; source != NULL; source = next) {
        next = source->next;
        free(source);
    }
    sources = NULL;
    unlock(&sources_lock);
    depth = 1;
    free_removed_sources();
    free(posts);
    posts = NULL;
    posts_first = posts_count = posts_size = 0;
}
