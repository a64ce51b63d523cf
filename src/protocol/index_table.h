/* Receiver indexes (white paper 5.4.2: I_m): from the 32 bits on the wire to a handshake or session with one
 * array access.  The wire index is a keyed permutation (Speck32/64) of a slot number and a generation count,
 * so that indexes are unpredictable, unique, and not soon used again.
 *
 * The table doubles by adding a segment with as many slots as there are already: no slot ever moves, so
 * growing takes a moment only, whatever the size.
 *
 * Concurrency: index_table_lookup runs at any time at any IRQL without a lock, inside an epoch (which keeps
 * the objects found alive).  Insert, replace, remove and grow are writers and exclude each other (the
 * adapter's index lock). */
#pragma once

#include "protocol/constants.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Slot numbers have 22 bits, generations the remaining 10: room for four indexes of each of 2^20 peers. */
#define INDEX_SLOT_BITS 22
#define INDEX_SLOTS_MAX (UINT32_C(1) << INDEX_SLOT_BITS)
#define INDEX_SLOTS_MIN 16
#define INDEX_KEY_BYTES 8
/* From the smallest first segment to the largest table. */
#define INDEX_SEGMENTS 19

/* What an index stands for; the caller gives the kinds a meaning. */
enum index_kind { INDEX_KIND_HANDSHAKE = 0, INDEX_KIND_SESSION = 1 };

struct index_slot {
    void *object;   /* atomic; low bit: kind; NULL: free */
    uint32_t index; /* atomic; wire index, INDEX_NONE: free */
    uint32_t link;  /* writers only, free slots: generation and next free slot */
};

/* Private to index_table.c. */
struct index_table {
    struct index_slot *segments[INDEX_SEGMENTS]; /* atomic; the caller's memory, NULL: not there yet */
    uint32_t first_bits;                         /* the first segment has 1 << first_bits slots */
    uint32_t capacity, used, free_head, free_tail;
    uint16_t round_keys[22];
};

/* Bytes of memory for `slots` slots; 0 when that is no power of two from INDEX_SLOTS_MIN to INDEX_SLOTS_MAX.
 */
size_t index_table_memory_bytes(uint32_t slots);

/* `memory`: as many bytes as index_table_memory_bytes(capacity) says, aligned to 16, for the life of the
 * table. `key`: random, fresh.  False when the capacity is none that memory_bytes knows. */
bool index_table_init(struct index_table *table, void *memory, uint32_t capacity,
                      const uint8_t key[INDEX_KEY_BYTES]);

/* Slots of the table, free ones included. */
uint32_t index_table_capacity(const struct index_table *table);

/* Makes memory of index_table_memory_bytes(capacity) bytes, aligned to 16, ready to double a table of
 * `capacity` slots: the long part of growing, which needs no lock. */
void index_table_prepare(void *memory, uint32_t capacity);

/* Adds prepared memory, which the table keeps to its end.  False: the table has not `capacity` slots now
 * (another writer was faster), or has its largest size; `memory` is not used. */
bool index_table_grow(struct index_table *table, void *memory, uint32_t capacity);

/* The n-th memory the table was given, to release it at its end, and its bytes; NULL: there are no more. */
void *index_table_memory(const struct index_table *table, uint32_t n, size_t *bytes);

/* A fresh index for an object (aligned to 2 at least, not NULL).  INDEX_NONE when all slots are in use: grow.
 */
uint32_t index_table_insert(struct index_table *table, void *object, enum index_kind kind);

/* Lets an index in use stand for another object from now on (handshake -> session).  False: not in use. */
bool index_table_replace(struct index_table *table, uint32_t index, void *object, enum index_kind kind);

/* Frees an index.  False: not in use (INDEX_NONE is allowed and answers false). */
bool index_table_remove(struct index_table *table, uint32_t index);

/* The object and kind of an index, or NULL.  The object may just have been removed: take a reference that can
 * fail. */
void *index_table_lookup(const struct index_table *table, uint32_t index, enum index_kind *kind);

/* Slots in use. */
uint32_t index_table_used(const struct index_table *table);

/* The permutation, for tests: Speck32/64 with the table's key. */
uint32_t index_permute(const uint16_t round_keys[22], uint32_t value);
uint32_t index_unpermute(const uint16_t round_keys[22], uint32_t value);
void index_expand_key(uint16_t round_keys[22], const uint8_t key[INDEX_KEY_BYTES]);
