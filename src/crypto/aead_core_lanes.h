/* A ChaCha20 core in clang's vector extensions, with scalar Poly1305 blocks between the rounds: the vector
 * units and the multiplier work at the same time.  Included once by each aead_core_*.c, which is compiled for
 * its instruction set and defines AEAD_VECTOR_LANES, the 32-bit words in a vector, and AEAD_VECTOR_SETS, how
 * many states of such vectors are worked on in turn: the rounds of one state are a chain of dependent
 * operations, two chains fill the vector units. */
#include "crypto/aead_core.h"
#include "crypto/chacha20.h"
#include "crypto/secure_memory.h"

#define VL          AEAD_VECTOR_LANES
#define SETS        AEAD_VECTOR_SETS
#define LANES       (VL * SETS)
#define GROUP_BYTES (LANES * CHACHA20_BLOCK_BYTES)
/* Poly1305 blocks absorbed per group and double round: more than a group produces, LANES * 4 / 10, so that
 * what the previous packet left over is caught up with. */
#define POLY_PER_DOUBLE_ROUND (LANES / 2)
#define POLY_PER_GROUP        (10 * POLY_PER_DOUBLE_ROUND)

typedef uint32_t words __attribute__((vector_size(4 * VL)));
typedef uint8_t bytes __attribute__((vector_size(4 * VL)));
typedef uint16_t halves __attribute__((vector_size(4 * VL)));
typedef uint64_t doubles __attribute__((vector_size(4 * VL)));

#define INLINE __attribute__((always_inline)) static inline
/* For every loop over parts of the state: a state indexed at run time would live in memory. */
#define UNROLLED _Pragma("clang loop unroll(full)")

#if AEAD_VECTOR_LANES == 4
#define HALVES_SWAPPED(x)        __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6)
#define BYTES_ROTATED(x)         __builtin_shufflevector(x, x, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14)
#define INTERLEAVE_LOW_32(a, b)  __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define INTERLEAVE_HIGH_32(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define INTERLEAVE_LOW_64(a, b)  ((words)__builtin_shufflevector((doubles)(a), (doubles)(b), 0, 2))
#define INTERLEAVE_HIGH_64(a, b) ((words)__builtin_shufflevector((doubles)(a), (doubles)(b), 1, 3))
#define LANE_NUMBERS             {0, 1, 2, 3}
#elif AEAD_VECTOR_LANES == 8
#define HALVES_SWAPPED(x) __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
#define BYTES_ROTATED(x)                                                                                     \
    __builtin_shufflevector(x, x, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14, 19, 16, 17, 18, 23,  \
                            20, 21, 22, 27, 24, 25, 26, 31, 28, 29, 30)
#define INTERLEAVE_LOW_32(a, b)  __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define INTERLEAVE_HIGH_32(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define INTERLEAVE_LOW_64(a, b)  ((words)__builtin_shufflevector((doubles)(a), (doubles)(b), 0, 4, 2, 6))
#define INTERLEAVE_HIGH_64(a, b) ((words)__builtin_shufflevector((doubles)(a), (doubles)(b), 1, 5, 3, 7))
#define LANE_NUMBERS             {0, 1, 2, 3, 4, 5, 6, 7}
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

INLINE words rotate_8(words value)
{
#if defined(__SSSE3__)
    return (words)BYTES_ROTATED((bytes)value);
#else
    return rotate(value, 8);
#endif
}

/* Four quarter rounds, two and two side by side: more at once, and their temporaries would not fit into 16
 * registers. */
INLINE void quarter_rounds(words x[16], int b, int c, int d)
{
    UNROLLED for (int i = 0; i < 4; i += 2)
    {
        words *a0 = &x[i], *b0 = &x[4 + (i + b) % 4], *c0 = &x[8 + (i + c) % 4], *d0 = &x[12 + (i + d) % 4];
        words *a1 = &x[i + 1], *b1 = &x[4 + (i + 1 + b) % 4], *c1 = &x[8 + (i + 1 + c) % 4];
        words *d1 = &x[12 + (i + 1 + d) % 4];
        *a0 += *b0, *a1 += *b1;
        *d0 = rotate_16(*d0 ^ *a0), *d1 = rotate_16(*d1 ^ *a1);
        *c0 += *d0, *c1 += *d1;
        *b0 = rotate(*b0 ^ *c0, 12), *b1 = rotate(*b1 ^ *c1, 12);
        *a0 += *b0, *a1 += *b1;
        *d0 = rotate_8(*d0 ^ *a0), *d1 = rotate_8(*d1 ^ *a1);
        *c0 += *d0, *c1 += *d1;
        *b0 = rotate(*b0 ^ *c0, 7), *b1 = rotate(*b1 ^ *c1, 7);
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
INLINE void gather_row(words initial[16], int first, const uint8_t *rows[VL])
{
    for (int k = 0; k < 4; k++)
        for (int s = 0; s < VL / 4; s++)
            __builtin_memcpy((uint8_t *)&initial[first + k] + 16 * s, rows[4 * s + k], 16);
    transpose(&initial[first], &initial[first + 1], &initial[first + 2], &initial[first + 3]);
}

/* Keystream of `sets` * VL lanes; `sets` is a constant in each use. */
INLINE void keystream_of_sets(const struct aead_lane *lanes, int sets)
{
    words initial[SETS][16], x[SETS][16];
    const uint8_t *rows[VL];

    UNROLLED for (int set = 0; set < sets; set++)
    {
        const struct aead_lane *first = lanes + VL * set;
        constants(initial[set]);
        for (int i = 0; i < VL; i++)
            rows[i] = first[i].key;
        gather_row(initial[set], 4, rows);
        for (int i = 0; i < VL; i++)
            rows[i] = first[i].key + 16;
        gather_row(initial[set], 8, rows);
        for (int i = 0; i < VL; i++)
            rows[i] = first[i].counter_nonce;
        gather_row(initial[set], 12, rows);
        for (int i = 0; i < 16; i++)
            x[set][i] = initial[set][i];
    }
#pragma clang loop unroll(disable)
    for (int i = 0; i < 10; i++) {
        UNROLLED for (int set = 0; set < sets; set++) quarter_rounds(x[set], 0, 0, 0);
        UNROLLED for (int set = 0; set < sets; set++) quarter_rounds(x[set], 1, 2, 3);
    }
    UNROLLED for (int set = 0; set < sets; set++)
    {
        const struct aead_lane *first = lanes + VL * set;
        UNROLLED for (int q = 0; q < 16; q += 4)
        {
            for (int i = q; i < q + 4; i++)
                x[set][i] += initial[set][i];
            transpose(&x[set][q], &x[set][q + 1], &x[set][q + 2], &x[set][q + 3]);
            for (int i = 0; i < VL; i++)
                __builtin_memcpy(first[i].out + 4 * q, (const uint8_t *)&x[set][q + i % 4] + 16 * (i / 4),
                                 16);
        }
    }
    secure_zero(initial, sizeof initial);
}

static void core_keystream(const struct aead_lane *lanes)
{
    keystream_of_sets(lanes, SETS);
}

static void core_keystream_few(const struct aead_lane *lanes)
{
    keystream_of_sets(lanes, 1);
}

INLINE void xor_16(uint8_t *destination, const uint8_t *source, const uint8_t *keystream)
{
    typedef uint64_t row __attribute__((vector_size(16), aligned(1), may_alias));
    *(row *)destination = *(const row *)source ^ *(const row *)keystream;
}

/* Half a double round of all states, each followed by its share of the half's Poly1305 blocks. */
#define WOVEN_QUARTER_ROUNDS(b, c, d)                                                                        \
    UNROLLED for (int set = 0; set < SETS; set++)                                                            \
    {                                                                                                        \
        const int done = set * POLY_PER_DOUBLE_ROUND / 2 / SETS;                                             \
        const int due = (set + 1) * POLY_PER_DOUBLE_ROUND / 2 / SETS;                                        \
        quarter_rounds(x[set], b, c, d);                                                                     \
        UNROLLED for (int k = done; k < due; k++) poly1305_step(&h0, &h1, &h2, r0, r1, s1, data + 16 * k);   \
    }                                                                                                        \
    data += POLY1305_BLOCK_BYTES * (POLY_PER_DOUBLE_ROUND / 2)

static void core_run(struct aead_run *run)
{
    words initial[16], x[SETS][16];
    const uint8_t *source = run->source;
    uint8_t *destination = run->destination;

    constants(initial);
    for (int i = 0; i < 8; i++)
        initial[4 + i] = broadcast(load_le32(run->key + 4 * i));
    initial[12] = broadcast(load_le32(run->counter_nonce)) + (words)LANE_NUMBERS;
    for (int i = 1; i < 4; i++)
        initial[12 + i] = broadcast(load_le32(run->counter_nonce + 4 * i));

    for (size_t group = 0; group < run->groups; group++) {
        struct aead_feed *feed = run->feed[0]->blocks >= POLY_PER_DOUBLE_ROUND ? run->feed[0] : run->feed[1];
        size_t absorbed = feed->blocks < POLY_PER_GROUP ? feed->blocks : POLY_PER_GROUP;
        const uint8_t *data = feed->data;
        uint64_t h0 = feed->poly->h0, h1 = feed->poly->h1, h2 = feed->poly->h2;
        const uint64_t r0 = feed->poly->r0, r1 = feed->poly->r1, s1 = r1 + (r1 >> 2);
        int woven = (int)(absorbed / POLY_PER_DOUBLE_ROUND);

        UNROLLED for (int set = 0; set < SETS; set++)
        {
            for (int i = 0; i < 16; i++)
                x[set][i] = initial[i];
            x[set][12] += VL * (uint32_t)set;
        }
#pragma clang loop unroll(disable)
        for (int i = 0; i < woven; i++) {
            WOVEN_QUARTER_ROUNDS(0, 0, 0);
            WOVEN_QUARTER_ROUNDS(1, 2, 3);
        }
#pragma clang loop unroll(disable)
        for (int i = woven; i < 10; i++) {
            UNROLLED for (int set = 0; set < SETS; set++) quarter_rounds(x[set], 0, 0, 0);
            UNROLLED for (int set = 0; set < SETS; set++) quarter_rounds(x[set], 1, 2, 3);
        }
        feed->poly->h0 = h0;
        feed->poly->h1 = h1;
        feed->poly->h2 = h2;
        feed->data = data;
        feed->blocks -= POLY_PER_DOUBLE_ROUND * (size_t)woven;

        UNROLLED for (int set = 0; set < SETS; set++)
        {
            x[set][12] += VL * (uint32_t)set;
            UNROLLED for (int q = 0; q < 16; q += 4)
            {
                for (int i = q; i < q + 4; i++)
                    x[set][i] += initial[i];
                transpose(&x[set][q], &x[set][q + 1], &x[set][q + 2], &x[set][q + 3]);
                for (int i = 0; i < VL; i++)
                    xor_16(destination + 64 * i + 4 * q, source + 64 * i + 4 * q,
                           (const uint8_t *)&x[set][q + i % 4] + 16 * (i / 4));
            }
            source += VL * CHACHA20_BLOCK_BYTES;
            destination += VL * CHACHA20_BLOCK_BYTES;
        }
        initial[12] += LANES;
        run->feed[1]->blocks += run->produced_blocks;
    }

    store_le32(run->counter_nonce, load_le32(run->counter_nonce) + (uint32_t)(run->groups * LANES));
    run->source = source;
    run->destination = destination;
    run->groups = 0;
    secure_zero(initial, sizeof initial);
}
