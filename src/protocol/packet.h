/* The IP packets inside the tunnel: what is looked at before a packet is encrypted and after one was
 * decrypted, and the padding.  Pure functions, any IRQL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPV4_HEADER_MIN_BYTES 20
#define IPV6_HEADER_BYTES     40

enum packet_result {
    PACKET_OK = 0,
    PACKET_TOO_SHORT,   /* not even an IP header */
    PACKET_BAD_VERSION, /* neither 4 nor 6 */
    PACKET_BAD_LENGTH,  /* the header's length is below the header's size or beyond the data */
};

struct packet_view {
    uint32_t length;       /* of the packet by its own header; <= the length given: the rest is padding */
    uint8_t version;       /* 4 or 6 */
    const uint8_t *source; /* 4 or 16 bytes inside the packet */
    const uint8_t *destination; /* the same */
};

/* Checks an IP header.  `header` holds the first min(length, IPV6_HEADER_BYTES) bytes, contiguous; `length`
 * is that of the whole plaintext, any value.  A sender also demands view->length == length; a receiver trims
 * to view->length. `view` is written on PACKET_OK only. */
enum packet_result packet_parse(const uint8_t *header, size_t length, struct packet_view *view);

/* Zero bytes to append to a packet of `length` bytes (white paper 5.4.6): up to the next multiple of 16, but
 * never beyond `mtu`, the MTU of the inner packet's family (0: not known, no limit).  A packet larger than
 * the MTU (to be cut later) is treated by its remainder. */
uint32_t packet_padding(uint32_t length, uint32_t mtu);
