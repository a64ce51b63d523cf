/* The dispatcher: signal states, waiter lists and KeWaitFor*.  A wait that can be satisfied at once makes no
 * system call; setting an object that nobody waits for neither.  Microsoft's page titles:
 * "KeWaitForSingleObject", "KeWaitForMultipleObjects", "KeDelayExecutionThread". */
#include "dispatcher.h"

#include "host.h"
#include "verify/verify.h"

#define WAKES_PER_UNLOCK              32
#define IRQL_NOT_LESS_OR_EQUAL        0x0Au
#define MAXIMUM_WAIT_OBJECTS_EXCEEDED 0x0Cu

/* One wait of one thread; lives on its stack.  After `done` nobody else touches it. */
struct waiter {
    struct sched_thread *sched;
    PKTHREAD thread;
    KWAIT_BLOCK *blocks;
    ULONG count;
    WAIT_TYPE type;
    NTSTATUS status;
    uint32_t done;
};

static struct {
    _Alignas(128) uint32_t word;
    uint32_t wakes;
    struct sched_thread *ready[WAKES_PER_UNLOCK];
} dispatcher;

void dispatcher_lock(void)
{
    unsigned spins = 0;
    while (__builtin_expect(__atomic_exchange_n(&dispatcher.word, 1, __ATOMIC_ACQUIRE) != 0, 0))
        sched_spin(&spins);
}

static void wake_ready(void)
{
    struct sched_thread *ready[WAKES_PER_UNLOCK];
    uint32_t count = dispatcher.wakes;
    for (uint32_t i = 0; i < count; i++)
        ready[i] = dispatcher.ready[i];
    dispatcher.wakes = 0;
    __atomic_store_n(&dispatcher.word, 0, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < count; i++)
        sched_wake(ready[i]);
}

void dispatcher_unlock(void)
{
    if (__builtin_expect(dispatcher.wakes != 0, 0)) {
        wake_ready();
        return;
    }
    __atomic_store_n(&dispatcher.word, 0, __ATOMIC_RELEASE);
}

static void make_ready(struct sched_thread *thread)
{
    if (dispatcher.wakes == WAKES_PER_UNLOCK) /* rare: wake under the lock */
        sched_wake(thread);
    else
        dispatcher.ready[dispatcher.wakes++] = thread;
}

void dispatcher_header_initialize(DISPATCHER_HEADER *header, enum dispatcher_type type, LONG state)
{
    header->Lock = 0;
    header->Type = (UCHAR)type;
    header->SignalState = state;
    header->WaitListHead.Flink = header->WaitListHead.Blink = &header->WaitListHead;
}

/* ---- what an object's signal means to a thread ---- */

static bool is_signalled(const DISPATCHER_HEADER *header, PKTHREAD thread)
{
    if (header->Type == OBJECT_MUTANT && ((const KMUTANT *)header)->OwnerThread == thread)
        return true;
    return header->SignalState > 0;
}

/* The thread gets the object; returns STATUS_ABANDONED for a mutant whose owner died, else 0. */
static NTSTATUS consume(DISPATCHER_HEADER *header, PKTHREAD thread)
{
    KMUTANT *mutant = (KMUTANT *)header;
    switch (header->Type) {
    case OBJECT_EVENT_SYNCHRONIZATION:
    case OBJECT_TIMER_SYNCHRONIZATION:
        dispatcher_set_state(header, 0);
        return STATUS_SUCCESS;
    case OBJECT_SEMAPHORE:
        dispatcher_set_state(header, header->SignalState - 1);
        return STATUS_SUCCESS;
    case OBJECT_MUTANT:
        dispatcher_set_state(header, header->SignalState - 1);
        if (header->SignalState != 0)
            return STATUS_SUCCESS; /* the owner, once more */
        __atomic_store_n(&mutant->OwnerThread, thread, __ATOMIC_RELAXED);
        mutant->MutantListEntry.Flink = &thread->mutants;
        mutant->MutantListEntry.Blink = thread->mutants.Blink;
        thread->mutants.Blink->Flink = &mutant->MutantListEntry;
        thread->mutants.Blink = &mutant->MutantListEntry;
        thread->critical_regions += mutant->ApcDisable;
        if ((mutant->MutantFlags & 1) == 0)
            return STATUS_SUCCESS;
        mutant->MutantFlags &= (UCHAR)~1;
        return STATUS_ABANDONED;
    default:
        return STATUS_SUCCESS;
    }
}

static NTSTATUS consume_all(struct waiter *waiter)
{
    NTSTATUS status = STATUS_SUCCESS;
    for (ULONG i = 0; i < waiter->count; i++)
        status |= consume(waiter->blocks[i].Object, waiter->thread);
    return status;
}

static bool all_signalled(const struct waiter *waiter)
{
    for (ULONG i = 0; i < waiter->count; i++)
        if (!is_signalled(waiter->blocks[i].Object, waiter->thread))
            return false;
    return true;
}

static void unlink_blocks(struct waiter *waiter)
{
    for (ULONG i = 0; i < waiter->count; i++) {
        LIST_ENTRY *entry = &waiter->blocks[i].WaitListEntry;
        entry->Flink->Blink = entry->Blink;
        entry->Blink->Flink = entry->Flink;
    }
}

static void finish(struct waiter *waiter, NTSTATUS status)
{
    struct sched_thread *thread = waiter->sched;
    unlink_blocks(waiter);
    waiter->status = status;
    __atomic_store_n(&waiter->done, 1, __ATOMIC_RELEASE);
    make_ready(thread);
}

void dispatcher_signal(DISPATCHER_HEADER *header)
{
    LIST_ENTRY *entry = header->WaitListHead.Flink;
    while (entry != &header->WaitListHead && header->SignalState > 0) {
        KWAIT_BLOCK *block = CONTAINING_RECORD(entry, KWAIT_BLOCK, WaitListEntry);
        struct waiter *waiter = block->SparePtr;
        entry = entry->Flink;
        if (waiter->type == WaitAny)
            finish(waiter, block->WaitKey + consume(header, waiter->thread));
        else if (all_signalled(waiter))
            finish(waiter, consume_all(waiter));
        else
            continue;
        entry = header->WaitListHead.Flink; /* one waiter may have had several blocks here */
    }
}

/* ---- waiting ---- */

/* A time-out in NT's form as a deadline of sched_time_ns(); 0 = do not wait. */
static uint64_t deadline_of(const LARGE_INTEGER *timeout)
{
    if (timeout == NULL)
        return SCHED_FOREVER;
    if (timeout->QuadPart == 0)
        return 0;
    uint64_t units;
    if (timeout->QuadPart < 0) {
        units = (uint64_t)0 - (uint64_t)timeout->QuadPart;
    } else {
        uint64_t now = sched_time_system_100ns();
        if ((uint64_t)timeout->QuadPart <= now)
            return 0;
        units = (uint64_t)timeout->QuadPart - now;
    }
    uint64_t now_ns = sched_time_ns();
    if (units >= (SCHED_FOREVER - now_ns) / 100)
        return SCHED_FOREVER;
    return now_ns + units * 100;
}

static NTSTATUS wait_for(ULONG count, PVOID *objects, WAIT_TYPE type, const LARGE_INTEGER *timeout,
                         KWAIT_BLOCK *blocks)
{
    struct waiter waiter = {.sched = sched_self_fast(),
                            .thread = ke_current_thread(),
                            .blocks = blocks,
                            .count = count,
                            .type = type};
    bool may_block = timeout == NULL || timeout->QuadPart != 0;
    if (may_block && waiter.sched->irql >= DISPATCH_LEVEL) {
        if (host_options.verify)
            verify_report(RULE_WAIT_AT_DISPATCH, "a wait with a time-out other than zero at IRQL %u",
                          waiter.sched->irql);
        KeBugCheckEx(IRQL_NOT_LESS_OR_EQUAL, (ULONG_PTR)objects[0], waiter.sched->irql, 0, 0);
    }
    dispatcher_lock();
    if (type == WaitAny) {
        for (ULONG i = 0; i < count; i++) {
            if (is_signalled(objects[i], waiter.thread)) {
                NTSTATUS status = (NTSTATUS)i + consume(objects[i], waiter.thread);
                dispatcher_unlock();
                return status;
            }
        }
    }
    for (ULONG i = 0; i < count; i++) {
        blocks[i].Object = objects[i];
        blocks[i].WaitType = (UCHAR)type;
        blocks[i].WaitKey = (USHORT)i;
        blocks[i].Thread = waiter.thread;
        blocks[i].SparePtr = &waiter;
    }
    if (type == WaitAll && all_signalled(&waiter)) {
        NTSTATUS status = consume_all(&waiter);
        dispatcher_unlock();
        return status;
    }
    uint64_t deadline = deadline_of(timeout);
    if (deadline == 0) {
        dispatcher_unlock();
        return STATUS_TIMEOUT;
    }
    for (ULONG i = 0; i < count; i++) {
        LIST_ENTRY *head = &((DISPATCHER_HEADER *)objects[i])->WaitListHead,
                   *entry = &blocks[i].WaitListEntry;
        entry->Flink = head;
        entry->Blink = head->Blink;
        head->Blink->Flink = entry;
        head->Blink = entry;
    }
    dispatcher_unlock();
    while (__atomic_load_n(&waiter.done, __ATOMIC_ACQUIRE) == 0) {
        if (sched_block(deadline))
            continue;
        dispatcher_lock();
        if (waiter.done == 0) {
            unlink_blocks(&waiter);
            waiter.status = STATUS_TIMEOUT;
            waiter.done = 1;
        }
        dispatcher_unlock();
    }
    return waiter.status;
}

/* ---- mutexes in verify mode: they count as locks; a recursive acquisition is not one more ---- */

static bool is_mutant(const DISPATCHER_HEADER *header)
{
    return header->Type == OBJECT_MUTANT;
}

static void check_wanted(ULONG count, PVOID *objects)
{
    for (ULONG i = 0; i < count; i++)
        if (is_mutant(objects[i]) &&
            __atomic_load_n(&((KMUTANT *)objects[i])->OwnerThread, __ATOMIC_RELAXED) != ke_current_thread())
            verify_lock_wanted(objects[i], LOCK_MUTEX);
}

/* The thread owns it, so that nobody else changes the state. */
static void check_taken(PVOID object)
{
    if (is_mutant(object) && KeReadStateMutex(object) == 0)
        verify_lock_taken(object, LOCK_MUTEX);
}

static NTSTATUS wait_for_checked(ULONG count, PVOID *objects, WAIT_TYPE type, const LARGE_INTEGER *timeout,
                                 KWAIT_BLOCK *blocks)
{
    if (timeout == NULL || timeout->QuadPart != 0)
        check_wanted(count, objects);
    NTSTATUS status = wait_for(count, objects, type, timeout, blocks);
    if (status == STATUS_TIMEOUT)
        return status;
    if (type == WaitAny)
        check_taken(objects[status & ~STATUS_ABANDONED]);
    else
        for (ULONG i = 0; i < count; i++)
            check_taken(objects[i]);
    return status;
}

NTSTATUS NTAPI KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode,
                                     BOOLEAN Alertable, PLARGE_INTEGER Timeout)
{
    KWAIT_BLOCK block;
    if (__builtin_expect(host_options.verify, 0))
        return wait_for_checked(1, &Object, WaitAny, Timeout, &block);
    return wait_for(1, &Object, WaitAny, Timeout, &block);
}

NTSTATUS NTAPI KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType,
                                        KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                        PLARGE_INTEGER Timeout, PKWAIT_BLOCK WaitBlockArray)
{
    KWAIT_BLOCK blocks[THREAD_WAIT_OBJECTS];
    if (Count == 0 || Count > (WaitBlockArray != NULL ? MAXIMUM_WAIT_OBJECTS : THREAD_WAIT_OBJECTS))
        KeBugCheckEx(MAXIMUM_WAIT_OBJECTS_EXCEEDED, Count, (ULONG_PTR)Object, (ULONG_PTR)WaitBlockArray, 0);
    if (WaitBlockArray == NULL)
        WaitBlockArray = blocks;
    if (__builtin_expect(host_options.verify, 0))
        return wait_for_checked(Count, Object, WaitType, Timeout, WaitBlockArray);
    return wait_for(Count, Object, WaitType, Timeout, WaitBlockArray);
}

NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Interval)
{
    struct sched_thread *self = sched_self_fast();
    if (self->irql >= DISPATCH_LEVEL) {
        if (host_options.verify)
            verify_report(RULE_WAIT_AT_DISPATCH, "KeDelayExecutionThread at IRQL %u", self->irql);
        KeBugCheckEx(IRQL_NOT_LESS_OR_EQUAL, 0, self->irql, 0, 0);
    }
    uint64_t deadline = deadline_of(Interval);
    while (deadline != 0 && sched_time_ns() < deadline)
        sched_block(deadline);
    return STATUS_SUCCESS;
}
