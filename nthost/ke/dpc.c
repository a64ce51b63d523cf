/* Deferred procedure calls: one queue per virtual CPU.  Inside a KDPC: DpcData = the queue that holds it
 * (NULL: not queued), Number = target CPU + 1 (0: the CPU that queues it).  Who drains and when is the
 * scheduler's.  Microsoft's page titles: "Introduction to DPC Objects", "Organization of DPC Queues",
 * "KeFlushQueuedDpcs". */
#include "dispatcher.h"

#include "exports.h"
#include "host.h"
#include "verify/verify.h"

#define DPC_OBJECT          19u /* Windows' type numbers */
#define THREADED_DPC_OBJECT 24u

struct dpc_queue {
    _Alignas(128) uint32_t lock;
    uint32_t count;
    SINGLE_LIST_ENTRY *first;
    SINGLE_LIST_ENTRY **last; /* where the next one is linked; NULL: at `first` */
    uint32_t running;         /* a DPC routine of this CPU is being executed */
};
static struct dpc_queue queues[64];

static void lock_queue(struct dpc_queue *queue)
{
    unsigned spins = 0;
    while (__builtin_expect(__atomic_exchange_n(&queue->lock, 1, __ATOMIC_ACQUIRE) != 0, 0))
        sched_spin(&spins);
}

static void unlock_queue(struct dpc_queue *queue)
{
    __atomic_store_n(&queue->lock, 0, __ATOMIC_RELEASE);
}

static void append(struct dpc_queue *queue, SINGLE_LIST_ENTRY *entry)
{
    entry->Next = NULL;
    if (queue->first == NULL)
        queue->first = entry;
    else
        *queue->last = entry;
    queue->last = &entry->Next;
}

static void prepend(struct dpc_queue *queue, SINGLE_LIST_ENTRY *entry)
{
    entry->Next = queue->first;
    if (queue->first == NULL)
        queue->last = &entry->Next;
    queue->first = entry;
}

static VOID initialize(PRKDPC dpc, UCHAR type, PKDEFERRED_ROUTINE routine, PVOID context)
{
    if (host_options.verify)
        verify_active_check(dpc, "KeInitializeDpc");
    dpc->TargetInfoAsUlong = 0;
    dpc->Type = type;
    dpc->Importance = MediumImportance;
    dpc->DpcListEntry.Next = NULL;
    dpc->ProcessorHistory = 0;
    dpc->DeferredRoutine = routine;
    dpc->DeferredContext = context;
    dpc->SystemArgument1 = dpc->SystemArgument2 = NULL;
    dpc->DpcData = NULL;
}

VOID NTAPI KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext)
{
    initialize(Dpc, DPC_OBJECT, DeferredRoutine, DeferredContext);
}

/* Runs like an ordinary DPC, which Windows allows (threaded DPCs can be turned off). */
VOID NTAPI KeInitializeThreadedDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext)
{
    initialize(Dpc, THREADED_DPC_OBJECT, DeferredRoutine, DeferredContext);
}

BOOLEAN NTAPI KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2)
{
    USHORT number = Dpc->Number;
    unsigned cpu = number != 0 ? number - 1u : sched_self_fast()->cpu;
    struct dpc_queue *queue = &queues[cpu];
    lock_queue(queue);
    PVOID not_queued = NULL;
    if (!__atomic_compare_exchange_n(&Dpc->DpcData, &not_queued, queue, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED)) {
        unlock_queue(queue);
        return FALSE;
    }
    Dpc->SystemArgument1 = SystemArgument1;
    Dpc->SystemArgument2 = SystemArgument2;
    if (Dpc->Importance == HighImportance)
        prepend(queue, &Dpc->DpcListEntry);
    else
        append(queue, &Dpc->DpcListEntry);
    __atomic_store_n(&queue->count, queue->count + 1, __ATOMIC_RELAXED);
    host_count_add(HOST_DPC, 1);
    if (host_options.verify)
        verify_active_add(Dpc, "queued DPC");
    unlock_queue(queue);
    sched_cpu_request(cpu);
    return TRUE;
}

/* The queue's lock is held. */
static void forget(struct dpc_queue *queue, PRKDPC dpc)
{
    __atomic_store_n(&queue->count, queue->count - 1, __ATOMIC_RELAXED);
    host_count_add(HOST_DPC, -1);
    if (host_options.verify)
        verify_active_remove(dpc);
    __atomic_store_n(&dpc->DpcData, NULL, __ATOMIC_RELEASE);
}

BOOLEAN NTAPI KeRemoveQueueDpc(PRKDPC Dpc)
{
    struct dpc_queue *queue = __atomic_load_n(&Dpc->DpcData, __ATOMIC_ACQUIRE);
    if (queue == NULL)
        return FALSE;
    lock_queue(queue);
    if (__atomic_load_n(&Dpc->DpcData, __ATOMIC_ACQUIRE) != queue) { /* it ran meanwhile */
        unlock_queue(queue);
        return FALSE;
    }
    SINGLE_LIST_ENTRY **at = &queue->first;
    while (*at != &Dpc->DpcListEntry)
        at = &(*at)->Next;
    *at = Dpc->DpcListEntry.Next;
    if (*at == NULL)
        queue->last = at;
    forget(queue, Dpc);
    unlock_queue(queue);
    return TRUE;
}

/* The scheduler calls it at DISPATCH_LEVEL on `cpu`: runs what is queued now, not what these queue in turn.
 */
void ke_dpc_drain(unsigned cpu)
{
    struct dpc_queue *queue = &queues[cpu];
    for (uint32_t left = __atomic_load_n(&queue->count, __ATOMIC_RELAXED); left != 0; left--) {
        lock_queue(queue);
        SINGLE_LIST_ENTRY *entry = queue->first;
        if (entry == NULL) {
            unlock_queue(queue);
            return;
        }
        KDPC *dpc = CONTAINING_RECORD(entry, KDPC, DpcListEntry);
        PKDEFERRED_ROUTINE routine = dpc->DeferredRoutine;
        PVOID context = dpc->DeferredContext, argument1 = dpc->SystemArgument1,
              argument2 = dpc->SystemArgument2;
        queue->first = entry->Next;
        queue->running = 1;
        forget(queue, dpc);
        unlock_queue(queue);
        struct host_callback callback;
        host_callback_begin(&callback, "DPC");
        routine(dpc, context, argument1, argument2);
        host_callback_end(&callback);
        __atomic_store_n(&queue->running, 0, __ATOMIC_RELAXED);
    }
}

bool ke_dpc_pending(unsigned cpu)
{
    return __atomic_load_n(&queues[cpu].count, __ATOMIC_RELAXED) != 0;
}

__attribute__((constructor)) static void connect_dpcs(void)
{
    sched_set_dpc_drain(ke_dpc_drain, ke_dpc_pending);
}

VOID NTAPI KeSetTargetProcessorDpc(PRKDPC Dpc, CCHAR Number)
{
    if ((unsigned)Number < sched_cpu_count())
        Dpc->Number = (USHORT)(Number + 1);
}

NTSTATUS NTAPI KeSetTargetProcessorDpcEx(PKDPC Dpc, PPROCESSOR_NUMBER ProcNumber)
{
    if (ProcNumber->Group != 0 || ProcNumber->Number >= sched_cpu_count() || ProcNumber->Reserved != 0)
        return STATUS_INVALID_PARAMETER;
    Dpc->Number = (USHORT)(ProcNumber->Number + 1);
    return STATUS_SUCCESS;
}

VOID NTAPI KeSetImportanceDpc(PRKDPC Dpc, KDPC_IMPORTANCE Importance)
{
    Dpc->Importance = (UCHAR)Importance;
}

VOID NTAPI KeFlushQueuedDpcs(VOID)
{
    if (sched_self_fast()->irql >= DISPATCH_LEVEL) {
        if (host_options.verify)
            verify_report(RULE_WAIT_AT_DISPATCH, "KeFlushQueuedDpcs at IRQL %u", sched_self_fast()->irql);
        KeBugCheckEx(0x0A /* IRQL_NOT_LESS_OR_EQUAL */, 0, sched_self_fast()->irql, 0, 0);
    }
    for (unsigned cpu = 0; cpu < sched_cpu_count(); cpu++)
        sched_cpu_visit(cpu);
}

BOOLEAN NTAPI KeIsExecutingDpc(VOID)
{
    struct sched_thread *self = sched_self_fast();
    return self->irql >= DISPATCH_LEVEL && __atomic_load_n(&queues[self->cpu].running, __ATOMIC_RELAXED) != 0;
}
