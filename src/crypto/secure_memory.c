/* Erasing and comparing secrets: the empty asm statements hide values from the optimiser, so that stores stay
 * and comparisons do not become early exits. */
#include "crypto/secure_memory.h"

void secure_zero(void *memory, size_t length)
{
    __builtin_memset(memory, 0, length);
    __asm__ volatile("" : : "r"(memory) : "memory");
}

bool secure_equal(const void *left, const void *right, size_t length)
{
    const uint8_t *l = left, *r = right;
    uint32_t difference = 0;
    for (size_t i = 0; i < length; i++) {
        difference |= (uint32_t)(l[i] ^ r[i]);
        __asm__ volatile("" : "+r"(difference));
    }
    return ((difference - 1) >> 31) != 0;
}

bool secure_is_zero(const void *memory, size_t length)
{
    const uint8_t *bytes = memory;
    uint32_t seen = 0;
    for (size_t i = 0; i < length; i++) {
        seen |= bytes[i];
        __asm__ volatile("" : "+r"(seen));
    }
    return ((seen - 1) >> 31) != 0;
}
