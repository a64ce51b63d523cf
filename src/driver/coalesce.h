/* Receive segment coalescing: TCP segments of one flow that follow each other in a batch become one
 * NET_BUFFER_LIST, the first segment whole and of the later ones only the payload, as further MDLs of the
 * same NET_BUFFER (Microsoft: "Receive Segment Coalescing (RSC)" with its rules, exceptions and header
 * updates). Nothing is copied.  A unit looks like a sender's super-segment: all segments of one size but the
 * last, ended by PSH; cutting it again gives the same segments.  IRQL <= DISPATCH_LEVEL. */
#pragma once

#include "batch.h"
#include "protocol/packet.h"

/* Flows open at a time. */
#define COALESCE_FLOWS 8

struct coalesce_unit {
    NET_BUFFER_LIST *nbl;  /* of the first segment */
    const uint8_t *latest; /* headers of the last one */
    uint8_t *headers;      /* of the first one, in its slot */
    MDL *tail;
    uint32_t slot;          /* of the first one */
    uint32_t next_sequence; /* that of the segment to come */
    uint32_t length;        /* of the unit, headers included */
    uint16_t segment_bytes; /* payload of the first */
    uint16_t ip_bytes, header_bytes;
    uint16_t segments;
};

struct coalescer {
    uint32_t offloads;                       /* offload_flag in force */
    uint32_t open;                           /* units under way, the oldest first */
    uint64_t segments, bytes, units, aborts; /* of finished units: OID_TCP_RSC_STATISTICS */
    struct coalesce_unit units_open[COALESCE_FLOWS];
};

/* Only what is needed is written: a coalescer is large. */
static inline void coalesce_begin(struct coalescer *coalescer, uint32_t offloads)
{
    coalescer->offloads = offloads;
    coalescer->open = 0;
    coalescer->segments = coalescer->bytes = coalescer->units = coalescer->aborts = 0;
}

/* Takes the packet in slot `i`, accepted, whose header said `view`.  Returns its NBL, to be indicated behind
 * those before, or NULL: its payload was appended to a unit whose NBL was returned before. */
NET_BUFFER_LIST *coalesce_add(struct coalescer *coalescer, struct rx_batch *rx, uint32_t i,
                              const struct packet_view *view);
/* Finishes the units under way; before anything is indicated. */
void coalesce_end(struct coalescer *coalescer, struct rx_batch *rx);
