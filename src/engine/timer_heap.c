/* See timer_heap.h. */
#include "timer_heap.h"

#include <stdlib.h>

#define ENTRIES_FIRST 64

bool timer_heap_reserve(struct timer_heap *heap, uint32_t entries)
{
    uint32_t capacity = heap->capacity ? heap->capacity : ENTRIES_FIRST;
    while (capacity < entries)
        capacity *= 2;
    if (capacity == heap->capacity)
        return true;
    struct timer_entry **grown =
        realloc(heap->entries, ((size_t)capacity + 1) * sizeof(struct timer_entry *));
    if (!grown)
        return false;
    heap->entries = grown;
    heap->capacity = capacity;
    return true;
}

void timer_heap_free(struct timer_heap *heap)
{
    free(heap->entries);
    *heap = (struct timer_heap){0};
}

static void put(struct timer_heap *heap, uint32_t place, struct timer_entry *entry)
{
    heap->entries[place] = entry;
    entry->place = place;
}

/* Finds the right place for an entry, beginning at `place`, which is free. */
static void settle(struct timer_heap *heap, uint32_t place, struct timer_entry *entry)
{
    while (place > 1 && heap->entries[place / 2]->due_ns > entry->due_ns) {
        put(heap, place, heap->entries[place / 2]);
        place /= 2;
    }
    for (;;) {
        uint32_t child = place * 2;
        if (child < heap->count && heap->entries[child + 1]->due_ns < heap->entries[child]->due_ns)
            child++;
        if (child > heap->count || heap->entries[child]->due_ns >= entry->due_ns)
            break;
        put(heap, place, heap->entries[child]);
        place = child;
    }
    put(heap, place, entry);
}

void timer_heap_set(struct timer_heap *heap, struct timer_entry *entry, uint64_t due_ns)
{
    uint32_t place = entry->place ? entry->place : ++heap->count;
    entry->due_ns = due_ns;
    settle(heap, place, entry);
}

void timer_heap_remove(struct timer_heap *heap, struct timer_entry *entry)
{
    uint32_t place = entry->place;
    if (!place)
        return;
    entry->place = 0;
    struct timer_entry *last = heap->entries[heap->count--];
    if (last != entry)
        settle(heap, place, last);
}

struct timer_entry *timer_heap_first(const struct timer_heap *heap)
{
    return heap->count ? heap->entries[1] : NULL;
}
