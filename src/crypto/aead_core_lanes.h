/* A ChaCha20 core of AEAD_LANES lanes in clang's vector extensions, with scalar Poly1305 blocks between the
 * rounds: the vector units and the multiplier work at the same time.  Included once by each aead_core_*.c,
 * which defines AEAD_LANES and is compiled for its instruction set. */
#include "crypto/aead_core.h"
#include "crypto/chacha20.h"
#include "crypto/secure_memory.h"

#define GROUP_BYTES (AEAD_LANES * 64)
/* Poly1305 blocks absorbed per group: one in each half of the 10 double rounds.  A group produces only 4 *
 * AEAD_LANES, the rest catches up with the previous packet. */
#define POLY_PER_GROUP 20

typedef uint32_t words __attribute__((vector_size(4 * AEAD_LANES)));
typedef uint16_t halves __attribute__((vector_size(4 * AEAD_LANES)));
typedef uint64_t doubles __attribute__((vector_size(4 * AEAD_LANES)));

#define INLINE __attribute__((always_inline)) static inline

#if AEAD_LANES == 4
#define HALVES_SWAPPED(x)        __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6)
#define INTERLEAVE_LOW_32(a, b)  __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define INTERLEAVE_HIGH_32(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define INTERLEAVE_LOW_64(a, b)  ((words)__builtin_shufflevector((doubles)(a), (doubles)(b), 0, 2))
#define INTERLEAVE_HIGH_64(a, b) ((words)__builtin_shufflevector((doubles)(a), (doubles)(b), 1, 3))
#define LANE_NUMBERS             {0, 1, 2, 3}
#else
#error "no shuffles for this number of lanes"
#endif

INLINE words rotate_16(words value)
{
    return (words)HALVES_SWAPPED((halves)value);
}

INLINE words rotate(words value, int bits)
{
    return value << bits | value >> (32 - bits);
}

/* Four quarter rounds side by side: latency of one hides behind the others. */
INLINE void quarter_rounds(words x[16], int b, int c, int d)
{
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
        words *pa = &x[i], *pb = &x[4 + (i + b) % 4], *pc = &x[8 + (i + c) % 4], *pd = &x[12 + (i + d) % 4];
        *pa += *pb, *pd = rotate_16(*pd ^ *pa);
        *pc += *pd, *pb = rotate(*pb ^ *pc, 12);
        *pa += *pb, *pd = rotate(*pd ^ *pa, 8);
        *pc += *pd, *pb = rotate(*pb ^ *pc, 7);
    }
}

/* Turns four vectors of one word per lane into 16-byte rows: afterwards the 128-bit part number s of vector k
 * is the row of lane 4 s + k. */
INLINE void transpose(words *a, words *b, words *c, words *d)
{
    words ab_low = INTERLEAVE_LOW_32(*a, *b), ab_high = INTERLEAVE_HIGH_32(*a, *b);
    words cd_low = INTERLEAVE_LOW_32(*c, *d), cd_high = INTERLEAVE_HIGH_32(*c, *d);
    *a = INTERLEAVE_LOW_64(ab_low, cd_low);
    *b = INTERLEAVE_HIGH_64(ab_low, cd_low);
    *c = INTERLEAVE_LOW_64(ab_high, cd_high);
    *d = INTERLEAVE_HIGH_64(ab_high, cd_high);
}

INLINE words broadcast(uint32_t value)
{
    return (words){} + value;
}

INLINE void constants(words initial[16])
{
    initial[0] = broadcast(CHACHA20_CONSTANT_0);
    initial[1] = broadcast(CHACHA20_CONSTANT_1);
    initial[2] = broadcast(CHACHA20_CONSTANT_2);
    initial[3] = broadcast(CHACHA20_CONSTANT_3);
}

/* initial[first..first+3] from 16 bytes of each lane. */
INLINE void gather_row(words initial[16], int first, const uint8_t *rows[AEAD_LANES])
{
    for (int k = 0; k < 4; k++)
        for (int s = 0; s < AEAD_LANES / 4; s++)
            __builtin_memcpy((uint8_t *)&initial[first + k] + 16 * s, rows[4 * s + k], 16);
    transpose(&initial[first], &initial[first + 1], &initial[first + 2], &initial[first + 3]);
}

static void core_keystream(const struct aead_lane *lanes)
{
    words initial[16], x[16];
    const uint8_t *rows[AEAD_LANES];

    constants(initial);
    for (int i = 0; i < AEAD_LANES; i++)
        rows[i] = lanes[i].key;
    gather_row(initial, 4, rows);
    for (int i = 0; i < AEAD_LANES; i++)
        rows[i] = lanes[i].key + 16;
    gather_row(initial, 8, rows);
    for (int i = 0; i < AEAD_LANES; i++)
        rows[i] = lanes[i].counter_nonce;
    gather_row(initial, 12, rows);

    for (int i = 0; i < 16; i++)
        x[i] = initial[i];
#pragma clang loop unroll(disable)
    for (int i = 0; i < 10; i++) {
        quarter_rounds(x, 0, 0, 0);
        quarter_rounds(x, 1, 2, 3);
    }
    for (int i = 0; i < 16; i++)
        x[i] += initial[i];
    for (int q = 0; q < 16; q += 4) {
        transpose(&x[q], &x[q + 1], &x[q + 2], &x[q + 3]);
        for (int i = 0; i < AEAD_LANES; i++)
            __builtin_memcpy(lanes[i].out + 4 * q, (const uint8_t *)&x[q + i % 4] + 16 * (i / 4), 16);
    }
    secure_zero(initial, sizeof initial);
}

INLINE void xor_16(uint8_t *destination, const uint8_t *source, const uint8_t *keystream)
{
    typedef uint64_t row __attribute__((vector_size(16), aligned(1), may_alias));
    *(row *)destination = *(const row *)source ^ *(const row *)keystream;
}

static void core_run(struct aead_run *run)
{
    words initial[16], x[16];
    const uint8_t *source = run->source;
    uint8_t *destination = run->destination;

    constants(initial);
    for (int i = 0; i < 8; i++)
        initial[4 + i] = broadcast(load_le32(run->key + 4 * i));
    initial[12] = broadcast(load_le32(run->counter_nonce)) + (words)LANE_NUMBERS;
    for (int i = 1; i < 4; i++)
        initial[12 + i] = broadcast(load_le32(run->counter_nonce + 4 * i));

    for (size_t group = 0; group < run->groups; group++) {
        struct aead_feed *feed = run->feed[0]->blocks >= 2 ? run->feed[0] : run->feed[1];
        size_t absorbed = feed->blocks < POLY_PER_GROUP ? feed->blocks : POLY_PER_GROUP;
        const uint8_t *data = feed->data;
        uint64_t h0 = feed->poly->h0, h1 = feed->poly->h1, h2 = feed->poly->h2;
        const uint64_t r0 = feed->poly->r0, r1 = feed->poly->r1, s1 = r1 + (r1 >> 2);
        int woven = (int)(absorbed / 2);

        for (int i = 0; i < 16; i++)
            x[i] = initial[i];
#pragma clang loop unroll(disable)
        for (int i = 0; i < woven; i++) {
            quarter_rounds(x, 0, 0, 0);
            poly1305_step(&h0, &h1, &h2, r0, r1, s1, data);
            quarter_rounds(x, 1, 2, 3);
            poly1305_step(&h0, &h1, &h2, r0, r1, s1, data + 16);
            data += 32;
        }
#pragma clang loop unroll(disable)
        for (int i = woven; i < 10; i++) {
            quarter_rounds(x, 0, 0, 0);
            quarter_rounds(x, 1, 2, 3);
        }
        feed->poly->h0 = h0;
        feed->poly->h1 = h1;
        feed->poly->h2 = h2;
        feed->data = data;
        feed->blocks -= 2 * (size_t)woven;

        for (int i = 0; i < 16; i++)
            x[i] += initial[i];
        for (int q = 0; q < 16; q += 4) {
            transpose(&x[q], &x[q + 1], &x[q + 2], &x[q + 3]);
            for (int i = 0; i < AEAD_LANES; i++)
                xor_16(destination + 64 * i + 4 * q, source + 64 * i + 4 * q,
                       (const uint8_t *)&x[q + i % 4] + 16 * (i / 4));
        }
        initial[12] += AEAD_LANES;
        source += GROUP_BYTES;
        destination += GROUP_BYTES;
        run->feed[1]->blocks += run->produced_blocks;
    }

    store_le32(run->counter_nonce, load_le32(run->counter_nonce) + (uint32_t)(run->groups * AEAD_LANES));
    run->source = source;
    run->destination = destination;
    run->groups = 0;
    secure_zero(initial, sizeof initial);
}
