/* Epochs: one slot per CPU that says in which epoch its running section began, one global count, and a list
 * of what waits to be freed.
 *
 * Why it is right, without assumptions on the memory order of the CPU:
 *   reader: store slot = E; full fence; read tables ...; store-release slot = 0.
 *   writer: unpublish; full fence; E' = ++epoch; wait until every slot is 0 or >= E'.
 * Either the writer sees the reader's slot, and waits for its store of 0, which comes after all the reader's
 * accesses; or it does not, and then (both sides have a full fence between their store and their load) the
 * reader's loads see the unpublished tables.  A slot >= E' belongs to a reader that read the count after the
 * writer's increment, with acquire order, and so sees the unpublished tables as well.
 *
 * A slot is only written by its CPU at DISPATCH_LEVEL, where no other section of that CPU can be half way in.
 */
#include "epoch.h"
#include "driver.h"
#include "memory.h"
#include "worker.h"

struct epoch_slot {
    _Alignas(64) volatile uint64_t active; /* epoch in which the section began, 0 = none */
    uint32_t depth;
};

static struct {
    struct epoch_slot *slots;
    uint32_t cpus;
    size_t bytes; /* of `slots` */
    volatile uint64_t count;
    struct epoch_node *volatile deferred; /* newest first */
    struct work work;
} epochs;

/* How often a wait looks before it sleeps. */
#define SPINS_BEFORE_SLEEP 64

static void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void run_deferred(struct work *work);

NTSTATUS epoch_initialize(void)
{
    epochs.cpus = driver.cpus;
    epochs.bytes = epochs.cpus * sizeof(struct epoch_slot);
    if (epochs.bytes < MEMORY_CACHE_ALIGNED_MIN_BYTES)
        epochs.bytes = MEMORY_CACHE_ALIGNED_MIN_BYTES;
    epochs.slots = memory_allocate(MEMORY_DRIVER, epochs.bytes);
    if (!epochs.slots)
        return STATUS_INSUFFICIENT_RESOURCES;
    epochs.count = 1;
    epochs.deferred = NULL;
    work_initialize(&epochs.work, run_deferred);
    return STATUS_SUCCESS;
}

void epoch_enter(struct epoch_guard *guard)
{
    guard->irql = KfRaiseIrql(DISPATCH_LEVEL);
    guard->cpu = KeGetCurrentProcessorNumberEx(NULL);
    struct epoch_slot *slot = &epochs.slots[guard->cpu];
    if (slot->depth++ == 0) {
        __atomic_store_n(&slot->active, __atomic_load_n(&epochs.count, __ATOMIC_ACQUIRE), __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
}

void epoch_leave(struct epoch_guard *guard)
{
    struct epoch_slot *slot = &epochs.slots[guard->cpu];
    if (--slot->depth == 0)
        __atomic_store_n(&slot->active, 0, __ATOMIC_RELEASE);
    KeLowerIrql(guard->irql);
}

void epoch_synchronize(void)
{
    LARGE_INTEGER pause = {.QuadPart = -10000}; /* 1 ms */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint64_t target = __atomic_add_fetch(&epochs.count, 1, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < epochs.cpus; i++) {
        for (uint32_t looks = 0;; looks++) {
            uint64_t active = __atomic_load_n(&epochs.slots[i].active, __ATOMIC_ACQUIRE);
            if (active == 0 || active >= target)
                break;
            if (looks < SPINS_BEFORE_SLEEP)
                cpu_relax();
            else
                KeDelayExecutionThread(KernelMode, FALSE, &pause);
        }
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void epoch_defer(struct epoch_node *node, void (*release)(struct epoch_node *node))
{
    node->release = release;
    struct epoch_node *head = __atomic_load_n(&epochs.deferred, __ATOMIC_RELAXED);
    do
        node->next = head;
    while (!__atomic_compare_exchange_n(&epochs.deferred, &head, node, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
    work_queue(WORK_CONTROL, &epochs.work);
}

/* WORK_CONTROL items never run twice at a time, so that nodes are released in the order of their deferral. */
static void run_deferred(struct work *work)
{
    (void)work;
    struct epoch_node *newest = __atomic_exchange_n(&epochs.deferred, NULL, __ATOMIC_ACQUIRE);
    struct epoch_node *oldest = NULL;
    if (!newest)
        return;
    while (newest) {
        struct epoch_node *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    epoch_synchronize();
    while (oldest) {
        struct epoch_node *next = oldest->next;
        oldest->release(oldest);
        oldest = next;
    }
}

struct epoch_mark {
    struct epoch_node node;
    KEVENT reached;
};

static void mark_reached(struct epoch_node *node)
{
    KeSetEvent(&CONTAINING_RECORD(node, struct epoch_mark, node)->reached, IO_NO_INCREMENT, FALSE);
}

void epoch_barrier(void)
{
    /* A release may defer something else (a session its peer); two rounds reach those as well. */
    for (int round = 0; round < 2; round++) {
        struct epoch_mark mark;
        KeInitializeEvent(&mark.reached, NotificationEvent, FALSE);
        epoch_defer(&mark.node, mark_reached);
        KeWaitForSingleObject(&mark.reached, Executive, KernelMode, FALSE, NULL);
    }
    /* The worker may still be on its way out of KeSetEvent and of the item. */
    work_drain(&epochs.work);
}

void epoch_uninitialize(void)
{
    epoch_barrier();
    memory_free(MEMORY_DRIVER, epochs.slots, epochs.bytes);
    epochs.slots = NULL;
}
