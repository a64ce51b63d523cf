/* The simulation's memory. */
#include "sim/edges.h"

unsigned sim_memory_search(const void *needle, size_t length, struct sim_memory_hit *hits, unsigned max)
{
    return 0;
}

uint64_t sim_pool_bytes(void)
{
    return 0;
}

uint64_t sim_pool_bytes_peak(void)
{
    return 0;
}

void sim_fail_allocations(uint32_t probability)
{
}
