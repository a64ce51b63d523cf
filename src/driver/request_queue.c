/* The callbacks of the system's cancel-safe queue (Microsoft: "Cancel-Safe IRP Queues") and what the driver
 * adds to it; see request_queue.h. */
#include "request_queue.h"
#include "nt/rtl.h"

static bool same_file(const IRP *irp, const FILE_OBJECT *file)
{
    return IoGetCurrentIrpStackLocation((IRP *)irp)->FileObject == file;
}

static NTSTATUS NTAPI csq_insert(PIO_CSQ csq, PIRP irp, PVOID context)
{
    struct request_queue *queue = CONTAINING_RECORD(csq, struct request_queue, csq);
    FILE_OBJECT *file = IoGetCurrentIrpStackLocation(irp)->FileObject;
    for (LIST_ENTRY *entry = queue->list.Flink; queue->one_per_handle && entry != &queue->list;
         entry = entry->Flink)
        if (same_file(CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry), file))
            return STATUS_REQUEST_NOT_ACCEPTED;
    InsertTailList(&queue->list, &irp->Tail.Overlay.ListEntry);
    return STATUS_SUCCESS;
}

static VOID NTAPI csq_remove(PIO_CSQ csq, PIRP irp)
{
    RemoveEntryList(&irp->Tail.Overlay.ListEntry);
}

static PIRP NTAPI csq_peek(PIO_CSQ csq, PIRP irp, PVOID context)
{
    struct request_queue *queue = CONTAINING_RECORD(csq, struct request_queue, csq);
    const struct request_filter *filter = context;
    LIST_ENTRY *entry = irp ? irp->Tail.Overlay.ListEntry.Flink : queue->list.Flink;
    for (; entry != &queue->list; entry = entry->Flink) {
        PIRP candidate = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
        if (!filter || ((!filter->file || same_file(candidate, filter->file)) &&
                        (!filter->wanted || filter->wanted(filter->context, candidate))))
            return candidate;
    }
    return NULL;
}

static VOID NTAPI csq_lock(PIO_CSQ csq, PKIRQL irql)
{
    *irql = KeAcquireSpinLockRaiseToDpc(&CONTAINING_RECORD(csq, struct request_queue, csq)->lock);
}

static VOID NTAPI csq_unlock(PIO_CSQ csq, KIRQL irql)
{
    KeReleaseSpinLock(&CONTAINING_RECORD(csq, struct request_queue, csq)->lock, irql);
}

static VOID NTAPI csq_canceled(PIO_CSQ csq, PIRP irp)
{
    request_queue_complete(CONTAINING_RECORD(csq, struct request_queue, csq), irp, STATUS_CANCELLED, 0);
}

NTSTATUS request_queue_initialize(struct request_queue *queue, bool one_per_handle)
{
    KeInitializeSpinLock(&queue->lock);
    InitializeListHead(&queue->list);
    ExInitializeRundownProtection(&queue->pended);
    queue->one_per_handle = one_per_handle;
    return IoCsqInitializeEx(&queue->csq, csq_insert, csq_remove, csq_peek, csq_lock, csq_unlock,
                             csq_canceled);
}

void request_queue_uninitialize(struct request_queue *queue)
{
    request_queue_wake(queue, NULL, STATUS_CANCELLED);
    ExWaitForRundownProtectionRelease(&queue->pended);
}

static void complete(IRP *irp, NTSTATUS status, uint64_t information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = (ULONG_PTR)information;
    IofCompleteRequest(irp, IO_NO_INCREMENT);
}

void request_queue_complete(struct request_queue *queue, IRP *irp, NTSTATUS status, uint64_t information)
{
    complete(irp, status, information);
    ExReleaseRundownProtection(&queue->pended);
}

void request_queue_insert(struct request_queue *queue, IRP *irp)
{
    IoMarkIrpPending(
        irp); /* also when it does not come into the queue: the answer is STATUS_PENDING in any case */
    if (!ExAcquireRundownProtection(&queue->pended)) {
        complete(irp, STATUS_CANCELLED, 0);
        return;
    }
    NTSTATUS status = IoCsqInsertIrpEx(&queue->csq, irp, NULL, NULL);
    if (!NT_SUCCESS(status))
        request_queue_complete(queue, irp, status, 0);
}

IRP *request_queue_take(struct request_queue *queue, struct request_filter *filter)
{
    return IoCsqRemoveNextIrp(&queue->csq, filter);
}

void request_queue_wake(struct request_queue *queue, FILE_OBJECT *file, NTSTATUS status)
{
    struct request_filter filter = {.file = file};
    IRP *irp;
    while ((irp = request_queue_take(queue, &filter)))
        request_queue_complete(queue, irp, status, 0);
}
