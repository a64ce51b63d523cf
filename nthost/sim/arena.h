/* The simulation's memory for the driver: one mapping at a fixed place, from which verify mode's blocks are
 * cut (verify/pool.c keeps the books).  Nothing is ever given back to the system, and freed memory keeps its
 * content until it is used again, so that a search finds what was not wiped. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARENA_EDGE 16u /* bytes at least in front of and behind each block, inside its slot */

struct arena_slot {
    struct arena_slot *next; /* free ones of the same size */
    uint8_t *start;
    size_t capacity; /* edges included */
    bool page_aligned;
    bool fresh;  /* never used before: all zero */
    bool summed; /* retired, and its content is known */
    uint64_t sum;
};

/* Room for `bytes`.  `alignment` 1: *memory ends at a multiple of 16; else it starts at one, and at a page if
 * it has a page or more. NULL: the arena is full. */
struct arena_slot *arena_take(size_t bytes, size_t alignment, char **memory);
/* Freed: the content is remembered (of small blocks always, of a sample of the others). */
void arena_retire(struct arena_slot *slot);
/* False: somebody has written to it since it was retired. */
bool arena_untouched(const struct arena_slot *slot);
/* May be used again. */
void arena_give(struct arena_slot *slot);
/* All that was ever used. */
void arena_extent(const uint8_t **start, size_t *bytes);
