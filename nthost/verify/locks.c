/* Locks: what each thread holds, and in which order the driver takes them.
 *
 * Order is learned over classes of locks.  A lock in the image is a class of its own; locks in allocations
 * made by the same code at the same offset are one class.  Taking B while A is held adds the edge A -> B; an
 * edge that closes a cycle is reported although nobody waited. Two locks of one class are ordered by address.
 */
#include "verify/internal.h"

#include "loader/image.h"
#include "sched/sim.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX  64u
#define NODES_MAX 16384u /* a power of two */
#define EDGES_MAX 65536u
#define CLASS_DEPTH                                                                                          \
    2u /* frames of the allocation that make a class: an allocator of the driver's own is one */

struct held {
    const void *lock;
    enum lock_kind kind;
    const struct stack *taken;
};
static _Thread_local struct held held[HELD_MAX];
SIM_FOLLOWS_THREAD(held)
static _Thread_local uint32_t held_count;
SIM_FOLLOWS_THREAD(held_count)

struct edge {
    struct edge *next; /* out of the same node */
    uint32_t to;
    const void *from_lock, *to_lock;
    const struct stack *from_taken, *to_wanted;
};
struct node {
    uint64_t key; /* 0: free */
    struct edge *edges;
    uint32_t visit;
    const struct edge *came_by;
    uint32_t came_from;
    bool instance; /* one lock, not a class */
    const void *lock;
};
static pthread_mutex_t order_lock = PTHREAD_MUTEX_INITIALIZER;
static struct node nodes[NODES_MAX];
static uint32_t node_count, edge_count, visit_number;
static uint32_t instances[NODES_MAX], instance_count; /* indices of the nodes that are single locks */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * 0x9e3779b97f4a7c15ull + (hash >> 29);
}

/* 0: no class (a lock on a stack, or unknown memory). */
static uint64_t class_of(const void *lock)
{
    struct memory_place place;
    if (image_find(lock))
        return mix(1, (uintptr_t)lock) | 1;
    if (!memory_find_live(lock, &place))
        return 0;
    uint64_t key = mix(mix(2, place.bytes), (uint64_t)((const char *)lock - place.memory));
    for (uint32_t i = 0; i < place.allocated->count && i < CLASS_DEPTH; i++)
        key = mix(key, place.allocated->frames[i]);
    return key | 1;
}

/* NODES_MAX when the table is full: order is then no longer learned. */
static uint32_t node_of(uint64_t key, const void *lock, bool instance)
{
    uint32_t index = (uint32_t)(key >> 40) % NODES_MAX;
    while (nodes[index].key && nodes[index].key != key)
        index = (index + 1) % NODES_MAX;
    if (!nodes[index].key) {
        if (node_count >= NODES_MAX / 2)
            return NODES_MAX;
        node_count++;
        nodes[index] = (struct node){.key = key, .lock = lock, .instance = instance};
        if (instance)
            instances[instance_count++] = index;
    }
    return index;
}

static const struct edge *edge_find(uint32_t from, uint32_t to)
{
    for (const struct edge *edge = nodes[from].edges; edge; edge = edge->next) {
        if (edge->to == to)
            return edge;
    }
    return NULL;
}

/* Depth first from `from` to `goal`; nodes remember how they were reached. */
static bool reaches(uint32_t from, uint32_t goal)
{
    static uint32_t stack[EDGES_MAX];
    uint32_t depth = 0;
    visit_number++;
    stack[depth++] = from;
    nodes[from].visit = visit_number;
    while (depth) {
        uint32_t at = stack[--depth];
        if (at == goal)
            return true;
        for (const struct edge *edge = nodes[at].edges; edge; edge = edge->next) {
            struct node *next = &nodes[edge->to];
            if (next->visit == visit_number)
                continue;
            next->visit = visit_number;
            next->came_by = edge;
            next->came_from = at;
            stack[depth++] = edge->to;
        }
    }
    return false;
}

/* order_lock is held and stays so: the report ends the process. */
_Noreturn static void report_cycle(const struct held *first, const void *wanted, uint32_t from, uint32_t goal)
{
    static struct report_note notes[2 * 8 + 1];
    unsigned count = 0;
    snprintf(notes[count].title, sizeof notes[count].title, "here %p is held, taken", first->lock);
    notes[count++].stack = first->taken;
    for (uint32_t at = goal; at != from && count + 2 <= sizeof notes / sizeof *notes;
         at = nodes[at].came_from) {
        const struct edge *edge = nodes[at].came_by;
        snprintf(notes[count].title, sizeof notes[count].title, "elsewhere %p was taken", edge->from_lock);
        notes[count++].stack = edge->from_taken;
        snprintf(notes[count].title, sizeof notes[count].title, "and then %p", edge->to_lock);
        notes[count++].stack = edge->to_wanted;
    }
    report_notes(RULE_LOCK_ORDER, notes, count,
                 "lock %p is taken while %p is held; elsewhere they are taken in the other order", wanted,
                 first->lock);
}

static void learn(const struct held *first, const void *lock, uint64_t to_class, const struct stack *here)
{
    uint64_t from_class = class_of(first->lock);
    if (!from_class || !to_class)
        return;
    bool instance = from_class == to_class;
    pthread_mutex_lock(&order_lock);
    uint32_t from =
        node_of(instance ? mix(3, (uintptr_t)first->lock) | 1 : from_class, first->lock, instance);
    uint32_t to = node_of(instance ? mix(3, (uintptr_t)lock) | 1 : to_class, lock, instance);
    if (from < NODES_MAX && to < NODES_MAX && from != to && edge_count < EDGES_MAX && !edge_find(from, to)) {
        if (reaches(to, from))
            report_cycle(first, lock, to, from);
        struct edge *edge = malloc(sizeof *edge);
        if (!edge)
            host_fatal("no memory for the order of locks");
        *edge = (struct edge){nodes[from].edges, to, first->lock, lock, first->taken, here};
        nodes[from].edges = edge;
        edge_count++;
    }
    pthread_mutex_unlock(&order_lock);
}

void verify_lock_wanted(const void *lock, enum lock_kind kind)
{
    (void)kind;
    if (held_count == 0)
        return;
    for (uint32_t i = 0; i < held_count; i++) {
        struct report_note note = {"it was taken", held[i].taken};
        if (held[i].lock == lock)
            report_notes(RULE_LOCK_RECURSION, &note, 1, "lock %p is held by this thread already", lock);
    }
    uint64_t to_class = class_of(lock);
    const struct stack *here = stack_capture();
    for (uint32_t i = 0; i < held_count; i++)
        learn(&held[i], lock, to_class, here);
}

void verify_lock_taken(const void *lock, enum lock_kind kind)
{
    if (held_count == HELD_MAX)
        verify_report(RULE_LOCK_RECURSION, "this thread holds %u locks", HELD_MAX);
    held[held_count++] = (struct held){lock, kind, stack_capture()};
    verify_active_add(lock, "held lock");
}

static const char *kind_name(enum lock_kind kind)
{
    static const char *const names[] = {"with the functions of a spin lock",
                                        "with the functions of an in-stack queued spin lock",
                                        "shared",
                                        "exclusive",
                                        "as a fast mutex",
                                        "as a mutex",
                                        "as an NDIS_RW_LOCK"};
    return names[kind];
}

void verify_lock_released(const void *lock, enum lock_kind kind)
{
    for (uint32_t i = held_count; i > 0; i--) {
        struct held *found = &held[i - 1];
        if (found->lock != lock)
            continue;
        if (found->kind != kind) {
            struct report_note note = {"it was taken", found->taken};
            report_notes(RULE_LOCK_NOT_HELD, &note, 1, "lock %p was taken %s and is released %s", lock,
                         kind_name(found->kind), kind_name(kind));
        }
        memmove(found, found + 1, (held_count - i) * sizeof *found);
        held_count--;
        verify_active_remove(lock);
        return;
    }
    verify_report(RULE_LOCK_NOT_HELD, "lock %p is released and not held by this thread", lock);
}

void verify_lock_initialized(const void *lock, enum lock_kind kind, const void *site)
{
    (void)kind, (void)site;
    verify_active_check(lock, "initialisation of a lock");
}

uint32_t verify_locks_held(void)
{
    return held_count;
}

bool locks_innermost(const void **lock, const struct stack **taken)
{
    if (held_count == 0)
        return false;
    *lock = held[held_count - 1].lock;
    *taken = held[held_count - 1].taken;
    return true;
}

/* Edges between single locks end with them; those between classes stay. */
void locks_forget(const void *memory, size_t bytes)
{
    uintptr_t begin = (uintptr_t)memory;
    if (__atomic_load_n(&instance_count, __ATOMIC_RELAXED) == 0)
        return; /* so it is in almost every driver */
    pthread_mutex_lock(&order_lock);
    for (uint32_t i = 0; i < instance_count; i++) {
        struct node *node = &nodes[instances[i]];
        if ((uintptr_t)node->lock - begin >= bytes)
            continue;
        while (node->edges) {
            struct edge *edge = node->edges;
            node->edges = edge->next;
            free(edge);
            edge_count--;
        }
    }
    pthread_mutex_unlock(&order_lock);
}
