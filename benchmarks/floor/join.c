/* From packets to super-segments: packets of one TCP or UDP flow that follow each other become one write.
 * The tunnel vouches for what arrives, so checksums are not verified, only declared as partial or valid. */
#include "floor.h"
#include "packet.h"

#include <linux/virtio_net.h>
#include <sys/uio.h>

/* Newer than Debian 12's kernel headers (Linux 6.2, uapi virtio_net.h). */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define JOINED_MAX 65535u
#define SEGMENTS   64u

static struct {
    struct iovec pieces[1 + SEGMENTS]; /* vnet_hdr, first packet, payloads */
    unsigned segments;                 /* 0: nothing is kept */
    size_t length, headers, payload;   /* so far; of each packet */
    uint32_t next_sequence;
    bool tcp, closed, joinable;
} run;

struct view {
    size_t ip, headers, payload;
    bool tcp;
};

static bool look(struct view *v, const uint8_t *packet, size_t length, bool udp)
{
    if (length < IP_BYTES + UDP_BYTES || packet[0] != 0x45 || load16(packet + IP_LENGTH) != length ||
        (load16(packet + IP_FRAGMENT) & 0x3fff))
        return false;
    v->ip = IP_BYTES;
    v->tcp = packet[IP_PROTOCOL] == 6;
    if (v->tcp) {
        if (length < IP_BYTES + TCP_BYTES)
            return false;
        v->headers = IP_BYTES + (packet[IP_BYTES + TCP_OFFSET] >> 4) * 4u;
        if (v->headers < IP_BYTES + TCP_BYTES || v->headers >= length ||
            (packet[IP_BYTES + TCP_FLAGS] & ~TCP_PUSH) != TCP_ACK)
            return false;
    } else {
        if (packet[IP_PROTOCOL] != 17 || !udp || load16(packet + IP_BYTES + UDP_LENGTH) != length - IP_BYTES)
            return false;
        v->headers = IP_BYTES + UDP_BYTES;
        if (v->headers >= length)
            return false;
    }
    v->payload = length - v->headers;
    return true;
}

/* Whether the packet may follow what is kept: same flow, same everything that is written only once. */
static bool follows(const struct view *v, const uint8_t *packet)
{
    const uint8_t *first = run.pieces[1].iov_base, *t = packet + IP_BYTES, *t0 = first + IP_BYTES;

    if (!run.joinable || run.closed || run.segments == SEGMENTS || run.tcp != v->tcp ||
        run.headers != v->headers || v->payload > run.payload || run.length + v->payload > JOINED_MAX ||
        memcmp(packet + IP_ADDRESSES, first + IP_ADDRESSES, 8) != 0 || packet[IP_TOS] != first[IP_TOS] ||
        packet[IP_TTL] != first[IP_TTL] || packet[IP_FRAGMENT] != first[IP_FRAGMENT] || memcmp(t, t0, 4) != 0)
        return false;
    if (!v->tcp)
        return true;
    /* Acknowledgement and offset; behind the flags window; behind the checksum urgent pointer and options. */
    return load32(t + TCP_SEQUENCE) == run.next_sequence &&
           memcmp(t + TCP_ACKNOWLEDGEMENT, t0 + TCP_ACKNOWLEDGEMENT, 5) == 0 &&
           memcmp(t + TCP_FLAGS + 1, t0 + TCP_FLAGS + 1, 2) == 0 &&
           memcmp(t + TCP_CHECKSUM + 2, t0 + TCP_CHECKSUM + 2, v->headers - IP_BYTES - TCP_CHECKSUM - 2) == 0;
}

void join_flush(int tun)
{
    struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_DATA_VALID};
    uint8_t *first = run.pieces[1].iov_base;

    if (run.segments == 0)
        return;
    if (run.segments > 1) {
        size_t datagram = run.length - IP_BYTES;
        uint8_t *transport = first + IP_BYTES;

        header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        header.gso_type = run.tcp ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_UDP_L4;
        header.gso_size = (uint16_t)run.payload;
        header.hdr_len = (uint16_t)run.headers;
        header.csum_start = IP_BYTES;
        header.csum_offset = run.tcp ? TCP_CHECKSUM : UDP_CHECKSUM;
        store16(first + IP_LENGTH, run.length);
        store16(first + IP_CHECKSUM, 0);
        store_checksum(first + IP_CHECKSUM, (uint16_t)~checksum_fold(checksum_sum(first, IP_BYTES)));
        if (!run.tcp)
            store16(transport + UDP_LENGTH, datagram);
        store_checksum(transport + header.csum_offset, checksum_fold(checksum_pseudo(first, datagram)));
    }
    run.pieces[0] = (struct iovec){&header, sizeof header};
    /* A packet that the interface refuses is lost, as any packet may be. */
    (void)!writev(tun, run.pieces, (int)run.segments + 1);
    run.segments = 0;
}

void join_packet(int tun, bool udp, uint8_t *packet, size_t length)
{
    struct view view;
    bool joinable = look(&view, packet, length, udp);

    if (run.segments > 0 && joinable && follows(&view, packet)) {
        run.pieces[1 + run.segments++] = (struct iovec){packet + view.headers, view.payload};
        run.length += view.payload;
        run.next_sequence += (uint32_t)view.payload;
        run.closed = view.payload < run.payload;
        if (view.tcp && (packet[IP_BYTES + TCP_FLAGS] & TCP_PUSH)) {
            ((uint8_t *)run.pieces[1].iov_base)[IP_BYTES + TCP_FLAGS] |= TCP_PUSH;
            run.closed = true;
        }
        return;
    }
    join_flush(tun);
    run.pieces[1] = (struct iovec){packet, length};
    run.segments = 1;
    run.length = length;
    run.joinable = joinable;
    if (joinable) {
        run.headers = view.headers;
        run.payload = view.payload;
        run.tcp = view.tcp;
        run.closed = view.tcp && (packet[IP_BYTES + TCP_FLAGS] & TCP_PUSH);
        if (view.tcp)
            run.next_sequence = load32(packet + IP_BYTES + TCP_SEQUENCE) + (uint32_t)view.payload;
    }
}
