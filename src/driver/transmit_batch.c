/* A transmit batch on its way: nonces and ticket, encryption here or on a worker, and in ticket order the
 * socket. */
#include "transmit_batch.h"
#include "driver.h"
#include "handshake_work.h"
#include "loop_guard.h"
#include "route.h"
#include "transmit.h"
#include "udp_socket.h"

uint32_t transmit_inner_mtu(const struct adapter *adapter, uint8_t version)
{
    return version == 4 ? adapter->mtu4 : adapter->mtu6;
}

static void batch_work(struct work *work);

struct tx_batch *transmit_batch_create(struct peer *peer, struct session_object *session, uint32_t packets,
                                       uint32_t plaintext, uint64_t now_ns)
{
    struct tx_batch *tx = tx_batch_allocate(peer->adapter, packets, plaintext);
    if (!tx)
        return NULL;
    tx->batch.peer = peer;
    tx->batch.session = session;
    tx->batch.now_ns = now_ns;
    work_initialize(&tx->batch.work, batch_work);
    return tx;
}

bool transmit_batch_order(struct tx_batch *tx)
{
    struct adapter *adapter = tx->batch.adapter;
    struct session *session = &tx->batch.session->session;
    if (!session_reserve_nonces(session, tx->batch.count, &tx->first_nonce)) {
        drop_count(adapter, DROP_TX_NONCES_EXHAUSTED, tx->batch.count);
        return false;
    }
    /* Nonces that are not used after all do no harm. */
    if (!order_take_ticket(&tx->batch.peer->tx_order, &tx->batch.ticket)) {
        drop_count(adapter, DROP_TX_QUEUE_FULL, tx->batch.count);
        return false;
    }
    loop_guard_note(adapter, tx->batch.peer->id, session->remote_index);
    if (tx->plaintext > 0) { /* keepalives are nobody's packets */
        struct counters_cpu *counters = counters_here(adapter);
        counters->tx_packets += tx->batch.count;
        counters->tx_bytes += tx->used;
    }
    return true;
}

/* In ticket order: the messages go to the socket. */
static void deliver(struct batch *batch)
{
    struct tx_batch *tx = CONTAINING_RECORD(batch, struct tx_batch, batch);
    struct adapter *adapter = batch->adapter;
    struct peer *peer = batch->peer;
    struct session_object *session = batch->session;
    struct endpoint endpoint;

    batch->session = NULL;
    if (tx->sealed == 0) { /* nothing could be encrypted; counted where that happened */
        session_release(session);
        tx_batch_retire(tx);
        return;
    }
    endpoint_read(&peer->endpoint, &endpoint);
    bool nowhere = endpoint.remote.si_family == AF_UNSPEC;
    bool unreachable = endpoint.unreachable && endpoint.route_generation == route_generation(adapter);
    if (!nowhere && !unreachable) {
        __atomic_add_fetch(&peer->tx_bytes, tx->used, __ATOMIC_RELAXED);
        peer_sent(peer, session, tx->plaintext > 0, batch->now_ns);
    }
    session_release(session);
    if (nowhere || unreachable) {
        drop_count(adapter, nowhere ? DROP_TX_NO_ENDPOINT : DROP_TX_NO_ROUTE, batch->count);
        tx_batch_retire(tx);
        return;
    }
    udp_send_batch(tx, &endpoint);
}

/* Is the source of the endpoint to be resolved before anything can go there?  A stale answer is good enough
 * until a worker has a new one; none, or an old refusal, or an address that may be gone, is not. */
static bool wants_route(struct peer *peer)
{
    struct endpoint endpoint;
    endpoint_read(&peer->endpoint, &endpoint);
    uint32_t generation = route_generation(peer->adapter);
    if (endpoint.local_ifindex != 0) {
        if (endpoint.route_generation == generation)
            return false;
        /* The peer's answers teach us the way that we last took: it must not be taken again untested, or a
         * better one would never get its turn. */
        if (endpoint.learned || route_source_doubtful(peer->adapter, &endpoint))
            return true;
        route_request_refresh(peer);
        return false;
    }
    return endpoint.remote.si_family != AF_UNSPEC &&
           !(endpoint.unreachable && endpoint.route_generation == generation);
}

/* A delivery that has become long, go by go. */
static void order_work(struct work *work)
{
    struct peer *peer = CONTAINING_RECORD(work, struct peer, tx_order_work);
    if (order_continue(&peer->tx_order, deliver))
        peer_release(peer);
    else
        work_queue_data(
            &peer->flow, work,
            ORDER_DELIVER_COST_BYTES); /* with its reference, and behind what else there is to do */
}

void transmit_initialize_peer(struct peer *peer)
{
    work_initialize(&peer->tx_order_work, order_work);
}

/* The batch is done; the caller holds the peer, also without the batch. */
static void batch_finish(struct peer *peer, struct batch *batch)
{
    if (!order_finish(&peer->tx_order, batch, deliver) && peer_reference(peer))
        work_queue_data(&peer->flow, &peer->tx_order_work, ORDER_DELIVER_COST_BYTES);
}

static void batch_work(struct work *work)
{
    struct tx_batch *tx = CONTAINING_RECORD(work, struct tx_batch, batch.work);
    struct nbl_chain done = {0};
    struct adapter *adapter = tx->batch.adapter;
    struct peer *peer = tx->batch.peer;
    /* The delivery below drops the batch's session, which holds the peer, whose order is still in use then.
     */
    struct session_object *session = tx->batch.session;
    if (!session_reference(session))
        session = NULL; /* not possible: the batch holds it */
    if (work->item.overdue) {
        drop_count(adapter, DROP_TX_QUEUE_LATE, tx->batch.count);
        tx_batch_abandon(tx, NDIS_STATUS_RESOURCES, &done); /* the order passes over it */
    } else {
        if (wants_route(peer))
            route_refresh(peer);
        tx_batch_encrypt(tx, &done);
    }
    nbl_chain_complete(adapter, &done);
    batch_finish(peer, &tx->batch);
    if (session)
        session_release(session);
}

void transmit_batch_run(struct tx_batch *tx, uint32_t *budget, struct nbl_chain *done)
{
    struct peer *peer = tx->batch.peer;
    if (tx->used > *budget || !order_is_next(&peer->tx_order, tx->batch.ticket) || wants_route(peer)) {
        work_queue_data(&peer->flow, &tx->batch.work, tx->used);
        return;
    }
    *budget -= tx->used;
    tx_batch_encrypt(tx, done);
    batch_finish(peer, &tx->batch);
}
