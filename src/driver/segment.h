/* Transmit offloads of one packet: large sends (LSOv2) and UDP segmentation (USO) are cut, and checksums
 * filled in, while the packet is encrypted: its headers are written anew where the message will be, the
 * payload stays in the sender's MDLs, and nothing of the sender's is changed.  Plain computation; IRQL <=
 * DISPATCH_LEVEL.
 *
 * Microsoft: "Offloading the Segmentation of Large TCP Packets", "UDP Segmentation Offload (USO)",
 * "NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO". */
#pragma once

#include "nt/ndis.h"
#include "protocol/transport.h"

#include <stdbool.h>
#include <stdint.h>

/* What is to be done to the packets of an NBL, in one word, kept in its MiniportReserved[1] while it is ours;
 * 0: nothing.  A packet to be cut is the only one of its NBL. */
typedef uint32_t segment_request;
#define SEGMENT_PAYLOAD_MASK  0x000FFFFFu /* payload of each segment but the last; 0: not to be cut */
#define SEGMENT_HEADERS_SHIFT 20          /* length of its IP and transport headers, in units of 4 bytes */
#define SEGMENT_HEADERS_MASK  0x01F00000u
#define SEGMENT_SUM_IP        0x02000000u /* fill in the IPv4 header checksum */
#define SEGMENT_SUM_TRANSPORT 0x04000000u /* fill in the TCP or UDP checksum */

static inline uint32_t segment_payload(segment_request request)
{
    return request & SEGMENT_PAYLOAD_MASK;
}

static inline uint32_t segment_headers(segment_request request)
{
    return ((request & SEGMENT_HEADERS_MASK) >> SEGMENT_HEADERS_SHIFT) * 4;
}

static inline void *volatile *segment_request_slot(NET_BUFFER_LIST *nbl)
{
    return (void *volatile *)&NET_BUFFER_LIST_MINIPORT_RESERVED(nbl)[1];
}

static inline segment_request segment_request_of(NET_BUFFER_LIST *nbl)
{
    return (segment_request)(uintptr_t)*segment_request_slot(nbl);
}

/* What the completion of a large send is to say, sent or refused (Microsoft:
 * "NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO", LsoV2TransmitComplete). */
static inline void segment_note_completion(NET_BUFFER_LIST *nbl)
{
    if (NET_BUFFER_LIST_INFO(nbl, TcpLargeSendNetBufferListInfo))
        NET_BUFFER_LIST_INFO(nbl, TcpLargeSendNetBufferListInfo) = (PVOID)(uintptr_t)NDIS_LSO_V2_TYPE;
}

/* Does the NBL ask for anything?  Most do not, or only with `segment_request_read` do we know. */
static inline bool segment_wanted(const NET_BUFFER_LIST *nbl)
{
    return NET_BUFFER_LIST_INFO(nbl, TcpIpChecksumNetBufferListInfo) ||
           NET_BUFFER_LIST_INFO(nbl, TcpLargeSendNetBufferListInfo) ||
           NET_BUFFER_LIST_INFO(nbl, UdpSegmentationOffloadInfo);
}

/* Translates what the NBL asks for, if it fits the packet: `headers` holds the first `available` bytes of its
 * first NET_BUFFER, at least TRANSPORT_HEADERS_MAX_BYTES or all; `active` are the offload_flag in force,
 * `mtu` the inner MTU (0: unknown).  A large send's information becomes what its completion is to say. False:
 * the NBL is to be refused. */
bool segment_request_read(NET_BUFFER_LIST *nbl, const uint8_t *headers, uint32_t available, uint32_t active,
                          uint32_t mtu, segment_request *request);

/* How many packets a NET_BUFFER becomes, and the bytes of the one whose payload begins `cut` bytes into the
 * payload (a multiple of segment_payload). */
static inline uint32_t segment_count(segment_request request, uint32_t length)
{
    uint32_t payload = segment_payload(request);
    return payload == 0 ? 1 : (length - segment_headers(request) + payload - 1) / payload;
}

static inline uint32_t segment_bytes(segment_request request, uint32_t length, uint32_t cut)
{
    uint32_t payload = segment_payload(request), left = length - segment_headers(request) - cut;
    return payload == 0 ? length : segment_headers(request) + (left < payload ? left : payload);
}

/* A packet's headers, ready to be varied: fields that differ from segment to segment are taken out of sums.
 */
struct segment_template {
    const NET_BUFFER *buffer; /* of which; NULL: none yet */
    segment_request request;
    struct transport_view view;
    uint32_t payload_bytes; /* of the whole packet */
    uint32_t sequence;      /* TCP, of the first segment */
    uint16_t identification;
    uint8_t tcp_flags;
    uint64_t ip_sum;        /* of the IPv4 header without total length, identification and checksum */
    uint64_t transport_sum; /* of pseudo-header and transport header, without lengths, sequence, flags, sum */
    MDL *mdl;               /* the MDL in which the last payload was found, and what is before it: */
    uint32_t mdl_start;     /* payload found later is not before it */
    uint8_t headers[TRANSPORT_HEADERS_MAX_BYTES];
};

/* Prepares for the packets of `buffer`.  False: its headers cannot be read or do not allow `request`. */
bool segment_begin(struct segment_template *template, const NET_BUFFER *buffer, segment_request request);
/* Writes the headers of the packet whose payload, of `payload` bytes that sum up to `sum`, begins at `cut`:
 * view.header_bytes bytes. */
void segment_write_headers(const struct segment_template *template, uint32_t cut, uint32_t payload,
                           uint64_t sum, uint8_t *out);
/* Where the payload at `cut` begins: the MDL, and the offset in it.  `cut` does not decrease from call to
 * call. */
MDL *segment_seek(struct segment_template *template, uint32_t cut, uint32_t *offset);
/* Writes a whole packet, `bytes` bytes (segment_bytes).  False: an MDL cannot be mapped. */
bool segment_copy(struct segment_template *template, uint32_t cut, uint32_t bytes, uint8_t *out);
