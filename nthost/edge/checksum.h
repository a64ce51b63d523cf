/* Internet checksum (RFC 1071) at memory speed: 64-bit sums of 32-bit words, folded at the end.  Sums are of
 * the bytes in memory order, so a folded sum is stored as it is. */
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <stdint.h>
#include <string.h>

/* Folds a sum to 16 bits (not inverted). */
static inline uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* A sum to be continued after an odd number of bytes. */
static inline uint64_t checksum_swap(uint64_t sum)
{
    return __builtin_bswap16(checksum_fold(sum));
}

/* Sum of `length` bytes at `from`; copies them to `to` on the way unless it is NULL. No overlap. */
static inline uint64_t checksum_copy(uint8_t *to, const uint8_t *from, size_t length)
{
    uint64_t sum = 0;
#ifdef __SSE2__ /* elsewhere the loop of words below does all of it */
    const __m128i low = _mm_set1_epi64x(0xffffffff);
    __m128i a = _mm_setzero_si128(), b = a;
    uint64_t lanes[2];

    for (; length >= 32; length -= 32, from += 32) {
        __m128i x = _mm_loadu_si128((const __m128i *)from);
        __m128i y = _mm_loadu_si128((const __m128i *)(from + 16));

        if (to) {
            _mm_storeu_si128((__m128i *)to, x);
            _mm_storeu_si128((__m128i *)(to + 16), y);
            to += 32;
        }
        a = _mm_add_epi64(a, _mm_add_epi64(_mm_and_si128(x, low), _mm_srli_epi64(x, 32)));
        b = _mm_add_epi64(b, _mm_add_epi64(_mm_and_si128(y, low), _mm_srli_epi64(y, 32)));
    }
    _mm_storeu_si128((__m128i *)lanes, _mm_add_epi64(a, b));
    sum = lanes[0] + lanes[1];
#endif
    if (to)
        memcpy(to, from, length);
    for (; length >= 4; length -= 4, from += 4) {
        uint32_t word;

        memcpy(&word, from, 4);
        sum += word;
    }
    if (length) {
        uint32_t word = 0;

        memcpy(&word, from, length);
        sum += word;
    }
    return sum;
}

static inline uint64_t checksum_add(uint64_t sum, const void *from, size_t length)
{
    return sum + checksum_copy(NULL, from, length);
}

/* Pseudo-header of TCP or UDP over IPv4 / IPv6: addresses follow each other in the IP header. */
static inline uint64_t checksum_pseudo(const uint8_t *addresses, size_t address_bytes, uint8_t protocol,
                                       uint32_t length)
{
    return checksum_add(0, addresses, address_bytes) + ((uint32_t)protocol << 8) + __builtin_bswap32(length);
}
