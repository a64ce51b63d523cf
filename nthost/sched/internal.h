/* What the files of the real-time scheduler share among themselves. */
#pragma once

#include "irql.h"
#include "sim.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Sleeps are measured by a clock that stands still while the machine is suspended; deadlines are not.  So no
 * sleep is longer than this before its deadline is looked at again. */
#define LONGEST_SLEEP_NS 10000000000u

enum { TOKEN_NONE, TOKEN_WOKEN, TOKEN_SLEEPING }; /* sched_thread.token */

static inline uint64_t ns_from_timespec(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec;
}

/* 0 or -errno; `timeout` relative or NULL.  The word is only accessed atomically. */
static inline int futex_wait(uint32_t *word, uint32_t expected, const struct timespec *timeout)
{
    if (sim_active)
        return sim_wait(word, expected, timeout ? sim_time_ns() + ns_from_timespec(timeout) : SCHED_FOREVER);
    return (int)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout, NULL, 0);
}

static inline void futex_wake(uint32_t *word, int count)
{
    if (sim_active) {
        sim_wake(word, count);
        return;
    }
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static inline struct timespec timespec_from_ns(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
}

/* real_cpu.c */
extern unsigned sched_cpus_online;
void cpus_start(unsigned cpus);
void cpus_stop(void);
/* Where a thread runs that may run anywhere `thread` may. */
unsigned cpu_choose(const struct sched_thread *thread);
/* Drains the CPU's DPCs if any are waiting: for its loop thread. */
void cpu_serve(unsigned cpu);
bool cpu_requested(unsigned cpu);

/* real_thread.c */
/* Runs start(context) on a thread of the system, or on a fiber. 0 or an errno. */
int thread_start(const char *name, void *(*start)(void *context), void *context, pthread_t *pthread);
void stack_of_system_thread(uintptr_t *low, uintptr_t *high); /* the calling one */
void thread_wait_end(pthread_t pthread);                      /* nothing to wait for in a simulation */
struct sched_thread *thread_allocate(const char *name);
void thread_release(struct sched_thread *thread);
void thread_make_current(struct sched_thread *thread);

/* real_idle_cpu.c: on the loop's thread */
void idle_cpu_woken(void); /* the loop has events to dispatch */
void idle_cpu_close(void);
/* Nanoseconds that the thread has run or wanted to; false: not known.  Tests put their own in its place. */
extern bool (*idle_cpu_used)(uint64_t *used);
/* A thread made by the loop's thread runs where the process may, wherever the loop stays. */
void idle_cpu_exempt(pthread_attr_t *attributes);

/* real_loop.c */
void loop_open(void);
void loop_close(void);
void loop_wake(void); /* makes the loop look around; no system call when it is awake */
/* The loop thread's way to wait for `token` to become TOKEN_WOKEN. */
bool loop_wait(uint32_t *token, uint64_t deadline_ns);
