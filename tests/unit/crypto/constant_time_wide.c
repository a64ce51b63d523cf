/* The wide X25519 and the AVX-512 batch AEAD under MemorySanitizer, with their secrets marked as
 * uninitialised: a branch or an address that depends on one is reported.  valgrind, which watches everything
 * else (constant_time_probe.c), does not know AVX-512.  constant_time_wide wide | aead | leaky-branch |
 * leaky-lookup | innocent */
#include <sanitizer/msan_interface.h>
#include <stdio.h>
#include <string.h>

#include "crypto/aead_batch.h"
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

/* So is whether a tag is right. */
bool __real_secure_equal(const void *left, const void *right, size_t length);
bool __wrap_secure_equal(const void *left, const void *right, size_t length);
bool __wrap_secure_equal(const void *left, const void *right, size_t length)
{
    bool equal = __real_secure_equal(left, right, length);
    __msan_unpoison(&equal, sizeof equal);
    return equal;
}

/* Seals and opens a batch; false when the marks got lost on the way, or a result is wrong. */
#define PACKETS    5
#define PACKET_MAX 1500
static bool batch_aead(void)
{
    static const size_t lengths[PACKETS] = {0, 64, 1420, 700, PACKET_MAX};
    static struct aead_workspace workspace;
    static uint8_t keys[PACKETS][32], plain[PACKETS][PACKET_MAX], cipher[PACKETS][PACKET_MAX + 16],
        back[PACKETS][PACKET_MAX];
    struct aead_segment plains[PACKETS], ciphers[PACKETS], backs[PACKETS];
    struct aead_item items[PACKETS];
    memset(plain, 3, sizeof plain);
    for (int i = 0; i < PACKETS; i++) {
        memset(keys[i], i, sizeof keys[i]);
        plains[i] = (struct aead_segment){plain[i], lengths[i]};
        ciphers[i] = (struct aead_segment){cipher[i], lengths[i] + AEAD_TAG_BYTES};
        backs[i] = (struct aead_segment){back[i], lengths[i]};
        items[i] = (struct aead_item){.key = keys[i],
                                      .source = &plains[i],
                                      .source_count = 1,
                                      .destination = &ciphers[i],
                                      .destination_count = 1};
        aead_nonce_from_counter(items[i].nonce, (uint64_t)i);
    }
    __msan_poison(keys, sizeof keys);
    __msan_poison(plain, sizeof plain);
    if (aead_seal_batch(items, PACKETS, &workspace) != PACKETS ||
        __msan_test_shadow(cipher[2], lengths[2] + AEAD_TAG_BYTES) < 0)
        return false;
    __msan_unpoison(cipher, sizeof cipher);
    for (int i = 0; i < PACKETS; i++) {
        items[i].source = &ciphers[i];
        items[i].destination = &backs[i];
    }
    if (aead_open_batch(items, PACKETS, &workspace) != PACKETS || __msan_test_shadow(back[2], lengths[2]) < 0)
        return false;
    __msan_unpoison(back, sizeof back);
    __msan_unpoison(plain, sizeof plain);
    return memcmp(back[4], plain[4], PACKET_MAX) == 0;
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
    } else if (strcmp(operation, "aead") == 0) {
        cpu_features_use(cpu_features_detect());
        if (!(cpu_features_in_use() & CPU_FEATURE_AVX512)) {
            puts("skipped");
            return 0;
        }
        if (!batch_aead()) {
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
