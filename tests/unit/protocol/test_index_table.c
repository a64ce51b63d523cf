/* The index table: Speck's vector, random insert/replace/remove/grow against a plain list, and growth to the
 * largest size. */
#include "protocol/index_table.h"
#include "support.h"

static struct random rng = {19};
static const uint8_t key[INDEX_KEY_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8};

static void test_permutation(void)
{
    /* "The Simon and Speck Families", appendix C: Speck32/64 */
    static const uint8_t vector_key[8] = {0x00, 0x01, 0x08, 0x09, 0x10, 0x11, 0x18, 0x19};
    uint16_t round_keys[22];
    index_expand_key(round_keys, vector_key);
    CHECK(index_permute(round_keys, 0x6574694c) == 0xa86842f2);
    CHECK(index_unpermute(round_keys, 0xa86842f2) == 0x6574694c);
    for (int n = 0; n < 100000; n++) {
        uint32_t value = (uint32_t)random_u64(&rng);
        if (index_unpermute(round_keys, index_permute(round_keys, value)) != value)
            CHECK_MSG(false, "%u", value);
    }
}

/* Doubles the table. */
static bool grow(struct index_table *table)
{
    uint32_t capacity = index_table_capacity(table);
    void *more = malloc(index_table_memory_bytes(capacity));
    index_table_prepare(more, capacity);
    bool grown = index_table_grow(table, more, capacity);
    if (!grown)
        free(more);
    return grown;
}

/* Frees the table's memory; returns for how many slots it was. */
static uint32_t destroy(struct index_table *table)
{
    uint32_t slots = 0;
    void *memory;
    size_t bytes;
    for (uint32_t n = 0; (memory = index_table_memory(table, n, &bytes)); n++) {
        slots += (uint32_t)(bytes / sizeof(struct index_slot));
        free(memory);
    }
    return slots;
}

static void test_bounds(void)
{
    struct index_table table;
    static uint64_t memory[2 * INDEX_SLOTS_MIN + 2];
    CHECK(index_table_memory_bytes(INDEX_SLOTS_MIN / 2) == 0 &&
          index_table_memory_bytes(INDEX_SLOTS_MIN + 1) == 0 &&
          index_table_memory_bytes(INDEX_SLOTS_MAX * 2) == 0);
    /* All of it is smaller where pointers are. */
    CHECK(index_table_memory_bytes(INDEX_SLOTS_MIN) <= sizeof(memory) &&
          index_table_memory_bytes(INDEX_SLOTS_MIN) > INDEX_SLOTS_MIN * sizeof(uint64_t));
    CHECK(!index_table_init(&table, memory, 1, key));
    CHECK(index_table_init(&table, memory, INDEX_SLOTS_MIN, key));
    /* Not the capacity that it has: somebody else has grown it. */
    CHECK(!index_table_grow(&table, memory, INDEX_SLOTS_MIN / 2) &&
          !index_table_grow(&table, memory, INDEX_SLOTS_MIN * 2) &&
          index_table_capacity(&table) == INDEX_SLOTS_MIN);

    enum index_kind kind;
    int object;
    uint32_t indexes[INDEX_SLOTS_MIN];
    CHECK(!index_table_lookup(&table, INDEX_NONE, &kind) && !index_table_remove(&table, INDEX_NONE));
    CHECK(!index_table_replace(&table, INDEX_NONE, &object, INDEX_KIND_SESSION));
    for (uint32_t i = 0; i < INDEX_SLOTS_MIN; i++) {
        indexes[i] = index_table_insert(&table, &object, INDEX_KIND_HANDSHAKE);
        CHECK(indexes[i] != INDEX_NONE);
    }
    CHECK(index_table_insert(&table, &object, INDEX_KIND_HANDSHAKE) == INDEX_NONE);
    CHECK(index_table_used(&table) == INDEX_SLOTS_MIN);
    /* full, then one out and in again; the only free slot gives another index each time, 1024 times */
    uint32_t index = indexes[3];
    for (int n = 0; n < 1023; n++) {
        CHECK(index_table_remove(&table, index) && !index_table_remove(&table, index));
        uint32_t fresh = index_table_insert(&table, &object, INDEX_KIND_SESSION);
        CHECK(fresh != INDEX_NONE && fresh != index && fresh != indexes[3]);
        CHECK(!index_table_lookup(&table, index, &kind));
        CHECK(index_table_lookup(&table, fresh, &kind) == &object && kind == INDEX_KIND_SESSION);
        index = fresh;
    }
    CHECK(index_table_remove(&table, index));
    CHECK(index_table_insert(&table, &object, INDEX_KIND_SESSION) ==
          indexes[3]); /* the generations are through */
}

/* The (generation, slot) whose permutation is 0 must be passed over: INDEX_NONE is never an index. */
static void test_never_none(void)
{
    enum { CAPACITY = 65536 };
    uint32_t passed_over = 0, wrong = 0;
    void *memory = malloc(index_table_memory_bytes(CAPACITY));
    for (int attempt = 0; attempt < 2000000 && !passed_over; attempt++) {
        uint8_t random_key[INDEX_KEY_BYTES];
        uint16_t round_keys[22];
        random_bytes(&rng, random_key, sizeof(random_key));
        index_expand_key(round_keys, random_key);
        uint32_t bad = index_unpermute(round_keys, INDEX_NONE);
        uint32_t slot = bad & (INDEX_SLOTS_MAX - 1), generation = bad >> INDEX_SLOT_BITS;
        if (slot >= CAPACITY || generation > 2)
            continue;
        struct index_table table;
        int object;
        enum index_kind kind;
        index_table_init(&table, memory, CAPACITY, random_key);
        for (uint32_t n = 0; n < CAPACITY * (generation + 3); n++) {
            uint32_t index = index_table_insert(&table, &object, INDEX_KIND_SESSION);
            wrong += index == INDEX_NONE || index_table_lookup(&table, index, &kind) != &object ||
                     !index_table_remove(&table, index);
        }
        passed_over++;
    }
    free(memory);
    CHECK(passed_over == 1 && wrong == 0);
}

struct held {
    uint32_t index;
    void *object;
    enum index_kind kind;
};

static void test_random(void)
{
    enum { OBJECTS = 4096 };
    static uint64_t objects[OBJECTS];
    static struct held held[OBJECTS];
    static uint32_t gone[1000];
    uint32_t held_count = 0, gone_count = 0, capacity = INDEX_SLOTS_MIN, mismatches = 0;
    struct index_table table;
    CHECK(index_table_init(&table, malloc(index_table_memory_bytes(capacity)), capacity, key));
    for (int n = 0; n < 400000; n++) {
        uint32_t kind = random_below(&rng, 100);
        if (random_below(&rng, 40000) == 0 && capacity < 2000) { /* while slots are free, too */
            mismatches += !grow(&table);
            capacity *= 2;
        }
        enum index_kind tag = random_below(&rng, 2) ? INDEX_KIND_SESSION : INDEX_KIND_HANDSHAKE, found_tag;
        void *object = &objects[random_below(&rng, OBJECTS)];
        if (kind < 30) {
            uint32_t index = index_table_insert(&table, object, tag);
            if (index == INDEX_NONE) {
                mismatches += held_count != capacity;
                if (capacity < 2000) {
                    mismatches += !grow(&table);
                    capacity *= 2;
                }
            } else {
                held[held_count++] = (struct held){index, object, tag};
            }
        } else if (kind < 58 && held_count) {
            uint32_t i = random_below(&rng, held_count);
            mismatches += !index_table_remove(&table, held[i].index);
            gone[gone_count++ % 1000] = held[i].index;
            held[i] = held[--held_count];
        } else if (kind < 70 && held_count) {
            uint32_t i = random_below(&rng, held_count);
            mismatches += !index_table_replace(&table, held[i].index, object, tag);
            held[i].object = object;
            held[i].kind = tag;
        } else if (kind < 90 && held_count) {
            uint32_t i = random_below(&rng, held_count);
            mismatches += index_table_lookup(&table, held[i].index, &found_tag) != held[i].object ||
                          found_tag != held[i].kind;
        } else {
            uint32_t index = gone_count ? gone[random_below(&rng, gone_count < 1000 ? gone_count : 1000)] : 7;
            bool in_use = false;
            for (uint32_t i = 0; i < held_count; i++)
                in_use |= held[i].index == index;
            mismatches += (index_table_lookup(&table, index, &found_tag) != NULL) != in_use;
            if (!in_use)
                mismatches +=
                    index_table_remove(&table, index) || index_table_replace(&table, index, object, tag);
        }
        mismatches += index_table_used(&table) != held_count;
    }
    CHECK_MSG(mismatches == 0, "%u", mismatches);
    CHECK(capacity >= 2000 && index_table_capacity(&table) == capacity);
    /* distinct */
    for (uint32_t i = 0; i < held_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (held[i].index == held[j].index)
                CHECK_MSG(false, "%u twice", held[i].index);
        }
    }
    CHECK(destroy(&table) == capacity);
}

/* Every slot of the largest table from the smallest, each doubling with all former indexes still valid. */
static void test_largest(void)
{
    enum { STEP = 4093 }; /* not every index is looked at again each time */
    uint32_t *indexes = malloc(INDEX_SLOTS_MAX * sizeof(*indexes)), count = 0, wrong = 0;
    uint64_t *objects = malloc(INDEX_SLOTS_MAX * sizeof(*objects));
    struct index_table table;
    enum index_kind kind;
    CHECK(index_table_init(&table, malloc(index_table_memory_bytes(INDEX_SLOTS_MIN)), INDEX_SLOTS_MIN, key));
    do {
        while ((indexes[count] = index_table_insert(&table, &objects[count], INDEX_KIND_SESSION)) !=
               INDEX_NONE)
            if (++count == INDEX_SLOTS_MAX)
                break;
        wrong += count != index_table_capacity(&table);
        for (uint32_t i = 0; i<count; i += count> STEP ? STEP : 1)
            wrong += index_table_lookup(&table, indexes[i], &kind) != &objects[i];
    } while (grow(&table));
    CHECK(count == INDEX_SLOTS_MAX && index_table_insert(&table, objects, INDEX_KIND_SESSION) == INDEX_NONE);
    for (uint32_t i = 0; i < count; i++)
        wrong += index_table_lookup(&table, indexes[i], &kind) != &objects[i] ||
                 !index_table_remove(&table, indexes[i]);
    CHECK_MSG(wrong == 0, "%u", wrong);
    CHECK(index_table_used(&table) == 0 && destroy(&table) == INDEX_SLOTS_MAX);
    free(indexes);
    free(objects);
}

/* Two keys, two worlds; and a wire index says nothing about its slot. */
static void test_unpredictable(void)
{
    static uint64_t memory_a[2 * 64 + 2], memory_b[2 * 64 + 2];
    struct index_table a, b;
    uint8_t other_key[8] = {9};
    int object;
    uint32_t small = 0, equal = 0;
    index_table_init(&a, memory_a, 64, key);
    index_table_init(&b, memory_b, 64, other_key);
    for (int n = 0; n < 64; n++) {
        uint32_t index_a = index_table_insert(&a, &object, INDEX_KIND_SESSION);
        uint32_t index_b = index_table_insert(&b, &object, INDEX_KIND_SESSION);
        small += index_a < (1u << 24);
        equal += index_a == index_b;
    }
    CHECK(equal == 0 && small < 8);
}

int main(void)
{
    test_permutation();
    test_bounds();
    test_never_none();
    test_random();
    test_largest();
    test_unpredictable();
    return check_summary();
}
