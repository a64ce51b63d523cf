/* What happens to opened packets in the order in which they came: one consumer at a time per peer, hence no
 * lock. */
#include "receive_deliver.h"
#include "coalesce.h"
#include "driver.h"
#include "peer.h"
#include "protocol/packet.h"
#include "transmit.h"

/* With more than this in the hands of the stack, it is asked to copy and give back at once. */
#define RX_OUTSTANDING_MAX_BYTES (32 * 1024 * 1024)

/* What a batch came to. */
struct outcome {
    struct nbl_chain nbls;
    uint32_t accepted;              /* authentic and fresh, keepalives included */
    uint64_t accepted_bytes;        /* of their messages */
    const struct rx_origin *origin; /* of the last one */
    bool data;                      /* not only keepalives */
    uint32_t replayed, malformed, not_allowed;
};

/* In an epoch.  Is this peer the one that may use the source address? */
static bool source_allowed(const struct peer *peer, const struct packet_view *view)
{
    const struct allowed_ips *table = &peer->adapter->allowed_ips;
    return &peer->allowed == (view->version == 4 ? allowed_ips_lookup_v4(table, view->source)
                                                 : allowed_ips_lookup_v6(table, view->source));
}

/* In an epoch. */
static void accept_packet(struct rx_batch *rx, uint32_t i, struct coalescer *coalescer,
                          struct outcome *outcome)
{
    const struct rx_packet *packet = &rx->packets[i];
    struct packet_view view;
    if (!session_accept_counter(&rx->batch.session->session, packet->nonce)) {
        outcome->replayed++;
        return;
    }
    outcome->accepted++;
    outcome->accepted_bytes += packet->plaintext + MESSAGE_OVERHEAD_BYTES;
    outcome->origin = &rx->origins[packet->origin];
    if (packet->plaintext == 0)
        return;
    outcome->data = true;
    if (packet_parse(rx->buffer + i * rx->stride, packet->plaintext, &view) != PACKET_OK) {
        outcome->malformed++;
        return;
    }
    if (!source_allowed(rx->batch.peer, &view)) {
        outcome->not_allowed++;
        return;
    }
    NET_BUFFER_LIST *nbl = coalesce_add(coalescer, rx, i, &view);
    if (nbl)
        nbl_chain_append(&outcome->nbls, nbl);
}

static void count(struct adapter *adapter, const struct outcome *outcome)
{
    if (outcome->replayed)
        drop_count(adapter, DROP_RX_REPLAY, outcome->replayed);
    if (outcome->malformed)
        drop_count(adapter, DROP_RX_INNER_MALFORMED, outcome->malformed);
    if (outcome->not_allowed)
        drop_count(adapter, DROP_RX_SOURCE_NOT_ALLOWED, outcome->not_allowed);
}

/* What an authentic, fresh packet tells about the peer. */
static void peer_heard(struct rx_batch *rx, const struct outcome *outcome)
{
    struct peer *peer = rx->batch.peer;
    const struct rx_origin *origin = outcome->origin;
    __atomic_add_fetch(&peer->rx_bytes, outcome->accepted_bytes, __ATOMIC_RELAXED);
    if (origin->remote.si_family != AF_UNSPEC)
        peer_learn_endpoint(peer, &origin->remote, &origin->local, origin->ifindex);
    peer_received(peer, rx->batch.session, outcome->data, rx->batch.now_ns);
    if (peer_confirm_session(peer, rx->batch.session)) {
        peer_timers_handshake_complete(peer, WYRM_HANDSHAKE_BY_PEER);
        transmit_flush_staged(peer);
    }
}

/* Hands the chain to the stack, unless the adapter is paused. */
static void indicate(struct rx_batch *rx, struct nbl_chain *nbls)
{
    struct adapter *adapter = rx->batch.adapter;
    if (nbls->count == 0) {
        rx_batch_free(rx);
        return;
    }
    /* One for this call, one until the last NBL is back: a pause waits for both. */
    if (!ExAcquireRundownProtectionEx(&adapter->receive_rundown, 2)) {
        drop_count(adapter, DROP_RX_PAUSED, nbls->count);
        rx_batch_free(rx);
        return;
    }
    ULONG flags = KeGetCurrentIrql() >= DISPATCH_LEVEL ? NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL : 0;
    int64_t outstanding =
        __atomic_add_fetch(&adapter->rx_outstanding_bytes, rx->batch.bytes, __ATOMIC_RELAXED);
    bool ours_again = outstanding > RX_OUTSTANDING_MAX_BYTES;
    if (ours_again)
        flags |= NDIS_RECEIVE_FLAGS_RESOURCES;
    __atomic_store_n(&rx->users, (int32_t)nbls->count, __ATOMIC_RELAXED);
    NdisMIndicateReceiveNetBufferLists(adapter->miniport, nbls->head, NDIS_DEFAULT_PORT_NUMBER, nbls->count,
                                       flags);
    if (ours_again)
        rx_batch_returned(rx);
    ExReleaseRundownProtection(&adapter->receive_rundown);
}

void receive_deliver(struct batch *batch)
{
    struct rx_batch *rx = CONTAINING_RECORD(batch, struct rx_batch, batch);
    struct outcome outcome = {0};
    struct coalescer coalescer;
    struct epoch_guard guard;
    uint32_t offloads = __atomic_load_n(&batch->adapter->offload.active, __ATOMIC_RELAXED);

    coalesce_begin(&coalescer, batch->count > 1 ? offloads : offloads & ~(OFFLOAD_RSC4 | OFFLOAD_RSC6));
    epoch_enter(&guard);
    for (uint32_t i = 0; i < batch->count; i++)
        if (rx->packets[i].valid)
            accept_packet(rx, i, &coalescer, &outcome);
    coalesce_end(&coalescer, rx);
    struct counters_cpu *counters = &batch->adapter->counters[guard.cpu];
    counters->rx_packets += outcome.accepted;
    counters->rx_bytes += outcome.accepted_bytes;
    if (coalescer.units || coalescer.aborts) {
        counters->rsc_packets += coalescer.segments;
        counters->rsc_bytes += coalescer.bytes;
        counters->rsc_units += coalescer.units;
        counters->rsc_aborts += coalescer.aborts;
    }
    epoch_leave(&guard);

    count(batch->adapter, &outcome);
    if (outcome.accepted > 0)
        peer_heard(rx, &outcome);
    session_release(batch->session);
    batch->session = NULL;
    indicate(rx, &outcome.nbls);
}
