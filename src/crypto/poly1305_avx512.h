/* Poly1305 (RFC 8439, section 2.5) with the 52-bit multipliers of AVX-512 IFMA: eight blocks of one message
 * at a time, one a lane; what belongs to a message as a whole (powers of r, the last reduction, the tag) is
 * done for eight messages at once.  Internal to src/crypto; the caller has made sure that the processor can
 * do it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Numbers modulo 2^130 - 5 in limbs of 44, 44 and 42 bits, eight a vector. */
#define POLY1305_LIMBS 3
#define POLY1305_LANES 8

struct poly1305_lanes {
    _Alignas(64) uint64_t limb[POLY1305_LIMBS][POLY1305_LANES];
};

/* One message: `length` contiguous bytes (any number; `data` is not looked at when that is 0), padded with
 * zeros to a whole block, then the block of lengths of the AEAD construction without additional data. */
struct poly1305_message {
    const uint8_t *data;
    size_t length;
    _Alignas(64) uint8_t key[64]; /* r, s; what is behind is not used */
    /* The powers of r that the lanes' last blocks are multiplied by, then the lanes' sums; or blocks of short
     * ones. */
    struct poly1305_lanes work;
    uint64_t tag[2];
};

/* Sets `tag` of each of `count` messages (at most 32), from `data`, `length` and `key`. */
void poly1305_avx512(struct poly1305_message *messages, size_t count);
