/* The simulation's memory: what the search finds where, and that absent bytes are not found; the rules of the
 * pool still hold; blocks are compact, aligned and accounted for. */
#include "check.h"
#include "host.h"
#include "host_test.h"
#include "loader/image_private.h"
#include "nt/ex.h"
#include "sched/sched.h"
#include "sched/sim.h"
#include "sim/arena.h"
#include "sim/edges.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <unistd.h>

#define TAG    0x74736554u /* "Test" */
#define NEEDLE 32u
#define HITS   8u
#define MS     1000000ull

/* The needles are made only where they are planted or looked for: the host's own copies lie outside of what
 * is searched (this thread's name begins with "scenario", heap and host data are not the driver's). */
static void make_needle(uint8_t needle[NEEDLE], uint8_t which)
{
    for (unsigned i = 0; i < NEEDLE; i++)
        needle[i] = (uint8_t)(i * 37 + which * 101 + 13);
}

static unsigned find(uint8_t which, struct sim_memory_hit hits[HITS])
{
    uint8_t needle[NEEDLE];

    make_needle(needle, which);
    memset(hits, 0, HITS * sizeof *hits);
    return sim_memory_search(needle, sizeof needle, hits, HITS);
}

static void test_pool(void)
{
    struct sim_memory_hit hits[HITS];
    uint64_t bytes = sim_pool_bytes();
    uint8_t *block = ExAllocatePoolWithTag(NonPagedPoolNx, 320, TAG), *large;
    const uint8_t *start;
    size_t extent, before;

    CHECK(find(1, hits) == 0); /* absent */
    make_needle(block + 77, 1);
    CHECK(find(1, hits) == 1 && hits[0].address == block + 77);
    CHECK_MSG(strstr(hits[0].where, "pool allocation, tag 'Test', 320 bytes, at offset 77") == hits[0].where,
              "%s", hits[0].where);
    CHECK(sim_pool_bytes() == bytes + 320 && sim_pool_bytes_peak() >= bytes + 320);
    ExFreePoolWithTag(block, TAG);
    CHECK(sim_pool_bytes() == bytes);
    CHECK(find(1, hits) == 1 && strncmp(hits[0].where, "freed pool allocation", 21) == 0);
    /* Wiped: nothing is left. */
    block = ExAllocatePoolWithTag(NonPagedPoolNx, 320, TAG);
    make_needle(block, 2);
    CHECK(find(2, hits) == 1);
    memset(block, 0, NEEDLE);
    ExFreePoolWithTag(block, TAG);
    CHECK(find(2, hits) == 0);
    /* More finds than room: all are counted. */
    block = ExAllocatePoolWithTag(NonPagedPoolNx, 20 * NEEDLE, TAG);
    for (unsigned i = 0; i < 20; i++)
        make_needle(block + i * NEEDLE, 3);
    CHECK(find(3, hits) == 20 && hits[HITS - 1].address == block + (HITS - 1) * NEEDLE);
    memset(block, 0, 20 * NEEDLE);
    ExFreePoolWithTag(block, TAG);

    large = ExAllocatePoolWithTag(NonPagedPoolNx, 10000, TAG);
    CHECK((uintptr_t)large % 4096 == 0);
    block = ExAllocatePoolWithTag(NonPagedPoolNx, 17, TAG);
    CHECK((uintptr_t)block % 16 == 0);
    ExFreePoolWithTag(large, TAG);
    ExFreePoolWithTag(block, TAG);
    /* Use and reuse without end takes no more than the quarantine. */
    for (unsigned i = 0; i < 40000; i++)
        ExFreePoolWithTag(ExAllocatePoolWithTag(NonPagedPoolNx, 700, TAG), TAG);
    arena_extent(&start, &before);
    for (unsigned i = 0; i < 40000; i++)
        ExFreePoolWithTag(ExAllocatePoolWithTag(NonPagedPoolNx, 700, TAG), TAG);
    arena_extent(&start, &extent);
    CHECK_MSG(extent == before && extent < (16u << 20), "%zu, then %zu bytes", before, extent);
}

/* What the host lends (packets, IRPs) is memory that the driver can leave secrets in as well. */
static void test_lent(void)
{
    struct sim_memory_hit hits[HITS];
    uint8_t *lent = verify_memory_allocate(101, 1, "packet", RULE_NBL_NOT_OWNED);

    CHECK(((uintptr_t)lent + 101) % 16 == 0);
    make_needle(lent + 60, 4);
    CHECK(find(4, hits) == 1 && strncmp(hits[0].where, "packet, 101 bytes", 17) == 0);
    verify_memory_free(lent);
    CHECK(find(4, hits) == 1 && strncmp(hits[0].where, "freed packet", 12) == 0);
}

/* ---- stacks ---- */

static struct {
    bool planted, leave;
} stack_state;

static void plant_on_stack(void *unused)
{
    uint8_t deep[NEEDLE];

    make_needle(deep, 5);
    __asm__ volatile("" : : "r"(deep) : "memory"); /* somebody may look at it */
    stack_state.planted = true;
    while (!stack_state.leave)
        sched_block(sched_time_ns() + MS);
    memset(deep, 0, sizeof deep);
    __asm__ volatile("" : : "r"(deep) : "memory");
}

static __attribute__((noinline)) void careless(void)
{
    uint8_t deep[16384]; /* its low end is deeper than what the thread's end uses */

    make_needle(deep, 7);
    __asm__ volatile("" : : "r"(deep) : "memory");
}

static void leave_on_stack(void *unused)
{
    careless();
}

/* The search is exact at every place, also at the last bytes of a block and across lines and pages. */
static void test_places(void)
{
    struct sim_memory_hit hits[HITS];
    uint8_t *block = ExAllocatePoolWithTag(NonPagedPoolNx, 9000, TAG);
    uint8_t kept[NEEDLE];
    unsigned missed = 0;

    for (unsigned at = 0; at + NEEDLE <= 9000; at += at < 100 || at > 8800 ? 1 : 37) {
        memcpy(kept, block + at, NEEDLE);
        make_needle(block + at, 8);
        missed += find(8, hits) != 1 || hits[0].address != block + at;
        memcpy(block + at, kept, NEEDLE);
    }
    CHECK_MSG(missed == 0, "%u places", missed);
    make_needle(block, 8);
    block[NEEDLE / 2] ^= 1; /* nearly */
    CHECK(find(8, hits) == 0);
    ExFreePoolWithTag(block, TAG);
}

static void test_stack(void)
{
    struct sim_memory_hit hits[HITS];
    struct sched_thread *thread = sched_thread_create("worker", plant_on_stack, NULL);

    while (!stack_state.planted)
        sched_block(sched_time_ns() + MS);
    CHECK(find(5, hits) == 1 && !strstr(hits[0].where, "has returned"));
    CHECK_MSG(strncmp(hits[0].where, "stack of thread worker", 22) == 0, "%s", hits[0].where);
    stack_state.leave = true;
    sched_thread_join(thread);
    CHECK(find(5, hits) == 0);
    thread = sched_thread_create("careless", leave_on_stack, NULL);
    sched_thread_join(thread);
    CHECK(find(7, hits) == 1 && strstr(hits[0].where, "left by a call that has returned"));
}

/* ---- the image ---- */

static void test_image(const char *path)
{
    struct sim_memory_hit hits[HITS];
    char error[4096];
    struct image *image = path ? image_load(path, error, sizeof error) : NULL;
    uint8_t *data = NULL, saved[NEEDLE];

    CHECK_MSG(image, "%s", path ? error : "no image given");
    if (!image)
        return;
    for (unsigned i = 0; i < image->pe.section_count; i++)
        if ((image->pe.sections[i].characteristics & PE_SECTION_WRITE) &&
            image->pe.sections[i].virtual_size >= NEEDLE && !data)
            data = image->base + image->pe.sections[i].rva;
    CHECK(data);
    if (data) {
        memcpy(saved, data, NEEDLE);
        CHECK(find(6, hits) == 0);
        make_needle(data, 6);
        CHECK(find(6, hits) == 1 && hits[0].address == data &&
              strncmp(hits[0].where, "image, section ", 15) == 0);
        memcpy(data, saved, NEEDLE);
    }
    image_unload(image);
}

/* ---- rules ---- */

static void *block_of(size_t bytes)
{
    return ExAllocatePoolWithTag(NonPagedPoolNx, bytes, TAG);
}

void break_memory_rule(const char *rule)
{
    uint8_t *block = block_of(100);

    if (strcmp(rule, "pool-double-free") == 0) {
        ExFreePoolWithTag(block, TAG);
        ExFreePoolWithTag(block, TAG);
    } else if (strcmp(rule, "pool-bad-free") == 0) {
        ExFreePoolWithTag(block + 16, TAG);
    } else if (strcmp(rule, "pool-tag") == 0) {
        ExFreePoolWithTag(block, TAG + 1);
    } else if (strcmp(rule, "pool-overrun") == 0) {
        block[100] = 1;
        ExFreePoolWithTag(block, TAG);
    } else if (strcmp(rule, "pool-underrun") == 0) {
        block[-1] = 1;
        ExFreePoolWithTag(block, TAG);
    } else if (strcmp(rule, "pool-use-after-free") == 0) {
        ExFreePoolWithTag(block, TAG);
        block[50] ^= 1;
        for (unsigned i = 0; i < 200000; i++) /* until it is its turn to be used again */
            ExFreePoolWithTag(block_of(100), TAG);
    } else if (strcmp(rule, "late-use-after-free") == 0) {
        ExFreePoolWithTag(block, TAG);
        block[50] ^= 1; /* found at the end */
    }
    /* "pool-leak": the block stays */
}

static void expect(const char *rule, const char *text)
{
    char command[256], line[512];
    bool found = false;
    FILE *pipe;
    int ended;

    snprintf(command, sizeof command, "timeout 60 /proc/%d/exe rule %s 2>&1", (int)getpid(), rule);
    pipe = popen(command, "r");
    while (pipe && fgets(line, sizeof line, pipe))
        found |= strstr(line, text) != NULL;
    ended = pipe ? pclose(pipe) : -1;
    CHECK_MSG(found && ended == 70 << 8, "%s: exit status %d, \"%s\" %s", rule, ended >> 8, text,
              found ? "printed" : "missing");
}

void test_memory(const char *image)
{
    test_pool();
    test_lent();
    test_places();
    test_stack();
    test_image(image);
    expect("pool-double-free", "pool-double-free");
    expect("pool-bad-free", "pool-bad-free");
    expect("pool-tag", "pool-tag");
    expect("pool-overrun", "pool-overrun");
    expect("pool-underrun", "pool-underrun");
    expect("pool-use-after-free", "pool-use-after-free");
    expect("late-use-after-free", "pool-use-after-free");
    expect("pool-leak", "pool-leak");
}
