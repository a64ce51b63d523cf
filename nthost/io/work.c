/* System worker threads, and the I/O manager's work items on top of them.  A new worker is made when all are
 * busy (a work item may wait for another one), up to a limit; idle workers sleep. */
#include "io/work.h"

#include "host.h"
#include "io/device.h"
#include "nt/io.h"
#include "sched/sched.h"
#include "verify/verify.h"

#include <pthread.h>
#include <stdlib.h>

#define MAX_WORKERS 16u

struct worker {
    struct sched_thread *thread;
    bool idle;
};

static pthread_mutex_t work_lock = PTHREAD_MUTEX_INITIALIZER;
static struct work *queue_head, **queue_tail = &queue_head;
static struct worker workers[MAX_WORKERS];
static unsigned worker_count, running;
static bool stopping;

struct drainer { /* a thread in work_drain() */
    struct sched_thread *thread;
    struct drainer *next;
};
static struct drainer *drainers;

static struct work *take(void)
{
    struct work *work = queue_head;
    if (work) {
        queue_head = work->next;
        if (!queue_head)
            queue_tail = &queue_head;
        running++;
    }
    return work;
}

static void worker_main(void *context)
{
    struct worker *self = context;
    for (;;) {
        pthread_mutex_lock(&work_lock);
        struct work *work = take();
        self->idle = !work;
        bool end = !work && stopping;
        pthread_mutex_unlock(&work_lock);
        if (end)
            return;
        if (!work) {
            sched_block(SCHED_FOREVER);
            continue;
        }
        work->function(work->context);
        pthread_mutex_lock(&work_lock);
        running--;
        for (struct drainer *drainer = drainers; drainer; drainer = drainer->next)
            sched_wake(drainer->thread);
        pthread_mutex_unlock(&work_lock);
    }
}

/* Wakes an idle worker, or makes one.  The lock is held. */
static void call_worker(void)
{
    for (unsigned i = 0; i < worker_count; i++) {
        if (workers[i].idle && workers[i].thread) {
            workers[i].idle = false;
            sched_wake(workers[i].thread);
            return;
        }
    }
    if (worker_count == MAX_WORKERS)
        return;
    struct worker *worker = &workers[worker_count++];
    worker->idle = false;
    worker->thread = sched_thread_create("worker", worker_main, worker);
    if (!worker->thread) {
        worker_count--;
        if (worker_count == 0)
            host_fatal("cannot make a worker thread");
    }
}

void work_queue(struct work *work)
{
    work->next = NULL;
    pthread_mutex_lock(&work_lock);
    *queue_tail = work;
    queue_tail = &work->next;
    call_worker();
    pthread_mutex_unlock(&work_lock);
}

void work_drain(void)
{
    struct drainer self = {.thread = sched_self()};
    pthread_mutex_lock(&work_lock);
    self.next = drainers;
    drainers = &self;
    while (queue_head || running) {
        pthread_mutex_unlock(&work_lock);
        sched_block(SCHED_FOREVER);
        pthread_mutex_lock(&work_lock);
    }
    struct drainer **link = &drainers;
    while (*link != &self)
        link = &(*link)->next;
    *link = self.next;
    pthread_mutex_unlock(&work_lock);
}

void work_shutdown(void)
{
    pthread_mutex_lock(&work_lock);
    stopping = true;
    for (unsigned i = 0; i < worker_count; i++)
        sched_wake(workers[i].thread);
    pthread_mutex_unlock(&work_lock);
    for (unsigned i = 0; i < worker_count; i++)
        sched_thread_join(workers[i].thread);
    worker_count = 0;
    stopping = false;
}

/* ---- IoAllocateWorkItem and its verbs ---- */

struct _IO_WORKITEM {
    struct work work;
    PDEVICE_OBJECT device;
    PIO_WORKITEM_ROUTINE routine;
    PIO_WORKITEM_ROUTINE_EX routine_ex;
    PVOID context;
    int queued;
};

PIO_WORKITEM NTAPI IoAllocateWorkItem(PDEVICE_OBJECT DeviceObject)
{
    PIO_WORKITEM item = calloc(1, sizeof *item);
    if (!item)
        return NULL;
    item->device = DeviceObject;
    host_count_add(HOST_WORK_ITEM, 1);
    if (host_options.verify)
        ledger_add(HOST_WORK_ITEM, item, OWNER_DRIVER, "work item");
    return item;
}

VOID NTAPI IoFreeWorkItem(PIO_WORKITEM IoWorkItem)
{
    if (host_options.verify) {
        ledger_remove(HOST_WORK_ITEM, IoWorkItem, OWNER_DRIVER, RULE_OBJECT_REFERENCE);
        if (__atomic_load_n(&IoWorkItem->queued, __ATOMIC_ACQUIRE))
            verify_report(RULE_POOL_ACTIVE_OBJECT, "IoFreeWorkItem: the work item is still queued");
    }
    host_count_add(HOST_WORK_ITEM, -1);
    free(IoWorkItem);
}

/* The routine may free the item: it is not touched after the call. */
static void run_item(void *context)
{
    PIO_WORKITEM item = context;
    PDEVICE_OBJECT device = item->device;
    PIO_WORKITEM_ROUTINE routine = item->routine;
    PIO_WORKITEM_ROUTINE_EX routine_ex = item->routine_ex;
    PVOID argument = item->context;
    struct host_callback callback;
    __atomic_store_n(&item->queued, 0, __ATOMIC_RELEASE);
    host_callback_begin(&callback, "work item");
    if (routine_ex)
        routine_ex(device, argument, item);
    else
        routine(device, argument);
    host_callback_end(&callback);
    if (device && device->Type == IO_TYPE_DEVICE)
        device_dereference(device);
}

static void queue_item(PIO_WORKITEM item, PIO_WORKITEM_ROUTINE routine, PIO_WORKITEM_ROUTINE_EX routine_ex,
                       PVOID context)
{
    if (__atomic_exchange_n(&item->queued, 1, __ATOMIC_ACQ_REL)) {
        if (host_options.verify)
            verify_report(RULE_DOUBLE_INITIALIZE, "a work item was queued while it is in the queue");
        return;
    }
    item->work.function = run_item;
    item->work.context = item;
    item->routine = routine;
    item->routine_ex = routine_ex;
    item->context = context;
    if (item->device && item->device->Type == IO_TYPE_DEVICE)
        device_reference(item->device);
    work_queue(&item->work);
}

VOID NTAPI IoQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE WorkerRoutine,
                           WORK_QUEUE_TYPE QueueType, PVOID Context)
{
    (void)QueueType;
    queue_item(IoWorkItem, WorkerRoutine, NULL, Context);
}

VOID NTAPI IoQueueWorkItemEx(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine,
                             WORK_QUEUE_TYPE QueueType, PVOID Context)
{
    (void)QueueType;
    queue_item(IoWorkItem, NULL, WorkerRoutine, Context);
}
