/*
 * memcpy, memmove, memset and memcmp for drivers: the compiler emits calls to them and there is no C library.
 * Only 16-byte registers, whose use needs no saved state on x64 and arm64 (x86 is compiled without them);
 * overlapping head and tail accesses instead of byte loops; REP MOVSB/STOSB where its start-up cost is paid
 * back.
 */
#include <stddef.h>
#include <stdint.h>

typedef uint8_t vec16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t word8 __attribute__((aligned(1), may_alias));
typedef uint32_t word4 __attribute__((aligned(1), may_alias));
typedef uint16_t word2 __attribute__((aligned(1), may_alias));

/* From this size on REP MOVSB (ERMS) beats a loop of 16-byte moves, where there is such an instruction. */
#if defined(__x86_64__) || defined(__i386__)
#define REP_MINIMUM        2048
#define REP_MOVE(d, s, n)  __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory")
#define REP_STORE(d, v, n) __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"((uint8_t)(v)) : "memory")
#else
#define REP_MINIMUM        SIZE_MAX
#define REP_MOVE(d, s, n)  __builtin_unreachable()
#define REP_STORE(d, v, n) __builtin_unreachable()
#endif

void *memcpy(void *destination, const void *source, size_t length);
void *memmove(void *destination, const void *source, size_t length);
void *memset(void *destination, int value, size_t length);
int memcmp(const void *left, const void *right, size_t length);

/* 0..32 bytes; all loads come before all stores, so that the areas may overlap. */
static inline void move_small(uint8_t *d, const uint8_t *s, size_t n)
{
    if (n >= 16) {
        vec16 a = *(const vec16 *)s, b = *(const vec16 *)(s + n - 16);
        *(vec16 *)d = a;
        *(vec16 *)(d + n - 16) = b;
    } else if (n >= 8) {
        uint64_t a = *(const word8 *)s, b = *(const word8 *)(s + n - 8);
        *(word8 *)d = a;
        *(word8 *)(d + n - 8) = b;
    } else if (n >= 4) {
        uint32_t a = *(const word4 *)s, b = *(const word4 *)(s + n - 4);
        *(word4 *)d = a;
        *(word4 *)(d + n - 4) = b;
    } else if (n >= 2) {
        uint16_t a = *(const word2 *)s, b = *(const word2 *)(s + n - 2);
        *(word2 *)d = a;
        *(word2 *)(d + n - 2) = b;
    } else if (n) {
        *d = *s;
    }
}

/* More than 32 bytes, front to back: right for d < s or disjoint areas. */
static inline void move_forward(uint8_t *d, const uint8_t *s, size_t n)
{
    vec16 tail0 = *(const vec16 *)(s + n - 32), tail1 = *(const vec16 *)(s + n - 16);
    uint8_t *end = d + n;
    for (; n > 32; n -= 32, d += 32, s += 32) {
        vec16 a = *(const vec16 *)s, b = *(const vec16 *)(s + 16);
        *(vec16 *)d = a;
        *(vec16 *)(d + 16) = b;
    }
    *(vec16 *)(end - 32) = tail0;
    *(vec16 *)(end - 16) = tail1;
}

/* More than 32 bytes, back to front: right for d > s. */
static inline void move_backward(uint8_t *d, const uint8_t *s, size_t n)
{
    vec16 head0 = *(const vec16 *)s, head1 = *(const vec16 *)(s + 16);
    for (; n > 32; n -= 32) {
        vec16 a = *(const vec16 *)(s + n - 16), b = *(const vec16 *)(s + n - 32);
        *(vec16 *)(d + n - 16) = a;
        *(vec16 *)(d + n - 32) = b;
    }
    *(vec16 *)d = head0;
    *(vec16 *)(d + 16) = head1;
}

void *memcpy(void *destination, const void *source, size_t length)
{
    uint8_t *d = destination;
    const uint8_t *s = source;
    if (length <= 32) {
        move_small(d, s, length);
    } else if (length < REP_MINIMUM) {
        move_forward(d, s, length);
    } else {
        REP_MOVE(d, s, length);
    }
    return destination;
}

void *memmove(void *destination, const void *source, size_t length)
{
    uint8_t *d = destination;
    const uint8_t *s = source;
    if (length <= 32) {
        move_small(d, s, length);
    } else if ((uintptr_t)d - (uintptr_t)s >= length) {
        /* d is below s or behind its end. */
        move_forward(d, s, length);
    } else {
        move_backward(d, s, length);
    }
    return destination;
}

void *memset(void *destination, int value, size_t length)
{
    uint8_t *d = destination;
    uint64_t word = 0x0101010101010101ULL * (uint8_t)value;
    if (length >= REP_MINIMUM) {
        REP_STORE(d, value, length);
    } else if (length >= 16) {
        vec16 v = (vec16)(__attribute__((vector_size(16))) uint64_t){word, word};
        uint8_t *last = d + length - 16;
        for (; d < last; d += 16) {
            *(vec16 *)d = v;
        }
        *(vec16 *)last = v;
    } else if (length >= 8) {
        *(word8 *)d = word;
        *(word8 *)(d + length - 8) = word;
    } else if (length >= 4) {
        *(word4 *)d = (uint32_t)word;
        *(word4 *)(d + length - 4) = (uint32_t)word;
    } else if (length) {
        d[0] = d[length / 2] = d[length - 1] = (uint8_t)value;
    }
    return destination;
}

int memcmp(const void *left, const void *right, size_t length)
{
    const uint8_t *l = left, *r = right;
    while (length >= 8) {
        uint64_t a = *(const word8 *)l, b = *(const word8 *)r;
        if (a != b) {
            return __builtin_bswap64(a) < __builtin_bswap64(b) ? -1 : 1;
        }
        l += 8;
        r += 8;
        length -= 8;
    }
    for (; length; length--, l++, r++) {
        if (*l != *r) {
            return *l < *r ? -1 : 1;
        }
    }
    return 0;
}
