/* Upper edge, transmit: software TSO4, TSO6 and USO.  The payload is copied and summed in one pass. */
#include "segment.h"

#include "checksum.h"
#include "packet.h"

#include <errno.h>

static int parse_ip(struct segmenter *s, const struct tun_packet *packet)
{
    const uint8_t *data = packet->data;

    if (packet->length < IPV4_HEADER_BYTES)
        return -EINVAL;
    s->version = data[0] >> 4;
    if (s->version == 4) {
        s->ip_bytes = (data[0] & 15) * 4u;
        s->protocol = data[IPV4_PROTOCOL];
        if (s->ip_bytes < IPV4_HEADER_BYTES)
            return -EINVAL;
        s->pseudo = checksum_pseudo(data + IPV4_SOURCE, 8, s->protocol, 0);
    } else if (s->version == 6 && packet->length >= IPV6_HEADER_BYTES) {
        /* Extension headers, if any, lie between the fixed header and the transport header that vnet_hdr
         * names; they are repeated in each segment. */
        s->ip_bytes = packet->checksum_start;
        s->protocol = packet->gso_type == TUN_GSO_UDP ? PROTOCOL_UDP : PROTOCOL_TCP;
        if (s->ip_bytes < IPV6_HEADER_BYTES)
            return -EINVAL;
        s->pseudo = checksum_pseudo(data + IPV6_SOURCE, 32, s->protocol, 0);
    } else {
        return -EINVAL;
    }
    return s->ip_bytes < packet->length ? 0 : -EINVAL;
}

int segment_begin(struct segmenter *s, const struct tun_packet *packet)
{
    uint32_t transport;

    memset(s, 0, sizeof *s);
    s->data = packet->data;
    s->count = 1;
    if (packet->gso_type == TUN_GSO_NONE) {
        s->payload_bytes = s->size = packet->length;
        s->copy_only = !packet->needs_checksum;
        s->checksum_only = packet->needs_checksum;
        s->checksum_start = packet->checksum_start;
        s->checksum_offset = packet->checksum_offset;
        if (packet->needs_checksum &&
            (uint32_t)packet->checksum_start + packet->checksum_offset + 2 > packet->length)
            return -EINVAL;
        return packet->length > 0 ? 0 : -EINVAL;
    }

    if (!packet->needs_checksum || packet->gso_size == 0 || parse_ip(s, packet) != 0)
        return -EINVAL;
    if (packet->gso_type == TUN_GSO_UDP) {
        transport = UDP_HEADER_BYTES;
        if (s->protocol != PROTOCOL_UDP)
            return -EINVAL;
    } else {
        if (s->protocol != PROTOCOL_TCP || s->version != (packet->gso_type == TUN_GSO_TCP4 ? 4 : 6) ||
            s->ip_bytes + TCP_HEADER_BYTES > packet->length)
            return -EINVAL;
        transport = (packet->data[s->ip_bytes + TCP_DATA_OFFSET] >> 4) * 4u;
        if (transport < TCP_HEADER_BYTES)
            return -EINVAL;
    }
    s->header_bytes = s->ip_bytes + transport;
    if (s->header_bytes >= packet->length)
        return -EINVAL;
    s->payload_bytes = packet->length - s->header_bytes;
    s->size = packet->gso_size;
    s->count = (s->payload_bytes + s->size - 1) / s->size;
    return 0;
}

static void write_plain(const struct segmenter *s, uint8_t *out)
{
    uint8_t *field;
    uint64_t sum;
    uint16_t folded;

    if (s->copy_only) {
        memcpy(out, s->data, s->payload_bytes);
        return;
    }
    /* The field holds the pseudo-header's sum already: adding everything from checksum_start completes it. */
    memcpy(out, s->data, s->checksum_start);
    sum = checksum_copy(out + s->checksum_start, s->data + s->checksum_start,
                        s->payload_bytes - s->checksum_start);
    folded = (uint16_t)~checksum_fold(sum);
    field = out + s->checksum_start + s->checksum_offset;
    if (folded == 0 && s->checksum_offset == UDP_CHECKSUM)
        folded = 0xffff; /* zero means "none" in UDP */
    put16_raw(field, folded);
}

static void write_ip_header(const struct segmenter *s, uint32_t index, uint32_t length, uint8_t *out)
{
    if (s->version == 4) {
        uint16_t sum;

        put16(out + IPV4_TOTAL_LENGTH, length);
        put16(out + IPV4_IDENTIFICATION, get16(s->data + IPV4_IDENTIFICATION) + index);
        put16(out + IPV4_CHECKSUM, 0);
        sum = (uint16_t)~checksum_fold(checksum_add(0, out, s->ip_bytes));
        put16_raw(out + IPV4_CHECKSUM, sum);
    } else {
        put16(out + IPV6_PAYLOAD_LENGTH, length - IPV6_HEADER_BYTES);
    }
}

void segment_write(const struct segmenter *s, uint32_t index, uint8_t *out)
{
    uint32_t length, transport_length, payload;
    uint8_t *transport = out + s->ip_bytes;
    uint64_t sum;
    uint16_t folded;

    if (s->copy_only || s->checksum_only) {
        write_plain(s, out);
        return;
    }
    length = segment_length(s, index);
    payload = length - s->header_bytes;
    transport_length = length - s->ip_bytes;
    memcpy(out, s->data, s->header_bytes);
    write_ip_header(s, index, length, out);
    if (s->protocol == PROTOCOL_TCP) {
        uint8_t *flags = transport + TCP_FLAGS;

        put32(transport + TCP_SEQUENCE, get32(s->data + s->ip_bytes + TCP_SEQUENCE) + index * s->size);
        if (index != s->count - 1)
            *flags &= (uint8_t)~(TCP_FIN | TCP_PSH);
        if (index != 0)
            *flags &= (uint8_t)~TCP_CWR;
        put16(transport + TCP_CHECKSUM, 0);
    } else {
        put16(transport + UDP_LENGTH, transport_length);
        put16(transport + UDP_CHECKSUM, 0);
    }
    /* The headers' length is even, so sums of header and payload simply add up. */
    sum = s->pseudo + __builtin_bswap32(transport_length) +
          checksum_copy(NULL, transport, s->header_bytes - s->ip_bytes) +
          checksum_copy(out + s->header_bytes, s->data + s->header_bytes + (size_t)index * s->size, payload);
    folded = (uint16_t)~checksum_fold(sum);
    if (s->protocol == PROTOCOL_TCP) {
        put16_raw(transport + TCP_CHECKSUM, folded);
    } else {
        put16_raw(transport + UDP_CHECKSUM, folded ? folded : 0xffff);
    }
}
