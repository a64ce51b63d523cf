/* The index table: a permuted (generation, slot) number names a slot; free slots queue up first in, first
 * out, so that a freed index is as long as possible out of use. */
#include "protocol/index_table.h"

#define SLOT_MASK (INDEX_SLOTS_MAX - 1)
#define KIND_MASK ((uintptr_t)1)

_Static_assert(INDEX_SLOTS_MIN << (INDEX_SEGMENTS - 1) == INDEX_SLOTS_MAX, "a segment for each doubling");

/* ---- Speck32/64 (Beaulieu et al., "The Simon and Speck Families of Lightweight Block Ciphers") ---- */

#define ROUNDS 22

static uint16_t rotate_right_7(uint16_t x)
{
    return (uint16_t)(x >> 7 | x << 9);
}

static uint16_t rotate_left_7(uint16_t x)
{
    return (uint16_t)(x << 7 | x >> 9);
}

static uint16_t rotate_left_2(uint16_t x)
{
    return (uint16_t)(x << 2 | x >> 14);
}

static uint16_t rotate_right_2(uint16_t x)
{
    return (uint16_t)(x >> 2 | x << 14);
}

void index_expand_key(uint16_t round_keys[22], const uint8_t key[INDEX_KEY_BYTES])
{
    uint16_t l[ROUNDS + 2];
    round_keys[0] = (uint16_t)(key[0] | key[1] << 8);
    for (int i = 0; i < 3; i++)
        l[i] = (uint16_t)(key[2 + 2 * i] | key[3 + 2 * i] << 8);
    for (int i = 0; i < ROUNDS - 1; i++) {
        l[i + 3] = (uint16_t)((uint16_t)(round_keys[i] + rotate_right_7(l[i])) ^ i);
        round_keys[i + 1] = (uint16_t)(rotate_left_2(round_keys[i]) ^ l[i + 3]);
    }
}

uint32_t index_permute(const uint16_t round_keys[22], uint32_t value)
{
    uint16_t x = (uint16_t)(value >> 16), y = (uint16_t)value;
    for (int i = 0; i < ROUNDS; i++) {
        x = (uint16_t)((uint16_t)(rotate_right_7(x) + y) ^ round_keys[i]);
        y = (uint16_t)(rotate_left_2(y) ^ x);
    }
    return (uint32_t)x << 16 | y;
}

uint32_t index_unpermute(const uint16_t round_keys[22], uint32_t value)
{
    uint16_t x = (uint16_t)(value >> 16), y = (uint16_t)value;
    for (int i = ROUNDS - 1; i >= 0; i--) {
        y = rotate_right_2((uint16_t)(y ^ x));
        x = rotate_left_7((uint16_t)((uint16_t)(x ^ round_keys[i]) - y));
    }
    return (uint32_t)x << 16 | y;
}

/* ---- the table ---- */

static uint32_t make_link(uint32_t generation, uint32_t next)
{
    return generation << INDEX_SLOT_BITS | next;
}

size_t index_table_memory_bytes(uint32_t slots)
{
    if (slots < INDEX_SLOTS_MIN || slots > INDEX_SLOTS_MAX || (slots & (slots - 1)) != 0)
        return 0;
    return (size_t)slots * sizeof(struct index_slot);
}

/* `count` free slots, the first of which has the number `first`, each linked with the next. */
static void link_slots(struct index_slot *slots, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        slots[i] = (struct index_slot){.link = make_link(0, i + 1 < count ? first + i + 1 : 0)};
}

bool index_table_init(struct index_table *table, void *memory, uint32_t capacity,
                      const uint8_t key[INDEX_KEY_BYTES])
{
    if (index_table_memory_bytes(capacity) == 0)
        return false;
    *table = (struct index_table){
        .first_bits = (uint32_t)__builtin_ctz(capacity), .capacity = capacity, .free_tail = capacity - 1};
    index_expand_key(table->round_keys, key);
    link_slots(memory, 0, capacity);
    __atomic_store_n(&table->segments[0], memory, __ATOMIC_RELEASE);
    return true;
}

uint32_t index_table_capacity(const struct index_table *table)
{
    return table->capacity;
}

/* The slot of a number, or NULL when the table is not that large.  The first segment has the numbers below
 * 1 << first_bits, each further one those with one more bit. */
static struct index_slot *slot_of(const struct index_table *table, uint32_t number)
{
    uint32_t segment = 0, high = number >> table->first_bits;
    if (high != 0) {
        uint32_t bits = (uint32_t)__builtin_clz(high) ^ 31;
        segment = bits + 1;
        number -= UINT32_C(1) << (bits + table->first_bits);
    }
    struct index_slot *slots = __atomic_load_n(&table->segments[segment], __ATOMIC_ACQUIRE);
    return slots ? &slots[number] : NULL;
}

void index_table_prepare(void *memory, uint32_t capacity)
{
    link_slots(memory, capacity, capacity);
}

/* Puts `first` and what is linked with it up to `last` behind the queue of free slots. */
static void free_append(struct index_table *table, uint32_t first, uint32_t last)
{
    if (table->used == table->capacity) {
        table->free_head = first;
    } else {
        uint32_t *link = &slot_of(table, table->free_tail)->link;
        *link = make_link(*link >> INDEX_SLOT_BITS, first);
    }
    table->free_tail = last;
}

bool index_table_grow(struct index_table *table, void *memory, uint32_t capacity)
{
    if (capacity != table->capacity || capacity == INDEX_SLOTS_MAX)
        return false;
    uint32_t segment = (uint32_t)__builtin_ctz(capacity) - table->first_bits + 1;
    free_append(table, capacity, 2 * capacity - 1);
    table->capacity = 2 * capacity;
    __atomic_store_n(&table->segments[segment], memory, __ATOMIC_RELEASE);
    return true;
}

void *index_table_memory(const struct index_table *table, uint32_t n, size_t *bytes)
{
    if (n >= INDEX_SEGMENTS || !table->segments[n])
        return NULL;
    *bytes = index_table_memory_bytes(UINT32_C(1) << (table->first_bits + (n > 0 ? n - 1 : 0)));
    return table->segments[n];
}

/* The slot an index in use lives in, or NULL. */
static struct index_slot *find(const struct index_table *table, uint32_t index)
{
    struct index_slot *slot = slot_of(table, index_unpermute(table->round_keys, index) & SLOT_MASK);
    if (index == INDEX_NONE || !slot)
        return NULL;
    return __atomic_load_n(&slot->index, __ATOMIC_ACQUIRE) == index ? slot : NULL;
}

static void *tag(void *object, enum index_kind kind)
{
    return (void *)((uintptr_t)object | (uintptr_t)kind);
}

uint32_t index_table_insert(struct index_table *table, void *object, enum index_kind kind)
{
    if (table->used == table->capacity)
        return INDEX_NONE;
    uint32_t number = table->free_head;
    struct index_slot *slot = slot_of(table, number);
    uint32_t generation = slot->link >> INDEX_SLOT_BITS;
    uint32_t index = index_permute(table->round_keys, make_link(generation, number));
    if (index == INDEX_NONE)
        index = index_permute(table->round_keys, make_link(++generation, number));
    table->free_head = slot->link & SLOT_MASK;
    table->used++;
    /* The object first: a reader that finds the new index must find the new object (see index_table_lookup).
     */
    __atomic_store_n(&slot->object, tag(object, kind), __ATOMIC_RELEASE);
    __atomic_store_n(&slot->index, index, __ATOMIC_RELEASE);
    return index;
}

bool index_table_replace(struct index_table *table, uint32_t index, void *object, enum index_kind kind)
{
    struct index_slot *slot = find(table, index);
    if (!slot)
        return false;
    __atomic_store_n(&slot->object, tag(object, kind), __ATOMIC_RELEASE);
    return true;
}

bool index_table_remove(struct index_table *table, uint32_t index)
{
    struct index_slot *slot = find(table, index);
    if (!slot)
        return false;
    uint32_t value = index_unpermute(table->round_keys, index);
    __atomic_store_n(&slot->index, INDEX_NONE, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->object, NULL, __ATOMIC_RELEASE);

    uint32_t number = value & SLOT_MASK;
    slot->link = make_link((value >> INDEX_SLOT_BITS) + 1, 0);
    free_append(table, number, number);
    table->used--;
    return true;
}

void *index_table_lookup(const struct index_table *table, uint32_t index, enum index_kind *kind)
{
    struct index_slot *slot = find(table, index);
    if (!slot)
        return NULL;
    uintptr_t tagged = (uintptr_t)__atomic_load_n(&slot->object, __ATOMIC_ACQUIRE);
    /* Between the two loads the slot may have been given to another: whoever sees the newer object also sees
     * that the index was taken away before. */
    if (__atomic_load_n(&slot->index, __ATOMIC_RELAXED) != index)
        return NULL;
    *kind = (enum index_kind)(tagged & KIND_MASK);
    return (void *)(tagged & ~KIND_MASK);
}

uint32_t index_table_used(const struct index_table *table)
{
    return table->used;
}
