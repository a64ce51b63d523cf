/* The seam between the batch logic (aead_batch.c: packets, segments, tags) and the vector cores
 * (aead_core_*.c: many ChaCha20 blocks at once, one lane each, with Poly1305 woven in).  A core is one
 * instance of aead_core_lanes.h for one vector width; more of them join the table in aead_batch.c.  Internal
 * to src/crypto. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/poly1305.h"

/* The widest core the batch logic has room for. */
#define AEAD_CORE_MAX_LANES 16

/* One ChaCha20 block of any packet: the unit that fills a lane. */
struct aead_lane {
    const uint8_t *key;
    uint8_t counter_nonce[16]; /* the state's last row: 32-bit block counter, 96-bit nonce */
    uint8_t *out;              /* 64 bytes of keystream go here */
};

/* Poly1305 input that waits to be absorbed: `blocks` times 16 contiguous bytes. */
struct aead_feed {
    struct poly1305_state *poly;
    const uint8_t *data;
    size_t blocks;
};

/* The feeds that a core chooses from, in the order of preference: it absorbs the first two that hold enough
 * for it, an even and bounded number of blocks; what is left stays in the feed. */
#define AEAD_FEEDS 3

/* A stretch of one packet: `groups` times (lanes * 64) contiguous bytes. */
struct aead_run {
    const uint8_t *key;
    uint8_t counter_nonce[16];
    const uint8_t *source;
    uint8_t *destination; /* equal to source or not overlapping */
    size_t groups;
    /* What is absorbed on the way.  The last feed may be the run's own output: it grows by produced_blocks
     * after each group. */
    struct aead_feed *feeds[AEAD_FEEDS];
    size_t produced_blocks;
};

struct aead_core {
    const char *name;
    uint32_t features; /* enum cpu_feature: all needed */
    uint32_t lanes;
    uint32_t few_lanes;
    /* Computes `lanes` keystream blocks of arbitrary packets. */
    void (*keystream)(const struct aead_lane *lanes, struct aead_feed *const feeds[AEAD_FEEDS]);
    /* The same for few_lanes blocks, in less time, without absorbing anything. */
    void (*keystream_few)(const struct aead_lane *lanes);
    /* Encrypts or decrypts a run; advances counter, pointers and feeds. */
    void (*run)(struct aead_run *run);
};

extern const struct aead_core aead_core_sse2, aead_core_ssse3, aead_core_avx2;

/* Selects the best core that needs no more than `features`; returns the features the selection can use. */
uint32_t aead_core_select(uint32_t features);
