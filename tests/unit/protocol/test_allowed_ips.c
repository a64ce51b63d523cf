/* Allowed IPs: fixed cases at every prefix length, failing allocations, and over a million random operations
 * against a naive model (a list of prefixes, searched linearly).  Blocks are freed at once, so that the
 * sanitiser sees any use of what was handed to free_deferred. */
#include "protocol/allowed_ips.h"
#include "support.h"

static struct random rng = {13};

/* ---- memory: counts, and fails on demand ---- */
struct test_memory {
    int64_t live_blocks, live_bytes;
    uint64_t allocations;
    uint64_t fail_at; /* the n-th allocation from now fails (1: the next), 0: none */
    uint32_t fail_percent;
};

static void *test_allocate(void *context, size_t size)
{
    struct test_memory *memory = context;
    memory->allocations++;
    if (memory->fail_at && --memory->fail_at == 0)
        return NULL;
    if (memory->fail_percent && random_below(&rng, 100) < memory->fail_percent)
        return NULL;
    memory->live_blocks++;
    memory->live_bytes += (int64_t)size;
    void *block = malloc(size);
    memset(block, 0xa5, size);
    return block;
}

static void test_free(void *context, void *block, size_t size)
{
    struct test_memory *memory = context;
    memory->live_blocks--;
    memory->live_bytes -= (int64_t)size;
    memset(block, 0xdd, size);
    free(block);
}

static void table_init(struct allowed_ips *table, struct test_memory *memory)
{
    *memory = (struct test_memory){0};
    struct allowed_ips_memory callbacks = {test_allocate, test_free, memory};
    allowed_ips_init(table, &callbacks);
}

/* ---- fixed cases ---- */

static void v4(uint8_t out[4], uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
}

static struct allowed_ips_peer *find4(const struct allowed_ips *table, uint8_t a, uint8_t b, uint8_t c,
                                      uint8_t d)
{
    uint8_t address[4];
    v4(address, a, b, c, d);
    return allowed_ips_lookup_v4(table, address);
}

static enum allowed_ips_result add4(struct allowed_ips *table, uint8_t a, uint8_t b, uint8_t c, uint8_t d,
                                    uint8_t length, struct allowed_ips_peer *peer)
{
    uint8_t address[4];
    v4(address, a, b, c, d);
    return allowed_ips_insert(table, ALLOWED_IPS_V4, address, length, peer);
}

static enum allowed_ips_result remove4(struct allowed_ips *table, uint8_t a, uint8_t b, uint8_t c, uint8_t d,
                                       uint8_t length, struct allowed_ips_peer *peer)
{
    uint8_t address[4];
    v4(address, a, b, c, d);
    return allowed_ips_remove(table, ALLOWED_IPS_V4, address, length, peer);
}

static void test_longest_prefix(void)
{
    struct allowed_ips table;
    struct test_memory memory;
    struct allowed_ips_peer p[4];
    table_init(&table, &memory);
    for (int i = 0; i < 4; i++)
        allowed_ips_peer_init(&p[i]);

    CHECK(!find4(&table, 10, 0, 0, 1));
    CHECK(add4(&table, 10, 0, 0, 0, 8, &p[0]) == ALLOWED_IPS_OK);
    CHECK(add4(&table, 10, 1, 0, 0, 16, &p[1]) == ALLOWED_IPS_OK);
    CHECK(add4(&table, 10, 1, 2, 3, 32, &p[2]) == ALLOWED_IPS_OK);
    CHECK(find4(&table, 10, 1, 2, 3) == &p[2] && find4(&table, 10, 1, 2, 4) == &p[1]);
    CHECK(find4(&table, 10, 2, 2, 3) == &p[0] && !find4(&table, 11, 0, 0, 0) &&
          !find4(&table, 9, 255, 255, 255));
    CHECK(add4(&table, 77, 77, 77, 77, 0, &p[3]) == ALLOWED_IPS_OK); /* masked to 0.0.0.0/0 */
    CHECK(find4(&table, 11, 0, 0, 0) == &p[3] && find4(&table, 255, 255, 255, 255) == &p[3]);
    CHECK(find4(&table, 10, 1, 2, 3) == &p[2]);

    /* the same prefix with other host bits moves to the other peer */
    CHECK(add4(&table, 10, 1, 99, 99, 16, &p[0]) == ALLOWED_IPS_OK);
    CHECK(find4(&table, 10, 1, 2, 4) == &p[0] && allowed_ips_count(&p[0]) == 2 &&
          allowed_ips_count(&p[1]) == 0);
    CHECK(!p[1].first && !p[1].last);

    /* only its owner can give it back, and only exactly it */
    CHECK(remove4(&table, 10, 1, 0, 0, 16, &p[1]) == ALLOWED_IPS_NOT_FOUND);
    CHECK(remove4(&table, 10, 1, 0, 0, 17, &p[0]) == ALLOWED_IPS_NOT_FOUND);
    CHECK(remove4(&table, 10, 1, 0, 0, 15, &p[0]) == ALLOWED_IPS_NOT_FOUND);
    CHECK(remove4(&table, 192, 168, 0, 0, 16, &p[0]) == ALLOWED_IPS_NOT_FOUND);
    CHECK(remove4(&table, 10, 1, 3, 3, 16, &p[0]) == ALLOWED_IPS_OK);
    CHECK(remove4(&table, 10, 1, 0, 0, 16, &p[0]) == ALLOWED_IPS_NOT_FOUND);
    CHECK(find4(&table, 10, 1, 2, 4) == &p[0] && find4(&table, 10, 1, 2, 3) == &p[2]);

    CHECK(add4(&table, 1, 2, 3, 4, 33, &p[0]) == ALLOWED_IPS_BAD_PREFIX_LENGTH);
    CHECK(remove4(&table, 1, 2, 3, 4, 33, &p[0]) == ALLOWED_IPS_BAD_PREFIX_LENGTH);
    uint8_t v6_address[16] = {0x20};
    CHECK(allowed_ips_insert(&table, ALLOWED_IPS_V6, v6_address, 129, &p[0]) ==
          ALLOWED_IPS_BAD_PREFIX_LENGTH);
    CHECK(allowed_ips_remove(&table, ALLOWED_IPS_V6, v6_address, 129, &p[0]) ==
          ALLOWED_IPS_BAD_PREFIX_LENGTH);
    /* the families do not see each other */
    CHECK(!allowed_ips_lookup_v6(&table, v6_address));
    CHECK(allowed_ips_insert(&table, ALLOWED_IPS_V6, v6_address, 0, &p[1]) == ALLOWED_IPS_OK);
    CHECK(allowed_ips_lookup_v6(&table, v6_address) == &p[1] && find4(&table, 11, 0, 0, 0) == &p[3]);

    /* a failing insert of what is there already needs no memory */
    memory.fail_percent = 100;
    CHECK(add4(&table, 10, 0, 0, 0, 8, &p[0]) == ALLOWED_IPS_OK);
    CHECK(add4(&table, 10, 0, 0, 0, 9, &p[0]) == ALLOWED_IPS_NO_MEMORY);
    memory.fail_percent = 0;
    for (int i = 0; i < 4; i++)
        allowed_ips_remove_by_peer(&table, &p[i]);
    CHECK(memory.live_blocks == 0 && memory.live_bytes == 0 && !table.roots[0] && !table.roots[1]);
}

/* One address with all of its prefixes, /0 to /32 or /128: a chain as deep as it gets. */
static void test_every_length(enum allowed_ips_family family)
{
    enum { LENGTHS = 129 };
    struct allowed_ips table;
    struct test_memory memory;
    static struct allowed_ips_peer p[LENGTHS];
    uint32_t bits = family == ALLOWED_IPS_V4 ? 32 : 128;
    uint8_t address[16], probe[16];
    table_init(&table, &memory);
    random_bytes(&rng, address, 16);
    for (uint32_t i = 0; i <= bits; i++) {
        uint32_t length = i * 37 % (bits + 1); /* in a scattered order; 37 is prime to 33 and 129 */
        allowed_ips_peer_init(&p[length]);
        CHECK(allowed_ips_insert(&table, family, address, (uint8_t)length, &p[length]) == ALLOWED_IPS_OK);
    }
    for (uint32_t flipped = 0; flipped <= bits; flipped++) {
        memcpy(probe, address, 16);
        if (flipped < bits)
            probe[flipped / 8] ^= (uint8_t)(0x80 >> flipped % 8);
        struct allowed_ips_peer *found = family == ALLOWED_IPS_V4 ? allowed_ips_lookup_v4(&table, probe)
                                                                  : allowed_ips_lookup_v6(&table, probe);
        CHECK_MSG(found == &p[flipped], "first different bit %u", flipped);
    }
    /* what iteration reports is masked */
    for (uint32_t length = 0; length <= bits; length++) {
        struct allowed_ips_entry *cursor = NULL;
        struct allowed_ips_prefix prefix;
        CHECK(allowed_ips_iterate(&p[length], &cursor, &prefix));
        CHECK(prefix.family == family && prefix.prefix_length == length);
        for (uint32_t bit = 0; bit < 128; bit++) {
            int expected = bit < length ? address[bit / 8] >> (7 - bit % 8) & 1 : 0;
            if ((prefix.address[bit / 8] >> (7 - bit % 8) & 1) != expected)
                CHECK_MSG(false, "length %u bit %u", length, bit);
        }
        CHECK(!allowed_ips_iterate(&p[length], &cursor, &prefix));
    }
    for (uint32_t i = 0; i <= bits; i++)
        allowed_ips_remove_by_peer(&table, &p[i * 59 % (bits + 1)]);
    CHECK(memory.live_blocks == 0 && !table.roots[family]);
}

/* ---- the model ---- */

enum { MODEL_MAX = 4000, PEERS = 12 };

struct model_prefix {
    enum allowed_ips_family family;
    uint8_t address[16];
    uint8_t length;
    int peer;
    uint64_t order;
};

static struct model_prefix model[MODEL_MAX];
static int model_count;
static uint64_t model_order;
static struct allowed_ips_peer peers[PEERS];

static bool same_bits(const uint8_t *a, const uint8_t *b, uint32_t bits)
{
    if (memcmp(a, b, bits / 8) != 0)
        return false;
    return bits % 8 == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - bits % 8)) == 0;
}

static int model_find(enum allowed_ips_family family, const uint8_t *address, uint8_t length)
{
    for (int i = 0; i < model_count; i++) {
        if (model[i].family == family && model[i].length == length &&
            same_bits(model[i].address, address, length))
            return i;
    }
    return -1;
}

static int model_lookup(enum allowed_ips_family family, const uint8_t *address)
{
    int best = -1, best_length = -1;
    for (int i = 0; i < model_count; i++) {
        if (model[i].family == family && model[i].length > best_length &&
            same_bits(model[i].address, address, model[i].length)) {
            best = model[i].peer;
            best_length = model[i].length;
        }
    }
    return best;
}

static void model_insert(enum allowed_ips_family family, const uint8_t *address, uint8_t length, int peer)
{
    int i = model_find(family, address, length);
    if (i >= 0 && model[i].peer == peer)
        return;
    if (i < 0)
        i = model_count++;
    model[i] =
        (struct model_prefix){.family = family, .length = length, .peer = peer, .order = ++model_order};
    memcpy(model[i].address, address, family == ALLOWED_IPS_V4 ? 4 : 16);
}

/* Addresses from a small world, so that prefixes meet: few distinct bytes, differences at both ends. */
static void random_address(uint8_t address[16], enum allowed_ips_family family)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0x80, 0xff, 0x0a, 0x7f};
    memset(address, 0, 16);
    uint32_t size = family == ALLOWED_IPS_V4 ? 4 : 16;
    for (uint32_t i = 0; i < size; i++)
        address[i] = family == ALLOWED_IPS_V6 && i > 2 && i < 14 ? 0 : bytes[random_below(&rng, 6)];
    if (random_below(&rng, 4) == 0)
        address[random_below(&rng, size)] = (uint8_t)random_u64(&rng);
}

static uint8_t random_length(enum allowed_ips_family family)
{
    uint32_t bits = family == ALLOWED_IPS_V4 ? 32 : 128;
    switch (random_below(&rng, 8)) {
    case 0:
        return (uint8_t)bits;
    case 1:
        return (uint8_t)(random_below(&rng, 4) * bits / 4);
    case 2:
        return (uint8_t)random_below(&rng, bits + 1);
    default:
        return (uint8_t)(bits == 32 ? 8 + random_below(&rng, 25) : 100 + random_below(&rng, 29));
    }
}

/* Every peer's list in the model's order, and nothing else. */
static bool lists_match(void)
{
    for (int peer = 0; peer < PEERS; peer++) {
        struct allowed_ips_entry *cursor = NULL;
        struct allowed_ips_prefix prefix;
        uint64_t last_order = 0;
        uint32_t listed = 0, expected = 0;
        for (int i = 0; i < model_count; i++)
            expected += model[i].peer == peer;
        while (allowed_ips_iterate(&peers[peer], &cursor, &prefix)) {
            int i = model_find(prefix.family, prefix.address, prefix.prefix_length);
            if (i < 0 || model[i].peer != peer || model[i].order <= last_order)
                return false;
            last_order = model[i].order;
            listed++;
        }
        if (listed != expected || allowed_ips_count(&peers[peer]) != expected)
            return false;
    }
    return true;
}

static void test_against_model(uint32_t operations, int size_limit, uint32_t fail_percent)
{
    struct allowed_ips table;
    struct test_memory memory;
    uint64_t lookups = 0, hits = 0, mismatches = 0, failures = 0;
    table_init(&table, &memory);
    model_count = 0;
    for (int i = 0; i < PEERS; i++)
        allowed_ips_peer_init(&peers[i]);
    for (uint32_t n = 0; n < operations; n++) {
        enum allowed_ips_family family = random_below(&rng, 2) ? ALLOWED_IPS_V6 : ALLOWED_IPS_V4;
        uint8_t address[16];
        random_address(address, family);
        uint8_t length = random_length(family);
        int peer = (int)random_below(&rng, PEERS);
        uint32_t kind = random_below(&rng, 1000);
        if (kind < 250 && model_count < size_limit) {
            memory.fail_percent = fail_percent;
            enum allowed_ips_result result =
                allowed_ips_insert(&table, family, address, length, &peers[peer]);
            memory.fail_percent = 0;
            if (result == ALLOWED_IPS_OK)
                model_insert(family, address, length, peer);
            else
                failures++;
            mismatches += result != ALLOWED_IPS_OK && result != ALLOWED_IPS_NO_MEMORY;
        } else if (kind < 450) {
            int i = random_below(&rng, 4) && model_count ? (int)random_below(&rng, (uint32_t)model_count)
                                                         : model_find(family, address, length);
            if (i >= 0) {
                struct model_prefix gone = model[i];
                bool owner = random_below(&rng, 4) != 0 || gone.peer == peer;
                int by = owner ? gone.peer : peer;
                enum allowed_ips_result result =
                    allowed_ips_remove(&table, gone.family, gone.address, gone.length, &peers[by]);
                mismatches += result != (owner ? ALLOWED_IPS_OK : ALLOWED_IPS_NOT_FOUND);
                if (owner)
                    model[i] = model[--model_count];
            } else {
                mismatches += allowed_ips_remove(&table, family, address, length, &peers[peer]) !=
                              ALLOWED_IPS_NOT_FOUND;
            }
        } else if (kind < 452) {
            allowed_ips_remove_by_peer(&table, &peers[peer]);
            for (int i = 0; i < model_count;) {
                if (model[i].peer == peer)
                    model[i] = model[--model_count];
                else
                    i++;
            }
        } else {
            struct allowed_ips_peer *found = family == ALLOWED_IPS_V4
                                                 ? allowed_ips_lookup_v4(&table, address)
                                                 : allowed_ips_lookup_v6(&table, address);
            int expected = model_lookup(family, address);
            lookups++;
            hits += found != NULL;
            mismatches += found != (expected < 0 ? NULL : &peers[expected]);
        }
        if (n % 4096 == 0)
            CHECK(lists_match());
        /* one entry per prefix; nodes: at most one more branch per prefix */
        if (memory.live_blocks > 3 * model_count || memory.live_blocks < 2 * model_count)
            CHECK_MSG(false, "%lld blocks for %d prefixes", (long long)memory.live_blocks, model_count);
    }
    CHECK_MSG(mismatches == 0, "%llu", (unsigned long long)mismatches);
    CHECK(lists_match());
    CHECK(hits > lookups / 100 && (fail_percent == 0 || failures > 100));
    for (int i = 0; i < PEERS; i++)
        allowed_ips_remove_by_peer(&table, &peers[i]);
    CHECK(memory.live_blocks == 0 && memory.live_bytes == 0);
}

/* Each allocation of a fixed build-up fails in turn; afterwards all is as the model says, and the build-up
 * goes on. */
static void test_each_allocation_failing(void)
{
    for (uint64_t fail_at = 1;; fail_at++) {
        struct allowed_ips table;
        struct test_memory memory;
        uint32_t failed = 0;
        table_init(&table, &memory);
        model_count = 0;
        for (int i = 0; i < PEERS; i++)
            allowed_ips_peer_init(&peers[i]);
        rng.state = 99;
        memory.fail_at = fail_at;
        for (int n = 0; n < 40; n++) {
            enum allowed_ips_family family = n & 1 ? ALLOWED_IPS_V6 : ALLOWED_IPS_V4;
            uint8_t address[16];
            random_address(address, family);
            uint8_t length = random_length(family);
            int64_t blocks = memory.live_blocks;
            enum allowed_ips_result result =
                allowed_ips_insert(&table, family, address, length, &peers[n % PEERS]);
            if (result == ALLOWED_IPS_OK) {
                model_insert(family, address, length, n % PEERS);
                continue;
            }
            failed++;
            CHECK(result == ALLOWED_IPS_NO_MEMORY && memory.live_blocks == blocks);
            CHECK(lists_match());
            for (int probe = 0; probe < 50; probe++) {
                random_address(address, ALLOWED_IPS_V6);
                int expected = model_lookup(ALLOWED_IPS_V6, address);
                CHECK(allowed_ips_lookup_v6(&table, address) == (expected < 0 ? NULL : &peers[expected]));
            }
        }
        CHECK(failed <= 1 && lists_match());
        for (int i = 0; i < PEERS; i++)
            allowed_ips_remove_by_peer(&table, &peers[i]);
        CHECK(memory.live_blocks == 0);
        if (!failed)
            break;
        if (fail_at > 500) {
            CHECK(!"the build-up never runs through");
            break;
        }
    }
}

int main(void)
{
    test_longest_prefix();
    test_every_length(ALLOWED_IPS_V4);
    test_every_length(ALLOWED_IPS_V6);
    test_each_allocation_failing();
    rng.state = 17;
    test_against_model(600000, 60, 0);
    test_against_model(300000, 60, 20);
    test_against_model(200000, 800, 2);
    return check_summary();
}
