/* Simulated sockets: ports, families, sources, segmented sends, coalesced receives, full sockets, closing. */
#include "check.h"
#include "network_test.h"

#include "edge/edge.h"

#include <stdlib.h>

#define PEER_LAST 44u

struct got {
    uint32_t datagrams, calls, runs, batches, bytes;
    uint32_t lengths[256];
    bool wrong;
    struct udp_socket *close_me;
    void *token; /* kept */
    bool keep;
    struct udp_address from, to;
    uint32_t ifindex;
};

static void on_datagrams(void *context, struct udp_datagram *datagrams, unsigned count, void *token)
{
    struct got *got = context;

    got->calls++;
    got->batches += count > 1;
    for (unsigned i = 0; i < count; i++) {
        uint32_t step = datagrams[i].segment ? datagrams[i].segment : datagrams[i].length;

        got->runs += datagrams[i].segment != 0;
        got->from = datagrams[i].from;
        got->to = datagrams[i].to;
        got->ifindex = datagrams[i].ifindex;
        for (uint32_t at = 0; at < datagrams[i].length; at += step) {
            uint32_t left = datagrams[i].length - at, length = left < step ? left : step;

            if (got->datagrams < 256)
                got->lengths[got->datagrams] = length;
            for (uint32_t j = 0; j < length; j++)
                got->wrong |= datagrams[i].data[at + j] != (uint8_t)(got->bytes + j);
            got->bytes += length;
            got->datagrams++;
        }
    }
    if (got->close_me)
        udp_close(got->close_me);
    got->close_me = NULL;
    if (got->keep)
        got->token = token;
    else
        udp_buffer_release(token);
}

static void on_endpoint(void *context, struct sim_endpoint *endpoint, const struct sim_address *from,
                        const uint8_t *data, uint32_t length)
{
    struct got *got = context;

    (void)endpoint;
    got->from.port = from->port;
    memcpy(got->from.bytes, from->bytes, 16);
    got->from.family = from->family;
    if (got->datagrams < 256)
        got->lengths[got->datagrams] = length;
    for (uint32_t i = 0; i < length; i++)
        got->wrong |= data[i] != (uint8_t)(got->bytes + i);
    got->bytes += length;
    got->datagrams++;
}

static uint8_t pattern[65536];

static struct udp_address address(uint8_t family, const uint8_t *bytes, uint16_t port)
{
    struct udp_address out = {.family = family, .port = __builtin_bswap16(port)};

    if (bytes)
        memcpy(out.bytes, bytes, family == 4 ? 4 : 16);
    return out;
}

static struct udp_socket *open_socket(uint8_t family, struct got *got)
{
    struct udp_socket *socket = NULL;

    CHECK(udp_open(family, true, on_datagrams, got, &socket) == 0);
    return socket;
}

static void test_binding(void)
{
    struct got got = {0};
    struct udp_socket *a = open_socket(4, &got), *b = open_socket(4, &got), *c = open_socket(6, &got);
    struct udp_address any4 = address(4, NULL, 7000), any6 = address(6, NULL, 7000), local = {0};
    struct udp_address foreign = address(4, (uint8_t[]){9, 9, 9, 9}, 7001), none4 = address(4, NULL, 0);
    struct udp_address specific = address(4, machine4.bytes, 7000);
    struct udp_socket *bad;

    CHECK(udp_open(5, true, on_datagrams, &got, &bad) == -EAFNOSUPPORT);
    CHECK(udp_bind(a, &any6) == -EAFNOSUPPORT);
    CHECK(udp_bind(a, &foreign) == -EADDRNOTAVAIL);
    CHECK(udp_bind(a, &any4) == 0 && udp_bind(a, &any4) == -EINVAL);
    CHECK(udp_bind(b, &any4) == -EADDRINUSE && udp_bind(b, &specific) == -EADDRINUSE);
    CHECK(udp_bind(c, &any6) == 0); /* IPv6 only: the port is free there */
    CHECK(udp_bind(b, &none4) == 0 && udp_local(b, &local) == 0 && local.port != 0 &&
          local.port != any4.port);
    CHECK(__builtin_bswap16(local.port) >= 32768);
    udp_close(a);
    a = open_socket(4, &got);
    CHECK(udp_bind(a, &specific) == 0); /* free again */
    udp_close(a);
    udp_close(b);
    udp_close(c);
}

static void test_sources(void)
{
    struct got got = {0}, at_socket = {0};
    struct sim_address peer = peer4(PEER_LAST, 100), second = {.family = 4, .bytes = {192, 0, 2, 2}};
    struct sim_endpoint *endpoint = sim_endpoint_open(&peer, on_endpoint, &got);
    struct udp_socket *socket = open_socket(4, &at_socket), *six = open_socket(6, &at_socket);
    struct udp_address to = address(4, peer.bytes, 100), own = address(4, NULL, 7100);
    struct udp_address local = address(4, second.bytes, 0), target = address(6, machine6.bytes, 7100);
    struct iovec iov = {pattern, 10};
    struct sim_address reply;

    sim_network_moods(false);
    sim_machine_address(&second, true);
    CHECK(udp_bind(socket, &own) == 0);
    CHECK(udp_send(socket, &iov, 1, 0, &to, NULL, 0) == 0);
    world_run();
    CHECK(got.datagrams == 1 && memcmp(got.from.bytes, machine4.bytes, 4) == 0 && got.from.port == own.port);
    got.bytes = 0;
    CHECK(udp_send(socket, &iov, 1, 0, &to, &local, SIM_NETWORK_IFINDEX) == 0);
    world_run();
    CHECK(memcmp(got.from.bytes, second.bytes, 4) == 0);
    /* The local address of what arrives. */
    reply = at_port(&second, 7100);
    sim_endpoint_send(endpoint, &reply, pattern, 10);
    world_run();
    CHECK(at_socket.datagrams == 1 && memcmp(at_socket.to.bytes, second.bytes, 4) == 0 &&
          at_socket.ifindex == SIM_NETWORK_IFINDEX && at_socket.from.port == to.port);
    sim_machine_address(&second, false); /* gone: as Linux's EINVAL for a source that is not there */
    CHECK(udp_send(socket, &iov, 1, 0, &to, &local, 0) == -EINVAL);
    CHECK(udp_send(socket, &iov, 1, 0, &to, NULL, 55) == -ENODEV);
    CHECK(udp_send(socket, &iov, 1, 0, &target, NULL, 0) == -EAFNOSUPPORT);
    CHECK(udp_bind(six, &(struct udp_address){.family = 6, .port = target.port}) == 0);
    sim_machine_address(&machine6, false);
    CHECK(udp_send(six, &iov, 1, 0, &target, NULL, 0) == -ENETUNREACH); /* no address, no route */
    sim_machine_address(&machine6, true);
    at_socket.bytes = 0;
    CHECK(udp_send(six, &iov, 1, 0, &target, NULL, 0) == 0); /* to itself */
    world_run();
    CHECK(at_socket.datagrams == 2 && at_socket.from.family == 6);
    iov.iov_len = sizeof pattern;
    CHECK(udp_send(socket, &iov, 1, 0, &to, NULL, 0) == -EMSGSIZE);
    udp_close(socket);
    udp_close(six);
    sim_endpoint_close(endpoint);
    sim_network_moods(true);
}

static void test_runs(void)
{
    struct got at_peer = {0}, got = {0};
    struct sim_address peer = peer4(PEER_LAST, 100), own = at_port(&machine4, 7200);
    struct sim_endpoint *endpoint = sim_endpoint_open(&peer, on_endpoint, &at_peer);
    struct udp_socket *socket = open_socket(4, &got);
    struct udp_address to = address(4, peer.bytes, 100), local = address(4, NULL, 7200);
    struct iovec iov[3] = {{pattern, 700}, {pattern + 700, 1}, {pattern + 701, 2299}};
    uint32_t sent = 0;

    CHECK(udp_bind(socket, &local) == 0);
    while (udp_send(socket, iov, 3, 1400, &to, NULL, 0) == -EAGAIN)
        ;
    world_run();
    CHECK(at_peer.datagrams == 3 && !at_peer.wrong && at_peer.lengths[0] == 1400 &&
          at_peer.lengths[1] == 1400 && at_peer.lengths[2] == 200);
    /* Ten rounds of 20 equal datagrams and a shorter one, at one instant each. */
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 21; i++) {
            uint32_t length = i < 20 ? 100 : 40;
            uint8_t data[100];

            for (uint32_t j = 0; j < length; j++)
                data[j] = (uint8_t)(sent + j);
            sim_endpoint_send(endpoint, &own, data, length);
            sent += length;
        }
        world_run();
    }
    CHECK(got.datagrams == 210 && got.bytes == sent && !got.wrong);
    for (unsigned i = 0; i < 210; i++)
        CHECK(got.lengths[i] == (i % 21 < 20 ? 100 : 40));
    CHECK_MSG(got.runs > 3 && got.batches > 0 && got.calls < 200, "%u runs, %u batches, %u calls", got.runs,
              got.batches, got.calls);
    /* A longer datagram never joins the run of a shorter one. */
    got = (struct got){0};
    sent = 0;
    for (unsigned i = 0; i < 120; i++) {
        uint32_t length = i % 3 ? 90 : 60;
        uint8_t data[100];

        for (uint32_t j = 0; j < length; j++)
            data[j] = (uint8_t)(sent + j);
        sim_endpoint_send(endpoint, &own, data, length);
        sent += length;
        if (i % 6 == 5)
            world_run();
    }
    CHECK(got.datagrams == 120 && got.bytes == sent && !got.wrong && got.runs > 3);
    for (unsigned i = 0; i < 120; i++)
        CHECK(got.lengths[i] == (i % 3 ? 90 : 60));
    udp_close(socket);
    sim_endpoint_close(endpoint);
}

static uint32_t writable_calls;

static void on_writable(void *context)
{
    (void)context;
    writable_calls++;
}

static void test_full_and_closing(void)
{
    struct got got = {0};
    struct sim_address peer = peer4(PEER_LAST, 100), own = at_port(&machine4, 7300);
    struct udp_socket *socket = open_socket(4, &got);
    struct udp_address to = address(4, peer.bytes, 100), local = address(4, NULL, 7300);
    struct iovec iov = {pattern, 10};
    struct sim_network_counts before = sim_network_counts();
    uint32_t again = 0;

    CHECK(udp_bind(socket, &local) == 0);
    for (unsigned i = 0; i < 2000; i++)
        if (udp_send(socket, &iov, 1, 0, &to, NULL, 0) == -EAGAIN) {
            again++;
            udp_want_write(socket, on_writable, NULL);
            CHECK(writable_calls == again - 1);
            world_run();
            CHECK(writable_calls == again);
        }
    CHECK_MSG(again > 10 && again < 100, "%u", again);
    CHECK(sim_network_counts().again - before.again == again);
    CHECK(sim_network_counts().sent - before.sent == 2000 - again);
    world_run();

    /* The queue of a socket is bounded: more comes at one instant than it takes. */
    sim_network_moods(false);
    before = sim_network_counts();
    for (unsigned i = 0; i < 5000; i++)
        sim_inject(&peer, &own, pattern, 10);
    world_run();
    CHECK(got.datagrams == 4096 && sim_network_counts().overflowed - before.overflowed == 5000 - 4096);
    got = (struct got){0};
    got.close_me = socket; /* closed by its own callback: nothing comes after it */
    for (unsigned i = 0; i < 10; i++)
        sim_inject(&peer, &own, pattern, 10);
    world_run();
    CHECK(got.calls == 1 && got.datagrams == 4);
    udp_want_write(socket, on_writable, NULL);
    world_run();
    CHECK(writable_calls == again);
    sim_network_moods(true);
}

void test_sockets(void)
{
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)i;
    test_binding();
    test_sources();
    test_runs();
    test_full_and_closing();
}
