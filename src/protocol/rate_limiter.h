/* Limits handshakes per source address while under load (white paper 5.3): a token bucket of 20 per second
 * and a burst of 5 for each IPv4 address and each IPv6 /64, in a bounded table.
 *
 * Concurrency: all functions exclude each other (a lock of the handshake stage, never shared with data).  Any
 * IRQL; allow is O(1) expected, collect O(capacity),
 * collect_some O(its argument) expected. */
#pragma once

#include "protocol/constants.h"
#include "protocol/siphash.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RATE_LIMIT_PER_SECOND 20
#define RATE_LIMIT_BURST      5

#define RATE_LIMITER_ENTRIES_MAX 65536

/* Idle entries are forgotten after this time: by then their bucket is full again. */
#define RATE_LIMITER_IDLE_NS NS_PER_SECOND

struct rate_limiter_entry {
    uint64_t prefix; /* IPv4 address, or the first 64 bits of an IPv6 address */
    uint64_t last_ns;
    uint64_t tokens_ns;
    uint32_t next; /* in its bucket, or in the free list */
    uint8_t family;
};

/* Private to rate_limiter.c. */
struct rate_limiter {
    struct rate_limiter_entry *entries;
    uint32_t *buckets;
    uint32_t capacity, bucket_mask, used, free_head, next_collected;
    uint8_t key[SIPHASH_KEY_BYTES];
};

/* Bytes of memory that rate_limiter_init needs for `capacity` entries (1 .. RATE_LIMITER_ENTRIES_MAX; 65536:
 * about 2.3 MB); 0 when the capacity is out of range. */
size_t rate_limiter_memory_bytes(uint32_t capacity);

/* `memory`: rate_limiter_memory_bytes(capacity) bytes, aligned to 8, used until the caller drops the limiter
 * (there is nothing to release).  `key`: random.  False when the capacity is out of range. */
bool rate_limiter_init(struct rate_limiter *limiter, void *memory, uint32_t capacity,
                       const uint8_t key[SIPHASH_KEY_BYTES]);

/* Takes one token of the source's bucket.  False: none left, or the table is full of others. */
bool rate_limiter_allow_v4(struct rate_limiter *limiter, const uint8_t address[4], uint64_t now_ns);
bool rate_limiter_allow_v6(struct rate_limiter *limiter, const uint8_t address[16], uint64_t now_ns);

/* Forgets idle sources of all buckets.  Returns the number of entries left: at 0 the caller may stop calling
 * until the next allow. */
uint32_t rate_limiter_collect(struct rate_limiter *limiter, uint64_t now_ns);

/* The same for the next `buckets` buckets only, for callers that must not be long: called with each allow it
 * comes round before as many sources as there are buckets / `buckets` were new. */
uint32_t rate_limiter_collect_some(struct rate_limiter *limiter, uint32_t buckets, uint64_t now_ns);
