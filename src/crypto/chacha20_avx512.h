/* Sixteen ChaCha20 blocks (RFC 8439, section 2.3) in sixteen 512-bit vectors, one word of all blocks each;
 * two such sets are computed in turn, as the rounds of one are a chain that does not fill the vector units.
 * Internal to aead_avx512.c. */
#pragma once

#include <immintrin.h>

#include "crypto/chacha20.h"

#define INLINE   __attribute__((always_inline)) static inline
#define UNROLLED _Pragma("clang loop unroll(full)")

#define CHACHA20_SET_BLOCKS 16

/* The state before the rounds: word by word, block by block. */
struct chacha20_set {
    _Alignas(64) uint32_t word[16][CHACHA20_SET_BLOCKS];
};

/* For four columns: the first row is added to, and the third one xored with that sum and rotated by `bits`.
 * In place: two sets fill all 32 registers, and what the compiler makes of the same in C takes new ones and
 * spills others (8 % of the whole AEAD). */
#if __has_feature(memory_sanitizer) /* looks into C only */
#define STEP(sum, addend, mixed, r_sum, r_addend, r_mixed, bits)                                             \
    UNROLLED for (int i = 0; i < 4; i++)                                                                     \
    {                                                                                                        \
        __m512i *to = &x[(sum) + (i + (r_sum)) % 4], *with = &x[(mixed) + (i + (r_mixed)) % 4];              \
        *to = _mm512_add_epi32(*to, x[(addend) + (i + (r_addend)) % 4]);                                     \
        *with = _mm512_rol_epi32(_mm512_xor_si512(*with, *to), bits);                                        \
    }
#else
#define COLUMNS(row, rotation)                                                                               \
    "+v"(x[(row) + (0 + (rotation)) % 4]), "+v"(x[(row) + (1 + (rotation)) % 4]),                            \
        "+v"(x[(row) + (2 + (rotation)) % 4]), "+v"(x[(row) + (3 + (rotation)) % 4])
#define STEP(sum, addend, mixed, r_sum, r_addend, r_mixed, bits)                                             \
    __asm__("vpaddd %4, %0, %0\n\tvpaddd %5, %1, %1\n\tvpaddd %6, %2, %2\n\tvpaddd %7, %3, %3\n\t"           \
            "vpxord %0, %8, %8\n\tvpxord %1, %9, %9\n\tvpxord %2, %10, %10\n\tvpxord %3, %11, %11\n\t"       \
            "vprold %12, %8, %8\n\tvprold %12, %9, %9\n\tvprold %12, %10, %10\n\tvprold %12, %11, %11"       \
            : COLUMNS(sum, r_sum), COLUMNS(addend, r_addend), COLUMNS(mixed, r_mixed)                        \
            : "i"(bits))
#endif

/* b, c, d: by how many columns the second, third and fourth row are rotated (columns or diagonals). */
INLINE void quarter_rounds(__m512i *x, int b, int c, int d)
{
    STEP(0, 4, 12, 0, b, d, 16);
    STEP(8, 12, 4, c, d, b, 12);
    STEP(0, 4, 12, 0, b, d, 8);
    STEP(8, 12, 4, c, d, b, 7);
}
#undef STEP
#undef COLUMNS

INLINE void transpose_4(__m512i *a, __m512i *b, __m512i *c, __m512i *d)
{
    __m512i ab_low = _mm512_unpacklo_epi32(*a, *b), ab_high = _mm512_unpackhi_epi32(*a, *b);
    __m512i cd_low = _mm512_unpacklo_epi32(*c, *d), cd_high = _mm512_unpackhi_epi32(*c, *d);
    *a = _mm512_unpacklo_epi64(ab_low, cd_low);
    *b = _mm512_unpackhi_epi64(ab_low, cd_low);
    *c = _mm512_unpacklo_epi64(ab_high, cd_high);
    *d = _mm512_unpackhi_epi64(ab_high, cd_high);
}

/* x[i] is word i of all blocks; afterwards it is block i. */
INLINE void transpose_16(__m512i x[16])
{
    UNROLLED for (int i = 0; i < 16; i += 4) transpose_4(&x[i], &x[i + 1], &x[i + 2], &x[i + 3]);
    /* 128-bit part s of x[4 w + k] holds words 4 w.. of block 4 s + k. */
    __m512i y[16];
    UNROLLED for (int k = 0; k < 4; k++)
    {
        __m512i low01 = _mm512_shuffle_i32x4(x[k], x[4 + k], 0x44),
                high01 = _mm512_shuffle_i32x4(x[k], x[4 + k], 0xee);
        __m512i low23 = _mm512_shuffle_i32x4(x[8 + k], x[12 + k], 0x44),
                high23 = _mm512_shuffle_i32x4(x[8 + k], x[12 + k], 0xee);
        y[k] = _mm512_shuffle_i32x4(low01, low23, 0x88);
        y[4 + k] = _mm512_shuffle_i32x4(low01, low23, 0xdd);
        y[8 + k] = _mm512_shuffle_i32x4(high01, high23, 0x88);
        y[12 + k] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
    }
    UNROLLED for (int i = 0; i < 16; i++) x[i] = y[i];
}

/* The words of `sets` sets after the rounds and the addition of the state; `sets` is a constant in each use.
 */
INLINE void chacha20_words(const struct chacha20_set *const *set, __m512i x[][16], int sets)
{
    UNROLLED for (int s = 0; s < sets; s++) UNROLLED for (int i = 0; i < 16; i++) x[s][i] =
        _mm512_load_si512(set[s]->word[i]);
#pragma clang loop unroll(disable)
    for (int round = 0; round < 10; round++) {
        UNROLLED for (int s = 0; s < sets; s++) quarter_rounds(x[s], 0, 0, 0);
        UNROLLED for (int s = 0; s < sets; s++) quarter_rounds(x[s], 1, 2, 3);
    }
    UNROLLED for (int s = 0; s < sets; s++) UNROLLED for (int i = 0; i < 16; i++) x[s][i] =
        _mm512_add_epi32(x[s][i], _mm512_load_si512(set[s]->word[i]));
}
