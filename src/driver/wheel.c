/* The timer wheel of an adapter; see wheel.h.  1024 buckets of 10 ms, so that the jitter of handshake retries
 * (up to 333 ms, against two sides that begin at once again and again) is not rounded away; entries further
 * away than one turn stay in their bucket until their turn comes.  The timer is armed for the first bucket
 * that holds anything, and not at all when none does. */
#include "wheel.h"
#include "adapter.h"
#include "epoch.h"
#include "memory.h"
#include "nt/rtl.h"

#define WHEEL_BUCKETS 1024
#define WHEEL_TICK_NS 10000000ull
/* By how much the system may delay the timer to join it with others. */
#define WHEEL_TOLERABLE_MS 10

/* Entries expired by one DPC, so that ten thousand at once do not hold a CPU; the rest follows in the next.
 */
#define WHEEL_EXPIRE_MAX 64

struct wheel {
    struct adapter *adapter;
    KSPIN_LOCK lock;
    LIST_ENTRY buckets[WHEEL_BUCKETS];
    uint64_t done_tick;  /* every tick up to this one was looked at */
    uint64_t armed_tick; /* UINT64_MAX: the timer is not armed */
    uint32_t entries;
    bool stopped;
    KTIMER timer;
    KDPC dpc;
};

uint64_t time_now_ns(void)
{
    ULONG64 qpc;
    return KeQueryInterruptTimePrecise(&qpc) * 100;
}

/* The tick at which an entry is due: never before its deadline. */
static uint64_t tick_of(uint64_t deadline_ns)
{
    return deadline_ns / WHEEL_TICK_NS + 1;
}

/* Lock held. */
static void wheel_arm(struct wheel *wheel, uint64_t tick, uint64_t now_ns)
{
    uint64_t due_ns = tick * WHEEL_TICK_NS;
    LARGE_INTEGER due = {.QuadPart = due_ns > now_ns ? -(int64_t)((due_ns - now_ns + 99) / 100) : -1};
    wheel->armed_tick = tick;
    KeSetCoalescableTimer(&wheel->timer, due, 0, WHEEL_TOLERABLE_MS, &wheel->dpc);
}

/* Lock held.  The first tick behind `done_tick` whose bucket holds anything. */
static void wheel_arm_next(struct wheel *wheel, uint64_t now_ns)
{
    wheel->armed_tick = UINT64_MAX;
    if (!wheel->entries || wheel->stopped)
        return;
    for (uint64_t tick = wheel->done_tick + 1; tick <= wheel->done_tick + WHEEL_BUCKETS; tick++) {
        if (!IsListEmpty(&wheel->buckets[tick % WHEEL_BUCKETS])) {
            wheel_arm(wheel, tick, now_ns);
            return;
        }
    }
}

/* Lock held.  An entry of tick `tick`'s bucket that is due by then, taken out; NULL if there is none. */
static struct wheel_entry *bucket_take_due(struct wheel *wheel, uint64_t tick)
{
    LIST_ENTRY *bucket = &wheel->buckets[tick % WHEEL_BUCKETS];
    for (LIST_ENTRY *link = bucket->Flink; link != bucket; link = link->Flink) {
        struct wheel_entry *entry = CONTAINING_RECORD(link, struct wheel_entry, link);
        if (tick_of(entry->deadline_ns) > tick)
            continue;
        RemoveEntryList(link);
        InitializeListHead(link);
        wheel->entries--;
        return entry;
    }
    return NULL;
}

/* Entries die by epoch only, so one that was taken out stays valid until the section ends. */
static VOID NTAPI wheel_dpc(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    struct wheel *wheel = context;
    struct epoch_guard guard;
    uint32_t budget = WHEEL_EXPIRE_MAX;
    epoch_enter(&guard);
    uint64_t now_ns = time_now_ns(), now_tick = now_ns / WHEEL_TICK_NS;

    KeAcquireSpinLockAtDpcLevel(&wheel->lock);
    /* After a long sleep one turn visits every bucket. */
    if (now_tick > wheel->done_tick + WHEEL_BUCKETS)
        wheel->done_tick = now_tick - WHEEL_BUCKETS;
    while (!wheel->stopped && wheel->done_tick < now_tick && budget) {
        struct wheel_entry *entry = bucket_take_due(wheel, wheel->done_tick + 1);
        if (!entry) {
            wheel->done_tick++;
            continue;
        }
        budget--;
        KeReleaseSpinLockFromDpcLevel(&wheel->lock);
        entry->expired(entry);
        KeAcquireSpinLockAtDpcLevel(&wheel->lock);
    }
    wheel_arm_next(wheel, now_ns);
    KeReleaseSpinLockFromDpcLevel(&wheel->lock);
    epoch_leave(&guard);
}

NTSTATUS wheel_initialize(struct adapter *adapter)
{
    struct wheel *wheel = memory_allocate(MEMORY_ADAPTER, sizeof(*wheel));
    if (!wheel)
        return STATUS_INSUFFICIENT_RESOURCES;
    wheel->adapter = adapter;
    KeInitializeSpinLock(&wheel->lock);
    for (uint32_t i = 0; i < WHEEL_BUCKETS; i++)
        InitializeListHead(&wheel->buckets[i]);
    KeInitializeTimer(&wheel->timer);
    KeInitializeDpc(&wheel->dpc, wheel_dpc, wheel);
    wheel->done_tick = time_now_ns() / WHEEL_TICK_NS;
    wheel->armed_tick = UINT64_MAX;
    adapter->wheel = wheel;
    return STATUS_SUCCESS;
}

void wheel_uninitialize(struct adapter *adapter)
{
    struct wheel *wheel = adapter->wheel;
    if (!wheel)
        return;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&wheel->lock);
    wheel->stopped = true;
    KeReleaseSpinLock(&wheel->lock, irql);
    KeCancelTimer(&wheel->timer);
    KeFlushQueuedDpcs();
    adapter->wheel = NULL;
    memory_free(MEMORY_ADAPTER, wheel, sizeof(*wheel));
}

/* Lock held. */
static void entry_unlink(struct wheel *wheel, struct wheel_entry *entry)
{
    if (IsListEmpty(&entry->link))
        return;
    RemoveEntryList(&entry->link);
    InitializeListHead(&entry->link);
    wheel->entries--;
}

/* Lock held. */
static void entry_link(struct wheel *wheel, struct wheel_entry *entry, uint64_t deadline_ns)
{
    uint64_t now_ns = time_now_ns(), tick = tick_of(deadline_ns);
    entry->deadline_ns = deadline_ns;
    if (!wheel->entries && wheel->done_tick + 1 < now_ns / WHEEL_TICK_NS)
        wheel->done_tick =
            now_ns / WHEEL_TICK_NS - 1; /* nothing was waiting: the idle time need not be looked at */
    /* A deadline in the past goes to the first bucket that will be looked at. */
    if (tick <= wheel->done_tick)
        tick = wheel->done_tick + 1;
    InsertTailList(&wheel->buckets[tick % WHEEL_BUCKETS], &entry->link);
    wheel->entries++;
    if (wheel->armed_tick > tick)
        wheel_arm(wheel, tick, now_ns);
}

void wheel_entry_initialize(struct wheel_entry *entry, void (*expired)(struct wheel_entry *entry))
{
    InitializeListHead(&entry->link);
    entry->expired = expired;
}

static void entry_set(struct adapter *adapter, struct wheel_entry *entry, uint64_t deadline_ns,
                      bool only_sooner)
{
    struct wheel *wheel = adapter->wheel;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&wheel->lock);
    bool linked = !IsListEmpty(&entry->link);
    if (!wheel->stopped && !(only_sooner && linked && entry->deadline_ns <= deadline_ns)) {
        entry_unlink(wheel, entry);
        if (deadline_ns != UINT64_MAX)
            entry_link(wheel, entry, deadline_ns);
    }
    KeReleaseSpinLock(&wheel->lock, irql);
}

void wheel_set(struct adapter *adapter, struct wheel_entry *entry, uint64_t deadline_ns)
{
    entry_set(adapter, entry, deadline_ns, false);
}

void wheel_set_sooner(struct adapter *adapter, struct wheel_entry *entry, uint64_t deadline_ns)
{
    entry_set(adapter, entry, deadline_ns, true);
}

void wheel_remove(struct adapter *adapter, struct wheel_entry *entry)
{
    struct wheel *wheel = adapter->wheel;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&wheel->lock);
    entry_unlink(wheel, entry);
    KeReleaseSpinLock(&wheel->lock, irql);
}

void wheel_kick(struct adapter *adapter)
{
    KeInsertQueueDpc(&adapter->wheel->dpc, NULL, NULL);
}
