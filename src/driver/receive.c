/* The receive pass: one call of WskReceiveFromEvent.  Handshake messages are copied to their queue; data is
 * grouped by session, opened straight from the socket's buffers, here or on a worker, and handed to
 * receive_deliver.c in the peer's order.  A coalesced datagram goes where its messages go: whole, as long as
 * they are of one session and find room in one batch, else in parts that share it. */
#include "receive.h"
#include "datagram.h"
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
    struct datagram_reader reader; /* a datagram that is being taken; `left` 0: none */
    struct datagram_list datagrams;
    uint32_t count, largest; /* messages, in all; bytes that are sealed in one */
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

static const char unmarked[] = "do not say that they are";

static void batch_work(struct work *work)
{
    struct rx_batch *rx = CONTAINING_RECORD(work, struct rx_batch, batch.work);
    struct session_object *session = rx->batch.session;
    struct udp_socket *socket = rx->socket;
    if (work->item.overdue)
        rx_batch_refuse(rx, DROP_RX_QUEUE_LATE);
    else
        rx_batch_open(rx);
    if (rx->unmarked)
        udp_coalescing_refuse(socket, unmarked);
    udp_release_datagrams(socket, rx->datagrams);
    udp_release_datagrams(socket, datagram_unshare(rx->shared));
    rx->datagrams = NULL;
    rx->shared = NULL;
    udp_socket_unhold(socket);
    /* the delivery drops the batch's reference; the peer's order is in use until order_finish returns */
    bool held = session_reference(session);
    batch_finish(rx->batch.peer, &rx->batch);
    if (held)
        session_release(session);
}

/* Takes the next message of the reader. */
static void batch_add(struct rx_batch *rx, struct datagram_reader *reader, uint16_t origin)
{
    struct rx_packet *packet = &rx->packets[rx->batch.count++];
    uint8_t storage[MESSAGE_DATA_HEADER_BYTES];
    const struct message_data_header *header =
        (const struct message_data_header *)datagram_peek(reader, sizeof(storage), storage);
    packet->mdl = reader->mdl;
    packet->offset = reader->offset;
    packet->plaintext = datagram_next(reader) - MESSAGE_OVERHEAD_BYTES;
    packet->origin = origin;
    packet->alone = reader->each >= reader->datagram->Buffer.Length;
    /* The pass has read it before, so it can be read; a nonce that is never accepted costs nothing. */
    packet->nonce = header ? load_le64(header->counter) : UINT64_MAX;
    datagram_skip(reader);
}

/* What is left of the reader's datagram is given up. */
static void reader_refuse(struct pass *pass, struct datagram_reader *reader, enum drop_reason reason)
{
    WSK_DATAGRAM_INDICATION *datagram = reader->shared ? datagram_unshare(reader->shared) : reader->datagram;
    if (datagram)
        list_append(&pass->done, datagram);
    drop_count(pass->adapter, reason, datagram_messages(reader));
    reader->left = 0;
}

/* Takes as many messages of the group as the batch has slots for; their bytes.  A datagram begins a batch of
 * its own rather than be parted. */
static uint32_t batch_fill(struct pass *pass, struct rx_batch *rx, struct group *group)
{
    struct datagram_reader *reader = &group->reader;
    struct datagram_list list = {0};
    uint32_t bytes = 0;
    while (group->count > 0) {
        if (reader->left == 0) {
            WSK_DATAGRAM_INDICATION *datagram = group->datagrams.head;
            group->datagrams.head = datagram->Next;
            datagram_begin(reader, datagram, udp_message_bytes(pass->socket, datagram));
        }
        uint32_t messages = datagram_messages(reader), room = rx->slots - rx->batch.count;
        /* what came as one coalesced run can be indicated as one */
        bool fits = messages <= room && (bytes == 0 || bytes + reader->left <= BATCH_PLAINTEXT_BYTES);
        if (rx->batch.count > 0 && !fits)
            break;
        group->count -= fits ? messages : room;
        if (!fits && !reader->shared && !datagram_share(reader)) {
            group->count -= messages - room;
            reader_refuse(pass, reader, DROP_RX_MEMORY);
            continue;
        }
        uint16_t origin = rx_batch_origin(rx, reader->datagram);
        bytes += reader->left;
        for (uint32_t i = fits ? messages : room; i > 0; i--)
            batch_add(rx, reader, origin);
        bytes -= reader->left;
        if (!reader->shared) {
            list_append(&list, reader->datagram);
        } else {
            rx->shared = reader->shared; /* the reader's part becomes the batch's with its last message */
            if (reader->left)
                __atomic_add_fetch(&reader->shared->users, 1, __ATOMIC_RELAXED);
        }
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
    if (rx->unmarked)
        udp_coalescing_refuse(pass->socket, unmarked);
    WSK_DATAGRAM_INDICATION *last = datagram_unshare(rx->shared);
    rx->shared = NULL;
    if (last)
        list_append(&pass->done, last);
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
    if (group->reader.left) {
        group->count -= datagram_messages(&group->reader);
        reader_refuse(pass, &group->reader, reason);
    }
    if (group->count > 0)
        drop_count(pass->adapter, reason, group->count);
    for (WSK_DATAGRAM_INDICATION *next, *datagram = group->datagrams.head; datagram; datagram = next) {
        next = datagram->Next;
        list_append(&pass->done, datagram);
    }
    group->count = 0;
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
        uint32_t bytes = batch_fill(pass, rx, group);
        batch_run(pass, rx, bytes);
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

/* The session of a receiver index, referenced; NULL: what is for it is refused for `*reason`. */
static struct session_object *pass_session(struct pass *pass, uint32_t index, enum drop_reason *reason)
{
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
    return session;
}

/* The group of a receiver index; NULL as above. */
static struct group *pass_group(struct pass *pass, uint32_t index, enum drop_reason *reason,
                                struct epoch_guard *guard)
{
    for (uint32_t i = pass->group_count; i-- > 0;)
        if (pass->groups[i].index == index)
            return &pass->groups[i];
    struct session_object *session = pass_session(pass, index, reason);
    if (!session)
        return NULL;
    if (pass->group_count == PASS_GROUPS) {
        pass_flush(pass, guard);
        epoch_enter(guard);
    }
    struct group *group = &pass->groups[pass->group_count++];
    *group = (struct group){.session = session, .index = index};
    return group;
}

/* A datagram that has `messages` data messages of one session, and nothing else. */
static void add_data(struct pass *pass, WSK_DATAGRAM_INDICATION *datagram, uint32_t index, uint32_t messages,
                     uint32_t each, struct epoch_guard *guard)
{
    enum drop_reason reason;
    struct group *group = pass_group(pass, index, &reason, guard);
    if (!group) {
        list_append(&pass->done, datagram);
        drop_count(pass->adapter, reason, messages);
        return;
    }
    uint32_t sealed = each - MESSAGE_DATA_HEADER_BYTES;
    pass->grouped = true;
    list_append(&group->datagrams, datagram);
    group->count += messages;
    if (sealed > group->largest)
        group->largest = sealed;
}

/* What the reader's next message is, and of data the receiver index. */
static enum message_type read_type(const struct datagram_reader *reader, uint32_t *index)
{
    uint8_t storage[2 * sizeof(uint32_t)];
    uint32_t length = datagram_next(reader);
    const uint8_t *start = length >= sizeof(storage) ? datagram_peek(reader, sizeof(storage), storage) : NULL;
    enum message_type type = start ? message_classify(start, length) : MESSAGE_INVALID;
    if (type == MESSAGE_DATA)
        *index = load_le32(start + sizeof(uint32_t));
    return type;
}

static void add_handshake(struct pass *pass, const struct datagram_reader *reader,
                          const struct rx_origin *origin)
{
    uint8_t storage[MESSAGE_INITIATION_BYTES]; /* the longest one */
    const uint8_t *message = datagram_peek(reader, datagram_next(reader), storage);
    if (message)
        handshake_receive(pass->adapter, message, datagram_next(reader), &origin->remote, &origin->local,
                          origin->ifindex);
    else
        drop_count(pass->adapter, DROP_RX_MALFORMED, 1);
}

/* The data messages of one session that come next in a datagram of various ones. */
static void mixed_data(struct pass *pass, struct datagram_reader *reader, uint32_t index)
{
    struct datagram_reader ahead = *reader;
    struct group group = {
        .index = index, .reader = *reader, .largest = reader->each - MESSAGE_DATA_HEADER_BYTES};
    struct epoch_guard guard;
    enum drop_reason reason = DROP_RX_MEMORY;
    uint32_t next = index;
    while (ahead.left && read_type(&ahead, &next) == MESSAGE_DATA && next == index) {
        datagram_skip(&ahead);
        group.count++;
    }
    group.reader.left -= ahead.left; /* it ends where the others go on */
    *reader = ahead;
    epoch_enter(&guard);
    group.session = pass_session(pass, index, &reason);
    epoch_leave(&guard);
    if (!group.session) {
        drop_count(pass->adapter, reason, group.count);
        return;
    }
    __atomic_add_fetch(&reader->shared->users, 1, __ATOMIC_RELAXED);
    group_open(pass, &group);
}

/* A datagram with messages of other kinds or of several sessions: one after the other, behind what came
 * before. */
static void add_mixed(struct pass *pass, struct datagram_reader *reader, struct epoch_guard *guard)
{
    struct rx_origin origin;
    pass_flush(pass, guard);
    pass->grouped = true;
    if (!datagram_share(reader)) {
        reader_refuse(pass, reader, DROP_RX_MEMORY);
    } else {
        udp_origin_of_datagram(reader->datagram, &origin);
        while (reader->left) {
            uint32_t index;
            enum message_type type = read_type(reader, &index);
            if (type == MESSAGE_DATA) {
                mixed_data(pass, reader, index);
                continue;
            }
            if (type == MESSAGE_INVALID)
                drop_count(pass->adapter, DROP_RX_MALFORMED, 1);
            else
                add_handshake(pass, reader, &origin);
            datagram_skip(reader);
        }
        WSK_DATAGRAM_INDICATION *datagram = datagram_unshare(reader->shared);
        if (datagram)
            list_append(&pass->done, datagram);
    }
    epoch_enter(guard);
}

/* Are the messages behind the reader's first one all of the same kind and session? */
static bool is_uniform(struct datagram_reader reader, uint32_t index)
{
    uint32_t other = index;
    for (datagram_skip(&reader); reader.left; datagram_skip(&reader))
        if (read_type(&reader, &other) != MESSAGE_DATA || other != index)
            return false;
    return true;
}

static void pass_add(struct pass *pass, WSK_DATAGRAM_INDICATION *datagram, struct epoch_guard *guard)
{
    struct datagram_reader reader;
    uint32_t index = 0;
    if (!pass->adapter->up) {
        refuse(pass, datagram, DROP_RX_NOT_UP);
        return;
    }
    uint32_t each = datagram->Buffer.Length <= UINT16_MAX ? udp_message_bytes(pass->socket, datagram) : 0;
    if (each == 0) {
        refuse(pass, datagram, DROP_RX_MALFORMED);
        if (datagram->Buffer.Length != 0)
            udp_coalescing_refuse(pass->socket, "have a size that cannot be");
        return;
    }
    datagram_begin(&reader, datagram, each);
    enum message_type type = read_type(&reader, &index);
    if (type == MESSAGE_DATA && is_uniform(reader, index)) {
        add_data(pass, datagram, index, datagram_messages(&reader), each, guard);
    } else if (each < reader.left) {
        add_mixed(pass, &reader, guard);
    } else if (type == MESSAGE_INVALID) {
        refuse(pass, datagram, DROP_RX_MALFORMED);
    } else {
        struct rx_origin origin;
        udp_origin_of_datagram(datagram, &origin);
        add_handshake(pass, &reader, &origin);
        list_append(&pass->done, datagram);
    }
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
