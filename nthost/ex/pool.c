/* Pool memory.  Fast mode: malloc with a 16-byte header in front of each block, blocks of a page or more are
 * page aligned as drivers may expect.  Verify mode hands over to verify_pool_*. The rules that need no
 * tracking (type, size, tag, IRQL) are checked here in verify mode. */
#include "ex/pool.h"

#include "host.h"
#include "nt/ex.h"
#include "sched/sched.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <string.h>

#define POOL_MAGIC 0x6c6f6f50u /* "Pool" */
#define POOL_FREED 0x64656572u
#define CACHE_LINE 64u
#define TAG_SLOTS  1024u /* a power of two; drivers use a handful of tags */

struct pool_header { /* directly in front of the block */
    uint32_t tag;
    uint32_t magic;
    uint32_t offset; /* from the start of malloc's block to the block */
    uint32_t slot;   /* of the tag's counters; TAG_SLOTS = none */
};
_Static_assert(sizeof(struct pool_header) == 16, "keeps blocks 16-byte aligned");

static struct tag_count {
    uint32_t tag;
    int64_t live;
} tag_counts[TAG_SLOTS];

/* Open addressing; slots are never given back. */
static uint32_t tag_slot(uint32_t tag)
{
    if (tag == 0)
        return TAG_SLOTS;
    uint32_t slot = (tag * 0x9e3779b1u) >> 22;
    for (unsigned probes = 0; probes < TAG_SLOTS; probes++, slot = (slot + 1) % TAG_SLOTS) {
        uint32_t seen = __atomic_load_n(&tag_counts[slot].tag, __ATOMIC_RELAXED);
        if (seen == tag)
            return slot;
        if (seen == 0 && __atomic_compare_exchange_n(&tag_counts[slot].tag, &seen, tag, false,
                                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return slot;
        if (seen == tag)
            return slot;
    }
    return TAG_SLOTS;
}

static void *fast_allocate(size_t bytes, uint32_t tag, size_t alignment)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    char *memory, *block;
    if (alignment <= 16) {
        memory = malloc(bytes + sizeof(struct pool_header));
        block = memory + sizeof(struct pool_header);
    } else {
        size_t total = (bytes + 2 * alignment - 1) & ~(alignment - 1);
        memory = aligned_alloc(alignment, total);
        block = memory + alignment;
    }
    if (!memory)
        return NULL;
    struct pool_header *header = (struct pool_header *)block - 1;
    header->tag = tag;
    header->magic = POOL_MAGIC;
    header->offset = (uint32_t)(block - memory);
    header->slot = tag_slot(tag);
    if (header->slot < TAG_SLOTS)
        __atomic_fetch_add(&tag_counts[header->slot].live, 1, __ATOMIC_RELAXED);
    host_count_add(HOST_POOL, 1);
    return block;
}

static void check_request(size_t bytes, uint32_t tag, bool paged, bool executable)
{
    if (bytes == 0)
        verify_report(RULE_POOL_ZERO_SIZE, "an allocation of 0 bytes was requested");
    if (tag == 0 || tag == 0x20202020u)
        verify_report(RULE_POOL_TAG, "an allocation was requested without a tag");
    uint8_t irql = sched_irql();
    if (irql > SCHED_DISPATCH || (paged && irql >= SCHED_DISPATCH))
        verify_report(RULE_POOL_IRQL, "%s pool was requested at IRQL %u", paged ? "paged" : "non-paged",
                      irql);
    if (executable)
        verify_report(RULE_POOL_EXECUTABLE, "executable pool was requested");
}

static void *allocate(size_t bytes, uint32_t tag, bool paged, bool executable, bool zero, bool cache_aligned,
                      const void *site)
{
    if (__builtin_expect(host_options.verify, 0)) {
        check_request(bytes, tag, paged, executable);
        return verify_pool_allocate(bytes, tag, paged, zero, site);
    }
    size_t alignment = bytes >= PAGE_SIZE ? PAGE_SIZE : cache_aligned ? CACHE_LINE : 16;
    void *block = fast_allocate(bytes, tag, alignment);
    if (block && zero)
        memset(block, 0, bytes);
    return block;
}

PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    ULONG type = (ULONG)PoolType;
    bool paged = (type & 1) != 0; /* BASE_POOL_TYPE_MASK */
    bool executable = !paged && !(type & POOL_NX_ALLOCATION);
    return allocate(NumberOfBytes, Tag, paged, executable, (type & POOL_ZERO_ALLOCATION) != 0,
                    (type & 4) != 0, __builtin_return_address(0));
}

PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
{
    const POOL_FLAGS kinds = POOL_FLAG_NON_PAGED | POOL_FLAG_NON_PAGED_EXECUTE | POOL_FLAG_PAGED;
    POOL_FLAGS kind = Flags & kinds;
    if (kind == 0 || (kind & (kind - 1)) || NumberOfBytes == 0 || Tag == 0) {
        if (host_options.verify)
            verify_report(
                NumberOfBytes == 0 ? RULE_POOL_ZERO_SIZE : RULE_POOL_TAG,
                "ExAllocatePool2: flags 0x%llx, %zu bytes, tag 0x%x: exactly one kind of pool, a size and "
                "a tag are needed",
                (unsigned long long)Flags, (size_t)NumberOfBytes, Tag);
        return NULL;
    }
    return allocate(NumberOfBytes, Tag, kind == POOL_FLAG_PAGED, kind == POOL_FLAG_NON_PAGED_EXECUTE,
                    !(Flags & POOL_FLAG_UNINITIALIZED), (Flags & POOL_FLAG_CACHE_ALIGNED) != 0,
                    __builtin_return_address(0));
}

VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag)
{
    if (__builtin_expect(host_options.verify, 0)) {
        verify_pool_free(P, Tag);
        return;
    }
    struct pool_header *header = (struct pool_header *)P - 1;
    if (header->magic != POOL_MAGIC)
        host_fatal("ExFreePoolWithTag: %p is not a pool allocation, or was freed before%s", P,
                   header->magic == POOL_FREED ? " (it was)" : "");
    header->magic = POOL_FREED;
    if (header->slot < TAG_SLOTS)
        __atomic_fetch_sub(&tag_counts[header->slot].live, 1, __ATOMIC_RELAXED);
    host_count_add(HOST_POOL, -1);
    free((char *)P - header->offset);
}

VOID NTAPI ExFreePool(PVOID P)
{
    ExFreePoolWithTag(P, 0);
}

unsigned pool_report_tags(FILE *out)
{
    unsigned count = 0;
    for (unsigned i = 0; i < TAG_SLOTS; i++) {
        if (tag_counts[i].live == 0)
            continue;
        char text[5] = {0};
        for (unsigned j = 0; j < 4; j++) {
            char c = (char)(tag_counts[i].tag >> (8 * j));
            text[j] = c >= 0x20 && c < 0x7f ? c : '.';
        }
        fprintf(out, "    pool tag '%s': %lld allocations\n", text, (long long)tag_counts[i].live);
        count++;
    }
    return count;
}
