/* The edges alone: UDP sockets (runs both ways, refused segmentation, closing under traffic), the TUN device,
 * routes, addresses, links and their changes. */
#include "check.h"
#include "edge/edge.h"
#include "linux_side.h"
#include "sched/sched.h"
#include "test_network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define RUN 50u

/* ---- UDP ---- */

struct received {
    uint32_t datagrams, calls, runs;
    uint64_t bytes;
    bool wrong;
    struct udp_address from, to;
    uint32_t ifindex;
};

static uint8_t payload[65536];

static void udp_count(void *context, struct udp_datagram *datagrams, unsigned count, void *token)
{
    struct received *r = context;

    r->calls++;
    for (unsigned i = 0; i < count; i++) {
        uint32_t step = datagrams[i].segment ? datagrams[i].segment : datagrams[i].length;

        r->runs += datagrams[i].segment != 0;
        for (uint32_t at = 0; at < datagrams[i].length; at += step) {
            uint32_t left = datagrams[i].length - at, bytes = left < step ? left : step;

            if (bytes > 4 && memcmp(datagrams[i].data + at, payload + r->bytes % sizeof payload, 1) != 0)
                r->wrong = true;
            r->bytes += bytes;
            r->datagrams++;
        }
        r->from = datagrams[i].from;
        r->to = datagrams[i].to;
        r->ifindex = datagrams[i].ifindex;
    }
    udp_buffer_release(token);
}

struct expectation {
    struct received *received;
    uint32_t datagrams;
};

static bool arrived(void *context)
{
    const struct expectation *e = context;

    return __atomic_load_n(&e->received->datagrams, __ATOMIC_RELAXED) >= e->datagrams;
}

static struct udp_address loopback(uint8_t family)
{
    struct udp_address address = {.family = family};

    if (family == 4)
        inet_pton(AF_INET, "127.0.0.1", address.bytes);
    else
        inet_pton(AF_INET6, "::1", address.bytes);
    return address;
}

static void udp_family(uint8_t family)
{
    struct received a_got = {0}, b_got = {0};
    struct udp_socket *a = NULL, *b = NULL;
    struct udp_address any = {.family = family}, to, local = loopback(family), bound;
    struct iovec iov[3] = {{payload, 20000}, {payload + 20000, 29000}, {payload + 49000, 700}};
    struct expectation expect = {&b_got, RUN};

    for (unsigned i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i / 1000);
    CHECK(udp_open(family, true, udp_count, &a_got, &a) == 0 &&
          udp_open(family, true, udp_count, &b_got, &b) == 0);
    CHECK(udp_bind(a, &any) == 0 && udp_bind(b, &any) == 0);
    CHECK(udp_local(b, &bound) == 0 && bound.port != 0 && bound.family == family);
    CHECK(udp_bind(b, &any) != 0);
    to = local;
    to.port = bound.port;

    /* 49 of 1000 bytes and one of 700, in one call, gathered. */
    CHECK(udp_send(a, iov, 3, 1000, &to, &local, 0) == 0);
    CHECK(side_wait(arrived, &expect, 3000));
    CHECK_MSG(b_got.datagrams == RUN && b_got.bytes == 49700 && !b_got.wrong, "%u datagrams, %llu bytes",
              b_got.datagrams, (unsigned long long)b_got.bytes);
    CHECK_MSG(b_got.runs >= 1 && b_got.calls < 10, "%u runs in %u calls", b_got.runs, b_got.calls);
    udp_local(a, &bound);
    CHECK(b_got.from.port == bound.port && memcmp(b_got.from.bytes, local.bytes, 16) == 0);
    CHECK(memcmp(b_got.to.bytes, local.bytes, 16) == 0 && b_got.ifindex == side_ifindex("lo"));

    /* Segments above the MTU are refused by the kernel: sent singly, all the same. */
    CHECK(side_command("ip link set lo mtu 1300"));
    b_got = (struct received){0};
    iov[0].iov_len = 14000;
    expect.datagrams = 10;
    CHECK(udp_send(a, iov, 1, 1400, &to, NULL, 0) == 0);
    CHECK(side_wait(arrived, &expect, 3000) && b_got.bytes == 14000);
    b_got = (struct received){0};
    CHECK(udp_send(a, iov, 1, 1400, &to, NULL, 0) == 0); /* remembered */
    CHECK(side_wait(arrived, &expect, 3000) && b_got.bytes == 14000);
    CHECK(side_command("ip link set lo mtu 65536"));

    /* Errors have names. */
    CHECK(udp_send(a, iov, 1, 0, &(struct udp_address){.family = family == 4 ? 6 : 4}, NULL, 0) ==
          -EAFNOSUPPORT);
    bound = local;
    bound.bytes[0] = 0x20; /* not one of our addresses */
    CHECK(udp_send(a, iov, 1, 0, &to, &bound, 0) < 0);
    CHECK(udp_set_mark(7) == 0 && udp_set_mark(0) == 0);

    struct udp_socket *c;
    struct udp_address taken;

    udp_local(b, &taken);
    CHECK(udp_open(family, true, udp_count, &a_got, &c) == 0 && udp_bind(c, &taken) == -EADDRINUSE);
    udp_close(c);

    /* Closing while datagrams arrive: no callback afterwards. */
    for (unsigned i = 0; i < 40; i++)
        udp_send(a, iov, 1, 1000, &to, NULL, 0);
    udp_close(b);
    uint32_t then = b_got.datagrams;

    for (unsigned i = 0; i < 10; i++)
        udp_send(a, iov, 1, 1000, &to, NULL, 0);
    side_sleep_ms(20);
    CHECK(b_got.datagrams == then);
    udp_close(a);
}

static void *busy(void *stop)
{
    while (!__atomic_load_n((bool *)stop, __ATOMIC_RELAXED))
        ;
    return NULL;
}

/* Closing at the very moment when the loop is told of a datagram: neither waits for the other for ever, and
 * nothing is delivered to a socket that is closed.  Busy threads see to it that the loop is preempted in
 * between. */
static void udp_close_at_arrival(void)
{
    struct received got = {0};
    struct udp_address any = {.family = 4}, to = loopback(4), bound;
    struct udp_socket *sender, *receiver;
    struct iovec iov = {payload, 100};
    uint32_t late = 0, threads = 0;
    pthread_t busy_threads[4];
    bool stop = false;

    while (threads < 4 && pthread_create(&busy_threads[threads], NULL, busy, &stop) == 0)
        threads++;
    CHECK(threads == 4);
    CHECK(udp_open(4, true, udp_count, &got, &sender) == 0 && udp_bind(sender, &any) == 0);
    for (unsigned i = 0; i < 6000; i++) {
        if (udp_open(4, true, udp_count, &got, &receiver) != 0 || udp_bind(receiver, &any) != 0 ||
            udp_local(receiver, &bound) != 0) {
            CHECK(!"a socket can be opened again");
            break;
        }
        to.port = bound.port;
        udp_send(sender, &iov, 1, 0, &to, NULL, 0);
        for (volatile unsigned spin = 0; spin < i % 97 * 61; spin++)
            ;
        udp_close(receiver);
        uint32_t then = __atomic_load_n(&got.datagrams, __ATOMIC_RELAXED);
        udp_send(sender, &iov, 1, 0, &to, NULL, 0);
        late += __atomic_load_n(&got.datagrams, __ATOMIC_RELAXED) != then;
    }
    CHECK(late == 0);
    udp_close(sender);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    while (threads > 0)
        pthread_join(busy_threads[--threads], NULL);
}

/* A full socket says -EAGAIN and calls back. */
static void writable(void *context)
{
    __atomic_add_fetch((uint32_t *)context, 1, __ATOMIC_RELEASE);
}

static bool is_set(void *context)
{
    return __atomic_load_n((uint32_t *)context, __ATOMIC_ACQUIRE) != 0;
}

static void udp_backpressure(void)
{
    struct received got = {0};
    struct udp_address any = {.family = 4}, to = {.family = 4, .port = htons(9)};
    struct udp_socket *a;
    struct iovec iov = {payload, 60000};
    uint32_t told = 0;
    int error = 0;

    /* A slow link: what it has not sent stays charged to the socket. */
    if (!side_command("ip link add slow0 type veth peer name slow1 && ip link set slow1 up && ip addr add "
                      "198.51.100.1/24 dev slow0 && ip link set slow0 up "
                      "&& tc qdisc add dev slow0 root tbf rate 400mbit burst 100k limit 100m 2>/dev/null")) {
        CHECK_SKIP("no tbf queue here: back-pressure of UDP sockets");
        side_command("ip link del slow0 2>/dev/null");
        return;
    }
    inet_pton(AF_INET, "198.51.100.2", to.bytes);
    side_command("ip neigh add 198.51.100.2 lladdr 02:00:00:00:00:02 dev slow0");
    CHECK(udp_open(4, true, udp_count, &got, &a) == 0 && udp_bind(a, &any) == 0);
    for (unsigned i = 0; i < 2000 && error == 0; i++)
        error = udp_send(a, &iov, 1, 1000, &to, NULL, 0);
    CHECK_MSG(error == -EAGAIN, "error %d", error);
    udp_want_write(a, writable, &told);
    CHECK(side_wait(is_set, &told, 3000));
    CHECK(udp_send(a, &iov, 1, 1000, &to, NULL, 0) == 0);
    side_sleep_ms(20);
    CHECK(told == 1);
    udp_close(a);
    side_command("ip link del slow0");
}

void test_udp_edge(void)
{
    udp_family(4);
    udp_family(6);
    udp_close_at_arrival();
    udp_backpressure();
    checks_hand_over();
}

/* ---- TUN ---- */

struct seen {
    uint32_t packets, super;
    uint64_t bytes;
    struct tun *tun;
    bool reflect;
};

/* Swaps the addresses and writes the packet back: what was sent to the other end comes back from it. */
static void tun_seen(void *context, struct tun_packet *packets, unsigned count)
{
    struct seen *seen = context;

    for (unsigned i = 0; i < count; i++) {
        uint8_t *data = packets[i].data, swap[4];
        struct iovec iov = {data, packets[i].length};

        if (data[0] >> 4 != 4 || data[9] != 17)
            continue;
        seen->super += packets[i].gso_type != TUN_GSO_NONE;
        seen->bytes += packets[i].length;
        __atomic_add_fetch(&seen->packets, 1, __ATOMIC_RELEASE);
        if (!seen->reflect)
            continue;
        memcpy(swap, data + 12, 4);
        memcpy(data + 12, data + 16, 4);
        memcpy(data + 16, swap, 4);
        if (packets[i].gso_type != TUN_GSO_NONE) {
            struct iovec split[2] = {{data, 28}, {data + 28, packets[i].length - 28}};

            CHECK(tun_write(seen->tun, &packets[i], split, 2) == 0);
        } else {
            CHECK(tun_write(seen->tun, &packets[i], &iov, 1) == 0);
        }
    }
}

static bool some_packets(void *context)
{
    return __atomic_load_n(&((struct seen *)context)->packets, __ATOMIC_ACQUIRE) > 0;
}

void test_tun_edge(void)
{
    struct seen seen = {.reflect = true};
    struct tun *tun, *other;
    char error[256] = "";
    uint16_t from, to;
    uint32_t calls;
    int a, b;

    CHECK(tun_open("name-far-too-long", true, tun_seen, &seen, &tun, error, sizeof error) == -EINVAL);
    CHECK(strstr(error, "name-far-too-long") != NULL);
    CHECK_MSG(tun_open("tt0", true, tun_seen, &seen, &tun, error, sizeof error) == 0, "%s", error);
    CHECK(tun_open("tt0", true, tun_seen, &seen, &other, error, sizeof error) == -EBUSY &&
          strstr(error, "tt0"));
    seen.tun = tun;
    CHECK(tun_ifindex(tun) == side_ifindex("tt0"));
    CHECK(tun_set_mtu(tun, 1420) == 0 && side_command("ip link show tt0 | grep -q 'mtu 1420'"));
    CHECK(tun_set_mtu(tun, 70000) < 0);
    CHECK(side_command("ip addr add 10.8.0.1/24 dev tt0 && ip link set tt0 up"));
    CHECK(tun_set_link(tun, false) == 0 && side_command("ip link show tt0 | grep -q NO-CARRIER"));
    CHECK(tun_set_link(tun, true) == 0 && side_command("ip link show tt0 | grep -q LOWER_UP"));

    a = side_udp("10.8.0.1", &from, false);
    b = side_udp("10.8.0.1", &to, true);
    CHECK(side_udp_send_run(a, "10.8.0.2", to, 1000, 40));
    CHECK(side_udp_receive_run(b, 1000, 40, 3000, &calls) == 40);
    if (tun_accepts_udp_segments(tun))
        CHECK_MSG(seen.super >= 1 && calls < 40, "%u super-segments, %u calls", seen.super, calls);

    /* Paused: nothing is read until reading goes on. */
    tun_pause_reading(tun, true);
    side_sleep_ms(10);
    seen.packets = 0;
    CHECK(side_udp_send(a, "10.8.0.2", to, "x", 1));
    side_sleep_ms(50);
    CHECK(seen.packets == 0);
    tun_pause_reading(tun, false);
    CHECK(side_wait(some_packets, &seen, 2000));
    side_close(a);
    side_close(b);
    tun_close(tun);
    CHECK(side_ifindex("tt0") == 0);

    /* Without segmentation the kernel cuts. */
    seen = (struct seen){.reflect = false};
    CHECK(tun_open("tt1", false, tun_seen, &seen, &tun, error, sizeof error) == 0);
    CHECK(!tun_accepts_tcp_segments(tun));
    CHECK(side_command("ip addr add 10.8.1.1/24 dev tt1 && ip link set tt1 up"));
    a = side_udp("10.8.1.1", &from, false);
    CHECK(side_udp_send_run(a, "10.8.1.2", 9, 1000, 20));
    CHECK(side_wait(some_packets, &seen, 2000));
    side_sleep_ms(50);
    CHECK_MSG(seen.super == 0 && seen.packets == 20, "%u packets, %u super", seen.packets, seen.super);
    side_close(a);
    tun_close(tun);
    checks_hand_over();
}

/* ---- several flows at a TUN ---- */

#define STREAM_PACKETS 300u
#define OTHERS         6u

struct arrivals {
    uint16_t stream_port; /* of the sender, network order */
    uint32_t stream, others, others_early;
    bool disordered;
    uint32_t all;
};

static void flow_packets(void *context, struct tun_packet *packets, unsigned count)
{
    struct arrivals *arrivals = context;

    for (unsigned i = 0; i < count; i++) {
        const uint8_t *data = packets[i].data;
        uint16_t port;
        uint32_t number;

        if (data[0] >> 4 != 4 || data[9] != 17)
            continue;
        memcpy(&port, data + 20, 2);
        if (port == arrivals->stream_port) {
            memcpy(&number, data + 28, sizeof number);
            arrivals->disordered = arrivals->disordered || number != arrivals->stream;
            arrivals->stream++;
        } else {
            arrivals->others++;
            arrivals->others_early += arrivals->stream < STREAM_PACKETS;
        }
        __atomic_add_fetch(&arrivals->all, 1, __ATOMIC_RELEASE);
    }
}

static bool all_arrived(void *context)
{
    return __atomic_load_n(&((struct arrivals *)context)->all, __ATOMIC_ACQUIRE) == STREAM_PACKETS + OTHERS;
}

/* What one flow has in the device does not stand before the packets of all others: that six of them share its
 * queue happens once in a quarter of a million runs. */
void test_tun_flows(void)
{
    struct arrivals arrivals = {0};
    struct tun *tun;
    char error[256] = "";
    uint16_t port;
    int stream, others[OTHERS];

    CHECK_MSG(tun_open("tt2", false, flow_packets, &arrivals, &tun, error, sizeof error) == 0, "%s", error);
    CHECK(side_command("ip addr add 10.8.2.1/24 dev tt2 && ip link set tt2 up"));
    stream = side_udp("10.8.2.1", &arrivals.stream_port, false);
    arrivals.stream_port = htons(arrivals.stream_port);
    tun_pause_reading(tun, true);
    side_sleep_ms(10);
    for (uint32_t i = 0; i < STREAM_PACKETS; i++)
        CHECK(side_udp_send(stream, "10.8.2.2", 9, &i, sizeof i));
    for (unsigned i = 0; i < OTHERS; i++) {
        others[i] = side_udp("10.8.2.1", &port, false);
        CHECK(side_udp_send(others[i], "10.8.2.2", 9, "x", 1));
    }
    tun_pause_reading(tun, false);
    CHECK_MSG(side_wait(all_arrived, &arrivals, 2000), "%u and %u arrived", arrivals.stream, arrivals.others);
    CHECK_MSG(arrivals.others_early > 0, "none of %u was before the stream's end", arrivals.others);
    CHECK(!arrivals.disordered);
    for (unsigned i = 0; i < OTHERS; i++)
        side_close(others[i]);
    side_close(stream);
    tun_close(tun);
    checks_hand_over();
}

/* ---- rtnetlink ---- */

static unsigned changes;

static void on_change(void *context, unsigned mask, uint32_t ifindex)
{
    __atomic_or_fetch((unsigned *)context, mask, __ATOMIC_RELEASE);
}

static bool all_changes(void *context)
{
    unsigned all = NET_CHANGED_ROUTE | NET_CHANGED_ADDRESS | NET_CHANGED_LINK;

    return (__atomic_load_n((unsigned *)context, __ATOMIC_ACQUIRE) & all) == all;
}

static bool has_route(uint8_t family, const char *text, uint8_t prefix, uint32_t ifindex, uint32_t table,
                      uint32_t metric)
{
    struct route_entry *routes;
    uint8_t bytes[16] = {0};
    int count = net_routes(family, &routes);
    bool found = false;

    inet_pton(family == 4 ? AF_INET : AF_INET6, text, bytes);
    for (int i = 0; i < count; i++)
        found |= routes[i].family == family && routes[i].prefix_length == prefix &&
                 routes[i].ifindex == ifindex && routes[i].table == table && routes[i].metric == metric &&
                 memcmp(routes[i].destination, bytes, 16) == 0;
    if (count >= 0)
        free(routes);
    return found;
}

void test_netlink_edge(void)
{
    struct interface_entry *links;
    struct address_entry *addresses;
    uint32_t index, mtu = 0;
    bool found = false;
    int count;

    CHECK(net_subscribe(on_change, &changes) == 0);
    CHECK(side_command("ip link add nl0 type veth peer name nl0p && ip link set nl0p up && ip addr add "
                       "203.0.113.1/24 dev nl0 && "
                       "ip addr add 2001:db8:9::1/64 dev nl0 nodad && ip link set nl0 up mtu 1400"));
    CHECK(side_wait(all_changes, &changes, 3000));
    index = side_ifindex("nl0");
    CHECK(side_command("ip route add 192.168.77.0/24 via 203.0.113.9 metric 7"));
    CHECK(side_command("ip route add default via 203.0.113.9 table 51820"));
    CHECK(side_command("ip -6 route add 2001:db8:aa::/48 via 2001:db8:9::9 metric 9"));
    CHECK(has_route(4, "192.168.77.0", 24, index, 254, 7));
    CHECK(has_route(4, "0.0.0.0", 0, index, 51820, 0));
    CHECK(has_route(6, "2001:db8:aa::", 48, index, 254, 9));
    CHECK(has_route(4, "203.0.113.1", 32, index, 255, 0));    /* the own address */
    CHECK(!has_route(4, "203.0.113.255", 32, index, 255, 0)); /* broadcast */

    count = net_interfaces(&links);
    for (int i = 0; i < count; i++)
        found |= strcmp(links[i].name, "nl0") == 0 && links[i].ifindex == index && links[i].mtu == 1400 &&
                 links[i].oper_up;
    CHECK(found);
    free(links);
    count = net_addresses(0, &addresses);
    found = false;
    for (int i = 0; i < count; i++)
        found |= addresses[i].family == 4 && addresses[i].prefix_length == 24 &&
                 addresses[i].ifindex == index && addresses[i].bytes[0] == 203 && addresses[i].bytes[3] == 1;
    CHECK(found);
    free(addresses);
    CHECK(net_set_mtu(4, index, 1350) == 0 && net_mtu(4, index, &mtu) == 0 && mtu == 1350);
    CHECK(net_set_mtu(6, index, 1300) == 0 && net_mtu(6, index, &mtu) == 0 && mtu == 1300);
    CHECK(net_mtu(4, index, &mtu) == 0 && mtu == 1350);
    CHECK(net_mtu(4, 9999, &mtu) < 0);
    changes = 0;
    side_command("ip link del nl0");
    CHECK(side_wait(all_changes, &changes, 3000));
    net_unsubscribe(on_change, &changes);
    changes = 0;
    side_command("ip link add nl1 type veth peer name nl1p && ip link del nl1");
    side_sleep_ms(20);
    CHECK(changes == 0);
    checks_hand_over();
}
