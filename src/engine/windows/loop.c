/* See loop.h.  One thread waits for a few handles (the adapter's, one per socket, one for other threads),
 * with the nearest timer as patience.  The lowest signaled handle would starve the others: the search starts
 * behind the one served last. */
#include "loop.h"

#include "host.h"
#include "sched/sched.h"
#include "system.h"

#include <errno.h>
#include <stdlib.h>

#define NS_PER_MS_ UINT64_C(1000000)

struct source {
    HANDLE handle;
    bool enabled;
    void (*signaled)(void *context);
    void *context;
};

struct post {
    void (*function)(void *context);
    void *context;
    struct post *next;
};

static struct {
    HANDLE wake; /* resets itself */
    DWORD thread;
    struct source sources[LOOP_HANDLES_MAX];
    unsigned count, first; /* `first`: whose turn it is */
    volatile LONG stop;
    SRWLOCK lock; /* posts */
    struct post *first_post, *last_post;
    uint64_t (*timer_next)(void);
    void (*timer_expire)(void);
} loop = {.lock = SRWLOCK_INIT};

int loop_open(void)
{
    loop.wake = CreateEventW(NULL, FALSE, FALSE, NULL);
    loop.thread = GetCurrentThreadId();
    return loop.wake ? 0 : -ENOMEM;
}

bool loop_is_self(void)
{
    return GetCurrentThreadId() == loop.thread;
}

static struct source *find(HANDLE handle)
{
    for (unsigned i = 0; i < loop.count; i++)
        if (loop.sources[i].handle == handle)
            return &loop.sources[i];
    return NULL;
}

int loop_add_handle(HANDLE handle, void (*signaled)(void *context), void *context)
{
    if (loop.count == LOOP_HANDLES_MAX)
        return -EMFILE;
    loop.sources[loop.count++] = (struct source){handle, true, signaled, context};
    return 0;
}

void loop_enable_handle(HANDLE handle, bool enabled)
{
    struct source *source = find(handle);
    if (source)
        source->enabled = enabled;
}

void loop_remove_handle(HANDLE handle)
{
    struct source *source = find(handle);
    if (source)
        *source = loop.sources[--loop.count];
}

/* ---- posts ---- */

void loop_post(void (*function)(void *context), void *context)
{
    struct post *post = malloc(sizeof(*post));
    if (!post)
        host_fatal("out of memory for posted work");
    *post = (struct post){.function = function, .context = context};
    AcquireSRWLockExclusive(&loop.lock);
    *(loop.last_post ? &loop.last_post->next : &loop.first_post) = post;
    loop.last_post = post;
    ReleaseSRWLockExclusive(&loop.lock);
    SetEvent(loop.wake);
}

void loop_forget(void *context)
{
    AcquireSRWLockExclusive(&loop.lock);
    loop.last_post = NULL;
    for (struct post **link = &loop.first_post; *link;) {
        struct post *post = *link;
        if (post->context == context) {
            *link = post->next;
            free(post);
        } else {
            loop.last_post = post;
            link = &post->next;
        }
    }
    ReleaseSRWLockExclusive(&loop.lock);
}

/* The first one, unless it was posted behind `last`: NULL then, or when there is none. */
static struct post *take_post(const struct post *last, bool *more)
{
    AcquireSRWLockExclusive(&loop.lock);
    struct post *post = *more ? loop.first_post : NULL;
    if (post) {
        loop.first_post = post->next;
        if (!post->next)
            loop.last_post = NULL;
        *more = post != last && post->next;
    }
    ReleaseSRWLockExclusive(&loop.lock);
    return post;
}

/* Those that are there now: what they post waits for the next round, behind packets. */
static void run_posts(void)
{
    AcquireSRWLockShared(&loop.lock);
    const struct post *last = loop.last_post;
    ReleaseSRWLockShared(&loop.lock);
    bool more = last != NULL;
    for (struct post *post; (post = take_post(last, &more));) {
        post->function(post->context);
        free(post);
    }
}

/* ---- the loop ---- */

void loop_set_timer(uint64_t (*next)(void), void (*expire)(void))
{
    loop.timer_next = next;
    loop.timer_expire = expire;
}

/* Milliseconds until the timer, rounded up. */
static DWORD patience(void)
{
    uint64_t next_ns = loop.timer_next ? loop.timer_next() : SCHED_FOREVER;
    if (next_ns == SCHED_FOREVER)
        return INFINITE;
    uint64_t now_ns = system_time_ns();
    if (next_ns <= now_ns)
        return 0;
    uint64_t left_ms = (next_ns - now_ns + NS_PER_MS_ - 1) / NS_PER_MS_;
    return left_ms < 60000 ? (DWORD)left_ms : 60000;
}

/* Waits and serves one handle.  Its callback may add and remove handles. */
static void wait_and_serve(void)
{
    HANDLE handles[LOOP_HANDLES_MAX + 1] = {loop.wake};
    DWORD count = 1;
    for (unsigned i = 0; i < loop.count; i++) {
        const struct source *source = &loop.sources[(loop.first + i) % loop.count];
        if (source->enabled)
            handles[count++] = source->handle;
    }
    DWORD result = WaitForMultipleObjects(count, handles, FALSE, patience());
    if (result == WAIT_FAILED)
        host_fatal("WaitForMultipleObjects: error %lu", GetLastError());
    const struct source *source = result > WAIT_OBJECT_0 && result < WAIT_OBJECT_0 + count
                                      ? find(handles[result - WAIT_OBJECT_0])
                                      : NULL;
    if (!source)
        return;
    loop.first = (unsigned)(source - loop.sources) + 1;
    source->signaled(source->context);
}

void loop_run(void)
{
    while (!loop.stop) {
        wait_and_serve();
        run_posts();
        if (loop.timer_next && loop.timer_next() <= system_time_ns())
            loop.timer_expire();
    }
    run_posts(); /* somebody may wait for one */
}

/* Any thread. */
void loop_stop(void)
{
    InterlockedExchange(&loop.stop, 1);
    SetEvent(loop.wake);
}
