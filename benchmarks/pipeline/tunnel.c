/* Two adapters of the driver, each the other's only active peer, keys made from numbers. */
#include "bench.h"

#include "crypto/blake2s.h"
#include "crypto/x25519.h"
#include "wyrm/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_PORT    20000u
#define SESSION_TRIES 2000u
#define TRY_MICROS    2000u
#define IPV4_BYTES    20u
#define UDP_BYTES     8u
#define TCP_BYTES     20u
#define PROTOCOL_TCP  6u
#define PROTOCOL_UDP  17u
#define TIME_TO_LIVE  64u
#define TCP_FLAG_ACK  0x10u

static void private_key(uint8_t key[32], uint32_t tunnel, uint32_t peer)
{
    const uint32_t numbers[2] = {tunnel, peer};

    blake2s(key, 32, numbers, sizeof numbers, NULL, 0);
    x25519_clamp(key);
}

static void add_peer(uint8_t **at, uint32_t tunnel, uint32_t peer, uint16_t port, const uint8_t network[3])
{
    struct wyrm_ioctl_peer *p = (struct wyrm_ioctl_peer *)*at;
    struct wyrm_ioctl_allowed_ip *allowed = (struct wyrm_ioctl_allowed_ip *)(p + 1);
    uint8_t key[32];

    private_key(key, tunnel, peer);
    p->flags = WYRM_PEER_HAS_PUBLIC_KEY | WYRM_PEER_HAS_ENDPOINT;
    x25519_base(p->public_key, key);
    p->endpoint.family = WYRM_FAMILY_IPV4;
    p->endpoint.port = __builtin_bswap16(port);
    memcpy(p->endpoint.u.ipv4.address, (const uint8_t[4])PIPELINE_ADDRESS, 4);
    p->allowed_ips_count = 1;
    allowed->family = WYRM_FAMILY_IPV4;
    allowed->cidr = 24;
    memcpy(allowed->address, network, 3);
    *at = (uint8_t *)(allowed + 1);
}

static void configure(const struct tunnel *tunnel, unsigned end, unsigned idle_peers)
{
    size_t bytes = sizeof(struct wyrm_ioctl_interface) +
                   (idle_peers + 1) * (sizeof(struct wyrm_ioctl_peer) + sizeof(struct wyrm_ioctl_allowed_ip));
    uint8_t *buffer = calloc(1, bytes), *at = buffer;
    struct wyrm_ioctl_interface *interface = (struct wyrm_ioctl_interface *)at;
    uint32_t up = WYRM_ADAPTER_UP;

    if (!buffer)
        pipeline_fail("no memory");
    interface->flags =
        WYRM_INTERFACE_HAS_PRIVATE_KEY | WYRM_INTERFACE_HAS_LISTEN_PORT | WYRM_INTERFACE_REPLACE_PEERS;
    interface->listen_port = tunnel->ends[end].port;
    private_key(interface->private_key, tunnel->number, end);
    interface->peers_count = idle_peers + 1;
    at += sizeof *interface;
    add_peer(&at, tunnel->number, !end, tunnel->ends[!end].port, (uint8_t[3]){10, 0, (uint8_t)!end});
    for (unsigned i = 0; i < idle_peers; i++)
        add_peer(&at, tunnel->number, 2 + i, (uint16_t)(10000 + i % 10000),
                 (uint8_t[3]){(uint8_t)(11 + (i >> 16)), (uint8_t)(i >> 8), (uint8_t)i});
    int32_t status =
        pipeline_control(tunnel->ends[end].adapter, WYRM_IOCTL_SET, NULL, 0, buffer, (uint32_t)bytes);
    if (status >= 0)
        status = pipeline_control(tunnel->ends[end].adapter, WYRM_IOCTL_STATE, &up, sizeof up, NULL, 0);
    if (status < 0)
        pipeline_fail("the adapter was not configured: 0x%08x", (unsigned)status);
    free(buffer);
}

static uint16_t checksum(const uint8_t *data, uint32_t length)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i + 1 < length; i += 2)
        sum += (uint32_t)data[i] << 8 | data[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

void tunnel_packet(const struct tunnel *tunnel, uint8_t *data, uint32_t length, bool tcp, uint32_t sequence)
{
    uint8_t *transport = data + IPV4_BYTES;

    (void)tunnel;
    memset(data, 0, IPV4_BYTES + TCP_BYTES);
    data[0] = 0x45;
    put16(data + 2, length);
    put16(data + 4, sequence);
    data[8] = TIME_TO_LIVE;
    data[9] = tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
    memcpy(data + 12, (uint8_t[]){10, 0, 0, 1, 10, 0, 1, 1}, 8);
    put16(data + 10, checksum(data, IPV4_BYTES));
    put16(transport, 1000);
    put16(transport + 2, 2000);
    if (tcp) {
        put16(transport + 4, sequence >> 16);
        put16(transport + 6, sequence);
        transport[12] = TCP_BYTES / 4 << 4;
        transport[13] = TCP_FLAG_ACK;
        put16(transport + 14, 0xffff);
    } else {
        put16(transport + 4, length - IPV4_BYTES); /* no checksum */
    }
}

/* ---- the session ---- */

struct attempt {
    struct tunnel *tunnel;
    uint8_t packet[IPV4_BYTES + UDP_BYTES + 4];
    bool send;
    uint64_t arrived;
};

static void attempt(void *context)
{
    struct attempt *a = context;
    struct pipeline_packet packet = {.data = a->packet, .length = sizeof a->packet};
    uint64_t bytes, writes;

    if (a->send)
        pipeline_send(a->tunnel->ends[0].adapter, &packet, 1);
    while (pipeline_deliver(a->tunnel->ends[0].port) + pipeline_deliver(a->tunnel->ends[1].port) > 0)
        ;
    a->arrived = pipeline_packets(a->tunnel->ends[1].adapter, &bytes, &writes);
}

void tunnel_open(struct tunnel *tunnel, unsigned number, unsigned idle_peers)
{
    struct attempt a = {.tunnel = tunnel};
    unsigned tries = 0;

    tunnel->number = number;
    for (unsigned end = 0; end < 2; end++) {
        char name[16];

        snprintf(name, sizeof name, "tunnel%u%c", number, "ab"[end]);
        tunnel->ends[end].port = (uint16_t)(FIRST_PORT + 2 * number + end);
        tunnel->ends[end].adapter = pipeline_adapter_create(name);
    }
    for (unsigned end = 0; end < 2; end++)
        configure(tunnel, end, idle_peers);
    tunnel_packet(tunnel, a.packet, sizeof a.packet, false, 0);
    for (a.send = true; a.arrived == 0; a.send = false) {
        if (tries++ == SESSION_TRIES)
            pipeline_fail("no session after %u ms", SESSION_TRIES * TRY_MICROS / 1000);
        pipeline_on_loop(attempt, &a);
        usleep(TRY_MICROS);
    }
}

void tunnel_close(struct tunnel *tunnel)
{
    for (unsigned end = 0; end < 2; end++)
        pipeline_adapter_destroy(tunnel->ends[end].adapter);
}
