/* Requests that wait for something: pended IRPs in a cancel-safe queue, so that no thread ever blocks in the
 * driver.  Cancelling, closing the handle, removal and halt take them out as well as what they wait for. Used
 * by the log and by events. */
#pragma once

#include "nt/ex.h"
#include "nt/io.h"
#include "nt/ke.h"

#include <stdbool.h>

struct request_queue {
    IO_CSQ csq;
    KSPIN_LOCK lock;
    LIST_ENTRY list;       /* oldest first */
    EX_RUNDOWN_REF pended; /* one per request: a cancel routine may still be inside when the queue goes */
    bool one_per_handle;
};

/* Which request to take: of this handle only (NULL: any), and for which `wanted` says so (NULL: each; called
 * under the queue's lock, at DISPATCH_LEVEL). */
struct request_filter {
    FILE_OBJECT *file;
    bool (*wanted)(void *context, const IRP *irp);
    void *context;
};

/* PASSIVE_LEVEL. */
NTSTATUS request_queue_initialize(struct request_queue *queue, bool one_per_handle);
/* Cancels what still waits; returns when no request is left.  PASSIVE_LEVEL. */
void request_queue_uninitialize(struct request_queue *queue);
/* Lets the request wait, or completes it: CANCELLED, or REQUEST_NOT_ACCEPTED for the second one of a handle.
 * The IRP is the queue's; the dispatch routine returns STATUS_PENDING.  IRQL <= DISPATCH_LEVEL. */
void request_queue_insert(struct request_queue *queue, IRP *irp);
/* The oldest that fits, or NULL; it is the caller's, to be given to request_queue_complete.  `filter` NULL:
 * any. IRQL <= DISPATCH_LEVEL. */
IRP *request_queue_take(struct request_queue *queue, struct request_filter *filter);
void request_queue_complete(struct request_queue *queue, IRP *irp, NTSTATUS status, uint64_t information);
/* Completes all that wait, of one handle or (file NULL) any.  IRQL <= DISPATCH_LEVEL. */
void request_queue_wake(struct request_queue *queue, FILE_OBJECT *file, NTSTATUS status);
