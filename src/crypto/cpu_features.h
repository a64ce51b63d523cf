/* Which instruction-set extensions the processor and the system offer, and which of them crypto may use.
 * The table of selected cores behind it is the only global state of src/crypto. */
#pragma once

#include <stdint.h>

enum cpu_feature {
    CPU_FEATURE_SSSE3 = 1u << 0,
    CPU_FEATURE_AVX2 = 1u << 1,   /* and BMI2 */
    CPU_FEATURE_AVX512 = 1u << 2, /* F, BW, VL, DQ, and BMI2 */
    CPU_FEATURE_AVX512_IFMA = 1u << 3,
};

/* The extensions that CPUID reports and for which XCR0 enables the register state (Intel SDM volume 1, 13.3
 * and 14.3). 0 on processors other than x86.  Any IRQL. */
uint32_t cpu_features_detect(void);

/* Lets crypto use the given extensions (a set of enum cpu_feature) from now on; without this call only the
 * baseline of the target is used.  Extensions without a core in this build are ignored.  Call once, before
 * any other thread uses crypto.  Whoever enables an extension with wide registers also saves their state
 * around batch calls. */
void cpu_features_use(uint32_t features);

/* What cpu_features_use accepted: the extensions that batch calls will really use. */
uint32_t cpu_features_in_use(void);
