/* The Internet checksum (RFC 1071): sums of 16-bit words in the machine's own order, folded at the end, so
 * that a sum over bytes in memory needs no swapping (RFC 1071, 2 (B)).  Header only, any IRQL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline uint16_t internet_checksum_load(const uint8_t *bytes)
{
    uint16_t word;
    __builtin_memcpy(&word, bytes, sizeof(word));
    return word;
}

/* A value in the machine's order, as a word in the wire's order. */
static inline uint64_t internet_checksum_word(uint16_t value)
{
    return __builtin_bswap16(value);
}

#ifdef __SSE2__
/* The sum of so many whole 64-byte blocks, at most 4096 of them.  Words are made signed, as the one
 * instruction that adds neighbours takes them, and the bias is given back at the end. */
static inline uint64_t internet_checksum_blocks(const uint8_t *bytes, size_t blocks)
{
    const __m128i bias = _mm_set1_epi16(INT16_MIN), ones = _mm_set1_epi16(1);
    __m128i even = _mm_setzero_si128(), odd = _mm_setzero_si128();
    for (size_t i = 0; i < blocks; i++, bytes += 64) {
        const __m128i *at = (const __m128i *)bytes;
        even = _mm_add_epi32(even, _mm_madd_epi16(_mm_xor_si128(_mm_loadu_si128(at), bias), ones));
        odd = _mm_add_epi32(odd, _mm_madd_epi16(_mm_xor_si128(_mm_loadu_si128(at + 1), bias), ones));
        even = _mm_add_epi32(even, _mm_madd_epi16(_mm_xor_si128(_mm_loadu_si128(at + 2), bias), ones));
        odd = _mm_add_epi32(odd, _mm_madd_epi16(_mm_xor_si128(_mm_loadu_si128(at + 3), bias), ones));
    }
    int32_t lanes[8];
    _mm_storeu_si128((__m128i *)lanes, even);
    _mm_storeu_si128((__m128i *)(lanes + 4), odd);
    int64_t sum = (int64_t)blocks * 32 * 32768;
    for (int i = 0; i < 8; i++)
        sum += lanes[i];
    return (uint64_t)sum;
}
#endif

/* The sum of `length` bytes; an odd last one counts as if a zero followed. */
static inline uint64_t internet_checksum_bytes(const uint8_t *bytes, size_t length)
{
    uint64_t sum = 0;
#ifdef __SSE2__
    while (length >= 64) {
        size_t blocks = length / 64 < 4096 ? length / 64 : 4096;
        sum += internet_checksum_blocks(bytes, blocks);
        bytes += blocks * 64;
        length -= blocks * 64;
    }
#endif
    for (; length >= 4; bytes += 4, length -= 4) {
        uint32_t word;
        __builtin_memcpy(&word, bytes, sizeof(word));
        sum += word;
    }
    if (length >= 2) {
        sum += internet_checksum_load(bytes);
        bytes += 2;
    }
    if (length & 1)
        sum += *bytes; /* the first byte of a word in a little-endian machine's order */
    return sum;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the odd last byte");

/* 16 bits, congruent to the sum; zero only when the sum is. */
static inline uint16_t internet_checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* The sum of bytes that stand at an odd offset of what is summed (RFC 1071, 2 (B): byte swapping). */
static inline uint64_t internet_checksum_at_odd(uint64_t sum)
{
    return __builtin_bswap16(internet_checksum_fold(sum));
}
