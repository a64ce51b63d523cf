/* What the files of the real-time scheduler share among themselves. */
#pragma once

#include "irql.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Sleeps are measured by a clock that stands still while the machine is suspended; deadlines are not.  So no
 * sleep is longer than this before its deadline is looked at again. */
#define LONGEST_SLEEP_NS 10000000000u

enum { TOKEN_NONE, TOKEN_WOKEN, TOKEN_SLEEPING }; /* sched_thread.token */

/* 0 or -errno; `timeout` relative or NULL.  The word is only accessed atomically. */
static inline int futex_wait(uint32_t *word, uint32_t expected, const struct timespec *timeout)
{
    return (int)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout, NULL, 0);
}

static inline void futex_wake(uint32_t *word, int count)
{
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
struct sched_thread *thread_allocate(const char *name);
void thread_release(struct sched_thread *thread);
void thread_make_current(struct sched_thread *thread);

/* real_loop.c */
void loop_open(void);
void loop_close(void);
void loop_wake(void); /* makes the loop look around; no system call when it is awake */
/* The loop thread's way to wait for `token` to become TOKEN_WOKEN. */
bool loop_wait(uint32_t *token, uint64_t deadline_ns);
