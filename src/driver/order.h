/* Per-peer order without a serial thread: a batch takes a ticket when its place is decided, batches finish in
 * any order, and whoever finishes the batch at the head delivers it and every finished one behind it.  At
 * most one deliverer at a time per order, and no hand-off in the common case. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct batch;

#define ORDER_SLOTS 128
/* So many batches are delivered in one go: whoever holds the head also delivers what others finish meanwhile,
 * and when that is a DPC, it must come to an end although they go on. */
#define ORDER_DELIVER_MAX 16
/* What one go of a long delivery costs beside sealing: about as much as so many bytes (fair_queue.h). */
#define ORDER_DELIVER_COST_BYTES 16384

struct order {
    struct batch *volatile *slots; /* ORDER_SLOTS finished batches, by ticket */
    volatile uint32_t next_ticket;
    volatile uint32_t head;      /* ticket that is delivered next */
    volatile int32_t delivering; /* finished batches not yet looked at by the deliverer; 0 = idle */
    int32_t seen;                /* of these, between two goes of the delivery */
};

/* `slots`: ORDER_SLOTS null pointers, the order's until it is not used any more. */
void order_initialize(struct order *order, struct batch *volatile *slots);
/* False when ORDER_SLOTS batches are outstanding.  Any IRQL <= DISPATCH_LEVEL, any number of callers. */
bool order_take_ticket(struct order *order, uint32_t *ticket);
/* True when `ticket` is the one to be delivered next: nothing is outstanding before it. A hint. */
bool order_is_next(const struct order *order, uint32_t ticket);
/* True when nothing is outstanding: the caller may run to completion where it stands. A hint. */
bool order_is_idle(const struct order *order);
/* Gives the finished batch (batch->ticket) to the order; calls deliver(batch) for each batch that is due, in
 * ticket order, here or on the thread that is already delivering.  False: more are due than one go delivers;
 * nobody delivers until order_continue is called, once, by whomever the caller asks to.  IRQL <=
 * DISPATCH_LEVEL. */
bool order_finish(struct order *order, struct batch *batch, void (*deliver)(struct batch *batch));
/* The next go, after false; returns the same.  IRQL <= DISPATCH_LEVEL. */
bool order_continue(struct order *order, void (*deliver)(struct batch *batch));
