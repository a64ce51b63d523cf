/* The core for the x64 baseline: 4 lanes of 32 bits in each vector.  Needs no register state to be saved. */
#define AEAD_VECTOR_LANES 4
#define AEAD_VECTOR_SETS  2
#include "crypto/aead_core_lanes.h"

const struct aead_core aead_core_sse2 = {
    .name = "sse2",
    .features = 0,
    .lanes = LANES,
    .few_lanes = VL,
    .keystream = core_keystream,
    .keystream_few = core_keystream_few,
    .run = core_run,
};
