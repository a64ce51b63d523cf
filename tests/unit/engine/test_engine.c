/* The engine in virtual time: two or three of them in a simulated world. */
#include "test_engine.h"
#include "check.h"
#include "edge/checksum.h"
#include "edge/packet.h"
#include "peer.h"
#include "timer_heap.h"
#include "transmit.h"
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PSK "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const struct peer *only_peer(unsigned node)
{
    return nodes[node].engine.peers;
}

static void handshakes(void)
{
    for (unsigned family = 4; family <= 6; family += 2)
        for (unsigned initiator = 0; initiator < 2; initiator++)
            for (unsigned psk = 0; psk < 2; psk++) {
                world_tunnel(initiator, family, psk ? PSK : NULL);
                CHECK(world_ping(initiator, 1 - initiator, 100));
                CHECK(world_ping(1 - initiator, initiator, 1392));
                CHECK(world_ping(initiator, 1 - initiator, 0));
                CHECK(nodes[initiator].messages[1] == 1 && nodes[1 - initiator].messages[2] == 1);
                CHECK(strstr(world_get(0),
                             family == 4 ? "endpoint=192.0.2.2:1001\n" : "endpoint=[2001::2]:1001\n"));
                CHECK(strstr(world_get(1),
                             family == 4 ? "endpoint=192.0.2.1:1000\n" : "endpoint=[2001::1]:1000\n"));
                CHECK(!strstr(world_get(0), "last_handshake_time_sec=0\n"));
                world_destroy_all();
            }
}

static void wrong_keys(void)
{
    world_tunnel(0, 4, PSK);
    char lines[256];
    snprintf(lines, sizeof(lines), "public_key=%s\npreshared_key=%064x\n", world_public_key(0), 1);
    CHECK(world_set(1, lines) == 0);
    CHECK(!world_ping(0, 1, 10));
    CHECK(strstr(world_get(0), "last_handshake_time_sec=0\n"));
    world_destroy_all();

    world_tunnel(0, 4, NULL);
    snprintf(lines, sizeof(lines), "public_key=%s\nremove=true\n", world_public_key(0));
    CHECK(world_set(1, lines) == 0);
    CHECK(!world_ping(0, 1, 10));
    CHECK(nodes[1].messages[2] == 0 && nodes[0].messages[1] == 1);
    /* 20 initiations, then silence, and nothing waits any more. */
    world_run_ms(300 * 1000);
    CHECK_MSG(nodes[0].messages[1] == 20, "%u initiations", nodes[0].messages[1]);
    CHECK(index_table_used(&nodes[0].engine.indexes) <= 1 && !only_peer(0)->staged_first);
    world_destroy_all();
}

static void rekey(void)
{
    world_tunnel(0, 4, PSK);
    unsigned lost = 0;
    for (unsigned second = 0; second < 1000; second++) {
        lost += !world_ping(0, 1, 200);
        lost += !world_ping(1, 0, 200);
        world_run_ms(999);
    }
    CHECK_MSG(lost == 0, "%u packets lost", lost);
    unsigned sent = nodes[0].messages[1] + nodes[1].messages[1];
    CHECK_MSG(sent >= 8 && sent <= 9, "%u initiations in 1000 s: one each 120 s", sent);
    /* Each session's first packet in each direction came, and no more sessions are kept than three a side. */
    CHECK(index_table_used(&nodes[0].engine.indexes) <= 3 && index_table_used(&nodes[1].engine.indexes) <= 3);

    /* Silence: the keys are erased 540 s after the last session was made. */
    world_run_ms(700 * 1000);
    CHECK(index_table_used(&nodes[0].engine.indexes) == 0 && index_table_used(&nodes[1].engine.indexes) == 0);
    CHECK(world_ping(0, 1, 200));
    world_destroy_all();
}

static void keepalives(void)
{
    char lines[256];
    world_tunnel(0, 4, NULL);
    CHECK(world_ping(0, 1, 100));
    unsigned before = nodes[1].messages[4];
    world_run_ms(9000);
    CHECK(nodes[1].messages[4] == before);
    world_run_ms(2000); /* 10 s after data came that was not answered */
    CHECK(nodes[1].messages[4] == before + 1);

    snprintf(lines, sizeof(lines), "public_key=%s\npersistent_keepalive_interval=25\n", world_public_key(1));
    before = nodes[0].messages[4];
    CHECK(world_set(0, lines) == 0);
    CHECK(nodes[0].messages[4] == before + 1); /* one at once */
    world_run_ms(101 * 1000);
    CHECK_MSG(nodes[0].messages[4] == before + 5, "%u keepalives", nodes[0].messages[4] - before);
    CHECK(strstr(world_get(0), "persistent_keepalive_interval=25\n"));
    CHECK(nodes[1].inner_count == 1); /* keepalives go no further */
    world_destroy_all();
}

/* A lost answer is noticed 15 s after data went out. */
static bool lose_all(unsigned from, uint8_t *data, uint32_t length)
{
    return false;
}

static void outage(void)
{
    world_tunnel(0, 4, NULL);
    CHECK(world_ping(0, 1, 100) && world_ping(1, 0, 100));
    world_filter = lose_all;
    unsigned before = nodes[0].messages[1];
    CHECK(!world_ping(0, 1, 100));
    world_run_ms(16 * 1000);
    CHECK(nodes[0].messages[1] == before + 1);
    world_filter = NULL;
    world_run_ms(6 * 1000);
    CHECK(world_ping(0, 1, 100));
    world_destroy_all();
}

static void roaming(void)
{
    world_tunnel(0, 4, NULL);
    CHECK(world_ping(0, 1, 100) && world_ping(1, 0, 100));
    world_move(1, 77);
    CHECK(world_ping(1, 0, 100));
    CHECK(strstr(world_get(0), "endpoint=192.0.2.77:1001\n"));
    CHECK(world_ping(0, 1, 100));
    /* Our own address goes without a word: the sticky source is refused, the system's choice is taken. */
    nodes[0].address = 88;
    CHECK(world_ping(0, 1, 100));
    CHECK(strstr(world_get(1), "endpoint=192.0.2.88:1000\n"));
    nodes[0].source_refused = true;
    CHECK(world_ping(1, 0, 100) && world_ping(0, 1, 100));

    CHECK(world_set(1, "listen_port=4321\n") == 0);
    CHECK(world_ping(1, 0, 100));
    CHECK(strstr(world_get(0), "endpoint=192.0.2.77:4321\n"));
    CHECK(world_ping(0, 1, 100));
    world_destroy_all();
}

static void down_and_up(void)
{
    world_tunnel(0, 4, NULL);
    CHECK(world_ping(0, 1, 100));
    world_set_link(0, false);
    CHECK(index_table_used(&nodes[0].engine.indexes) == 0);
    CHECK(!world_ping(1, 0, 100) && !world_ping(0, 1, 100));
    CHECK(timer_heap_first(&nodes[0].engine.timers) == NULL);
    world_run_ms(100); /* a responder accepts no initiation sooner than 20 ms after another */
    world_set_link(0, true);
    CHECK(world_ping(0, 1, 100));
    CHECK(strstr(world_get(0), "listen_port=1000\n"));
    world_set_link(0, true); /* the same again is nothing new */
    CHECK(world_ping(0, 1, 100));
    nodes[0].tun_deleted = true;
    CHECK(!world_stopped);
    world_set_link(0, true);
    CHECK(world_stopped);
    world_destroy_all();
}

/* A TCP super-segment is cut, sent with one call, and joined again: payload and count are the same. */
static void super_segments(void)
{
    enum { MSS = 1380, SEGMENTS = 40, PAYLOAD = MSS * (SEGMENTS - 1) + 500, HEADERS = 40 };
    static uint8_t packet[HEADERS + PAYLOAD];
    world_tunnel(0, 4, NULL);
    CHECK(world_ping(0, 1, 100) && world_ping(1, 0, 100));
    world_packet(packet, 0, 1, 100, 1);
    memset(packet + 20, 0, 20);
    packet[IPV4_PROTOCOL] = PROTOCOL_TCP;
    packet[6] = 0x40; /* don't fragment */
    put16(packet + IPV4_TOTAL_LENGTH, HEADERS + PAYLOAD);
    put16(packet + 22, 80);
    put32(packet + 20 + TCP_SEQUENCE, 0xfffff000);
    packet[20 + TCP_DATA_OFFSET] = 0x50;
    packet[20 + TCP_FLAGS] = TCP_ACK;
    for (unsigned i = 0; i < PAYLOAD; i++)
        packet[HEADERS + i] = (uint8_t)(i * 31 + i / 256);
    struct tun_packet inner = {.data = packet,
                               .length = HEADERS + PAYLOAD,
                               .gso_size = MSS,
                               .gso_type = TUN_GSO_TCP4,
                               .needs_checksum = true,
                               .checksum_start = 20,
                               .checksum_offset = TCP_CHECKSUM};
    world_forget_inner(1);
    unsigned sends = nodes[0].sends, messages = nodes[0].messages[4];
    world_send_inner(0, &inner);
    world_run_ms(1);
    CHECK_MSG(nodes[0].sends == sends + 1, "%u calls", nodes[0].sends - sends);
    CHECK(nodes[0].messages[4] == messages + SEGMENTS);
    CHECK_MSG(nodes[1].inner_count == 1, "%u packets", nodes[1].inner_count);
    const struct inner_packet *got = &nodes[1].inner[0];
    CHECK(got->length == HEADERS + PAYLOAD && got->gso_size == MSS);
    CHECK(got->length == inner.length && memcmp(got->data + HEADERS, packet + HEADERS, PAYLOAD) == 0);

    /* The same while there is no session: it waits, and all of it comes in the order it was sent. */
    world_set_link(1, false);
    world_set_link(1, true);
    world_set_link(0, false);
    world_run_ms(100);
    world_set_link(0, true);
    world_forget_inner(1);
    world_send_inner(0, &inner);
    world_run_ms(1);
    CHECK_MSG(nodes[1].inner_count == 1, "%u packets", nodes[1].inner_count);
    CHECK(got->gso_size == MSS && got->length == inner.length &&
          memcmp(got->data + HEADERS, packet + HEADERS, PAYLOAD) == 0);

    /* The device cannot be read any more: as when it is deleted in a namespace that the engine does not see.
     */
    CHECK(!world_stopped);
    transmit_packets(&nodes[0].engine, NULL, 0);
    CHECK(world_stopped);
    world_destroy_all();
}

static void full_socket(void)
{
    uint8_t packet[2048];
    world_tunnel(0, 4, NULL);
    CHECK(world_ping(0, 1, 100));
    world_forget_inner(1);
    nodes[0].socket_full = true;
    for (unsigned i = 0; i < 20; i++) {
        struct tun_packet inner = {.data = packet, .length = world_packet(packet, 0, 1, 500 + i, i)};
        world_send_inner(0, &inner);
    }
    CHECK(nodes[0].tun_paused);
    world_run_ms(10);
    CHECK(nodes[1].inner_count == 0);
    world_socket_writable(0);
    CHECK(!nodes[0].tun_paused);
    world_run_ms(10);
    CHECK(nodes[1].inner_count == 20);
    for (unsigned i = 0; i < 20 && i < nodes[1].inner_count; i++)
        CHECK(nodes[1].inner[i].length == 528 + i);
    /* Going down while something waits lets the device be read again. */
    nodes[0].socket_full = true;
    struct tun_packet inner = {.data = packet, .length = world_packet(packet, 0, 1, 500, 1)};
    world_send_inner(0, &inner);
    CHECK(nodes[0].tun_paused);
    world_set_link(0, false);
    CHECK(!nodes[0].tun_paused);
    world_destroy_all();
}

static void waiting_packets(void)
{
    uint8_t packet[2048];
    world_tunnel(0, 4, NULL);
    world_filter = lose_all;
    for (unsigned i = 0; i < 200; i++) {
        struct tun_packet inner = {.data = packet, .length = world_packet(packet, 0, 1, 400 + i, 0)};
        world_send_inner(0, &inner);
    }
    world_filter = NULL;
    world_run_ms(6000);
    CHECK_MSG(nodes[1].inner_count == 128, "%u packets: those that came last", nodes[1].inner_count);
    CHECK(nodes[1].inner[0].length == 28 + 400 + 72 && nodes[1].inner[127].length == 28 + 400 + 199);
    world_destroy_all();
}

/* A port that is taken: whoever asks for it is told, and asking for another makes up for it. */
static void taken_port(void)
{
    world_port_of_others = 600;
    world_make(0);
    CHECK(world_set(0, "listen_port=600\n") == 0); /* nothing is opened while the interface is down */
    world_set_link(0, true);
    CHECK(!nodes[0].engine.up);
    CHECK(world_set(0, "listen_port=600\n") == EADDRINUSE && !nodes[0].engine.up);
    CHECK(world_set(0, "listen_port=601\n") == 0 && nodes[0].engine.up);
    CHECK(world_set(0, "listen_port=600\n") == EADDRINUSE && nodes[0].engine.up);
    CHECK(strstr(world_get(0), "listen_port=601\n"));
    world_port_of_others = 0;
    world_destroy_all();
}

static void configuration(void)
{
    char lines[512];
    world_make(0);
    CHECK(strcmp(world_get(0), "") == 0);
    CHECK(world_set(0, "fwmark=81\nlisten_port=555\n") == 0);
    CHECK(strcmp(world_get(0), "listen_port=555\nfwmark=81\n") == 0);
    CHECK(world_set(0, "fwmark=4294967295\nlisten_port=556\n") == EPERM);
    CHECK(strcmp(world_get(0), "listen_port=555\nfwmark=81\n") == 0);
    for (unsigned i = 0; i < 1500; i++) {
        snprintf(lines, sizeof(lines),
                 "public_key=%064x\nallowed_ip=10.%u.%u.1/32\nallowed_ip=fd00::%x/128\n", i + 1000, i / 256,
                 i % 256, i);
        CHECK(world_set(0, lines) == 0);
    }
    CHECK(nodes[0].engine.peer_count == 1500 && nodes[0].engine.table.count >= 1024);
    CHECK(strstr(world_get(0), "allowed_ip=10.5.219.1/32\nallowed_ip=fd00::5db/128\n"));
    world_set_link(0, true);
    for (unsigned i = 0; i < 1500; i += 2) {
        snprintf(lines, sizeof(lines), "public_key=%064x\nremove=true\n", i + 1000);
        CHECK(world_set(0, lines) == 0);
    }
    CHECK(nodes[0].engine.peer_count == 750);
    /* A prefix moves to another peer; one that is another's is not taken away. */
    snprintf(lines, sizeof(lines),
             "public_key=%064x\nallowed_ip=10.0.1.1/32\npublic_key=%064x\nallowed_ip=-10.0.3.1/32\n", 1003,
             1001);
    CHECK(world_set(0, lines) == 0);
    CHECK(strstr(world_get(0), "allowed_ip=10.0.3.1/32\nallowed_ip=fd00::3/128\nallowed_ip=10.0.1.1/32\n"));
    snprintf(lines, sizeof(lines), "public_key=%064x\nupdate_only=true\nallowed_ip=10.0.9.1/32\n", 77);
    CHECK(world_set(0, lines) == 0 && nodes[0].engine.peer_count == 750);
    CHECK(world_set(0, "replace_peers=true\n") == 0 && nodes[0].engine.peer_count == 0);

    /* An own key is no peer, whichever came first. */
    snprintf(lines, sizeof(lines), "private_key=%s\npublic_key=%s\n",
             "0101010101010101010101010101010101010101010101010101010101010101", world_public_key(0));
    CHECK(world_set(0, lines) == 0 && nodes[0].engine.peer_count == 0);
    snprintf(lines, sizeof(lines), "public_key=%s\n", world_public_key(1));
    CHECK(world_set(0, lines) == 0 && nodes[0].engine.peer_count == 1);
    CHECK(world_set(0, "private_key=0202020202020202020202020202020202020202020202020202020202020202\n") ==
          0);
    CHECK(nodes[0].engine.peer_count == 0);
    snprintf(lines, sizeof(lines), "private_key=%064x\n", 0);
    CHECK(world_set(0, lines) == 0 && !strstr(world_get(0), "private_key"));
    world_destroy_all();
}

/* A new private key: the tunnel goes on under it as soon as the other side knows. */
static void new_identity(void)
{
    char lines[512];
    world_tunnel(0, 4, NULL);
    CHECK(world_ping(0, 1, 100));
    CHECK(world_set(0, "private_key=0303030303030303030303030303030303030303030303030303030303030303\n") ==
          0);
    CHECK(!world_ping(0, 1, 100));
    snprintf(lines, sizeof(lines), "public_key=%s\nallowed_ip=10.0.0.1/32\n", world_public_key(2));
    CHECK(world_set(1, lines) == 0);
    world_run_ms(6000);
    CHECK(world_ping(0, 1, 100));
    CHECK(world_ping(1, 0, 100));
    world_destroy_all();
}

/* The heap against the plainest list. */
static void heap(void)
{
    enum { ENTRIES = 300 };
    static struct timer_entry entries[ENTRIES];
    struct timer_heap timers = {0};
    CHECK(timer_heap_reserve(&timers, ENTRIES));
    bool right = true;
    for (unsigned step = 0; step < 50000; step++) {
        struct timer_entry *entry = &entries[world_random(ENTRIES)];
        if (world_random(3))
            timer_heap_set(&timers, entry, world_random(1000));
        else
            timer_heap_remove(&timers, entry);
        uint64_t least = UINT64_MAX;
        for (unsigned i = 0; i < ENTRIES; i++)
            if (entries[i].place && entries[i].due_ns < least)
                least = entries[i].due_ns;
        const struct timer_entry *first = timer_heap_first(&timers);
        right = right && (first ? first->due_ns : UINT64_MAX) == least;
    }
    CHECK(right);
    timer_heap_free(&timers);
}

int main(void)
{
    heap();
    handshakes();
    wrong_keys();
    rekey();
    keepalives();
    outage();
    roaming();
    down_and_up();
    super_segments();
    full_socket();
    waiting_packets();
    configuration();
    taken_port();
    new_identity();
    attacks();
    return check_summary();
}
