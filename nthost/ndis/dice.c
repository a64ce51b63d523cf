/* Verify mode's dice. */
#include "ndis/dice.h"

#include "sched/sim.h"

uint32_t dice_next(void)
{
    static uint64_t threads;
    static __thread uint64_t state;

    if (sim_active)
        return (uint32_t)(sim_random_next(SIM_STREAM_DICE) >> 33);
    if (__builtin_expect(state == 0, 0)) {
        if (host_options.fault_seed)
            state = host_options.fault_seed + __atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED);
        else
            sched_random(&state, sizeof state);
    }
    state = state * 6364136223846793005ull + 1442695040888963407ull; /* Knuth's MMIX */
    return (uint32_t)(state >> 33);
}
