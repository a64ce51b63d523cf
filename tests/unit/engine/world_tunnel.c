/* Configured tunnels and packets through them; see world.h. */
#include "world.h"

#include "config.h"
#include "crypto/x25519.h"
#include "edge/checksum.h"
#include "edge/packet.h"
#include "key_codec.h"
#include "wg_protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int world_set(unsigned node, const char *lines)
{
    struct wg_set set = {0};
    int error = 0;
    for (const char *line = lines; *line && !error;) {
        size_t length = strcspn(line, "\n");
        error = wg_set_line(&set, line, length);
        line += length + (line[length] == '\n');
    }
    if (!error)
        error = wg_set_finish(&set);
    if (!error)
        error = config_set(&nodes[node].engine, set.buffer.data, set.buffer.length,
                           set.has_fwmark ? &set.fwmark : NULL);
    wg_set_free(&set);
    return error;
}

const char *world_get(unsigned node)
{
    static char text[1 << 20];
    struct secure_buffer config = {0}, out = {0};
    text[0] = 0;
    if (config_get(&nodes[node].engine, &config) == 0 &&
        wg_get_format(&out, config.data, config.length, nodes[node].engine.fwmark) == 0 &&
        out.length < sizeof(text)) {
        if (out.length)
            memcpy(text, out.data, out.length);
        text[out.length] = 0;
    }
    secure_buffer_free(&config);
    secure_buffer_free(&out);
    return text;
}

const char *world_public_key(unsigned node)
{
    static char text[WORLD_NODES][KEY_HEX_LENGTH + 1];
    uint8_t private_key[32], public_key[32];
    memset(private_key, (int)node + 1, sizeof(private_key));
    x25519_base(public_key, private_key);
    key_to_hex(text[node], public_key);
    return text[node];
}

static void configure(unsigned node, unsigned other, unsigned family, bool knows_endpoint, const char *psk)
{
    char lines[1024], endpoint[64] = "", preshared[96] = "";
    char private_key[KEY_HEX_LENGTH + 1];
    for (unsigned i = 0; i < 32; i++)
        snprintf(private_key + i * 2, 3, "%02x", node + 1);
    if (knows_endpoint)
        snprintf(endpoint, sizeof(endpoint),
                 family == 4 ? "endpoint=192.0.2.%u:%u\n" : "endpoint=[2001::%x]:%u\n", other + 1,
                 1000 + other);
    if (psk)
        snprintf(preshared, sizeof(preshared), "preshared_key=%s\n", psk);
    snprintf(lines, sizeof(lines),
             "private_key=%s\nlisten_port=%u\npublic_key=%s\n%s%sallowed_ip=10.0.0.%u/32\n", private_key,
             1000 + node, world_public_key(other), endpoint, preshared, other + 1);
    if (world_set(node, lines) != 0)
        abort();
}

void world_tunnel(unsigned initiator, unsigned family, const char *psk)
{
    for (unsigned node = 0; node < 2; node++) {
        world_make(node);
        world_set_link(node, true);
        configure(node, 1 - node, family, node == initiator, psk);
    }
}

uint32_t world_packet(uint8_t *packet, unsigned from, unsigned to, uint32_t bytes, uint32_t seed)
{
    uint32_t length = 28 + bytes;
    memset(packet, 0, 28);
    packet[0] = 0x45;
    put16(packet + IPV4_TOTAL_LENGTH, length);
    packet[8] = 64;
    packet[IPV4_PROTOCOL] = PROTOCOL_UDP;
    const uint8_t addresses[8] = {10, 0, 0, (uint8_t)(from + 1), 10, 0, 0, (uint8_t)(to + 1)};
    memcpy(packet + IPV4_SOURCE, addresses, 8);
    put16_raw(packet + IPV4_CHECKSUM, (uint16_t)~checksum_fold(checksum_add(0, packet, 20)));
    put16(packet + 20, 4000 + seed % 1000);
    put16(packet + 22, 5000);
    put16(packet + 24, 8 + bytes);
    for (uint32_t i = 0; i < bytes; i++)
        packet[28 + i] = (uint8_t)(seed + i * 7);
    return length;
}

bool world_ping(unsigned from, unsigned to, uint32_t bytes)
{
    static uint32_t seed;
    uint8_t packet[2048], expected[2048];
    uint32_t length = world_packet(packet, from, to, bytes, ++seed);
    unsigned before = nodes[to].inner_count;
    memcpy(expected, packet, length);
    struct tun_packet inner = {.data = packet, .length = length};
    world_send_inner(from, &inner);
    world_run_ms(1);
    const struct inner_packet *got = &nodes[to].inner[before % INNER_KEPT];
    return nodes[to].inner_count == before + 1 && got->length == length &&
           memcmp(got->data, expected, length) == 0;
}
