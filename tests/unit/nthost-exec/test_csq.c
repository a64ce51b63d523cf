/* IRPs and cancel-safe queues natively: completion rules, stack locations, and races between cancelling and
 * removing. */
#include "executive.h"
#include "io/device.h"
#include "io/driver.h"
#include "nt/io.h"
#include "nt/rtl.h"
#include "sched/sched.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* ---- a driver made by hand ---- */

static DRIVER_OBJECT driver;
static int lower_mode; /* what the lower driver does */
enum { LOWER_SUCCEED, LOWER_FAIL, LOWER_PEND };
static PIRP lower_pending;

static NTSTATUS NTAPI lower_dispatch(PDEVICE_OBJECT device, PIRP irp)
{
    CHECK(IoGetCurrentIrpStackLocation(irp)->DeviceObject == device);
    if (lower_mode == LOWER_PEND) {
        IoMarkIrpPending(irp);
        lower_pending = irp;
        return STATUS_PENDING;
    }
    NTSTATUS status = lower_mode == LOWER_SUCCEED ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 55;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static unsigned order_count;
static int order[4];
static bool pending_seen;

static NTSTATUS NTAPI completion(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    (void)device;
    if (order_count < 4)
        order[order_count] = (int)(intptr_t)context;
    order_count++;
    pending_seen = irp->PendingReturned;
    return (intptr_t)context < 0 ? STATUS_MORE_PROCESSING_REQUIRED : STATUS_SUCCESS;
}

static PIRP prepared(CCHAR locations, intptr_t context, BOOLEAN success, BOOLEAN error, BOOLEAN cancel)
{
    PIRP irp = IoAllocateIrp(locations, FALSE);
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_DEVICE_CONTROL;
    IoSetCompletionRoutine(irp, completion, (PVOID)context, success, error, cancel);
    order_count = 0;
    pending_seen = false;
    return irp;
}

void test_irp(void)
{
    PDEVICE_OBJECT device, upper;
    UNICODE_STRING name = RTL_CONSTANT_STRING(u"\\Device\\TestIrp"),
                   other = RTL_CONSTANT_STRING(u"\\device\\testirp");
    UNICODE_STRING link = RTL_CONSTANT_STRING(u"\\??\\TestIrp"),
                   alias = RTL_CONSTANT_STRING(u"\\DosDevices\\TestIrp");
    for (unsigned i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        driver.MajorFunction[i] = lower_dispatch;
    CHECK(IoCreateDevice(&driver, 40, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device) == STATUS_SUCCESS);
    CHECK(((uintptr_t)device & 15) == 0 && device->StackSize == 1 && device->DeviceExtension);
    CHECK(IoCreateDevice(&driver, 0, &other, FILE_DEVICE_UNKNOWN, 0, FALSE, &upper) ==
          STATUS_OBJECT_NAME_COLLISION);
    CHECK(device_by_name(&other) == device);
    CHECK(IoCreateSymbolicLink(&link, &name) == STATUS_SUCCESS && device_by_name(&alias) == device);
    CHECK(IoCreateSymbolicLink(&alias, &name) == STATUS_OBJECT_NAME_COLLISION);
    CHECK(IoDeleteSymbolicLink(&name) == STATUS_OBJECT_NAME_NOT_FOUND);
    CHECK(IoDeleteSymbolicLink(&alias) == STATUS_SUCCESS && device_by_name(&link) == NULL);
    CHECK(IoDeleteSymbolicLink(&alias) == STATUS_OBJECT_NAME_NOT_FOUND);
    CHECK(IoCreateDevice(&driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &upper) == STATUS_SUCCESS);
    CHECK(IoAttachDeviceToDeviceStack(upper, device) == device && upper->StackSize == 2);
    CHECK(device_stack_top(device) == upper);
    IoDetachDevice(device);
    IoDeleteDevice(upper);

    /* A routine that keeps the IRP: it is the driver's again. */
    lower_mode = LOWER_SUCCEED;
    PIRP irp = prepared(1, -1, TRUE, TRUE, TRUE);
    CHECK(IoCallDriver(device, irp) == STATUS_SUCCESS && order_count == 1 && irp->IoStatus.Information == 55);
    IoReuseIrp(irp, STATUS_NOT_SUPPORTED);
    CHECK(irp->IoStatus.Status == STATUS_NOT_SUPPORTED && irp->CurrentLocation == 2 && irp->StackCount == 1);
    IoFreeIrp(irp);

    /* Wanted for errors only: not called on success, called on failure. The IRP needs a keeper above. */
    lower_mode = LOWER_FAIL;
    irp = prepared(2, -1, TRUE, TRUE, TRUE);
    IoSetNextIrpStackLocation(irp);
    IoGetCurrentIrpStackLocation(irp)->DeviceObject = device;
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_DEVICE_CONTROL;
    IoSetCompletionRoutine(irp, completion, (PVOID)2, FALSE, TRUE, FALSE);
    CHECK(IoCallDriver(device, irp) == STATUS_UNSUCCESSFUL);
    CHECK(order_count == 2 && order[0] == 2 && order[1] == -1);
    IoFreeIrp(irp);
    lower_mode = LOWER_SUCCEED;
    irp = prepared(2, -1, TRUE, TRUE, TRUE);
    IoSetNextIrpStackLocation(irp);
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_DEVICE_CONTROL;
    IoSetCompletionRoutine(irp, completion, (PVOID)2, FALSE, TRUE, FALSE);
    CHECK(IoCallDriver(device, irp) == STATUS_SUCCESS && order_count == 1 && order[0] == -1);
    IoFreeIrp(irp);

    /* The pending mark moves up through locations without a routine. */
    lower_mode = LOWER_PEND;
    irp = prepared(2, -1, TRUE, TRUE, TRUE);
    IoSetNextIrpStackLocation(irp);
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_DEVICE_CONTROL;
    CHECK(IoCallDriver(device, irp) == STATUS_PENDING && order_count == 0);
    irp->IoStatus.Status = STATUS_SUCCESS;
    IoCompleteRequest(lower_pending, IO_NO_INCREMENT);
    CHECK(order_count == 1 && pending_seen);
    IoFreeIrp(irp);
    CHECK(IoCancelIrp(irp = prepared(1, 1, TRUE, TRUE, TRUE)) == FALSE && irp->Cancel);
    IoFreeIrp(irp);
    IoDeleteDevice(device);
    CHECK(device_by_name(&name) == NULL);
}

/* ---- the queue, with racing threads ---- */

static struct {
    IO_CSQ csq;
    LIST_ENTRY list;
    KSPIN_LOCK lock;
    int completed_cancelled, inserted;
    BOOLEAN refuse;
} queue;

static VOID NTAPI insert(PIO_CSQ csq, PIRP irp)
{
    (void)csq;
    InsertTailList(&queue.list, &irp->Tail.Overlay.ListEntry);
    queue.inserted++;
}

static NTSTATUS NTAPI insert_ex(PIO_CSQ csq, PIRP irp, PVOID context)
{
    if (queue.refuse)
        return STATUS_DEVICE_NOT_READY;
    CHECK(context == &queue);
    insert(csq, irp);
    return STATUS_SUCCESS;
}

static VOID NTAPI remove_irp(PIO_CSQ csq, PIRP irp)
{
    (void)csq;
    RemoveEntryList(&irp->Tail.Overlay.ListEntry);
}

static PIRP NTAPI peek(PIO_CSQ csq, PIRP irp, PVOID context)
{
    (void)csq, (void)context;
    PLIST_ENTRY next = irp ? irp->Tail.Overlay.ListEntry.Flink : queue.list.Flink;
    return next == &queue.list ? NULL : CONTAINING_RECORD(next, IRP, Tail.Overlay.ListEntry);
}

static VOID NTAPI acquire(PIO_CSQ csq, PKIRQL irql)
{
    (void)csq;
    KeAcquireSpinLock(&queue.lock, irql);
}

static VOID NTAPI release(PIO_CSQ csq, KIRQL irql)
{
    (void)csq;
    KeReleaseSpinLock(&queue.lock, irql);
}

static void finish(PIRP irp)
{
    __atomic_fetch_add((int *)&irp->Tail.Overlay.DriverContext[0], 1, __ATOMIC_SEQ_CST);
}

static VOID NTAPI complete_cancelled(PIO_CSQ csq, PIRP irp)
{
    (void)csq;
    __atomic_fetch_add(&queue.completed_cancelled, 1, __ATOMIC_SEQ_CST);
    finish(irp);
}

static PIRP new_irp(void)
{
    PIRP irp = IoAllocateIrp(1, FALSE);
    IoSetNextIrpStackLocation(irp);
    irp->Tail.Overlay.DriverContext[0] = NULL;
    return irp;
}

static int finished(PIRP irp)
{
    return (int)(intptr_t)irp->Tail.Overlay.DriverContext[0];
}

static void free_irp(PIRP irp)
{
    irp->CancelRoutine = NULL;
    IoFreeIrp(irp);
}

#define ROUNDS 3000

static PIRP volatile race_irp;
static IO_CSQ_IRP_CONTEXT race_context;
static volatile int race_round, race_done;

/* The opponent: cancels the IRP of the current round. */
static void *canceller(void *unused)
{
    (void)unused;
    sched_thread_adopt("canceller");
    for (int round = 1; round <= ROUNDS; round++) {
        unsigned spins = 0;
        while (__atomic_load_n(&race_round, __ATOMIC_ACQUIRE) != round)
            sched_spin(&spins);
        IoCancelIrp(race_irp);
        __atomic_store_n(&race_done, round, __ATOMIC_RELEASE);
    }
    sched_thread_disown();
    return NULL;
}

static void test_races(void)
{
    pthread_t thread;
    int removed = 0, cancelled = 0;
    race_round = race_done = 0;
    CHECK(pthread_create(&thread, NULL, canceller, NULL) == 0);
    for (int round = 1; round <= ROUNDS; round++) {
        PIRP irp = new_irp(), got;
        int before = queue.completed_cancelled;
        int mode = round % 4;
        race_irp = irp;
        if (mode < 2) /* the queue holds it before the cancel comes */
            IoCsqInsertIrp(&queue.csq, irp, mode ? &race_context : NULL);
        __atomic_store_n(&race_round, round, __ATOMIC_RELEASE);
        if (mode >= 2) /* inserted while it is being cancelled */
            IoCsqInsertIrp(&queue.csq, irp, mode == 3 ? &race_context : NULL);
        for (int i = 0; i < (round * 37) % 4000; i++)
            __asm__ volatile("pause");
        for (unsigned spins = 0; round % 8 == 0 && __atomic_load_n(&race_done, __ATOMIC_ACQUIRE) != round;)
            sched_spin(&spins); /* surely cancelled first */
        got = mode & 1 ? IoCsqRemoveIrp(&queue.csq, &race_context) : IoCsqRemoveNextIrp(&queue.csq, NULL);
        if (got) {
            CHECK(got == irp);
            finish(got);
            removed++;
        }
        unsigned spins = 0;
        while (__atomic_load_n(&race_done, __ATOMIC_ACQUIRE) != round)
            sched_spin(&spins);
        /* Exactly one of both had it, whatever the order; the queue is empty. */
        CHECK_MSG(finished(irp) == 1, "round %d: finished %d times", round, finished(irp));
        CHECK((queue.completed_cancelled == before) == (got != NULL));
        CHECK(IsListEmpty(&queue.list) && irp->Cancel);
        CHECK(IoGetCurrentIrpStackLocation(irp)->Control & SL_PENDING_RETURNED);
        cancelled += got == NULL;
        free_irp(irp);
    }
    pthread_join(thread, NULL);
    fprintf(stderr, "cancel races: %d removed, %d cancelled\n", removed, cancelled);
    CHECK(removed > 0 && cancelled > 0);
}

void test_csq(void)
{
    InitializeListHead(&queue.list);
    KeInitializeSpinLock(&queue.lock);
    CHECK(IoCsqInitialize(&queue.csq, insert, remove_irp, peek, acquire, release, complete_cancelled) ==
          STATUS_SUCCESS);
    CHECK(IoCsqRemoveNextIrp(&queue.csq, NULL) == NULL);

    PIRP first = new_irp(), second = new_irp(), third = new_irp();
    IO_CSQ_IRP_CONTEXT context;
    IoCsqInsertIrp(&queue.csq, first, NULL);
    IoCsqInsertIrp(&queue.csq, second, &context);
    third->Cancel = TRUE; /* cancelled before it is inserted */
    IoCsqInsertIrp(&queue.csq, third, NULL);
    CHECK(queue.completed_cancelled == 1 && finished(third) == 1);
    CHECK(IoCsqRemoveIrp(&queue.csq, &context) == second && IoCsqRemoveIrp(&queue.csq, &context) == NULL);
    CHECK(IoCsqRemoveNextIrp(&queue.csq, NULL) == first && IoCsqRemoveNextIrp(&queue.csq, NULL) == NULL);
    IoCsqInsertIrp(&queue.csq, second, &context);
    CHECK(IoCancelIrp(second) && finished(second) == 1 && context.Irp == NULL);
    CHECK(!IoCancelIrp(second) && IoCsqRemoveIrp(&queue.csq, &context) == NULL);
    free_irp(first);
    free_irp(second);
    free_irp(third);
    test_races();

    CHECK(IoCsqInitializeEx(&queue.csq, insert_ex, remove_irp, peek, acquire, release, complete_cancelled) ==
          STATUS_SUCCESS);
    first = new_irp();
    queue.refuse = TRUE;
    CHECK(IoCsqInsertIrpEx(&queue.csq, first, &context, &queue) == STATUS_DEVICE_NOT_READY &&
          context.Irp == NULL);
    CHECK(!(IoGetCurrentIrpStackLocation(first)->Control & SL_PENDING_RETURNED) && IsListEmpty(&queue.list));
    queue.refuse = FALSE;
    CHECK(IoCsqInsertIrpEx(&queue.csq, first, &context, &queue) == STATUS_SUCCESS);
    CHECK(IoCsqRemoveIrp(&queue.csq, &context) == first);
    free_irp(first);
}
