/* Life of adapters and peers: pause, down, removal, power, keys that change, and what is left in memory. */
#include "directed.h"
#include <string.h>

#define PNP_QUERY_REMOVE  0x01
#define PNP_CANCEL_REMOVE 0x03
#define ADAPTER_REMOVED   ((int32_t)0xC0010018)

static void sessions_survive_pause(void)
{
    fixture(4);
    session_by_node();
    uint64_t handshakes = wire_count(MESSAGE_INITIATION) + wire_count(MESSAGE_RESPONSE);
    for (int i = 0; i < 5; i++) {
        node_pause(&node);
        sleep_s(3);
        node_restart(&node);
        must_reach_peer(&peer);
        must_reach_node(&peer);
    }
    EXPECT(wire_count(MESSAGE_INITIATION) + wire_count(MESSAGE_RESPONSE) == handshakes,
           "a pause cost a handshake");
}

static void nothing_is_received_while_paused(void)
{
    fixture(4);
    session_by_peer();
    must_reach_node(&peer);
    node_pause(&node);
    uint64_t before = node.packets_in;
    for (int i = 0; i < 20; i++) {
        peer_to_node();
        sleep_ms(100);
    }
    EXPECT(node.packets_in == before, "%llu packets were handed up while paused",
           (unsigned long long)(node.packets_in - before));
    node_restart(&node);
    sleep_ms(100);
    must_reach_node(&peer);
}

static void keys_are_erased_on_down(void)
{
    fixture(4);
    session_by_node();
    session_by_peer();
    EXPECT(secrets_found(SECRET_SESSION_KEY, 0, 1) > 0, "the search does not find live session keys");
    node_down(&node);
    sleep_ms(500);
    secrets_expect_gone(SECRET_SESSION_KEY, 0, 1, now_ns(), "down");
    node_up(&node);
    must_reach_peer(&peer);
}

static void keys_are_erased_on_peer_removal(void)
{
    uint8_t psk[32];
    fixture_bare(4);
    node_up(&node);
    random_fill(psk, 32);
    peer_set_preshared_key(&peer, psk);
    peer_configure(&peer, true, 0);
    session_by_node();
    EXPECT(secrets_found(SECRET_SESSION_KEY | SECRET_PRESHARED_KEY, 0, 1) == 3,
           "the search does not find live keys");
    node_remove_peer(&node, peer.identity.public_key);
    sleep_ms(500);
    secrets_expect_gone(SECRET_SESSION_KEY | SECRET_PRESHARED_KEY, 0, 1, now_ns(), "peer removal");
}

static void keys_are_erased_on_halt(void)
{
    uint8_t psk[32];
    fixture_bare(4);
    node_up(&node);
    random_fill(psk, 32);
    peer_set_preshared_key(&peer, psk);
    peer_configure(&peer, true, 0);
    session_by_node();
    EXPECT(secrets_found(SECRET_ANY, 0, END_ANY) == 4, "the search does not find live keys");
    node_destroy(&node);
    sleep_s(1);
    secrets_expect_gone(SECRET_ANY, 0, END_ANY, now_ns(), "halt");
}

static void keys_are_erased_on_new_private_key(void)
{
    uint8_t key[32];
    fixture(4);
    session_by_node();
    uint64_t changed_ns = now_ns() + 1;
    random_fill(key, 32);
    node_identity(&node, key, 51820);
    sleep_s(1);
    secrets_expect_gone(SECRET_PRIVATE_KEY, 0, END_ANY, changed_ns, "a new private key");
    /* A handshake with the new identity at once, in both directions. */
    peer_learn_node(&peer);
    node_to_peer();
    sleep_s(1);
    EXPECT(peer_count(&peer, GOT_INITIATION) == 2, "no handshake with the new private key");
    session_by_peer();
    must_reach_peer(&peer);
}

/* Sleep erases all keys at once, however short it is. */
static void sleep_erases(uint64_t seconds)
{
    fixture(4);
    session_by_node();
    session_by_peer();
    uint64_t slept_ns = now_ns();
    sim->suspend(seconds * NS_PER_SECOND);
    sleep_ms(500);
    EXPECT(now_ns() >= slept_ns + seconds * NS_PER_SECOND, "suspension takes no time");
    secrets_expect_gone(SECRET_SESSION_KEY, 0, 1, slept_ns, "suspend and resume");
    must_reach_peer(&peer);
    session_by_peer();
    must_reach_node(&peer);
}

static void keys_are_erased_by_a_long_sleep(void)
{
    sleep_erases(200);
}

static void keys_are_erased_by_a_short_sleep(void)
{
    sleep_erases(20);
}

static void zero_private_key_clears_identity(void)
{
    uint8_t zero[32] = {0}, key[32];
    fixture(4);
    session_by_node();
    memcpy(key, node.model.private_key, 32);
    uint64_t cleared_ns = now_ns() + 1;
    node_identity(&node, zero, 51820);
    node_check(&node); /* the model has no identity now */
    sleep_s(1);
    secrets_expect_gone(SECRET_PRIVATE_KEY, 0, END_ANY, cleared_ns, "the private key was taken away");
    uint64_t before = wire_count(0);
    peer_initiate(&peer, NULL);
    node_to_peer();
    sleep_s(20);
    EXPECT(wire_count(0) == before, "an adapter without identity sends");
    node_identity(&node, zero, 51820);
    node_check(&node);
    node_identity(&node, key, 51820);
    sleep_s(6);
    must_reach_peer(&peer);
}

/* The same key again, also not clamped, is no change. */
static void same_private_key_keeps_sessions(void)
{
    uint8_t key[32];
    fixture_bare(4);
    random_fill(key, 32);
    key[0] |= 7;
    key[31] |= 0x80;
    node_identity(&node, key, 51820);
    peer_learn_node(&peer);
    node_up(&node);
    peer_configure(&peer, true, 0);
    session_by_node();
    uint64_t handshakes = wire_count(MESSAGE_INITIATION);
    for (int i = 0; i < 3; i++) {
        node_identity(&node, key, 51820);
        must_reach_peer(&peer);
    }
    EXPECT(wire_count(MESSAGE_INITIATION) == handshakes, "repeating an unclamped key dropped the session");
    node_check(&node);
}

static void own_key_is_no_peer(void)
{
    uint8_t key[32];
    fixture(4);
    /* Not added ... */
    static struct config config;
    config_begin(&config);
    config_peer(&config, node.model.public_key, 0);
    EXPECT(node_set(&node, &config) == STATUS_OK, "SET of the own key as a peer");
    node_check(&node);
    EXPECT(node.model.peers_count == 1, "the model is wrong");
    /* ... and gone when the adapter becomes who it was. */
    memcpy(key, peer.private_key, 32);
    node_identity(&node, key, 51820);
    node_check(&node);
    EXPECT(node.model.peers_count == 0, "the model is wrong");
}

static void surprise_removal(void)
{
    uint32_t state;
    fixture(4);
    session_by_node();
    sim->adapter_surprise_remove(node.adapter);
    EXPECT(node_state(&node, WYRM_ADAPTER_QUERY, &state) == ADAPTER_REMOVED, "control works after removal");
    node_to_peer();
    sleep_s(1);
    node_destroy(&node);
    sleep_s(1);
    secrets_expect_gone(SECRET_ANY, 0, END_ANY, now_ns(), "surprise removal");
}

static void cancelled_removal_restores_control(void)
{
    uint32_t state = 9;
    fixture(4);
    session_by_node();
    int32_t status = sim->adapter_pnp(node.adapter, PNP_QUERY_REMOVE);
    EXPECT(status == STATUS_OK, "QUERY_REMOVE: status %08x", (uint32_t)status);
    EXPECT(node_state(&node, WYRM_ADAPTER_QUERY, &state) == ADAPTER_REMOVED,
           "control works while a removal is asked for");
    status = sim->adapter_pnp(node.adapter, PNP_CANCEL_REMOVE);
    EXPECT(status == STATUS_OK, "CANCEL_REMOVE: status %08x", (uint32_t)status);
    EXPECT(node_state(&node, WYRM_ADAPTER_QUERY, &state) == STATUS_OK && state == WYRM_ADAPTER_UP,
           "control does not work after a cancelled removal");
    must_reach_peer(&peer);
    must_reach_node(&peer);
}

static void clock_jumps(void)
{
    static const int64_t jumps_s[] = {3600, -7200, 86400 * 365, -86400 * 400, 5, -1};
    fixture(4);
    session_by_node();
    for (int i = 0; i < 6; i++) {
        sim->step_system_time(jumps_s[i] * 10000000);
        must_reach_peer(&peer);
        must_reach_node(&peer);
        sleep_s(121);
        /* Our initiations may look old to the peer, not its to us: interrupt time counts for sessions. */
        peer.clock_offset_100ns -= jumps_s[i] * 10000000;
        session_by_peer();
        must_reach_peer(&peer);
    }
    sleep_s(100);
    must_reach_peer(&peer);
}

static void port_change_while_up(void)
{
    static struct config config;
    fixture(4);
    session_by_node();
    for (uint16_t port = 51900; port < 51905; port++) {
        config_begin(&config);
        config_port(&config, port);
        EXPECT(node_set(&node, &config) == STATUS_OK, "SET of the port");
        must_reach_peer(&peer);
        sleep_ms(100);
        EXPECT(address_port(&peer.remote) == port, "packets come from port %u", address_port(&peer.remote));
        must_reach_node(&peer);
    }
}

static void up_and_down(void)
{
    uint32_t state;
    fixture(4);
    for (int i = 0; i < 20; i++) {
        must_reach_peer(&peer);
        node_down(&node);
        EXPECT(node_state(&node, WYRM_ADAPTER_DOWN, NULL) == STATUS_ALREADY, "Down twice");
        EXPECT(node_state(&node, WYRM_ADAPTER_QUERY, &state) == STATUS_OK && state == WYRM_ADAPTER_DOWN,
               "the state is not Down");
        node_to_peer();
        sleep_ms(random_below(2000));
        node_up(&node);
        EXPECT(node_state(&node, WYRM_ADAPTER_UP, NULL) == STATUS_ALREADY, "Up twice");
    }
}

/* Nothing but memory is missing, and only for a while. */
static void allocation_failures_pass(void)
{
    fixture(4);
    session_by_node();
    peer_set_automatic(&peer, true, 0);
    for (int i = 0; i < 10; i++) {
        allocations_fail = true;
        sim->fail_allocations(65536 / 4);
        every(200 * NS_PER_MS, 60 * NS_PER_SECOND, node_to_peer);
        sim->fail_allocations(0);
        allocations_fail = false;
        node_to_peer();
        sleep_s(22);
        must_reach_peer(&peer);
    }
}

static void adapters_come_and_go(void)
{
    for (int i = 0; i < 10; i++) {
        fixture(i % 2 ? 6 : 4);
        if (i % 3)
            session_by_node();
        node_to_peer();
        if (i % 4 == 0)
            node_down(&node);
        fixture_end();
    }
}

const struct directed directed_life[] = {
    {"sessions-survive-pause", sessions_survive_pause},
    {"nothing-is-received-while-paused", nothing_is_received_while_paused},
    {"keys-are-erased-on-down", keys_are_erased_on_down},
    {"keys-are-erased-on-peer-removal", keys_are_erased_on_peer_removal},
    {"keys-are-erased-on-halt", keys_are_erased_on_halt},
    {"keys-are-erased-on-new-private-key", keys_are_erased_on_new_private_key},
    {"keys-are-erased-by-a-long-sleep", keys_are_erased_by_a_long_sleep},
    {"keys-are-erased-by-a-short-sleep", keys_are_erased_by_a_short_sleep},
    {"zero-private-key-clears-identity", zero_private_key_clears_identity},
    {"same-private-key-keeps-sessions", same_private_key_keeps_sessions},
    {"own-key-is-no-peer", own_key_is_no_peer},
    {"surprise-removal", surprise_removal},
    {"cancelled-removal-restores-control", cancelled_removal_restores_control},
    {"clock-jumps", clock_jumps},
    {"port-change-while-up", port_change_while_up},
    {"up-and-down", up_and_down},
    {"allocation-failures-pass", allocation_failures_pass},
    {"adapters-come-and-go", adapters_come_and_go},
    {NULL, NULL},
};
