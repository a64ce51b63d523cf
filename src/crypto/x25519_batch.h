/* Several X25519 at once (RFC 7748, section 5), for whoever has several to do: the three of a handshake
 * response, and those of all initiations that wait.  Where the processor has AVX-512 with IFMA eight take
 * less time than one in 64-bit registers. */
#pragma once

#include "crypto/x25519.h"

#include <stddef.h>

#define X25519_LANES 8

/* One multiplication.  Inputs of a call may be shared by its jobs, outputs overlap nothing. */
struct x25519_job {
    const uint8_t *scalar, *point; /* X25519_KEY_BYTES each, as for x25519 */
    uint8_t out[X25519_KEY_BYTES];
    bool valid; /* what x25519 returns: false for the all-zero result of a low-order point */
};

/* Five limbs of 51 bits in 64-bit lanes, one lane a job. */
struct x25519_wide_field {
    _Alignas(64) uint64_t limb[5][X25519_LANES];
};

/* Working memory of the wide ladder, erased by it. */
struct x25519_workspace {
    _Alignas(64) uint64_t scalar[4][X25519_LANES];
    struct x25519_wide_field x1, x2, z2, x3, z3, a, b, c, d, e, aa, bb, da, cb;
};

/* The point to be multiplied for a public key; a job with it may take the way of x25519_base. */
extern const uint8_t x25519_base_point[X25519_KEY_BYTES];

/* Allows the wide ladder if `features` (enum cpu_feature) and this build have it; without the call it is off.
 * Call once, before any other thread uses crypto. */
void x25519_batch_use(uint32_t features);

/* Whether x25519_batch_wide may be called. */
bool x25519_batch_is_wide(void);

/* Any number of jobs, one after the other.  Constant time; leaves the extended state alone. */
void x25519_batch(struct x25519_job *const jobs[], size_t count);

/* The same with the wide ladder: the caller has asked x25519_batch_is_wide and saved the extended state.
 * Constant time; AVX-512 registers are zero afterwards. */
void x25519_batch_wide(struct x25519_workspace *workspace, struct x25519_job *const jobs[], size_t count);

/* The wide ladder itself, for 1 to X25519_LANES jobs (x25519_ifma.c). */
void x25519_lanes_ifma(struct x25519_workspace *workspace, struct x25519_job *const jobs[], size_t count);
