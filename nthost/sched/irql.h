/* The hot path of the scheduler, inlined into ke's spin locks: the calling thread's record and the raising
 * and lowering of IRQL.  Everything slow is out of line and has the Microsoft ABI, so that a host function
 * with the Microsoft ABI that only takes the fast path stays a leaf (no saving of XMM6-15).
 *
 * A virtual CPU is owned through `lock`; `request` says that its DPC queue wants to be drained.  Both sides
 * of that hand-shake are full barriers (requester: set request, then look at lock; owner: release lock, then
 * look at request), so one of them always sees the other. */
#pragma once

#include "sched.h"

#define SCHED_SLOW __attribute__((ms_abi, noinline, cold))

enum { CPU_FREE, CPU_OWNED, CPU_CONTENDED }; /* sched_cpu.lock; CONTENDED: somebody sleeps on it */
enum {
    REQUEST_NONE,
    REQUEST_NOW,
    REQUEST_LOOP_THREAD
}; /* sched_cpu.request; LOOP_THREAD: only its loop thread drains */

struct sched_cpu {
    _Alignas(128) uint32_t lock;
    uint32_t request;
    struct sched_thread *owner; /* for people with a debugger */
    uint32_t starving;          /* threads that woke several times and found it taken again */
    uint32_t kick;              /* the loop thread sleeps on it (CPUs 1..n-1) */
};
extern struct sched_cpu sched_cpus[64];

struct sched_thread {
    uint8_t irql;
    bool moved;        /* affinity changed at DISPATCH_LEVEL: choose another CPU when lowering */
    bool is_loop;      /* serves the event loop: waits by serving it */
    bool implicit;     /* adopted itself; released when its pthread ends */
    uint32_t cpu;      /* the virtual CPU it runs on, owned when irql >= DISPATCH */
    uint64_t affinity; /* 0 = home */
    uint64_t home;
    void *object;
    uint32_t token; /* TOKEN_*: a wake that came, or that it sleeps */
    uint32_t references;
    unsigned adopted;      /* nesting of sched_thread_adopt() */
    unsigned long pthread; /* of a created thread */
    bool ended;
    struct sched_thread *joiner;
    void (*start)(void *context);
    void *context;
    void *exit_jump; /* where sched_thread_exit() goes to */
    struct sched_thread *next_free;
    char name[16];
};

extern __thread struct sched_thread *sched_current;

SCHED_SLOW struct sched_thread *sched_self_implicit(void);
SCHED_SLOW void sched_cpu_acquire_contended(struct sched_thread *self);
SCHED_SLOW void sched_cpu_drain(struct sched_thread *self);
SCHED_SLOW void sched_cpu_released(struct sched_thread *self, struct sched_cpu *cpu, uint32_t lock);
SCHED_SLOW void sched_spin_slow(unsigned *iteration);

static inline struct sched_thread *sched_self_fast(void)
{
    struct sched_thread *self = sched_current;
    return __builtin_expect(self != NULL, 1) ? self : sched_self_implicit();
}

static inline uint8_t sched_irql_raise_fast(uint8_t irql)
{
    struct sched_thread *self = sched_self_fast();
    uint8_t previous = self->irql;
    if (previous < SCHED_DISPATCH && irql >= SCHED_DISPATCH) {
        struct sched_cpu *cpu = &sched_cpus[self->cpu];
        uint32_t expected = CPU_FREE;
        if (__builtin_expect(!__atomic_compare_exchange_n(&cpu->lock, &expected, CPU_OWNED, false,
                                                          __ATOMIC_ACQUIRE, __ATOMIC_RELAXED),
                             0))
            sched_cpu_acquire_contended(self);
    }
    self->irql = irql;
    return previous;
}

static inline void sched_irql_lower_fast(uint8_t irql)
{
    struct sched_thread *self = sched_self_fast();
    if (irql >= SCHED_DISPATCH || self->irql < SCHED_DISPATCH) {
        self->irql = irql;
        return;
    }
    struct sched_cpu *cpu = &sched_cpus[self->cpu];
    if (__builtin_expect(__atomic_load_n(&cpu->request, __ATOMIC_RELAXED) == REQUEST_NOW, 0))
        sched_cpu_drain(self);
    self->irql = irql;
    uint32_t lock = __atomic_exchange_n(&cpu->lock, CPU_FREE, __ATOMIC_SEQ_CST);
    uint32_t request = __atomic_load_n(&cpu->request, __ATOMIC_SEQ_CST);
    if (__builtin_expect(lock == CPU_CONTENDED || request == REQUEST_NOW || self->moved, 0))
        sched_cpu_released(self, cpu, lock);
}
