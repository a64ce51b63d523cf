/* A host-internal spin lock for a few instructions at any IRQL; not a kernel object of the driver. */
#pragma once

#include "sched/sched.h"

#include <stdbool.h>

struct spin {
    bool held;
};

static inline void spin_lock(struct spin *spin)
{
    unsigned iteration = 0;

    while (__atomic_test_and_set(&spin->held, __ATOMIC_ACQUIRE))
        sched_spin(&iteration);
}

static inline void spin_unlock(struct spin *spin)
{
    __atomic_clear(&spin->held, __ATOMIC_RELEASE);
}
