/* Threads of the real-time scheduler: pthreads with a record, blocked and woken through one futex word each.
 * Records are recycled and never unmapped, so that a late sched_wake() is harmless. */
#include "internal.h"

#include "host.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREAD_STACK_BYTES (1u << 20) /* the driver's 24 KB and the host functions it calls */
#define SHUTDOWN_POLL_NS   1000000u

__thread struct sched_thread *sched_current;
SIM_FOLLOWS_THREAD(sched_current)

static pthread_mutex_t records_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sched_thread *free_records;
static unsigned created_alive;
static void (*thread_end)(void *object);
static pthread_key_t implicit_key;
static pthread_once_t implicit_once = PTHREAD_ONCE_INIT;

/* ---- records ---- */

struct sched_thread *thread_allocate(const char *name)
{
    pthread_mutex_lock(&records_lock);
    struct sched_thread *thread = free_records;
    if (thread != NULL)
        free_records = thread->next_free;
    pthread_mutex_unlock(&records_lock);
    if (thread == NULL) {
        thread = aligned_alloc(128, (sizeof(*thread) + 127) & ~(size_t)127);
        if (thread == NULL)
            return NULL;
        memset(thread, 0, sizeof(*thread));
    }
    /* token stays as it is: a late waker may still touch it */
    thread->irql = SCHED_PASSIVE;
    thread->moved = thread->implicit = thread->ended = false;
    __atomic_store_n(&thread->is_loop, false, __ATOMIC_RELAXED);
    thread->joiner = NULL;
    thread->affinity = 0;
    thread->home = UINT64_MAX;
    thread->object = NULL;
    thread->references = 1;
    thread->adopted = 0;
    thread->start = NULL;
    thread->exit_jump = NULL;
    snprintf(thread->name, sizeof(thread->name), "%s", name != NULL ? name : "nt-thread");
    thread->cpu = cpu_choose(thread);
    return thread;
}

void thread_release(struct sched_thread *thread)
{
    if (__atomic_sub_fetch(&thread->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    pthread_mutex_lock(&records_lock);
    if (thread->start != NULL)
        __atomic_sub_fetch(&created_alive, 1, __ATOMIC_RELEASE);
    thread->next_free = free_records;
    free_records = thread;
    pthread_mutex_unlock(&records_lock);
}

void thread_make_current(struct sched_thread *thread)
{
    sched_current = thread;
}

void sched_set_thread_end(void (*end)(void *object))
{
    thread_end = end;
}

/* Common end of created and adopted threads; the record is still this thread's while the object goes. */
static void thread_finish(struct sched_thread *thread)
{
    if (thread->irql >= SCHED_DISPATCH)
        host_fatal("thread %s ended at IRQL %u", thread->name, thread->irql);
    void *object = thread->object;
    if (object != NULL && thread_end != NULL)
        thread_end(object);
    thread->object = NULL;
    sched_current = NULL;
    __atomic_store_n(&thread->ended, true, __ATOMIC_SEQ_CST);
    struct sched_thread *joiner = __atomic_load_n(&thread->joiner, __ATOMIC_SEQ_CST);
    if (joiner != NULL)
        sched_wake(joiner);
    thread_release(thread);
}

/* ---- adopted threads ---- */

void sched_thread_adopt(const char *name)
{
    struct sched_thread *thread = sched_current;
    if (thread == NULL) {
        thread = thread_allocate(name);
        if (thread == NULL)
            host_fatal("out of memory for a thread record");
        thread_make_current(thread);
    }
    thread->adopted++;
}

void sched_thread_disown(void)
{
    struct sched_thread *thread = sched_current;
    if (thread == NULL || thread->adopted == 0)
        host_fatal("sched_thread_disown without sched_thread_adopt");
    if (--thread->adopted == 0 && thread->start == NULL && !thread->implicit)
        thread_finish(thread);
}

static void implicit_end(void *value)
{
    sched_current = value;
    thread_finish(value);
}

static void implicit_make_key(void)
{
    pthread_key_create(&implicit_key, implicit_end);
}

struct sched_thread *sched_self_implicit(void)
{
    char name[16] = "foreign";
    pthread_getname_np(pthread_self(), name, sizeof(name));
    pthread_once(&implicit_once, implicit_make_key);
    struct sched_thread *thread = thread_allocate(name);
    if (thread == NULL)
        host_fatal("out of memory for a thread record");
    thread_make_current(thread);
    thread->implicit = true;
    pthread_setspecific(implicit_key, thread);
    return thread;
}

struct sched_thread *sched_self(void)
{
    return sched_self_fast();
}

void sched_thread_set_object(struct sched_thread *thread, void *object)
{
    thread->object = object;
}

void *sched_thread_object(struct sched_thread *thread)
{
    return thread->object;
}

/* ---- created threads ---- */

int thread_start(const char *name, void *(*start)(void *context), void *context, pthread_t *pthread)
{
    if (sim_active)
        return sim_fiber_create(name, start, context) ? 0 : EAGAIN;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    idle_cpu_exempt(&attributes);
    int error = pthread_create(pthread, &attributes, start, context);
    pthread_attr_destroy(&attributes);
    if (error == 0)
        pthread_setname_np(*pthread, name);
    return error;
}

void thread_wait_end(pthread_t pthread)
{
    if (!sim_active)
        pthread_join(pthread, NULL);
}

static void *thread_main(void *context)
{
    struct sched_thread *thread = context;
    jmp_buf exit_jump;
    thread_make_current(thread);
    thread->exit_jump = &exit_jump;
    if (_setjmp(exit_jump) == 0)
        thread->start(thread->context);
    thread_finish(sched_current);
    return NULL;
}

struct sched_thread *sched_thread_create(const char *name, void (*start)(void *context), void *context)
{
    struct sched_thread *thread = thread_allocate(name);
    if (thread == NULL)
        return NULL;
    thread->references = 2; /* its own, and the creator's until join or detach */
    thread->start = start;
    thread->context = context;
    __atomic_add_fetch(&created_alive, 1, __ATOMIC_RELAXED);
    int error = thread_start(thread->name, thread_main, thread, &thread->pthread);
    if (error != 0) {
        thread->references = 1;
        thread_release(thread);
        return NULL;
    }
    return thread;
}

void sched_thread_join(struct sched_thread *thread)
{
    /* sched_block() first: the event loop's thread must go on serving it meanwhile */
    __atomic_store_n(&thread->joiner, sched_self_fast(), __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&thread->ended, __ATOMIC_SEQ_CST))
        sched_block(SCHED_FOREVER);
    thread_wait_end(thread->pthread);
    thread_release(thread);
}

void sched_thread_detach(struct sched_thread *thread)
{
    if (!sim_active)
        pthread_detach(thread->pthread);
    thread_release(thread);
}

/* A jump, not pthread_exit(): the C library cannot unwind through the driver's frames. */
_Noreturn void sched_thread_exit(void)
{
    struct sched_thread *self = sched_self_fast();
    if (self->exit_jump == NULL)
        host_fatal("thread %s was not created by the scheduler and cannot end itself", self->name);
    _longjmp(*(jmp_buf *)self->exit_jump, 1);
}

void stack_of_system_thread(uintptr_t *low, uintptr_t *high)
{
    pthread_attr_t attributes;
    void *address = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &address, &size);
        pthread_attr_destroy(&attributes);
    }
    *low = (uintptr_t)address;
    *high = (uintptr_t)address + size;
}

void sched_stack_bounds(uintptr_t *low, uintptr_t *high)
{
    if (sim_active)
        sim_stack_bounds(low, high);
    else
        stack_of_system_thread(low, high);
}

/* ---- waiting ---- */

bool sched_block(uint64_t deadline_ns)
{
    struct sched_thread *self = sched_self_fast();
    if (self->irql >= SCHED_DISPATCH)
        host_fatal("thread %s waits at IRQL %u", self->name, self->irql);
    if (self->is_loop)
        return loop_wait(&self->token, deadline_ns);
    for (;;) {
        uint32_t token = TOKEN_NONE;
        if (!__atomic_compare_exchange_n(&self->token, &token, TOKEN_SLEEPING, false, __ATOMIC_ACQ_REL,
                                         __ATOMIC_ACQUIRE) &&
            token == TOKEN_WOKEN) {
            __atomic_exchange_n(&self->token, TOKEN_NONE, __ATOMIC_ACQ_REL);
            return true;
        }
        struct timespec left, *timeout = NULL;
        if (deadline_ns != SCHED_FOREVER) {
            uint64_t now = sched_time_ns();
            if (now >= deadline_ns)
                return __atomic_exchange_n(&self->token, TOKEN_NONE, __ATOMIC_ACQ_REL) == TOKEN_WOKEN;
            uint64_t left_ns = deadline_ns - now;
            left = timespec_from_ns(left_ns < LONGEST_SLEEP_NS ? left_ns : LONGEST_SLEEP_NS);
            timeout = &left;
        }
        futex_wait(&self->token, TOKEN_SLEEPING, timeout);
    }
}

void sched_wake(struct sched_thread *thread)
{
    uint32_t previous = __atomic_exchange_n(&thread->token, TOKEN_WOKEN, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&thread->is_loop, __ATOMIC_RELAXED))
        loop_wake();
    else if (previous == TOKEN_SLEEPING)
        futex_wake(&thread->token, 1);
}

/* ---- life ---- */

void sched_initialize(unsigned cpus)
{
    sched_cpus_online = cpus < 1 ? 1 : cpus > 64 ? 64 : cpus;
    sched_thread_adopt("nt-loop");
    struct sched_thread *self = sched_current;
    __atomic_store_n(&self->is_loop, true, __ATOMIC_RELAXED);
    self->home = 1;
    self->cpu = 0;
    loop_open();
    cpus_start(cpus);
}

void sched_shutdown(void)
{
    while (__atomic_load_n(&created_alive, __ATOMIC_ACQUIRE) != 0)
        sched_block(sched_time_ns() + SHUTDOWN_POLL_NS); /* serves the loop, which the threads may need */
    cpus_stop();
    idle_cpu_close();
    loop_close();
    __atomic_store_n(&sched_current->is_loop, false, __ATOMIC_RELAXED);
    sched_thread_disown();
}
