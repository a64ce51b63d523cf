/* The core for processors with AVX2 and BMI2: 8 lanes of 32 bits in each vector.  Whoever calls it has saved
 * the upper halves of the YMM registers. */
#if !defined(__AVX2__) || !defined(__BMI2__)
#error "compile this file with -mavx2 -mbmi2"
#endif

#define AEAD_VECTOR_LANES 8
#define AEAD_VECTOR_SETS  2
#include "crypto/aead_core_lanes.h"
#include "crypto/cpu_features.h"

const struct aead_core aead_core_avx2 = {
    .name = "avx2",
    .features = CPU_FEATURE_AVX2,
    .lanes = LANES,
    .few_lanes = VL,
    .keystream = core_keystream,
    .keystream_few = core_keystream_few,
    .run = core_run,
};
