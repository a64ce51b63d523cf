/* Epochs: readers of shared tables (peers, sessions, allowed IPs, sockets) never lock and never write a
 * shared line; a writer unpublishes with a release store and frees after every reader that could have seen
 * the object has left. Driver-wide.  A reader section is at DISPATCH_LEVEL, so that its CPU's slot is its
 * own; it is short and never blocks. */
#pragma once

#include "nt/ke.h"

#include <stdbool.h>
#include <stdint.h>

/* Where a deferred free waits; embedded in the object. */
struct epoch_node {
    struct epoch_node *next;
    void (*release)(struct epoch_node *node); /* called at PASSIVE_LEVEL on a worker */
};

struct epoch_guard {
    KIRQL irql;
    uint32_t cpu;
};

NTSTATUS epoch_initialize(void); /* DriverEntry */
/* Runs everything deferred, then frees.  PASSIVE_LEVEL, no readers left. */
void epoch_uninitialize(void);

/* Sections may nest.  IRQL <= DISPATCH_LEVEL; between them the thread is at DISPATCH_LEVEL. */
void epoch_enter(struct epoch_guard *guard);
void epoch_leave(struct epoch_guard *guard);

/* Calls node->release after a grace period.  IRQL <= DISPATCH_LEVEL. */
void epoch_defer(struct epoch_node *node, void (*release)(struct epoch_node *node));
/* Waits for a grace period.  PASSIVE_LEVEL, outside any section. */
void epoch_synchronize(void);
/* epoch_synchronize, and everything deferred before the call has been released. PASSIVE_LEVEL. */
void epoch_barrier(void);
