/* See the header.  The product of two numbers in limbs a0 + a1 2^44 + a2 2^88: 2^132 is 20 modulo 2^130 - 5,
 * and the upper half of a 52-bit multiplier has the weight 2^52, 2^8 above the next limb's. */
#include "crypto/poly1305_avx512.h"

#include <immintrin.h>
#include <stdbool.h>

#define INLINE    __attribute__((always_inline)) static inline
#define LIMB_BITS 44
#define LIMB_MASK ((1ll << 44) - 1)
#define TOP_BITS  42
#define TOP_MASK  ((1ll << 42) - 1)
#define BLOCK     16u
#define GROUP     (POLY1305_LANES * BLOCK)
/* 2^128 in the top limb: what RFC 8439 appends to each block. */
#define BLOCK_BIT (1ll << 40)

struct number {
    __m512i l0, l1, l2;
};

/* A factor: its limbs, and the upper two times 20. */
struct factor {
    __m512i r0, r1, r2, s1, s2;
};

INLINE __m512i all(long long value)
{
    return _mm512_set1_epi64(value);
}

INLINE __m512i times_20(__m512i x)
{
    return _mm512_slli_epi64(_mm512_add_epi64(x, _mm512_slli_epi64(x, 2)), 2);
}

INLINE struct factor factor_of(struct number n)
{
    return (struct factor){n.l0, n.l1, n.l2, times_20(n.l1), times_20(n.l2)};
}

INLINE struct number multiply(struct number a, struct factor f)
{
    const __m512i zero = _mm512_setzero_si512();
    __m512i d0 = _mm512_madd52lo_epu64(zero, a.l0, f.r0), e0 = _mm512_madd52hi_epu64(zero, a.l0, f.r0);
    __m512i d1 = _mm512_madd52lo_epu64(zero, a.l0, f.r1), e1 = _mm512_madd52hi_epu64(zero, a.l0, f.r1);
    __m512i d2 = _mm512_madd52lo_epu64(zero, a.l0, f.r2), e2 = _mm512_madd52hi_epu64(zero, a.l0, f.r2);
    d0 = _mm512_madd52lo_epu64(d0, a.l1, f.s2), e0 = _mm512_madd52hi_epu64(e0, a.l1, f.s2);
    d1 = _mm512_madd52lo_epu64(d1, a.l1, f.r0), e1 = _mm512_madd52hi_epu64(e1, a.l1, f.r0);
    d2 = _mm512_madd52lo_epu64(d2, a.l1, f.r1), e2 = _mm512_madd52hi_epu64(e2, a.l1, f.r1);
    d0 = _mm512_madd52lo_epu64(d0, a.l2, f.s1), e0 = _mm512_madd52hi_epu64(e0, a.l2, f.s1);
    d1 = _mm512_madd52lo_epu64(d1, a.l2, f.s2), e1 = _mm512_madd52hi_epu64(e1, a.l2, f.s2);
    d2 = _mm512_madd52lo_epu64(d2, a.l2, f.r0), e2 = _mm512_madd52hi_epu64(e2, a.l2, f.r0);

    __m512i carry = _mm512_add_epi64(_mm512_srli_epi64(d0, LIMB_BITS), _mm512_slli_epi64(e0, 52 - LIMB_BITS));
    d0 = _mm512_and_si512(d0, all(LIMB_MASK));
    d1 = _mm512_add_epi64(d1, carry);
    carry = _mm512_add_epi64(_mm512_srli_epi64(d1, LIMB_BITS), _mm512_slli_epi64(e1, 52 - LIMB_BITS));
    d1 = _mm512_and_si512(d1, all(LIMB_MASK));
    d2 = _mm512_add_epi64(d2, carry);
    carry = _mm512_add_epi64(_mm512_srli_epi64(d2, TOP_BITS), _mm512_slli_epi64(e2, 52 - TOP_BITS));
    d2 = _mm512_and_si512(d2, all(TOP_MASK));
    d0 = _mm512_add_epi64(d0, _mm512_add_epi64(carry, _mm512_slli_epi64(carry, 2)));
    d1 = _mm512_add_epi64(d1, _mm512_srli_epi64(d0, LIMB_BITS));
    d0 = _mm512_and_si512(d0, all(LIMB_MASK));
    return (struct number){d0, d1, d2};
}

INLINE struct number add(struct number a, struct number b)
{
    return (struct number){_mm512_add_epi64(a.l0, b.l0), _mm512_add_epi64(a.l1, b.l1),
                           _mm512_add_epi64(a.l2, b.l2)};
}

/* Limbs of eight 128-bit numbers, given as their halves. */
INLINE struct number split(__m512i low, __m512i high)
{
    __m512i middle =
        _mm512_or_si512(_mm512_srli_epi64(low, LIMB_BITS), _mm512_slli_epi64(high, 64 - LIMB_BITS));
    return (struct number){_mm512_and_si512(low, all(LIMB_MASK)), _mm512_and_si512(middle, all(LIMB_MASK)),
                           _mm512_srli_epi64(high, 2 * LIMB_BITS - 64)};
}

/* ---- blocks ---- */

/* Eight blocks come as two vectors of four; unpacking puts them into the lanes in this order. */
#define LANE_ORDER 0, 4, 1, 5, 2, 6, 3, 7

INLINE struct number blocks(__m512i first, __m512i second, __m512i bit)
{
    struct number n = split(_mm512_unpacklo_epi64(first, second), _mm512_unpackhi_epi64(first, second));
    n.l2 = _mm512_or_si512(n.l2, bit);
    return n;
}

INLINE struct number full_group(const uint8_t *data)
{
    return blocks(_mm512_loadu_si512(data), _mm512_loadu_si512(data + 64), all(BLOCK_BIT));
}

/* Bits first..end-1, both 0 to 64. */
INLINE uint64_t bits(size_t first, size_t end)
{
    return _bzhi_u64(~UINT64_C(0), (unsigned)end) & ~_bzhi_u64(~UINT64_C(0), (unsigned)first);
}

INLINE size_t at_most_64(size_t value)
{
    return value < 64 ? value : 64;
}

INLINE size_t less_64(size_t value)
{
    return value > 64 ? value - 64 : 0;
}

/* A group of which only the last `count` blocks are there, the others are zero: the `bytes` bytes at `data`,
 * padded; with `lengths`, the last of the blocks is that of the lengths. */
INLINE void load_partial(const uint8_t *data, size_t bytes, size_t count, const size_t *lengths,
                         __m512i *first, __m512i *second)
{
    size_t begin = (POLY1305_LANES - count) * BLOCK, end = begin + bytes;
    /* Masked loads do not touch what is in front of the data. */
    uintptr_t origin = (uintptr_t)data - begin;
    *first = _mm512_maskz_loadu_epi8(bits(at_most_64(begin), at_most_64(end)), (const void *)origin);
    *second = _mm512_maskz_loadu_epi8(bits(less_64(begin), less_64(end)), (const void *)(origin + 64));
    if (lengths)
        *second = _mm512_mask_set1_epi64(*second, 0x80, (long long)*lengths);
}

INLINE struct number partial_group(const uint8_t *data, size_t bytes, size_t count, const size_t *lengths)
{
    static const uint64_t block_number[8] = {LANE_ORDER};
    __m512i first, second;
    load_partial(data, bytes, count, lengths, &first, &second);
    __mmask8 there =
        _mm512_cmpge_epu64_mask(_mm512_loadu_si512(block_number), all((long long)(POLY1305_LANES - count)));
    return blocks(first, second, _mm512_maskz_set1_epi64(there, BLOCK_BIT));
}

/* ---- one message ---- */

struct absorbing {
    const uint8_t *data;
    size_t groups; /* full ones and the last, which are still to come */
    size_t rest;   /* bytes of the last group */
    struct number sum;
};

INLINE struct number lanes_load(const struct poly1305_lanes *lanes)
{
    return (struct number){_mm512_load_si512(lanes->limb[0]), _mm512_load_si512(lanes->limb[1]),
                           _mm512_load_si512(lanes->limb[2])};
}

INLINE void lanes_store(struct poly1305_lanes *lanes, struct number n)
{
    _mm512_store_si512(lanes->limb[0], n.l0);
    _mm512_store_si512(lanes->limb[1], n.l1);
    _mm512_store_si512(lanes->limb[2], n.l2);
}

/* r^8, which stands in lane 0, in all lanes. */
INLINE struct factor step_factor(const struct poly1305_message *message)
{
    const struct poly1305_lanes *powers = &message->work;
    return factor_of((struct number){all((long long)powers->limb[0][0]), all((long long)powers->limb[1][0]),
                                     all((long long)powers->limb[2][0])});
}

/* With that of the lengths. */
INLINE size_t blocks_of(const struct poly1305_message *message)
{
    return (message->length + BLOCK - 1) / BLOCK + 1;
}

INLINE struct absorbing begin(const struct poly1305_message *message)
{
    size_t total = blocks_of(message);
    size_t groups = (total + POLY1305_LANES - 1) / POLY1305_LANES,
           first = total - (groups - 1) * POLY1305_LANES;
    struct absorbing a = {.data = message->data, .groups = groups - 1};
    if (groups == 1) {
        a.sum = partial_group(message->data, message->length, total, &message->length);
    } else {
        a.sum = partial_group(message->data, first * BLOCK, first, NULL);
        a.data += first * BLOCK;
        a.rest = message->length - first * BLOCK - (groups - 2) * GROUP;
    }
    return a;
}

INLINE void full_step(struct absorbing *a, const struct factor *step)
{
    a->sum = add(multiply(a->sum, *step), full_group(a->data));
    a->data += GROUP;
}

INLINE void last_step(struct absorbing *a, const struct factor *step, const struct poly1305_message *message)
{
    if (a->groups > 0)
        a->sum =
            add(multiply(a->sum, *step), partial_group(a->data, a->rest, POLY1305_LANES, &message->length));
}

INLINE void finish(const struct absorbing *a, struct poly1305_message *message)
{
    lanes_store(&message->work, multiply(a->sum, factor_of(lanes_load(&message->work))));
}

static void one_message(struct poly1305_message *message)
{
    struct absorbing a = begin(message);
    struct factor step = step_factor(message);
    for (size_t i = 1; i < a.groups; i++)
        full_step(&a, &step);
    last_step(&a, &step, message);
    finish(&a, message);
}

/* Two at a time: while one waits for its carries, the other multiplies. */
static void two_messages(struct poly1305_message *first, struct poly1305_message *second)
{
    struct absorbing a = begin(first), b = begin(second);
    struct factor step_a = step_factor(first), step_b = step_factor(second);
    size_t both = a.groups < b.groups ? a.groups : b.groups;
    for (size_t i = 1; i < both; i++) {
        full_step(&a, &step_a);
        full_step(&b, &step_b);
    }
    for (size_t i = both ? both : 1; i < a.groups; i++)
        full_step(&a, &step_a);
    for (size_t i = both ? both : 1; i < b.groups; i++)
        full_step(&b, &step_b);
    last_step(&a, &step_a, first);
    last_step(&b, &step_b, second);
    finish(&a, first);
    finish(&b, second);
}

/* ---- eight messages, one a lane ---- */

INLINE void transpose(__m512i row[8])
{
    __m512i a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm512_unpacklo_epi64(row[i], row[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi64(row[i], row[i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        b[i] = _mm512_shuffle_i64x2(a[i], a[i + 2], 0x88);
        b[i + 2] = _mm512_shuffle_i64x2(a[i], a[i + 2], 0xdd);
        b[i + 4] = _mm512_shuffle_i64x2(a[i + 4], a[i + 6], 0x88);
        b[i + 6] = _mm512_shuffle_i64x2(a[i + 4], a[i + 6], 0xdd);
    }
    for (int i = 0; i < 2; i++) {
        row[i] = _mm512_shuffle_i64x2(b[i], b[i + 4], 0x88);
        row[i + 4] = _mm512_shuffle_i64x2(b[i], b[i + 4], 0xdd);
        row[i + 2] = _mm512_shuffle_i64x2(b[i + 2], b[i + 6], 0x88);
        row[i + 6] = _mm512_shuffle_i64x2(b[i + 2], b[i + 6], 0xdd);
    }
}

/* 64 bits at `offset` of each message's key. */
INLINE __m512i gather_key(const struct poly1305_message *const m[8], size_t offset)
{
    uint64_t words[8];
    for (int i = 0; i < 8; i++)
        __builtin_memcpy(&words[i], m[i]->key + offset, 8);
    return _mm512_set_epi64((long long)words[7], (long long)words[6], (long long)words[5],
                            (long long)words[4], (long long)words[3], (long long)words[2],
                            (long long)words[1], (long long)words[0]);
}

INLINE struct number eight_keys(struct poly1305_message *const m[8])
{
    return split(_mm512_and_si512(gather_key((const void *)m, 0), all(0x0ffffffc0fffffff)),
                 _mm512_and_si512(gather_key((const void *)m, 8), all(0x0ffffffc0ffffffc)));
}

/* Each message's powers of r, in the order of the lanes: the block in front is multiplied most often. */
static void eight_powers(struct poly1305_message *const m[8])
{
    struct number r = eight_keys(m);
    struct factor f1 = factor_of(r);
    struct number r2 = multiply(r, f1);
    struct factor f2 = factor_of(r2);
    struct number r3 = multiply(r2, f1), r4 = multiply(r2, f2);
    struct factor f4 = factor_of(r4);
    struct number r5 = multiply(r, f4), r6 = multiply(r2, f4), r7 = multiply(r3, f4), r8 = multiply(r4, f4);
    __m512i limb0[8] = {r8.l0, r4.l0, r7.l0, r3.l0, r6.l0, r2.l0, r5.l0, r.l0};
    __m512i limb1[8] = {r8.l1, r4.l1, r7.l1, r3.l1, r6.l1, r2.l1, r5.l1, r.l1};
    __m512i limb2[8] = {r8.l2, r4.l2, r7.l2, r3.l2, r6.l2, r2.l2, r5.l2, r.l2};
    transpose(limb0);
    transpose(limb1);
    transpose(limb2);
    for (int i = 0; i < 8; i++)
        lanes_store(&m[i]->work, (struct number){limb0[i], limb1[i], limb2[i]});
}

/* One limb of each message's sum over its lanes. */
INLINE __m512i lane_sums(struct poly1305_message *const m[8], int limb)
{
    __m512i row[8];
    for (int i = 0; i < 8; i++)
        row[i] = _mm512_load_si512(m[i]->work.limb[limb]);
    transpose(row);
    for (int half = 4; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            row[i] = _mm512_add_epi64(row[i], row[i + half]);
    return row[0];
}

INLINE struct number carried(struct number n)
{
    n.l1 = _mm512_add_epi64(n.l1, _mm512_srli_epi64(n.l0, LIMB_BITS));
    n.l0 = _mm512_and_si512(n.l0, all(LIMB_MASK));
    n.l2 = _mm512_add_epi64(n.l2, _mm512_srli_epi64(n.l1, LIMB_BITS));
    n.l1 = _mm512_and_si512(n.l1, all(LIMB_MASK));
    __m512i carry = _mm512_srli_epi64(n.l2, TOP_BITS);
    n.l2 = _mm512_and_si512(n.l2, all(TOP_MASK));
    n.l0 = _mm512_add_epi64(n.l0, _mm512_add_epi64(carry, _mm512_slli_epi64(carry, 2)));
    return n;
}

INLINE void eight_tags(struct poly1305_message *const m[8], struct number h)
{
    h = carried(carried(carried(h)));
    /* h, or h - (2^130 - 5) when that is not negative. */
    struct number g = h;
    g.l0 = _mm512_add_epi64(g.l0, all(5));
    g.l1 = _mm512_add_epi64(g.l1, _mm512_srli_epi64(g.l0, LIMB_BITS));
    g.l0 = _mm512_and_si512(g.l0, all(LIMB_MASK));
    g.l2 = _mm512_add_epi64(g.l2, _mm512_srli_epi64(g.l1, LIMB_BITS));
    g.l1 = _mm512_and_si512(g.l1, all(LIMB_MASK));
    g.l2 = _mm512_sub_epi64(g.l2, all(1ll << TOP_BITS));
    __mmask8 negative = _mm512_movepi64_mask(g.l2);
    h.l0 = _mm512_mask_mov_epi64(g.l0, negative, h.l0);
    h.l1 = _mm512_mask_mov_epi64(g.l1, negative, h.l1);
    h.l2 = _mm512_mask_mov_epi64(g.l2, negative, h.l2);

    __m512i low = _mm512_or_si512(h.l0, _mm512_slli_epi64(h.l1, LIMB_BITS));
    __m512i high =
        _mm512_or_si512(_mm512_srli_epi64(h.l1, 64 - LIMB_BITS), _mm512_slli_epi64(h.l2, 2 * LIMB_BITS - 64));
    __m512i s_low = gather_key((const void *)m, 16), s_high = gather_key((const void *)m, 24);
    low = _mm512_add_epi64(low, s_low);
    high = _mm512_add_epi64(high, s_high);
    high = _mm512_mask_add_epi64(high, _mm512_cmplt_epu64_mask(low, s_low), high, all(1));

    _Alignas(64) uint64_t lows[8], highs[8];
    _mm512_store_si512(lows, low);
    _mm512_store_si512(highs, high);
    for (int i = 0; i < 8; i++) {
        m[i]->tag[0] = lows[i];
        m[i]->tag[1] = highs[i];
    }
}

/* Short messages need no powers: lane by lane, block by block. */
struct eight_short {
    __m512i missing; /* blocks, of each message */
    size_t most;     /* blocks that one of them has */
    struct factor r;
    struct number h;
};

/* The vectors of `words[first]` to `words[first + 3]`, two each. */
INLINE void transpose_words(struct poly1305_lanes *const words[8], size_t first)
{
    __m512i row[8];
    for (size_t i = 0; i < 8; i++)
        row[i] = _mm512_load_si512(words[first + i / 2]->limb[i % 2]);
    transpose(row);
    for (size_t i = 0; i < 8; i++)
        _mm512_store_si512(words[first + i / 2]->limb[i % 2], row[i]);
}

/* `words[i]` gets block i of a group, in two limbs of 64 bits. */
INLINE void short_begin(struct eight_short *e, struct poly1305_message *const m[8],
                        struct poly1305_lanes *const words[8])
{
    uint64_t missing[POLY1305_LANES];
    e->most = 0;
    for (size_t i = 0; i < 8; i++) {
        size_t count = blocks_of(m[i]);
        __m512i first, second; /* the first four blocks of the group, the others */
        load_partial(m[i]->data, m[i]->length, count, &m[i]->length, &first, &second);
        _mm512_store_si512(words[i / 2]->limb[i % 2], first);
        _mm512_store_si512(words[4 + i / 2]->limb[i % 2], second);
        missing[i] = POLY1305_LANES - count;
        e->most = count > e->most ? count : e->most;
    }
    if (e->most > POLY1305_LANES / 2)
        transpose_words(words, 0);
    transpose_words(words, 4);
    e->r = factor_of(eight_keys(m));
    e->missing = _mm512_loadu_si512(missing);
    e->h = (struct number){_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
}

INLINE void short_step(struct eight_short *e, const struct poly1305_lanes *words, size_t i)
{
    __mmask8 there = _mm512_cmple_epu64_mask(e->missing, all((long long)i));
    struct number block = split(_mm512_load_si512(words->limb[0]), _mm512_load_si512(words->limb[1]));
    block.l2 = _mm512_or_si512(block.l2, _mm512_maskz_set1_epi64(there, BLOCK_BIT));
    e->h = multiply(add(e->h, block), e->r);
}

__attribute__((noinline)) static void eight_short(struct poly1305_message *const m[8])
{
    struct eight_short e;
    struct poly1305_lanes words[POLY1305_LANES],
        *word[POLY1305_LANES]; /* a message may stand in several lanes */
    for (size_t i = 0; i < POLY1305_LANES; i++)
        word[i] = &words[i];
    short_begin(&e, m, word);
    for (size_t i = POLY1305_LANES - e.most; i < POLY1305_LANES; i++)
        short_step(&e, &words[i], i);
    eight_tags(m, e.h);
}

/* Twice eight different ones: while one eight waits for its carries, the other multiplies. */
__attribute__((noinline)) static void sixteen_short(struct poly1305_message messages[2 * POLY1305_LANES])
{
    struct eight_short e[2];
    struct poly1305_message *m[2 * POLY1305_LANES];
    struct poly1305_lanes *words[2 * POLY1305_LANES];
    for (size_t i = 0; i < 2 * POLY1305_LANES; i++) {
        m[i] = &messages[i];
        words[i] = &messages[i].work;
    }
    short_begin(&e[0], m, words);
    short_begin(&e[1], m + POLY1305_LANES, words + POLY1305_LANES);
    size_t begin[2] = {POLY1305_LANES - e[0].most, POLY1305_LANES - e[1].most};
    size_t both = begin[0] > begin[1] ? begin[0] : begin[1];
    for (size_t k = 0; k < 2; k++)
        for (size_t i = begin[k]; i < both; i++)
            short_step(&e[k], &messages[k * POLY1305_LANES + i].work, i);
    for (size_t i = both; i < POLY1305_LANES; i++) {
        short_step(&e[0], &messages[i].work, i);
        short_step(&e[1], &messages[POLY1305_LANES + i].work, i);
    }
    eight_tags(m, e[0].h);
    eight_tags(m + POLY1305_LANES, e[1].h);
}

__attribute__((noinline)) static void eight_long(struct poly1305_message *const m[8], size_t count)
{
    size_t i = 0;
    eight_powers(m);
    for (; i + 2 <= count; i += 2)
        two_messages(m[i], m[i + 1]);
    if (i < count)
        one_message(m[i]);
    struct number h = {lane_sums(m, 0), lane_sums(m, 1), lane_sums(m, 2)};
    eight_tags(m, h);
}

static bool all_short(const struct poly1305_message *messages, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (blocks_of(&messages[i]) > POLY1305_LANES)
            return false;
    return true;
}

void poly1305_avx512(struct poly1305_message *messages, size_t count)
{
    for (size_t here; count > 0; messages += here, count -= here) {
        struct poly1305_message *m[POLY1305_LANES];
        here = 2 * POLY1305_LANES;
        if (count >= here && all_short(messages, here)) {
            sixteen_short(messages);
            continue;
        }
        here = count < POLY1305_LANES ? count : POLY1305_LANES;
        /* Lanes without a message of their own repeat the first one. */
        for (size_t i = 0; i < POLY1305_LANES; i++)
            m[i] = &messages[i < here ? i : 0];
        if (all_short(messages, here))
            eight_short(m);
        else
            eight_long(m, here);
    }
}
