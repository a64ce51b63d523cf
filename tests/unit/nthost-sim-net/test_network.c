/* The simulated network: conditions of paths, translation, forged sources, the tap; addresses and routes. */
#include "check.h"
#include "network_test.h"

#include "edge/edge.h"

#include <stdlib.h>

#define MANY    4000u
#define MS      1000000ull
#define CHANCE  16384u /* a quarter */
#define QUARTER (MANY / 4)

const struct sim_address machine4 = {.family = 4, .bytes = {192, 0, 2, 1}};
const struct sim_address machine6 = {.family = 6, .bytes = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};

struct sim_address at_port(const struct sim_address *host, uint16_t port)
{
    struct sim_address address = *host;

    address.port = __builtin_bswap16(port);
    return address;
}

struct sim_address peer4(uint8_t last, uint16_t port)
{
    struct sim_address host = {.family = 4, .bytes = {198, 51, 100, last}};

    return at_port(&host, port);
}

struct seen { /* by an endpoint or a tap */
    uint32_t count, wrong, reordered, bits_changed, taps;
    uint32_t last;
    struct sim_address from, to;
    uint32_t length;
    uint64_t first_ns, last_ns;
};

/* Each datagram carries its number four times, so that one changed bit is recognised and mended. */
static void fill(uint8_t *data, uint32_t number)
{
    for (unsigned i = 0; i < 4; i++)
        memcpy(data + 4 * i, &number, 4);
}

static void note(struct seen *seen, const uint8_t *data, uint32_t length)
{
    uint32_t words[4], number;

    seen->count++;
    seen->length = length;
    seen->last_ns = sched_time_ns();
    if (seen->count == 1)
        seen->first_ns = seen->last_ns;
    if (length != sizeof words)
        return;
    memcpy(words, data, sizeof words);
    number = words[0] == words[1] || words[0] == words[2] ? words[0] : words[1];
    for (unsigned i = 0; i < 4; i++)
        seen->bits_changed += (uint32_t)__builtin_popcount(words[i] ^ number);
    if (number > MANY)
        seen->wrong++;
    seen->reordered += seen->count > 1 && number < seen->last;
    seen->last = number;
}

static void on_endpoint(void *context, struct sim_endpoint *endpoint, const struct sim_address *from,
                        const uint8_t *data, uint32_t length)
{
    struct seen *seen = context;

    (void)endpoint;
    seen->from = *from;
    note(seen, data, length);
}

static void on_tap(void *context, const struct sim_datagram *datagram)
{
    struct seen *seen = context;

    seen->taps++;
    seen->from = datagram->from;
    seen->to = datagram->to;
    seen->length = datagram->length;
}

static void on_socket(void *context, struct udp_datagram *datagrams, unsigned count, void *token)
{
    struct seen *seen = context;

    for (unsigned i = 0; i < count; i++) {
        uint32_t step = datagrams[i].segment ? datagrams[i].segment : datagrams[i].length;

        for (uint32_t at = 0; at < datagrams[i].length; at += step)
            note(seen, datagrams[i].data + at, step);
        seen->from.family = datagrams[i].from.family;
        seen->from.port = datagrams[i].from.port;
        memcpy(seen->from.bytes, datagrams[i].from.bytes, 16);
        seen->to.family = datagrams[i].to.family;
        seen->to.port = datagrams[i].to.port;
        memcpy(seen->to.bytes, datagrams[i].to.bytes, 16);
    }
    udp_buffer_release(token);
}

static struct udp_socket *open_at(uint16_t port, struct seen *seen)
{
    struct udp_address any = {.family = 4, .port = __builtin_bswap16(port)};
    struct udp_socket *socket;

    CHECK(udp_open(4, true, on_socket, seen, &socket) == 0);
    CHECK(udp_bind(socket, &any) == 0);
    return socket;
}

/* Through EAGAIN, as a driver would. */
static int send_to(struct udp_socket *socket, const struct sim_address *to, const void *data, uint32_t length)
{
    struct udp_address target = {.family = to->family, .port = to->port};
    struct iovec iov = {(void *)(uintptr_t)data, length};
    int error;

    memcpy(target.bytes, to->bytes, 16);
    do {
        error = udp_send(socket, &iov, 1, 0, &target, NULL, 0);
    } while (error == -EAGAIN);
    return error;
}

/* `count` numbered datagrams from an endpoint of its own to `to` under `conditions`. */
static struct seen run_path(const struct sim_path *conditions, uint32_t count)
{
    struct sim_address to = peer4(9, 1000), from = peer4(8, 1000);
    struct seen seen = {0};
    struct sim_endpoint *sender = sim_endpoint_open(&from, on_endpoint, &seen);
    struct sim_endpoint *receiver = sim_endpoint_open(&to, on_endpoint, &seen);
    uint8_t data[16];

    CHECK(sender && receiver);
    sim_path(&to, conditions);
    for (uint32_t i = 0; i < count; i++) {
        fill(data, i + 1);
        sim_endpoint_send(sender, &to, data, sizeof data);
    }
    world_run();
    sim_path(&to, NULL);
    sim_endpoint_close(sender);
    sim_endpoint_close(receiver);
    return seen;
}

static bool about(uint32_t value, uint32_t expected)
{
    return value > expected - expected / 5 && value < expected + expected / 5;
}

static void test_paths(void)
{
    uint64_t start = sched_time_ns();
    struct sim_network_counts before, after;
    struct seen seen = run_path(&(struct sim_path){0}, MANY);

    CHECK(seen.count == MANY && seen.reordered == 0 && seen.bits_changed == 0);
    CHECK(seen.last_ns == start); /* a perfect path takes no time */

    seen = run_path(&(struct sim_path){.latency_ns = 30 * MS}, MANY);
    CHECK(seen.count == MANY && seen.reordered == 0);
    CHECK(seen.first_ns == start + 30 * MS && seen.last_ns == start + 30 * MS);

    start = sched_time_ns();
    seen = run_path(&(struct sim_path){.latency_ns = 10 * MS, .jitter_ns = 5 * MS}, MANY);
    CHECK(seen.count == MANY && seen.reordered > MANY / 4); /* jitter reorders */
    CHECK(seen.first_ns >= start + 10 * MS && seen.last_ns <= start + 15 * MS);
    CHECK(seen.last_ns > start + 14 * MS);

    before = sim_network_counts();
    seen = run_path(&(struct sim_path){.loss = CHANCE}, MANY);
    after = sim_network_counts();
    CHECK_MSG(about(MANY - seen.count, QUARTER), "%u of %u lost", MANY - seen.count, MANY);
    CHECK(after.lost - before.lost == MANY - seen.count);
    CHECK(run_path(&(struct sim_path){.loss = 65536}, 100).count == 0);

    seen = run_path(&(struct sim_path){.duplicate = CHANCE}, MANY);
    CHECK_MSG(about(seen.count - MANY, QUARTER), "%u duplicated", seen.count - MANY);

    seen = run_path(&(struct sim_path){.corrupt = CHANCE}, MANY);
    CHECK_MSG(seen.count == MANY && about(seen.bits_changed, QUARTER), "%u bits", seen.bits_changed);

    CHECK(run_path(&(struct sim_path){.mtu = 15}, 10).count == 0);
    CHECK(run_path(&(struct sim_path){.mtu = 16}, 10).count == 10);
    CHECK(run_path(&(struct sim_path){.down = true}, 10).count == 0);

    /* The default, a host, and a port of it: the most specific counts. */
    struct sim_address host = peer4(9, 0), port = peer4(9, 1000);

    sim_path(NULL, &(struct sim_path){.down = true});
    CHECK(run_path(NULL, 10).count == 0);
    sim_path(&host, &(struct sim_path){0});
    CHECK(run_path(NULL, 10).count == 10);
    CHECK(run_path(&(struct sim_path){.down = true}, 10).count == 0);
    sim_path(&port, NULL);
    sim_path(&host, NULL);
    CHECK(run_path(NULL, 10).count == 0);
    sim_path(NULL, NULL);
    CHECK(run_path(NULL, 10).count == 10);
}

/* A flood to a far place is cut off, not stored without end. */
static void test_bounds(void)
{
    struct sim_network_counts before = sim_network_counts(), after;
    struct seen seen = run_path(&(struct sim_path){.latency_ns = MS}, 70000);

    after = sim_network_counts();
    CHECK(seen.count < 70000 && seen.count >= 60000);
    CHECK(after.overflowed - before.overflowed == 70000 - seen.count);
}

static void test_delivery(void)
{
    struct seen at_peer = {0}, at_socket = {0}, at_other = {0}, tapped = {0};
    struct sim_address peer = peer4(1, 51820), moved = peer4(2, 51821), own = at_port(&machine4, 5000);
    struct sim_address other = at_port(&machine4, 5001), forged = peer4(77, 7), nobody = peer4(200, 1);
    struct udp_socket *socket = open_at(5000, &at_socket), *second = open_at(5001, &at_other);
    struct sim_endpoint *endpoint = sim_endpoint_open(&peer, on_endpoint, &at_peer);
    struct sim_network_counts before;
    uint8_t data[16];

    fill(data, 1);
    CHECK(!sim_endpoint_open(&peer, on_endpoint, &at_peer)); /* taken */
    CHECK(!sim_endpoint_open(&own, on_endpoint, &at_peer));  /* the machine's */
    sim_tap(on_tap, &tapped);
    sim_path(&peer, &(struct sim_path){.down = true}); /* the tap is in front of it */
    CHECK(send_to(socket, &peer, data, sizeof data) == 0);
    CHECK(tapped.taps == 0); /* never inside of the driver */
    world_run();
    CHECK(tapped.taps == 1 && at_peer.count == 0 && sim_same_address(&tapped.from, &own) &&
          sim_same_address(&tapped.to, &peer) && tapped.length == sizeof data);
    sim_path(&peer, NULL);
    send_to(socket, &peer, data, sizeof data);
    world_run();
    CHECK(at_peer.count == 1 && sim_same_address(&at_peer.from, &own));

    sim_endpoint_send(endpoint, &own, data, sizeof data);
    world_run();
    CHECK(at_socket.count == 1 && sim_same_address(&at_socket.from, &peer) &&
          sim_same_host(&at_socket.to, &own) && at_socket.to.port == 0 && at_other.count == 0);
    CHECK(tapped.taps == 2); /* not what comes from endpoints */

    sim_endpoint_move(endpoint, &moved);
    send_to(socket, &peer, data, sizeof data); /* nobody there now */
    sim_endpoint_send(endpoint, &own, data, sizeof data);
    world_run();
    CHECK(at_peer.count == 1 && sim_same_address(&at_socket.from, &moved));
    sim_inject(&forged, &own, data, sizeof data);
    world_run();
    CHECK(at_socket.count == 3 && sim_same_address(&at_socket.from, &forged));

    send_to(socket, &other, data, sizeof data); /* two sockets of the machine */
    world_run();
    CHECK(at_other.count == 1 && sim_same_address(&at_other.from, &own));
    before = sim_network_counts();
    send_to(socket, &nobody, data, sizeof data);
    world_run();
    CHECK(sim_network_counts().unreachable == before.unreachable + 1);

    /* Closed: what was on its way is dropped. */
    sim_endpoint_send(endpoint, &own, data, sizeof data);
    udp_close(socket);
    world_run();
    CHECK(at_socket.count == 3);
    udp_close(second);
    sim_endpoint_close(endpoint);
    sim_tap(NULL, NULL);
}

static void test_translation(void)
{
    struct seen at_peer = {0}, at_socket = {0}, at_other = {0};
    struct sim_address peer = peer4(1, 51820), own = at_port(&machine4, 5000);
    struct sim_address outside = {.family = 4, .port = 0x1234, .bytes = {203, 0, 113, 5}}, second = outside;
    struct udp_socket *socket = open_at(5000, &at_socket), *other = open_at(5001, &at_other);
    struct sim_endpoint *endpoint = sim_endpoint_open(&peer, on_endpoint, &at_peer);
    uint8_t data[16];

    fill(data, 1);
    sim_translate(own.port, &outside);
    send_to(socket, &peer, data, sizeof data);
    world_run();
    CHECK(at_peer.count == 1 && sim_same_address(&at_peer.from, &outside));
    sim_endpoint_send(endpoint, &outside, data, sizeof data);
    world_run();
    CHECK(at_socket.count == 1 && sim_same_host(&at_socket.to, &machine4));
    sim_endpoint_send(endpoint, &own, data, sizeof data); /* hidden behind the NAT */
    world_run();
    CHECK(at_socket.count == 1);
    send_to(other, &own, data, sizeof data); /* but not to the machine itself */
    world_run();
    CHECK(at_socket.count == 2 && sim_same_host(&at_socket.from, &machine4));
    send_to(other, &peer, data, sizeof data); /* that port is not translated */
    world_run();
    CHECK(at_peer.count == 2 && sim_same_host(&at_peer.from, &machine4));

    second.port = 0x4321; /* the mapped port changes: the old one is dead */
    sim_translate(own.port, &second);
    sim_endpoint_send(endpoint, &outside, data, sizeof data);
    world_run();
    CHECK(at_socket.count == 2);
    sim_endpoint_send(endpoint, &second, data, sizeof data);
    send_to(socket, &peer, data, sizeof data);
    world_run();
    CHECK(at_socket.count == 3 && sim_same_address(&at_peer.from, &second));
    /* The same address as the machine's with another port. */
    second = at_port(&machine4, 40000);
    sim_translate(own.port, &second);
    sim_endpoint_send(endpoint, &second, data, sizeof data);
    sim_endpoint_send(endpoint, &own, data, sizeof data);
    world_run();
    CHECK(at_socket.count == 4);
    sim_translate(own.port, NULL);
    sim_endpoint_send(endpoint, &second, data, sizeof data);
    sim_endpoint_send(endpoint, &own, data, sizeof data);
    world_run();
    CHECK(at_socket.count == 5);
    udp_close(socket);
    udp_close(other);
    sim_endpoint_close(endpoint);
}

/* ---- addresses and routes ---- */

struct changes {
    uint32_t routes, addresses, links;
    uint32_t ifindex;
};

static void on_change(void *context, unsigned mask, uint32_t ifindex)
{
    struct changes *changes = context;

    changes->routes += (mask & NET_CHANGED_ROUTE) != 0;
    changes->addresses += (mask & NET_CHANGED_ADDRESS) != 0;
    changes->links += (mask & NET_CHANGED_LINK) != 0;
    changes->ifindex = ifindex;
}

static void on_packets(void *context, struct tun_packet *packets, unsigned count)
{
    (void)context, (void)packets, (void)count;
}

static void test_routes(void)
{
    struct sim_address second = {.family = 4, .bytes = {192, 0, 2, 77}};
    struct sim_address prefix = {.family = 4, .bytes = {10}};
    struct changes changes = {0};
    struct interface_entry *interfaces;
    struct address_entry *addresses;
    struct route_entry *routes;
    struct tun *tun, *again;
    char error[128];
    uint32_t mtu = 0;

    CHECK(net_subscribe(on_change, &changes) == 0);
    CHECK(net_addresses(4, &addresses) == 1 && memcmp(addresses[0].bytes, machine4.bytes, 4) == 0);
    free(addresses);
    CHECK(net_addresses(0, &addresses) == 2);
    free(addresses);
    sim_machine_address(&second, true);
    CHECK(changes.addresses == 0); /* told on the loop, later */
    world_run();
    CHECK(changes.addresses == 1 && changes.routes == 1 && changes.ifindex == SIM_NETWORK_IFINDEX);
    sim_machine_address(&second, true); /* no change */
    world_run();
    CHECK(changes.addresses == 1);
    CHECK(net_routes(4, &routes) == 3 && routes[0].prefix_length == 0 && routes[1].prefix_length == 32);
    free(routes);
    CHECK(net_routes(0, &routes) == 5);
    free(routes);

    CHECK(tun_open("wy0", true, on_packets, NULL, &tun, error, sizeof error) == 0);
    CHECK(tun_open("wy0", true, on_packets, NULL, &again, error, sizeof error) == -EBUSY && !again);
    world_run();
    CHECK(changes.links == 1 && changes.ifindex == tun_ifindex(tun) && tun_ifindex(tun) > 1);
    CHECK(net_interfaces(&interfaces) == 2 && strcmp(interfaces[1].name, "wy0") == 0 &&
          !interfaces[1].oper_up && interfaces[0].oper_up && interfaces[0].type == 1);
    free(interfaces);
    tun_set_link(tun, true);
    CHECK(tun_set_mtu(tun, 1420) == 0 && tun_set_mtu(tun, 1420) == 0); /* the second is no change */
    CHECK(net_mtu(4, tun_ifindex(tun), &mtu) == 0 && mtu == 1420);
    CHECK(net_set_mtu(6, tun_ifindex(tun), 1300) == 0 && net_mtu(6, tun_ifindex(tun), &mtu) == 0 &&
          mtu == 1300);
    CHECK(net_set_mtu(6, tun_ifindex(tun), 1200) == -EINVAL && tun_set_mtu(tun, 10) == -EINVAL);
    CHECK(net_set_mtu(4, tun_ifindex(tun), 1000) == 0 && net_mtu(6, tun_ifindex(tun), &mtu) == -ENOENT);
    CHECK(net_mtu(4, 99, &mtu) == -ENODEV);
    world_run();
    CHECK(changes.links == 4);
    sim_route(tun_ifindex(tun), &prefix, 8, 5, true);
    CHECK(net_routes(4, &routes) == 4 && routes[3].ifindex == tun_ifindex(tun) && routes[3].metric == 5);
    free(routes);
    tun_close(tun);
    CHECK(net_routes(4, &routes) == 3); /* routes go with their interface */
    free(routes);
    CHECK(net_interfaces(&interfaces) == 1);
    free(interfaces);

    sim_machine_address(&second, false);
    world_run();
    net_unsubscribe(on_change, &changes);
    sim_machine_address(&second, true);
    sim_machine_address(&second, false);
    world_run();
    CHECK(changes.addresses == 2);
}

int main(void)
{
    sim_edges_use();
    world_seed(4711);
    sim_machine_address(&machine4, true);
    sim_machine_address(&machine6, true);
    world_run();
    test_paths();
    test_bounds();
    test_delivery();
    test_translation();
    test_routes();
    test_sockets();
    test_tun();
    return check_summary();
}
