/* The dice of verify mode: which of the allowed ways a packet or a request takes.  A generator per thread,
 * seeded from
 * --fault-seed when there is one, else from the scheduler's randomness; no system call per roll. */
#pragma once

#include "host.h"
#include "sched/sched.h"

#include <stdbool.h>
#include <stdint.h>

uint32_t dice_next(void);

/* 0 .. n-1; 0 when n is 0. */
static inline uint32_t dice_below(uint32_t n)
{
    return n ? dice_next() % n : 0;
}

/* True once in `n` rolls. */
static inline bool dice_chance(uint32_t n)
{
    return dice_below(n) == 0;
}
