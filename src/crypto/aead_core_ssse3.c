/* As aead_core_ssse3.c, with byte shuffles for two of the four rotations.  SSE registers only: no state to be
 * saved. */
#if !defined(__SSSE3__)
#error "compile this file with -mssse3"
#endif

#define AEAD_VECTOR_LANES 4
#define AEAD_VECTOR_SETS  2
#include "crypto/aead_core_lanes.h"
#include "crypto/cpu_features.h"

const struct aead_core aead_core_ssse3 = {
    .name = "ssse3",
    .features = CPU_FEATURE_SSSE3,
    .lanes = LANES,
    .few_lanes = VL,
    .keystream = core_keystream,
    .keystream_few = core_keystream_few,
    .run = core_run,
};
