/* Data messages: staging, order, padding, replay, counters, who may use which address. */
#include "directed.h"
#include <string.h>

/* Exactly 128 wait; one more drops the oldest. */
static void exactly_128_staged(void)
{
    fixture(4);
    peer.no_response = true;
    for (int i = 0; i < 129; i++)
        node_to_peer();
    sleep_s(3);
    peer.no_response = false;
    sleep_s(4);
    EXPECT(flow_received(flow_out) == 128, "%u of 129 staged packets came", flow_received(flow_out));
    EXPECT(!flow_was_received(flow_out, 0) && flow_was_received(flow_out, 1), "not the oldest was dropped");
}

static void staged_128_all_flow(void)
{
    fixture(4);
    for (int i = 0; i < 128; i++)
        node_to_peer();
    sleep_s(2);
    EXPECT(flow_received(flow_out) == 128, "%u of 128 staged packets came", flow_received(flow_out));
}

/* Every size: multiples of 16, but never beyond the MTU. */
static void padding_stops_at_the_mtu(void)
{
    static const uint32_t mtus[] = {1420, 1299, 1280};
    fixture(4);
    for (uint32_t m = 0; m < 3; m++) {
        sim->set_mtu(node.adapter, mtus[m]);
        sleep_s(2);
        for (uint32_t length = 40; length <= mtus[m]; length += length > mtus[m] - 40 ? 1 : 29) {
            uint64_t data = peer_count(&peer, GOT_DATA);
            node_send(&node, flow_out, length);
            EXPECT(peer_wait(&peer, GOT_DATA, data + 1, now_ns() + NS_PER_SECOND), "no packet of %u bytes",
                   length);
            uint32_t padded = peer_last(&peer, GOT_DATA, 0)->length - 32;
            uint32_t wanted = (length + 15) / 16 * 16;
            wanted = wanted > mtus[m] ? mtus[m] : wanted;
            EXPECT(padded == wanted, "%u bytes under MTU %u are padded to %u, not %u", length, mtus[m],
                   padded, wanted);
        }
    }
}

static void order_is_kept_across_rekeys(void)
{
    fixture(4);
    peer_set_automatic(&peer, true, 0);
    for (int i = 0; i < 40; i++) {
        for (int burst = 0; burst < 20; burst++) {
            node_to_peer();
            peer_to_node();
        }
        sleep_s(10);
    }
    EXPECT(flow_received(flow_out) == flow_sent(flow_out), "%u of %u packets out", flow_received(flow_out),
           flow_sent(flow_out));
    EXPECT(flow_received(flow_in) == flow_sent(flow_in), "%u of %u packets in", flow_received(flow_in),
           flow_sent(flow_in));
    EXPECT(wire_count(1) + peer_count(&peer, GOT_RESPONSE) >= 3, "no rekeys");
}

/* A session comes while there is no memory to send what has waited for it, but still a small batch from
 * before for a later packet: what waits is lost rather than overtaken. */
static void order_is_kept_without_memory(void)
{
    for (int i = 0; i < 5; i++) {
        fixture(4);
        session_by_peer(); /* leaves batches for one message and for a few received ones */
        sleep_s(200);
        peer.no_response = peer.no_confirm = true;
        for (int burst = 0; burst < 5; burst++)
            node_to_peer();
        sleep_ms(100);
        peer_initiate(&peer, NULL);
        sleep_ms(100);
        allocations_fail = true;
        sim->fail_allocations(65536);
        EXPECT(peer_send_plain(&peer, NULL, 0), "the peer has no session");
        sleep_ms(100);
        node_to_peer();
        sleep_ms(100);
        sim->fail_allocations(0);
        allocations_fail = false;
        EXPECT(peer_send_plain(&peer, NULL, 0), "the peer has no session");
        sleep_ms(100);
        node_to_peer();
        must_reach_peer(&peer);
        fixture_end();
    }
    fixture(4);
}

static void send_with_counter(struct peer_session *session, uint64_t counter, bool accepted)
{
    uint8_t packet[128] = {0}, wire[256];
    uint32_t number = flow_sent(flow_in);
    uint32_t length = flow_build(flow_in, packet, 112, accepted ? 0 : END_NONE);
    peer_send_raw(&peer, wire, peer_seal(session, counter, packet, length, wire));
    sleep_ms(50);
    EXPECT(flow_was_received(flow_in, number) == accepted, "counter %llx was %s", (unsigned long long)counter,
           accepted ? "refused" : "accepted");
}

static void replay_window(void)
{
    fixture(4);
    flow_unordered();
    session_by_peer();
    struct peer_session *session = peer_session(&peer);
    send_with_counter(session, 20000, true);
    send_with_counter(session, 20000, false);
    send_with_counter(session, 19999, true);
    send_with_counter(session, 20000 - 8127, true);
    send_with_counter(session, 20000 - 8127, false);
    send_with_counter(session, 20000 - 8200, false);
    send_with_counter(session, 5, false);
    send_with_counter(session, 20001, true);
    send_with_counter(session, 1000000, true);
    send_with_counter(session, 20002, false);
}

static void counter_limits(void)
{
    fixture(4);
    flow_unordered();
    session_by_peer();
    struct peer_session *session = peer_session(&peer);
    send_with_counter(session, REJECT_AFTER_MESSAGES - 1, true);
    send_with_counter(session, REJECT_AFTER_MESSAGES - 1, false);
    send_with_counter(session, REJECT_AFTER_MESSAGES, false);
    send_with_counter(session, UINT64_MAX, false);
    send_with_counter(session, REJECT_AFTER_MESSAGES - 2, true);
}

static void inner_packets_are_checked(void)
{
    struct inner_address ours = inner_of(1, 4, 1), theirs = inner_of(0, 4, 1), ours6 = inner_of(1, 6, 1),
                         theirs6 = inner_of(0, 6, 1);
    uint8_t packet[256];
    fixture(4);
    session_by_peer();
    uint64_t before = node.packets_in;
    for (uint32_t length = 1; length < 40; length++) { /* shorter than a header, or longer than it says */
        memset(packet, 0, sizeof(packet));
        ip_header(packet, 64, &ours, &theirs);
        peer_send_plain(&peer, packet, length);
        ip_header(packet, 100, &ours6, &theirs6);
        peer_send_plain(&peer, packet, length);
    }
    for (int version = 0; version < 16; version++) {
        if (version == 4 || version == 6)
            continue;
        memset(packet, 0, sizeof(packet));
        ip_header(packet, 96, &ours, &theirs);
        packet[0] = (uint8_t)(version << 4 | 5);
        peer_send_plain(&peer, packet, 96);
    }
    static const uint16_t totals[] = {0, 1, 19, 97, 0xffff};
    for (int i = 0; i < 5; i++) {
        memset(packet, 0, sizeof(packet));
        ip_header(packet, 96, &ours, &theirs);
        packet[2] = (uint8_t)(totals[i] >> 8);
        packet[3] = (uint8_t)totals[i];
        peer_send_plain(&peer, packet, 96);
    }
    static const uint16_t payloads[] = {57, 0x8000, 0xffff};
    for (int i = 0; i < 3; i++) {
        memset(packet, 0, sizeof(packet));
        ip_header(packet, 96, &ours6, &theirs6);
        packet[4] = (uint8_t)(payloads[i] >> 8);
        packet[5] = (uint8_t)payloads[i];
        peer_send_plain(&peer, packet, 96);
    }
    sleep_s(1);
    EXPECT(node.packets_in == before, "%llu malformed packets were handed up",
           (unsigned long long)(node.packets_in - before));
    must_reach_node(&peer);
}

static void spoofed_source_is_dropped(void)
{
    fixture(4);
    peer_open(&second, 2, 4, &node);
    peer_configure(&second, true, 0);
    session_by_peer();
    uint64_t before = node.packets_in;
    struct inner_address to = inner_of(0, 4, 1);
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct inner_address destination = inner_of(0, family, 1);
        struct inner_address of_second = inner_of(2, family, 1), of_nobody = inner_of(9, family, 1);
        peer_send(&peer, flow_new(1, &of_second, &destination, true), 0);
        peer_send(&peer, flow_new(1, &of_nobody, &destination, true), 0);
    }
    sleep_ms(200);
    EXPECT(node.packets_in == before, "a spoofed source was handed up");
    /* The packet was authentic all the same: the endpoint follows it. */
    peer_move(&peer);
    struct inner_address of_second = inner_of(2, 4, 1);
    peer_send(&peer, flow_new(1, &of_second, &to, true), 0);
    sleep_ms(100);
    must_reach_peer(&peer);
}

static void longest_prefix_wins(void)
{
    static struct config config;
    fixture(4);
    peer_open(&second, 2, 4, &node);
    peer_configure(&second, true, 0);
    struct inner_address part = inner_of(1, 4, 77), all = {.family = 4}, outside = {.family = 4};
    memcpy(outside.bytes, (uint8_t[]){172, 16, 1, 1}, 4);
    config_begin(&config);
    config_peer(&config, second.identity.public_key, WYRM_PEER_UPDATE_ONLY);
    config_allowed_ip(&config, &part, 32, 0);
    config_allowed_ip(&config, &all, 0, 0);
    EXPECT(node_set(&node, &config) == STATUS_OK, "SET of allowed IPs");
    sleep_s(1);
    struct inner_address from = inner_of(0, 4, 1), other = inner_of(1, 4, 78);
    int to_part = flow_new(0, &from, &part, true), to_other = flow_new(0, &from, &other, true),
        to_outside = flow_new(0, &from, &outside, true);
    node_send(&node, to_part, 0);
    node_send(&node, to_other, 0);
    node_send(&node, to_outside, 0);
    sleep_s(1);
    EXPECT(peer_count(&second, GOT_DATA) == 2 && peer_count(&peer, GOT_DATA) == 1,
           "packets went to the wrong peers");
}

static void prefix_moves_under_traffic(void)
{
    static struct config config;
    fixture(4);
    peer_open(&second, 2, 4, &node);
    peer_configure(&second, true, 0);
    session_by_node();
    struct inner_address moving = inner_of(7, 4, 1), from = inner_of(0, 4, 1);
    int flow = flow_new(0, &from, &moving, false);
    for (int i = 0; i < 20; i++) {
        config_begin(&config);
        config_peer(&config, i % 2 ? second.identity.public_key : peer.identity.public_key,
                    WYRM_PEER_UPDATE_ONLY);
        config_allowed_ip(&config, &moving, 24, 0);
        EXPECT(node_set(&node, &config) == STATUS_OK, "SET of a moving prefix");
        for (int k = 0; k < 10; k++) {
            node_send(&node, flow, 0);
            sleep_ms(50);
        }
    }
    sleep_s(1);
    EXPECT(flow_received(flow) == flow_sent(flow), "%u of %u packets came", flow_received(flow),
           flow_sent(flow));
}

static void unrouted_packets_go_nowhere(void)
{
    fixture(4);
    session_by_node();
    struct inner_address from = inner_of(0, 4, 1), nowhere = inner_of(99, 4, 1);
    uint64_t before = wire_count(0);
    node_send(&node, flow_new(0, &from, &nowhere, true), 0);
    sleep_s(20);
    EXPECT(wire_count(0) <= before + 1, "a packet without a peer was sent");
}

/* Byte counters: outer bytes, both ways, handshakes and keepalives included. */
static void byte_counters(void)
{
    fixture(4);
    session_by_peer();
    struct wyrm_ioctl_peer before = node_get_peer(&node, peer.identity.public_key);
    EXPECT(before.rx_bytes == 148 + 32 && before.tx_bytes == 92, "after a handshake rx %llu, tx %llu",
           (unsigned long long)before.rx_bytes, (unsigned long long)before.tx_bytes);
    for (int i = 0; i < 10; i++) {
        node_send(&node, flow_out, 84);
        peer_send(&peer, flow_in, 84);
    }
    sleep_s(1);
    struct wyrm_ioctl_peer after = node_get_peer(&node, peer.identity.public_key);
    EXPECT(after.rx_bytes - before.rx_bytes == 1280 && after.tx_bytes - before.tx_bytes == 1280,
           "after 10 packets of 84 bytes rx %llu, tx %llu",
           (unsigned long long)(after.rx_bytes - before.rx_bytes),
           (unsigned long long)(after.tx_bytes - before.tx_bytes));
    EXPECT(after.last_handshake != 0, "no time of the last handshake");
}

#define OVERLOAD_PACKETS 64
#define OVERLOAD_BYTES   1400
#define OVERLOAD_BURSTS  300

struct overload {
    int flow;
    uint32_t first;
    uint64_t sent_ns[OVERLOAD_BURSTS], waited_ns[OVERLOAD_BURSTS];
};

static void overload_burst(struct overload *overload, uint32_t burst)
{
    overload->sent_ns[burst] = now_ns();
    for (uint32_t i = 0; i < OVERLOAD_PACKETS; i++) {
        if (overload->flow == flow_out)
            node_send(&node, flow_out, OVERLOAD_BYTES);
        else
            peer_send(&peer, flow_in, OVERLOAD_BYTES);
    }
}

/* The average wait of those bursts of which the first packet arrived, in milliseconds. */
static uint32_t overload_run(int flow, uint32_t bursts)
{
    struct overload overload = {.flow = flow, .first = flow_sent(flow)};
    uint64_t sum_ns = 0;
    uint32_t arrived = 0;
    for (uint32_t burst = 0; burst < 2 * bursts; burst++) {
        if (burst < bursts)
            overload_burst(&overload, burst);
        sleep_ms(5);
        for (uint32_t i = 0; i < bursts && i <= burst; i++)
            if (!overload.waited_ns[i] && flow_was_received(flow, overload.first + i * OVERLOAD_PACKETS))
                overload.waited_ns[i] = now_ns() - overload.sent_ns[i];
    }
    for (uint32_t i = 0; i < bursts; i++) {
        arrived += overload.waited_ns[i] != 0;
        sum_ns += overload.waited_ns[i];
    }
    EXPECT(arrived > 0, "nothing arrived");
    return (uint32_t)(sum_ns / arrived / NS_PER_MS);
}

/* The one worker of a run with stalls, one processor and a small PassBudget falls behind, and then again. How
 * long packets waited is said for the suite, which compares it with runs without QueueLimit. */
static void overload_passes(void)
{
    fixture(4);
    session_by_node();
    uint32_t waited_ms = overload_run(flow_out, OVERLOAD_BURSTS);
    sleep_s(10);
    must_reach_peer(&peer);
    overload_run(flow_in, OVERLOAD_BURSTS / 3); /* the event loop takes long for it as well */
    sleep_s(100);
    must_reach_node(&peer);
    sim->log("waited %u ms", waited_ms);
}

const struct directed directed_data[] = {
    {"exactly-128-staged", exactly_128_staged},
    {"staged-128-all-flow", staged_128_all_flow},
    {"padding-stops-at-the-mtu", padding_stops_at_the_mtu},
    {"order-is-kept-across-rekeys", order_is_kept_across_rekeys},
    {"order-is-kept-without-memory", order_is_kept_without_memory},
    {"replay-window", replay_window},
    {"counter-limits", counter_limits},
    {"inner-packets-are-checked", inner_packets_are_checked},
    {"spoofed-source-is-dropped", spoofed_source_is_dropped},
    {"longest-prefix-wins", longest_prefix_wins},
    {"prefix-moves-under-traffic", prefix_moves_under_traffic},
    {"unrouted-packets-go-nowhere", unrouted_packets_go_nowhere},
    {"byte-counters", byte_counters},
    {"overload-passes", overload_passes},
    {NULL, NULL},
};
