/* Guarded memory: pool allocations, and what the host lends to the driver (IRPs, packets).  Each block ends
 * at an inaccessible page; what is left in front of it holds a pattern.  A freed block stays inaccessible in
 * quarantine, with the stacks of its allocation and its freeing, until younger ones push it out.
 *
 * In the simulation blocks come from its arena instead (sim/arena.h): between two edges, without system
 * calls, and freed ones keep their content; writing to it is found when the memory is to be used again. */
#include "sched/sim.h"
#include "sim/arena.h"
#include "sim/edges.h"
#include "verify/internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE             4096u
#define BUCKETS          16384u
#define ALIGNMENT        16u
#define EDGE_FILL        0xbd /* around the block: nobody writes there */
#define FRONT_FILL       256u /* bytes in front of the block that carry the pattern */
#define UNINITIALIZED    0xc5 /* in the block */
#define QUARANTINE       16384u
#define RELEASED_AT_ONCE 8u
#define QUARANTINE_BYTES (512u << 20) /* of address space */
#define ARENA_QUARANTINE (4u << 20)   /* bytes: what a search of memory has to look at */
#define GUARDED_MAX      28000u       /* two mappings each; Linux allows a process 65530 */
#define PAGES_INDEXED    8u

struct block;
struct page_link { /* finds the block of an address */
    struct page_link *next;
    struct block *block;
    uintptr_t page;
};

struct block {
    struct block *next;      /* same bucket */
    char *map;               /* NULL: no guard page, heap memory between two edges */
    size_t mapped;           /* with the guard page; of an arena's slot: all of it */
    struct arena_slot *slot; /* in the simulation */
    char *memory;
    size_t bytes;
    size_t front; /* pattern bytes before, and from the end of the block to its guard */
    size_t back;
    uint32_t tag;
    enum memory_state state;
    const char *what;
    enum verify_rule rule;
    const struct stack *allocated, *freed;
    unsigned pages;
    struct page_link links[PAGES_INDEXED];
};

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *blocks[BUCKETS];
static struct page_link *pages[BUCKETS];
static struct block *quarantine[QUARANTINE]; /* a ring */
static unsigned quarantine_oldest, quarantine_count;
static size_t quarantine_bytes, guarded;
static bool unguarded_told;
static uint64_t pool_bytes, pool_bytes_peak; /* of live pool allocations; kept in the simulation only */

static struct block **bucket_of(const void *memory)
{
    return &blocks[((uintptr_t)memory * 0x9e3779b97f4a7c15ull) >> 50];
}

static struct page_link **page_bucket(uintptr_t page)
{
    return &pages[(page * 0x9e3779b97f4a7c15ull) >> 50];
}

/* ---- the index; pool_lock is held ---- */

static void index_add(struct block *block)
{
    struct block **bucket = bucket_of(block->memory);
    block->next = *bucket;
    *bucket = block;
    uintptr_t first = (uintptr_t)block->memory / PAGE,
              last = ((uintptr_t)block->memory + block->bytes - 1) / PAGE;
    block->pages =
        (block->map || block->slot) && last - first < PAGES_INDEXED ? (unsigned)(last - first + 1) : 0;
    for (unsigned i = 0; i < block->pages; i++) {
        struct page_link **link = page_bucket(first + i);
        block->links[i] = (struct page_link){*link, block, first + i};
        *link = &block->links[i];
    }
}

static void index_remove(struct block *block)
{
    struct block **at = bucket_of(block->memory);
    while (*at != block)
        at = &(*at)->next;
    *at = block->next;
    for (unsigned i = 0; i < block->pages; i++) {
        struct page_link **link = page_bucket(block->links[i].page);
        while (*link != &block->links[i])
            link = &(*link)->next;
        *link = block->links[i].next;
    }
}

static struct block *index_find(const void *memory)
{
    struct block *block = *bucket_of(memory);
    while (block && block->memory != memory)
        block = block->next;
    return block;
}

static bool covers(const struct block *block, uintptr_t address)
{
    uintptr_t begin = block->map ? (uintptr_t)block->map : (uintptr_t)block->memory;
    return address >= begin && address < begin + (block->map ? block->mapped : block->bytes);
}

static struct block *scan(uintptr_t address)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (struct block *block = blocks[i]; block; block = block->next) {
            if (covers(block, address))
                return block;
        }
    }
    return NULL;
}

/* ---- making and dropping memory ---- */

static bool map_guarded(struct block *block, size_t alignment)
{
    size_t rounded = (block->bytes + alignment - 1) & ~(alignment - 1);
    size_t data = (rounded + PAGE - 1) & ~(size_t)(PAGE - 1);
    block->mapped = data + PAGE;
    char *map = mmap(NULL, block->mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return false;
    if (mprotect(map, data, PROT_READ | PROT_WRITE) != 0) {
        munmap(map, block->mapped);
        return false;
    }
    block->map = map;
    /* A block of a page or more starts at a page, as drivers may expect of the pool. */
    block->memory = alignment == ALIGNMENT && block->bytes >= PAGE ? map : map + data - rounded;
    block->front = (size_t)(block->memory - map);
    block->back = (size_t)(map + data - (block->memory + block->bytes));
    if (block->front > FRONT_FILL)
        block->front = FRONT_FILL;
    return true;
}

static void take_heap(struct block *block)
{
    char *memory = aligned_alloc(ALIGNMENT, (block->bytes + 3 * ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
    if (!memory)
        host_fatal("no memory for a pool allocation of %zu bytes", block->bytes);
    block->memory = memory + ALIGNMENT;
    block->front = block->back = ALIGNMENT;
}

static void take_slot(struct block *block, size_t alignment)
{
    block->slot = arena_take(block->bytes, alignment, &block->memory);
    if (!block->slot)
        host_fatal("no simulated memory for %zu bytes", block->bytes);
    block->mapped = block->slot->capacity;
    block->front = (size_t)(block->memory - (char *)block->slot->start);
    block->back = block->slot->capacity - block->front - block->bytes;
}

static struct block *block_make(size_t bytes, size_t alignment, const char *what, enum verify_rule rule)
{
    struct block *block = calloc(1, sizeof *block);
    if (!block)
        host_fatal("no memory for the record of an allocation");
    *block = (struct block){.bytes = bytes, .what = what, .rule = rule, .state = MEMORY_LIVE};
    block->allocated = stack_capture();
    if (sim_active) {
        take_slot(block, alignment);
    } else if (__atomic_load_n(&guarded, __ATOMIC_RELAXED) >= GUARDED_MAX || !map_guarded(block, alignment)) {
        if (!__atomic_exchange_n(&unguarded_told, true, __ATOMIC_RELAXED))
            host_warn("verify: more than %u allocations at a time: the others have no guard page",
                      GUARDED_MAX);
        take_heap(block);
    } else {
        __atomic_fetch_add(&guarded, 1, __ATOMIC_RELAXED);
    }
    memset(block->memory - block->front, EDGE_FILL, block->front);
    memset(block->memory + bytes, EDGE_FILL, block->back);
    pthread_mutex_lock(&pool_lock);
    index_add(block);
    pthread_mutex_unlock(&pool_lock);
    return block;
}

static unsigned history(const struct block *block, struct report_note notes[2]);

static void check_untouched(const struct block *block)
{
    struct report_note notes[2];
    if (!arena_untouched(block->slot))
        report_notes(block->rule, notes, history(block, notes),
                     "%s %p of %zu bytes was written to after it was freed or given back (found when its "
                     "memory was to be used again)",
                     block->what, (void *)block->memory, block->bytes);
}

static void block_forget(struct block *block)
{
    if (block->slot) {
        check_untouched(block);
        arena_give(block->slot);
    } else if (block->map)
        munmap(block->map, block->mapped);
    else
        free(block->memory - ALIGNMENT);
    free(block);
}

/* After its last use: inaccessible, and in the place of the oldest one. */
static void block_retire(struct block *block)
{
    struct block *out[RELEASED_AT_ONCE];
    size_t limit = block->slot ? ARENA_QUARANTINE : QUARANTINE_BYTES;
    unsigned count = 0;
    if (block->map) {
        __atomic_fetch_sub(&guarded, 1, __ATOMIC_RELAXED);
        mprotect(block->map, block->mapped, PROT_NONE);
        madvise(block->map, block->mapped, MADV_DONTNEED);
    } else if (block->slot) {
        arena_retire(block->slot);
    } else {
        memset(block->memory, EDGE_FILL, block->bytes);
    }
    pthread_mutex_lock(&pool_lock);
    quarantine_bytes += block->mapped;
    while (count < RELEASED_AT_ONCE && quarantine_count &&
           (quarantine_count == QUARANTINE || quarantine_bytes > limit)) {
        struct block *oldest = quarantine[quarantine_oldest];
        quarantine_oldest = (quarantine_oldest + 1) % QUARANTINE;
        quarantine_count--;
        quarantine_bytes -= oldest->mapped;
        index_remove(oldest);
        out[count++] = oldest;
    }
    quarantine[(quarantine_oldest + quarantine_count++) % QUARANTINE] = block;
    pthread_mutex_unlock(&pool_lock);
    for (unsigned i = 0; i < count; i++)
        block_forget(out[i]);
}

/* ---- reports ---- */

static unsigned history(const struct block *block, struct report_note notes[2])
{
    snprintf(notes[0].title, sizeof notes[0].title, "%s of %zu bytes made", block->what, block->bytes);
    notes[0].stack = block->allocated;
    if (block->state != MEMORY_FREED)
        return 1;
    snprintf(notes[1].title, sizeof notes[1].title, "freed or given back");
    notes[1].stack = block->freed;
    return 2;
}

static void check_edges(const struct block *block)
{
    struct report_note notes[2];
    for (size_t i = 1; i <= block->front; i++) {
        if ((uint8_t)block->memory[-(ptrdiff_t)i] != EDGE_FILL)
            report_notes(RULE_POOL_UNDERRUN, notes, history(block, notes),
                         "byte %zu in front of %s %p was written to (found when it is freed)", i, block->what,
                         (void *)block->memory);
    }
    for (size_t i = 0; i < block->back; i++) {
        if ((uint8_t)block->memory[block->bytes + i] != EDGE_FILL)
            report_notes(RULE_POOL_OVERRUN, notes, history(block, notes),
                         "byte %zu behind %s %p of %zu bytes was written to (found when it is freed)", i + 1,
                         block->what, (void *)block->memory, block->bytes);
    }
}

static void check_active(const struct block *block)
{
    struct report_note notes[3];
    const void *object;
    const char *what = active_find(block->memory, block->bytes, &object, &notes[2].stack);
    if (!what)
        return;
    struct report_note all[3];
    unsigned count = history(block, all);
    snprintf(all[count].title, sizeof all[count].title, "%s since", what);
    all[count].stack = notes[2].stack;
    report_notes(RULE_POOL_ACTIVE_OBJECT, all, count + 1, "%p is freed while it holds a %s (at %p)",
                 (void *)block->memory, what, object);
}

_Noreturn static void bad_free(const void *memory)
{
    struct memory_place place;
    if (memory_find(memory, &place) && (const char *)memory > place.memory &&
        (const char *)memory < place.memory + place.bytes) {
        struct report_note note = {"the allocation was made", place.allocated};
        report_notes(RULE_POOL_BAD_FREE, &note, 1, "%p is %zu bytes inside of the %s %p", memory,
                     (size_t)((const char *)memory - place.memory), place.what, (const void *)place.memory);
    }
    verify_report(RULE_POOL_BAD_FREE, "%p is not a pool allocation", memory);
}

/* ---- the verbs ---- */

void *verify_pool_allocate(size_t bytes, uint32_t tag, bool paged, bool zero, const void *site)
{
    (void)site;
    struct block *block = block_make(bytes, ALIGNMENT, paged ? "paged pool allocation" : "pool allocation",
                                     RULE_POOL_USE_AFTER_FREE);
    block->tag = tag;
    if (!zero || !block->slot || !block->slot->fresh)
        memset(block->memory, zero ? 0 : UNINITIALIZED, bytes);
    host_count_add(HOST_POOL, 1);
    if (sim_active) {
        pool_bytes += bytes;
        if (pool_bytes > pool_bytes_peak)
            pool_bytes_peak = pool_bytes;
    }
    return block->memory;
}

void verify_pool_free(void *memory, uint32_t tag)
{
    struct report_note notes[2];
    char had[8], given[8];
    pthread_mutex_lock(&pool_lock);
    struct block *block = index_find(memory);
    if (block && block->rule != RULE_POOL_USE_AFTER_FREE)
        block = NULL;
    bool freed = block && block->state == MEMORY_FREED;
    if (block && !freed)
        block->state = MEMORY_FREED;
    pthread_mutex_unlock(&pool_lock);
    if (!block)
        bad_free(memory);
    if (freed)
        report_notes(RULE_POOL_DOUBLE_FREE, notes, history(block, notes), "%p was freed before", memory);
    block->freed = stack_capture();
    if (tag && tag != block->tag) {
        block->state = MEMORY_LIVE;
        report_notes(RULE_POOL_TAG, notes, history(block, notes),
                     "%p was allocated with tag '%s' and is freed with '%s'", memory,
                     report_tag(block->tag, had), report_tag(tag, given));
    }
    check_edges(block);
    check_active(block);
    locks_forget(block->memory, block->bytes);
    host_count_add(HOST_POOL, -1);
    if (sim_active)
        pool_bytes -= block->bytes;
    block_retire(block);
}

void *verify_memory_allocate(size_t bytes, size_t alignment, const char *what, enum verify_rule rule)
{
    return block_make(bytes ? bytes : 1, alignment, what, rule)->memory;
}

void verify_memory_free(void *memory)
{
    if (!memory)
        return;
    pthread_mutex_lock(&pool_lock);
    struct block *block = index_find(memory);
    pthread_mutex_unlock(&pool_lock);
    if (!block || block->state != MEMORY_LIVE)
        host_fatal("verify: %p is freed by the host and is not its own", memory);
    block->state = MEMORY_FREED;
    block->freed = stack_capture();
    check_edges(block);
    locks_forget(block->memory, block->bytes);
    block_retire(block);
}

uint64_t sim_pool_bytes(void)
{
    return pool_bytes;
}

uint64_t sim_pool_bytes_peak(void)
{
    return pool_bytes_peak;
}

/* ---- what is known about an address ---- */

static bool describe(const struct block *block, struct memory_place *place)
{
    if (!block)
        return false;
    *place = (struct memory_place){.state = block->state,
                                   .what = block->what,
                                   .rule = block->rule,
                                   .memory = block->memory,
                                   .bytes = block->bytes,
                                   .tag = block->tag,
                                   .allocated = block->allocated,
                                   .freed = block->freed};
    return true;
}

bool memory_find(const void *address, struct memory_place *place)
{
    /* A fault may come while this thread holds the lock only if the host itself is at fault. */
    bool locked = pthread_mutex_trylock(&pool_lock) == 0;
    bool found = describe(scan((uintptr_t)address), place);
    if (locked)
        pthread_mutex_unlock(&pool_lock);
    return found;
}

bool memory_find_live(const void *address, struct memory_place *place)
{
    uintptr_t page = (uintptr_t)address / PAGE;
    const struct block *found = NULL;
    pthread_mutex_lock(&pool_lock);
    for (const struct page_link *link = *page_bucket(page); link && !found; link = link->next) {
        if (link->page == page && link->block->state == MEMORY_LIVE &&
            covers(link->block, (uintptr_t)address))
            found = link->block;
    }
    bool known = describe(found, place);
    pthread_mutex_unlock(&pool_lock);
    return known;
}

/* ---- the end ---- */

#define LEAKS_SHOWN 12u

void memory_check_leaks(void)
{
    static struct report_note notes[LEAKS_SHOWN];
    size_t count = 0, bytes = 0;
    char tag[8];
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (const struct block *block = blocks[i]; block; block = block->next) {
            if (block->state == MEMORY_FREED && block->slot)
                check_untouched(block);
            if (block->state != MEMORY_LIVE || block->rule != RULE_POOL_USE_AFTER_FREE)
                continue;
            check_edges(block);
            if (count < LEAKS_SHOWN) {
                snprintf(notes[count].title, sizeof notes[count].title, "%zu bytes, tag '%s', allocated",
                         block->bytes, report_tag(block->tag, tag));
                notes[count].stack = block->allocated;
            }
            count++;
            bytes += block->bytes;
        }
    }
    if (count)
        report_notes(RULE_POOL_LEAK, notes, count < LEAKS_SHOWN ? (unsigned)count : LEAKS_SHOWN,
                     "%zu pool allocations (%zu bytes) are left after unload", count, bytes);
}
