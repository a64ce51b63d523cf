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
#include "wsk_verbs.h"

#include <stdlib.h>

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
    test_wsk_offload();
    wsk_deregister();
    CHECK(host_count_read(HOST_SOCKET).now == 0 && host_count_read(HOST_DATAGRAM).now == 0 &&
          host_count_read(HOST_IRP_PENDING).now == 0 && host_count_read(HOST_WSK_CLIENT).now == 0);
    if (host_options.verify) { /* each of these mistakes is reported */
        CHECK(side_again("rule pktinfo", 70, "wsk-control-data"));
        CHECK(side_again("rule padding", 70, "wsk-control-data"));
        CHECK(side_again("rule segment-twice", 70, "UDP_SEND_MSG_SIZE twice"));
        CHECK(side_again("rule segment-short", 70, "UDP_SEND_MSG_SIZE is a ULONG"));
        CHECK(side_again("rule segment-large", 70, "larger than any datagram"));
        CHECK(side_again("rule pktinfo-twice", 70, "PKTINFO twice"));
        CHECK(side_again("rule release-twice", 70, "wsk-datagram-release"));
        CHECK(side_again("rule close-retained", 70, "wsk-datagram-release"));
        CHECK(side_again("rule use-closed", 70, "wsk-socket-state"));
        CHECK(side_again("rule deregister-open", 70, "wsk-socket-state"));
        CHECK(side_again("rule no-stack", 70, "irp-stack-location"));
    }
    checks_hand_over();
    wsk_verbs_hand_over();
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
    if (strcmp(rule, "segment-twice") == 0)
        for (int i = 0; i < 2; i++)
            control_add(&control, IPPROTO_UDP, UDP_SEND_MSG_SIZE, 100, 4);
    if (strcmp(rule, "segment-short") == 0)
        control_add(&control, IPPROTO_UDP, UDP_SEND_MSG_SIZE, 100, 2);
    if (strcmp(rule, "segment-large") == 0)
        control_add(&control, IPPROTO_UDP, UDP_SEND_MSG_SIZE, 65536, 4);
    if (strcmp(rule, "pktinfo-twice") == 0) {
        memmove(control.bytes + WSA_CMSG_SPACE(sizeof(IN_PKTINFO)), control.bytes,
                WSA_CMSG_SPACE(sizeof(IN_PKTINFO)));
        control.length = (ULONG)(2 * WSA_CMSG_SPACE(sizeof(IN_PKTINFO)));
    }
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
