/* Eight X25519 at once: the Montgomery ladder of x25519.c with a 64-bit lane for each, in AVX-512 registers,
 * on the 52-bit multiply-add of IFMA (Intel, "Intrinsics Guide": vpmadd52luq, vpmadd52huq).  Entered only
 * where the caller saved the extended state.
 *
 * A field element has five limbs of 51 bits, as fiat-crypto's.  Bounds: "tight" limbs are below 2^51 + 2^15;
 * every function here takes tight elements and returns tight ones, so each factor of a product is below 2^52,
 * which is what the instructions read.
 *
 * Everything is constant time: no branch and no address depends on a secret, swaps are masked blends.  Lanes
 * do not influence each other; lanes without a job work on the last job's input once more. */
#include "crypto/x25519_batch.h"

#ifdef __x86_64__

#include "crypto/field25519.h"
#include "crypto/secure_memory.h"

#include <immintrin.h>

/* Here rather than as a flag of the file: nothing else that is included may use these registers. */
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx512ifma"))),                \
                             apply_to = function)

#define LANES     X25519_LANES
#define LIMB_BITS 51
#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)

typedef struct x25519_wide_field wide;

static inline __m512i each(uint64_t value)
{
    return _mm512_set1_epi64((long long)value);
}

static inline __m512i get(const wide *f, int limb)
{
    return _mm512_load_si512(f->limb[limb]);
}

static inline void put(wide *f, int limb, __m512i value)
{
    _mm512_store_si512(f->limb[limb], value);
}

static inline __m512i multiply_low(__m512i sum, __m512i a, __m512i b)
{
    return _mm512_madd52lo_epu64(sum, a, b);
}

static inline __m512i multiply_high(__m512i sum, __m512i a, __m512i b)
{
    return _mm512_madd52hi_epu64(sum, a, b);
}

/* Limbs below 2^61 become tight: each keeps 51 bits and gives the rest, below 2^10, to the next one; what
 * leaves the top is worth 19 times as much at the bottom (2^255 = 19 mod p). */
static inline __attribute__((always_inline)) void carry(wide *out, __m512i r0, __m512i r1, __m512i r2,
                                                        __m512i r3, __m512i r4)
{
    const __m512i mask = each(LIMB_MASK);
    __m512i c4 = _mm512_srli_epi64(r4, LIMB_BITS);
    put(out, 1, _mm512_add_epi64(_mm512_and_si512(r1, mask), _mm512_srli_epi64(r0, LIMB_BITS)));
    put(out, 2, _mm512_add_epi64(_mm512_and_si512(r2, mask), _mm512_srli_epi64(r1, LIMB_BITS)));
    put(out, 3, _mm512_add_epi64(_mm512_and_si512(r3, mask), _mm512_srli_epi64(r2, LIMB_BITS)));
    put(out, 4, _mm512_add_epi64(_mm512_and_si512(r4, mask), _mm512_srli_epi64(r3, LIMB_BITS)));
    put(out, 0, multiply_low(_mm512_and_si512(r0, mask), c4, each(19)));
}

static inline __attribute__((always_inline)) void add(wide *out, const wide *a, const wide *b)
{
    carry(out, _mm512_add_epi64(get(a, 0), get(b, 0)), _mm512_add_epi64(get(a, 1), get(b, 1)),
          _mm512_add_epi64(get(a, 2), get(b, 2)), _mm512_add_epi64(get(a, 3), get(b, 3)),
          _mm512_add_epi64(get(a, 4), get(b, 4)));
}

/* a + 2p - b: limbs of 2p are above every tight limb. */
static inline __attribute__((always_inline)) void subtract(wide *out, const wide *a, const wide *b)
{
    const __m512i p0 = each(2 * (LIMB_MASK - 18)), p = each(2 * LIMB_MASK);
    carry(out, _mm512_sub_epi64(_mm512_add_epi64(get(a, 0), p0), get(b, 0)),
          _mm512_sub_epi64(_mm512_add_epi64(get(a, 1), p), get(b, 1)),
          _mm512_sub_epi64(_mm512_add_epi64(get(a, 2), p), get(b, 2)),
          _mm512_sub_epi64(_mm512_add_epi64(get(a, 3), p), get(b, 3)),
          _mm512_sub_epi64(_mm512_add_epi64(get(a, 4), p), get(b, 4)));
}

/* low[k] + 2^52 high[k], both of weight 2^51k, k up to 8, to limbs: the high half counts twice in the next
 * column.  Columns are below 5 * 2^52 + 10 * 2^52 < 2^56, folded ones below 20 * 2^56 < 2^61. */
static inline __attribute__((always_inline)) void fold(wide *out, const __m512i low[9], const __m512i high[9])
{
    const __m512i nineteen = each(19);
    __m512i column[10];
    column[0] = low[0];
    for (int k = 1; k < 9; k++)
        column[k] = _mm512_add_epi64(low[k], _mm512_add_epi64(high[k - 1], high[k - 1]));
    column[9] = _mm512_add_epi64(high[8], high[8]);
    for (int k = 0; k < 5; k++)
        column[k] = _mm512_add_epi64(column[k], _mm512_mullo_epi64(column[k + 5], nineteen));
    carry(out, column[0], column[1], column[2], column[3], column[4]);
}

static inline __attribute__((always_inline)) void multiply(wide *out, const wide *a, const wide *b)
{
    __m512i low[9], high[9];
    for (int k = 0; k < 9; k++)
        low[k] = high[k] = _mm512_setzero_si512();
#pragma clang loop unroll(full)
    for (int i = 0; i < 5; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < 5; j++) {
            low[i + j] = multiply_low(low[i + j], get(a, i), get(b, j));
            high[i + j] = multiply_high(high[i + j], get(a, i), get(b, j));
        }
    fold(out, low, high);
}

/* Products of different limbs are made once and doubled as sums: a doubled limb would have 53 bits. */
static inline __attribute__((always_inline)) void square(wide *out, const wide *a)
{
    __m512i low[9], high[9];
    for (int k = 0; k < 9; k++)
        low[k] = high[k] = _mm512_setzero_si512();
#pragma clang loop unroll(full)
    for (int i = 0; i < 5; i++)
#pragma clang loop unroll(full)
        for (int j = i + 1; j < 5; j++) {
            low[i + j] = multiply_low(low[i + j], get(a, i), get(a, j));
            high[i + j] = multiply_high(high[i + j], get(a, i), get(a, j));
        }
    for (int k = 1; k < 8; k++) {
        low[k] = _mm512_add_epi64(low[k], low[k]);
        high[k] = _mm512_add_epi64(high[k], high[k]);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 5; i++) {
        low[2 * i] = multiply_low(low[2 * i], get(a, i), get(a, i));
        high[2 * i] = multiply_high(high[2 * i], get(a, i), get(a, i));
    }
    fold(out, low, high);
}

/* a + 121666 b */
static inline __attribute__((always_inline)) void add_121666(wide *out, const wide *a, const wide *b)
{
    const __m512i factor = each(121666);
    __m512i low[5], high[5];
    for (int i = 0; i < 5; i++) {
        low[i] = multiply_low(get(a, i), get(b, i), factor);
        high[i] = multiply_high(_mm512_setzero_si512(), get(b, i), factor);
        high[i] = _mm512_add_epi64(high[i], high[i]); /* below 2^18 */
    }
    carry(out, multiply_low(low[0], high[4], each(19)), _mm512_add_epi64(low[1], high[0]),
          _mm512_add_epi64(low[2], high[1]), _mm512_add_epi64(low[3], high[2]),
          _mm512_add_epi64(low[4], high[3]));
}

static inline void swap_if(__mmask8 swap, wide *a, wide *b)
{
    for (int i = 0; i < 5; i++) {
        __m512i left = get(a, i), right = get(b, i);
        put(a, i, _mm512_mask_blend_epi64(swap, left, right));
        put(b, i, _mm512_mask_blend_epi64(swap, right, left));
    }
}

/* One step of RFC 7748, section 5, as in x25519.c. */
static inline void ladder_step(struct x25519_workspace *w)
{
    add(&w->a, &w->x2, &w->z2);
    subtract(&w->b, &w->x2, &w->z2);
    add(&w->c, &w->x3, &w->z3);
    subtract(&w->d, &w->x3, &w->z3);
    multiply(&w->da, &w->d, &w->a);
    multiply(&w->cb, &w->c, &w->b);
    square(&w->aa, &w->a);
    square(&w->bb, &w->b);

    add(&w->c, &w->da, &w->cb);
    subtract(&w->d, &w->da, &w->cb);
    square(&w->x3, &w->c);
    square(&w->d, &w->d);
    multiply(&w->z3, &w->d, &w->x1);

    subtract(&w->e, &w->aa, &w->bb);
    multiply(&w->x2, &w->aa, &w->bb);
    add_121666(&w->a, &w->bb, &w->e);
    multiply(&w->z2, &w->e, &w->a);
}

static __attribute__((noinline)) void square_times(wide *out, const wide *in, int times)
{
    square(out, in);
    for (int i = 1; i < times; i++)
        square(out, out);
}

static __attribute__((noinline)) void multiply_once(wide *out, const wide *a, const wide *b)
{
    multiply(out, a, b);
}

/* z3 = 1 / z2, by the powers of field_invert; their names are those there. */
static void invert(struct x25519_workspace *w)
{
    wide *z = &w->z2, *z9 = &w->a, *z11 = &w->b, *e5 = &w->c, *e10 = &w->d, *e50 = &w->e, *e100 = &w->aa,
         *e20 = &w->bb, *t = &w->da;
    square_times(t, z, 1);
    square_times(e5, t, 2);
    multiply_once(z9, e5, z);
    multiply_once(z11, z9, t);
    square_times(t, z11, 1);
    multiply_once(e5, t, z9);
    square_times(t, e5, 5);
    multiply_once(e10, t, e5);
    square_times(t, e10, 10);
    multiply_once(e20, t, e10);
    square_times(t, e20, 20);
    multiply_once(t, t, e20);
    square_times(t, t, 10);
    multiply_once(e50, t, e10);
    square_times(t, e50, 50);
    multiply_once(e100, t, e50);
    square_times(t, e100, 100);
    multiply_once(t, t, e100);
    square_times(t, t, 50);
    multiply_once(t, t, e50);
    square_times(t, t, 5);
    multiply_once(&w->z3, t, z11);
}

static void load_lane(struct x25519_workspace *w, int lane, const struct x25519_job *job)
{
    uint8_t scalar[X25519_KEY_BYTES], u[X25519_KEY_BYTES];
    field x1;
    __builtin_memcpy(scalar, job->scalar, sizeof scalar);
    x25519_clamp(scalar);
    for (int i = 0; i < 4; i++)
        __builtin_memcpy(&w->scalar[i][lane], scalar + 8 * i, 8);
    secure_zero(scalar, sizeof scalar);

    __builtin_memcpy(u, job->point, sizeof u);
    u[31] &= 127; /* RFC 7748, section 5: the unused bit is ignored */
    fiat_25519_from_bytes(x1, u);
    for (int i = 0; i < 5; i++) {
        w->x1.limb[i][lane] = w->x3.limb[i][lane] = x1[i];
        w->x2.limb[i][lane] = w->z3.limb[i][lane] = i == 0;
        w->z2.limb[i][lane] = 0;
    }
}

static void store_lane(struct x25519_workspace *w, int lane, struct x25519_job *job)
{
    field x;
    for (int i = 0; i < 5; i++)
        x[i] = w->x2.limb[i][lane];
    fiat_25519_carry(x, x); /* within its bounds, 2^51 + 2^15 < 1.5 * 2^52; reduced by it to what follows */
    fiat_25519_to_bytes(job->out, x);
    job->valid = !secure_is_zero(job->out, sizeof job->out);
    secure_zero(x, sizeof x);
}

/* Registers that no ordinary code overwrites soon. */
static inline void erase_registers(void)
{
    _mm256_zeroall();
    __asm__ volatile("vpxord %%xmm16, %%xmm16, %%xmm16\n vpxord %%xmm17, %%xmm17, %%xmm17\n"
                     "vpxord %%xmm18, %%xmm18, %%xmm18\n vpxord %%xmm19, %%xmm19, %%xmm19\n"
                     "vpxord %%xmm20, %%xmm20, %%xmm20\n vpxord %%xmm21, %%xmm21, %%xmm21\n"
                     "vpxord %%xmm22, %%xmm22, %%xmm22\n vpxord %%xmm23, %%xmm23, %%xmm23\n"
                     "vpxord %%xmm24, %%xmm24, %%xmm24\n vpxord %%xmm25, %%xmm25, %%xmm25\n"
                     "vpxord %%xmm26, %%xmm26, %%xmm26\n vpxord %%xmm27, %%xmm27, %%xmm27\n"
                     "vpxord %%xmm28, %%xmm28, %%xmm28\n vpxord %%xmm29, %%xmm29, %%xmm29\n"
                     "vpxord %%xmm30, %%xmm30, %%xmm30\n vpxord %%xmm31, %%xmm31, %%xmm31\n" ::
                         : "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",
                           "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}

void x25519_lanes_ifma(struct x25519_workspace *w, struct x25519_job *const jobs[], size_t count)
{
    for (int lane = 0; lane < LANES; lane++)
        load_lane(w, lane, jobs[(size_t)lane < count ? (size_t)lane : count - 1]);

    __mmask8 swap = 0;
    for (int bit = 254; bit >= 0; bit--) {
        __m512i word = _mm512_load_si512(w->scalar[bit / 64]);
        __mmask8 set = _mm512_test_epi64_mask(word, each(UINT64_C(1) << (bit % 64)));
        swap = (__mmask8)(swap ^ set);
        swap_if(swap, &w->x2, &w->x3);
        swap_if(swap, &w->z2, &w->z3);
        swap = set;
        ladder_step(w);
    }
    swap_if(swap, &w->x2, &w->x3);
    swap_if(swap, &w->z2, &w->z3);
    invert(w);
    multiply_once(&w->x2, &w->x2, &w->z3);

    for (size_t i = 0; i < count; i++)
        store_lane(w, (int)i, jobs[i]);
    secure_zero(w, sizeof *w);
    erase_registers();
}

#pragma clang attribute pop
#endif
