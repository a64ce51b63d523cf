/* Looking for secrets: all memory that belongs to the driver is searched, and each find is described. Also
 * the simulation's account of the pool, and its failing allocations. */
#include "sim/arena.h"
#include "sim/edges.h"

#include "host.h"
#include "imports/imports.h"
#include "loader/image_private.h"
#include "sched/sim.h"
#include "verify/internal.h"

#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u

struct search {
    const void *needle;
    size_t length;
    struct sim_memory_hit *hits;
    unsigned found, max;
    bool avx2;
};

typedef void describe_hit(const uint8_t *at, const char *what, char *where, size_t size);

static void hit_add(struct search *search, const uint8_t *at, const char *what, describe_hit *describe)
{
    if (search->found < search->max) {
        struct sim_memory_hit *hit = &search->hits[search->found];

        hit->address = at;
        describe(at, what, hit->where, sizeof hit->where);
    }
    search->found++;
}

/* Candidates are places where the needle's first and last bytes stand: 16, or 32, are looked at at once. */
static const uint8_t *find(const uint8_t *start, size_t bytes, const uint8_t *needle, size_t length)
{
    const __m128i first = _mm_set1_epi8((char)needle[0]), last = _mm_set1_epi8((char)needle[length - 1]);
    const uint8_t *end = start + bytes - length; /* the last place where it can begin */

    for (; start + 15 <= end; start += 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)start);
        __m128i b = _mm_loadu_si128((const __m128i *)(start + length - 1));
        __m128i both = _mm_and_si128(_mm_cmpeq_epi8(a, first), _mm_cmpeq_epi8(b, last));

        for (unsigned mask = (unsigned)_mm_movemask_epi8(both); mask; mask &= mask - 1) {
            const uint8_t *at = start + __builtin_ctz(mask);

            if (memcmp(at, needle, length) == 0)
                return at;
        }
    }
    for (; start <= end; start++)
        if (memcmp(start, needle, length) == 0)
            return start;
    return NULL;
}

__attribute__((target("avx2"))) static const uint8_t *find_avx2(const uint8_t *start, size_t bytes,
                                                                const uint8_t *needle, size_t length)
{
    const __m256i first = _mm256_set1_epi8((char)needle[0]);
    const __m256i last = _mm256_set1_epi8((char)needle[length - 1]);
    const uint8_t *limit = start + bytes, *end = limit - length;

    for (; start + 31 <= end; start += 32) {
        __m256i a = _mm256_loadu_si256((const __m256i *)start);
        __m256i b = _mm256_loadu_si256((const __m256i *)(start + length - 1));
        __m256i both = _mm256_and_si256(_mm256_cmpeq_epi8(a, first), _mm256_cmpeq_epi8(b, last));

        for (unsigned mask = (unsigned)_mm256_movemask_epi8(both); mask; mask &= mask - 1) {
            const uint8_t *at = start + __builtin_ctz(mask);

            if (memcmp(at, needle, length) == 0)
                return at;
        }
    }
    return start <= end ? find(start, (size_t)(limit - start), needle, length) : NULL;
}

static void search_range(struct search *search, const uint8_t *start, size_t bytes, const char *what,
                         describe_hit *describe)
{
    while (bytes >= search->length) {
        const uint8_t *at = search->avx2 ? find_avx2(start, bytes, search->needle, search->length)
                                         : find(start, bytes, search->needle, search->length);

        if (!at)
            return;
        hit_add(search, at, what, describe);
        bytes -= (size_t)(at + 1 - start);
        start = at + 1;
    }
}

/* The same without the pages that were never touched. `start` is the start of a page. */
static void search_touched(struct search *search, const uint8_t *start, size_t bytes, const char *what,
                           describe_hit *describe)
{
    static unsigned char resident[65536];

    while (bytes) {
        size_t part = bytes < sizeof resident * PAGE ? bytes : sizeof resident * PAGE;
        size_t pages = (part + PAGE - 1) / PAGE;

        if (mincore((void *)(uintptr_t)start, pages * PAGE, resident) != 0)
            memset(resident, 1, pages);
        for (size_t from = 0, to; from < pages; from = to + 1) {
            size_t end;

            for (to = from; to < pages && (resident[to] & 1);)
                to++;
            end = to * PAGE < part ? to * PAGE : part;
            if (to > from)
                search_range(search, start + from * PAGE, end - from * PAGE, what, describe);
        }
        start += part;
        bytes -= part;
    }
}

/* ---- the pool, and what the host lends ---- */

static void describe_block(const uint8_t *at, const char *what, char *where, size_t size)
{
    struct memory_place place;
    char tag[8];
    const char *function = NULL;
    size_t offset = 0;
    int length;

    (void)what;
    if (!memory_find(at, &place)) {
        snprintf(where, size, "memory freed long ago");
        return;
    }
    if (place.allocated && place.allocated->count)
        image_symbol((const void *)(uintptr_t)place.allocated->frames[0], &function, &offset);
    length = snprintf(where, size, "%s%s", place.state == MEMORY_FREED ? "freed " : "", place.what);
    if (place.tag && length < (int)size)
        length += snprintf(where + length, size - (size_t)length, ", tag '%s'", report_tag(place.tag, tag));
    if (length < (int)size)
        length += snprintf(where + length, size - (size_t)length, ", %zu bytes, at offset %td", place.bytes,
                           (const char *)at - place.memory);
    if (function && length < (int)size)
        snprintf(where + length, size - (size_t)length, ", allocated in %s+0x%zx", function, offset);
}

/* ---- the image ---- */

static void describe_image(const uint8_t *at, const char *what, char *where, size_t size)
{
    const char *name = NULL;
    size_t offset = 0;

    if (image_symbol(at, &name, &offset))
        snprintf(where, size, "image, section %s, %s+0x%zx", what, name, offset);
    else
        snprintf(where, size, "image, section %s, %p", what, (const void *)at);
}

static void search_image(struct search *search, const struct image *image)
{
    for (unsigned i = 0; i < image->pe.section_count; i++) {
        const struct pe_section *section = &image->pe.sections[i];
        char name[12];

        if (!(section->characteristics & PE_SECTION_WRITE) ||
            (image->discarded && (section->characteristics & PE_SECTION_DISCARDABLE)))
            continue;
        snprintf(name, sizeof name, "%.8s", section->name);
        search_range(search, image->base + section->rva, section->virtual_size, name, describe_image);
    }
}

/* ---- stacks ---- */

static const uint8_t *stack_live; /* of the stack that is searched */

static void describe_stack(const uint8_t *at, const char *what, char *where, size_t size)
{
    snprintf(where, size, "stack of thread %s%s, %p", what,
             at < stack_live ? ", left by a call that has returned" : "", (const void *)at);
}

/* The scenario's threads have the secrets that it looks for on their own stacks. */
static void search_stack(void *context, const char *thread, const void *low, size_t bytes, const void *live)
{
    static const char not_the_drivers[] = "scenario";

    stack_live = live;
    if (strncmp(thread, not_the_drivers, sizeof not_the_drivers - 1) != 0)
        search_touched(context, low, bytes, thread, describe_stack);
}

unsigned sim_memory_search(const void *needle, size_t length, struct sim_memory_hit *hits, unsigned max)
{
    struct search search = {needle, length, hits, 0, max, __builtin_cpu_supports("avx2")};
    const uint8_t *start;
    size_t bytes;

    if (length == 0)
        return 0;
    arena_extent(&start, &bytes);
    if (bytes)
        search_touched(&search, start, bytes, "", describe_block);
    for (const struct image *image = image_first(); image; image = image->next)
        search_image(&search, image);
    sim_each_stack(search_stack, &search);
    return search.found;
}

/* ---- failing allocations ---- */

static uint32_t failure_probability;

static bool fails_now(const struct import_entry *entry)
{
    (void)entry;
    return sim_chance(SIM_STREAM_FAULTS, failure_probability);
}

void sim_fail_allocations(uint32_t probability)
{
    failure_probability = probability;
    import_fault_hook = probability ? fails_now : host_options.fault_seed ? import_fault_by_stack : NULL;
}
