/* The pool of worker threads: data by peers in turn and two plain queues, all under one lock, threads that
 * sleep on an event of their own, the most recently idle one woken first. */
#include "worker.h"
#include "memory.h"
#include "nt/ob_ps_se.h"
#include "nt/rtl.h"
#include "wheel.h"

/* After so many batches in a row one handshake or control item gets its turn. */
#define DATA_STREAK_MAX 16

struct worker {
    KEVENT wake;
    PVOID thread;
    struct work *running;
    struct worker *next_idle;
};

static struct {
    KSPIN_LOCK lock;
    struct fair_queue data;
    LIST_ENTRY queues[WORK_CLASSES]; /* not of WORK_DATA */
    struct worker *idle;
    struct worker *workers;
    uint32_t count;
    uint32_t data_streak;
    bool stopping;
} pool;

void work_initialize(struct work *work, void (*run)(struct work *work))
{
    work->run = run;
    work->queued = 0;
}

static bool queue_item(enum work_class class, struct work *work, struct fair_flow *flow, uint32_t bytes)
{
    struct worker *worker = NULL;
    uint64_t now_ns = flow ? time_now_ns() : 0;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&pool.lock);
    bool queue = !work->queued;
    if (queue) {
        work->queued = 1;
        if (flow)
            fair_queue_put(&pool.data, flow, &work->item, bytes, now_ns);
        else
            InsertTailList(&pool.queues[class], &work->item.link);
        worker = pool.idle;
        if (worker)
            pool.idle = worker->next_idle;
    }
    KeReleaseSpinLock(&pool.lock, irql);
    if (worker)
        KeSetEvent(&worker->wake, IO_NETWORK_INCREMENT, FALSE);
    return queue;
}

bool work_queue(enum work_class class, struct work *work)
{
    return queue_item(class, work, NULL, 0);
}

bool work_queue_data(struct fair_flow *flow, struct work *work, uint32_t bytes)
{
    return queue_item(WORK_DATA, work, flow, bytes);
}

/* Lock held. */
static bool is_running(const struct work *work)
{
    for (uint32_t i = 0; i < pool.count; i++)
        if (pool.workers[i].running == work)
            return true;
    return false;
}

/* Lock held.  The first item that is not still running on another worker; that worker will look again when it
 * is done with it. */
static struct work *take_from(enum work_class class)
{
    LIST_ENTRY *head = &pool.queues[class];
    for (LIST_ENTRY *link = head->Flink; link != head; link = link->Flink) {
        struct work *work = CONTAINING_RECORD(link, struct work, item.link);
        if (is_running(work))
            continue;
        RemoveEntryList(link);
        work->queued = 0;
        return work;
    }
    return NULL;
}

/* Lock held. A data item may run on two workers at once: queued again, it is another piece of work. */
static struct work *take_data(void)
{
    struct fair_item *item = fair_queue_take(&pool.data, time_now_ns());
    if (!item)
        return NULL;
    struct work *work = CONTAINING_RECORD(item, struct work, item);
    work->queued = 0;
    return work;
}

/* Lock held. */
static struct work *take(void)
{
    struct work *work = NULL;
    if (pool.data_streak < DATA_STREAK_MAX && (work = take_data()) != NULL) {
        pool.data_streak++;
        return work;
    }
    pool.data_streak = 0;
    if (!(work = take_from(WORK_HANDSHAKE)) && !(work = take_from(WORK_CONTROL)))
        work = take_data();
    return work;
}

static VOID NTAPI worker_thread(PVOID context)
{
    struct worker *self = context;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&pool.lock);
    for (;;) {
        struct work *work = take();
        if (work) {
            self->running = work;
            KeReleaseSpinLock(&pool.lock, irql);
            work->run(work); /* may free it: only its address is used from here on */
            irql = KeAcquireSpinLockRaiseToDpc(&pool.lock);
            self->running = NULL;
        } else if (pool.stopping) {
            break;
        } else {
            self->next_idle = pool.idle;
            pool.idle = self;
            KeReleaseSpinLock(&pool.lock, irql);
            KeWaitForSingleObject(&self->wake, Executive, KernelMode, FALSE, NULL);
            irql = KeAcquireSpinLockRaiseToDpc(&pool.lock);
        }
    }
    KeReleaseSpinLock(&pool.lock, irql);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS worker_start(struct worker *worker)
{
    HANDLE handle;
    OBJECT_ATTRIBUTES attributes;
    KeInitializeEvent(&worker->wake, SynchronizationEvent, FALSE);
    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    NTSTATUS status =
        PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, &attributes, NULL, NULL, worker_thread, worker);
    if (!NT_SUCCESS(status))
        return status;
    /* Cannot fail: the handle is ours, fresh, and of this type. */
    ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &worker->thread, NULL);
    ZwClose(handle);
    return STATUS_SUCCESS;
}

NTSTATUS worker_initialize(void)
{
    NTSTATUS status = STATUS_SUCCESS;
    KeInitializeSpinLock(&pool.lock);
    for (int i = 0; i < WORK_CLASSES; i++)
        InitializeListHead(&pool.queues[i]);
    fair_queue_initialize(&pool.data);
    pool.idle = NULL;
    pool.stopping = false;
    pool.data_streak = 0;
    pool.count = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    pool.workers = memory_allocate(MEMORY_DRIVER, pool.count * sizeof(struct worker));
    if (!pool.workers) {
        pool.count = 0;
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    for (uint32_t i = 0; i < pool.count && NT_SUCCESS(status); i++)
        status = worker_start(&pool.workers[i]);
    if (!NT_SUCCESS(status))
        worker_uninitialize();
    return status;
}

void worker_uninitialize(void)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&pool.lock);
    pool.stopping = true;
    pool.idle = NULL;
    KeReleaseSpinLock(&pool.lock, irql);
    for (uint32_t i = 0; i < pool.count; i++)
        if (pool.workers[i].thread)
            KeSetEvent(&pool.workers[i].wake, IO_NO_INCREMENT, FALSE);
    for (uint32_t i = 0; i < pool.count; i++) {
        if (!pool.workers[i].thread)
            continue;
        KeWaitForSingleObject(pool.workers[i].thread, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(pool.workers[i].thread);
    }
    memory_free(MEMORY_DRIVER, pool.workers, pool.count * sizeof(struct worker));
    pool.workers = NULL;
    pool.count = 0;
}

void work_drain(struct work *work)
{
    LARGE_INTEGER pause = {.QuadPart = -10000}; /* 1 ms */
    for (;;) {
        KIRQL irql = KeAcquireSpinLockRaiseToDpc(&pool.lock);
        bool busy = work->queued || is_running(work);
        KeReleaseSpinLock(&pool.lock, irql);
        if (!busy)
            return;
        KeDelayExecutionThread(KernelMode, FALSE, &pause);
    }
}
