/* The receive pass: one call of WskReceiveFromEvent.  Handshake messages are copied to their queue; data is
 * grouped by session, opened straight from the socket's buffers, here or on a worker, and handed to
 * receive_deliver.c in the peer's order. */
#include "receive.h"
#include "driver.h"
#include "handshake_work.h"
#include "peer.h"
#include "protocol/messages.h"
#include "receive_deliver.h"
#include "udp_socket.h"
#include "workspace.h"

/* Sessions open at a time in one pass. */
#define PASS_GROUPS 8

struct datagram_list {
    WSK_DATAGRAM_INDICATION *head, *tail;
};

/* Datagrams of one session, in order. */
struct group {
    struct session_object *session; /* referenced, and holds the peer */
    uint32_t index;
    struct datagram_list datagrams;
    uint32_t count, largest;
};

struct pass {
    struct adapter *adapter;
    struct udp_socket *socket;
    uint64_t now_ns;
    uint32_t budget;
    bool grouped;              /* some went through groups: `done` is no longer the chain as it came */
    struct datagram_list done; /* not needed any more */
    uint32_t group_count;
    struct group groups[PASS_GROUPS];
};

static void list_append(struct datagram_list *list, WSK_DATAGRAM_INDICATION *datagram)
{
    datagram->Next = NULL;
    if (list->tail)
        list->tail->Next = datagram;
    else
        list->head = datagram;
    list->tail = datagram;
}

static void refuse(struct pass *pass, WSK_DATAGRAM_INDICATION *datagram, enum drop_reason reason)
{
    list_append(&pass->done, datagram);
    drop_count(pass->adapter, reason, 1);
}

/* The datagram's first `wanted` bytes in one piece: where they are, or copied to `storage` when the socket
 * gave them in several MDLs. NULL if they cannot be read. */
static const uint8_t *datagram_start(const WSK_DATAGRAM_INDICATION *datagram, uint32_t wanted,
                                     uint8_t *storage)
{
    MDL *mdl = datagram->Buffer.Mdl;
    uint32_t offset = datagram->Buffer.Offset;
    if (mdl && offset < MmGetMdlByteCount(mdl) && MmGetMdlByteCount(mdl) - offset >= wanted) {
        const uint8_t *data = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority | MdlMappingNoExecute);
        return data ? data + offset : NULL;
    }
    return mdl_copy(storage, mdl, offset, wanted) ? storage : NULL;
}

/* ---- batches ---- */

/* A delivery that has become long, go by go. */
static void order_work(struct work *work)
{
    struct peer *peer = CONTAINING_RECORD(work, struct peer, rx_order_work);
    if (order_continue(&peer->rx_order, receive_deliver))
        peer_release(peer);
    else
        work_queue_data(
            &peer->flow, work,
            ORDER_DELIVER_COST_BYTES); /* with its reference, and behind what else there is to do */
}

void receive_initialize_peer(struct peer *peer)
{
    work_initialize(&peer->rx_order_work, order_work);
}

/* The batch is done; the caller holds the peer, also without the batch. */
static void batch_finish(struct peer *peer, struct batch *batch)
{
    if (!order_finish(&peer->rx_order, batch, receive_deliver) && peer_reference(peer))
        work_queue_data(&peer->flow, &peer->rx_order_work, ORDER_DELIVER_COST_BYTES);
}

static void batch_work(struct work *work)
{
    struct rx_batch *rx = CONTAINING_RECORD(work, struct rx_batch, batch.work);
    struct session_object *session = rx->batch.session;
    struct udp_socket *socket = rx->socket;
    rx_batch_open(rx);
    udp_release_datagrams(socket, rx->datagrams);
    rx->datagrams = NULL;
    udp_socket_unhold(socket);
    /* the delivery drops the batch's reference; the peer's order is in use until order_finish returns */
    bool held = session_reference(session);
    batch_finish(rx->batch.peer, &rx->batch);
    if (held)
        session_release(session);
}

/* Takes as many datagrams of the group as the batch has slots for; their bytes. */
static uint32_t batch_fill(struct rx_batch *rx, struct group *group)
{
    struct datagram_list list = {0};
    uint32_t bytes = 0;
    while (group->count > 0 && rx->batch.count < rx->slots) {
        WSK_DATAGRAM_INDICATION *datagram = group->datagrams.head;
        if (bytes > 0 && bytes + datagram->Buffer.Length > BATCH_PLAINTEXT_BYTES)
            break; /* what came as one coalesced run can be indicated as one */
        struct rx_packet *packet = &rx->packets[rx->batch.count++];
        uint8_t storage[MESSAGE_DATA_HEADER_BYTES];
        const struct message_data_header *header =
            (const struct message_data_header *)datagram_start(datagram, sizeof(storage), storage);
        packet->datagram = datagram;
        bytes += (uint32_t)datagram->Buffer.Length;
        /* The pass has read it before, so it can be read; a nonce that is never accepted costs nothing. */
        packet->nonce = header ? load_le64(header->counter) : UINT64_MAX;
        group->datagrams.head = datagram->Next;
        group->count--;
        list_append(&list, datagram);
    }
    rx->datagrams = list.head;
    return bytes;
}

static void batch_run(struct pass *pass, struct rx_batch *rx, uint32_t bytes)
{
    struct peer *peer = rx->batch.peer;
    if (bytes > pass->budget || !order_is_next(&peer->rx_order, rx->batch.ticket)) {
        if (udp_socket_hold(pass->socket)) {
            rx->socket = pass->socket;
            work_queue_data(&peer->flow, &rx->batch.work, bytes);
            return;
        } /* the socket is closing: nothing can be kept, so it is opened here after all */
    }
    pass->budget -= bytes < pass->budget ? bytes : pass->budget;
    rx_batch_open(rx);
    for (WSK_DATAGRAM_INDICATION *next, *datagram = rx->datagrams; datagram; datagram = next) {
        next = datagram->Next;
        list_append(&pass->done, datagram);
    }
    rx->datagrams = NULL;
    batch_finish(peer, &rx->batch);
}

/* Gives up what is left of a group. */
static void group_refuse(struct pass *pass, struct group *group, enum drop_reason reason)
{
    for (; group->count > 0; group->count--) {
        WSK_DATAGRAM_INDICATION *datagram = group->datagrams.head;
        group->datagrams.head = datagram->Next;
        refuse(pass, datagram, reason);
    }
}

static void group_open(struct pass *pass, struct group *group)
{
    struct peer *peer = group->session->peer;
    while (group->count > 0) {
        struct rx_batch *rx = rx_batch_allocate(pass->adapter, group->count, group->largest);
        if (!rx) {
            group_refuse(pass, group, DROP_RX_MEMORY);
            break;
        }
        if (!session_reference(group->session) || !order_take_ticket(&peer->rx_order, &rx->batch.ticket)) {
            session_release(group->session);
            rx_batch_free(rx);
            group_refuse(pass, group, DROP_RX_QUEUE_FULL);
            break;
        }
        rx->batch.session = group->session;
        rx->batch.peer = peer;
        rx->batch.now_ns = pass->now_ns;
        work_initialize(&rx->batch.work, batch_work);
        batch_run(pass, rx, batch_fill(rx, group));
    }
    session_release(group->session);
}

/* In the epoch `guard`, which it leaves. */
static void pass_flush(struct pass *pass, struct epoch_guard *guard)
{
    epoch_leave(guard);
    for (uint32_t i = 0; i < pass->group_count; i++)
        group_open(pass, &pass->groups[i]);
    pass->group_count = 0;
}

/* ---- the walk ---- */

static void add_handshake(struct pass *pass, WSK_DATAGRAM_INDICATION *datagram, const uint8_t *message)
{
    struct rx_origin origin;
    udp_origin_of_datagram(datagram, &origin);
    handshake_receive(pass->adapter, message, (uint32_t)datagram->Buffer.Length, &origin.remote,
                      &origin.local, origin.ifindex);
    list_append(&pass->done, datagram);
}

/* The group of a receiver index; NULL: the datagram is refused for `*reason`. */
static struct group *pass_group(struct pass *pass, uint32_t index, enum drop_reason *reason,
                                struct epoch_guard *guard)
{
    for (uint32_t i = pass->group_count; i-- > 0;)
        if (pass->groups[i].index == index)
            return &pass->groups[i];
    struct session_object *session = session_from_index(pass->adapter, index);
    if (!session) {
        *reason = DROP_RX_UNKNOWN_INDEX;
        return NULL;
    }
    if (!session_may_receive(&session->session, pass->now_ns)) {
        session_release(session);
        *reason = DROP_RX_SESSION_EXPIRED;
        return NULL;
    }
    if (pass->group_count == PASS_GROUPS) {
        pass_flush(pass, guard);
        epoch_enter(guard);
    }
    struct group *group = &pass->groups[pass->group_count++];
    *group = (struct group){.session = session, .index = index};
    return group;
}

static void add_data(struct pass *pass, WSK_DATAGRAM_INDICATION *datagram, const uint8_t *message,
                     struct epoch_guard *guard)
{
    const struct message_data_header *header = (const struct message_data_header *)message;
    enum drop_reason reason;
    struct group *group = pass_group(pass, load_le32(header->receiver_index), &reason, guard);
    if (!group) {
        refuse(pass, datagram, reason);
        return;
    }
    uint32_t sealed = (uint32_t)datagram->Buffer.Length - MESSAGE_DATA_HEADER_BYTES;
    pass->grouped = true;
    list_append(&group->datagrams, datagram);
    group->count++;
    if (sealed > group->largest)
        group->largest = sealed;
}

static void pass_add(struct pass *pass, WSK_DATAGRAM_INDICATION *datagram, struct epoch_guard *guard)
{
    uint8_t storage[MESSAGE_INITIATION_BYTES]; /* the longest handshake message; of data the header counts */
    uint32_t length = datagram->Buffer.Length <= UINT16_MAX ? (uint32_t)datagram->Buffer.Length : 0;
    uint32_t wanted = length < sizeof(storage) ? length : (uint32_t)sizeof(storage);
    if (!pass->adapter->up) {
        refuse(pass, datagram, DROP_RX_NOT_UP);
        return;
    }
    const uint8_t *message = length >= sizeof(uint32_t) ? datagram_start(datagram, wanted, storage) : NULL;
    enum message_type type = message ? message_classify(message, length) : MESSAGE_INVALID;
    if (type == MESSAGE_INVALID)
        refuse(pass, datagram, DROP_RX_MALFORMED);
    else if (type == MESSAGE_DATA)
        add_data(pass, datagram, message, guard);
    else
        add_handshake(pass, datagram, message);
}

NTSTATUS receive_datagrams(struct adapter *adapter, WSK_DATAGRAM_INDICATION *chain, struct udp_socket *socket)
{
    struct epoch_guard guard;
    struct pass pass;
    pass.adapter = adapter;
    pass.socket = socket;
    pass.now_ns = time_now_ns();
    pass.budget = pass.adapter->pass_bytes;
    pass.grouped = false;
    pass.done = (struct datagram_list){0};
    pass.group_count = 0;

    epoch_enter(&guard);
    while (chain) {
        WSK_DATAGRAM_INDICATION *next = chain->Next;
        pass_add(&pass, chain, &guard);
        chain = next;
    }
    pass_flush(&pass, &guard);

    /* When nothing was grouped, `done` is the chain as it came, and the socket may have it back by the status
     * alone. */
    if (!pass.grouped)
        return STATUS_SUCCESS;
    udp_release_datagrams(socket, pass.done.head);
    return STATUS_PENDING;
}
