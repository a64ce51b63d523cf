/* Poly1305 (RFC 8439, section 2.5) over 64-bit words, as inline steps, so that the vector cores can weave the
 * scalar multiplications of one message into the ChaCha20 rounds of another.  Internal to src/crypto. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/bytes.h"

#define POLY1305_BLOCK_BYTES 16

/* The accumulator h = h0 + 2^64 h1 + 2^128 h2 (h2 < 8 between blocks), the clamped multiplier r and the final
 * addend. */
struct poly1305_state {
    uint64_t h0, h1, h2;
    uint64_t r0, r1;
    uint64_t pad0, pad1;
};

static inline void poly1305_init(struct poly1305_state *state, const uint8_t key[32])
{
    state->h0 = state->h1 = state->h2 = 0;
    state->r0 = load_le64(key) & 0x0ffffffc0fffffff;
    state->r1 = load_le64(key + 8) & 0x0ffffffc0ffffffc;
    state->pad0 = load_le64(key + 16);
    state->pad1 = load_le64(key + 24);
}

#ifdef __SIZEOF_INT128__
typedef unsigned __int128 poly1305_wide;

__attribute__((always_inline)) static inline poly1305_wide poly1305_product(uint64_t a, uint64_t b)
{
    return (poly1305_wide)a * b;
}

__attribute__((always_inline)) static inline poly1305_wide poly1305_sum(poly1305_wide a, poly1305_wide b)
{
    return a + b;
}

__attribute__((always_inline)) static inline poly1305_wide poly1305_plus(poly1305_wide a, uint64_t b)
{
    return a + b;
}

__attribute__((always_inline)) static inline uint64_t poly1305_low(poly1305_wide value)
{
    return (uint64_t)value;
}

__attribute__((always_inline)) static inline uint64_t poly1305_high(poly1305_wide value)
{
    return (uint64_t)(value >> 64);
}
#else
/* 128 bits where the compiler has no such integer (x86). */
typedef struct {
    uint64_t low, high;
} poly1305_wide;

static inline poly1305_wide poly1305_product(uint64_t a, uint64_t b)
{
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)middle;
    return (poly1305_wide){other << 32 | (uint32_t)low, a1 * b1 + (middle >> 32) + (other >> 32)};
}

static inline poly1305_wide poly1305_sum(poly1305_wide a, poly1305_wide b)
{
    unsigned long long carry;
    uint64_t low = __builtin_addcll(a.low, b.low, 0, &carry);
    return (poly1305_wide){low, a.high + b.high + carry};
}

static inline poly1305_wide poly1305_plus(poly1305_wide a, uint64_t b)
{
    return poly1305_sum(a, (poly1305_wide){b, 0});
}

static inline uint64_t poly1305_low(poly1305_wide value)
{
    return value.low;
}

static inline uint64_t poly1305_high(poly1305_wide value)
{
    return value.high;
}
#endif

/* h = (h + block + 2^128) * r, partially reduced modulo 2^130 - 5.  The low two bits of r1 are clear, hence
 * 2^128 * r1 = 2^130 * (r1 / 4) = 5 * (r1 / 4) = r1 + r1 / 4 =: s1. */
__attribute__((always_inline)) static inline void poly1305_step(uint64_t *h0, uint64_t *h1, uint64_t *h2,
                                                                uint64_t r0, uint64_t r1, uint64_t s1,
                                                                const uint8_t *block)
{
    unsigned long long carry;
    uint64_t a0 = __builtin_addcll(*h0, load_le64(block), 0, &carry);
    uint64_t a1 = __builtin_addcll(*h1, load_le64(block + 8), carry, &carry);
    uint64_t a2 = *h2 + 1 + carry;

    poly1305_wide d0 = poly1305_sum(poly1305_product(a0, r0), poly1305_product(a1, s1));
    poly1305_wide d1 = poly1305_sum(poly1305_product(a0, r1), poly1305_product(a1, r0));
    d1 = poly1305_plus(poly1305_plus(d1, a2 * s1), poly1305_high(d0));
    uint64_t top = a2 * r0 + poly1305_high(d1);

    uint64_t fold = (top & ~(uint64_t)3) + (top >> 2);
    *h0 = __builtin_addcll(poly1305_low(d0), fold, 0, &carry);
    *h1 = __builtin_addcll(poly1305_low(d1), 0, carry, &carry);
    *h2 = (top & 3) + carry;
}

/* Absorbs whole blocks. */
static inline void poly1305_blocks(struct poly1305_state *state, const uint8_t *data, size_t blocks)
{
    uint64_t h0 = state->h0, h1 = state->h1, h2 = state->h2;
    const uint64_t r0 = state->r0, r1 = state->r1, s1 = r1 + (r1 >> 2);
    for (; blocks > 0; blocks--, data += POLY1305_BLOCK_BYTES)
        poly1305_step(&h0, &h1, &h2, r0, r1, s1, data);
    state->h0 = h0;
    state->h1 = h1;
    state->h2 = h2;
}

/* Absorbs as many blocks of two messages, in little more than the time of one: a step is a chain of dependent
 * operations. */
static inline void poly1305_blocks_of_two(struct poly1305_state *a, const uint8_t *a_data,
                                          struct poly1305_state *b, const uint8_t *b_data, size_t blocks)
{
    uint64_t a0 = a->h0, a1 = a->h1, a2 = a->h2, b0 = b->h0, b1 = b->h1, b2 = b->h2;
    const uint64_t as1 = a->r1 + (a->r1 >> 2), bs1 = b->r1 + (b->r1 >> 2);
    for (size_t i = 0; i < POLY1305_BLOCK_BYTES * blocks; i += POLY1305_BLOCK_BYTES) {
        poly1305_step(&a0, &a1, &a2, a->r0, a->r1, as1, a_data + i);
        poly1305_step(&b0, &b1, &b2, b->r0, b->r1, bs1, b_data + i);
    }
    a->h0 = a0, a->h1 = a1, a->h2 = a2;
    b->h0 = b0, b->h1 = b1, b->h2 = b2;
}

/* Absorbs `length` bytes and zeros up to the next multiple of 16, as the AEAD construction wants it. */
void poly1305_padded(struct poly1305_state *state, const uint8_t *data, size_t length);

/* Absorbs the AEAD's last block: both lengths in bytes, little-endian (RFC 8439, section 2.8). */
void poly1305_lengths(struct poly1305_state *state, uint64_t aad_length, uint64_t message_length);

/* Writes the tag.  The caller erases the state. */
void poly1305_final(const struct poly1305_state *state, uint8_t tag[16]);
