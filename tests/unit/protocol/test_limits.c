/* SipHash vectors, the rate limiter (against a model and at its bounds), and the under-load rule. */
#include "protocol/rate_limiter.h"
#include "protocol/under_load.h"
#include "support.h"
#include <sodium.h>

static struct random rng = {7};

static void test_siphash(void)
{
    uint8_t key[16], input[64];
    for (int i = 0; i < 16; i++)
        key[i] = (uint8_t)i;
    for (int i = 0; i < 64; i++)
        input[i] = (uint8_t)i;
    /* the paper's appendix A: 15 bytes */
    CHECK(siphash24(key, input, 15) == UINT64_C(0xa129ca6149be45e5));
    CHECK(siphash24(key, input, 0) == UINT64_C(0x726fdb47dd0e0e31));
    /* libsodium's shorthash is SipHash-2-4 */
    for (int n = 0; n < 2000; n++) {
        uint8_t out[8];
        size_t length = random_below(&rng, 65);
        random_bytes(&rng, key, 16);
        random_bytes(&rng, input, sizeof(input));
        crypto_shorthash(out, input, length, key);
        uint64_t hash = siphash24(key, input, length);
        CHECK(memcmp(out, &hash, 8) == 0);
    }
}

static struct rate_limiter *make(struct rate_limiter *limiter, uint32_t capacity, void **memory)
{
    uint8_t key[16];
    random_bytes(&rng, key, 16);
    size_t bytes = rate_limiter_memory_bytes(capacity);
    *memory = malloc(bytes);
    memset(*memory, 0xa5, bytes);
    CHECK(rate_limiter_init(limiter, *memory, capacity, key));
    return limiter;
}

static void test_bounds(void)
{
    struct rate_limiter limiter;
    uint8_t key[16] = {0}, byte;
    CHECK(rate_limiter_memory_bytes(0) == 0 && rate_limiter_memory_bytes(65537) == 0);
    CHECK(!rate_limiter_init(&limiter, &byte, 0, key) && !rate_limiter_init(&limiter, &byte, 65537, key));
    CHECK(rate_limiter_memory_bytes(65536) < 2500000);

    void *memory;
    make(&limiter, 65536, &memory);
    uint64_t now_ns = TEST_NOW_NS;
    uint32_t allowed = 0;
    for (uint32_t n = 0; n < 65536; n++) {
        uint8_t v4[4] = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
        allowed += rate_limiter_allow_v4(&limiter, v4, now_ns);
    }
    CHECK(allowed == 65536);
    uint8_t one_more[4] = {11, 0, 0, 0}, known[4] = {10, 0, 0, 0};
    CHECK(!rate_limiter_allow_v4(&limiter, one_more, now_ns)); /* full */
    CHECK(rate_limiter_allow_v4(&limiter, known, now_ns));
    CHECK(rate_limiter_collect(&limiter, now_ns + RATE_LIMITER_IDLE_NS) == 65536);
    CHECK(rate_limiter_allow_v4(&limiter, known, now_ns + RATE_LIMITER_IDLE_NS));
    CHECK(rate_limiter_collect(&limiter, now_ns + RATE_LIMITER_IDLE_NS + 1) == 1);
    CHECK(rate_limiter_allow_v4(&limiter, one_more, now_ns + RATE_LIMITER_IDLE_NS + 1));
    CHECK(rate_limiter_collect(&limiter, now_ns + 5 * RATE_LIMITER_IDLE_NS) == 0);
    CHECK(rate_limiter_collect(&limiter, now_ns + 6 * RATE_LIMITER_IDLE_NS) == 0);
    free(memory);
    make(&limiter, 1, &memory);
    CHECK(rate_limiter_allow_v4(&limiter, known, now_ns) &&
          !rate_limiter_allow_v4(&limiter, one_more, now_ns));
    free(memory);
}

static void test_prefixes(void)
{
    struct rate_limiter limiter;
    void *memory;
    make(&limiter, 1024, &memory);
    uint8_t a[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 1}, same64[16], other64[16];
    memcpy(same64, a, 16);
    memset(same64 + 8, 0xff, 8);
    memcpy(other64, a, 16);
    other64[7] = 2;
    for (int n = 0; n < RATE_LIMIT_BURST; n++)
        CHECK(rate_limiter_allow_v6(&limiter, n & 1 ? a : same64, TEST_NOW_NS));
    CHECK(!rate_limiter_allow_v6(&limiter, a, TEST_NOW_NS) &&
          !rate_limiter_allow_v6(&limiter, same64, TEST_NOW_NS));
    CHECK(rate_limiter_allow_v6(&limiter, other64, TEST_NOW_NS));
    /* an IPv4 address whose number is an IPv6 prefix */
    uint8_t v4[4] = {1, 2, 3, 4}, v6[16] = {0, 0, 0, 0, 1, 2, 3, 4};
    for (int n = 0; n < RATE_LIMIT_BURST; n++)
        CHECK(rate_limiter_allow_v4(&limiter, v4, TEST_NOW_NS));
    CHECK(!rate_limiter_allow_v4(&limiter, v4, TEST_NOW_NS) &&
          rate_limiter_allow_v6(&limiter, v6, TEST_NOW_NS));
    free(memory);
    /* also when both are in the same bucket of the table, here the only one */
    make(&limiter, 2, &memory);
    for (int n = 0; n < RATE_LIMIT_BURST; n++)
        CHECK(rate_limiter_allow_v4(&limiter, v4, TEST_NOW_NS));
    CHECK(!rate_limiter_allow_v4(&limiter, v4, TEST_NOW_NS) &&
          rate_limiter_allow_v6(&limiter, v6, TEST_NOW_NS));
    free(memory);
}

/* burst, then one per 50 ms; a clock that stands or goes back gives nothing */
static void test_rate(void)
{
    struct rate_limiter limiter;
    void *memory;
    uint8_t v4[4] = {192, 0, 2, 1};
    make(&limiter, 16, &memory);
    uint64_t now_ns = TEST_NOW_NS;
    for (int n = 0; n < 8; n++)
        CHECK(rate_limiter_allow_v4(&limiter, v4, now_ns) == (n < RATE_LIMIT_BURST));
    CHECK(!rate_limiter_allow_v4(&limiter, v4, now_ns - NS_PER_SECOND));
    CHECK(!rate_limiter_allow_v4(&limiter, v4, now_ns + 50 * NS_PER_MS - 1));
    CHECK(rate_limiter_allow_v4(&limiter, v4, now_ns + 50 * NS_PER_MS));
    CHECK(!rate_limiter_allow_v4(&limiter, v4, now_ns + 99 * NS_PER_MS));
    CHECK(rate_limiter_allow_v4(&limiter, v4, now_ns + 100 * NS_PER_MS));
    now_ns += 3600 * NS_PER_SECOND; /* a long pause fills the bucket to the burst, not more */
    for (int n = 0; n < 8; n++)
        CHECK(rate_limiter_allow_v4(&limiter, v4, now_ns) == (n < RATE_LIMIT_BURST));
    /* a steady flood of 1000 per second for 10 s */
    uint32_t allowed = 0;
    for (int ms = 1; ms <= 10000; ms++)
        allowed += rate_limiter_allow_v4(&limiter, v4, now_ns + (uint64_t)ms * NS_PER_MS);
    CHECK(allowed == 200);
    free(memory);
}

/* naive model: each source's tokens in a plain array */
static void test_against_model(void)
{
    enum { SOURCES = 300 };
    struct rate_limiter limiter;
    void *memory;
    make(&limiter, 1024, &memory);
    double tokens[SOURCES];
    uint64_t last[SOURCES] = {0}, now_ns = TEST_NOW_NS;
    uint32_t mismatches = 0;
    for (int n = 0; n < 300000; n++) {
        uint32_t s = random_below(&rng, SOURCES);
        now_ns += random_below(&rng, 8) * NS_PER_MS / 4;
        if (random_below(&rng, 500) == 0) {
            now_ns += NS_PER_SECOND / 4 * random_below(&rng, 5);
            rate_limiter_collect(&limiter, now_ns);
        }
        uint8_t v6[16] = {0xfe, 0x80, 0, (uint8_t)(s >> 8), (uint8_t)s, 0, 0, 0, (uint8_t)n};
        if (last[s] == 0)
            tokens[s] = 5;
        else
            tokens[s] += (double)(now_ns - last[s]) / 50e6;
        tokens[s] = tokens[s] > 5 ? 5 : tokens[s];
        last[s] = now_ns;
        bool expected = tokens[s] >= 1 - 1e-6;
        if (expected)
            tokens[s] -= 1;
        mismatches += rate_limiter_allow_v6(&limiter, v6, now_ns) != expected;
    }
    CHECK_MSG(mismatches == 0, "%u", mismatches);
    free(memory);
}

static void test_under_load(void)
{
    struct under_load load;
    under_load_init(&load);
    uint64_t t = TEST_NOW_NS;
    static const struct {
        uint64_t at_ns;
        uint32_t queued;
        bool expected;
    } rows[] = {
        {0, 0, false},         {0, 511, false},        {0, 512, true},           {0, 0, true},
        {999999999, 0, true},  {1000000000, 0, false}, {2000000000, 4096, true}, {2500000000, 513, true},
        {3400000000, 0, true}, {3500000000, 0, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_MSG(under_load_check(&load, rows[i].queued, 4096, t + rows[i].at_ns) == rows[i].expected,
                  "row %zu", i);
    /* a CPU whose clock is a little behind the one that saw the load */
    CHECK(under_load_check(&load, 512, 4096, t + 5000000000));
    CHECK(under_load_check(&load, 0, 4096, t + 4999999999));
}

int main(void)
{
    test_siphash();
    test_bounds();
    test_prefixes();
    test_rate();
    test_against_model();
    test_under_load();
    return check_summary();
}
