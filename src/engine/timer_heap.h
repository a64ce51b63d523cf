/* Deadlines, the earliest first: a binary heap whose entries know their place, so that one can be moved. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct timer_entry {
    uint64_t due_ns;
    uint32_t place; /* 0: not in the heap */
};

struct timer_heap {
    struct timer_entry **entries; /* from 1 */
    uint32_t count, capacity;
};

/* Room for so many entries; false: no memory.  All else then cannot fail. */
bool timer_heap_reserve(struct timer_heap *heap, uint32_t entries);
void timer_heap_free(struct timer_heap *heap);

/* Puts an entry in, or moves it. */
void timer_heap_set(struct timer_heap *heap, struct timer_entry *entry, uint64_t due_ns);
void timer_heap_remove(struct timer_heap *heap, struct timer_entry *entry);

/* The entry that is due first, or NULL. */
struct timer_entry *timer_heap_first(const struct timer_heap *heap);
