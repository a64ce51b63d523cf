/* Damaged, truncated, made-up and repeated messages, and paths that mistreat good ones. */
#include "directed.h"
#include <string.h>

static void inject(const void *bytes, uint32_t length)
{
    struct sim_address to = node_address(&node, 4);
    sim->inject(&peer.address, &to, bytes, length);
}

/* Every message type cut at each length, and made longer; nobody answers, all goes on. */
static void truncated_messages(void)
{
    struct message_initiation initiation;
    uint8_t data[256], bytes[512] = {0};
    fixture(4);
    session_by_peer();
    uint32_t length = peer_seal(peer_session(&peer), 90, bytes, 96, data);
    peer_build_initiation(&peer, &initiation, 0);
    uint64_t before = wire_count(0);
    for (uint32_t cut = 0; cut < sizeof(initiation) + 20; cut++) {
        if (cut == sizeof(initiation))
            continue;
        memset(bytes, 0, sizeof(bytes));
        memcpy(bytes, &initiation, cut < sizeof(initiation) ? cut : sizeof(initiation));
        inject(bytes, cut);
        sleep_ms(1);
    }
    for (uint32_t cut = 0; cut < length; cut++) {
        inject(data, cut);
        sleep_ms(1);
    }
    for (uint32_t type = 0; type < 256; type++) {
        for (uint32_t n = 0; n < 3; n++) {
            static const uint32_t lengths[] = {92, 64, 33};
            random_fill(bytes, 256);
            store_le32(bytes, type == 4 || type == 1 ? 0x04000000 : type);
            inject(bytes, lengths[n]);
        }
        sleep_ms(1);
    }
    EXPECT(wire_count(0) == before, "%llu answers to damaged messages",
           (unsigned long long)(wire_count(0) - before));
    must_reach_node(&peer);
    must_reach_peer(&peer);
}

static void flipped_bits(void)
{
    struct message_initiation initiation, damaged;
    uint8_t data[256], plain[128] = {0};
    fixture(4);
    session_by_peer();
    uint64_t before = wire_count(0), packets = node.packets_in;
    peer_build_initiation(&peer, &initiation, 0);
    for (uint32_t bit = 0; bit < 8 * (sizeof(initiation) - MAC_BYTES); bit++) { /* mac2 is not looked at */
        damaged = initiation;
        ((uint8_t *)&damaged)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        inject(&damaged, sizeof(damaged));
        sleep_ms(1);
    }
    /* With a valid mac1 each: the asymmetric part has to refuse. */
    for (uint32_t bit = 64; bit < 8 * 116; bit += 5) {
        damaged = initiation;
        ((uint8_t *)&damaged)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        struct cookie_maker maker;
        cookie_maker_init(&maker, node.model.public_key);
        cookie_maker_add_macs(&maker, &damaged, sizeof(damaged), now_ns());
        inject(&damaged, sizeof(damaged));
        sleep_ms(1);
    }
    ip_header(plain, 96, &(struct inner_address){.family = 4}, &(struct inner_address){.family = 4});
    uint32_t length = peer_seal(peer_session(&peer), 91, plain, 96, data);
    for (uint32_t bit = 0; bit < 8 * length; bit++) {
        data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        inject(data, length);
        data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        sleep_ms(1);
    }
    EXPECT(wire_count(0) == before, "%llu answers to flipped bits",
           (unsigned long long)(wire_count(0) - before));
    EXPECT(node.packets_in == packets, "a damaged packet was delivered");
    must_reach_node(&peer);
    must_reach_peer(&peer);
}

/* Everything that ever went by is repeated again and again from elsewhere, across rekeys. */
static uint8_t heard[512][256];
static uint32_t heard_length[512], heard_count;

static void hear(void *context, const struct sim_datagram *datagram)
{
    if (datagram->length <= 256 && heard_count < 512) {
        memcpy(heard[heard_count], datagram->data, datagram->length);
        heard_length[heard_count++] = datagram->length;
    }
}

static struct sim_address shown_endpoint(void)
{
    struct wyrm_ioctl_peer shown = node_get_peer(&node, peer.identity.public_key);
    return endpoint_address(&shown.endpoint);
}

static void persistent_replayer(void)
{
    struct sim_address attacker = address_v4(203, 0, 113, 9, 999), to;
    fixture(4);
    to = node_address(&node, 4);
    heard_count = 0;
    wire_listen(hear, NULL);
    peer_set_automatic(&peer, true, 0);
    for (int i = 0; i < 100; i++) {
        uint32_t out = flow_sent(flow_out);
        node_to_peer();
        peer_to_node();
        sleep_ms(50); /* what he repeats has arrived */
        for (int k = 0; k < 20 && heard_count; k++) {
            uint32_t which = random_below(heard_count);
            sim->inject(&attacker, &to, heard[which], heard_length[which]);
            sim->inject(&attacker, &peer.address, heard[which], heard_length[which]);
        }
        sleep_ms(50);
        struct sim_address endpoint = shown_endpoint();
        EXPECT(address_equal(&endpoint, &peer.address), "the replayer became the endpoint");
        sleep_s(7);
        EXPECT(i == 0 || flow_was_received(flow_out, out), "packet %d did not come", i);
    }
    wire_listen(NULL, NULL);
}

static void with_path(const struct sim_path *conditions, uint32_t percent_at_least)
{
    fixture(4);
    if (conditions->jitter_ns)
        flow_unordered();
    sim->path(NULL, conditions);
    peer_set_automatic(&peer, true, 0);
    for (int i = 0; i < 3000; i++) {
        node_to_peer();
        peer_to_node();
        sleep_ms(200);
    }
    sim->path(NULL, &(struct sim_path){.latency_ns = LATENCY_NS});
    sleep_s(7);
    must_reach_peer(&peer);
    must_reach_node(&peer);
    EXPECT(100 * flow_received(flow_out) >= percent_at_least * flow_sent(flow_out),
           "only %u of %u packets came", flow_received(flow_out), flow_sent(flow_out));
    EXPECT(100 * flow_received(flow_in) >= percent_at_least * flow_sent(flow_in),
           "only %u of %u packets came", flow_received(flow_in), flow_sent(flow_in));
}

static void lossy_path(void)
{
    with_path(&(struct sim_path){.latency_ns = 20 * NS_PER_MS, .loss = 65536 * 3 / 10}, 60);
}

static void reordering_path(void)
{
    with_path(&(struct sim_path){.latency_ns = NS_PER_MS, .jitter_ns = 900 * NS_PER_MS}, 98);
}

static void duplicating_path(void)
{
    with_path(&(struct sim_path){.latency_ns = NS_PER_MS, .duplicate = 30000}, 99);
}

static void corrupting_path(void)
{
    with_path(&(struct sim_path){.latency_ns = NS_PER_MS, .corrupt = 65536 / 5}, 70);
}

/* After a long dead link the first packet gets through within one retry. */
static void healing(void)
{
    fixture(4);
    session_by_node();
    peer_set_automatic(&peer, true, 0);
    for (int i = 0; i < 10; i++) {
        sim->path(NULL, &(struct sim_path){.down = true});
        every(NS_PER_SECOND, random_between(20, 300) * NS_PER_SECOND, node_to_peer);
        sim->path(NULL, &(struct sim_path){.latency_ns = LATENCY_NS});
        uint64_t healed_ns = now_ns();
        int ping = flow_between(0, 1, 6);
        while (flow_received(ping) == 0 && now_ns() < healed_ns + 30 * NS_PER_SECOND) {
            node_send(&node, ping, 0);
            sleep_ms(100);
        }
        EXPECT_TIME("first packet after healing", flow_last_delivery_ns(ping) - healed_ns, 0,
                    REKEY_TIMEOUT_NS + REKEY_JITTER_MAX_NS + TIMER_SLACK_NS + 4 * LATENCY_NS);
    }
}

/* A NAT whose mapping changes: the peer sees other ports, and follows. */
static void nat_changes_ports(void)
{
    fixture(4);
    const struct sim_address inside = node_address(&node, 4);
    session_by_node();
    for (int i = 0; i < 20; i++) {
        struct sim_address outside = address_v4(192, 0, 2, 200, (uint16_t)(30000 + i));
        sim->translate(inside.port, &outside);
        must_reach_peer(&peer);
        EXPECT(address_equal(&peer.remote, &outside), "the peer does not see the NAT's address");
        must_reach_node(&peer);
        sleep_s(30);
    }
    sim->translate(inside.port, NULL);
}

const struct directed directed_attacks[] = {
    {"truncated-messages", truncated_messages},   {"flipped-bits", flipped_bits},
    {"persistent-replayer", persistent_replayer}, {"lossy-path", lossy_path},
    {"reordering-path", reordering_path},         {"duplicating-path", duplicating_path},
    {"corrupting-path", corrupting_path},         {"healing", healing},
    {"nat-changes-ports", nat_changes_ports},     {NULL, NULL},
};
