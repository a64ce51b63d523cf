/* Every implementation that a primitive selects by processor feature is tested: the body of FOR_EACH_CPU_PATH
 * runs once for each set of features this processor has. */
#pragma once

#include "check.h"
#include "crypto/cpu_features.h"

static const struct {
    const char *name;
    uint32_t features;
} cpu_paths[] = {{"baseline", 0},
                 {"SSSE3", CPU_FEATURE_SSSE3},
                 {"AVX2", CPU_FEATURE_AVX2},
                 {"AVX-512", CPU_FEATURE_AVX512 | CPU_FEATURE_AVX512_IFMA}};

/* Selects path `i`; false, counted as skipped, when the processor lacks it. */
static inline bool cpu_path_select(size_t i)
{
    if ((cpu_paths[i].features & ~cpu_features_detect()) != 0) {
        CHECK_SKIP("this processor has no %s", cpu_paths[i].name);
        return false;
    }
    cpu_features_use(cpu_paths[i].features);
    CHECK_MSG(cpu_features_in_use() == cpu_paths[i].features, "%s", cpu_paths[i].name);
    return true;
}

/* Declares the loop's variable under the given name, hence no parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses) */
#define FOR_EACH_CPU_PATH(i)                                                                                 \
    for (size_t i = 0; i < sizeof cpu_paths / sizeof cpu_paths[0]; i++)                                      \
        if (cpu_path_select(i))
/* NOLINTEND(bugprone-macro-parentheses) */
