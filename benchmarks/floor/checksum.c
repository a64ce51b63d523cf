/* The Internet checksum over payload, in the widest vectors that the processor has: the compiler makes them.
 */
#include "packet.h"

uint64_t (*checksum_wide)(const uint8_t *bytes, size_t length);

static uint64_t sum_sse2(const uint8_t *bytes, size_t length)
{
    return checksum_words(bytes, length);
}

__attribute__((target("avx2"))) static uint64_t sum_avx2(const uint8_t *bytes, size_t length)
{
    return checksum_words(bytes, length);
}

__attribute__((target("avx512f"))) static uint64_t sum_avx512(const uint8_t *bytes, size_t length)
{
    return checksum_words(bytes, length);
}

__attribute__((constructor)) static void choose(void)
{
    __builtin_cpu_init();
    checksum_wide = __builtin_cpu_supports("avx512f") ? sum_avx512
                    : __builtin_cpu_supports("avx2")  ? sum_avx2
                                                      : sum_sse2;
}
