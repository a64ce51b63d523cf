/* See self_check.h. */
#include "self_check.h"
#include "directed.h"
#include <string.h>

static void noticed(const char *rule, bool is)
{
    if (!is)
        sim->fail("self-check: a violation of '%s' was not noticed", rule);
    sim->log("noticed: %s", rule);
}
#define MUST_NOTICE(rule)     noticed(rule, violation_noticed(rule))
#define MUST_NOT_NOTICE(rule) noticed("nothing", !violation_noticed(rule))

static void wire_checks(void)
{
    uint8_t bytes[160] = {MESSAGE_DATA};
    struct sim_datagram datagram = {.adapter = node.adapter, .data = bytes, .length = 48};
    store_le32(bytes + 4, 77);
    wire_datagram(&datagram);
    store_le64(bytes + 8, 5);
    wire_datagram(&datagram);
    store_le64(bytes + 8, 3);
    wire_datagram(&datagram);
    MUST_NOT_NOTICE("nonce-reuse");
    bytes[40] ^= 1;
    wire_datagram(&datagram);
    MUST_NOTICE("nonce-reuse");
    store_le64(bytes + 8, 9000);
    wire_datagram(&datagram);
    store_le64(bytes + 8, 4);
    wire_datagram(&datagram);
    MUST_NOTICE("counter-too-old");
    datagram.length = 31;
    wire_datagram(&datagram);
    MUST_NOTICE("illegal-message");
    datagram.length = 147;
    bytes[0] = MESSAGE_INITIATION;
    wire_datagram(&datagram);
    MUST_NOTICE("illegal-message");
    sleep_s(181);
    bytes[0] = MESSAGE_DATA;
    datagram.length = 48;
    store_le64(bytes + 8, 9001);
    wire_datagram(&datagram);
    MUST_NOTICE("session-too-old");
}

static void flow_checks(void)
{
    uint8_t first[100], later[100], changed[100];
    int flow = flow_between(1, 0, 4);
    uint32_t length = flow_build(flow, first, 100, 0);
    flow_build(flow, later, 100, 0);
    flow_delivered(0, later, length);
    MUST_NOT_NOTICE("delivered-twice");
    flow_delivered(0, later, length);
    MUST_NOTICE("delivered-twice");
    flow_delivered(0, first, length);
    MUST_NOTICE("delivered-out-of-order");
    flow_build(flow, changed, 100, 0);
    changed[60] ^= 1;
    flow_delivered(0, changed, length);
    MUST_NOTICE("delivered-changed");
    flow_build(flow, first, 100, 0);
    flow_delivered(0, first, length - 1);
    MUST_NOTICE("delivered-changed");
    flow_build(flow, first, 100, 1);
    flow_delivered(0, first, length);
    MUST_NOTICE("delivered-to-wrong-end");
    store_le32(first + 32, 12345678);
    flow_delivered(0, first, length);
    MUST_NOTICE("delivered-unknown");
    flow_delivered(0, first, 10);
    MUST_NOTICE("delivered-malformed");
}

static void node_checks(void)
{
    uint8_t packet[100];
    struct inner_address of_second = inner_of(2, 4, 1), to = inner_of(0, 4, 1);
    sleep_s(1);
    uint32_t length = flow_build(flow_new(1, &of_second, &to, true), packet, 100, 0);
    node_packet(&node, packet, length);
    MUST_NOTICE("source-not-allowed");
    node.paused = true;
    node.paused_ns = now_ns() - stalls_ns();
    length = flow_build(flow_in, packet, 100, 0);
    node_packet(&node, packet, length);
    MUST_NOTICE("received-while-paused");
    node.paused = false;
    node_check(&node);
    MUST_NOT_NOTICE("configuration");
    struct model right = node.model;
    node.model.peers[0].keepalive++;
    node_check(&node);
    MUST_NOTICE("configuration");
    node.model = right;
    node.model.peers[0].ips[0].cidr--;
    node_check(&node);
    MUST_NOTICE("configuration");
    node.model = right;
    node.model.peers[0].preshared_key[3] = 1;
    node_check(&node);
    MUST_NOTICE("configuration");
    node.model = right;
    node.model.private_key[7] ^= 1;
    node_check(&node);
    MUST_NOTICE("configuration");
    node.model = right;
    node.model.peers[0].rx_bytes = UINT64_C(1) << 60;
    node_check(&node);
    MUST_NOTICE("statistics");
    node.model = right;
    node.oid_sent = UINT64_C(1) << 60;
    node_check(&node);
    MUST_NOTICE("statistics");
    node.oid_sent = 0;
}

static void secret_checks(void)
{
    session_by_node();
    secrets_expect_gone(SECRET_SESSION_KEY, 0, 1, now_ns(), "nothing at all");
    MUST_NOTICE("secret-in-memory");
    secrets_expect_gone(SECRET_PRIVATE_KEY, 0, END_ANY, now_ns(), "nothing at all");
    MUST_NOTICE("secret-in-memory");
}

void self_check(void)
{
    fixture(4);
    peer_open(&second, 2, 4, &node);
    peer_configure(&second, true, 0);
    expect_violations(true);
    flow_checks();
    node_checks();
    secret_checks();
    wire_checks();
    EXPECT(false, "an expectation");
    MUST_NOTICE("expectation");
    expect_violations(false);
    wire_forget();
}
