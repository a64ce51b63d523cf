/* Cookies, load and rate limits (white paper 5.3). */
#include "directed.h"
#include <string.h>

/* Messages that are enough to fill an eighth of the handshake queue, whatever is taken out meanwhile. */
#define FLOOD_MESSAGES 3500

/* Initiations with a valid mac1 of nobody: each from another address. */
static void flood(struct node *target, uint32_t count)
{
    struct cookie_maker maker;
    struct sim_address to = node_address(target, 4);
    cookie_maker_init(&maker, target->model.public_key);
    for (uint32_t i = 0; i < count; i++) {
        struct message_initiation message;
        struct sim_address from = address_v4(100, (uint8_t)(64 + random_below(64)), (uint8_t)(i >> 8),
                                             (uint8_t)i, (uint16_t)(1024 + random_below(60000)));
        random_fill(&message, sizeof(message));
        store_le32(message.type, MESSAGE_INITIATION);
        cookie_maker_add_macs(&maker, &message, sizeof(message), now_ns());
        memset(message.mac2, 0, sizeof(message.mac2));
        sim->inject(&from, &to, (const uint8_t *)&message, sizeof(message));
    }
}

/* The peer demands a cookie: the adapter comes back with one. */
static void cookie_reply_is_used(void)
{
    fixture(4);
    peer.demand_cookies = true;
    uint64_t sent_ns = now_ns();
    node_to_peer();
    EXPECT(peer_wait(&peer, GOT_DATA, 1, now_ns() + 7 * NS_PER_SECOND), "no handshake with a cookie");
    EXPECT(peer_count(&peer, GOT_INITIATION) == 2, "%llu initiations",
           (unsigned long long)peer_count(&peer, GOT_INITIATION));
    EXPECT(!peer_last(&peer, GOT_INITIATION, 1)->had_mac2 && peer_last(&peer, GOT_INITIATION, 0)->had_mac2,
           "mac2 is not where it belongs");
    EXPECT_TIME("handshake with a cookie", now_ns() - sent_ns, REKEY_TIMEOUT_NS,
                REKEY_TIMEOUT_NS + REKEY_JITTER_MAX_NS + NS_PER_SECOND / 2);
}

/* A cookie is used for 115 s, not longer. */
static void cookie_expires(void)
{
    fixture(4);
    peer.demand_cookies = true;
    node_to_peer();
    peer_wait(&peer, GOT_DATA, 1, now_ns() + 7 * NS_PER_SECOND);
    peer.demand_cookies = false;
    uint64_t cookie_ns = peer_last(&peer, GOT_INITIATION, 1)->time_ns + LATENCY_NS;
    sleep_until(cookie_ns + 90 * NS_PER_SECOND);
    node_down(&node);
    node_up(&node);
    node_to_peer();
    sleep_s(1);
    EXPECT(peer_count(&peer, GOT_INITIATION) >= 3, "no handshake after Up");
    sleep_until(cookie_ns + COOKIE_SECRET_LIFE_NS - COOKIE_LATENCY_NS + 10 * NS_PER_SECOND);
    node_down(&node);
    node_up(&node);
    uint64_t count = peer_count(&peer, GOT_INITIATION);
    node_to_peer();
    peer_wait(&peer, GOT_INITIATION, count + 1, now_ns() + NS_PER_SECOND);
    EXPECT(!peer_last(&peer, GOT_INITIATION, 0)->had_mac2, "a cookie older than 115 s is used");
}

static void under_load_demands_cookies(void)
{
    fixture(4);
    flood(&node, FLOOD_MESSAGES);
    sleep_ms(200);
    EXPECT(wire_count(MESSAGE_COOKIE_REPLY) > 0, "no cookie reply under load");
    peer_initiate(&peer, NULL);
    sleep_ms(100);
    EXPECT(peer_count(&peer, GOT_COOKIE_REPLY) == 1 && peer_count(&peer, GOT_RESPONSE) == 0,
           "under load a message without mac2 is not answered with a cookie");
    peer_initiate(&peer, NULL);
    sleep_ms(100);
    EXPECT(peer_count(&peer, GOT_RESPONSE) == 1, "under load a message with a valid cookie is not answered");
    must_reach_peer(&peer);
    /* It ends a second after the load. */
    sleep_s(2);
    second.no_confirm = true;
    peer_open(&second, 2, 4, &node);
    peer_configure(&second, true, 0);
    peer_initiate(&second, NULL);
    sleep_s(1);
    EXPECT(peer_count(&second, GOT_RESPONSE) == 1, "still under load two seconds later");
}

/* An initiation among strangers', too few for load but in quick succession: it may wait for a batch, and is
 * answered within milliseconds though nothing comes behind it. */
static void no_initiation_waits_for_another(void)
{
    fixture(4);
    for (uint32_t strangers = 4; strangers < 44; strangers++) {
        uint64_t answered = peer_count(&peer, GOT_RESPONSE);
        sleep_ms(200);
        for (uint32_t i = 0; i < strangers; i++) {
            flood(&node, 1);
            sleep_until(now_ns() + NS_PER_MS / 20);
        }
        uint64_t sent_ns = now_ns();
        peer_initiate(&peer, NULL);
        EXPECT(peer_wait(&peer, GOT_RESPONSE, answered + 1, sent_ns + NS_PER_SECOND),
               "not answered behind %u strangers", strangers);
        EXPECT_TIME("a response behind strangers", now_ns() - sent_ns, 2 * LATENCY_NS,
                    2 * LATENCY_NS + 20 * NS_PER_MS);
    }
}

/* The cookie is good for one address and one port. */
static void cookie_is_bound_to_address_and_port(void)
{
    fixture(4);
    struct sim_address other_port = peer.address, other_host = peer.address;
    other_port.port ^= 0x100;
    other_host.bytes[3] ^= 0x10;
    flood(&node, FLOOD_MESSAGES);
    sleep_ms(100);
    peer_initiate(&peer, NULL);
    sleep_ms(100);
    EXPECT(peer_count(&peer, GOT_COOKIE_REPLY) == 1, "no cookie under load");
    struct sim_address home = peer.address;
    const struct sim_address *places[] = {&other_port, &other_host};
    for (int i = 0; i < 2; i++) {
        sim->endpoint_move(peer.endpoint, places[i]);
        uint64_t replies = wire_count(MESSAGE_COOKIE_REPLY);
        struct cookie_maker before = peer.maker;
        peer_initiate(&peer, NULL);
        sleep_ms(100);
        EXPECT(peer_count(&peer, GOT_RESPONSE) == 0, "a cookie is accepted from another %s",
               i ? "address" : "port");
        EXPECT(wire_count(MESSAGE_COOKIE_REPLY) > replies, "no cookie for the other place");
        memcpy(peer.maker.cookie, before.cookie, COOKIE_BYTES); /* keeps the first one */
        peer.maker.cookie_birth_ns = before.cookie_birth_ns;
    }
    sim->endpoint_move(peer.endpoint, &home);
    peer_initiate(&peer, NULL);
    sleep_ms(100);
    EXPECT(peer_count(&peer, GOT_RESPONSE) == 1, "the cookie is not accepted from its own place");
}

static void load_is_per_adapter(void)
{
    static struct node other;
    uint8_t key[32];
    fixture(4);
    node_create(&other, 5);
    random_fill(key, 32);
    node_identity(&other, key, 51821);
    node_up(&other);
    peer_open(&second, 2, 4, &other);
    peer_configure(&second, true, 0);
    flood(&node, FLOOD_MESSAGES);
    sleep_ms(50);
    peer_initiate(&peer, NULL);
    peer_initiate(&second, NULL);
    sleep_ms(100);
    EXPECT(peer_count(&peer, GOT_COOKIE_REPLY) == 1, "the flooded adapter is not under load");
    EXPECT(peer_count(&second, GOT_RESPONSE) == 1, "one adapter's load is another one's");
    peer_close(&second);
    node_destroy(&other);
}

/* 20 a second and a burst of 5 for each address, while under load. */
static void rate_limit_per_address(void)
{
    fixture(4);
    flood(&node, FLOOD_MESSAGES);
    sleep_ms(100);
    peer.no_confirm = true;
    peer_initiate(&peer, NULL);
    sleep_ms(100);
    EXPECT(peer_count(&peer, GOT_COOKIE_REPLY) == 1, "no cookie under load");
    uint64_t before = wire_count(MESSAGE_RESPONSE);
    for (int i = 0; i < 80; i++) {
        if (i % 20 == 0)
            flood(&node, FLOOD_MESSAGES);
        peer_initiate(&peer, NULL);
        sleep_ms(25);
    }
    uint64_t answered = wire_count(MESSAGE_RESPONSE) - before;
    EXPECT(answered <= 2 * 20 + 5 + 2, "%llu answers in 2 s to one address", (unsigned long long)answered);
    EXPECT(answered >= 30, "only %llu answers in 2 s", (unsigned long long)answered);
}

/* Without load there is no limit but 50 a second and peer. */
static void no_rate_limit_without_load(void)
{
    fixture(4);
    peer.no_confirm = true;
    for (int i = 0; i < 60; i++) {
        peer_initiate(&peer, NULL);
        sleep_ms(25);
    }
    sleep_ms(100);
    EXPECT(wire_count(MESSAGE_RESPONSE) == 60, "%llu of 60 answers without load",
           (unsigned long long)wire_count(MESSAGE_RESPONSE));
}

/* Floods come and go: memory stays bounded, data flows meanwhile. */
static void flood_keeps_memory_flat(void)
{
    fixture(4);
    session_by_node();
    uint64_t before = sim->pool_bytes();
    for (int i = 0; i < 4; i++) {
        flood(&node, 5000);
        must_reach_peer(&peer);
        must_reach_node(&peer);
        sim->log("pool %llu, peak %llu", (unsigned long long)sim->pool_bytes(),
                 (unsigned long long)sim->pool_bytes_peak());
    }
    sleep_s(3);
    EXPECT(sim->pool_bytes() < before + 16 * 1024 * 1024, "memory grew by %llu bytes in floods",
           (unsigned long long)(sim->pool_bytes() - before));
    EXPECT(sim->pool_bytes_peak() < before + 96 * 1024 * 1024,
           "memory peaked at %llu bytes, before it was %llu", (unsigned long long)sim->pool_bytes_peak(),
           (unsigned long long)before);
}

const struct directed directed_cookies[] = {
    {"cookie-reply-is-used", cookie_reply_is_used},
    {"cookie-expires", cookie_expires},
    {"under-load-demands-cookies", under_load_demands_cookies},
    {"no-initiation-waits-for-another", no_initiation_waits_for_another},
    {"cookie-is-bound-to-address-and-port", cookie_is_bound_to_address_and_port},
    {"load-is-per-adapter", load_is_per_adapter},
    {"rate-limit-per-address", rate_limit_per_address},
    {"no-rate-limit-without-load", no_rate_limit_without_load},
    {"flood-keeps-memory-flat", flood_keeps_memory_flat},
    {NULL, NULL},
};
