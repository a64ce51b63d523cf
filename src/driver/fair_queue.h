/* A queue that serves flows in turn, by bytes: deficit round robin in the form that lets a flow overdraw its
 * credit by one item and pays it back from the next turn ("surplus round robin"; M. Shreedhar and
 * G. Varghese, Efficient Fair Queueing using Deficit Round Robin, SIGCOMM 1995, is the basis).  However much
 * one flow has queued, another's first item waits for at most one turn of each flow that is queued.
 *
 * A flow's queue is also bounded by time, with the test of CoDel (RFC 8289, section 3.1): what drains within
 * an interval is a burst, or the end of a moment in which nobody served it, and is kept; what does not
 * stands, and is nothing but delay.  A queue stands from the moment when for FAIR_INTERVAL_NS every item
 * taken had waited longer than the flow's limit, until it is empty or for the same interval none has.  While
 * it stands, what has waited longer than the limit, and is not the last one, is taken `overdue`, and its
 * owner is to drop it.  That costs little, so the queue falls to the limit at once, from its old end: the
 * sender learns of it soonest, and what is served is fresh.  One in FAIR_DROPS_MAX + 1 is served all the
 * same, so that a sender who is never discouraged cannot keep the workers busy with dropping.  CoDel's own
 * spacing of the drops is left out: it leaves such a sender unbounded, and one that slows down takes all that
 * is dropped at once as one loss.  The flow does not run dry as long as the limit is not short of the
 * sender's round-trip time; and nothing is ever dropped where all that a flow may have outstanding passes
 * within the limit.
 *
 * For worker.c: a flow is a peer.  The caller serialises all calls and keeps a flow alive while it has items.
 * Any IRQL. */
#pragma once

#include "nt/ke.h"
#include "nt/rtl.h"

#include <stdbool.h>
#include <stdint.h>

#define FAIR_QUANTUM_BYTES 65536 /* one batch */
#define FAIR_INTERVAL_NS   100000000
#define FAIR_DROPS_MAX     7  /* in a row */
#define FAIR_DROP_DISCOUNT 16 /* dropping an item costs so much less than serving it, at least */

struct fair_flow {
    LIST_ENTRY link;  /* in the queue while it has items */
    LIST_ENTRY items; /* struct fair_item, in order */
    int32_t credit;   /* bytes left of its turn */
    bool queued;
    bool standing;
    uint32_t dropped;  /* in a row */
    uint64_t limit_ns; /* 0: none */
    /* Standing: when an item was late last; else when the first one was since which all were, 0: none. */
    uint64_t late_ns;
};

struct fair_item {
    LIST_ENTRY link;
    struct fair_flow *flow;
    uint32_t bytes;
    uint64_t queued_ns;
    bool overdue; /* once taken: it is to be dropped */
};

struct fair_queue {
    LIST_ENTRY flows; /* the first one has its turn */
};

void fair_queue_initialize(struct fair_queue *queue);
/* `limit_ns`: how long its items may wait while more are behind them; 0: for ever. */
void fair_flow_initialize(struct fair_flow *flow, uint64_t limit_ns);
/* Behind all items of that flow. `bytes`: what it costs; `now_ns`: of any clock that does not go back. */
void fair_queue_put(struct fair_queue *queue, struct fair_flow *flow, struct fair_item *item, uint32_t bytes,
                    uint64_t now_ns);
/* NULL when there is none.  The flow is not touched afterwards unless it has more items. */
struct fair_item *fair_queue_take(struct fair_queue *queue, uint64_t now_ns);
