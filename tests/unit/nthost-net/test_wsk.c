/* Winsock Kernel as a driver uses it: register, socket, options, bind, chains of messages both ways, retained
 * datagrams, closing; and each rule of verify mode that is broken on purpose. */
#include "check.h"
#include "host.h"
#include "linux_side.h"
#include "nt/io.h"
#include "nt/ke.h"
#include "nt/wsk.h"
#include "sched/sched.h"
#include "test_network.h"

#include <stdlib.h>

#define IN_MAX 512u

static WSK_REGISTRATION registration;
static WSK_PROVIDER_NPI npi;

/* ---- requests ---- */

struct request {
    IRP *irp;
    KEVENT done;
    NTSTATUS status;
    ULONG_PTR information;
};

static NTSTATUS NTAPI request_done(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    struct request *request = context;

    request->status = irp->IoStatus.Status;
    request->information = irp->IoStatus.Information;
    IoFreeIrp(irp); /* the provider may not touch it any more */
    KeSetEvent(&request->done, 0, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void request_prepare(struct request *request)
{
    KeInitializeEvent(&request->done, SynchronizationEvent, FALSE);
    request->irp = IoAllocateIrp(1, FALSE);
    IoSetCompletionRoutine(request->irp, request_done, request, TRUE, TRUE, TRUE);
}

static NTSTATUS request_wait(struct request *request)
{
    LARGE_INTEGER limit = {.QuadPart = -50000000};

    CHECK(KeWaitForSingleObject(&request->done, Executive, KernelMode, FALSE, &limit) == STATUS_SUCCESS);
    return request->status;
}

/* ---- what arrives ---- */

struct inbox {
    PWSK_SOCKET socket;
    bool keep;
    uint32_t calls, datagrams, in_chain;
    uint64_t bytes;
    WSK_DATAGRAM_INDICATION *kept;
    bool wrong;
    uint16_t from_port;
    uint32_t ifindex;
    uint8_t to[16];
    uint32_t size;
    KIRQL irql;
};

/* Reads across MDLs as a driver has to. */
static uint8_t byte_at(const WSK_BUF *buffer, SIZE_T at)
{
    MDL *mdl = buffer->Mdl;

    at += buffer->Offset;
    while (at >= mdl->ByteCount) {
        at -= mdl->ByteCount;
        mdl = mdl->Next;
    }
    return ((uint8_t *)MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority))[at];
}

static NTSTATUS NTAPI on_receive(PVOID context, ULONG flags, PWSK_DATAGRAM_INDICATION chain)
{
    struct inbox *inbox = context;
    uint32_t length = 0;

    inbox->calls++;
    inbox->irql = KeGetCurrentIrql();
    if (((flags & WSK_FLAG_AT_DISPATCH_LEVEL) != 0) != (inbox->irql == 2))
        inbox->wrong = true;
    for (WSK_DATAGRAM_INDICATION *d = chain; d; d = d->Next) {
        uint32_t number = inbox->datagrams;

        for (SIZE_T i = 0; i < d->Buffer.Length; i += 13)
            if (byte_at(&d->Buffer, i) != (uint8_t)(number * 31 + i))
                inbox->wrong = true;
        inbox->bytes += d->Buffer.Length;
        inbox->datagrams++;
        length++;
        inbox->from_port = ((SOCKADDR_IN *)d->RemoteAddress)->sin_port;
        if (d->ControlInfoLength >= sizeof(CMSGHDR) && d->ControlInfo->cmsg_type == IP_PKTINFO) {
            bool v4 = d->ControlInfo->cmsg_level == 0;
            const uint8_t *data = WSA_CMSG_DATA(d->ControlInfo);

            memcpy(inbox->to, data, v4 ? 4 : 16);
            memcpy(&inbox->ifindex, data + (v4 ? 4 : 16), 4);
        }
        if (!d->Next && inbox->keep) {
            d->Next = inbox->kept; /* the client may use Next */
            inbox->kept = chain;
            break;
        }
    }
    if (length > inbox->in_chain)
        inbox->in_chain = length;
    return inbox->keep ? STATUS_PENDING : STATUS_SUCCESS;
}

static const WSK_CLIENT_DATAGRAM_DISPATCH dispatch = {.WskReceiveFromEvent = on_receive};

static const WSK_PROVIDER_DATAGRAM_DISPATCH *verbs(PWSK_SOCKET socket)
{
    return socket->Dispatch;
}

struct arrival {
    struct inbox *inbox;
    uint32_t datagrams;
};

static bool arrived(void *context)
{
    const struct arrival *a = context;

    return __atomic_load_n(&a->inbox->datagrams, __ATOMIC_ACQUIRE) >= a->datagrams;
}

static bool wait_datagrams(struct inbox *inbox, uint32_t count)
{
    struct arrival a = {inbox, count};

    return side_wait(arrived, &a, 4000);
}

/* ---- verbs as a driver writes them ---- */

static PWSK_SOCKET open_socket(ADDRESS_FAMILY family, struct inbox *inbox)
{
    struct request request;

    request_prepare(&request);
    npi.Dispatch->WskSocket(npi.Client, family, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, inbox,
                            &dispatch, NULL, NULL, NULL, request.irp);
    CHECK(request_wait(&request) == STATUS_SUCCESS && request.information != 0);
    return (PWSK_SOCKET)request.information;
}

static NTSTATUS set_option(PWSK_SOCKET socket, ULONG level, ULONG option, ULONG value)
{
    struct request request;

    request_prepare(&request);
    verbs(socket)->WskControlSocket(socket, WskSetOption, option, level, sizeof value, &value, 0, NULL, NULL,
                                    request.irp);
    return request_wait(&request);
}

static NTSTATUS bind_socket(PWSK_SOCKET socket, ADDRESS_FAMILY family, USHORT port)
{
    SOCKADDR_INET any = {0};
    struct request request;

    any.si_family = family;
    any.Ipv4.sin_port = port;
    request_prepare(&request);
    verbs(socket)->WskBind(socket, (SOCKADDR *)&any, 0, request.irp);
    memset(&any, 0xff, sizeof any);
    return request_wait(&request);
}

static USHORT local_port(PWSK_SOCKET socket)
{
    SOCKADDR_INET local = {0};
    struct request request;

    request_prepare(&request);
    verbs(socket)->WskGetLocalAddress(socket, (SOCKADDR *)&local, request.irp);
    CHECK(request_wait(&request) == STATUS_SUCCESS);
    return local.Ipv4.sin_port;
}

static NTSTATUS close_socket(PWSK_SOCKET socket)
{
    struct request request;

    request_prepare(&request);
    verbs(socket)->WskCloseSocket(socket, request.irp);
    return request_wait(&request);
}

static USHORT swap16(uint32_t v)
{
    return (USHORT)(v << 8 | v >> 8);
}

static SOCKADDR_INET loopback(ADDRESS_FAMILY family, USHORT port)
{
    SOCKADDR_INET address = {0};

    address.si_family = family;
    address.Ipv4.sin_port = port;
    if (family == AF_INET)
        address.Ipv4.sin_addr.S_un.S_addr = 0x0100007f;
    else
        address.Ipv6.sin6_addr.u.Byte[15] = 1;
    return address;
}

struct control { /* PKTINFO and the second, empty header */
    _Alignas(8) uint8_t bytes[80];
    ULONG length;
};

static struct control pktinfo(ADDRESS_FAMILY family, const void *address, ULONG ifindex, bool second)
{
    struct control control = {.length = 0};
    CMSGHDR *header = (CMSGHDR *)control.bytes;
    bool v4 = family == AF_INET;
    SIZE_T bytes = v4 ? sizeof(IN_PKTINFO) : sizeof(IN6_PKTINFO);

    header->cmsg_len = WSA_CMSG_LEN(bytes);
    header->cmsg_level = v4 ? 0 : IPPROTO_IPV6;
    header->cmsg_type = IP_PKTINFO;
    memcpy(WSA_CMSG_DATA(header), address, v4 ? 4 : 16);
    memcpy(WSA_CMSG_DATA(header) + (v4 ? 4 : 16), &ifindex, 4);
    control.length = (ULONG)WSA_CMSG_SPACE(bytes);
    if (second) {
        header = (CMSGHDR *)(control.bytes + control.length);
        header->cmsg_len = WSA_CMSG_LEN(0);
        header->cmsg_level = v4 ? 0 : IPPROTO_IPV6;
        header->cmsg_type = v4 ? IP_OPTIONS : IPV6_RTHDR;
        control.length += (ULONG)WSA_CMSG_SPACE(0);
    }
    return control;
}

struct messages { /* a WSK_BUF_LIST over one buffer per message, the last shorter */
    WSK_BUF_LIST list[IN_MAX];
    MDL *mdl[IN_MAX];
    uint8_t *data;
    uint32_t count;
};

static void messages_make(struct messages *m, uint32_t size, uint32_t count, uint32_t last)
{
    m->data = malloc((size_t)size * count);
    m->count = count;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *at = m->data + (size_t)size * i;
        uint32_t bytes = i + 1 == count ? last : size;

        for (uint32_t k = 0; k < bytes; k++)
            at[k] = (uint8_t)(i * 31 + k);
        m->mdl[i] = IoAllocateMdl(at, bytes, FALSE, FALSE, NULL);
        MmBuildMdlForNonPagedPool(m->mdl[i]);
        m->list[i] = (WSK_BUF_LIST){i + 1 < count ? &m->list[i + 1] : NULL, {m->mdl[i], 0, bytes}};
    }
}

static void messages_free(struct messages *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        IoFreeMdl(m->mdl[i]);
    free(m->data);
}

/* Address and control data lie on a stack that is overwritten before the request completes. */
static NTSTATUS send_messages(PWSK_SOCKET socket, WSK_BUF_LIST *list, SOCKADDR_INET to,
                              struct control control)
{
    struct request request;

    request_prepare(&request);
    verbs(socket)->WskSendMessages(socket, list, 0, (SOCKADDR *)&to, control.length,
                                   control.length ? (CMSGHDR *)control.bytes : NULL, request.irp);
    memset(&to, 0xee, sizeof to);
    memset(&control, 0xee, sizeof control);
    return request_wait(&request);
}

/* ---- tests ---- */

static void release_kept(struct inbox *inbox)
{
    /* In two parts, as a driver may. */
    WSK_DATAGRAM_INDICATION *first = inbox->kept;

    if (first && first->Next) {
        WSK_DATAGRAM_INDICATION *rest = first->Next;

        first->Next = NULL;
        CHECK(verbs(inbox->socket)->WskRelease(inbox->socket, rest) == STATUS_SUCCESS);
    }
    if (first)
        CHECK(verbs(inbox->socket)->WskRelease(inbox->socket, first) == STATUS_SUCCESS);
    inbox->kept = NULL;
}

static void family_test(ADDRESS_FAMILY family)
{
    static struct messages m;
    bool v4 = family == AF_INET;
    const char *text = v4 ? "127.0.0.1" : "::1";
    struct inbox in = {.keep = true}, in2 = {0};
    struct control none = {.length = 0};
    PWSK_SOCKET a, b;
    USHORT port;
    uint16_t linux_port;
    uint8_t one[64];
    int fd;

    a = open_socket(family, &in);
    in.socket = a;
    b = open_socket(family, &in2);
    in2.socket = b;
    if (!v4)
        CHECK(set_option(a, IPPROTO_IPV6, IPV6_V6ONLY, 1) == STATUS_SUCCESS);
    CHECK(set_option(a, v4 ? 0 : IPPROTO_IPV6, IP_PKTINFO, 1) == STATUS_SUCCESS);
    CHECK(set_option(a, IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE, 65536) == STATUS_NOT_SUPPORTED);
    messages_make(&m, 1200, 1, 1200);
    CHECK(send_messages(a, m.list, loopback(family, 9), none) == STATUS_INVALID_DEVICE_STATE); /* not bound */
    messages_free(&m);
    CHECK(bind_socket(a, family, 0) == STATUS_SUCCESS && bind_socket(b, family, 0) == STATUS_SUCCESS);
    port = local_port(a);
    CHECK(port != 0 && local_port(b) != port);

    struct inbox in3 = {0};
    PWSK_SOCKET c = open_socket(family, &in3);

    CHECK(bind_socket(c, family, port) == STATUS_ADDRESS_ALREADY_EXISTS);
    CHECK(close_socket(c) == STATUS_SUCCESS);

    /* 200 messages and a shorter one: several segmented calls, one chain or a few at the receiver. */
    messages_make(&m, 1200, 201, 77);
    SOCKADDR_INET to = loopback(family, port), from = loopback(family, 0);
    struct control control =
        pktinfo(family, v4 ? (void *)&from.Ipv4.sin_addr : (void *)&from.Ipv6.sin6_addr, 0, true);

    CHECK(send_messages(b, m.list, to, control) == STATUS_SUCCESS);
    CHECK(wait_datagrams(&in, 201));
    CHECK_MSG(in.datagrams == 201 && in.bytes == 200 * 1200 + 77 && !in.wrong, "%u datagrams, %llu bytes%s",
              in.datagrams, (unsigned long long)in.bytes, in.wrong ? ", wrong" : "");
    if (!host_options.verify)
        CHECK_MSG(in.calls <= 4 && in.in_chain >= 40, "%u calls, %u in a chain", in.calls, in.in_chain);
    CHECK(in.ifindex == side_ifindex("lo") && in.from_port == local_port(b));
    CHECK(memcmp(in.to, v4 ? (void *)&to.Ipv4.sin_addr : (void *)&to.Ipv6.sin6_addr, v4 ? 4 : 16) == 0);
    release_kept(&in);
    messages_free(&m);

    /* Sizes that rise and fall, an empty one among them: each arrives as it is. */
    in = (struct inbox){.socket = a};
    messages_make(&m, 300, 8, 300);
    for (uint32_t i = 0; i < 8; i++)
        m.list[i].Buffer.Length = (SIZE_T[]){300, 300, 20, 300, 0, 250, 250, 300}[i];
    CHECK(send_messages(b, m.list, to, none) == STATUS_SUCCESS);
    CHECK(wait_datagrams(&in, 8));
    CHECK(in.datagrams == 8 && in.bytes == 1720 && !in.wrong);
    messages_free(&m);

    /* With a Linux program on the other side, through a chain of MDLs and WskSendTo. */
    fd = side_udp(text, &linux_port, false);
    messages_make(&m, 30, 2, 30);
    m.mdl[0]->Next = m.mdl[1];

    WSK_BUF both = {m.mdl[0], 10, 40};
    struct request request;

    to = loopback(family, swap16(linux_port));
    request_prepare(&request);
    verbs(a)->WskSendTo(a, &both, 0, (SOCKADDR *)&to, 0, NULL, request.irp);
    CHECK(request_wait(&request) == STATUS_SUCCESS && request.information == 40);
    CHECK(side_udp_receive(fd, one, sizeof one, 2000, NULL) == 40);
    CHECK(memcmp(one, m.data + 10, 20) == 0 && memcmp(one + 20, m.data + 30, 20) == 0);
    m.mdl[0]->Next = NULL;
    messages_free(&m);
    in = (struct inbox){.socket = a};
    CHECK(side_udp_send_run(fd, text, swap16(port), 900, 30));
    CHECK(wait_datagrams(&in, 30));
    CHECK(in.bytes == 27000 && !in.wrong && in.from_port == swap16(linux_port));

    /* Event callbacks off and on. */
    WSK_EVENT_CALLBACK_CONTROL events = {&NPI_WSK_INTERFACE_ID, WSK_EVENT_RECEIVE_FROM | WSK_EVENT_DISABLE};

    CHECK(verbs(a)->WskControlSocket(a, WskSetOption, SO_WSK_EVENT_CALLBACK, SOL_SOCKET, sizeof events,
                                     &events, 0, NULL, NULL, NULL) == STATUS_SUCCESS);
    in = (struct inbox){.socket = a};
    CHECK(side_udp_send_run(fd, text, swap16(port), 100, 1));
    side_sleep_ms(20);
    CHECK(in.datagrams == 0);
    events.EventMask = WSK_EVENT_RECEIVE_FROM;
    CHECK(verbs(a)->WskControlSocket(a, WskSetOption, SO_WSK_EVENT_CALLBACK, SOL_SOCKET, sizeof events,
                                     &events, 0, NULL, NULL, NULL) == STATUS_SUCCESS);
    CHECK(side_udp_send_run(fd, text, swap16(port), 100, 1));
    CHECK(wait_datagrams(&in, 1));
    side_close(fd);

    /* Unreachable: a status, not a crash. */
    messages_make(&m, 100, 1, 100);
    to = loopback(family, 9);
    if (v4)
        to.Ipv4.sin_addr.S_un.S_addr = 0x017100cb; /* 203.0.113.1: no route here */
    else
        to.Ipv6.sin6_addr.u.Byte[0] = 0x20;
    CHECK(send_messages(a, m.list, to, none) == STATUS_NETWORK_UNREACHABLE);
    messages_free(&m);
    CHECK(close_socket(a) == STATUS_SUCCESS && close_socket(b) == STATUS_SUCCESS);
}

/* A slow link fills the socket: requests pend until it is writable again, complete in order, and are
 * cancelled by closing. */
static void backpressure(void)
{
    enum { REQUESTS = 200 };
    static struct request requests[REQUESTS];
    static struct messages m;
    struct inbox in = {0};
    SOCKADDR_INET to = loopback(AF_INET, 0x0900);
    uint32_t pended = 0, cancelled = 0, succeeded = 0;
    PWSK_SOCKET socket;

    if (!side_command("ip link add slow0 type veth peer name slow1 && ip link set slow1 up && "
                      "ip addr add 198.51.100.1/24 dev slow0 && ip link set slow0 up && "
                      "tc qdisc add dev slow0 root tbf rate 200mbit burst 100k limit 100m 2>/dev/null && "
                      "ip neigh add 198.51.100.2 lladdr 02:00:00:00:00:02 dev slow0")) {
        CHECK_SKIP("no tbf queue here: back-pressure of WSK sockets");
        side_command("ip link del slow0 2>/dev/null");
        return;
    }
    to.Ipv4.sin_addr.S_un.S_addr = 0x026433c6; /* 198.51.100.2 */
    socket = open_socket(AF_INET, &in);
    CHECK(bind_socket(socket, AF_INET, 0) == STATUS_SUCCESS);
    messages_make(&m, 1000, 100, 1000);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        request_prepare(&requests[i]);
        if (verbs(socket)->WskSendMessages(socket, m.list, 0, (SOCKADDR *)&to, 0, NULL, requests[i].irp) ==
            STATUS_PENDING)
            pended++;
    }
    CHECK_MSG(pended > 0, "%u of %u requests pended", pended, REQUESTS);
    for (uint32_t i = 0; i < REQUESTS; i++)
        succeeded += request_wait(&requests[i]) == STATUS_SUCCESS && requests[i].information == 100000;
    CHECK_MSG(succeeded == REQUESTS, "%u of %u requests succeeded", succeeded, REQUESTS);
    CHECK(host_count_read(HOST_IRP_PENDING).now == 0);

    for (uint32_t i = 0; i < REQUESTS; i++) {
        request_prepare(&requests[i]);
        verbs(socket)->WskSendMessages(socket, m.list, 0, (SOCKADDR *)&to, 0, NULL, requests[i].irp);
    }
    CHECK(close_socket(socket) == STATUS_SUCCESS);
    for (uint32_t i = 0; i < REQUESTS; i++)
        cancelled += request_wait(&requests[i]) == STATUS_CANCELLED;
    CHECK_MSG(cancelled > 0, "%u requests cancelled", cancelled);
    messages_free(&m);
    side_command("ip link del slow0");
}

static NTSTATUS static_events(ULONG mask)
{
    WSK_EVENT_CALLBACK_CONTROL events = {&NPI_WSK_INTERFACE_ID, mask};

    return npi.Dispatch->WskControlClient(npi.Client, WSK_SET_STATIC_EVENT_CALLBACKS, sizeof events, &events,
                                          0, NULL, NULL, NULL);
}

static void wsk_register(void)
{
    static const WSK_CLIENT_DISPATCH client_dispatch = {.Version = MAKE_WSK_VERSION(1, 0)};
    WSK_CLIENT_NPI client = {NULL, &client_dispatch};

    CHECK(WskRegister(&client, &registration) == STATUS_SUCCESS);
    CHECK(WskCaptureProviderNPI(&registration, 1000, &npi) == STATUS_SUCCESS);
    CHECK(static_events(WSK_EVENT_RECEIVE_FROM) == STATUS_SUCCESS);
}

static void wsk_deregister(void)
{
    WskReleaseProviderNPI(&registration);
    WskDeregister(&registration);
}

void test_wsk(void)
{
    WSK_TRANSPORT transports[4];
    SIZE_T returned = 0;
    ULONG behavior = WSK_TDI_BEHAVIOR_BYPASS_TDI;

    wsk_register();
    CHECK(static_events(WSK_EVENT_RECEIVE_FROM | WSK_EVENT_DISABLE) == STATUS_INVALID_PARAMETER);
    CHECK(npi.Dispatch->WskControlClient(npi.Client, WSK_TRANSPORT_LIST_QUERY, 0, NULL, sizeof transports[0],
                                         transports, &returned, NULL) == STATUS_BUFFER_OVERFLOW);
    CHECK(returned == 2 * sizeof transports[0]);
    CHECK(npi.Dispatch->WskControlClient(npi.Client, WSK_TRANSPORT_LIST_QUERY, 0, NULL, sizeof transports,
                                         transports, &returned, NULL) == STATUS_SUCCESS);
    CHECK(transports[0].AddressFamily == AF_INET && transports[1].AddressFamily == AF_INET6 &&
          transports[0].Protocol == IPPROTO_UDP && transports[0].SocketType == SOCK_DGRAM);
    CHECK(npi.Dispatch->WskControlClient(npi.Client, WSK_TDI_BEHAVIOR, sizeof behavior, &behavior, 0, NULL,
                                         NULL, NULL) == STATUS_SUCCESS);
    family_test(AF_INET);
    family_test(AF_INET6);
    backpressure();
    wsk_deregister();
    CHECK(host_count_read(HOST_SOCKET).now == 0 && host_count_read(HOST_DATAGRAM).now == 0 &&
          host_count_read(HOST_IRP_PENDING).now == 0 && host_count_read(HOST_WSK_CLIENT).now == 0);
    if (host_options.verify) { /* each of these mistakes is reported */
        CHECK(side_again("rule pktinfo", 70, "wsk-control-data"));
        CHECK(side_again("rule padding", 70, "wsk-control-data"));
        CHECK(side_again("rule release-twice", 70, "wsk-datagram-release"));
        CHECK(side_again("rule close-retained", 70, "wsk-datagram-release"));
        CHECK(side_again("rule use-closed", 70, "wsk-socket-state"));
        CHECK(side_again("rule deregister-open", 70, "wsk-socket-state"));
        CHECK(side_again("rule no-stack", 70, "irp-stack-location"));
    }
    checks_hand_over();
}

void break_rule(const char *rule)
{
    static struct messages m;
    struct inbox in = {.keep = true};
    SOCKADDR_INET from = loopback(AF_INET, 0);
    struct control control = pktinfo(AF_INET, &from.Ipv4.sin_addr, 0, strcmp(rule, "pktinfo") != 0);
    PWSK_SOCKET socket;
    USHORT port;

    if (strncmp(rule, "ndis-", 5) == 0 || strncmp(rule, "mib-", 4) == 0)
        return;
    wsk_register();
    socket = open_socket(AF_INET, &in);
    in.socket = socket;
    bind_socket(socket, AF_INET, 0);
    port = local_port(socket);
    if (strcmp(rule, "padding") == 0)
        control.length -= 4;
    messages_make(&m, 100, 3, 100);
    if (strcmp(rule, "no-stack") == 0) {
        struct request request;
        SOCKADDR_INET to = loopback(AF_INET, port);

        request_prepare(&request);
        IoSetNextIrpStackLocation(request.irp);
        verbs(socket)->WskSendTo(socket, &m.list[0].Buffer, 0, (SOCKADDR *)&to, 0, NULL, request.irp);
        return;
    }
    send_messages(socket, m.list, loopback(AF_INET, port), control);
    wait_datagrams(&in, 3);
    if (strcmp(rule, "release-twice") == 0) {
        WSK_DATAGRAM_INDICATION *one = in.kept;

        one->Next = NULL;
        verbs(socket)->WskRelease(socket, one);
        verbs(socket)->WskRelease(socket, one);
    }
    if (strcmp(rule, "deregister-open") == 0)
        wsk_deregister();
    if (strcmp(rule, "use-closed") == 0) {
        release_kept(&in);
        close_socket(socket);
        local_port(socket);
    }
    if (strcmp(rule, "close-retained") == 0)
        close_socket(socket);
}
