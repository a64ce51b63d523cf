/* Software segmentation: cuts what a TUN device delivered (a packet with an unfinished checksum, a TCP or UDP
 * super-segment) into complete IP packets with right lengths, identifications, sequence numbers, flags and
 * checksums.  Plain computation on bytes: no system call, no allocation. */
#pragma once

#include "edge.h"

struct segmenter {
    const uint8_t *data;
    uint32_t header_bytes; /* IP and transport header together */
    uint32_t ip_bytes;
    uint32_t payload_bytes; /* of all segments */
    uint32_t size;          /* payload of each segment but the last */
    uint32_t count;         /* number of packets */
    uint64_t pseudo;        /* sum of the pseudo-header without length */
    uint8_t protocol;
    uint8_t version;
    bool copy_only;     /* a plain, complete packet */
    bool checksum_only; /* a plain packet whose checksum is to be completed */
    uint16_t checksum_start, checksum_offset;
};

/* Looks at a packet from the TUN and prepares cutting.  0, or -EINVAL for a packet whose headers contradict
 * its vnet_hdr or its length (to be dropped). The packet's data must stay while the segmenter is used. */
int segment_begin(struct segmenter *segmenter, const struct tun_packet *packet);

/* Bytes of complete packet `index` (< count). */
static inline uint32_t segment_length(const struct segmenter *segmenter, uint32_t index)
{
    uint32_t done = index * segmenter->size;
    uint32_t left = segmenter->payload_bytes - done;

    return segmenter->header_bytes + (left < segmenter->size ? left : segmenter->size);
}

/* Writes complete packet `index` to `out`, segment_length() bytes. */
void segment_write(const struct segmenter *segmenter, uint32_t index, uint8_t *out);
