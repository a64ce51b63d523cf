/* Inner packets: headers and padding. */
#include "protocol/packet.h"
#include "protocol/byte_order.h"
#include "protocol/constants.h"

enum packet_result packet_parse(const uint8_t *header, size_t length, struct packet_view *view)
{
    if (length < 1)
        return PACKET_TOO_SHORT;
    uint8_t version = header[0] >> 4;
    if (version == 4) {
        if (length < IPV4_HEADER_MIN_BYTES)
            return PACKET_TOO_SHORT;
        uint32_t total = load_be16(header + 2); /* RFC 791, 3.1: Total Length */
        if (total < IPV4_HEADER_MIN_BYTES || total > length)
            return PACKET_BAD_LENGTH;
        *view = (struct packet_view){
            .length = total, .version = 4, .source = header + 12, .destination = header + 16};
        return PACKET_OK;
    }
    if (version == 6) {
        if (length < IPV6_HEADER_BYTES)
            return PACKET_TOO_SHORT;
        /* RFC 8200, 3: Payload Length; jumbograms (RFC 2675) do not fit through the tunnel. */
        uint32_t total = IPV6_HEADER_BYTES + (uint32_t)load_be16(header + 4);
        if (total > length)
            return PACKET_BAD_LENGTH;
        *view = (struct packet_view){
            .length = total, .version = 6, .source = header + 8, .destination = header + 24};
        return PACKET_OK;
    }
    return PACKET_BAD_VERSION;
}

uint32_t packet_padding(uint32_t length, uint32_t mtu)
{
    uint32_t unit = mtu != 0 && length > mtu ? length % mtu : length;
    uint32_t padding = (PADDING_MULTIPLE - unit % PADDING_MULTIPLE) % PADDING_MULTIPLE;
    if (mtu != 0 && padding > mtu - unit)
        padding = mtu - unit;
    return padding;
}
