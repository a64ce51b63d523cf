/* Verify mode: guarded memory for packets, rationed by a token bucket. */
#include "ndis/strict_memory.h"

#include "ndis/spin.h"
#include "sched/sim.h"

#include <stdlib.h>
#include <string.h>

#define PACKETS_AT_ONCE    256u
#define PACKETS_PER_SECOND 50u
#define FREED_FILL         0xdd
#define NS_PER_PACKET      (1000000000u / PACKETS_PER_SECOND)

bool strict_guard(void)
{
    static struct spin lock;
    static uint64_t filled_ns, tokens = PACKETS_AT_ONCE;
    uint64_t now = sched_time_ns(), fresh;
    bool guarded;

    if (sim_active) /* costs nothing there */
        return true;
    spin_lock(&lock);
    fresh = filled_ns && now > filled_ns ? (now - filled_ns) / NS_PER_PACKET : 0;
    if (fresh || !filled_ns) {
        tokens = tokens + fresh < PACKETS_AT_ONCE ? tokens + fresh : PACKETS_AT_ONCE;
        filled_ns = filled_ns ? filled_ns + fresh * NS_PER_PACKET : now;
    }
    guarded = tokens > 0;
    if (guarded)
        tokens--;
    spin_unlock(&lock);
    return guarded;
}

void *strict_allocate(bool guarded, size_t bytes, size_t alignment, const char *what, enum verify_rule rule)
{
    if (guarded)
        return verify_memory_allocate(bytes, alignment, what, rule);
    return malloc(bytes ? bytes : 1); /* 16-byte aligned */
}

void strict_free(bool guarded, void *memory, size_t bytes)
{
    if (guarded) {
        verify_memory_free(memory);
    } else if (memory) {
        memset(memory, FREED_FILL, bytes);
        free(memory);
    }
}
