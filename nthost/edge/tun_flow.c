/* See tun_flow.h.  A multiplication spreads what differs over the bits that are taken; nothing depends on its
 * quality but how many flows share a queue. */
#include "tun_flow.h"

#include "packet.h"

#define IPV4_FRAGMENT_BITS 0x3fffu /* "more fragments" and the offset */

static uint32_t words(const uint8_t *at, size_t bytes)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes; i += 4)
        sum ^= get32(at + i);
    return sum;
}

uint32_t tun_flow(const uint8_t *packet, size_t length)
{
    uint32_t mixed;
    size_t ports;
    uint8_t protocol;
    if (length >= IPV4_HEADER_BYTES && packet[0] >> 4 == 4) {
        mixed = words(packet + IPV4_SOURCE, 8); /* source xor destination */
        protocol = packet[IPV4_PROTOCOL];
        ports = (size_t)(packet[0] & 15) * 4;
        if (get16(packet + IPV4_FRAGMENT) & IPV4_FRAGMENT_BITS) /* the others of them have none */
            ports = length;
    } else if (length >= IPV6_HEADER_BYTES && packet[0] >> 4 == 6) {
        mixed = words(packet + IPV6_SOURCE, 32);
        protocol = packet[IPV6_NEXT_HEADER];
        ports = IPV6_HEADER_BYTES;
    } else {
        return 0;
    }
    if ((protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP) && ports + 4 <= length)
        mixed ^= (uint32_t)(get16(packet + ports) ^ get16(packet + ports + 2)) << 8;
    mixed = (mixed ^ protocol) * 0x9e3779b1u;
    return mixed >> 22;
}
