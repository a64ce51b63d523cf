/* What happens when (white paper 6): each scenario asserts the moment in virtual time. */
#include "directed.h"
#include <string.h>

static uint64_t initiations(void)
{
    return peer_count(&peer, GOT_INITIATION);
}

static void both_ways(void)
{
    node_to_peer();
    peer_to_node();
}

/* Initiator: not at 119 s, with the first packet behind 120 s. */
static void rekey_after_120(void)
{
    fixture(4);
    session_by_node();
    uint64_t birth_ns = peer_last(&peer, GOT_INITIATION, 0)->time_ns + LATENCY_NS;
    while (now_ns() < birth_ns + 114 * NS_PER_SECOND)
        both_ways(), sleep_s(5);
    sleep_until(birth_ns + REKEY_AFTER_TIME_NS - 10 * NS_PER_MS);
    both_ways();
    sleep_ms(500);
    EXPECT(initiations() == 1, "a new handshake before 120 s");
    sleep_until(birth_ns + REKEY_AFTER_TIME_NS + 600 * NS_PER_MS);
    uint64_t sent_ns = now_ns();
    node_to_peer();
    EXPECT(peer_wait(&peer, GOT_INITIATION, 2, now_ns() + NS_PER_SECOND), "no rekey after 120 s");
    EXPECT_TIME("rekey after the packet", peer_last(&peer, GOT_INITIATION, 0)->time_ns - sent_ns, LATENCY_NS,
                LATENCY_NS + TIMER_SLACK_NS);
    sleep_s(1);
    uint32_t new_index = peer_session(&peer)->session.local_index;
    node_to_peer();
    sleep_s(1);
    EXPECT(peer_last(&peer, GOT_DATA, 0)->receiver_index == new_index, "the new session is not used");
}

/* Responder: never renews by age, and stops at 180 s. */
static void responder_never_rekeys(void)
{
    fixture(4);
    session_by_peer();
    uint64_t birth_ns = now_ns() - 100 * NS_PER_MS - LATENCY_NS;
    while (now_ns() < birth_ns + 178 * NS_PER_SECOND)
        both_ways(), sleep_s(4);
    EXPECT(initiations() == 0, "a responder renewed the session");
    sleep_until(birth_ns + REJECT_AFTER_TIME_NS + 50 * NS_PER_MS);
    uint64_t data = peer_count(&peer, GOT_DATA);
    peer.no_response = true;
    node_to_peer();
    sleep_s(1);
    EXPECT(peer_count(&peer, GOT_DATA) == data, "data on a session older than 180 s");
    EXPECT(initiations() == 1, "no handshake when the session is too old");
}

/* What comes in on a session older than 180 s is dropped. */
static void reject_after_180(void)
{
    uint8_t packet[256] = {0}, wire[320];
    fixture(4);
    session_by_peer();
    struct peer_session *session = peer_session(&peer);
    sleep_until(session->session.birth_ns + REJECT_AFTER_TIME_NS - NS_PER_SECOND);
    uint32_t length = flow_build(flow_in, packet, 112, 0);
    peer_send_raw(&peer, wire, peer_seal(session, 10, packet, length, wire));
    sleep_ms(500);
    EXPECT(flow_received(flow_in) == 1, "a session of 179 s was refused");
    sleep_until(session->session.birth_ns + REJECT_AFTER_TIME_NS + 20 * NS_PER_MS);
    length = flow_build(flow_in, packet, 112, END_NONE);
    peer_send_raw(&peer, wire, peer_seal(session, 11, packet, length, wire));
    sleep_ms(500);
    EXPECT(flow_received(flow_in) == 1, "data on a session older than 180 s was delivered");
}

static void keepalive_after_10(void)
{
    fixture(4);
    session_by_node();
    sleep_s(30);
    uint64_t keepalives = peer_count(&peer, GOT_KEEPALIVE);
    peer_to_node();
    uint64_t received_ns = now_ns() + LATENCY_NS;
    EXPECT(peer_wait(&peer, GOT_KEEPALIVE, keepalives + 1, now_ns() + 20 * NS_PER_SECOND), "no keepalive");
    EXPECT_TIME("keepalive after data", peer_last(&peer, GOT_KEEPALIVE, 0)->time_ns - received_ns,
                KEEPALIVE_TIMEOUT_NS + LATENCY_NS - NS_PER_MS,
                KEEPALIVE_TIMEOUT_NS + LATENCY_NS + TIMER_SLACK_NS);
    sleep_s(40);
    EXPECT(peer_count(&peer, GOT_KEEPALIVE) == keepalives + 1, "a keepalive for nothing");
    /* Data in time makes it unnecessary. */
    peer_to_node();
    sleep_s(8);
    node_to_peer();
    peer_send_plain(&peer, NULL, 0);
    sleep_s(20);
    EXPECT(peer_count(&peer, GOT_KEEPALIVE) == keepalives + 1, "a keepalive although data went out");
    /* A keepalive is not answered. */
    peer_send_plain(&peer, NULL, 0);
    sleep_s(20);
    EXPECT(peer_count(&peer, GOT_KEEPALIVE) == keepalives + 1, "a keepalive answers a keepalive");
}

static void new_handshake_after_15(void)
{
    fixture(4);
    session_by_node();
    peer_send_plain(&peer, NULL, 0);
    sleep_s(20);
    uint64_t count = initiations(), sent_ns = now_ns();
    node_to_peer();
    EXPECT(peer_wait(&peer, GOT_INITIATION, count + 1, sent_ns + 20 * NS_PER_SECOND), "no new handshake");
    EXPECT_TIME("new handshake after unanswered data", peer_last(&peer, GOT_INITIATION, 0)->time_ns - sent_ns,
                NEW_HANDSHAKE_AFTER_NS + LATENCY_NS,
                NEW_HANDSHAKE_AFTER_NS + REKEY_JITTER_MAX_NS + LATENCY_NS + TIMER_SLACK_NS);
    /* An answer prevents it. */
    sleep_s(30);
    count = initiations();
    node_to_peer();
    sleep_s(14);
    peer_send_plain(&peer, NULL, 0);
    sleep_s(20);
    EXPECT(initiations() == count, "a new handshake although the peer answered");
}

static void rekey_on_receive_at_165(void)
{
    fixture(4);
    session_by_node();
    uint64_t birth_ns = peer_last(&peer, GOT_INITIATION, 0)->time_ns + LATENCY_NS;
    peer.no_response = true;
    sleep_until(birth_ns + 164 * NS_PER_SECOND);
    peer_to_node();
    sleep_ms(900);
    EXPECT(initiations() == 1, "the last-minute rekey came before 165 s");
    sleep_until(birth_ns + REKEY_ON_RECEIVE_AFTER_NS + 20 * NS_PER_MS);
    peer_to_node();
    EXPECT(peer_wait(&peer, GOT_INITIATION, 2, now_ns() + NS_PER_SECOND), "no last-minute rekey at 165 s");
}

static void no_rekey_on_receive_by_responder(void)
{
    fixture(4);
    session_by_peer();
    uint64_t birth_ns = now_ns();
    sleep_until(birth_ns + 166 * NS_PER_SECOND);
    peer_to_node();
    sleep_s(10);
    EXPECT(initiations() == 0, "a responder made the last-minute rekey");
}

/* 20 attempts, 5 s and jitter apart; then what was staged is dropped. */
static void retries_20_then_give_up(void)
{
    fixture(4);
    peer.no_response = true;
    node_to_peer();
    sleep_s(150);
    EXPECT(initiations() == HANDSHAKE_ATTEMPTS_MAX, "%llu attempts", (unsigned long long)initiations());
    uint64_t shortest_ns = TIME_FOREVER_NS, longest_ns = 0;
    for (uint32_t i = 0; i + 1 < HANDSHAKE_ATTEMPTS_MAX; i++) {
        uint64_t gap_ns =
            peer_last(&peer, GOT_INITIATION, i)->time_ns - peer_last(&peer, GOT_INITIATION, i + 1)->time_ns;
        EXPECT_TIME("retry", gap_ns, REKEY_TIMEOUT_NS - NS_PER_MS,
                    REKEY_TIMEOUT_NS + REKEY_JITTER_MAX_NS + TIMER_SLACK_NS);
        shortest_ns = gap_ns < shortest_ns ? gap_ns : shortest_ns;
        longest_ns = gap_ns > longest_ns ? gap_ns : longest_ns;
    }
    EXPECT(longest_ns - shortest_ns > 50 * NS_PER_MS, "retries have no jitter");
    sleep_s(300);
    EXPECT(initiations() == HANDSHAKE_ATTEMPTS_MAX, "it went on after giving up");
    peer.no_response = false;
    int later = flow_between(0, 1, 6);
    node_send(&node, later, 100);
    sleep_s(2);
    EXPECT(flow_was_received(later, 0), "no new handshake after giving up");
    EXPECT(flow_received(flow_out) == 0, "packets staged before giving up were kept");
}

/* A new packet starts the count again. */
static void packets_renew_the_attempts(void)
{
    fixture(4);
    peer.no_response = true;
    every(30 * NS_PER_SECOND, 300 * NS_PER_SECOND, node_to_peer);
    EXPECT(initiations() > 50, "%llu initiations in 300 s under traffic", (unsigned long long)initiations());
}

static void zero_after_540(void)
{
    fixture(4);
    session_by_node();
    uint64_t birth_ns = now_ns();
    EXPECT(secrets_found(SECRET_SESSION_KEY, 0, 1) == 2, "the search does not find live session keys");
    sleep_until(birth_ns + 530 * NS_PER_SECOND);
    EXPECT(secrets_found(SECRET_SESSION_KEY, 0, 1) == 2, "session keys are gone before 540 s");
    sleep_until(birth_ns + ERASE_KEYS_AFTER_NS + TIMER_SLACK_NS + NS_PER_SECOND);
    secrets_expect_gone(SECRET_SESSION_KEY, 0, 1, now_ns(), "540 s");
}

/* Also when a later handshake fails: 540 s after the last session. */
static void zero_after_540_with_retries(void)
{
    fixture(4);
    session_by_node();
    uint64_t birth_ns = now_ns();
    peer.silent = true;
    every(20 * NS_PER_SECOND, 545 * NS_PER_SECOND, node_to_peer);
    sleep_until(birth_ns + ERASE_KEYS_AFTER_NS + 6 * NS_PER_SECOND);
    secrets_expect_gone(SECRET_SESSION_KEY, 0, 1, birth_ns + NS_PER_SECOND, "540 s under failing handshakes");
}

static void initiation_at_most_every_5_s(void)
{
    fixture(4);
    peer.no_response = true;
    every(37 * NS_PER_MS, 61 * NS_PER_SECOND, node_to_peer);
    EXPECT(initiations() >= 11 && initiations() <= 13, "%llu initiations in 61 s",
           (unsigned long long)initiations());
    for (uint32_t i = 0; i + 1 < initiations(); i++)
        EXPECT_TIME("between initiations",
                    peer_last(&peer, GOT_INITIATION, i)->time_ns -
                        peer_last(&peer, GOT_INITIATION, i + 1)->time_ns,
                    REKEY_TIMEOUT_NS - NS_PER_MS, REKEY_TIMEOUT_NS + REKEY_JITTER_MAX_NS + TIMER_SLACK_NS);
}

static void set_keepalive(uint16_t seconds)
{
    static struct config config;
    config_begin(&config);
    config_peer(&config, peer.identity.public_key, WYRM_PEER_UPDATE_ONLY);
    config_keepalive(&config, seconds);
    EXPECT(node_set(&node, &config) == STATUS_OK, "SET of the keepalive");
}

static void persistent_keepalive(void)
{
    fixture(4);
    session_by_node();
    sleep_s(30);
    uint64_t count = peer_count(&peer, GOT_KEEPALIVE), set_ns = now_ns();
    set_keepalive(25);
    EXPECT(peer_wait(&peer, GOT_KEEPALIVE, count + 1, now_ns() + NS_PER_SECOND),
           "0 -> 25 s while up sends nothing");
    EXPECT_TIME("first persistent keepalive", peer_last(&peer, GOT_KEEPALIVE, 0)->time_ns - set_ns, 0,
                LATENCY_NS + TIMER_SLACK_NS);
    set_keepalive(25);
    sleep_s(2);
    EXPECT(peer_count(&peer, GOT_KEEPALIVE) == count + 1, "25 -> 25 s sends one");
    sleep_s(55);
    EXPECT(peer_count(&peer, GOT_KEEPALIVE) == count + 3, "%llu keepalives in 57 s",
           (unsigned long long)(peer_count(&peer, GOT_KEEPALIVE) - count));
    EXPECT_TIME("persistent keepalive",
                peer_last(&peer, GOT_KEEPALIVE, 0)->time_ns - peer_last(&peer, GOT_KEEPALIVE, 1)->time_ns,
                25 * NS_PER_SECOND - NS_PER_MS, 25 * NS_PER_SECOND + TIMER_SLACK_NS);
    set_keepalive(0);
    count = peer_count(&peer, GOT_KEEPALIVE);
    sleep_s(100);
    EXPECT(peer_count(&peer, GOT_KEEPALIVE) == count, "keepalives although switched off");
}

static void keepalive_on_up(void)
{
    fixture_bare(4);
    peer_configure(&peer, true, 60);
    sleep_s(5);
    EXPECT(initiations() == 0, "a handshake while down");
    node_up(&node);
    EXPECT(peer_wait(&peer, GOT_INITIATION, 1, now_ns() + TIMER_SLACK_NS + LATENCY_NS),
           "Up with a persistent keepalive begins no handshake");
}

static void keepalive_on_later_private_key(void)
{
    uint8_t zero[32] = {0}, key[32];
    fixture_bare(4);
    memcpy(key, node.model.private_key, 32);
    node_identity(&node, zero, 51820);
    peer_configure(&peer, true, 60);
    node_up(&node);
    sleep_s(5);
    EXPECT(initiations() == 0, "a handshake without a private key");
    node_identity(&node, key, 51820);
    EXPECT(peer_wait(&peer, GOT_INITIATION, 1, now_ns() + 6 * NS_PER_SECOND),
           "a private key set later begins no handshake");
}

/* Nothing to say: nothing is said, for ten hours. */
static void idle_is_silent(void)
{
    fixture(4);
    session_by_node();
    sleep_s(30);
    uint64_t before = wire_count(0);
    sleep_s(36000);
    EXPECT(wire_count(0) == before, "%llu datagrams in ten idle hours",
           (unsigned long long)(wire_count(0) - before));
    must_reach_peer(&peer);
}

const struct directed directed_timers[] = {
    {"rekey-after-120s", rekey_after_120},
    {"responder-never-rekeys", responder_never_rekeys},
    {"reject-after-180s", reject_after_180},
    {"keepalive-after-10s", keepalive_after_10},
    {"new-handshake-after-15s", new_handshake_after_15},
    {"rekey-on-receive-at-165s", rekey_on_receive_at_165},
    {"no-rekey-on-receive-by-responder", no_rekey_on_receive_by_responder},
    {"retries-20-then-give-up", retries_20_then_give_up},
    {"packets-renew-the-attempts", packets_renew_the_attempts},
    {"zero-after-540s", zero_after_540},
    {"zero-after-540s-with-retries", zero_after_540_with_retries},
    {"initiation-at-most-every-5s", initiation_at_most_every_5_s},
    {"persistent-keepalive", persistent_keepalive},
    {"keepalive-on-up", keepalive_on_up},
    {"keepalive-on-later-private-key", keepalive_on_later_private_key},
    {"idle-is-silent", idle_is_silent},
    {NULL, NULL},
};
