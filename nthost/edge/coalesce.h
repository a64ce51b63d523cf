/* Software receive coalescing: consecutive TCP segments of a flow, and equal-sized UDP datagrams of a flow,
 * become super-segments for tun_write().  Packets are only looked at; the pieces of the caller's memory are
 * written where they are, with a corrected copy of the first packet's headers in front. */
#pragma once

#include "edge.h"

#define COALESCE_FLOWS    8u
#define COALESCE_PIECES   256u /* iovec entries of one super-segment */
#define COALESCE_SEGMENTS 64u
#define COALESCE_HEADERS  120u /* IPv4 with options + TCP with options */

struct coalesce_slot {
    bool used;
    uint8_t version, protocol;
    bool checksum_ok; /* the first packet's transport checksum is known to be right */
    bool closed;      /* takes no more: PSH seen or a shorter segment */
    uint8_t last_flags;
    uint16_t ip_bytes, header_bytes;
    uint32_t size; /* payload per segment */
    uint32_t segments;
    uint32_t payload_bytes;
    uint32_t next_sequence;
    uint16_t next_identification;
    uint32_t length; /* of the first packet */
    unsigned pieces, first_pieces;
    uint64_t age;
    uint8_t headers[COALESCE_HEADERS];
    struct iovec iov[COALESCE_PIECES + 1]; /* [0]: headers */
};

/* Gets each finished packet or super-segment; `count` packets are in it. */
typedef void coalesce_emit(void *context, const struct tun_packet *header, const struct iovec *iov,
                           unsigned iov_count, unsigned count);

struct coalescer {
    bool tcp, udp; /* what the TUN accepts */
    coalesce_emit *emit;
    void *context;
    uint64_t clock;
    unsigned last;
    unsigned in_use;
    struct coalesce_slot slots[COALESCE_FLOWS];
};

void coalesce_initialize(struct coalescer *coalescer, bool tcp, bool udp, coalesce_emit *emit, void *context);
/* One IP packet of `length` bytes in `iov`; memory stays until coalesce_flush().  `checksum_ok`: its
 * transport checksum is known to be right; otherwise it is checked before the packet joins a run. Packets of
 * one flow leave in the order they came. */
void coalesce_add(struct coalescer *coalescer, const struct iovec *iov, unsigned iov_count, uint32_t length,
                  bool checksum_ok);
/* Emits everything held. */
void coalesce_flush(struct coalescer *coalescer);
