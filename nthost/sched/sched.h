/* The scheduler interface: threads, IRQL and virtual CPUs, waiting, time and randomness of the whole host go
 * through it. Implementations: real threads and real time (real_*.c); a single-threaded, seeded, virtual-time
 * one can take its place.
 *
 * Rules that follow Windows: a thread at DISPATCH_LEVEL or above owns its virtual CPU, nobody else runs at or
 * above DISPATCH_LEVEL there; DPCs of a CPU run when its owner lowers IRQL (on that same thread: no hop), or
 * on the CPU's loop thread when nobody owns it.  IRQL values are NT's: 0 PASSIVE, 1 APC, 2 DISPATCH, 15 HIGH.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHED_PASSIVE  0
#define SCHED_APC      1
#define SCHED_DISPATCH 2
#define SCHED_FOREVER  UINT64_MAX

struct sched_thread;

/* ---- life of the scheduler ---- */
void sched_initialize(unsigned cpus);
/* Ends after every thread created through sched_thread_create has been joined. */
void sched_shutdown(void);
/* A foreign pthread (main, a control connection) becomes a thread that may call the driver. Balanced, nests.
 * A pthread that never said so is adopted at its first call and disowned when it ends. */
void sched_thread_adopt(const char *name);
void sched_thread_disown(void);

/* For the loop's own thread: while it has little to do it stays on this processor of the machine.  0, or
 * -EINVAL, and nothing changed: the process may not run there. */
#define SCHED_IDLE_CPU_NONE  (-1) /* the system's scheduler decides: the default */
#define SCHED_IDLE_CPU_FIRST (-2) /* the first that the process may run on */
#define SCHED_IDLE_CPU_MAX   1023 /* of what Linux's cpu_set_t can name */
int sched_idle_cpu(int cpu);
bool sched_idle_cpu_allowed(int cpu);

/* ---- threads ---- */
struct sched_thread *sched_self(void);
/* Creates a thread that runs `start(context)` at PASSIVE_LEVEL. NULL if it cannot be made. */
struct sched_thread *sched_thread_create(const char *name, void (*start)(void *context), void *context);
void sched_thread_join(struct sched_thread *thread);   /* waits for its end and frees it */
void sched_thread_detach(struct sched_thread *thread); /* instead of join: it frees itself at its end */
_Noreturn void sched_thread_exit(void);
/* Slot for ke/ps: the KTHREAD-like object of this thread (NULL for none). */
void sched_thread_set_object(struct sched_thread *thread, void *object);
void *sched_thread_object(struct sched_thread *thread);
/* ke registers what becomes of that object when its thread ends or is disowned (called on that thread). */
void sched_set_thread_end(void (*end)(void *object));

/* Where the calling thread's stack is mapped; zeros when that cannot be told. */
void sched_stack_bounds(uintptr_t *low, uintptr_t *high);

/* ---- IRQL and virtual CPUs ---- */
unsigned sched_cpu_count(void);
unsigned sched_cpu_current(void);
uint8_t sched_irql(void);
uint8_t sched_irql_raise(uint8_t irql); /* returns the previous one */
void sched_irql_lower(uint8_t irql);    /* below DISPATCH: runs the CPU's DPCs, then gives the CPU up */
/* Affinity of the calling thread; mask of virtual CPUs, 0 = all.  Returns the previous mask. */
uint64_t sched_affinity_set(uint64_t mask);
/* ke registers the function that drains the DPC queue of `cpu`; it is called at DISPATCH_LEVEL on that CPU.
 */
void sched_set_dpc_drain(void (*drain)(unsigned cpu), bool (*pending)(unsigned cpu));
/* Something was queued for `cpu`: makes sure that the drain function runs there soon (now, if the calling
 * thread can). */
void sched_cpu_request(unsigned cpu);
/* Below DISPATCH_LEVEL: takes `cpu` as its owner for a moment.  On return every section that was at
 * DISPATCH_LEVEL there has ended and every DPC that was queued there has run. */
void sched_cpu_visit(unsigned cpu);

/* ---- waiting: one waiter per thread; objects and their rules are ke's ---- */
/* Blocks the calling thread until sched_wake(its sched_thread) or the deadline (sched_time_ns() based;
 * SCHED_FOREVER). A wake that came first is remembered (binary). Returns false on time-out.  May return true
 * without cause: callers wait in a loop for their own condition.  sched_wake() may be called late, even when
 * the thread is gone (records are recycled, never unmapped).  Below DISPATCH_LEVEL only.  The event loop's
 * own thread serves the loop while it waits, so that what it waits for can come; its callbacks then run
 * nested. */
bool sched_block(uint64_t deadline_ns);
void sched_wake(struct sched_thread *thread);
/* For short spins (spin locks of preemptible host threads): pause, after ~200 calls yield. */
void sched_spin(unsigned *iteration);

/* ---- time and randomness ---- */
uint64_t sched_time_ns(void);           /* interrupt time: monotonic, counts sleep */
uint64_t sched_time_unbiased_ns(void);  /* monotonic, does not count sleep */
uint64_t sched_time_system_100ns(void); /* UTC, 100 ns since 1601 */
void sched_random(void *buffer, size_t length);

/* ---- the event loop of CPU 0 (I/O, timers) ---- */
/* The thread that called sched_initialize() is the loop's thread, pinned to CPU 0.
 * loop_remove(): no callback of `fd` starts afterwards; called below DISPATCH_LEVEL on another thread it also
 * waits for a running one.  `events` as in epoll (EPOLLIN, EPOLLOUT); callbacks run on the loop thread at
 * PASSIVE_LEVEL, CPU 0. */
typedef void loop_callback(void *context, uint32_t events);
int loop_add(int fd, uint32_t events, loop_callback *callback, void *context); /* 0 or -errno */
int loop_modify(int fd, uint32_t events);
void loop_remove(int fd);
/* Runs `function(context)` on the loop thread at PASSIVE_LEVEL, soon; any thread, any IRQL. */
void loop_post(void (*function)(void *context), void *context);
bool loop_is_self(void);
bool loop_is_nested(void); /* the loop is being served by a wait inside one of its callbacks */
/* ke registers timers here: next() gives the earliest deadline (ns, SCHED_FOREVER = none), expire() runs at
 * PASSIVE on the loop thread when it has come.  loop_timer_changed(): the earliest deadline moved forward. */
void loop_set_timer(uint64_t (*next)(void), void (*expire)(void));
void loop_timer_changed(void);
/* Called by main's thread: serves until loop_stop() (any thread or a signal handler). */
void loop_run(void);
void loop_stop(void);
