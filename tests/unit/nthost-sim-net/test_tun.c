/* Simulated upper edges: bursts and super-segments that cut to what was sent, back-pressure, what is written
 * comes up cut, links. */
#include "../nthost-net/packets.h"
#include "check.h"
#include "network_test.h"

#include "edge/edge.h"
#include "edge/segment.h"

#include <stdlib.h>

#define PACKETS 64u
#define LENGTH  1040u

struct down { /* what came into the driver, cut again */
    uint32_t calls, packets, super, longest;
    uint8_t (*expected)[LENGTH];
    bool wrong;
    struct tun *pause_me;
};

struct up {
    uint32_t packets;
    uint8_t (*expected)[LENGTH];
    bool wrong;
};

static void on_down(void *context, struct tun_packet *packets, unsigned count)
{
    struct down *down = context;

    down->calls++;
    for (unsigned i = 0; i < count; i++) {
        struct segmenter segmenter;
        uint8_t out[65536];

        down->super += packets[i].gso_type != TUN_GSO_NONE;
        if (segment_begin(&segmenter, &packets[i]) != 0) {
            down->wrong = true;
            continue;
        }
        for (uint32_t j = 0; j < segmenter.count; j++) {
            uint32_t length = segment_length(&segmenter, j);

            segment_write(&segmenter, j, out);
            if (length > down->longest)
                down->longest = length;
            if (down->expected && (length != LENGTH || down->packets >= PACKETS ||
                                   memcmp(out, down->expected[down->packets], length) != 0))
                down->wrong = true;
            down->packets++;
        }
    }
    if (down->pause_me)
        tun_pause_reading(down->pause_me, true);
}

static void on_up(void *context, const uint8_t *packet, uint32_t length)
{
    struct up *up = context;

    if (length != LENGTH || up->packets >= PACKETS || memcmp(packet, up->expected[up->packets], length) != 0)
        up->wrong = true;
    up->packets++;
}

static uint8_t flow_packets[PACKETS][LENGTH];

/* Consecutive TCP segments of one flow, complete. */
static void make_flow(void)
{
    struct flow flow = {.version = 4, .protocol = 6, .sequence = 1000, .ttl = 64, .dont_fragment = true};

    for (unsigned i = 0; i < PACKETS; i++) {
        for (unsigned j = 0; j < LENGTH; j++)
            flow_packets[i][j] = (uint8_t)(i * 7 + j);
        headers(&flow, flow_packets[i], 0x10);
        finish(&flow, flow_packets[i], LENGTH, false);
        flow.sequence += LENGTH - header_bytes(&flow);
        flow.identification++;
    }
}

static void test_bursts(struct tun *tun, struct down *down)
{
    uint32_t super = 0;

    for (unsigned round = 0; round < 16; round++) {
        *down = (struct down){.expected = flow_packets};
        for (unsigned i = 0; i < PACKETS; i++)
            sim_tun_send(tun, flow_packets[i], LENGTH);
        CHECK(down->calls == 0); /* never inside of the call */
        world_run();
        CHECK(down->packets == PACKETS && !down->wrong);
        super += down->super > 0;
    }
    CHECK_MSG(super > 2 && super < 14, "super-segments in %u of 16 rounds", super);
}

/* An application's large write: cut to the MTU. */
static void test_large_write(struct tun *tun, struct down *down)
{
    static uint8_t large[9000];
    struct flow flow = {.version = 6, .protocol = 6, .ttl = 64};
    uint32_t cut = 0, payload;

    CHECK(tun_set_mtu(tun, 1420) == 0);
    headers(&flow, large, 0x18);
    finish(&flow, large, sizeof large, true);
    payload = sizeof large - header_bytes(&flow);
    cut = (payload + 1420 - header_bytes(&flow) - 1) / (1420 - header_bytes(&flow));
    *down = (struct down){0};
    sim_tun_send(tun, large, sizeof large);
    world_run();
    CHECK(down->super == 1 && down->packets == cut && !down->wrong && down->longest == 1420);
    CHECK(tun_set_mtu(tun, 1500) == 0);
}

static void test_back_pressure(struct tun *tun, struct down *down)
{
    struct sim_network_counts before = sim_network_counts();

    *down = (struct down){0};
    tun_pause_reading(tun, true);
    for (unsigned i = 0; i < 1100; i++)
        sim_tun_send(tun, flow_packets[0], LENGTH);
    world_run();
    CHECK(down->packets == 0);
    tun_pause_reading(tun, false);
    world_run();
    CHECK(down->packets == 1000 && sim_network_counts().overflowed - before.overflowed == 100);
    *down = (struct down){.pause_me = tun};
    for (unsigned i = 0; i < 130; i++)
        sim_tun_send(tun, flow_packets[0], LENGTH);
    world_run();
    CHECK(down->calls == 1 && down->packets == 64); /* paused by the driver in the middle */
    down->pause_me = NULL;
    tun_pause_reading(tun, false);
    world_run();
    CHECK(down->packets == 130);
    *down = (struct down){0};
    sim_tun_send(tun, flow_packets[0], LENGTH);
    tun_pause_reading(tun, true); /* after it was arranged that it comes */
    world_run();
    CHECK(down->packets == 0);
    tun_pause_reading(tun, false);
    world_run();
    CHECK(down->packets == 1);
}

static void test_up(struct tun *tun)
{
    struct up up = {.expected = flow_packets};
    uint32_t headers_length = 40, payload = LENGTH - headers_length;
    uint8_t *super = malloc(headers_length + 8 * (size_t)payload);
    struct tun_packet header = {.gso_type = TUN_GSO_TCP4,
                                .gso_size = (uint16_t)payload,
                                .needs_checksum = true,
                                .checksum_start = 20,
                                .checksum_offset = 16};
    struct iovec iov[2] = {{super, headers_length}, {super + headers_length, 8 * (size_t)payload}};

    sim_tun_receiver(tun, on_up, &up);
    for (unsigned i = 0; i < 3; i++) {
        struct iovec plain = {flow_packets[i], LENGTH};

        CHECK(tun_write(tun, &(struct tun_packet){0}, &plain, 1) == 0);
    }
    CHECK(up.packets == 0);
    world_run();
    CHECK(up.packets == 3 && !up.wrong);
    /* Packets 0..7 as one. */
    memcpy(super, flow_packets[0], headers_length);
    w16(super + 2, headers_length + 8 * payload);
    for (unsigned i = 0; i < 8; i++)
        memcpy(super + headers_length + i * payload, flow_packets[i] + headers_length, payload);
    up.packets = 0;
    CHECK(tun_write(tun, &header, iov, 2) == 0);
    world_run();
    CHECK(up.packets == 8 && !up.wrong);
    iov[0].iov_len = 0;
    CHECK(tun_write(tun, &header, iov, 1) == -EINVAL);
    free(super);
}

void test_tun(void)
{
    struct down down = {0};
    struct tun *tun;
    char error[128];

    make_flow();
    CHECK(tun_open("a name that is much too long", true, on_down, &down, &tun, error, sizeof error) ==
          -EINVAL);
    CHECK(tun_open("wy1", true, on_down, &down, &tun, error, sizeof error) == 0);
    CHECK(tun_accepts_tcp_segments(tun) && tun_accepts_udp_segments(tun));
    sim_tun_send(tun, flow_packets[0], LENGTH);
    world_run();
    CHECK(down.packets == 0); /* no link, no packets */
    tun_set_link(tun, true);
    CHECK(sim_tun_link_up(tun));
    test_bursts(tun, &down);
    test_large_write(tun, &down);
    test_back_pressure(tun, &down);
    test_up(tun);
    /* Closed with packets waiting in both directions. */
    down = (struct down){0};
    sim_tun_send(tun, flow_packets[0], LENGTH);
    tun_close(tun);
    world_run();
    CHECK(down.packets == 0);
}
