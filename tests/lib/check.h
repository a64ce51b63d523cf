/* A minimal harness for native C tests: CHECK counts, check_summary() prints the one line that ./test reads
 * and returns the process's exit status.  A test program that checked nothing fails. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Weak, so that all source files of a program count together. */
__attribute__((weak)) uint64_t check_passed, check_failed, check_skipped;

/* Records one expectation; on failure says where and what, and goes on. */
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (condition) {                                                                                     \
            check_passed++;                                                                                  \
        } else {                                                                                             \
            check_failed++;                                                                                  \
            fprintf(stderr, "FAIL %s:%d: %s\n", __FILE__, __LINE__, #condition);                             \
        }                                                                                                    \
    } while (0)

/* The same with a printf-style explanation (case name, seed, values). */
#define CHECK_MSG(condition, ...)                                                                            \
    do {                                                                                                     \
        if (condition) {                                                                                     \
            check_passed++;                                                                                  \
        } else {                                                                                             \
            check_failed++;                                                                                  \
            fprintf(stderr, "FAIL %s:%d: %s: ", __FILE__, __LINE__, #condition);                             \
            fprintf(stderr, __VA_ARGS__);                                                                    \
            fputc('\n', stderr);                                                                             \
        }                                                                                                    \
    } while (0)

/* Says aloud why something was not tested here. */
#define CHECK_SKIP(...)                                                                                      \
    do {                                                                                                     \
        check_skipped++;                                                                                     \
        fprintf(stderr, "SKIP %s:%d: ", __FILE__, __LINE__);                                                 \
        fprintf(stderr, __VA_ARGS__);                                                                        \
        fputc('\n', stderr);                                                                                 \
    } while (0)

static inline int check_summary(void)
{
    printf("%llu passed, %llu failed, %llu skipped\n", (unsigned long long)check_passed,
           (unsigned long long)check_failed, (unsigned long long)check_skipped);
    return check_failed == 0 && check_passed > 0 ? 0 : 1;
}
