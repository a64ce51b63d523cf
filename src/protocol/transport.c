/* Transport headers of inner packets. */
#include "protocol/transport.h"
#include "protocol/byte_order.h"
#include "protocol/packet.h"

bool transport_parse(const uint8_t *headers, uint32_t available, struct transport_view *view)
{
    uint32_t ip_bytes, transport_bytes;
    uint8_t protocol;
    if (available < IPV4_HEADER_MIN_BYTES)
        return false;
    uint8_t version = headers[0] >> 4;
    if (version == 4) {
        ip_bytes = (headers[0] & 15u) * 4;
        protocol = headers[IPV4_PROTOCOL];
        if (ip_bytes < IPV4_HEADER_MIN_BYTES || load_be16(headers + IPV4_FRAGMENT) & IPV4_MORE_OR_OFFSET)
            return false;
    } else if (version == 6) {
        ip_bytes = IPV6_HEADER_BYTES;
        protocol = headers[IPV6_NEXT_HEADER];
    } else {
        return false;
    }
    if (protocol == TRANSPORT_TCP) {
        if (available < ip_bytes + TCP_HEADER_BYTES)
            return false;
        transport_bytes = (headers[ip_bytes + TCP_DATA_OFFSET] >> 4) * 4u;
        if (transport_bytes < TCP_HEADER_BYTES)
            return false;
    } else if (protocol == TRANSPORT_UDP) {
        transport_bytes = UDP_HEADER_BYTES;
    } else {
        return false;
    }
    if (ip_bytes + transport_bytes > available)
        return false;
    *view = (struct transport_view){.version = version,
                                    .protocol = protocol,
                                    .ip_bytes = (uint16_t)ip_bytes,
                                    .header_bytes = (uint16_t)(ip_bytes + transport_bytes)};
    return true;
}
