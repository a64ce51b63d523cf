/* For tests that link one folder of the host: the scheduler's answers where there is no simulation. */
#include "sched/sched.h"
#include "sched/sim.h"

bool sim_active;

void sim_follow(void *variable, size_t size, bool stays)
{
    (void)variable;
    (void)size;
    (void)stays;
}

void sim_import(uint32_t row)
{
    (void)row;
}

void sim_import_done(void)
{
}

void sched_stack_bounds(uintptr_t *low, uintptr_t *high)
{
    *low = *high = 0;
}
