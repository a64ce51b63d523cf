/* Slots of the arena come from its end, or from a list of free ones of exactly that size, oldest first. */
#include "sim/arena.h"

#include "host.h"
#include "sched/sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA_BYTES (4ull << 30) /* of address space */
#define ARENA_PLACE 0x200000000000ull
#define PAGE        4096u
#define SMALL_BYTES 1024u /* sizes up to this are multiples of SMALL_STEP */
#define SMALL_STEP  64u
#define SIZES       512u
#define SUMMED_MAX  512u  /* contents up to this are always remembered */
#define SUMMED_RATE 8192u /* of 2^16: of the longer ones */

struct size_list {
    size_t capacity;
    bool page_aligned;
    struct arena_slot *first, **tail;
};

static struct size_list sizes[SIZES];
static uint8_t *arena;
static size_t used;

static struct size_list *list_of(size_t capacity, bool page_aligned)
{
    size_t at = (capacity / 16 * 2 + page_aligned) % SIZES;

    for (unsigned i = 0; i < SIZES; i++, at = (at + 1) % SIZES) {
        if (!sizes[at].capacity)
            sizes[at] = (struct size_list){capacity, page_aligned, NULL, &sizes[at].first};
        if (sizes[at].capacity == capacity && sizes[at].page_aligned == page_aligned)
            return &sizes[at];
    }
    host_fatal("too many sizes of simulated memory");
}

/* Small ones in steps, large ones in eight sizes for each power of two, so that slots fit again. */
static size_t round_up(size_t bytes)
{
    size_t step = SMALL_STEP;

    if (bytes > SMALL_BYTES)
        step = (size_t)1 << (63 - __builtin_clzll(bytes) - 3);
    return (bytes + step - 1) & ~(step - 1);
}

static bool arena_map(void)
{
    void *place = mmap((void *)(uintptr_t)ARENA_PLACE, ARENA_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (place == MAP_FAILED)
        place = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                     -1, 0);
    if (place == MAP_FAILED)
        return false;
    arena = place;
    return true;
}

static struct arena_slot *cut(size_t capacity, bool page_aligned)
{
    struct arena_slot *slot;
    size_t at = used;

    if (!arena && !arena_map())
        return NULL;
    if (page_aligned) /* the block behind its first edge starts at a page */
        at = ((at + ARENA_EDGE + PAGE - 1) & ~(size_t)(PAGE - 1)) - ARENA_EDGE;
    if (capacity > ARENA_BYTES - at)
        return NULL;
    slot = calloc(1, sizeof *slot);
    if (!slot)
        return NULL;
    slot->start = arena + at;
    slot->capacity = capacity;
    slot->page_aligned = page_aligned;
    slot->fresh = true;
    used = at + capacity;
    return slot;
}

struct arena_slot *arena_take(size_t bytes, size_t alignment, char **memory)
{
    bool page_aligned = alignment != 1 && bytes >= PAGE;
    size_t rounded = (bytes + 15) & ~(size_t)15, capacity;
    struct size_list *list;
    struct arena_slot *slot;

    if (bytes > ARENA_BYTES)
        return NULL;
    capacity = round_up(rounded + 2 * ARENA_EDGE);
    list = list_of(capacity, page_aligned);
    slot = list->first;
    if (slot) {
        list->first = slot->next;
        slot->fresh = false;
        if (!list->first)
            list->tail = &list->first;
    } else {
        slot = cut(capacity, page_aligned);
        if (!slot)
            return NULL;
    }
    slot->summed = false;
    *memory = (char *)slot->start + ARENA_EDGE + (alignment == 1 ? rounded - bytes : 0);
    return slot;
}

/* Not cryptographic: a mistake is to be found, not an opponent. Capacities are multiples of 16. */
static uint64_t sum_of(const struct arena_slot *slot)
{
    uint64_t a = slot->capacity, b = ~a, words[2];

    for (size_t i = 0; i + sizeof words <= slot->capacity; i += sizeof words) {
        memcpy(words, slot->start + i, sizeof words);
        a = (a ^ words[0]) * 0x9e3779b97f4a7c15ull;
        b = (b ^ words[1]) * 0xc2b2ae3d27d4eb4full;
        a ^= a >> 29;
        b ^= b >> 31;
    }
    return a ^ (b << 1 | b >> 63);
}

void arena_retire(struct arena_slot *slot)
{
    slot->summed = slot->capacity <= SUMMED_MAX || sim_chance(SIM_STREAM_MEMORY, SUMMED_RATE);
    if (slot->summed)
        slot->sum = sum_of(slot);
}

bool arena_untouched(const struct arena_slot *slot)
{
    return !slot->summed || slot->sum == sum_of(slot);
}

void arena_give(struct arena_slot *slot)
{
    struct size_list *list = list_of(slot->capacity, slot->page_aligned);

    slot->next = NULL;
    *list->tail = slot;
    list->tail = &slot->next;
}

void arena_extent(const uint8_t **start, size_t *bytes)
{
    *start = arena;
    *bytes = used;
}
