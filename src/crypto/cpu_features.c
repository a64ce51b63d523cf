/* CPUID and XCR0: what the processor has and the system has enabled. */
#include "crypto/cpu_features.h"

#include "crypto/aead_core.h"

static uint32_t in_use;

/* Not on x86: its kernel does not keep vector registers for drivers. */
#if defined(__x86_64__)

static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t registers[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(registers[0]), "=b"(registers[1]), "=c"(registers[2]), "=d"(registers[3])
                     : "a"(leaf), "c"(subleaf));
}

static uint64_t xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

uint32_t cpu_features_detect(void)
{
    /* Intel SDM volume 2, CPUID: leaf 1 ECX, leaf 7 EBX. */
    const uint32_t ssse3 = 1u << 9, osxsave = 1u << 27;
    const uint32_t avx2 = 1u << 5 | 1u << 8;                                     /* AVX2, BMI2 */
    const uint32_t avx512 = 1u << 8 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* BMI2; F, DQ, BW, VL */
    const uint32_t ifma = 1u << 21;
    /* XCR0: SSE and AVX state; opmask, upper halves of ZMM0-15, ZMM16-31. */
    const uint64_t ymm_state = 0x06, zmm_state = 0xe6;

    uint32_t leaf0[4], leaf1[4], leaf7[4] = {0}, features = 0;
    cpuid(0, 0, leaf0);
    cpuid(1, 0, leaf1);
    if (leaf0[0] >= 7)
        cpuid(7, 0, leaf7);

    if (leaf1[2] & ssse3)
        features |= CPU_FEATURE_SSSE3;
    uint64_t enabled = leaf1[2] & osxsave ? xcr0() : 0;
    if ((enabled & ymm_state) == ymm_state && (leaf7[1] & avx2) == avx2)
        features |= CPU_FEATURE_AVX2;
    if ((enabled & zmm_state) == zmm_state && (leaf7[1] & avx512) == avx512) {
        features |= CPU_FEATURE_AVX512;
        if (leaf7[1] & ifma)
            features |= CPU_FEATURE_AVX512_IFMA;
    }
    return features;
}

#else

uint32_t cpu_features_detect(void)
{
    return 0;
}

#endif

void cpu_features_use(uint32_t features)
{
    in_use = aead_core_select(features);
}

uint32_t cpu_features_in_use(void)
{
    return in_use;
}
