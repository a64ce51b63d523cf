/* WSK sockets: creation, options, binding, closing.  Only datagram sockets: this host serves drivers that
 * speak UDP. */
#include "netio/netio.h"
#include "nt/io.h"
#include "wsk_internal.h"

#include <stdlib.h>
#include <string.h>

#define SO_EXCLUSIVEADDRUSE_LEVEL_VALUE (~4) /* SO_EXCLUSIVEADDRUSE */

static WSK_CONTROL_SOCKET wsk_control_socket;
static WSK_CLOSE_SOCKET wsk_close_socket;
static WSK_BIND wsk_bind;
static WSK_RECEIVE_FROM wsk_receive_from;
static WSK_GET_LOCAL_ADDRESS wsk_get_local_address;

static const WSK_PROVIDER_DATAGRAM_DISPATCH datagram_dispatch = {
    .WskControlSocket = wsk_control_socket,
    .WskCloseSocket = wsk_close_socket,
    .WskBind = wsk_bind,
    .WskSendTo = wsk_send_to,
    .WskReceiveFrom = wsk_receive_from,
    .WskRelease = wsk_release,
    .WskGetLocalAddress = wsk_get_local_address,
    .WskSendMessages = wsk_send_messages,
};

struct wsk_socket *wsk_socket_from(PWSK_SOCKET handle, const char *function)
{
    struct wsk_socket *socket = (struct wsk_socket *)handle;

    if (host_options.verify && !ledger_owned_by(HOST_SOCKET, socket, OWNER_DRIVER))
        verify_report(RULE_WSK_SOCKET_STATE, "%s: %p is not an open socket", function, (void *)handle);
    if (!socket || socket->magic != WSK_SOCKET_MAGIC || socket->closing) {
        if (host_options.verify)
            verify_report(RULE_WSK_SOCKET_STATE, "%s: socket %p is closed or closing", function,
                          (void *)handle);
        return NULL;
    }
    return socket;
}

/* ---- all open sockets ---- */

static struct spin all_lock; /* `all`, and against closing one that is about to be told that it is lost */
static struct wsk_socket *all;

static void all_remove(struct wsk_socket *socket)
{
    spin_lock(&all_lock);
    struct wsk_socket **link = &all;
    while (*link && *link != socket)
        link = &(*link)->next;
    if (*link)
        *link = socket->next;
    spin_unlock(&all_lock);
}

/* The next socket that is not lost yet, marked and kept open by `inside`, or NULL. */
static struct wsk_socket *all_take_lost(void)
{
    spin_lock(&all_lock);
    struct wsk_socket *socket = all;
    while (socket && (socket->lost || socket->closing || !socket->bound))
        socket = socket->next;
    if (socket) {
        socket->lost = true;
        socket->events = false;
        __atomic_add_fetch(&socket->inside, 1, __ATOMIC_ACQ_REL);
    }
    spin_unlock(&all_lock);
    return socket;
}

/* Only those that are open now: what the client opens meanwhile is not lost. */
static void lose_all(void *context)
{
    struct wsk_socket *lost[64];
    unsigned count = 0;
    (void)context;
    while (count < sizeof lost / sizeof lost[0] && (lost[count] = all_take_lost()) != NULL)
        count++;
    for (unsigned i = 0; i < count; i++) {
        wsk_indicate_lost(lost[i]);
        __atomic_sub_fetch(&lost[i]->inside, 1, __ATOMIC_ACQ_REL);
    }
}

void wsk_sockets_lost(void)
{
    loop_post(lose_all, NULL);
}

NTSTATUS NTAPI wsk_socket_create(PWSK_CLIENT Client, ADDRESS_FAMILY AddressFamily, USHORT SocketType,
                                 ULONG Protocol, ULONG Flags, PVOID SocketContext, const VOID *Dispatch,
                                 PEPROCESS OwningProcess, PETHREAD OwningThread,
                                 PSECURITY_DESCRIPTOR SecurityDescriptor, PIRP Irp)
{
    const WSK_CLIENT_DATAGRAM_DISPATCH *client_dispatch = Dispatch;
    struct wsk_client *client = Client;
    struct wsk_socket *socket;
    int error;

    wsk_irp_accept(Irp, "WskSocket");
    if (Flags != WSK_FLAG_DATAGRAM_SOCKET || SocketType != SOCK_DGRAM || Protocol != IPPROTO_UDP ||
        (AddressFamily != AF_INET && AddressFamily != AF_INET6))
        return wsk_irp_result(Irp, STATUS_NOT_SUPPORTED, 0);
    socket = calloc(1, sizeof *socket);
    if (!socket)
        return wsk_irp_result(Irp, STATUS_INSUFFICIENT_RESOURCES, 0);
    socket->public.Dispatch = &datagram_dispatch;
    socket->magic = WSK_SOCKET_MAGIC;
    socket->family = AddressFamily == AF_INET ? 4 : 6;
    socket->client = client;
    socket->context = SocketContext;
    socket->receive_from = client_dispatch ? client_dispatch->WskReceiveFromEvent : NULL;
    socket->static_events = client->static_events & WSK_EVENT_RECEIVE_FROM;
    socket->events = socket->static_events;
    socket->pending_tail = &socket->pending;
    error = udp_open(socket->family, true, wsk_received, socket, &socket->udp);
    if (error) {
        free(socket);
        return wsk_irp_result(Irp, wsk_status_of(error), 0);
    }
    socket->offloads = wsk_udp_offloads(socket->udp);
    spin_lock(&all_lock);
    socket->next = all;
    all = socket;
    spin_unlock(&all_lock);
    __atomic_add_fetch(&client->sockets, 1, __ATOMIC_RELAXED);
    host_count_add(HOST_SOCKET, 1);
    if (host_options.verify)
        ledger_add(HOST_SOCKET, socket, OWNER_DRIVER, "WSK socket");
    return wsk_irp_result(Irp, STATUS_SUCCESS, (ULONG_PTR)socket);
}

/* ---- options ---- */

static bool read_flag(SIZE_T size, const void *buffer, bool *value)
{
    uint32_t word = 0;

    if (!buffer || size == 0 || size > sizeof word)
        return size == sizeof(uint64_t) && buffer ? (*value = *(const uint64_t *)buffer != 0, true) : false;
    memcpy(&word, buffer, size);
    *value = word != 0;
    return true;
}

static NTSTATUS set_event_callback(struct wsk_socket *socket, SIZE_T size, const void *buffer)
{
    const WSK_EVENT_CALLBACK_CONTROL *control = buffer;

    if (!control || size < sizeof *control || !control->NpiId ||
        memcmp(control->NpiId, &NPI_WSK_INTERFACE_ID, sizeof NPI_WSK_INTERFACE_ID) != 0 ||
        (control->EventMask & ~(WSK_EVENT_DISABLE | WSK_EVENT_RECEIVE_FROM)))
        return STATUS_INVALID_PARAMETER;
    if (control->EventMask & WSK_EVENT_RECEIVE_FROM) {
        if (!socket->receive_from)
            return STATUS_INVALID_PARAMETER;
        socket->events = !(control->EventMask & WSK_EVENT_DISABLE);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS set_option(struct wsk_socket *socket, ULONG option, ULONG level, SIZE_T size,
                           const void *buffer)
{
    bool value;

    if (level == SOL_SOCKET && option == SO_WSK_EVENT_CALLBACK)
        return set_event_callback(socket, size, buffer);
    if (level == IPPROTO_UDP)
        return wsk_udp_set(socket, option, size, buffer);
    if (!read_flag(size, buffer, &value))
        return STATUS_INVALID_PARAMETER;
    if ((level == LEVEL_IP && option == IP_PKTINFO && socket->family == 4) ||
        (level == IPPROTO_IPV6 && option == IPV6_PKTINFO && socket->family == 6)) {
        socket->deliver_pktinfo = value;
        return STATUS_SUCCESS;
    }
    /* The edge's IPv6 sockets are always IPv6 only, the default on Windows as well. */
    if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY && socket->family == 6)
        return value ? STATUS_SUCCESS : STATUS_NOT_SUPPORTED;
    if (level == SOL_SOCKET && (int32_t)option == SO_EXCLUSIVEADDRUSE_LEVEL_VALUE)
        return value ? STATUS_SUCCESS : STATUS_NOT_SUPPORTED;
    return STATUS_NOT_SUPPORTED;
}

static NTSTATUS socket_ioctl(struct wsk_socket *socket, ULONG code, SIZE_T size, const void *buffer)
{
    struct udp_address address;

    if (code != SIO_WSK_SET_REMOTE_ADDRESS && code != SIO_WSK_SET_SENDTO_ADDRESS)
        return STATUS_NOT_SUPPORTED;
    if (size < (socket->family == 4 ? sizeof(SOCKADDR_IN) : sizeof(SOCKADDR_IN6)) ||
        !wsk_address_from(socket->family, buffer, &address))
        return STATUS_INVALID_PARAMETER;
    if (code == SIO_WSK_SET_REMOTE_ADDRESS) {
        socket->remote = address;
        socket->has_remote = true;
    } else {
        socket->sendto = address;
        socket->has_sendto = true;
    }
    return STATUS_SUCCESS;
}

/* SO_WSK_EVENT_CALLBACK is the one request without an IRP. */
static NTSTATUS NTAPI wsk_control_socket(PWSK_SOCKET Socket, WSK_CONTROL_SOCKET_TYPE RequestType,
                                         ULONG ControlCode, ULONG Level, SIZE_T InputSize, PVOID InputBuffer,
                                         SIZE_T OutputSize, PVOID OutputBuffer, SIZE_T *OutputSizeReturned,
                                         PIRP Irp)
{
    struct wsk_socket *socket = wsk_socket_from(Socket, "WskControlSocket");
    NTSTATUS status = STATUS_NOT_SUPPORTED;
    SIZE_T returned = 0;

    if (OutputSizeReturned)
        *OutputSizeReturned = 0;
    if (!socket)
        status = STATUS_FILE_CLOSED;
    else if (RequestType == WskSetOption)
        status = set_option(socket, ControlCode, Level, InputSize, InputBuffer);
    else if (RequestType == WskIoctl)
        status = socket_ioctl(socket, ControlCode, InputSize, InputBuffer);
    else if (RequestType != WskGetOption)
        status = STATUS_INVALID_PARAMETER;
    else if (Level == IPPROTO_UDP)
        status = wsk_udp_get(socket, ControlCode, OutputSize, OutputBuffer, &returned);
    if (!Irp) {
        if (OutputSizeReturned)
            *OutputSizeReturned = returned;
        return status;
    }
    wsk_irp_accept(Irp, "WskControlSocket");
    return wsk_irp_result(Irp, status, returned);
}

/* ---- binding ---- */

static NTSTATUS NTAPI wsk_bind(PWSK_SOCKET Socket, PSOCKADDR LocalAddress, ULONG Flags, PIRP Irp)
{
    struct wsk_socket *socket = wsk_socket_from(Socket, "WskBind");
    struct udp_address local;
    int error;

    wsk_irp_accept(Irp, "WskBind");
    if (!socket)
        return wsk_irp_result(Irp, STATUS_FILE_CLOSED, 0);
    if (!wsk_address_from(socket->family, LocalAddress, &local))
        return wsk_irp_result(Irp, STATUS_INVALID_PARAMETER, 0);
    if (socket->bound)
        return wsk_irp_result(Irp, STATUS_INVALID_DEVICE_STATE, 0);
    error = udp_bind(socket->udp, &local);
    if (error == 0)
        socket->bound = true;
    return wsk_irp_result(Irp, wsk_status_of(error), 0);
}

static NTSTATUS NTAPI wsk_get_local_address(PWSK_SOCKET Socket, PSOCKADDR LocalAddress, PIRP Irp)
{
    struct wsk_socket *socket = wsk_socket_from(Socket, "WskGetLocalAddress");
    struct udp_address local;
    int error;

    wsk_irp_accept(Irp, "WskGetLocalAddress");
    if (!socket)
        return wsk_irp_result(Irp, STATUS_FILE_CLOSED, 0);
    if (!socket->bound)
        return wsk_irp_result(Irp, STATUS_INVALID_DEVICE_STATE, 0);
    error = udp_local(socket->udp, &local);
    if (error == 0)
        wsk_address_to(&local, LocalAddress);
    return wsk_irp_result(Irp, wsk_status_of(error), 0);
}

static NTSTATUS NTAPI wsk_receive_from(PWSK_SOCKET Socket, PWSK_BUF Buffer, ULONG Flags,
                                       PSOCKADDR RemoteAddress, PULONG ControlLength, PCMSGHDR ControlInfo,
                                       PULONG ControlFlags, PIRP Irp)
{
    wsk_socket_from(Socket, "WskReceiveFrom");
    wsk_irp_accept(Irp, "WskReceiveFrom");
    return wsk_irp_result(Irp, STATUS_NOT_SUPPORTED, 0); /* data comes through WskReceiveFromEvent only */
}

/* ---- closing ---- */

#define GRAVES 64u

/* Verify mode keeps the memory of closed sockets for a while: a late user finds a socket that says it is
 * closed. */
static void bury(struct wsk_socket *socket)
{
    static struct wsk_socket *graves[GRAVES];
    static unsigned next;
    unsigned mine = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % GRAVES;

    socket->magic = 0;
    free(host_options.verify ? __atomic_exchange_n(&graves[mine], socket, __ATOMIC_ACQ_REL) : socket);
}

static void close_now(struct wsk_socket *socket)
{
    all_remove(socket);
    udp_close(socket->udp); /* waits for a callback that runs on the loop thread */
    wsk_send_cancel_all(socket);
    __atomic_sub_fetch(&socket->client->sockets, 1, __ATOMIC_RELAXED);
    host_count_add(HOST_SOCKET, -1);
    if (host_options.verify)
        ledger_remove(HOST_SOCKET, socket, OWNER_NDIS, RULE_WSK_SOCKET_STATE);
    bury(socket);
}

static void close_later(void *context)
{
    struct wsk_socket *socket = context;
    IRP *irp = socket->close_irp;

    if (__atomic_load_n(&socket->inside, __ATOMIC_ACQUIRE) > 0) {
        loop_post(close_later,
                  socket); /* a callback of it is below us on this stack, or a late send queued */
        return;
    }
    wsk_receive_check_closed(socket);
    close_now(socket);
    wsk_irp_complete_pended(irp, STATUS_SUCCESS, 0);
}

/* Completes when no callback runs and none will follow, and pending sends are completed (STATUS_CANCELLED).
 * Datagrams still retained do not hold it up; releasing them afterwards is the client's mistake. */
static NTSTATUS NTAPI wsk_close_socket(PWSK_SOCKET Socket, PIRP Irp)
{
    struct wsk_socket *socket = wsk_socket_from(Socket, "WskCloseSocket");
    bool late;

    wsk_irp_accept(Irp, "WskCloseSocket");
    if (!socket)
        return wsk_irp_result(Irp, STATUS_FILE_CLOSED, 0);
    wsk_receive_check_closed(socket);
    spin_lock(&all_lock); /* from here on it is not lost any more */
    late = sched_irql() >= SCHED_DISPATCH || ((loop_is_self() || socket->lost) && socket->inside > 0) ||
           (host_options.verify && (socket->inside > 0 || dice_chance(2)));
    socket->closing = true;
    spin_unlock(&all_lock);
    if (host_options.verify)
        ledger_move(HOST_SOCKET, socket, OWNER_DRIVER, OWNER_NDIS, RULE_WSK_SOCKET_STATE);
    if (late) {
        socket->close_irp = Irp;
        wsk_irp_pend(Irp);
        loop_post(close_later, socket);
        return STATUS_PENDING;
    }
    close_now(socket);
    return wsk_irp_result(Irp, STATUS_SUCCESS, 0);
}
