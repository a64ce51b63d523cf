/* Handshakes: who may make which, when a session counts, who is believed. */
#include "directed.h"
#include "protocol/messages.h"
#include <stdlib.h>
#include <string.h>

#define UTC_TAI64_BASE   UINT64_C(0x400000000000000a)
#define UNIX_EPOCH_100NS UINT64_C(116444736000000000)

static uint64_t responses(void)
{
    return peer_count(&peer, GOT_RESPONSE);
}

/* At most one initiation per 20 ms and peer is answered. */
static void one_initiation_per_20ms(void)
{
    struct message_initiation first, later;
    fixture(4);
    peer_build_initiation(&peer, &first, 0);
    peer_send_raw(&peer, &first, sizeof(first));
    sleep_ms(15);
    EXPECT(wire_count(MESSAGE_RESPONSE) == 1, "no answer to the first initiation");
    peer_build_initiation(&peer, &later, 10000000);
    peer_send_raw(&peer, &later, sizeof(later));
    sleep_ms(1000);
    EXPECT(wire_count(MESSAGE_RESPONSE) == 1, "an initiation 15 ms after the last one was answered");
    peer_build_initiation(&peer, &later, 20000000);
    peer_send_raw(&peer, &later, sizeof(later));
    sleep_ms(21);
    peer_build_initiation(&peer, &later, 30000000);
    peer_send_raw(&peer, &later, sizeof(later));
    sleep_ms(1000);
    EXPECT(wire_count(MESSAGE_RESPONSE) == 3, "%llu of 3 initiations 21 ms apart were answered",
           (unsigned long long)wire_count(MESSAGE_RESPONSE));
}

static void timestamps_must_increase(void)
{
    struct message_initiation sent, again;
    fixture(4);
    peer_initiate(&peer, &sent);
    sleep_s(1);
    EXPECT(responses() == 1, "no response");
    peer_send_raw(&peer, &sent, sizeof(sent));
    sleep_s(1);
    EXPECT(wire_count(MESSAGE_RESPONSE) == 1, "a replayed initiation was answered");
    peer_build_initiation(&peer, &again, -100000000);
    peer_send_raw(&peer, &again, sizeof(again));
    sleep_s(1);
    EXPECT(wire_count(MESSAGE_RESPONSE) == 1, "an older timestamp was answered");
    peer_initiate(&peer, NULL);
    sleep_s(1);
    EXPECT(responses() == 2, "a newer timestamp was refused");
}

/* An equal timestamp of a peer that was removed and added again: the guard went with the peer. */
static void timestamps_do_not_outlive_the_peer(void)
{
    struct message_initiation sent;
    fixture(4);
    peer_initiate(&peer, &sent);
    sleep_s(1);
    node_remove_peer(&node, peer.identity.public_key);
    sleep_s(1);
    peer_configure(&peer, true, 0);
    peer_initiate(&peer, NULL);
    sleep_s(1);
    EXPECT(responses() == 2, "a peer that was added again cannot make a handshake");
}

static void timestamps_are_rounded(void)
{
    fixture(4);
    peer.no_response = true;
    node_to_peer();
    sleep_s(30);
    EXPECT(peer_count(&peer, GOT_INITIATION) >= 5, "too few initiations");
    for (uint32_t i = 0; i < 5; i++) {
        const struct peer_event *event = peer_last(&peer, GOT_INITIATION, i);
        uint64_t utc_100ns = (load_be64(event->timestamp) - UTC_TAI64_BASE) * 10000000 +
                             load_be32(event->timestamp + 8) / 100 + UNIX_EPOCH_100NS;
        uint64_t true_100ns = sim->system_time_100ns() - (now_ns() - event->time_ns + LATENCY_NS) / 100;
        EXPECT(utc_100ns % (1u << 17) == 0, "a timestamp is not a multiple of 2^17 x 100 ns");
        EXPECT(true_100ns - utc_100ns < (1u << 17) + 20000, "a timestamp is wrong by %lld x 100 ns",
               (long long)(true_100ns - utc_100ns));
    }
}

/* The responder sends nothing on a session before the initiator has used it. */
static void key_confirmation(void)
{
    fixture(4);
    peer.no_confirm = true;
    session_by_peer();
    peer.no_response = true;
    node_to_peer();
    sleep_s(3);
    EXPECT(wire_count(MESSAGE_DATA) == 0, "the responder used an unconfirmed session");
    peer_send_plain(&peer, NULL, 0);
    sleep_ms(100);
    EXPECT(flow_received(flow_out) == 1, "staged packets did not flow when the session was confirmed");
}

static void unconfirmed_session_waits_as_next(void)
{
    uint8_t wire[64];
    fixture(4);
    session_by_node();
    uint32_t first = peer_session(&peer)->session.local_index;
    peer.no_confirm = true;
    peer_initiate(&peer, NULL);
    sleep_s(1);
    struct peer_session *unconfirmed = peer.sessions;
    node_to_peer();
    sleep_s(1);
    EXPECT(peer_last(&peer, GOT_DATA, 0)->receiver_index == first, "an unconfirmed session is used");
    /* Another handshake takes its place. */
    peer_initiate(&peer, NULL);
    sleep_s(1);
    struct peer_session *confirmed = peer.sessions;
    peer_send_raw(&peer, wire, peer_seal(unconfirmed, 0, NULL, 0, wire));
    sleep_ms(100);
    node_to_peer();
    sleep_s(1);
    EXPECT(peer_last(&peer, GOT_DATA, 0)->receiver_index == first, "a replaced next session was confirmed");
    peer_send_raw(&peer, wire, peer_seal(confirmed, 0, NULL, 0, wire));
    sleep_ms(100);
    node_to_peer();
    sleep_s(1);
    EXPECT(peer_last(&peer, GOT_DATA, 0)->receiver_index == confirmed->session.local_index,
           "a confirmed session is not used");
}

/* What is under way on the old session still comes in after a rekey; not after the next one. */
static void previous_session_still_receives(void)
{
    uint8_t packet[128] = {0}, wire[256];
    fixture(4);
    session_by_peer();
    struct peer_session *old = peer_session(&peer);
    sleep_s(1);
    session_by_peer();
    uint32_t length = flow_build(flow_in, packet, 112, 0);
    peer_send_raw(&peer, wire, peer_seal(old, 100, packet, length, wire));
    sleep_ms(100);
    EXPECT(flow_received(flow_in) == 1, "the previous session is refused");
    session_by_peer();
    length = flow_build(flow_in, packet, 112, END_NONE);
    peer_send_raw(&peer, wire, peer_seal(old, 101, packet, length, wire));
    sleep_ms(100);
    EXPECT(flow_received(flow_in) == 1, "a session before the previous one is accepted");
    secrets_expect_gone(SECRET_SESSION_KEY, 0, 1, old->session.birth_ns + 10 * NS_PER_MS, "two rekeys");
}

static void simultaneous_initiation(void)
{
    fixture(4);
    peer_set_automatic(&peer, true, 0);
    for (int round = 0; round < 20; round++) {
        uint32_t out = flow_sent(flow_out);
        node_to_peer();
        peer_initiate(&peer, NULL);
        sleep_s(1);
        for (int i = 0; i < 8; i++) {
            node_to_peer();
            peer_to_node();
            sleep_s(1);
        }
        EXPECT(flow_received(flow_out) >= out + 8, "round %d: %u packets arrived", round,
               flow_received(flow_out) - out);
        sleep_s(200);
    }
}

/* Two adapters that begin at the same moment, again and again: both consume the other's initiation, neither
 * completes its own, and only the jitter of the retries gets them apart.  (Once the driver's timers ticked
 * every 100 ms: they met up to five times in a row.) */
static void crossing_initiations(void)
{
    static struct node other;
    uint8_t key[32];
    fixture_bare(4);
    node_up(&node);
    node_create(&other, 5);
    random_fill(key, 32);
    node_identity(&other, key, 51821);
    node_up(&other);
    struct sim_address here = node_address(&node, 4), there = node_address(&other, 4);
    node_add_peer(&node, 5, other.model.public_key, &there, NULL, 0);
    node_add_peer(&other, 0, node.model.public_key, &here, NULL, 0);
    for (int round = 0; round < 30; round++) {
        int forth = flow_between(0, 5, 4), back = flow_between(5, 0, 4);
        uint64_t begun_ns = now_ns();
        node_send(&node, forth, 0);
        node_send(&other, back, 0);
        while (!(flow_received(forth) && flow_received(back)) && now_ns() < begun_ns + 60 * NS_PER_SECOND)
            sleep_ms(100);
        EXPECT_TIME("both ways after initiations that crossed", now_ns() - begun_ns, 0,
                    3 * (REKEY_TIMEOUT_NS + REKEY_JITTER_MAX_NS) + NS_PER_SECOND);
        node_down(&node);
        node_down(&other);
        sleep_ms(random_below(1000));
        node_up(&node);
        node_up(&other);
    }
    node_destroy(&other);
}

static void roam(uint8_t family)
{
    fixture(family);
    session_by_peer();
    must_reach_peer(&peer);
    for (int i = 0; i < 5; i++) {
        peer_move(&peer);
        peer_send_plain(&peer, NULL, 0);
        sleep_ms(100);
        must_reach_peer(&peer);
        struct wyrm_ioctl_peer shown = node_get_peer(&node, peer.identity.public_key);
        struct sim_address endpoint = endpoint_address(&shown.endpoint);
        EXPECT(address_equal(&endpoint, &peer.address), "GET does not show the new endpoint");
    }
    /* By a handshake, too. */
    peer_move(&peer);
    peer_initiate(&peer, NULL);
    sleep_ms(200);
    must_reach_peer(&peer);
}

static void roaming_v4(void)
{
    roam(4);
}

static void roaming_v6(void)
{
    roam(6);
}

static struct sim_address shown_endpoint(void)
{
    struct wyrm_ioctl_peer shown = node_get_peer(&node, peer.identity.public_key);
    return endpoint_address(&shown.endpoint);
}

/* Somebody off the path repeats what it saw, and makes things up, from its own address. */
static void off_path_replay_does_not_move_endpoint(void)
{
    uint8_t packet[128] = {0}, wire[256], response[92];
    struct message_initiation sent;
    struct sim_address attacker = address_v4(203, 0, 113, 66, 6666), to;
    fixture(4);
    to = node_address(&node, 4);
    peer_initiate(&peer, &sent);
    sleep_s(1);
    struct peer_session *session = peer_session(&peer);
    uint32_t length = peer_seal(session, 50, packet, flow_build(flow_in, packet, 112, 0), wire);
    peer_send_raw(&peer, wire, length);
    sleep_ms(100);
    memset(response, 7, sizeof(response));
    memcpy(response, (uint8_t[]){2, 0, 0, 0}, 4);
    for (int i = 0; i < 50; i++) {
        sim->inject(&attacker, &to, wire, length);
        sim->inject(&attacker, &to, (const uint8_t *)&sent, sizeof(sent));
        sim->inject(&attacker, &to, response, sizeof(response));
        wire[length - 1] ^= 1;
        sim->inject(&attacker, &to, wire, length);
        wire[length - 1] ^= 1;
        sleep_ms(100);
    }
    struct sim_address endpoint = shown_endpoint();
    EXPECT(address_equal(&endpoint, &peer.address), "a replay moved the endpoint");
    EXPECT(flow_received(flow_in) == 1, "a replay was delivered");
    must_reach_peer(&peer);
}

/* Points of low order are configuration like any other; nothing is ever sent to them. */
static void low_order_public_keys(void)
{
    static const uint8_t points[7][32] = {
        {0},
        {1},
        {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
         0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
        {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
         0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
        {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}};
    fixture_bare(4);
    node_up(&node);
    for (uint8_t i = 0; i < 7; i++) {
        end_register((uint8_t)(2 + i), points[i]);
        node_add_peer(&node, (uint8_t)(2 + i), points[i], &peer.address, NULL, 10);
    }
    for (uint8_t i = 0; i < 7; i++)
        node_send(&node, flow_between(0, (uint8_t)(2 + i), 4), 100);
    sleep_s(60);
    EXPECT(wire_count(0) == 0, "%llu datagrams for keys of low order", (unsigned long long)wire_count(0));
    node_check(&node);
}

static void preshared_key_must_agree(void)
{
    uint8_t psk[32], other[32];
    fixture(4);
    random_fill(psk, 32);
    random_fill(other, 32);
    peer_set_preshared_key(&peer, psk);
    node_add_peer(&node, 1, peer.identity.public_key, &peer.address, other, 0);
    node_to_peer();
    sleep_s(20);
    EXPECT(flow_received(flow_out) == 0 && wire_count(MESSAGE_DATA) == 0, "a session with different keys");
    peer_initiate(&peer, NULL);
    sleep_s(1);
    EXPECT(responses() == 0, "a valid response with different preshared keys");
    node_add_peer(&node, 1, peer.identity.public_key, &peer.address, psk, 0);
    sleep_s(7);
    EXPECT(flow_received(flow_out) == 1, "no session with the same preshared key");
}

const struct directed directed_handshake[] = {
    {"one-initiation-per-20ms", one_initiation_per_20ms},
    {"timestamps-must-increase", timestamps_must_increase},
    {"timestamps-do-not-outlive-the-peer", timestamps_do_not_outlive_the_peer},
    {"timestamps-are-rounded", timestamps_are_rounded},
    {"key-confirmation", key_confirmation},
    {"unconfirmed-session-waits-as-next", unconfirmed_session_waits_as_next},
    {"previous-session-still-receives", previous_session_still_receives},
    {"simultaneous-initiation", simultaneous_initiation},
    {"crossing-initiations", crossing_initiations},
    {"roaming-v4", roaming_v4},
    {"roaming-v6", roaming_v6},
    {"off-path-replay-does-not-move-endpoint", off_path_replay_does_not_move_endpoint},
    {"low-order-public-keys", low_order_public_keys},
    {"preshared-key-must-agree", preshared_key_must_agree},
    {NULL, NULL},
};
