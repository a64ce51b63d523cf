/* A pair of sockets: made, bound to one port, published; unpublished and closed.  Requests are synchronous
 * and at PASSIVE_LEVEL; what happens per packet is in udp_send.c and receive.c. */
#include "udp_socket.h"
#include "adapter.h"
#include "driver.h"
#include "epoch.h"
#include "memory.h"
#include "receive.h"
#include "udp_socket_private.h"
#include "wsk.h"

/* IPv6 must get the port that IPv4 was given; how often another one is tried when it is taken. */
#define PORT_RETRIES 100
/* Pauses between attempts to open lost sockets again. */
#define RECOVERY_FIRST_NS 200000000ull
#define RECOVERY_MAX_NS   30000000000ull

static NTSTATUS NTAPI receive_from_event(PVOID context, ULONG flags, PWSK_DATAGRAM_INDICATION chain)
{
    struct udp_socket *socket = context;
    (void)flags;
    if (!chain) { /* the socket is of no use any more (Microsoft: "PFN_WSK_RECEIVE_FROM_EVENT") */
        socket->dead = true;
        work_queue(WORK_CONTROL, &socket->adapter->socket_recovery.work);
        return STATUS_SUCCESS;
    }
    /* WskCloseSocket must not be called while we have datagrams in our hands: it waits for this as well. */
    if (!udp_socket_hold(socket)) {
        uint32_t count = 0;
        for (; chain; chain = chain->Next)
            count++;
        drop_count(socket->adapter, DROP_RX_NOT_UP, count);
        return STATUS_SUCCESS;
    }
    NTSTATUS status = receive_datagrams(socket->adapter, chain, socket);
    udp_socket_unhold(socket);
    return status;
}

static const WSK_CLIENT_DATAGRAM_DISPATCH socket_dispatch = {.WskReceiveFromEvent = receive_from_event};

/* ---- requests ---- */

NTSTATUS udp_socket_set(struct udp_socket *socket, ULONG level, ULONG option, ULONG value)
{
    IRP *irp = wsk_request_begin(&socket->request);
    NTSTATUS status = socket->dispatch->WskControlSocket(socket->wsk, WskSetOption, option, level,
                                                         sizeof(value), &value, 0, NULL, NULL, irp);
    return wsk_request_end(&socket->request, status, NULL);
}

NTSTATUS udp_socket_get(struct udp_socket *socket, ULONG level, ULONG option, ULONG *value)
{
    ULONG_PTR information = 0;
    IRP *irp = wsk_request_begin(&socket->request);
    NTSTATUS status = socket->dispatch->WskControlSocket(socket->wsk, WskGetOption, option, level, 0, NULL,
                                                         sizeof(*value), value, NULL, irp);
    status = wsk_request_end(&socket->request, status, &information);
    return NT_SUCCESS(status) && information != sizeof(*value) ? STATUS_UNSUCCESSFUL : status;
}

static NTSTATUS set_options(struct udp_socket *socket)
{
    if (socket->family == AF_INET)
        return udp_socket_set(socket, IPPROTO_IP_LEVEL, IP_PKTINFO, TRUE);
    NTSTATUS status = udp_socket_set(socket, IPPROTO_IPV6, IPV6_V6ONLY, TRUE);
    return NT_SUCCESS(status) ? udp_socket_set(socket, IPPROTO_IPV6, IPV6_PKTINFO, TRUE) : status;
}

static NTSTATUS bind_any(struct udp_socket *socket, uint16_t port)
{
    SOCKADDR_INET any = {0};
    any.si_family = socket->family;
    any.Ipv4.sin_port = __builtin_bswap16(port); /* at the same place in both families */
    IRP *irp = wsk_request_begin(&socket->request);
    NTSTATUS status = socket->dispatch->WskBind(socket->wsk, (PSOCKADDR)&any, 0, irp);
    return wsk_request_end(&socket->request, status, NULL);
}
_Static_assert(offsetof(SOCKADDR_IN, sin_port) == offsetof(SOCKADDR_IN6, sin6_port), "bind_any");

static NTSTATUS local_port(struct udp_socket *socket, uint16_t *port)
{
    SOCKADDR_INET local = {0};
    IRP *irp = wsk_request_begin(&socket->request);
    NTSTATUS status = socket->dispatch->WskGetLocalAddress(socket->wsk, (PSOCKADDR)&local, irp);
    status = wsk_request_end(&socket->request, status, NULL);
    if (NT_SUCCESS(status))
        *port = __builtin_bswap16(local.Ipv4.sin_port);
    return status;
}

static void close_wsk(struct udp_socket *socket)
{
    if (!socket->wsk)
        return;
    IRP *irp = wsk_request_begin(&socket->request);
    NTSTATUS status = socket->dispatch->WskCloseSocket(socket->wsk, irp);
    wsk_request_end(&socket->request, status, NULL);
    socket->wsk = NULL;
}

/* ---- one socket ---- */

/* Not published (any more).  A socket receives from the moment it is bound, also one that is given up before
 * it was published: its kept datagrams and the sends in progress come to an end first, WskCloseSocket demands
 * that no call to the socket is under way. */
static void socket_free(struct udp_socket *socket)
{
    if (!socket)
        return;
    ExWaitForRundownProtectionRelease(&socket->rundown);
    close_wsk(socket);
    wsk_request_uninitialize(&socket->request);
    memory_free(MEMORY_SOCKET, socket, sizeof(*socket));
}

/* Makes and binds a socket; `*port` 0 becomes the port that the system chose. */
static NTSTATUS socket_create(struct adapter *adapter, ADDRESS_FAMILY family, uint16_t *port,
                              struct udp_socket **created)
{
    const WSK_PROVIDER_NPI *provider = wsk_provider();
    ULONG_PTR information = 0;
    struct udp_socket *socket = memory_allocate(MEMORY_SOCKET, sizeof(*socket));
    if (!socket)
        return STATUS_INSUFFICIENT_RESOURCES;
    socket->adapter = adapter;
    socket->family = family;
    ExInitializeRundownProtection(&socket->rundown);
    if (!wsk_request_initialize(&socket->request)) {
        memory_free(MEMORY_SOCKET, socket, sizeof(*socket));
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    IRP *irp = wsk_request_begin(&socket->request);
    NTSTATUS status = provider->Dispatch->WskSocket(provider->Client, family, SOCK_DGRAM, IPPROTO_UDP,
                                                    WSK_FLAG_DATAGRAM_SOCKET, socket, &socket_dispatch,
                                                    adapter->socket_owner, NULL, NULL, irp);
    status = wsk_request_end(&socket->request, status, &information);
    if (NT_SUCCESS(status)) {
        socket->wsk = (PWSK_SOCKET)information;
        socket->dispatch = socket->wsk->Dispatch;
        status = set_options(socket);
    }
    if (NT_SUCCESS(status))
        udp_offload_detect(socket);
    if (NT_SUCCESS(status))
        status = bind_any(socket, *port);
    if (NT_SUCCESS(status) && *port == 0)
        status = local_port(socket, port);
    if (!NT_SUCCESS(status)) {
        socket_free(socket);
        return status;
    }
    *created = socket;
    return STATUS_SUCCESS;
}

static bool is_port_conflict(NTSTATUS status)
{
    return status == STATUS_ADDRESS_ALREADY_EXISTS || status == STATUS_SHARING_VIOLATION ||
           status == STATUS_ADDRESS_ALREADY_ASSOCIATED;
}

/* Both families on one port. */
static NTSTATUS pair_create(struct adapter *adapter, uint16_t wanted, uint16_t *port,
                            struct udp_socket **socket4, struct udp_socket **socket6)
{
    bool has4 = wsk_has_family(AF_INET), has6 = wsk_has_family(AF_INET6);
    NTSTATUS status = has4 || has6 ? STATUS_SUCCESS : STATUS_NOT_SUPPORTED;
    for (int attempt = 0; NT_SUCCESS(status); attempt++) {
        *socket4 = *socket6 = NULL;
        *port = wanted; /* the port of the last attempt is no part of this one */
        if (has4)
            status = socket_create(adapter, AF_INET, port, socket4);
        if (NT_SUCCESS(status) && has6)
            status = socket_create(adapter, AF_INET6, port, socket6);
        if (NT_SUCCESS(status))
            return STATUS_SUCCESS;
        bool again = is_port_conflict(status) && wanted == 0 && *socket4 && attempt < PORT_RETRIES;
        socket_free(*socket4);
        *socket4 = NULL;
        if (again)
            status = STATUS_SUCCESS;
    }
    return is_port_conflict(status) ? STATUS_ADDRESS_ALREADY_EXISTS : status;
}

/* ---- publication ---- */

/* Puts the pair in the place of the present one, which is then closed: nobody finds it any more, its senders
 * and kept datagrams come to an end, and WskCloseSocket completes when no callback runs. */
static void publish(struct adapter *adapter, struct udp_socket *socket4, struct udp_socket *socket6)
{
    struct udp_socket *old[2] = {
        __atomic_exchange_n(&adapter->socket4, socket4, __ATOMIC_ACQ_REL),
        __atomic_exchange_n(&adapter->socket6, socket6, __ATOMIC_ACQ_REL),
    };
    if (!old[0] && !old[1])
        return;
    epoch_synchronize();
    for (int i = 0; i < 2; i++)
        socket_free(old[i]);
}

NTSTATUS udp_sockets_open(struct adapter *adapter, uint16_t port, uint16_t *bound_port)
{
    struct udp_socket *socket4 = NULL, *socket6 = NULL;
    NTSTATUS status = wsk_ensure_registered();
    if (!NT_SUCCESS(status))
        return status;
    status = pair_create(adapter, port, bound_port, &socket4, &socket6);
    if (NT_SUCCESS(status))
        publish(adapter, socket4, socket6);
    return status;
}

void udp_sockets_close(struct adapter *adapter)
{
    publish(adapter, NULL, NULL);
}

/* ---- recovery: the network stack was restarted, or a protocol was rebound below us ---- */

/* config_lock held. */
static bool sockets_are_lost(const struct adapter *adapter)
{
    const struct udp_socket *socket4 = adapter->socket4, *socket6 = adapter->socket6;
    return (!socket4 && !socket6) || (socket4 && socket4->dead) || (socket6 && socket6->dead);
}

static void recovery_run(struct work *work)
{
    struct adapter *adapter = CONTAINING_RECORD(work, struct adapter, socket_recovery.work);
    struct socket_recovery *recovery = &adapter->socket_recovery;
    uint16_t port;
    KeWaitForSingleObject(&adapter->config_lock, Executive, KernelMode, FALSE, NULL);
    udp_offload_take_back(adapter->socket4);
    udp_offload_take_back(adapter->socket6);
    if (adapter->up && sockets_are_lost(adapter)) {
        udp_sockets_close(adapter); /* first: the port is theirs as long as they exist */
        NTSTATUS status = udp_sockets_open(adapter, adapter->listen_port, &port);
        if (NT_SUCCESS(status)) {
            recovery->attempts = 0;
            log_line(adapter, LOG_WARNING, "The system closed the sockets; opened again on port %u",
                     (uint32_t)port);
        } else {
            if (recovery->attempts == 0)
                log_line(adapter, LOG_ERROR,
                         "The system closed the sockets; port %u cannot be opened (status %x), trying again",
                         (uint32_t)adapter->listen_port, (uint32_t)status);
            uint64_t pause_ns = RECOVERY_FIRST_NS << (recovery->attempts < 8 ? recovery->attempts : 8);
            recovery->attempts++;
            wheel_set(adapter, &recovery->retry,
                      time_now_ns() + (pause_ns < RECOVERY_MAX_NS ? pause_ns : RECOVERY_MAX_NS));
        }
    }
    KeReleaseMutex(&adapter->config_lock, FALSE);
}

static void recovery_due(struct wheel_entry *entry)
{
    work_queue(WORK_CONTROL, &CONTAINING_RECORD(entry, struct socket_recovery, retry)->work);
}

void udp_sockets_initialize(struct adapter *adapter)
{
    work_initialize(&adapter->socket_recovery.work, recovery_run);
    wheel_entry_initialize(&adapter->socket_recovery.retry, recovery_due);
}

void udp_sockets_uninitialize(struct adapter *adapter)
{
    work_drain(&adapter->socket_recovery.work);
}

bool udp_socket_hold(struct udp_socket *socket)
{
    return ExAcquireRundownProtection(&socket->rundown);
}

void udp_socket_unhold(struct udp_socket *socket)
{
    ExReleaseRundownProtection(&socket->rundown);
}

void udp_release_datagrams(struct udp_socket *socket, WSK_DATAGRAM_INDICATION *chain)
{
    if (chain)
        socket->dispatch->WskRelease(socket->wsk, chain);
}
