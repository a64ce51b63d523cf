/* The one pool of worker threads, driver-wide, one thread per CPU, all at PASSIVE_LEVEL.  They sleep unless
 * there is a backlog of batches, a handshake, or a deferred free. */
#pragma once

#include "fair_queue.h"
#include "nt/ke.h"

#include <stdbool.h>
#include <stdint.h>

enum work_class {
    WORK_DATA,      /* batches: first; the peers in turn */
    WORK_HANDSHAKE, /* asymmetric crypto: at least one after every 16 data items, so that neither starves */
    WORK_CONTROL,   /* timers' slow side, deferred frees, route refresh: like handshakes */
    WORK_CLASSES
};

/* Embedded in what is to be worked on.  Queued at most once at a time; a WORK_HANDSHAKE or WORK_CONTROL item
 * never runs on two workers at once. */
struct work {
    struct fair_item item;          /* its place in a queue */
    void (*run)(struct work *work); /* PASSIVE_LEVEL; may free or requeue the item */
    volatile int32_t queued;        /* private to worker.c */
};

NTSTATUS worker_initialize(void);
void worker_uninitialize(void); /* all queues empty; waits for the threads to end. PASSIVE_LEVEL */

void work_initialize(struct work *work, void (*run)(struct work *work));
/* False when it is queued already (it will run at least once after this call all the same).  IRQL <=
 * DISPATCH_LEVEL. */
bool work_queue(enum work_class class, struct work *work);
/* The same for WORK_DATA: an item of the peer whose flow this is, which lives until the item runs, and that
 * costs about as much as sealing so many bytes.  When work->item.overdue is set as it runs, it has waited too
 * long (fair_queue.h) and is to be dropped, if it can be. */
bool work_queue_data(struct fair_flow *flow, struct work *work, uint32_t bytes);
/* Waits until `work` is neither queued nor running. The owner keeps it from being queued again.
 * PASSIVE_LEVEL, not from the item itself. */
void work_drain(struct work *work);
