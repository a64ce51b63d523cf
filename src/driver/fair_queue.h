/* A queue that serves flows in turn, by bytes: deficit round robin in the form that lets a flow overdraw its
 * credit by one item and pays it back from the next turn ("surplus round robin"; M. Shreedhar and
 * G. Varghese, Efficient Fair Queueing using Deficit Round Robin, SIGCOMM 1995, is the basis).  However much
 * one flow has queued, another's first item waits for at most one turn of each flow that is queued.
 *
 * For worker.c: a flow is a peer.  The caller serialises all calls and keeps a flow alive while it has items.
 * Any IRQL. */
#pragma once

#include "nt/ke.h"
#include "nt/rtl.h"

#include <stdbool.h>
#include <stdint.h>

#define FAIR_QUANTUM_BYTES 65536 /* one batch */

struct fair_flow {
    LIST_ENTRY link;  /* in the queue while it has items */
    LIST_ENTRY items; /* struct fair_item, in order */
    int32_t credit;   /* bytes left of its turn */
    bool queued;
};

struct fair_item {
    LIST_ENTRY link;
    struct fair_flow *flow;
    uint32_t bytes;
};

struct fair_queue {
    LIST_ENTRY flows; /* the first one has its turn */
};

void fair_queue_initialize(struct fair_queue *queue);
void fair_flow_initialize(struct fair_flow *flow);
/* Behind all items of that flow. `bytes`: what it costs. */
void fair_queue_put(struct fair_queue *queue, struct fair_flow *flow, struct fair_item *item, uint32_t bytes);
/* NULL when there is none.  The flow is not touched afterwards unless it has more items. */
struct fair_item *fair_queue_take(struct fair_queue *queue);
