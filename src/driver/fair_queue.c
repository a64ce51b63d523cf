/* Flows in turn; see fair_queue.h. */
#include "fair_queue.h"

void fair_queue_initialize(struct fair_queue *queue)
{
    InitializeListHead(&queue->flows);
}

void fair_flow_initialize(struct fair_flow *flow, uint64_t limit_ns)
{
    InitializeListHead(&flow->items);
    flow->credit = 0;
    flow->queued = false;
    flow->standing = false;
    flow->dropped = 0;
    flow->limit_ns = limit_ns;
    flow->late_ns = 0;
}

void fair_queue_put(struct fair_queue *queue, struct fair_flow *flow, struct fair_item *item, uint32_t bytes,
                    uint64_t now_ns)
{
    item->flow = flow;
    item->bytes = bytes < FAIR_QUANTUM_BYTES ? bytes : FAIR_QUANTUM_BYTES;
    item->queued_ns = now_ns;
    item->overdue = false;
    InsertTailList(&flow->items, &item->link);
    if (!flow->queued) {
        flow->queued = true;
        flow->credit = FAIR_QUANTUM_BYTES;
        InsertTailList(&queue->flows, &flow->link);
    }
}

/* Two processors' readings of a clock may be the wrong way round. */
static uint64_t elapsed(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? to_ns - from_ns : 0;
}

/* An item that is not the flow's last is taken: is it to be dropped? */
static bool is_overdue(struct fair_flow *flow, const struct fair_item *item, uint64_t now_ns)
{
    bool late = flow->limit_ns != 0 && elapsed(item->queued_ns, now_ns) > flow->limit_ns;
    bool interval = elapsed(flow->late_ns, now_ns) >= FAIR_INTERVAL_NS;
    if (flow->standing && late) {
        flow->late_ns = now_ns;
    } else if (flow->standing) {
        flow->standing = !interval;
        flow->late_ns = interval ? 0 : flow->late_ns;
    } else if (!late) {
        flow->late_ns = 0;
    } else if (flow->late_ns == 0) {
        flow->late_ns = now_ns;
    } else if (interval) {
        flow->standing = true;
        flow->late_ns = now_ns;
    }
    flow->dropped = late && flow->standing && flow->dropped < FAIR_DROPS_MAX ? flow->dropped + 1 : 0;
    return flow->dropped != 0;
}

struct fair_item *fair_queue_take(struct fair_queue *queue, uint64_t now_ns)
{
    if (IsListEmpty(&queue->flows))
        return NULL;
    struct fair_flow *flow = CONTAINING_RECORD(queue->flows.Flink, struct fair_flow, link);
    struct fair_item *item = CONTAINING_RECORD(flow->items.Flink, struct fair_item, link);
    RemoveEntryList(&item->link);
    if (IsListEmpty(&flow->items)) {
        RemoveEntryList(&flow->link);
        flow->queued = false;
        flow->standing = false;
        flow->dropped = 0;
        flow->late_ns = 0;
        return item;
    }
    item->overdue = is_overdue(flow, item, now_ns);
    flow->credit -= (int32_t)(item->overdue ? item->bytes / FAIR_DROP_DISCOUNT : item->bytes);
    if (flow->credit <= 0) {
        flow->credit += FAIR_QUANTUM_BYTES;
        RemoveEntryList(&flow->link);
        InsertTailList(&queue->flows, &flow->link);
    }
    return item;
}
