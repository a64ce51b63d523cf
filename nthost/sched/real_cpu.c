/* Virtual CPUs of the real-time scheduler: who owns one, and who drains its DPC queue.  The thread that
 * lowers IRQL drains; when nobody owns the CPU its loop thread is kicked (CPU 0: the event loop). */
#include "internal.h"

#include "host.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define SPINS_BEFORE_YIELD    200u /* pauses of a spin lock's waiter: the holder may be descheduled */
#define SPINS_BEFORE_SLEEP    230u /* the same for a CPU, whose owner may run long */
#define WAKES_BEFORE_STARVING 3u
#define STAND_BACK_NS                                                                                        \
    200000u              /* how long a former owner leaves a CPU to a starving thread: a thread hop's time */
#define DRAIN_ROUNDS 16u /* DPCs that queue DPCs: afterwards the loop thread goes on, between its I/O */

struct sched_cpu sched_cpus[64];
unsigned sched_cpus_online = 1;

static void (*dpc_drain)(unsigned cpu);
static bool (*dpc_pending)(unsigned cpu);
static pthread_t loop_threads[64];
static bool stopping;

void sched_set_dpc_drain(void (*drain)(unsigned cpu), bool (*pending)(unsigned cpu))
{
    dpc_drain = drain;
    dpc_pending = pending;
}

unsigned sched_cpu_count(void)
{
    return sched_cpus_online;
}

unsigned sched_cpu_current(void)
{
    return sched_self_fast()->cpu;
}

uint8_t sched_irql(void)
{
    return sched_self_fast()->irql;
}

uint8_t sched_irql_raise(uint8_t irql)
{
    return sched_irql_raise_fast(irql);
}

void sched_irql_lower(uint8_t irql)
{
    sched_irql_lower_fast(irql);
}

void sched_spin_slow(unsigned *iteration)
{
    sched_spin(iteration);
}

void sched_spin(unsigned *iteration)
{
    if (sim_active) {
        ++*iteration;
        sim_yield();
    } else if (++*iteration % SPINS_BEFORE_YIELD != 0)
        __builtin_ia32_pause();
    else
        sched_yield();
}

/* ---- affinity ---- */

static uint64_t online_mask(void)
{
    return sched_cpus_online == 64 ? UINT64_MAX : (UINT64_C(1) << sched_cpus_online) - 1;
}

static uint64_t allowed_mask(const struct sched_thread *thread)
{
    uint64_t mask = (thread->affinity != 0 ? thread->affinity : thread->home) & online_mask();
    return mask != 0 ? mask : online_mask();
}

unsigned cpu_choose(const struct sched_thread *thread)
{
    static uint32_t turn;
    uint64_t mask = allowed_mask(thread);
    if ((mask & ~UINT64_C(1)) != 0)
        mask &= ~UINT64_C(1); /* CPU 0 is the event loop's where there is a choice */
    unsigned skip = __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % (unsigned)__builtin_popcountll(mask);
    while (skip-- != 0)
        mask &= mask - 1;
    return (unsigned)__builtin_ctzll(mask);
}

uint64_t sched_affinity_set(uint64_t mask)
{
    struct sched_thread *self = sched_self_fast();
    uint64_t previous = self->affinity;
    self->affinity = mask;
    if ((allowed_mask(self) >> self->cpu & 1) == 0) {
        if (self->irql >= SCHED_DISPATCH)
            self->moved = true;
        else
            self->cpu = cpu_choose(self);
    }
    return previous;
}

/* ---- ownership ---- */

static bool try_own(struct sched_cpu *cpu, struct sched_thread *self)
{
    uint32_t expected = CPU_FREE;
    if (!__atomic_compare_exchange_n(&cpu->lock, &expected, CPU_OWNED, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return false;
    __atomic_store_n(&cpu->owner, self, __ATOMIC_RELAXED);
    return true;
}

void sched_cpu_acquire_contended(struct sched_thread *self)
{
    uint64_t allowed = allowed_mask(self);
    for (unsigned spins = sim_active ? SPINS_BEFORE_SLEEP - 1 : 0; spins < SPINS_BEFORE_SLEEP;) {
        for (uint64_t rest = allowed; rest != 0; rest &= rest - 1) {
            unsigned number = (unsigned)__builtin_ctzll(rest);
            if (__atomic_load_n(&sched_cpus[number].lock, __ATOMIC_RELAXED) == CPU_FREE &&
                try_own(&sched_cpus[number], self)) {
                self->cpu = number;
                return;
            }
        }
        sched_spin(&spins);
    }
    struct sched_cpu *cpu = &sched_cpus[self->cpu];
    unsigned wakes = 0;
    while (__atomic_exchange_n(&cpu->lock, CPU_CONTENDED, __ATOMIC_ACQUIRE) != CPU_FREE) {
        if (wakes++ == WAKES_BEFORE_STARVING)
            __atomic_add_fetch(&cpu->starving, 1, __ATOMIC_RELAXED);
        futex_wait(&cpu->lock, CPU_CONTENDED, NULL);
    }
    if (wakes > WAKES_BEFORE_STARVING)
        __atomic_sub_fetch(&cpu->starving, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&cpu->owner, self, __ATOMIC_RELAXED);
}

static uint32_t give_up(struct sched_cpu *cpu)
{
    __atomic_store_n(&cpu->owner, NULL, __ATOMIC_RELAXED);
    uint32_t lock = __atomic_exchange_n(&cpu->lock, CPU_FREE, __ATOMIC_SEQ_CST);
    if (lock == CPU_CONTENDED)
        futex_wake(&cpu->lock, 1);
    return lock;
}

/* The woken thread needs a while to run; an owner that comes back at once (the event loop under load) would
 * be first each time. */
static void stand_back(struct sched_cpu *cpu)
{
    uint32_t starving = __atomic_load_n(&cpu->starving, __ATOMIC_RELAXED);
    if (starving == 0)
        return;
    unsigned spins = 0;
    for (uint64_t end = sched_time_ns() + STAND_BACK_NS; sched_time_ns() < end;) {
        if (__atomic_load_n(&cpu->starving, __ATOMIC_RELAXED) < starving)
            return;
        sched_spin(&spins);
    }
}

static void kick(unsigned number)
{
    if (number == 0) {
        loop_wake();
        return;
    }
    struct sched_cpu *cpu = &sched_cpus[number];
    if (__atomic_exchange_n(&cpu->kick, 1, __ATOMIC_SEQ_CST) == 0)
        futex_wake(&cpu->kick, 1);
}

void sched_cpu_drain(struct sched_thread *self)
{
    unsigned number = self->cpu;
    struct sched_cpu *cpu = &sched_cpus[number];
    self->irql = SCHED_DISPATCH;
    for (unsigned round = 0; round < DRAIN_ROUNDS; round++) {
        if (__atomic_exchange_n(&cpu->request, REQUEST_NONE, __ATOMIC_SEQ_CST) == REQUEST_NONE)
            return;
        if (dpc_drain != NULL)
            dpc_drain(number);
    }
    uint32_t expected = REQUEST_NOW;
    if (__atomic_compare_exchange_n(&cpu->request, &expected, REQUEST_LOOP_THREAD, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_RELAXED))
        kick(number);
}

/* Drains while there are requests and nobody else owns the CPU; the calling thread is below DISPATCH_LEVEL on
 * it. */
static void drain_if_free(struct sched_thread *self, struct sched_cpu *cpu)
{
    while (__atomic_load_n(&cpu->request, __ATOMIC_SEQ_CST) == REQUEST_NOW && try_own(cpu, self)) {
        uint8_t irql = self->irql;
        sched_cpu_drain(self);
        self->irql = irql;
        give_up(cpu);
    }
}

void sched_cpu_released(struct sched_thread *self, struct sched_cpu *cpu, uint32_t lock)
{
    if (lock == CPU_CONTENDED)
        futex_wake(&cpu->lock, 1);
    drain_if_free(self, cpu);
    if (lock == CPU_CONTENDED)
        stand_back(cpu);
    if (self->moved) {
        self->moved = false;
        self->cpu = cpu_choose(self);
    }
}

void sched_cpu_request(unsigned number)
{
    struct sched_thread *self = sched_self_fast();
    struct sched_cpu *cpu = &sched_cpus[number];
    __atomic_exchange_n(&cpu->request, REQUEST_NOW, __ATOMIC_SEQ_CST);
    if (self->cpu == number) {
        if (self->irql >= SCHED_DISPATCH)
            return;
        drain_if_free(self, cpu);
        return; /* or another thread owns it and drains when it lowers */
    }
    if (__atomic_load_n(&cpu->lock, __ATOMIC_SEQ_CST) == CPU_FREE)
        kick(number);
}

bool cpu_requested(unsigned number)
{
    return __atomic_load_n(&sched_cpus[number].request, __ATOMIC_SEQ_CST) != REQUEST_NONE;
}

/* A request that was left to the loop thread becomes an ordinary one. */
static void request_promote(struct sched_cpu *cpu)
{
    uint32_t expected = REQUEST_LOOP_THREAD;
    __atomic_compare_exchange_n(&cpu->request, &expected, REQUEST_NOW, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_RELAXED);
}

void cpu_serve(unsigned number)
{
    if (!cpu_requested(number))
        return;
    uint8_t irql = sched_irql_raise(SCHED_DISPATCH);
    request_promote(&sched_cpus[number]);
    sched_irql_lower(irql);
}

void sched_cpu_visit(unsigned number)
{
    struct sched_thread *self = sched_self_fast();
    unsigned cpu = self->cpu;
    uint64_t affinity = self->affinity;
    self->affinity = UINT64_C(1) << number;
    self->cpu = number;
    uint8_t irql = sched_irql_raise(SCHED_DISPATCH);
    if (dpc_pending != NULL && dpc_pending(number))
        __atomic_store_n(&sched_cpus[number].request, REQUEST_NOW, __ATOMIC_SEQ_CST);
    sched_irql_lower(irql);
    self->affinity = affinity;
    self->cpu = cpu;
}

/* ---- the loop threads of CPUs 1..n-1 ---- */

static void *cpu_loop(void *context)
{
    unsigned number = (unsigned)(uintptr_t)context;
    struct sched_cpu *cpu = &sched_cpus[number];
    char name[16];
    snprintf(name, sizeof(name), "nt-cpu-%u", number);
    sched_thread_adopt(name);
    struct sched_thread *self = sched_self_fast();
    self->home = UINT64_C(1) << number;
    self->cpu = number;
    while (!__atomic_load_n(&stopping, __ATOMIC_SEQ_CST)) {
        if (__atomic_exchange_n(&cpu->kick, 0, __ATOMIC_SEQ_CST) == 0)
            futex_wait(&cpu->kick, 0, NULL);
        else
            cpu_serve(number);
    }
    sched_thread_disown();
    return NULL;
}

void cpus_start(unsigned cpus)
{
    sched_cpus_online = cpus < 1 ? 1 : cpus > 64 ? 64 : cpus;
    stopping = false;
    memset(sched_cpus, 0, sizeof(sched_cpus));
    for (unsigned number = 1; number < sched_cpus_online; number++) {
        char name[16];
        snprintf(name, sizeof(name), "nt-cpu-%u", number);
        int error = thread_start(name, cpu_loop, (void *)(uintptr_t)number, &loop_threads[number]);
        if (error != 0)
            host_fatal("cannot start the thread of virtual CPU %u: %s", number, strerror(error));
    }
}

void cpus_stop(void)
{
    __atomic_store_n(&stopping, true, __ATOMIC_SEQ_CST);
    for (unsigned number = 1; number < sched_cpus_online; number++) {
        kick(number);
        thread_wait_end(loop_threads[number]);
    }
}
