/* Flows in turn; see fair_queue.h. */
#include "fair_queue.h"

void fair_queue_initialize(struct fair_queue *queue)
{
    InitializeListHead(&queue->flows);
}

void fair_flow_initialize(struct fair_flow *flow)
{
    InitializeListHead(&flow->items);
    flow->credit = 0;
    flow->queued = false;
}

void fair_queue_put(struct fair_queue *queue, struct fair_flow *flow, struct fair_item *item, uint32_t bytes)
{
    item->flow = flow;
    item->bytes = bytes < FAIR_QUANTUM_BYTES ? bytes : FAIR_QUANTUM_BYTES;
    InsertTailList(&flow->items, &item->link);
    if (!flow->queued) {
        flow->queued = true;
        flow->credit = FAIR_QUANTUM_BYTES;
        InsertTailList(&queue->flows, &flow->link);
    }
}

struct fair_item *fair_queue_take(struct fair_queue *queue)
{
    if (IsListEmpty(&queue->flows))
        return NULL;
    struct fair_flow *flow = CONTAINING_RECORD(queue->flows.Flink, struct fair_flow, link);
    struct fair_item *item = CONTAINING_RECORD(flow->items.Flink, struct fair_item, link);
    RemoveEntryList(&item->link);
    flow->credit -= (int32_t)item->bytes;
    if (IsListEmpty(&flow->items)) {
        RemoveEntryList(&flow->link);
        flow->queued = false;
    } else if (flow->credit <= 0) {
        flow->credit += FAIR_QUANTUM_BYTES;
        RemoveEntryList(&flow->link);
        InsertTailList(&queue->flows, &flow->link);
    }
    return item;
}
