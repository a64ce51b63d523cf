/* Epochs under stress: threads play CPUs (each has its own number, and DISPATCH_LEVEL is simply that it does
 * nothing else), a writer replaces an object again and again and frees the old one after a grace period.  A
 * reader that still sees a freed object is a use after free (AddressSanitizer) or a race (ThreadSanitizer),
 * and finds a wrong value. */
#include "check.h"
#include "driver.h"
#include "epoch.h"
#include "memory.h"
#include "worker.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "shake.h"
/* the code under test, shaken */
#include "epoch.c"

#define READERS 3
#define ROUNDS  20000
#define ALIVE   0x616c697665u
#define DEAD    0x64656164u

struct driver driver;

/* ---- the parts of the kernel and of the driver that epoch.c calls ---- */

static _Thread_local uint32_t this_cpu;

KIRQL FASTCALL KfRaiseIrql(KIRQL irql)
{
    (void)irql;
    return 0;
}

VOID NTAPI KeLowerIrql(KIRQL irql)
{
    (void)irql;
}

ULONG NTAPI KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER number)
{
    (void)number;
    return this_cpu;
}

NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE mode, BOOLEAN alertable, PLARGE_INTEGER interval)
{
    (void)mode, (void)alertable, (void)interval;
    sched_yield();
    return STATUS_SUCCESS;
}

VOID NTAPI KeInitializeEvent(PRKEVENT event, EVENT_TYPE type, BOOLEAN state)
{
    (void)type;
    __atomic_store_n(&event->Header.SignalState, state, __ATOMIC_RELEASE);
}

LONG NTAPI KeSetEvent(PRKEVENT event, KPRIORITY increment, BOOLEAN wait)
{
    (void)increment, (void)wait;
    return __atomic_exchange_n(&event->Header.SignalState, 1, __ATOMIC_ACQ_REL);
}

NTSTATUS NTAPI KeWaitForSingleObject(PVOID object, KWAIT_REASON reason, KPROCESSOR_MODE mode,
                                     BOOLEAN alertable, PLARGE_INTEGER timeout)
{
    (void)reason, (void)mode, (void)alertable, (void)timeout;
    while (!__atomic_load_n(&((KEVENT *)object)->Header.SignalState, __ATOMIC_ACQUIRE))
        sched_yield();
    return STATUS_SUCCESS;
}

void *memory_allocate(enum memory_kind kind, size_t bytes)
{
    (void)kind;
    return calloc(1, bytes);
}

void memory_free(enum memory_kind kind, void *memory, size_t bytes)
{
    (void)kind, (void)bytes;
    free(memory);
}

/* One worker thread that runs the one item there is. */
static struct work *volatile queued;
static bool stop_worker;

void work_initialize(struct work *work, void (*run)(struct work *work))
{
    work->run = run;
}

bool work_queue(enum work_class class, struct work *work)
{
    (void)class;
    return __atomic_exchange_n(&queued, work, __ATOMIC_ACQ_REL) == NULL;
}

void work_drain(struct work *work)
{
    (void)work;
}

static void *worker(void *argument)
{
    (void)argument;
    while (!__atomic_load_n(&stop_worker, __ATOMIC_ACQUIRE)) {
        struct work *work = __atomic_exchange_n(&queued, NULL, __ATOMIC_ACQ_REL);
        if (work)
            work->run(work);
        else
            sched_yield();
    }
    return NULL;
}

/* ---- the test ---- */

struct object {
    uint64_t state;
    struct epoch_node node;
};

static struct object *published;
static pthread_barrier_t start;
static bool stop_readers;
static uint64_t dead_seen, reads, released;

static struct object *object_create(void)
{
    struct object *object = malloc(sizeof(*object));
    object->state = ALIVE;
    return object;
}

static void object_release(struct epoch_node *node)
{
    struct object *object = CONTAINING_RECORD(node, struct object, node);
    object->state = DEAD;
    __atomic_add_fetch(&released, 1, __ATOMIC_RELAXED);
    free(object);
}

static void *reader(void *argument)
{
    this_cpu = (uint32_t)(uintptr_t)argument;
    uint64_t dead = 0, count = 0;
    pthread_barrier_wait(&start);
    while (!__atomic_load_n(&stop_readers, __ATOMIC_RELAXED)) {
        struct epoch_guard outer, inner;
        epoch_enter(&outer);
        struct object *object = __atomic_load_n(&published, __ATOMIC_ACQUIRE);
        epoch_enter(&inner); /* sections nest, and the inner end is not the outer one */
        epoch_leave(&inner);
        for (int i = 0; i < 4; i++)
            shake();
        dead += object->state != ALIVE;
        epoch_leave(&outer);
        count++;
        if (count % 64 == 0)
            sched_yield();
    }
    __atomic_add_fetch(&dead_seen, dead, __ATOMIC_RELAXED);
    __atomic_add_fetch(&reads, count, __ATOMIC_RELAXED);
    return NULL;
}

int main(void)
{
    pthread_t threads[READERS], worker_id;
    driver.cpus = READERS + 1;
    CHECK(NT_SUCCESS(epoch_initialize()));
    published = object_create();
    pthread_barrier_init(&start, NULL, READERS + 1);
    pthread_create(&worker_id, NULL, worker, NULL);
    for (uintptr_t i = 0; i < READERS; i++)
        pthread_create(&threads[i], NULL, reader, (void *)(i + 1));

    pthread_barrier_wait(&start);
    for (int i = 0; i < ROUNDS; i++) {
        struct object *old = __atomic_exchange_n(&published, object_create(), __ATOMIC_ACQ_REL);
        if (i % 2) {
            epoch_defer(&old->node, object_release);
        } else {
            epoch_synchronize();
            object_release(&old->node);
        }
    }
    epoch_barrier();
    CHECK(__atomic_load_n(&released, __ATOMIC_RELAXED) == ROUNDS);
    __atomic_store_n(&stop_readers, true, __ATOMIC_RELAXED);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    CHECK(dead_seen == 0);
    CHECK(reads > 0);
    epoch_uninitialize();
    __atomic_store_n(&stop_worker, true, __ATOMIC_RELEASE);
    pthread_join(worker_id, NULL);
    free(published);
    return check_summary();
}
