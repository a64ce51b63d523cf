/* The transmit pass: one call of MiniportSendNetBufferLists.  The chain is walked once, each NBL goes to the
 * group of its peer, and each group is cut into batches.  Tables are read in an epoch, encryption and sending
 * are outside. */
#include "transmit.h"
#include "driver.h"
#include "handshake_work.h"
#include "loop_guard.h"
#include "protocol/packet.h"
#include "segment.h"
#include "staged.h"
#include "transmit_batch.h"
#include "workspace.h"

/* Peers open at a time in one pass; most chains have one. */
#define PASS_GROUPS 8

/* NBLs of one peer, in order. */
struct group {
    struct peer *peer;
    struct session_object *session; /* once resolved: referenced, and holds the peer; NULL: was staged */
    struct nbl_chain nbls;
    uint32_t packets, bytes;
};

struct pass {
    struct adapter *adapter;
    uint64_t now_ns;
    uint32_t budget;
    uint32_t offloads; /* offload_flag in force */
    uint32_t group_count;
    struct nbl_chain done; /* to be completed when the pass is over, with their statuses */
    struct group groups[PASS_GROUPS];
};

/* Where the packets of a group stand while it is cut into batches. */
struct cursor {
    NET_BUFFER_LIST *nbl;
    NET_BUFFER *buffer; /* next packet of `nbl`, NULL: at the end of the group */
    segment_request request;
    uint32_t cut;  /* payload of `buffer` that went into packets before */
    bool spanning; /* `nbl` has packets in an earlier batch */
};

/* Packets from `buffer` on; an NBL without any counts as one. */
static uint32_t packets_from(const NET_BUFFER *buffer)
{
    uint32_t count = 0;
    for (; buffer; buffer = NET_BUFFER_NEXT_NB(buffer))
        count++;
    return count > 0 ? count : 1;
}

static void refuse(struct pass *pass, NET_BUFFER_LIST *nbl, NDIS_STATUS status, enum drop_reason reason)
{
    NET_BUFFER_LIST_STATUS(nbl) = status;
    segment_note_completion(nbl);
    drop_count(pass->adapter, reason, packets_from(NET_BUFFER_LIST_FIRST_NB(nbl)));
    nbl_chain_append(&pass->done, nbl);
}

static uint8_t nbl_version(const NET_BUFFER_LIST *nbl)
{
    uint16_t protocol =
        __builtin_bswap16((uint16_t)(uintptr_t)NET_BUFFER_LIST_INFO(nbl, NetBufferListProtocolId));
    return protocol == NDIS_ETH_TYPE_IPV4 ? 4 : protocol == NDIS_ETH_TYPE_IPV6 ? 6 : 0;
}

/* The first `wanted` bytes of a packet (or all): in place when one MDL holds them, else in `storage`. */
static const uint8_t *packet_header(const NET_BUFFER *buffer, uint8_t *storage, uint32_t wanted)
{
    MDL *mdl = NET_BUFFER_CURRENT_MDL(buffer);
    uint32_t offset = NET_BUFFER_CURRENT_MDL_OFFSET(buffer), bytes = NET_BUFFER_DATA_LENGTH(buffer);
    if (bytes > wanted)
        bytes = wanted;
    if (mdl && offset <= MmGetMdlByteCount(mdl) && bytes <= MmGetMdlByteCount(mdl) - offset) {
        const uint8_t *data = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority | MdlMappingNoExecute);
        return data ? data + offset : NULL;
    }
    return mdl_copy(storage, mdl, offset, bytes) ? storage : NULL;
}

/* Counts the packets that an NBL becomes; false when one cannot be sent at all. */
static bool nbl_measure(const NET_BUFFER_LIST *nbl, segment_request request, uint32_t *packets,
                        uint32_t *bytes)
{
    *packets = *bytes = 0;
    if (segment_payload(request) != 0) {
        uint32_t length = NET_BUFFER_DATA_LENGTH(NET_BUFFER_LIST_FIRST_NB(nbl));
        *packets = segment_count(request, length);
        *bytes = length + (*packets - 1) * segment_headers(request);
        return true;
    }
    for (NET_BUFFER *buffer = NET_BUFFER_LIST_FIRST_NB(nbl); buffer; buffer = NET_BUFFER_NEXT_NB(buffer)) {
        uint32_t length = NET_BUFFER_DATA_LENGTH(buffer);
        if (length == 0 || length > PLAINTEXT_MAX_BYTES)
            return false;
        *packets += 1;
        *bytes += length;
    }
    return *packets > 0;
}

/* What the NBL asks for, kept in it; false: refused.  `headers` are those of its first packet. */
static bool note_request(struct pass *pass, NET_BUFFER_LIST *nbl, const uint8_t *header, uint8_t version,
                         segment_request *request)
{
    uint8_t storage[TRANSPORT_HEADERS_MAX_BYTES];
    const NET_BUFFER *first = NET_BUFFER_LIST_FIRST_NB(nbl);
    *request = 0;
    if (segment_wanted(nbl)) {
        uint32_t available = NET_BUFFER_DATA_LENGTH(first);
        if (available > sizeof(storage))
            available = sizeof(storage);
        if (!(header = packet_header(first, storage, available)) ||
            !segment_request_read(nbl, header, available, pass->offloads,
                                  transmit_inner_mtu(pass->adapter, version), request)) {
            refuse(pass, nbl, NDIS_STATUS_FAILURE, DROP_TX_OFFLOAD);
            return false;
        }
    }
    *segment_request_slot(nbl) = (void *)(uintptr_t)*request;
    return true;
}

/* In an epoch.  The peer to which the NBL goes, judged by its first packet, or NULL when it was refused. */
static struct peer *classify(struct pass *pass, NET_BUFFER_LIST *nbl, segment_request *request)
{
    struct adapter *adapter = pass->adapter;
    uint8_t storage[IPV6_HEADER_BYTES];
    struct packet_view view;
    NET_BUFFER *first = NET_BUFFER_LIST_FIRST_NB(nbl);
    uint8_t version = nbl_version(nbl);
    const uint8_t *header;

    if (!version || !first || NET_BUFFER_DATA_LENGTH(first) == 0) {
        refuse(pass, nbl, NDIS_STATUS_FAILURE, DROP_TX_MALFORMED);
        return NULL;
    }
    if (!(header = packet_header(first, storage, IPV6_HEADER_BYTES))) {
        refuse(pass, nbl, NDIS_STATUS_RESOURCES, DROP_TX_MEMORY);
        return NULL;
    }
    if (header[0] >> 4 != version) {
        refuse(pass, nbl, NDIS_STATUS_FAILURE, DROP_TX_MALFORMED);
        return NULL;
    }
    if (!note_request(pass, nbl, header, version, request))
        return NULL;
    if (segment_payload(*request) != 0) {
        /* The header's own length is not filled in yet; that of the NET_BUFFER counts. */
        view.destination = header + (version == 4 ? IPV4_SOURCE + 4 : IPV6_SOURCE + 16);
    } else if (packet_parse(header, NET_BUFFER_DATA_LENGTH(first), &view) != PACKET_OK ||
               view.length != NET_BUFFER_DATA_LENGTH(first)) {
        refuse(pass, nbl, NDIS_STATUS_FAILURE, DROP_TX_MALFORMED);
        return NULL;
    }
    struct allowed_ips_peer *allowed = version == 4
                                           ? allowed_ips_lookup_v4(&adapter->allowed_ips, view.destination)
                                           : allowed_ips_lookup_v6(&adapter->allowed_ips, view.destination);
    if (!allowed) {
        refuse(pass, nbl, NDIS_STATUS_FAILURE, DROP_TX_NO_PEER);
        return NULL;
    }
    struct peer *peer = CONTAINING_RECORD(allowed, struct peer, allowed);
    if (loop_guard_refuses(adapter, peer->id, first, header, version, pass->now_ns)) {
        refuse(pass, nbl, NDIS_STATUS_FAILURE, DROP_TX_LOOP);
        return NULL;
    }
    if (peer->endpoint.value.remote.si_family == AF_UNSPEC) {
        refuse(pass, nbl, NDIS_STATUS_FAILURE, DROP_TX_NO_ENDPOINT);
        return NULL;
    }
    return peer;
}

/* In an epoch: no session.  Copies wait for one; the NBLs are done with. */
static void group_stage(struct pass *pass, struct group *group)
{
    while (group->nbls.head) {
        NET_BUFFER_LIST *nbl = group->nbls.head;
        group->nbls.head = nbl->Next;
        for (NET_BUFFER *buffer = NET_BUFFER_LIST_FIRST_NB(nbl); buffer; buffer = NET_BUFFER_NEXT_NB(buffer))
            if (!staged_append_all(group->peer, buffer, nbl_version(nbl), segment_request_of(nbl)))
                NET_BUFFER_LIST_STATUS(nbl) = NDIS_STATUS_RESOURCES;
        nbl_chain_append(&pass->done, nbl);
    }
    handshake_request(group->peer, false);
    /* A session that came between our look and the staging has flushed too early. */
    struct session_object *session = peer_current_session_in_epoch(group->peer, pass->now_ns);
    if (session) {
        session_release(session);
        transmit_flush_staged(group->peer);
    }
}

static void cursor_next_nbl(struct cursor *cursor, struct group *group)
{
    cursor->nbl = group->nbls.head;
    cursor->spanning = false;
    cursor->buffer = NULL;
    cursor->cut = 0;
    if (cursor->nbl) {
        group->nbls.head = cursor->nbl->Next;
        cursor->buffer = NET_BUFFER_LIST_FIRST_NB(cursor->nbl);
        cursor->request = segment_request_of(cursor->nbl);
    }
}

/* Bytes of the next packet. */
static uint32_t cursor_bytes(const struct cursor *cursor)
{
    return segment_bytes(cursor->request, NET_BUFFER_DATA_LENGTH(cursor->buffer), cursor->cut);
}

/* To the packet behind the next one of this NBL, if there is one. */
static void cursor_next_packet(struct cursor *cursor)
{
    uint32_t payload = segment_payload(cursor->request);
    cursor->cut += payload;
    if (payload == 0 ||
        cursor->cut >= NET_BUFFER_DATA_LENGTH(cursor->buffer) - segment_headers(cursor->request)) {
        cursor->buffer = NET_BUFFER_NEXT_NB(cursor->buffer);
        cursor->cut = 0;
    }
}

/* The batch has a part of the cursor's NBL, which has more packets elsewhere. */
static void batch_add_span(struct tx_batch *tx, NET_BUFFER_LIST *nbl)
{
    nbl_span_reference(nbl);
    tx->span[tx->span[0] ? 1 : 0] = nbl;
}

/* Moves packets from the group into the batch until one of them is full or empty. */
static void batch_fill(struct tx_batch *tx, struct group *group, struct cursor *cursor)
{
    const struct adapter *adapter = tx->batch.adapter;
    while (cursor->buffer && tx_batch_room(tx, cursor_bytes(cursor))) {
        NET_BUFFER_LIST *nbl = cursor->nbl;
        uint32_t mtu = transmit_inner_mtu(adapter, nbl_version(nbl));
        do {
            struct tx_packet *packet = tx_batch_add(tx, cursor_bytes(cursor), mtu);
            packet->buffer = cursor->buffer;
            packet->nbl = nbl;
            packet->staged = NULL;
            packet->request = cursor->request;
            packet->cut = cursor->cut;
            cursor_next_packet(cursor);
        } while (cursor->buffer && tx_batch_room(tx, cursor_bytes(cursor)));

        if (!cursor->buffer && !cursor->spanning) {
            nbl_chain_append(&tx->nbls, nbl);
        } else {
            if (!cursor->spanning)
                nbl_span_begin(nbl); /* the pass's own count, until it is through with the NBL */
            cursor->spanning = true;
            batch_add_span(tx, nbl);
            if (!cursor->buffer)
                nbl_span_release(nbl); /* not the last: the batch has one */
        }
        if (!cursor->buffer)
            cursor_next_nbl(cursor, group);
    }
}

/* No memory for a batch: what is left of the group fails. */
static void group_fail(struct pass *pass, struct group *group, struct cursor *cursor)
{
    while (cursor->buffer) {
        drop_count(pass->adapter, DROP_TX_MEMORY, packets_from(cursor->buffer));
        NET_BUFFER_LIST_STATUS(cursor->nbl) = NDIS_STATUS_RESOURCES;
        if (!cursor->spanning || nbl_span_release(cursor->nbl))
            nbl_chain_append(&pass->done, cursor->nbl);
        cursor_next_nbl(cursor, group);
    }
}

/* Nonces and ticket, behind everything that is staged.  What is staged and cannot go out now (there is no
 * memory for it, say) is dropped, as the oldest are when the queue is full: it would be overtaken. */
static bool batch_order(struct tx_batch *tx)
{
    struct peer *peer = tx->batch.peer;
    bool flushed = true;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->staged_lock);
    while (!staged_is_empty(peer) && flushed) {
        KeReleaseSpinLock(&peer->staged_lock, irql);
        flushed = transmit_flush_staged(peer);
        irql = KeAcquireSpinLockRaiseToDpc(&peer->staged_lock);
    }
    struct staged_packet *stuck = staged_is_empty(peer) ? NULL : staged_take_all(peer);
    bool ordered = transmit_batch_order(tx);
    KeReleaseSpinLock(&peer->staged_lock, irql);
    staged_drop(peer, stuck);
    return ordered;
}

/* The group's packets go out on its session, batch by batch. */
static void group_send(struct pass *pass, struct group *group)
{
    struct cursor cursor;
    uint32_t packets = group->packets, bytes = group->bytes;
    cursor_next_nbl(&cursor, group);
    while (cursor.buffer) {
        struct tx_batch *tx = NULL;
        if (session_reference(group->session) &&
            !(tx = transmit_batch_create(group->peer, group->session, packets, bytes, pass->now_ns)))
            session_release(group->session);
        if (!tx) {
            group_fail(pass, group, &cursor);
            break;
        }
        batch_fill(tx, group, &cursor);
        packets -= tx->batch.count;
        bytes -= tx->plaintext;
        if (batch_order(tx)) {
            transmit_batch_run(tx, &pass->budget, &pass->done);
        } else {
            tx_batch_abandon(tx, NDIS_STATUS_RESOURCES, &pass->done);
            tx_batch_free(tx);
            session_release(group->session);
            handshake_request(group->peer, false);
        }
    }
    session_release(group->session);
}

/* In the epoch `guard`, which it leaves: sends or stages everything collected so far. */
static void pass_flush(struct pass *pass, struct epoch_guard *guard)
{
    for (uint32_t i = 0; i < pass->group_count; i++) {
        struct group *group = &pass->groups[i];
        group->session = peer_current_session_in_epoch(group->peer, pass->now_ns);
        if (!group->session)
            group_stage(pass, group);
    }
    epoch_leave(guard);
    for (uint32_t i = 0; i < pass->group_count; i++)
        if (pass->groups[i].session)
            group_send(pass, &pass->groups[i]);
    pass->group_count = 0;
}

static struct group *pass_group(struct pass *pass, struct peer *peer, struct epoch_guard *guard)
{
    for (uint32_t i = 0; i < pass->group_count; i++)
        if (pass->groups[i].peer == peer)
            return &pass->groups[i];
    if (pass->group_count == PASS_GROUPS) {
        /* `peer` was looked up in the epoch that this leaves. */
        bool held = peer_reference(peer);
        pass_flush(pass, guard);
        epoch_enter(guard);
        if (!held)
            return NULL;
        peer_release(peer); /* the new epoch keeps it */
    }
    struct group *group = &pass->groups[pass->group_count++];
    *group = (struct group){.peer = peer};
    return group;
}

static void pass_add(struct pass *pass, NET_BUFFER_LIST *nbl, struct epoch_guard *guard)
{
    uint32_t packets, bytes;
    segment_request request;
    NET_BUFFER_LIST_STATUS(nbl) = NDIS_STATUS_SUCCESS;
    struct peer *peer = classify(pass, nbl, &request);
    if (!peer)
        return;
    if (!nbl_measure(nbl, request, &packets, &bytes)) {
        refuse(pass, nbl, NDIS_STATUS_FAILURE, DROP_TX_MALFORMED);
        return;
    }
    struct group *group = pass_group(pass, peer, guard);
    if (!group) {
        refuse(pass, nbl, NDIS_STATUS_FAILURE, DROP_TX_NO_PEER);
        return;
    }
    nbl_chain_append(&group->nbls, nbl);
    group->packets += packets;
    group->bytes += bytes;
}

/* The adapter does not take packets now: all complete with `status`. */
static void refuse_chain(struct adapter *adapter, NET_BUFFER_LIST *chain, NDIS_STATUS status,
                         enum drop_reason reason, ULONG send_flags)
{
    uint32_t count = 0;
    for (NET_BUFFER_LIST *nbl = chain; nbl; nbl = nbl->Next) {
        NET_BUFFER_LIST_STATUS(nbl) = status;
        segment_note_completion(nbl);
        count += packets_from(NET_BUFFER_LIST_FIRST_NB(nbl));
    }
    drop_count(adapter, reason, count);
    bool dispatch = NDIS_TEST_SEND_AT_DISPATCH_LEVEL(send_flags) || KeGetCurrentIrql() >= DISPATCH_LEVEL;
    NdisMSendNetBufferListsComplete(adapter->miniport, chain,
                                    dispatch ? NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL : 0);
}

void transmit_send(struct adapter *adapter, NET_BUFFER_LIST *chain, ULONG send_flags)
{
    struct epoch_guard guard;
    uint32_t count = 0;
    for (NET_BUFFER_LIST *nbl = chain; nbl; nbl = nbl->Next)
        count++;
    if (count == 0)
        return;
    if (!ExAcquireRundownProtectionEx(&adapter->transmit_rundown, count)) {
        refuse_chain(adapter, chain, NDIS_STATUS_PAUSED, DROP_TX_NOT_RUNNING, send_flags);
        return;
    }
    if (!adapter->up) {
        refuse_chain(adapter, chain, NDIS_STATUS_MEDIA_DISCONNECTED, DROP_TX_LINK_DOWN, send_flags);
        ExReleaseRundownProtectionEx(&adapter->transmit_rundown, count);
        return;
    }
    struct pass pass;
    pass.adapter = adapter;
    pass.now_ns = time_now_ns();
    pass.budget = adapter->pass_bytes;
    pass.offloads = __atomic_load_n(&adapter->offload.active, __ATOMIC_RELAXED);
    pass.group_count = 0;
    pass.done = (struct nbl_chain){0};
    epoch_enter(&guard);
    while (chain) {
        NET_BUFFER_LIST *next = chain->Next;
        pass_add(&pass, chain, &guard);
        chain = next;
    }
    pass_flush(&pass, &guard);
    nbl_chain_complete(adapter, &pass.done);
}
