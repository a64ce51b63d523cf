/* Fault injection: calls that may fail for lack of resources do fail, chosen by where the driver makes them.
 * Each distinct driver call stack (image-relative, innermost frames) is decided once, by a hash of stack and
 * seed: chosen stacks fail the first time they are seen and work from then on.  The same seed gives the same
 * failures; over some tens of seeds every stack has failed. */
#include "host.h"
#include "imports/imports.h"
#include "loader/image.h"

#include <pthread.h>
#include <stdlib.h>

#define STACK_DEPTH   8u
#define FAILS_BITS    3      /* one stack in 2^3 fails */
#define TABLE_ENTRIES 65536u /* distinct stacks of one run; a power of two */

static pthread_mutex_t stacks_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t stacks[TABLE_ENTRIES]; /* hashes; 0 = free */
static unsigned stacks_seen, stacks_failed;

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 32);
}

/* Every bit of the seed decides about every bit of this (the finaliser of MurmurHash3, by Austin Appleby):
 * with less, neighbouring seeds choose the same stacks. */
bool import_fault_chosen(uint64_t stack, uint64_t seed)
{
    uint64_t x = stack ^ seed * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdu;
    x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53u;
    return x >> (64 - FAILS_BITS) == 0;
}

static uint64_t stack_hash(const struct import_entry *entry)
{
    uint64_t frames[STACK_DEPTH], hash = (uint64_t)(entry - import_table) + 1;
    unsigned count = import_driver_stack(frames, STACK_DEPTH);
    for (unsigned i = 0; i < count; i++) {
        const struct image *image = image_find((const void *)(uintptr_t)frames[i]);
        hash = mix(hash, image ? frames[i] - (uint64_t)(uintptr_t)image_base(image) : 0);
    }
    return hash ? hash : 1;
}

/* True the first time that this stack is seen. A full table knows every stack. */
static bool remember(uint64_t hash)
{
    for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
        uint64_t *slot = &stacks[(hash + i) % TABLE_ENTRIES];
        if (*slot == hash)
            return false;
        if (*slot == 0) {
            *slot = hash;
            return true;
        }
    }
    return false;
}

bool import_fault_by_stack(const struct import_entry *entry)
{
    uint64_t hash = stack_hash(entry);
    bool fails = import_fault_chosen(hash, host_options.fault_seed);
    pthread_mutex_lock(&stacks_lock);
    bool first = remember(hash);
    stacks_seen += first;
    stacks_failed += first && fails;
    pthread_mutex_unlock(&stacks_lock);
    return first && fails;
}

void import_fault_report(void)
{
    if (host_options.verify && host_options.fault_seed)
        host_info("fault injection with seed %llu: %u of %u call stacks have failed",
                  (unsigned long long)host_options.fault_seed, stacks_failed, stacks_seen);
}
