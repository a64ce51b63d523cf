/* The index table: a permuted (generation, slot) number names a slot; free slots queue up first in, first
 * out, so that a freed index is as long as possible out of use. */
#include "protocol/index_table.h"

#define SLOT_MASK (INDEX_SLOTS_MAX - 1)
#define KIND_MASK ((uintptr_t)1)

struct index_slots {
    uint32_t capacity;
    uint32_t reserved[3];
    struct index_slot slots[];
};
_Static_assert(sizeof(struct index_slots) == 16, "slots stay aligned");

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

size_t index_table_memory_bytes(uint32_t capacity)
{
    if (capacity < INDEX_SLOTS_MIN || capacity > INDEX_SLOTS_MAX)
        return 0;
    return sizeof(struct index_slots) + (size_t)capacity * sizeof(struct index_slot);
}

/* Puts the slots from `first` on behind the queue of free ones. */
static void add_free_slots(struct index_table *table, struct index_slots *slots, uint32_t first)
{
    for (uint32_t i = first; i < slots->capacity; i++)
        slots->slots[i] = (struct index_slot){.link = make_link(0, i + 1 < slots->capacity ? i + 1 : 0)};
    if (table->used == first) {
        table->free_head = first;
    } else {
        uint32_t *link = &slots->slots[table->free_tail].link;
        *link = make_link(*link >> INDEX_SLOT_BITS, first);
    }
    table->free_tail = slots->capacity - 1;
}

bool index_table_init(struct index_table *table, void *memory, uint32_t capacity,
                      const uint8_t key[INDEX_KEY_BYTES])
{
    if (index_table_memory_bytes(capacity) == 0)
        return false;
    struct index_slots *slots = memory;
    slots->capacity = capacity;
    table->used = 0;
    index_expand_key(table->round_keys, key);
    add_free_slots(table, slots, 0);
    __atomic_store_n(&table->slots, slots, __ATOMIC_RELEASE);
    return true;
}

void *index_table_grow(struct index_table *table, void *memory, uint32_t capacity)
{
    struct index_slots *former = table->slots, *slots = memory;
    if (capacity <= former->capacity || capacity > INDEX_SLOTS_MAX)
        return NULL;
    slots->capacity = capacity;
    __builtin_memcpy(slots->slots, former->slots, (size_t)former->capacity * sizeof(struct index_slot));
    add_free_slots(table, slots, former->capacity);
    __atomic_store_n(&table->slots, slots, __ATOMIC_RELEASE);
    return former;
}

/* The slot an index in use lives in, or NULL. */
static struct index_slot *find(const struct index_table *table, uint32_t index)
{
    struct index_slots *slots = __atomic_load_n(&table->slots, __ATOMIC_ACQUIRE);
    uint32_t number = index_unpermute(table->round_keys, index) & SLOT_MASK;
    if (index == INDEX_NONE || number >= slots->capacity)
        return NULL;
    struct index_slot *slot = &slots->slots[number];
    return __atomic_load_n(&slot->index, __ATOMIC_ACQUIRE) == index ? slot : NULL;
}

static void *tag(void *object, enum index_kind kind)
{
    return (void *)((uintptr_t)object | (uintptr_t)kind);
}

uint32_t index_table_insert(struct index_table *table, void *object, enum index_kind kind)
{
    struct index_slots *slots = table->slots;
    if (table->used == slots->capacity)
        return INDEX_NONE;
    uint32_t number = table->free_head;
    struct index_slot *slot = &slots->slots[number];
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
    struct index_slots *slots = table->slots;
    uint32_t value = index_unpermute(table->round_keys, index);
    __atomic_store_n(&slot->index, INDEX_NONE, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->object, NULL, __ATOMIC_RELEASE);

    uint32_t number = value & SLOT_MASK;
    slot->link = make_link((value >> INDEX_SLOT_BITS) + 1, 0);
    if (table->used == slots->capacity) {
        table->free_head = number;
    } else {
        uint32_t *link = &slots->slots[table->free_tail].link;
        *link = make_link(*link >> INDEX_SLOT_BITS, number);
    }
    table->free_tail = number;
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
