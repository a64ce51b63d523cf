/* Sending on the sockets, and the control data of both directions. */
#include "adapter.h"
#include "driver.h"
#include "epoch.h"
#include "protocol/messages.h"
#include "udp_socket_private.h"

/* Windows strips a PKTINFO that stands alone; a second, empty header (options of length 0) behind it makes it
 * count. All lengths include the padding of each header. */
union send_control {
    CMSGHDR header;
    uint8_t v4[WSA_CMSG_SPACE(sizeof(IN_PKTINFO)) + WSA_CMSG_SPACE(0)];
    uint8_t v6[WSA_CMSG_SPACE(sizeof(IN6_PKTINFO)) + WSA_CMSG_SPACE(0)];
    uint8_t all[WSA_CMSG_SPACE(sizeof(IN6_PKTINFO)) + WSA_CMSG_SPACE(0) + WSA_CMSG_SPACE(sizeof(ULONG))];
};

/* Returns the length; 0: no source is known, the system chooses. */
static ULONG make_source_control(union send_control *control, const struct endpoint *endpoint)
{
    CMSGHDR *first = &control->header;
    if (endpoint->local_ifindex == 0)
        return 0;
    __builtin_memset(control, 0, sizeof(*control));
    if (endpoint->remote.si_family == AF_INET) {
        IN_PKTINFO info = {endpoint->local.Ipv4.sin_addr, endpoint->local_ifindex};
        first->cmsg_len = WSA_CMSG_LEN(sizeof(info));
        first->cmsg_level = IPPROTO_IP_LEVEL;
        first->cmsg_type = IP_PKTINFO;
        __builtin_memcpy(WSA_CMSG_DATA(first), &info, sizeof(info));
        CMSGHDR *second = (CMSGHDR *)(control->v4 + WSA_CMSG_SPACE(sizeof(info)));
        second->cmsg_len = WSA_CMSG_LEN(0);
        second->cmsg_level = IPPROTO_IP_LEVEL;
        second->cmsg_type = IP_OPTIONS;
        return sizeof(control->v4);
    }
    IN6_PKTINFO info = {endpoint->local.Ipv6.sin6_addr, endpoint->local_ifindex};
    first->cmsg_len = WSA_CMSG_LEN(sizeof(info));
    first->cmsg_level = IPPROTO_IPV6;
    first->cmsg_type = IPV6_PKTINFO;
    __builtin_memcpy(WSA_CMSG_DATA(first), &info, sizeof(info));
    CMSGHDR *second = (CMSGHDR *)(control->v6 + WSA_CMSG_SPACE(sizeof(info)));
    second->cmsg_len = WSA_CMSG_LEN(0);
    second->cmsg_level = IPPROTO_IPV6;
    second->cmsg_type = IPV6_RTHDR;
    return sizeof(control->v6);
}

/* The same with UDP_SEND_MSG_SIZE (Microsoft: "IPPROTO_UDP socket options") unless `segment` is 0. */
static ULONG make_control(union send_control *control, const struct endpoint *endpoint, ULONG segment)
{
    ULONG length = make_source_control(control, endpoint);
    if (segment == 0)
        return length;
    CMSGHDR *header = (CMSGHDR *)(control->all + length);
    __builtin_memset(header, 0, WSA_CMSG_SPACE(sizeof(segment)));
    header->cmsg_len = WSA_CMSG_LEN(sizeof(segment));
    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = UDP_SEND_MSG_SIZE;
    __builtin_memcpy(WSA_CMSG_DATA(header), &segment, sizeof(segment));
    return length + (ULONG)WSA_CMSG_SPACE(sizeof(segment));
}

/* The adapter's socket of a family, held, or NULL. */
static struct udp_socket *socket_acquire(struct adapter *adapter, ADDRESS_FAMILY family)
{
    struct epoch_guard guard;
    struct udp_socket *socket = NULL;
    epoch_enter(&guard);
    if (family == AF_INET)
        socket = __atomic_load_n(&adapter->socket4, __ATOMIC_ACQUIRE);
    else if (family == AF_INET6)
        socket = __atomic_load_n(&adapter->socket6, __ATOMIC_ACQUIRE);
    if (socket && !udp_socket_hold(socket))
        socket = NULL;
    epoch_leave(&guard);
    return socket;
}

/* Could it be that the segments were refused, not the messages? */
static bool is_refusal(NTSTATUS status)
{
    switch (status) {
    case STATUS_CANCELLED: /* by closing the socket */
    case STATUS_FILE_CLOSED:
    case STATUS_CONNECTION_ABORTED:
    case STATUS_NETWORK_UNREACHABLE:
    case STATUS_HOST_UNREACHABLE:
    case STATUS_PROTOCOL_UNREACHABLE:
    case STATUS_PORT_UNREACHABLE:
    case STATUS_INSUFFICIENT_RESOURCES:
        return false;
    default:
        return !NT_SUCCESS(status);
    }
}

/* The messages went out one by one after they had been refused as segments. */
static void note_refusal(struct tx_batch *tx)
{
    struct udp_socket *socket = socket_acquire(tx->batch.adapter, tx->endpoint.remote.si_family);
    if (!socket)
        return;
    if (socket == tx->socket)
        udp_offload_refused(socket, &tx->endpoint.remote, tx->refused, tx->refusal);
    udp_socket_unhold(socket);
}

/* The socket has taken the messages, or refused them. */
static void sent(struct tx_batch *tx, NTSTATUS status)
{
    struct adapter *adapter = tx->batch.adapter;
    if (!NT_SUCCESS(status)) {
        drop_count(adapter, DROP_TX_SOCKET, tx->sealed);
        if (status != STATUS_CANCELLED) /* by closing the socket */
            log_line_limited(adapter, LOG_ERROR, "Failed to send %u messages: status %x", tx->sealed,
                             (uint32_t)status);
    } else if (tx->refused) {
        note_refusal(tx);
    }
    __atomic_sub_fetch(&adapter->tx_outstanding_bytes, tx->used, __ATOMIC_RELAXED);
    tx_batch_retire(tx);
}

static void submit(struct tx_batch *tx, struct udp_socket *socket, uint32_t segment);

/* The IRP belongs to the batch: the I/O manager must not touch it after this. */
static NTSTATUS NTAPI send_completed(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    struct tx_batch *tx = context;
    NTSTATUS status = irp->IoStatus.Status;
    struct udp_socket *socket = NULL;
    (void)device;
    if (tx->segment && is_refusal(status))
        socket = socket_acquire(tx->batch.adapter, tx->endpoint.remote.si_family);
    if (!socket) {
        sent(tx, status);
        return STATUS_MORE_PROCESSING_REQUIRED;
    }
    /* What had been sent before the refusal is sent twice, which a receiver does not mind. */
    tx->refused = tx->segment;
    tx->refusal = status;
    submit(tx, socket, 0);
    udp_socket_unhold(socket);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* `socket` is held.  WSK copies address and control data before it returns, and completes the IRP in every
 * case: whatever it returns, the batch is no longer ours. */
static void submit(struct tx_batch *tx, struct udp_socket *socket, uint32_t segment)
{
    union send_control control;
    SOCKADDR_INET remote = tx->endpoint.remote;
    bool merged;
    WSK_BUF_LIST *list = tx_batch_link(tx, segment, &merged);
    tx->segment = merged ? segment : 0;
    ULONG control_length = make_control(&control, &tx->endpoint, tx->segment);
    IoReuseIrp(tx->irp, STATUS_UNSUCCESSFUL);
    IoSetCompletionRoutine(tx->irp, send_completed, tx, TRUE, TRUE, TRUE);
    socket->dispatch->WskSendMessages(socket->wsk, list, 0, (PSOCKADDR)&remote, control_length,
                                      control_length ? &control.header : NULL, tx->irp);
}

void udp_send_batch(struct tx_batch *tx, const struct endpoint *endpoint)
{
    struct adapter *adapter = tx->batch.adapter;
    struct udp_socket *socket = socket_acquire(adapter, endpoint->remote.si_family);
    if (!socket) {
        drop_count(adapter, DROP_TX_SOCKET, tx->sealed);
        tx_batch_retire(tx);
        return;
    }
    tx->endpoint = *endpoint;
    tx->socket = socket;
    __atomic_add_fetch(&adapter->tx_outstanding_bytes, tx->used, __ATOMIC_RELAXED);
    submit(tx, socket, tx->sealed > 1 ? udp_offload_segment(socket, &tx->endpoint.remote, tx->largest) : 0);
    /* The hold is the call's: a socket must not be closed while a call to it is in progress (Microsoft:
     * "WskCloseSocket").  Sends that are still pending then do not hold it up, the close cancels them. */
    udp_socket_unhold(socket);
}

NTSTATUS udp_send_message(struct adapter *adapter, const struct endpoint *endpoint, const void *message,
                          uint32_t bytes)
{
    if (endpoint->remote.si_family == AF_UNSPEC)
        return STATUS_INVALID_ADDRESS;
    int32_t limit =
        bytes == MESSAGE_COOKIE_REPLY_BYTES ? COOKIE_REPLIES_OUTSTANDING_MAX : MESSAGES_OUTSTANDING_MAX;
    bool room = __atomic_add_fetch(&adapter->messages_outstanding, 1, __ATOMIC_RELAXED) <= limit;
    struct tx_batch *tx = room ? tx_batch_allocate(adapter, 1, bytes) : NULL;
    if (!tx) {
        __atomic_sub_fetch(&adapter->messages_outstanding, 1, __ATOMIC_RELAXED);
        drop_count(adapter, room ? DROP_TX_MEMORY : DROP_TX_QUEUE_FULL, 1);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    tx->message = true;
    __builtin_memcpy(tx->buffer, message, bytes);
    tx->batch.count = 1;
    tx->used = bytes;
    tx->packets[0].offset = 0;
    tx->packets[0].sealed = bytes;
    tx->sealed = 1;
    udp_send_batch(tx, endpoint);
    return STATUS_SUCCESS;
}

/* ---- control data of received datagrams ---- */

static void copy_remote(const SOCKADDR *from, SOCKADDR_INET *to)
{
    if (from && from->sa_family == AF_INET) {
        to->Ipv4 = *(const SOCKADDR_IN *)from;
        __builtin_memset(to->Ipv4.sin_zero, 0, sizeof(to->Ipv4.sin_zero));
    } else if (from && from->sa_family == AF_INET6) {
        to->Ipv6 = *(const SOCKADDR_IN6 *)from;
    }
}

void udp_origin_of_datagram(const WSK_DATAGRAM_INDICATION *datagram, struct rx_origin *origin)
{
    __builtin_memset(origin, 0, sizeof(*origin));
    copy_remote(datagram->RemoteAddress, &origin->remote);
    void *control = datagram->ControlInfo;
    SIZE_T length = datagram->ControlInfoLength;
    if (!control)
        return;
    for (CMSGHDR *header = WSA_CMSG_FIRSTHDR(control, length); header;
         header = WSA_CMSG_NXTHDR(control, length, header)) {
        SIZE_T room = length - (SIZE_T)((uint8_t *)header - (uint8_t *)control);
        if (header->cmsg_len > room)
            return;
        if (header->cmsg_level == IPPROTO_IP_LEVEL && header->cmsg_type == IP_PKTINFO &&
            header->cmsg_len >= WSA_CMSG_LEN(sizeof(IN_PKTINFO))) {
            IN_PKTINFO info;
            __builtin_memcpy(&info, WSA_CMSG_DATA(header), sizeof(info));
            origin->local.si_family = AF_INET;
            origin->local.Ipv4.sin_addr = info.ipi_addr;
            origin->ifindex = info.ipi_ifindex;
            return;
        }
        if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO &&
            header->cmsg_len >= WSA_CMSG_LEN(sizeof(IN6_PKTINFO))) {
            IN6_PKTINFO info;
            __builtin_memcpy(&info, WSA_CMSG_DATA(header), sizeof(info));
            origin->local.si_family = AF_INET6;
            origin->local.Ipv6.sin6_addr = info.ipi6_addr;
            origin->ifindex = info.ipi6_ifindex;
            return;
        }
    }
}
