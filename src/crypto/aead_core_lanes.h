/* A ChaCha20 core in clang's vector extensions, with scalar Poly1305 blocks between the rounds: the vector
 * units and the multiplier work at the same time.  Included once by each aead_core_*.c, which is compiled for
 * its instruction set and defines AEAD_VECTOR_LANES, the 32-bit words in a vector, and AEAD_VECTOR_SETS, how
 * many states of such vectors are worked on in turn: the rounds of one state are a chain of dependent
 * operations, two chains fill the vector units. */
#include "crypto/aead_core.h"
#include "crypto/chacha20.h"

#define VL          AEAD_VECTOR_LANES
#define SETS        AEAD_VECTOR_SETS
#define LANES       (VL * SETS)
#define GROUP_BYTES (LANES * CHACHA20_BLOCK_BYTES)
/* Poly1305 blocks absorbed in a double round: from one message, a chain of dependent multiplications, or from
 * each of two.  A group produces LANES * 4 / 10 for each double round. */
#define POLY_OF_ONE   (LANES / 2)
#define POLY_OF_EACH  (LANES / 4)
#define DOUBLE_ROUNDS 10

/* Eight lanes are as fast as one chain of Poly1305 is slow: two messages at a time keep up, and pooled
 * keystream is worth weaving, too.  Four lanes take longer than one chain. */
#define WEAVE_TWO (VL == 8)
/* Quarter rounds side by side; more, and their temporaries do not fit into 16 registers. */
#define SIDE_BY_SIDE (VL == 8 ? 1 : 2)

typedef uint32_t words __attribute__((vector_size(4 * VL)));
typedef uint8_t bytes __attribute__((vector_size(4 * VL)));
typedef uint64_t doubles __attribute__((vector_size(4 * VL)));

#define INLINE __attribute__((always_inline)) static inline
/* For every loop over parts of the state: a state indexed at run time would live in memory. */
#define UNROLLED _Pragma("clang loop unroll(full)")
/* Keeps an array of vectors in memory.  As a side effect the compiler knows early that the frame needs their
 * alignment; where it finds that out by running out of registers, it leaves what it spills unaligned. */
#define IN_MEMORY(array) __asm__("" : "+m"(array))

#if AEAD_VECTOR_LANES == 4
#define INTERLEAVE_LOW_32(a, b)  __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define INTERLEAVE_HIGH_32(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define INTERLEAVE_LOW_64(a, b)  ((words)__builtin_shufflevector((doubles)(a), (doubles)(b), 0, 2))
#define INTERLEAVE_HIGH_64(a, b) ((words)__builtin_shufflevector((doubles)(a), (doubles)(b), 1, 3))
#define LANE_NUMBERS             {0, 1, 2, 3}
#elif AEAD_VECTOR_LANES == 8
#define INTERLEAVE_LOW_32(a, b)  __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define INTERLEAVE_HIGH_32(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define INTERLEAVE_LOW_64(a, b)  ((words)__builtin_shufflevector((doubles)(a), (doubles)(b), 0, 4, 2, 6))
#define INTERLEAVE_HIGH_64(a, b) ((words)__builtin_shufflevector((doubles)(a), (doubles)(b), 1, 5, 3, 7))
#define LANE_NUMBERS             {0, 1, 2, 3, 4, 5, 6, 7}
#else
#error "no shuffles for this number of lanes"
#endif

INLINE words rotate(words value, int bits)
{
    return value << bits | value >> (32 - bits);
}

/* Rotations by whole bytes are one byte shuffle where there is one. */
#if AEAD_VECTOR_LANES == 8
/* Written as an instruction, because clang 19 moves shuffles that it understands across exclusive ors and
 * makes two of one. */
#define ORDER_16 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13
#define ORDER_8  3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14
static const bytes order_16 = {ORDER_16, ORDER_16}, order_8 = {ORDER_8, ORDER_8};

INLINE words rotate_16(words value)
{
    __asm__("vpshufb %1, %0, %0" : "+x"(value) : "m"(order_16));
    return value;
}

INLINE words rotate_8(words value)
{
    __asm__("vpshufb %1, %0, %0" : "+x"(value) : "m"(order_8));
    return value;
}
#else
INLINE words rotate_16(words value)
{
    typedef uint16_t halves __attribute__((vector_size(4 * VL)));
    const halves h = (halves)value;
    return (words)__builtin_shufflevector(h, h, 1, 0, 3, 2, 5, 4, 7, 6);
}

INLINE words rotate_8(words value)
{
#if defined(__SSSE3__) || defined(__ARM_NEON)
    const bytes b = (bytes)value;
    return (words)__builtin_shufflevector(b, b, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
#else
    return rotate(value, 8);
#endif
}
#endif

/* Half a double round of one state: quarter rounds of its four columns, `SIDE_BY_SIDE` at a time; the rows
 * are x[0], x[4], ... rotated by b, c and d columns. */
INLINE void quarter_rounds(words x[16], int b, int c, int d)
{
#define A    x[i]
#define B    x[4 + (i + b) % 4]
#define C    x[8 + (i + c) % 4]
#define D    x[12 + (i + d) % 4]
#define EACH UNROLLED for (int i = first; i < first + SIDE_BY_SIDE; i++)
    UNROLLED for (int first = 0; first < 4; first += SIDE_BY_SIDE)
    {
        EACH A += B;
        EACH D = rotate_16(D ^ A);
        EACH C += D;
        EACH B = rotate(B ^ C, 12);
        EACH A += B;
        EACH D = rotate_8(D ^ A);
        EACH C += D;
        EACH B = rotate(B ^ C, 7);
    }
#undef A
#undef B
#undef C
#undef D
#undef EACH
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

INLINE void plain_rounds(words x[][16], size_t count, int sets)
{
#pragma clang loop unroll(disable)
    for (size_t i = 0; i < count; i++) {
        UNROLLED for (int set = 0; set < sets; set++) quarter_rounds(x[set], 0, 0, 0);
        UNROLLED for (int set = 0; set < sets; set++) quarter_rounds(x[set], 1, 2, 3);
    }
}

/* Poly1305 of one message in registers. */
struct absorber {
    uint64_t h0, h1, h2, r0, r1, s1;
    const uint8_t *data;
};

INLINE struct absorber absorber_load(const struct aead_feed *feed)
{
    const struct poly1305_state *poly = feed->poly;
    return (struct absorber){poly->h0,  poly->h1, poly->h2, poly->r0, poly->r1, poly->r1 + (poly->r1 >> 2),
                             feed->data};
}

INLINE void absorber_store(const struct absorber *absorber, struct aead_feed *feed)
{
    feed->poly->h0 = absorber->h0;
    feed->poly->h1 = absorber->h1;
    feed->poly->h2 = absorber->h2;
    feed->blocks -= (size_t)(absorber->data - feed->data) / POLY1305_BLOCK_BYTES;
    feed->data = absorber->data;
}

INLINE void absorb(struct absorber *a, int block)
{
    poly1305_step(&a->h0, &a->h1, &a->h2, a->r0, a->r1, a->s1, a->data + POLY1305_BLOCK_BYTES * block);
}

/* Half a double round of all states, each followed by its share of the half's Poly1305 blocks: `of_one` of
 * the first message, `of_both` of either. */
INLINE void half_round(words x[SETS][16], int b, int c, int d, struct absorber absorbers[2], int of_one,
                       int of_both)
{
    UNROLLED for (int set = 0; set < SETS; set++)
    {
        quarter_rounds(x[set], b, c, d);
        UNROLLED for (int k = set * of_one / 2 / SETS; k < (set + 1) * of_one / 2 / SETS; k++)
            absorb(&absorbers[0], k);
        UNROLLED for (int k = set * of_both / 2 / SETS; k < (set + 1) * of_both / 2 / SETS; k++)
        {
            absorb(&absorbers[0], k);
            absorb(&absorbers[1], k);
        }
    }
    if (of_one + of_both > 0)
        absorbers[0].data += POLY1305_BLOCK_BYTES * (of_one + of_both) / 2;
    if (of_both > 0)
        absorbers[1].data += POLY1305_BLOCK_BYTES * of_both / 2;
}

INLINE void double_rounds(words x[SETS][16], size_t count, struct absorber absorbers[2], int of_one,
                          int of_both)
{
#pragma clang loop unroll(disable)
    for (size_t i = 0; i < count; i++) {
        half_round(x, 0, 0, 0, absorbers, of_one, of_both);
        half_round(x, 1, 2, 3, absorbers, of_one, of_both);
    }
}

INLINE size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* As many double rounds as there is input for, `limit` at most, each absorbing POLY_OF_EACH blocks of two
 * messages.  Returns how many it was. */
INLINE size_t rounds_with_two(words x[SETS][16], struct aead_feed *const feeds[AEAD_FEEDS], size_t limit)
{
    struct aead_feed *first = NULL, *second = NULL;
    for (int i = 0; i < AEAD_FEEDS && second == NULL; i++)
        if (feeds[i]->blocks >= POLY_OF_EACH) {
            second = first != NULL ? feeds[i] : NULL;
            first = first != NULL ? first : feeds[i];
        }
    if (second == NULL)
        return 0;
    size_t rounds = smaller(limit, smaller(first->blocks, second->blocks) / POLY_OF_EACH);
    struct absorber absorbers[2] = {absorber_load(first), absorber_load(second)};
    double_rounds(x, rounds, absorbers, 0, POLY_OF_EACH);
    absorber_store(&absorbers[0], first);
    absorber_store(&absorbers[1], second);
    return rounds;
}

/* The same with POLY_OF_ONE blocks of one message. */
INLINE size_t rounds_with_one(words x[SETS][16], struct aead_feed *feed, size_t limit)
{
    size_t rounds = smaller(limit, feed->blocks / POLY_OF_ONE);
    if (rounds == 0)
        return 0;
    struct absorber absorbers[2] = {absorber_load(feed), {0}};
    double_rounds(x, rounds, absorbers, POLY_OF_ONE, 0);
    absorber_store(&absorbers[0], feed);
    return rounds;
}

/* ChaCha20's 20 rounds of all states. */
INLINE void woven_rounds(words x[SETS][16], struct aead_feed *const feeds[AEAD_FEEDS])
{
    size_t left = DOUBLE_ROUNDS;
    if (WEAVE_TWO)
        left -= rounds_with_two(x, feeds, left);
#pragma clang loop unroll(disable)
    for (int i = 0; i < AEAD_FEEDS; i++)
        left -= rounds_with_one(x, feeds[i], left);
    plain_rounds(x, left, SETS);
}

INLINE void initial_of_lanes(words initial[16], const struct aead_lane *lanes)
{
    const uint8_t *rows[VL];
    constants(initial);
    for (int i = 0; i < VL; i++)
        rows[i] = lanes[i].key;
    gather_row(initial, 4, rows);
    for (int i = 0; i < VL; i++)
        rows[i] = lanes[i].key + 16;
    gather_row(initial, 8, rows);
    for (int i = 0; i < VL; i++)
        rows[i] = lanes[i].counter_nonce;
    gather_row(initial, 12, rows);
}

INLINE void output_of_lanes(words x[16], const words initial[16], const struct aead_lane *lanes)
{
    UNROLLED for (int q = 0; q < 16; q += 4)
    {
        for (int i = q; i < q + 4; i++)
            x[i] += initial[i];
        transpose(&x[q], &x[q + 1], &x[q + 2], &x[q + 3]);
        for (int i = 0; i < VL; i++)
            __builtin_memcpy(lanes[i].out + 4 * q, (const uint8_t *)&x[q + i % 4] + 16 * (i / 4), 16);
    }
}

static void core_keystream(const struct aead_lane *lanes, struct aead_feed *const feeds[AEAD_FEEDS])
{
    words initial[SETS][16], x[SETS][16];
    UNROLLED for (int set = 0; set < SETS; set++)
    {
        initial_of_lanes(initial[set], lanes + VL * set);
        for (int i = 0; i < 16; i++)
            x[set][i] = initial[set][i];
    }
    IN_MEMORY(initial);
    if (WEAVE_TWO)
        woven_rounds(x, feeds);
    else
        plain_rounds(x, DOUBLE_ROUNDS, SETS);
    UNROLLED for (int set = 0; set < SETS; set++) output_of_lanes(x[set], initial[set], lanes + VL * set);
}

static void core_keystream_few(const struct aead_lane *lanes)
{
    words initial[16], x[16];
    initial_of_lanes(initial, lanes);
    for (int i = 0; i < 16; i++)
        x[i] = initial[i];
    IN_MEMORY(initial);
    plain_rounds(&x, DOUBLE_ROUNDS, 1);
    output_of_lanes(x, initial, lanes);
}

INLINE void xor_16(uint8_t *destination, const uint8_t *source, const uint8_t *keystream)
{
    typedef uint64_t row __attribute__((vector_size(16), aligned(1), may_alias));
    *(row *)destination = *(const row *)source ^ *(const row *)keystream;
}

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
    IN_MEMORY(initial);

    for (size_t group = 0; group < run->groups; group++) {
        UNROLLED for (int set = 0; set < SETS; set++)
        {
            for (int i = 0; i < 16; i++)
                x[set][i] = initial[i];
            x[set][12] += VL * (uint32_t)set;
        }
        woven_rounds(x, run->feeds);
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
        run->feeds[AEAD_FEEDS - 1]->blocks += run->produced_blocks;
    }

    store_le32(run->counter_nonce, load_le32(run->counter_nonce) + (uint32_t)(run->groups * LANES));
    run->source = source;
    run->destination = destination;
    run->groups = 0;
}
