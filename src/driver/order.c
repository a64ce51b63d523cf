/* Tickets and their delivery; see order.h.
 *
 * Slots: a ticket may be taken only while ticket - head < ORDER_SLOTS, and head passes a ticket only after
 * its slot was emptied (release store of head, acquire load by the taker), so two batches never meet in a
 * slot.
 *
 * No lost wake-up: a finisher first publishes its batch (release store into the slot), then adds 1 to
 * `delivering`. Who adds to 0 is the deliverer.  Before it leaves it subtracts what it has seen of the count
 * and leaves only when the result is 0.  So a finisher either finds 0 and delivers itself, or its 1 is in the
 * count that the deliverer has still to bring to 0: the subtraction that covers this 1 is ordered after the
 * finisher's addition (both are read-modify-write operations with acquire and release order on one word), and
 * when it is not yet covered the result is not 0 and the deliverer scans again - after the addition, hence
 * after the slot was published.  A batch whose turn has not come stays in its slot; the one that comes before
 * it is not finished yet, and its finisher will be or wake the deliverer.
 *
 * At most one deliverer: the count goes from 0 to 1 for one finisher only and stays above 0 until it leaves.
 * That holds between two goes of a long delivery too: the count stays, and `seen` says what it is to be
 * lowered by. */
#include "order.h"
#include "batch.h"

void order_initialize(struct order *order, struct batch *volatile *slots)
{
    *order = (struct order){.slots = slots};
}

bool order_take_ticket(struct order *order, uint32_t *ticket)
{
    for (;;) {
        /* head first: it is then at most the ticket read after it, and the distance is not underestimated */
        uint32_t head = __atomic_load_n(&order->head, __ATOMIC_ACQUIRE);
        uint32_t next = __atomic_load_n(&order->next_ticket, __ATOMIC_ACQUIRE);
        if (next - head >= ORDER_SLOTS)
            return false;
        if (__atomic_compare_exchange_n(&order->next_ticket, &next, next + 1, true, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            *ticket = next;
            return true;
        }
    }
}

bool order_is_idle(const struct order *order)
{
    return __atomic_load_n(&order->head, __ATOMIC_RELAXED) ==
               __atomic_load_n(&order->next_ticket, __ATOMIC_RELAXED) &&
           __atomic_load_n(&order->delivering, __ATOMIC_RELAXED) == 0;
}

/* False: the budget is used up and another batch is due. */
static bool deliver_due(struct order *order, uint32_t *budget, void (*deliver)(struct batch *batch))
{
    for (;;) {
        uint32_t head = __atomic_load_n(&order->head, __ATOMIC_RELAXED); /* written by the deliverer only */
        struct batch *volatile *slot = &order->slots[head % ORDER_SLOTS];
        struct batch *batch = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
        if (!batch)
            return true;
        if (*budget == 0)
            return false;
        *budget -= 1;
        __atomic_store_n(slot, NULL, __ATOMIC_RELAXED);
        __atomic_store_n(&order->head, head + 1, __ATOMIC_RELEASE);
        deliver(batch);
    }
}

/* One go of the deliverer, who has seen `seen` of the count. */
static bool deliver_go(struct order *order, int32_t seen, void (*deliver)(struct batch *batch))
{
    uint32_t budget = ORDER_DELIVER_MAX;
    do {
        if (!deliver_due(order, &budget, deliver)) {
            order->seen = seen;
            return false;
        }
        seen = __atomic_sub_fetch(&order->delivering, seen, __ATOMIC_ACQ_REL);
    } while (seen != 0);
    return true;
}

bool order_finish(struct order *order, struct batch *batch, void (*deliver)(struct batch *batch))
{
    __atomic_store_n(&order->slots[batch->ticket % ORDER_SLOTS], batch, __ATOMIC_RELEASE);
    if (__atomic_fetch_add(&order->delivering, 1, __ATOMIC_ACQ_REL) != 0)
        return true;
    return deliver_go(order, 1, deliver);
}

bool order_continue(struct order *order, void (*deliver)(struct batch *batch))
{
    return deliver_go(order, order->seen, deliver);
}

bool order_is_next(const struct order *order, uint32_t ticket)
{
    return __atomic_load_n(&order->head, __ATOMIC_RELAXED) == ticket;
}
