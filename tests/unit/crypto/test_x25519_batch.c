/* The wide X25519 against libcrypto and against the ladder with the verified field: RFC 7748's vectors,
 * random and extreme inputs, every number of jobs.  test_x25519_batch [ROUNDS] */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "crypto/cpu_features.h"
#include "crypto/secure_memory.h"
#include "crypto/x25519_batch.h"
#include "hex.h"

#define JOBS_MAX (3 * X25519_LANES)

static struct x25519_workspace workspace;
static struct x25519_job jobs[JOBS_MAX], *list[JOBS_MAX];
static uint8_t scalars[JOBS_MAX][32], points[JOBS_MAX][32];

/* xorshift64*: repeatable, good enough to choose inputs. */
static uint8_t random_byte(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return (uint8_t)(state * 2685821657736338717u >> 56);
}

/* Random, or bytes that are all zeros or ones but for a random one: limbs at their bounds, values above p. */
static void choose(uint8_t out[32])
{
    unsigned kind = random_byte() % 8;
    for (int i = 0; i < 32; i++)
        out[i] = kind == 0 ? 0xff : kind == 1 ? 0 : random_byte();
    if (kind < 2)
        out[random_byte() % 32] = random_byte();
    if (kind == 2) {
        memset(out, 0xff, 32); /* around p, with and without the unused bit */
        out[0] = (uint8_t)(0xe0 + random_byte() % 32);
        out[31] = (uint8_t)(0x7f | (random_byte() & 0x80));
    }
}

static void prepare(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        choose(scalars[i]);
        choose(points[i]);
        jobs[i] = (struct x25519_job){.scalar = scalars[i], .point = points[i]};
        memset(jobs[i].out, 0xaa, sizeof jobs[i].out);
        list[i] = &jobs[i];
        if (random_byte() % 8 == 0)
            jobs[i].point = x25519_base_point;
    }
}

static void check_jobs(size_t count, const char *way)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t expected[32], theirs[32];
        bool valid = x25519(expected, scalars[i], jobs[i].point);
        CHECK_MSG(jobs[i].valid == valid && memcmp(jobs[i].out, expected, 32) == 0, "%s: job %zu of %zu", way,
                  i, count);
        size_t length = sizeof theirs;
        EVP_PKEY *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, scalars[i], 32);
        EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, jobs[i].point, 32);
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(own, NULL);
        bool derived = EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_derive_set_peer(context, peer) == 1 &&
                       EVP_PKEY_derive(context, theirs, &length) == 1;
        CHECK_MSG(derived == jobs[i].valid && (!derived || memcmp(jobs[i].out, theirs, 32) == 0),
                  "%s: job %zu of %zu, libcrypto", way, i, count);
        EVP_PKEY_CTX_free(context);
        EVP_PKEY_free(own);
        EVP_PKEY_free(peer);
    }
}

static void rounds_of(bool wide, size_t rounds)
{
    for (size_t round = 0; round < rounds; round++) {
        size_t count = 1 + round % JOBS_MAX;
        prepare(count);
        if (wide)
            x25519_batch_wide(&workspace, list, count);
        else
            x25519_batch(list, count);
        check_jobs(count, wide ? "wide" : "one by one");
        if (wide)
            CHECK_MSG(secure_is_zero(&workspace, sizeof workspace), "the workspace was not erased");
    }
}

/* RFC 7748, 5.2: the iterated vector in every lane at once, and the low-order points of 6.1's warning. */
static void wide_vectors(void)
{
    static const char *const low_order[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    };
    const size_t low_orders = sizeof low_order / sizeof low_order[0];
    for (int lane = 0; lane < X25519_LANES; lane++) {
        memset(scalars[lane], 0, 32);
        scalars[lane][0] = 9;
        memcpy(points[lane], scalars[lane], 32);
    }
    for (int i = 0; i < 1000; i++) {
        for (int lane = 0; lane < X25519_LANES; lane++) {
            jobs[lane] = (struct x25519_job){.scalar = scalars[lane], .point = points[lane]};
            list[lane] = &jobs[lane];
        }
        x25519_batch_wide(&workspace, list, X25519_LANES);
        for (int lane = 0; lane < X25519_LANES; lane++) {
            memcpy(points[lane], scalars[lane], 32);
            memcpy(scalars[lane], jobs[lane].out, 32);
        }
    }
    for (int lane = 0; lane < X25519_LANES; lane++)
        CHECK_MSG(
            hex_equal(scalars[lane], 32, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"),
            "lane %d, 1000 times", lane);

    prepare(X25519_LANES); /* the last lane stays an ordinary one */
    jobs[low_orders].point = x25519_base_point;
    for (size_t i = 0; i < low_orders; i++) {
        hex_decode(points[i], 32, low_order[i]);
        jobs[i].point = points[i];
    }
    x25519_batch_wide(&workspace, list, X25519_LANES);
    for (size_t i = 0; i < low_orders; i++)
        CHECK_MSG(!jobs[i].valid && secure_is_zero(jobs[i].out, 32), "low-order point %zu", i);
    CHECK(jobs[low_orders].valid);
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 500;
    CHECK(!x25519_batch_is_wide());
    x25519_batch_use(CPU_FEATURE_AVX512 | CPU_FEATURE_AVX2);
    CHECK(!x25519_batch_is_wide()); /* needs IFMA */
    rounds_of(false, JOBS_MAX);
    x25519_batch_use(cpu_features_detect());
    if (x25519_batch_is_wide()) {
        wide_vectors();
        rounds_of(true, rounds);
    } else {
        CHECK_SKIP("this processor has no %s", "AVX-512 with IFMA");
    }
    return check_summary();
}
