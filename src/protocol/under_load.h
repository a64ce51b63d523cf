/* When an interface counts as under load (white paper 5.3: cookies are demanded then): its handshake queue is
 * an eighth full, or was within the last second.
 *
 * Concurrency: one word, accessed atomically; any number of callers, any IRQL. */
#pragma once

#include "protocol/constants.h"
#include <stdbool.h>
#include <stdint.h>

#define UNDER_LOAD_QUEUE_DIVISOR 8
#define UNDER_LOAD_STICKY_NS     NS_PER_SECOND

struct under_load {
    uint64_t last_seen_ns; /* TIME_NEVER_NS: never */
};

static inline void under_load_init(struct under_load *load)
{
    load->last_seen_ns = TIME_NEVER_NS;
}

/* `queued`: messages waiting now; `capacity`: the queue's bound (4096: the threshold is 512). */
static inline bool under_load_check(struct under_load *load, uint32_t queued, uint32_t capacity,
                                    uint64_t now_ns)
{
    if (queued >= capacity / UNDER_LOAD_QUEUE_DIVISOR) {
        __atomic_store_n(&load->last_seen_ns, now_ns, __ATOMIC_RELAXED);
        return true;
    }
    uint64_t last_seen_ns = __atomic_load_n(&load->last_seen_ns, __ATOMIC_RELAXED);
    /* Another CPU's clock reading may be a little ahead of ours. */
    return last_seen_ns != TIME_NEVER_NS &&
           (now_ns < last_seen_ns || now_ns - last_seen_ns < UNDER_LOAD_STICKY_NS);
}
