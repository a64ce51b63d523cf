/* Preemption where it hurts: every atomic operation of the code compiled after this header may give the
 * processor away first, so that narrow windows are met also on a machine with few cores. */
#pragma once

#include <sched.h>
#include <stdint.h>

static inline void shake(void)
{
    static _Thread_local uint64_t state;
    if (state == 0)
        state = (uintptr_t)&state;
    state = state * 6364136223846793005u + 1442695040888963407u;
    if (state >> 59 == 0) /* 1 in 32 */
        sched_yield();
}

/* A macro's own name is not expanded again inside it. */
#define __atomic_load_n(...)     (shake(), __atomic_load_n(__VA_ARGS__))
#define __atomic_store_n(...)    (shake(), __atomic_store_n(__VA_ARGS__))
#define __atomic_fetch_add(...)  (shake(), __atomic_fetch_add(__VA_ARGS__))
#define __atomic_add_fetch(...)  (shake(), __atomic_add_fetch(__VA_ARGS__))
#define __atomic_sub_fetch(...)  (shake(), __atomic_sub_fetch(__VA_ARGS__))
#define __atomic_exchange_n(...) (shake(), __atomic_exchange_n(__VA_ARGS__))
