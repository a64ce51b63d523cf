/* The wide X25519 under MemorySanitizer, with its secrets marked as uninitialised: a branch or an address
 * that depends on one is reported.  valgrind, which watches everything else (constant_time_probe.c), does not
 * know AVX-512.  constant_time_wide wide | leaky-branch | leaky-lookup | innocent */
#include <sanitizer/msan_interface.h>
#include <stdio.h>
#include <string.h>

#include "crypto/cpu_features.h"
#include "crypto/x25519_batch.h"

static volatile int sink;

__attribute__((noinline)) static void leaky_branch(const uint8_t *secret)
{
    if (secret[3] & 1)
        sink = 1;
}

__attribute__((noinline)) static void leaky_lookup(const uint8_t *secret)
{
    static const uint8_t table[256] = {1, 2, 3};
    sink = table[secret[3]];
}

/* Whether a result is zero is public: the handshake fails visibly.  The results stay secret. */
bool __real_secure_is_zero(const void *memory, size_t length);
bool __wrap_secure_is_zero(const void *memory, size_t length);
bool __wrap_secure_is_zero(const void *memory, size_t length)
{
    bool zero = __real_secure_is_zero(memory, length);
    __msan_unpoison(&zero, sizeof zero);
    return zero;
}

int main(int argc, char **argv)
{
    const char *operation = argc == 2 ? argv[1] : "";
    static struct x25519_workspace workspace;
    static uint8_t scalars[X25519_LANES][32], points[X25519_LANES][32];
    static struct x25519_job jobs[X25519_LANES], *list[X25519_LANES];
    for (int i = 0; i < X25519_LANES; i++) {
        memset(scalars[i], 0x11 * (i + 1), 32);
        memset(points[i], 0x21 + i, 32);
        jobs[i] = (struct x25519_job){.scalar = scalars[i], .point = points[i]};
        list[i] = &jobs[i];
    }
    if (strcmp(operation, "innocent") != 0) {
        __msan_poison(scalars, sizeof scalars);
        __msan_poison(points, sizeof points);
    }
    if (strcmp(operation, "wide") == 0) {
        x25519_batch_use(cpu_features_detect());
        if (!x25519_batch_is_wide()) {
            puts("skipped");
            return 0;
        }
        x25519_batch_wide(&workspace, list, X25519_LANES);
        if (__msan_test_shadow(jobs[0].out, sizeof jobs[0].out) < 0) {
            puts("the marks got lost: nothing was tested");
            return 3;
        }
    } else if (strcmp(operation, "leaky-branch") == 0) {
        leaky_branch(scalars[0]);
    } else if (strcmp(operation, "leaky-lookup") == 0) {
        leaky_lookup(scalars[0]);
    } else if (strcmp(operation, "innocent") == 0) {
        leaky_branch(scalars[0]);
        leaky_lookup(scalars[0]);
    } else {
        return 2;
    }
    puts("done");
    return 0;
}
