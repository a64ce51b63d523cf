/* The TCP or UDP header of an inner packet: what segmentation, checksums (driver, out) and coalescing
 * (driver, in) need to know.  One parser for all of them; pure functions, any IRQL. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TRANSPORT_TCP    6
#define TRANSPORT_UDP    17
#define TCP_HEADER_BYTES 20 /* without options */
#define UDP_HEADER_BYTES 8

/* The longest IP and TCP headers together (RFC 791, 3.1: IHL 15; RFC 9293, 3.1: Data Offset 15). */
#define TRANSPORT_HEADERS_MAX_BYTES 120

/* Byte offsets: RFC 791, 3.1; RFC 8200, 3; from the transport header: RFC 9293, 3.1; RFC 768. */
enum {
    IPV4_TOTAL_LENGTH = 2,
    IPV4_IDENTIFICATION = 4,
    IPV4_FRAGMENT = 6,
    IPV4_TTL = 8,
    IPV4_PROTOCOL = 9,
    IPV4_CHECKSUM = 10,
    IPV4_SOURCE = 12,
    IPV6_PAYLOAD_LENGTH = 4,
    IPV6_NEXT_HEADER = 6,
    IPV6_HOP_LIMIT = 7,
    IPV6_SOURCE = 8,
    TCP_SEQUENCE = 4,
    TCP_ACKNOWLEDGMENT = 8,
    TCP_DATA_OFFSET = 12,
    TCP_FLAGS = 13,
    TCP_WINDOW = 14,
    TCP_CHECKSUM = 16,
    UDP_LENGTH = 4,
    UDP_CHECKSUM = 6,
};
#define IPV4_DONT_FRAGMENT  0x4000u
#define IPV4_MORE_OR_OFFSET 0x3fffu /* not zero: a fragment */

#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_PSH 0x08u
#define TCP_ACK 0x10u
#define TCP_URG 0x20u
#define TCP_ECE 0x40u
#define TCP_CWR 0x80u

struct transport_view {
    uint8_t version;       /* 4 or 6 */
    uint8_t protocol;      /* TRANSPORT_TCP or TRANSPORT_UDP */
    uint16_t ip_bytes;     /* where the transport header begins */
    uint16_t header_bytes; /* where its payload begins */
};

/* `headers` holds the first `available` bytes of a packet.  False when it is not TCP or UDP directly behind
 * the IP header (IPv6 extension headers, fragments, other protocols), or its headers do not lie in
 * `available`. Lengths in the headers are not looked at. */
bool transport_parse(const uint8_t *headers, uint32_t available, struct transport_view *view);
