/* The queue of packets that wait for a session, and the senders that need no packet of the stack: its flush,
 * and keepalives. */
#include "staged.h"
#include "driver.h"
#include "handshake_work.h"
#include "memory.h"
#include "segment.h"
#include "transmit.h"
#include "transmit_batch.h"
#include "workspace.h"

/* Lock held. */
static struct staged_packet *pop_locked(struct peer *peer)
{
    struct staged_packet *packet = peer->staged_head;
    peer->staged_head = packet->next;
    if (!peer->staged_head)
        peer->staged_tail = NULL;
    peer->staged_count--;
    peer->staged_bytes -= packet->bytes;
    return packet;
}

static uint32_t free_list(struct staged_packet *list)
{
    uint32_t count = 0;
    for (struct staged_packet *next; list; list = next, count++) {
        next = list->next;
        memory_free(MEMORY_STAGED, list, sizeof(*list) + list->bytes);
    }
    return count;
}

/* Memory for a packet of so many bytes; NULL: counted. */
static struct staged_packet *packet_allocate(struct peer *peer, uint32_t bytes, uint8_t version)
{
    struct staged_packet *packet = memory_allocate_uninitialized(MEMORY_STAGED, sizeof(*packet) + bytes);
    if (!packet) {
        drop_count(peer->adapter, DROP_TX_MEMORY, 1);
        return NULL;
    }
    packet->next = NULL;
    packet->bytes = bytes;
    packet->family = version;
    return packet;
}

/* Puts it at the end of the queue, at the cost of the oldest. */
static bool packet_append(struct peer *peer, struct staged_packet *packet)
{
    uint32_t bytes = packet->bytes;

    struct staged_packet *dropped = NULL;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->staged_lock);
    /* Down, suspend and removal say so before they purge under this lock: nothing is staged behind them. */
    if (!peer->adapter->up || peer->adapter->suspended || peer->removed) {
        KeReleaseSpinLock(&peer->staged_lock, irql);
        memory_free(MEMORY_STAGED, packet, sizeof(*packet) + bytes);
        drop_count(peer->adapter, DROP_TX_LINK_DOWN, 1);
        return false;
    }
    while (peer->staged_head &&
           (peer->staged_count >= PEER_STAGED_PACKETS || peer->staged_bytes + bytes > PEER_STAGED_BYTES)) {
        struct staged_packet *oldest = pop_locked(peer);
        oldest->next = dropped;
        dropped = oldest;
    }
    if (peer->staged_tail)
        peer->staged_tail->next = packet;
    else
        peer->staged_head = packet;
    peer->staged_tail = packet;
    peer->staged_count++;
    peer->staged_bytes += bytes;
    KeReleaseSpinLock(&peer->staged_lock, irql);
    if (dropped)
        drop_count(peer->adapter, DROP_TX_STAGED_OVERFLOW, free_list(dropped));
    return true;
}

/* It could not be filled. */
static bool packet_give_up(struct peer *peer, struct staged_packet *packet)
{
    memory_free(MEMORY_STAGED, packet, sizeof(*packet) + packet->bytes);
    drop_count(peer->adapter, DROP_TX_MEMORY, 1);
    return false;
}

bool staged_append(struct peer *peer, const NET_BUFFER *buffer, uint8_t version)
{
    struct staged_packet *packet =
        packet_allocate(peer, buffer ? NET_BUFFER_DATA_LENGTH(buffer) : 0, version);
    if (!packet)
        return false;
    if (buffer && !mdl_copy(packet->data, NET_BUFFER_CURRENT_MDL(buffer),
                            NET_BUFFER_CURRENT_MDL_OFFSET(buffer), packet->bytes))
        return packet_give_up(peer, packet);
    return packet_append(peer, packet);
}

bool staged_append_all(struct peer *peer, const NET_BUFFER *buffer, uint8_t version, uint32_t request)
{
    struct segment_template template;
    uint32_t length = NET_BUFFER_DATA_LENGTH(buffer), count = segment_count(request, length);
    if (request == 0)
        return staged_append(peer, buffer, version);
    if (!segment_begin(&template, buffer, request)) {
        drop_count(peer->adapter, DROP_TX_OFFLOAD, count);
        return false;
    }
    uint32_t i = 0;
    for (; i < count; i++) {
        uint32_t cut = i * segment_payload(request), bytes = segment_bytes(request, length, cut);
        struct staged_packet *packet = packet_allocate(peer, bytes, version);
        if (!packet)
            break;
        if (!segment_copy(&template, cut, bytes, packet->data)) {
            packet_give_up(peer, packet);
            break;
        }
        if (!packet_append(peer, packet))
            break;
    }
    if (i == count)
        return true;
    drop_count(peer->adapter, DROP_TX_MEMORY, count - i - 1); /* the one that failed is counted already */
    return false;
}

struct staged_packet *staged_take_all(struct peer *peer)
{
    struct staged_packet *list = peer->staged_head;
    peer->staged_head = peer->staged_tail = NULL;
    peer->staged_count = peer->staged_bytes = 0;
    return list;
}

void staged_drop(struct peer *peer, struct staged_packet *list)
{
    if (list)
        drop_count(peer->adapter, DROP_TX_STAGED_PURGED, free_list(list));
}

void transmit_purge_staged(struct peer *peer)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->staged_lock);
    struct staged_packet *list = staged_take_all(peer);
    KeReleaseSpinLock(&peer->staged_lock, irql);
    staged_drop(peer, list);
}

/* Lock held.  Moves what fits from the queue into the batch and orders it; false: nothing was waiting, or the
 * packets were dropped because they could not be ordered (counted). */
static bool fill_locked(struct tx_batch *tx, struct peer *peer)
{
    struct staged_packet **tail = &tx->staged;
    while (peer->staged_head && tx_batch_room(tx, peer->staged_head->bytes)) {
        struct staged_packet *packet = pop_locked(peer);
        struct tx_packet *slot =
            tx_batch_add(tx, packet->bytes, transmit_inner_mtu(peer->adapter, packet->family));
        slot->buffer = NULL;
        slot->nbl = NULL;
        slot->staged = packet->data;
        packet->next = NULL;
        *tail = packet;
        tail = &packet->next;
    }
    return tx->batch.count > 0 && transmit_batch_order(tx);
}

bool transmit_flush_staged(struct peer *peer)
{
    uint32_t budget = peer->adapter->pass_bytes;
    while (!staged_is_empty(peer)) {
        struct nbl_chain none = {0};
        uint64_t now_ns = time_now_ns();
        struct session_object *session = peer_current_session(peer, now_ns);
        if (!session) { /* what waits without a session waits for a handshake */
            handshake_request(peer, false);
            break;
        }
        struct tx_batch *tx =
            transmit_batch_create(peer, session, PEER_STAGED_PACKETS, PEER_STAGED_BYTES, now_ns);
        if (!tx) {
            session_release(session);
            break;
        }
        bool held = session_reference(session); /* beside the batch's: the peer's order outlives the batch */
        KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->staged_lock);
        bool ordered = fill_locked(tx, peer);
        KeReleaseSpinLock(&peer->staged_lock, irql);
        if (ordered) {
            transmit_batch_run(tx, &budget, &none);
        } else {
            tx_batch_abandon(tx, NDIS_STATUS_SUCCESS, &none);
            tx_batch_free(tx);
            session_release(session);
        }
        if (held)
            session_release(session);
        if (!ordered)
            break;
    }
    return staged_is_empty(peer);
}

void transmit_keepalive(struct peer *peer)
{
    struct nbl_chain none = {0};
    uint64_t now_ns = time_now_ns();
    uint32_t budget = peer->adapter->pass_bytes;
    if (!peer->adapter->up)
        return;
    struct session_object *session = peer_current_session(peer, now_ns);
    if (!session) {
        if (staged_is_empty(peer))
            staged_append(peer, NULL, 0);
        handshake_request(peer, false);
        return;
    }
    if (!staged_is_empty(peer)) { /* data says as much as a keepalive */
        session_release(session);
        transmit_flush_staged(peer);
        return;
    }
    struct tx_batch *tx = transmit_batch_create(peer, session, 1, 0, now_ns);
    if (!tx) {
        drop_count(peer->adapter, DROP_TX_MEMORY, 1);
        session_release(session);
        return;
    }
    bool held = session_reference(session);
    struct tx_packet *packet = tx_batch_add(tx, 0, 0);
    packet->buffer = NULL;
    packet->nbl = NULL;
    packet->staged = NULL;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->staged_lock);
    bool ordered = transmit_batch_order(tx);
    KeReleaseSpinLock(&peer->staged_lock, irql);
    if (ordered) {
        transmit_batch_run(tx, &budget, &none);
    } else {
        tx_batch_free(tx);
        session_release(session);
    }
    if (held)
        session_release(session);
}
