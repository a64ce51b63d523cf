/* Verify mode, first version: reports, the ownership ledger, guard pages behind each pool allocation.  Lock
 * order is not checked yet (recursion and count are), and nothing is known about active objects inside of
 * freed memory. */
#include "host.h"
#include "imports/imports.h"
#include "loader/image.h"
#include "sched/sched.h"
#include "verify/verify.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u

static const char *const rule_names[VERIFY_RULE_COUNT] = {
    "pool-overrun",       "pool-use-after-free", "pool-double-free",    "pool-bad-free",
    "pool-tag",           "pool-zero-size",      "pool-irql",           "pool-leak",
    "pool-active-object", "access-violation",    "discarded-code",      "irql-range",
    "irql-raise-lower",   "irql-callback-exit",  "wait-at-dispatch",    "dpc-watchdog",
    "stack-overflow",     "lock-recursion",      "lock-not-held",       "lock-held-at-exit",
    "lock-order",         "lock-level",          "rundown-misuse",      "object-reference",
    "double-initialize",  "left-at-unload",      "irp-completed-twice", "irp-pending-mark",
    "irp-information",    "irp-cancel-routine",  "irp-stack-location",  "irp-not-owned",
    "mdl-misuse",         "ndis-attributes",     "ndis-state",          "ndis-after-halt",
    "nbl-not-owned",      "nbl-completed-twice", "nbl-fields",          "ndis-flags",
    "ndis-timeout",       "oid-result",          "link-state",          "wsk-datagram-release",
    "wsk-socket-state",   "wsk-control-data",    "mib-table",           "notification"};

const char *verify_rule_name(enum verify_rule rule)
{
    return rule < VERIFY_RULE_COUNT ? rule_names[rule] : "unknown-rule";
}

void verify_report(enum verify_rule rule, const char *format, ...)
{
    va_list arguments;
    uint64_t frames[32];
    const struct import_entry *import = import_current();
    fprintf(stderr, "nthost: verify: rule %s is broken: ", verify_rule_name(rule));
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    if (import)
        fprintf(stderr, "  in %s, called from\n", import->name);
    image_print_stack(stderr, frames, import_driver_stack(frames, 32));
    fflush(stderr);
    _exit(70);
}

/* ---- ledger: open hashing under one lock ---- */

#define BUCKETS 4096u
struct entry {
    struct entry *next;
    enum host_object kind;
    enum ledger_owner owner;
    const void *object;
    const char *what;
};
static pthread_mutex_t ledger_lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *buckets[BUCKETS];
static uint64_t counts[HOST_OBJECT_KINDS];

static struct entry **find(enum host_object kind, const void *object)
{
    struct entry **link = &buckets[((uintptr_t)object >> 4) * 0x9e3779b1u % BUCKETS];
    while (*link && ((*link)->object != object || (*link)->kind != kind))
        link = &(*link)->next;
    return link;
}

void ledger_add(enum host_object kind, const void *object, enum ledger_owner owner, const char *what)
{
    struct entry *entry = malloc(sizeof *entry);
    if (!entry)
        host_fatal("no memory for the ledger");
    pthread_mutex_lock(&ledger_lock);
    struct entry **link = find(kind, object);
    *entry = (struct entry){*link, kind, owner, object, what};
    *link = entry;
    counts[kind]++;
    pthread_mutex_unlock(&ledger_lock);
}

void ledger_move(enum host_object kind, const void *object, enum ledger_owner from, enum ledger_owner to,
                 enum verify_rule rule)
{
    pthread_mutex_lock(&ledger_lock);
    struct entry *entry = *find(kind, object);
    bool good = entry && entry->owner == from;
    if (good)
        entry->owner = to;
    pthread_mutex_unlock(&ledger_lock);
    if (!good)
        verify_report(rule, "%s %p is not owned by its giver", host_object_name(kind), object);
}

void ledger_remove(enum host_object kind, const void *object, enum ledger_owner from, enum verify_rule rule)
{
    pthread_mutex_lock(&ledger_lock);
    struct entry **link = find(kind, object), *entry = *link;
    bool good = entry && entry->owner == from;
    if (good) {
        *link = entry->next;
        counts[kind]--;
        free(entry);
    }
    pthread_mutex_unlock(&ledger_lock);
    if (!good)
        verify_report(rule, "%s %p is unknown or not owned by its giver", host_object_name(kind), object);
}

bool ledger_owned_by(enum host_object kind, const void *object, enum ledger_owner owner)
{
    pthread_mutex_lock(&ledger_lock);
    struct entry *entry = *find(kind, object);
    bool owned = entry && entry->owner == owner;
    pthread_mutex_unlock(&ledger_lock);
    return owned;
}

uint64_t ledger_count(enum host_object kind)
{
    return __atomic_load_n(&counts[kind], __ATOMIC_RELAXED);
}

void ledger_check_empty(void)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        if (buckets[i])
            verify_report(RULE_LEFT_AT_UNLOAD, "%s (%s) %p is left", host_object_name(buckets[i]->kind),
                          buckets[i]->what, buckets[i]->object);
    }
}

/* ---- locks ---- */

#define MAX_LOCKS 64u
static _Thread_local const void *held[MAX_LOCKS];
static _Thread_local uint32_t held_count;

void verify_lock_wanted(const void *lock, enum lock_kind kind)
{
    for (uint32_t i = 0; i < held_count; i++) {
        if (held[i] == lock && kind != LOCK_EX_SHARED)
            verify_report(RULE_LOCK_RECURSION, "lock %p is held by this thread already", lock);
    }
}

void verify_lock_taken(const void *lock, enum lock_kind kind)
{
    (void)kind;
    if (held_count < MAX_LOCKS)
        held[held_count++] = lock;
}

void verify_lock_released(const void *lock, enum lock_kind kind)
{
    (void)kind;
    for (uint32_t i = held_count; i > 0; i--) {
        if (held[i - 1] == lock) {
            memmove(&held[i - 1], &held[i], (held_count - i) * sizeof *held);
            held_count--;
            return;
        }
    }
    verify_report(RULE_LOCK_NOT_HELD, "lock %p is released and not held by this thread", lock);
}

void verify_lock_initialized(const void *lock, enum lock_kind kind, const void *site)
{
    (void)lock, (void)kind, (void)site;
}

uint32_t verify_locks_held(void)
{
    return held_count;
}

/* ---- pool: each block ends at an inaccessible page; freed blocks stay inaccessible ---- */

struct block {
    struct block *next;
    char *memory;
    size_t bytes, mapped;
    uint32_t tag;
    bool freed;
};
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *blocks[BUCKETS];

void *verify_pool_allocate(size_t bytes, uint32_t tag, bool paged, bool zero, const void *site)
{
    (void)paged, (void)site;
    size_t rounded = (bytes + 15) & ~(size_t)15, mapped = ((rounded + PAGE - 1) & ~(size_t)(PAGE - 1)) + PAGE;
    struct block *block = malloc(sizeof *block);
    char *map = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!block || map == MAP_FAILED)
        host_fatal("no memory for verified pool");
    mprotect(map + mapped - PAGE, PAGE, PROT_NONE);
    char *memory = bytes >= PAGE ? map : map + mapped - PAGE - rounded;
    memset(memory, zero ? 0 : 0xc5, bytes);
    pthread_mutex_lock(&pool_lock);
    struct block **bucket = &blocks[((uintptr_t)memory >> 4) % BUCKETS];
    *block = (struct block){*bucket, memory, bytes, mapped, tag, false};
    *bucket = block;
    pthread_mutex_unlock(&pool_lock);
    host_count_add(HOST_POOL, 1);
    return memory;
}

void verify_pool_free(void *memory, uint32_t tag)
{
    pthread_mutex_lock(&pool_lock);
    struct block *block = blocks[((uintptr_t)memory >> 4) % BUCKETS];
    while (block && block->memory != memory)
        block = block->next;
    bool freed = block && block->freed;
    if (block)
        block->freed = true;
    pthread_mutex_unlock(&pool_lock);
    if (!block)
        verify_report(RULE_POOL_BAD_FREE, "%p is not the start of a pool allocation", memory);
    if (freed)
        verify_report(RULE_POOL_DOUBLE_FREE, "%p was freed before", memory);
    if (tag && tag != block->tag)
        verify_report(RULE_POOL_TAG, "%p was allocated with tag 0x%08x and is freed with 0x%08x", memory,
                      block->tag, tag);
    host_count_add(HOST_POOL, -1);
    char *map = (char *)((uintptr_t)memory & ~(uintptr_t)(PAGE - 1));
    madvise(map, block->mapped - PAGE, MADV_DONTNEED);
    mprotect(map, block->mapped - PAGE, PROT_NONE);
}

void verify_active_add(const void *object, const char *what)
{
    (void)object, (void)what;
}

void verify_active_remove(const void *object)
{
    (void)object;
}

void verify_start(void)
{
}

void verify_finish(void)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (struct block *block = blocks[i]; block; block = block->next) {
            if (!block->freed)
                verify_report(RULE_POOL_LEAK, "%zu bytes with tag 0x%08x at %p are left", block->bytes,
                              block->tag, (void *)block->memory);
        }
    }
    ledger_check_empty();
}

/* ---- the gate ---- */

static _Thread_local struct host_callback *innermost;

void host_callback_begin_checked(struct host_callback *cb, const char *name)
{
    *cb = (struct host_callback){.name = name,
                                 .outer = innermost,
                                 .locks_held = held_count,
                                 .irql = sched_irql(),
                                 .start_ns = sched_time_ns()};
    innermost = cb;
}

void host_callback_end_checked(struct host_callback *cb)
{
    innermost = cb->outer;
    if (sched_irql() != cb->irql)
        verify_report(RULE_IRQL_CALLBACK_EXIT, "%s was entered at IRQL %u and returned at %u", cb->name,
                      cb->irql, sched_irql());
    if (held_count != cb->locks_held)
        verify_report(RULE_LOCK_HELD_AT_EXIT, "%s was entered with %u locks held and returned with %u",
                      cb->name, cb->locks_held, held_count);
}
