/* From super-segments to packets. */
#include "floor.h"
#include "packet.h"

#include <linux/virtio_net.h>

/* Newer than Debian 12's kernel headers (Linux 6.2, uapi virtio_net.h). */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define HEADERS_MAX 120u

struct headers {
    uint8_t bytes[HEADERS_MAX];
    size_t ip, all;     /* lengths */
    uint64_t ip_sum;    /* of the IP header without length, identification and checksum */
    uint64_t transport; /* of pseudo-header and transport header without length and checksum */
    uint32_t sequence;
    uint16_t identification;
    bool tcp;
};

static bool read_headers(struct headers *h, const uint8_t *packet, size_t length, bool tcp)
{
    uint8_t *transport;

    if (length < IP_BYTES || packet[0] >> 4 != 4)
        return false;
    h->tcp = tcp;
    h->ip = (packet[0] & 15) * 4u;
    if (h->ip < IP_BYTES || length < h->ip + (tcp ? TCP_BYTES : UDP_BYTES))
        return false;
    h->all = h->ip + (tcp ? (packet[h->ip + TCP_OFFSET] >> 4) * 4u : UDP_BYTES);
    if (h->all > HEADERS_MAX || h->all < h->ip + (tcp ? TCP_BYTES : UDP_BYTES) || h->all > length)
        return false;
    memcpy(h->bytes, packet, h->all);
    transport = h->bytes + h->ip;
    h->identification = load16(h->bytes + IP_ID);
    store16(h->bytes + IP_LENGTH, 0);
    store16(h->bytes + IP_ID, 0);
    store16(h->bytes + IP_CHECKSUM, 0);
    h->ip_sum = checksum_sum(h->bytes, h->ip);
    if (tcp) {
        h->sequence = load32(transport + TCP_SEQUENCE);
        store32(transport + TCP_SEQUENCE, 0);
        store16(transport + TCP_CHECKSUM, 0);
    } else {
        store16(transport + UDP_LENGTH, 0);
        store16(transport + UDP_CHECKSUM, 0);
    }
    h->transport = checksum_pseudo(h->bytes, 0) + checksum_sum(transport, h->all - h->ip);
    return true;
}

/* Headers of the segment with `bytes` of payload at `payload`, the `index`th. */
static void write_headers(struct headers *h, const uint8_t *payload, size_t bytes, unsigned index,
                          uint32_t sequence)
{
    uint8_t *transport = h->bytes + h->ip;
    size_t datagram = h->all - h->ip + bytes;
    uint64_t sum = h->ip_sum;
    uint16_t id = (uint16_t)(h->identification + index), folded;

    store16(h->bytes + IP_LENGTH, h->all + bytes);
    store16(h->bytes + IP_ID, id);
    sum += __builtin_bswap16((uint16_t)(h->all + bytes)) + (uint64_t)__builtin_bswap16(id);
    store_checksum(h->bytes + IP_CHECKSUM, (uint16_t)~checksum_fold(sum));

    sum = h->transport + checksum_sum(payload, bytes) + __builtin_bswap16((uint16_t)datagram);
    if (h->tcp) {
        store32(transport + TCP_SEQUENCE, sequence);
        sum += checksum_sum(transport + TCP_SEQUENCE, 4);
        store_checksum(transport + TCP_CHECKSUM, (uint16_t)~checksum_fold(sum));
    } else {
        store16(transport + UDP_LENGTH, datagram);
        sum += __builtin_bswap16((uint16_t)datagram);
        folded = (uint16_t)~checksum_fold(sum);
        store_checksum(transport + UDP_CHECKSUM, folded ? folded : 0xffff);
    }
}

static void cut_segments(struct headers *h, uint8_t *packet, size_t length, size_t size)
{
    uint8_t flags = h->tcp ? h->bytes[h->ip + TCP_FLAGS] : 0;
    uint32_t sequence = h->sequence;
    unsigned index = 0;

    for (size_t at = h->all; at < length; at += size, sequence += (uint32_t)size, index++) {
        size_t bytes = length - at < size ? length - at : size;

        if (h->tcp) { /* CWR only in the first, FIN and PUSH only in the last: so does the kernel */
            uint8_t now = flags;

            if (at > h->all)
                now &= (uint8_t)~TCP_CWR;
            if (at + bytes < length)
                now &= (uint8_t)~(TCP_FIN | TCP_PUSH);
            h->transport -= (uint64_t)h->bytes[h->ip + TCP_FLAGS] << 8;
            h->transport += (uint64_t)now << 8;
            h->bytes[h->ip + TCP_FLAGS] = now;
        }
        write_headers(h, packet + at, bytes, index, sequence);
        outbox_put(h->bytes, h->all, packet + at, bytes);
    }
}

void cut_packet(uint8_t *packet, size_t length, unsigned gso_type, size_t gso_size, size_t checksum_start,
                size_t checksum_offset)
{
    struct headers headers;
    bool tcp = gso_type == VIRTIO_NET_HDR_GSO_TCPV4;

    if (gso_type != VIRTIO_NET_HDR_GSO_NONE) {
        if (gso_size > 0 && (tcp || gso_type == VIRTIO_NET_HDR_GSO_UDP_L4) &&
            read_headers(&headers, packet, length, tcp))
            cut_segments(&headers, packet, length, gso_size);
        return;
    }
    if (checksum_start) {
        uint16_t folded;

        if (checksum_start + checksum_offset + 2 > length)
            return;
        /* The field holds the pseudo-header's sum already. */
        folded = (uint16_t)~checksum_fold(checksum_sum(packet + checksum_start, length - checksum_start));
        store_checksum(packet + checksum_start + checksum_offset, folded ? folded : 0xffff);
    }
    outbox_put(NULL, 0, packet, length);
}
