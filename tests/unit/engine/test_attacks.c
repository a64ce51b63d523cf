/* What the network and the peers may do to an engine. */
#include "check.h"
#include "protocol/messages.h"
#include "test_engine.h"
#include "world.h"

#include "edge/packet.h"

#include <stdlib.h>
#include <string.h>

/* The last data message on its way. */
static uint8_t caught[PACKET_MAX];
static uint32_t caught_length;

static bool catch (unsigned from, uint8_t *data, uint32_t length)
{
    if (data[0] == MESSAGE_DATA && length > MESSAGE_DATA_MIN_BYTES) {
        memcpy(caught, data, length);
        caught_length = length;
    }
    return true;
}

static void replay_and_damage(void)
{
    world_tunnel(0, 4, NULL);
    CHECK(world_ping(0, 1, 100));
    world_filter = catch;
    CHECK(world_ping(0, 1, 200));
    world_filter = NULL;
    unsigned before = nodes[1].inner_count;
    world_inject(1, 1, 1000, caught, caught_length);
    world_run_ms(1);
    CHECK(nodes[1].inner_count == before);

    /* Fresh, but with one bit changed anywhere; then unchanged, which still is accepted. */
    uint8_t packet[2048];
    struct tun_packet inner = {.data = packet, .length = world_packet(packet, 0, 1, 60, 9)};
    world_filter = catch;
    nodes[1].address = 99; /* it does not arrive */
    world_send_inner(0, &inner);
    world_run_ms(1);
    nodes[1].address = 2;
    world_filter = NULL;
    for (uint32_t i = 0; i < caught_length; i++) {
        uint8_t damaged[256];
        memcpy(damaged, caught, caught_length);
        damaged[i] ^= (uint8_t)(1 << world_random(8));
        world_inject(1, 1, 1000, damaged, caught_length);
        world_inject(1, 1, 1000, caught, i); /* and cut short */
    }
    world_run_ms(1);
    CHECK(nodes[1].inner_count == before);
    CHECK(strstr(world_get(1), "endpoint=192.0.2.1:1000\n"));
    world_inject(1, 55, 1000, caught, caught_length);
    world_run_ms(1);
    CHECK(nodes[1].inner_count == before + 1);
    CHECK(
        strstr(world_get(1), "endpoint=192.0.2.55:1000\n")); /* authentic and fresh: the peer is there now */
    world_destroy_all();
}

static void foreign_sources(void)
{
    uint8_t packet[2048];
    world_tunnel(0, 4, NULL);
    CHECK(world_ping(0, 1, 100));
    unsigned before = nodes[1].inner_count;
    struct tun_packet inner = {.data = packet, .length = world_packet(packet, 4, 1, 60, 9)};
    world_send_inner(0, &inner);
    world_run_ms(1);
    CHECK(nodes[1].inner_count == before); /* 10.0.0.5 is not node 0's */
    unsigned sent = nodes[0].messages[MESSAGE_DATA];
    inner.length = world_packet(packet, 0, 7, 60, 9);
    world_send_inner(0, &inner);
    CHECK(nodes[0].messages[MESSAGE_DATA] == sent); /* nobody has 10.0.0.8 */
    inner.length = world_packet(packet, 0, 1, 60, 9) - 1;
    world_send_inner(0, &inner);
    CHECK(nodes[0].messages[MESSAGE_DATA] == sent); /* its header lies about its length */
    world_destroy_all();
}

static uint8_t initiation[MESSAGE_INITIATION_BYTES];

static bool catch_initiation(unsigned from, uint8_t *data, uint32_t length)
{
    if (data[0] == MESSAGE_INITIATION)
        memcpy(initiation, data, sizeof(initiation));
    return true;
}

static void load(void)
{
    world_tunnel(0, 4, NULL);
    world_filter = catch_initiation;
    CHECK(world_ping(0, 1, 100));
    world_filter = NULL;

    /* A replayed initiation is not answered, nor one whose mac1 is wrong. */
    unsigned responses = nodes[1].messages[MESSAGE_RESPONSE];
    world_inject(1, 1, 1000, initiation, sizeof(initiation));
    initiation[120] ^= 1;
    world_inject(1, 1, 1000, initiation, sizeof(initiation));
    initiation[120] ^= 1;
    world_run_ms(1);
    CHECK(nodes[1].messages[MESSAGE_RESPONSE] == responses && nodes[1].messages[MESSAGE_COOKIE_REPLY] == 0);

    /* 2000 of them at once are load: who comes then is given a cookie, comes back with it, and is let in. */
    world_set_link(0, false);
    world_run_ms(100);
    world_set_link(0, true);
    for (unsigned i = 0; i < 2000; i++)
        world_inject(1, 60 + i % 100, (uint16_t)i, initiation, sizeof(initiation));
    CHECK(!world_ping(0, 1, 100));
    CHECK(nodes[1].messages[MESSAGE_COOKIE_REPLY] > 1000);
    CHECK(nodes[1].messages[MESSAGE_RESPONSE] == responses);
    for (unsigned i = 0; i < 6; i++) { /* the load goes on until the cookie has come back */
        world_run_ms(900);
        for (unsigned k = 0; k < 600; k++)
            world_inject(1, 60 + k % 100, (uint16_t)k, initiation, sizeof(initiation));
    }
    world_run_ms(1000);
    CHECK(nodes[0].messages[MESSAGE_INITIATION] == 3);
    CHECK_MSG(nodes[1].messages[MESSAGE_RESPONSE] == responses + 1, "%u responses",
              nodes[1].messages[MESSAGE_RESPONSE] - responses);
    CHECK(world_ping(0, 1, 100) && world_ping(1, 0, 100));

    /* More than the queue takes is dropped, and the engine goes on. */
    unsigned replies = nodes[1].messages[MESSAGE_COOKIE_REPLY];
    uint64_t dropped = nodes[1].engine.drops.of[DROP_HS_QUEUE];
    for (unsigned i = 0; i < 6000; i++)
        world_inject(1, 60 + i % 100, (uint16_t)i, initiation, sizeof(initiation));
    CHECK(world_ping(0, 1, 100));
    replies = nodes[1].messages[MESSAGE_COOKIE_REPLY] - replies;
    dropped = nodes[1].engine.drops.of[DROP_HS_QUEUE] - dropped;
    CHECK_MSG(replies == 4096 && dropped == 6000 - 4096, "%u answered, %llu dropped of 6000", replies,
              (unsigned long long)dropped);
    world_destroy_all();
}

/* Bytes that mean nothing, and such that nearly mean something, from both sides. */
static void noise(void)
{
    static uint8_t bytes[4096];
    world_tunnel(0, 4, NULL);
    world_filter = catch; /* a message of this world's session: its index means something */
    CHECK(world_ping(0, 1, 100));
    world_filter = NULL;
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t length = world_random(i % 16 ? 200 : sizeof(bytes));
        for (uint32_t k = 0; k < length; k++)
            bytes[k] = (uint8_t)world_random(256);
        if (length >= 8 && world_random(2)) {
            memset(bytes, 0, 4);
            bytes[0] = (uint8_t)(1 + world_random(4));
            if (caught_length >= 8 && world_random(2))
                memcpy(bytes + 4, caught + 4, 4);
        }
        world_inject(1, 1, 1000, bytes, length);
        if (length >= 28 && world_random(2))
            world_packet(bytes, 0, 1, length - 28, i);
        struct tun_packet inner = {.data = bytes,
                                   .length = length,
                                   .gso_type = (uint8_t)world_random(4),
                                   .gso_size = (uint16_t)world_random(300),
                                   .needs_checksum = world_random(2),
                                   .checksum_start = (uint16_t)world_random(64),
                                   .checksum_offset = (uint16_t)world_random(24)};
        if (inner.gso_type != TUN_GSO_NONE)
            bytes[IPV4_PROTOCOL] = inner.gso_type == TUN_GSO_UDP ? PROTOCOL_UDP : PROTOCOL_TCP;
        world_send_inner(0, &inner);
        world_run_ms(1);
    }
    world_forget_inner(1);
    CHECK(world_ping(0, 1, 100) && world_ping(1, 0, 100));
    world_destroy_all();
}

void attacks(void)
{
    replay_and_damage();
    foreign_sources();
    load();
    noise();
}
