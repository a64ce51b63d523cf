/* UDP_SEND_MSG_SIZE and UDP_RECV_MAX_COALESCED_SIZE of WSK sockets (Microsoft: "IPPROTO_UDP socket options"):
 * options, control messages, what arrives, what is refused, and the systems that NTHOST_UDP_OFFLOADS
 * pretends. */
#include "check.h"
#include "host.h"
#include "linux_side.h"
#include "nt/io.h"
#include "test_network.h"
#include "wsk_verbs.h"

#include <stdlib.h>

#define SIZE 1200u

static const WSK_PROVIDER_DATAGRAM_DISPATCH *functions;

static NTSTATUS get_option(PWSK_SOCKET socket, ULONG option, SIZE_T bytes, ULONG *value,
                           ULONG_PTR *information)
{
    struct request request;
    NTSTATUS status;

    *value = 0xEEEEEEEE;
    request_prepare(&request);
    verbs(socket)->WskControlSocket(socket, WskGetOption, option, IPPROTO_UDP, 0, NULL, bytes, value, NULL,
                                    request.irp);
    status = request_wait(&request);
    *information = request.information;
    return status;
}

static NTSTATUS set_sized(PWSK_SOCKET socket, ULONG option, const void *value, SIZE_T bytes)
{
    struct request request;

    request_prepare(&request);
    verbs(socket)->WskControlSocket(socket, WskSetOption, option, IPPROTO_UDP, bytes, (PVOID)value, 0, NULL,
                                    NULL, request.irp);
    return request_wait(&request);
}

static void options(PWSK_SOCKET socket)
{
    static const ULONG both[] = {UDP_SEND_MSG_SIZE, UDP_RECV_MAX_COALESCED_SIZE};
    ULONG value;
    ULONG_PTR information;
    uint64_t wide = 1000;

    for (int i = 0; i < 2; i++) {
        CHECK(get_option(socket, both[i], 4, &value, &information) == STATUS_SUCCESS && value == 0 &&
              information == 4);
        CHECK(get_option(socket, both[i], 3, &value, &information) == STATUS_BUFFER_TOO_SMALL &&
              information == 0 && value == 0xEEEEEEEE);
        CHECK(set_sized(socket, both[i], &wide, 8) == STATUS_INVALID_PARAMETER);
        CHECK(set_sized(socket, both[i], &wide, 2) == STATUS_INVALID_PARAMETER);
        CHECK(set_sized(socket, both[i], NULL, 4) == STATUS_INVALID_PARAMETER);
        CHECK(set_option(socket, IPPROTO_UDP, both[i], 65536) == STATUS_INVALID_PARAMETER);
        CHECK(set_option(socket, IPPROTO_UDP, both[i], 65535) == STATUS_SUCCESS);
        CHECK(get_option(socket, both[i], 4, &value, &information) == STATUS_SUCCESS && value == 65535);
        CHECK(set_option(socket, IPPROTO_UDP, both[i], 0) == STATUS_SUCCESS);
    }
    CHECK(set_option(socket, IPPROTO_UDP, 99, 1) == STATUS_NOT_SUPPORTED);
    CHECK(get_option(socket, 99, 4, &value, &information) == STATUS_NOT_SUPPORTED);
}

/* A message of `size` bytes that follow each other in memory, in `pieces` MDLs. */
struct whole {
    uint8_t *data;
    MDL *mdl[4];
    uint32_t pieces;
    WSK_BUF buffer;
};

static void whole_make(struct whole *w, uint32_t size, uint32_t bytes, uint32_t pieces)
{
    uint32_t at = 0;

    w->data = malloc(bytes);
    w->pieces = pieces;
    for (uint32_t i = 0; i < bytes; i++)
        w->data[i] = (uint8_t)(i / size * 31 + i % size);
    for (uint32_t i = 0; i < pieces; i++) {
        uint32_t end = i + 1 == pieces ? bytes : bytes / pieces * (i + 1) + i;

        w->mdl[i] = IoAllocateMdl(w->data + at, end - at, FALSE, FALSE, NULL);
        MmBuildMdlForNonPagedPool(w->mdl[i]);
        if (i > 0)
            w->mdl[i - 1]->Next = w->mdl[i];
        at = end;
    }
    w->buffer = (WSK_BUF){w->mdl[0], 0, bytes};
}

static void whole_free(struct whole *w)
{
    for (uint32_t i = 0; i < w->pieces; i++)
        IoFreeMdl(w->mdl[i]);
    free(w->data);
}

static NTSTATUS send_to(PWSK_SOCKET socket, WSK_BUF *buffer, SOCKADDR_INET to, struct control control,
                        ULONG_PTR *information)
{
    struct request request;
    NTSTATUS status;

    request_prepare(&request);
    functions->WskSendTo(socket, buffer, 0, (SOCKADDR *)&to, control.length,
                         control.length ? (CMSGHDR *)control.bytes : NULL, request.irp);
    memset(&to, 0xee, sizeof to);
    memset(&control, 0xee, sizeof control);
    status = request_wait(&request);
    *information = request.information;
    return status;
}

struct pair {
    PWSK_SOCKET from, to;
    struct inbox out, in;
    SOCKADDR_INET address;
    ADDRESS_FAMILY family;
};

static void pair_open(struct pair *pair, ADDRESS_FAMILY family, ULONG coalesced)
{
    *pair = (struct pair){.family = family};
    pair->from = open_socket(family, &pair->out);
    pair->to = open_socket(family, &pair->in);
    functions = verbs(pair->from);
    CHECK(set_option(pair->to, family == AF_INET ? 0 : IPPROTO_IPV6, IP_PKTINFO, 1) == STATUS_SUCCESS);
    if (coalesced)
        CHECK(set_option(pair->to, IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE, coalesced) == STATUS_SUCCESS);
    CHECK(bind_socket(pair->from, family, 0) == STATUS_SUCCESS &&
          bind_socket(pair->to, family, 0) == STATUS_SUCCESS);
    pair->address = loopback(family, local_port(pair->to));
}

static void pair_close(struct pair *pair)
{
    CHECK(close_socket(pair->from) == STATUS_SUCCESS && close_socket(pair->to) == STATUS_SUCCESS);
}

static struct control segment_control(const struct pair *pair, ULONG size)
{
    bool v4 = pair->family == AF_INET;
    SOCKADDR_INET from = loopback(pair->family, 0);
    struct control control =
        pktinfo(pair->family, v4 ? (void *)&from.Ipv4.sin_addr : (void *)&from.Ipv6.sin6_addr, 0, true);

    control_add(&control, IPPROTO_UDP, UDP_SEND_MSG_SIZE, size, 4);
    return control;
}

static void check_arrival(struct pair *pair, uint32_t messages, uint64_t bytes)
{
    CHECK_MSG(wait_datagrams(&pair->in, messages) && pair->in.datagrams == messages &&
                  pair->in.bytes == bytes && !pair->in.wrong && !pair->in.absurd,
              "%u of %u messages, %llu of %llu bytes%s, %u absurd", pair->in.datagrams, messages,
              (unsigned long long)pair->in.bytes, (unsigned long long)bytes, pair->in.wrong ? ", wrong" : "",
              pair->in.absurd);
    CHECK(memcmp(pair->in.to,
                 pair->family == AF_INET ? (void *)&pair->address.Ipv4.sin_addr
                                         : (void *)&pair->address.Ipv6.sin6_addr,
                 pair->family == AF_INET ? 4 : 16) == 0);
}

/* One send becomes many datagrams; what comes together is indicated together, as far as the option allows. */
static void data(ADDRESS_FAMILY family, ULONG coalesced, uint32_t count, uint32_t last, uint32_t pieces)
{
    struct pair pair;
    struct whole w;
    ULONG_PTR sent;

    pair_open(&pair, family, coalesced);
    whole_make(&w, SIZE, SIZE * count + last, pieces);
    CHECK(send_to(pair.from, &w.buffer, pair.address, segment_control(&pair, SIZE), &sent) ==
              STATUS_SUCCESS &&
          sent == SIZE * count + last);
    check_arrival(&pair, count + (last > 0), sent);
    if (coalesced >= 2 * SIZE) {
        CHECK_MSG(pair.in.told > 0 && pair.in.indications < count && pair.in.largest <= coalesced,
                  "%u indications, %u told, the largest %u", pair.in.indications, pair.in.told,
                  pair.in.largest);
        if (!host_options.verify && coalesced == 65535)
            CHECK_MSG(pair.in.indications <= 4 && pair.in.calls <= 2, "%u indications in %u calls",
                      pair.in.indications, pair.in.calls);
    } else {
        CHECK(pair.in.told == 0 && pair.in.indications == count + (last > 0));
    }
    whole_free(&w);

    /* The option of the socket does it as well; a message no larger than it stays whole. */
    pair.in = (struct inbox){.datagrams = 0};
    CHECK(set_option(pair.from, IPPROTO_UDP, UDP_SEND_MSG_SIZE, SIZE) == STATUS_SUCCESS);
    whole_make(&w, SIZE, SIZE * 3 + 1, 1);
    CHECK(send_to(pair.from, &w.buffer, pair.address, (struct control){.length = 0}, &sent) ==
          STATUS_SUCCESS);
    CHECK(wait_datagrams(&pair.in, 4));
    w.buffer.Length = SIZE;
    pair.in = (struct inbox){.datagrams = 0};
    CHECK(send_to(pair.from, &w.buffer, pair.address, (struct control){.length = 0}, &sent) ==
          STATUS_SUCCESS);
    check_arrival(&pair, 1, SIZE);
    CHECK(pair.in.told == 0);
    whole_free(&w);
    pair_close(&pair);
}

/* WskSendMessages: every message of the list is cut; small ones stay what they are; more segments than one
 * system call takes. */
static void lists(ADDRESS_FAMILY family)
{
    static struct messages m;
    struct pair pair;
    WSK_BUF_LIST list[3];
    struct whole w;

    pair_open(&pair, family, 65535);
    whole_make(&w, 100, 30000, 3);
    list[0] = (WSK_BUF_LIST){&list[1], {w.mdl[0], 0, 9000}};
    list[1] = (WSK_BUF_LIST){&list[2], {w.mdl[0], 9000, 20900}};
    list[2] = (WSK_BUF_LIST){NULL, {w.mdl[0], 29900, 50}};
    CHECK(send_messages(pair.from, list, pair.address, segment_control(&pair, 100)) == STATUS_SUCCESS);
    check_arrival(&pair, 300, 29950);
    whole_free(&w);

    /* A large one among small ones, the small ones of different sizes. */
    pair.in = (struct inbox){.datagrams = 0};
    messages_make(&m, SIZE, 6, 70);
    for (uint32_t i = 0; i < 5; i++)
        m.list[i].Buffer.Length = (SIZE_T[]){300, 300, 1, 900, 900}[i];
    CHECK(send_messages(pair.from, m.list, pair.address, segment_control(&pair, 1000)) == STATUS_SUCCESS);
    check_arrival(&pair, 6, 2471);
    messages_free(&m);
    pair_close(&pair);
}

/* Segments above the path's MTU: the send fails (documented), the same messages one by one are taken. */
static void path(void)
{
    struct pair pair;
    struct whole w;
    ULONG_PTR sent;
    uint32_t arrived;

    pair_open(&pair, AF_INET, 65535);
    CHECK(side_command("ip link set lo mtu 1300"));
    whole_make(&w, 1400, 14000, 1);
    CHECK(send_to(pair.from, &w.buffer, pair.address, segment_control(&pair, 1400), &sent) ==
              STATUS_INVALID_BUFFER_SIZE &&
          sent == 0);
    w.buffer.Length = 1400;
    CHECK(send_to(pair.from, &w.buffer, pair.address, segment_control(&pair, 1400), &sent) == STATUS_SUCCESS);
    w.buffer.Length = 14000;
    CHECK(send_to(pair.from, &w.buffer, pair.address, segment_control(&pair, 1200), &sent) == STATUS_SUCCESS);
    arrived = 1 + 14000 / 1200 + 1;
    CHECK(wait_datagrams(&pair.in, arrived) && pair.in.datagrams == arrived);
    CHECK(side_command("ip link set lo mtu 65536"));
    whole_free(&w);
    pair_close(&pair);
}

/* Refused control data; verify mode reports it instead (rule of test_wsk.c). */
static void refused(void)
{
    static const struct {
        INT level, type;
        ULONG value, bytes;
    } bad[] = {{IPPROTO_UDP, UDP_SEND_MSG_SIZE, 100, 2},
               {IPPROTO_UDP, UDP_SEND_MSG_SIZE, 65536, 4},
               {IPPROTO_UDP, UDP_SEND_MSG_SIZE, 100, 4}, /* a second one */
               {IPPROTO_UDP, UDP_COALESCED_INFO, 100, 4}};
    struct pair pair;
    struct whole w;
    ULONG_PTR sent;

    pair_open(&pair, AF_INET, 0);
    whole_make(&w, 100, 300, 1);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct control control = segment_control(&pair, 100);

        control_add(&control, bad[i].level, bad[i].type, bad[i].value, bad[i].bytes);
        CHECK_MSG(send_to(pair.from, &w.buffer, pair.address, control, &sent) == STATUS_INVALID_PARAMETER,
                  "control data %u", i);
    }
    side_sleep_ms(10);
    CHECK(pair.in.datagrams == 0);
    CHECK(send_to(pair.from, &w.buffer, pair.address, segment_control(&pair, 0), &sent) == STATUS_SUCCESS);
    CHECK(wait_datagrams(&pair.in, 1) && pair.in.bytes == 300);
    whole_free(&w);
    pair_close(&pair);
}

/* Older and broken systems. */
static void pretended(void)
{
    struct pair pair;
    struct whole w;
    ULONG value;
    ULONG_PTR information;

    whole_make(&w, SIZE, 4 * SIZE, 1);
    setenv("NTHOST_UDP_OFFLOADS", "no-send,no-receive", 1);
    pair_open(&pair, AF_INET, 0);
    CHECK(set_option(pair.from, IPPROTO_UDP, UDP_SEND_MSG_SIZE, 0) == STATUS_NOT_SUPPORTED);
    CHECK(set_option(pair.from, IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE, 65535) == STATUS_NOT_SUPPORTED);
    CHECK(get_option(pair.from, UDP_SEND_MSG_SIZE, 4, &value, &information) == STATUS_NOT_SUPPORTED);
    CHECK(send_to(pair.from, &w.buffer, pair.address, segment_control(&pair, SIZE), &information) ==
          STATUS_INVALID_PARAMETER);
    pair_close(&pair);

    setenv("NTHOST_UDP_OFFLOADS", "send-fails", 1);
    pair_open(&pair, AF_INET, 0);
    CHECK(set_option(pair.from, IPPROTO_UDP, UDP_SEND_MSG_SIZE, 0) == STATUS_SUCCESS);
    CHECK(send_to(pair.from, &w.buffer, pair.address, segment_control(&pair, SIZE), &information) ==
          STATUS_INVALID_BUFFER_SIZE);
    pair_close(&pair);

    for (int absurd = 0; absurd < 2; absurd++) {
        setenv("NTHOST_UDP_OFFLOADS", absurd ? "absurd" : "unmarked", 1);
        pair_open(&pair, AF_INET, 65535);
        for (int i = 0; i < 50 && pair.in.largest <= SIZE; i++) { /* not every run comes together */
            CHECK(send_to(pair.from, &w.buffer, pair.address, segment_control(&pair, SIZE), &information) ==
                  STATUS_SUCCESS);
            side_sleep_ms(2);
        }
        CHECK(pair.in.largest > SIZE && (pair.in.told > 0) == absurd && (pair.in.absurd > 0) == absurd);
        pair_close(&pair);
    }
    unsetenv("NTHOST_UDP_OFFLOADS");
    whole_free(&w);
}

void test_wsk_offload(void)
{
    static const ADDRESS_FAMILY families[] = {AF_INET, AF_INET6};
    struct pair pair;

    for (int i = 0; i < 2; i++) {
        pair_open(&pair, families[i], 0);
        options(pair.to);
        pair_close(&pair);
        data(families[i], 65535, 40, 77, 1);
        data(families[i], 65535, 50, 0, 4);
        data(families[i], 5000, 40, 1199, 2);
        data(families[i], 100, 20, 10, 1); /* less than one datagram: nothing is coalesced, nothing lost */
        data(families[i], 0, 40, 5, 3);
        lists(families[i]);
    }
    path();
    if (!host_options.verify)
        refused();
    pretended();
    checks_hand_over();
}
