/* Kernel timers: a binary heap by due time under the dispatcher lock.  The event loop sleeps until the
 * earliest; it is woken only when a new timer is due before that.  Inside a KTIMER: DueTime = deadline in ns
 * of interrupt time, TimerListEntry.Flink = index in the heap, TIMER_INSERTED in Header.TimerMiscFlags.
 * Microsoft's page titles: "Using Timer Objects", "KeSetTimerEx", "KeCancelTimer". */
#include "dispatcher.h"

#include "host.h"
#include "verify/verify.h"

#include <stdlib.h>

#define TIMER_INSERTED 0x40u /* bit 30 of the header's first word, as on Windows */
#define NS_PER_MS      1000000u

static KTIMER **heap;
static size_t heap_count, heap_size;
static uint64_t earliest_ns = SCHED_FOREVER; /* written under the lock, read by the loop without it */

/* ---- the heap ---- */

static void place(size_t index, KTIMER *timer)
{
    heap[index] = timer;
    timer->TimerListEntry.Flink = (LIST_ENTRY *)(uintptr_t)index;
}

static void move_up(size_t index, KTIMER *timer)
{
    while (index != 0 && timer->DueTime.QuadPart < heap[(index - 1) / 2]->DueTime.QuadPart) {
        place(index, heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    place(index, timer);
}

static void move_down(size_t index, KTIMER *timer)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap_count)
            break;
        if (child + 1 < heap_count && heap[child + 1]->DueTime.QuadPart < heap[child]->DueTime.QuadPart)
            child++;
        if (timer->DueTime.QuadPart <= heap[child]->DueTime.QuadPart)
            break;
        place(index, heap[child]);
        index = child;
    }
    place(index, timer);
}

static void publish_earliest(void)
{
    __atomic_store_n(&earliest_ns, heap_count != 0 ? heap[0]->DueTime.QuadPart : SCHED_FOREVER,
                     __ATOMIC_SEQ_CST);
}

static void insert(KTIMER *timer)
{
    if (heap_count == heap_size) {
        size_t size = heap_size != 0 ? heap_size * 2 : 64;
        KTIMER **grown = realloc(heap, size * sizeof(KTIMER *));
        if (grown == NULL)
            host_fatal("out of memory for %zu timers", size);
        heap = grown;
        heap_size = size;
    }
    __atomic_store_n(&timer->Header.TimerMiscFlags, TIMER_INSERTED, __ATOMIC_RELAXED);
    move_up(heap_count++, timer);
    host_count_add(HOST_TIMER, 1);
    if (host_options.verify)
        verify_active_add(timer, "queued timer");
}

static void take_out(KTIMER *timer)
{
    size_t index = (size_t)(uintptr_t)timer->TimerListEntry.Flink;
    KTIMER *last = heap[--heap_count];
    if (last != timer) {
        if (index != 0 && last->DueTime.QuadPart < heap[(index - 1) / 2]->DueTime.QuadPart)
            move_up(index, last);
        else
            move_down(index, last);
    }
    __atomic_store_n(&timer->Header.TimerMiscFlags, 0, __ATOMIC_RELAXED);
    host_count_add(HOST_TIMER, -1);
    if (host_options.verify)
        verify_active_remove(timer);
}

static bool is_inserted(KTIMER *timer)
{
    return (__atomic_load_n(&timer->Header.TimerMiscFlags, __ATOMIC_RELAXED) & TIMER_INSERTED) != 0;
}

/* ---- expiry ---- */

static void signal_timer(KTIMER *timer)
{
    dispatcher_set_state(&timer->Header, 1);
    dispatcher_signal(&timer->Header);
}

static uint64_t next_deadline(void)
{
    return __atomic_load_n(&earliest_ns, __ATOMIC_SEQ_CST);
}

/* On the loop thread.  The DPCs are queued at DISPATCH_LEVEL and run when it is lowered, after the lock is
 * free. */
static void expire(void)
{
    KIRQL irql = sched_irql_raise_fast(DISPATCH_LEVEL);
    uint64_t now = sched_time_ns();
    dispatcher_lock();
    while (heap_count != 0 && heap[0]->DueTime.QuadPart <= now) {
        KTIMER *timer = heap[0];
        KDPC *dpc = timer->Dpc;
        take_out(timer);
        if (timer->Period != 0) {
            uint64_t period = (uint64_t)timer->Period * NS_PER_MS;
            timer->DueTime.QuadPart += period;
            if (timer->DueTime.QuadPart <= now) /* the loop was held up: no burst to catch up */
                timer->DueTime.QuadPart = now + period;
            insert(timer);
        }
        if (dpc != NULL)
            KeInsertQueueDpc(dpc, NULL, NULL);
        signal_timer(timer); /* last: a waiter may free it */
    }
    publish_earliest();
    dispatcher_unlock();
    sched_irql_lower_fast(irql);
}

__attribute__((constructor)) static void connect_timers(void)
{
    loop_set_timer(next_deadline, expire);
}

/* ---- the driver's verbs ---- */

VOID NTAPI KeInitializeTimerEx(PKTIMER Timer, TIMER_TYPE Type)
{
    if (host_options.verify)
        verify_active_check(Timer, "KeInitializeTimer");
    dispatcher_header_initialize(
        &Timer->Header, Type == NotificationTimer ? OBJECT_TIMER_NOTIFICATION : OBJECT_TIMER_SYNCHRONIZATION,
        0);
    Timer->DueTime.QuadPart = 0;
    Timer->TimerListEntry.Flink = Timer->TimerListEntry.Blink = NULL;
    Timer->Dpc = NULL;
    Timer->Processor = 0;
    Timer->TimerType = (USHORT)Type;
    Timer->Period = 0;
}

VOID NTAPI KeInitializeTimer(PKTIMER Timer)
{
    KeInitializeTimerEx(Timer, NotificationTimer);
}

static uint64_t deadline_ns(int64_t due_time, uint64_t now_ns)
{
    uint64_t units;
    if (due_time < 0) {
        units = (uint64_t)0 - (uint64_t)due_time;
    } else {
        uint64_t system = sched_time_system_100ns();
        units = (uint64_t)due_time > system ? (uint64_t)due_time - system : 0;
    }
    return units >= (SCHED_FOREVER - 1 - now_ns) / 100 ? SCHED_FOREVER - 1 : now_ns + units * 100;
}

BOOLEAN NTAPI KeSetTimerEx(PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, PKDPC Dpc)
{
    uint64_t now = sched_time_ns();
    uint64_t due = deadline_ns(DueTime.QuadPart, now);
    /* due already: its DPC is queued under the lock, so it must not run before the lock is free */
    KIRQL irql = due <= now ? sched_irql_raise_fast(DISPATCH_LEVEL) : 0;
    dispatcher_lock();
    bool was_inserted = is_inserted(Timer);
    if (was_inserted)
        take_out(Timer);
    uint64_t before = next_deadline();
    dispatcher_set_state(&Timer->Header, 0);
    Timer->Dpc = Dpc;
    Timer->Period = (ULONG)Period;
    Timer->DueTime.QuadPart = due;
    if (due <= now) {
        if (Period != 0) {
            Timer->DueTime.QuadPart = now + (uint64_t)(ULONG)Period * NS_PER_MS;
            insert(Timer);
        }
        publish_earliest();
        if (Dpc != NULL)
            KeInsertQueueDpc(Dpc, NULL, NULL);
        signal_timer(Timer);
    } else {
        insert(Timer);
        publish_earliest();
    }
    bool earlier = next_deadline() < before;
    dispatcher_unlock();
    if (earlier)
        loop_timer_changed();
    if (due <= now)
        sched_irql_lower_fast(irql);
    return was_inserted;
}

BOOLEAN NTAPI KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc)
{
    return KeSetTimerEx(Timer, DueTime, 0, Dpc);
}

/* The tolerable delay permits later expiry; it is not used. */
BOOLEAN NTAPI KeSetCoalescableTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period, ULONG TolerableDelay,
                                    PKDPC Dpc)
{
    return KeSetTimerEx(Timer, DueTime, (LONG)Period, Dpc);
}

BOOLEAN NTAPI KeCancelTimer(PKTIMER Timer)
{
    if (!is_inserted(Timer))
        return FALSE;
    dispatcher_lock();
    bool was_inserted = is_inserted(Timer);
    if (was_inserted) {
        take_out(Timer);
        publish_earliest();
    }
    dispatcher_unlock();
    return was_inserted;
}

BOOLEAN NTAPI KeReadStateTimer(PKTIMER Timer)
{
    return __atomic_load_n(&Timer->Header.SignalState, __ATOMIC_ACQUIRE) != 0;
}
