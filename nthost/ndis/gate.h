/* A recursive lock that is held across calls into the driver, below DISPATCH_LEVEL.  In the simulation all
 * threads are one OS thread, which a pthread lock cannot tell apart; there its holder is a simulated thread,
 * and others wait in virtual time. */
#pragma once

#include "sched/sched.h"
#include "sched/sim.h"

#include <pthread.h>

#define GATE_POLL_NS 5000u

struct gate {
    pthread_mutex_t mutex;
    struct sched_thread *owner; /* in the simulation */
    unsigned depth;
};

static inline void gate_initialize(struct gate *gate)
{
    pthread_mutexattr_t recursive;

    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&gate->mutex, &recursive);
    pthread_mutexattr_destroy(&recursive);
    gate->owner = NULL;
    gate->depth = 0;
}

static inline void gate_destroy(struct gate *gate)
{
    pthread_mutex_destroy(&gate->mutex);
}

static inline void gate_lock(struct gate *gate)
{
    struct sched_thread *self;

    if (__builtin_expect(!sim_active, 1)) {
        pthread_mutex_lock(&gate->mutex);
        return;
    }
    self = sched_self();
    while (gate->owner && gate->owner != self)
        sched_block(sched_time_ns() + GATE_POLL_NS);
    gate->owner = self;
    gate->depth++;
}

static inline void gate_unlock(struct gate *gate)
{
    if (__builtin_expect(!sim_active, 1))
        pthread_mutex_unlock(&gate->mutex);
    else if (--gate->depth == 0)
        gate->owner = NULL;
}
