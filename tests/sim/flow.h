/* Packets inside the tunnels, and the check of their delivery: every packet that a scenario sends belongs to
 * a flow and has a number, so that at the other end it is known what it is, and that it came once, whole, in
 * order, to the right place.  A packet is an IPv4 or IPv6 header, a UDP or TCP header, then flow, number and
 * a pattern made of both; checksums, identifications and sequence numbers are right, so that neighbours may
 * be joined and cut again on the way. */
#pragma once

#include "world.h"

#define FLOW_PACKET_MAX 9000

/* An end of a tunnel: an adapter under test or a scripted peer.  Ends are numbered; end e owns the inner
 * addresses 10.e.x.y and fd00:e::x. */
#define ENDS_MAX 16
#define END_ANY  0xff /* who gets it is not known: something is just being changed */
#define END_NONE 0xfe /* nobody may get it */

struct inner_address {
    uint8_t family; /* 4 or 6 */
    uint8_t bytes[16];
};

struct inner_address inner_of(uint8_t end, uint8_t family, uint8_t host);

/* Shortest packet of a flow of datagrams that can carry flow and number. */
uint32_t flow_packet_min(uint8_t family);

/* A new flow that end `from` sends; `ordered`: nothing on the way may reorder its packets.  Flows live until
 * flow_reset. */
int flow_new(uint8_t from, const struct inner_address *source, const struct inner_address *destination,
             bool ordered);
/* The plain case: from the first address of one end to that of the other. */
int flow_between(uint8_t from, uint8_t to, uint8_t family);

/* Makes it a stream: TCP segments that follow each other instead of datagrams, none longer than every MTU
 * allows (FLOW_SEGMENT_MAX).  Before its first packet. */
#define FLOW_SEGMENT_MAX 560
void flow_stream(int flow);

/* Builds the flow's next packet of `length` bytes (at least flow_packet_min) into `packet`.  `expected`: the
 * end that is to get it, END_ANY or END_NONE. Returns its length. */
uint32_t flow_build(int flow, uint8_t *packet, uint32_t length, uint8_t expected);

/* A packet came out at `end`.  Checks: known, unchanged, once, at the right end, in order. */
void flow_delivered(uint8_t end, const uint8_t *packet, uint32_t length);

/* What `from` has sent, and has not come yet, may come anywhere: something is being changed. */
void flow_expect_any(uint8_t from);

/* From now on order is not demanded of any flow (a path that reorders). */
void flow_unordered(void);

/* The end that sent this packet; END_NONE: it is none of ours. */
uint8_t flow_sender(const uint8_t *packet, uint32_t length);
/* Where the flow's packets go. */
const struct inner_address *flow_destination(int flow);

uint32_t flow_sent(int flow);
uint32_t flow_received(int flow);
bool flow_was_received(int flow, uint32_t number);
uint64_t flow_last_delivery_ns(int flow);
void flow_reset(void);

/* ---- raw packets, also wrong ones ---- */
/* An IP header for a packet of `length` bytes. */
void ip_header(uint8_t *packet, uint32_t length, const struct inner_address *source,
               const struct inner_address *destination);
/* Source and destination of a packet that starts with a whole IP header; false otherwise. */
bool ip_parse(const uint8_t *packet, uint32_t length, struct inner_address *source,
              struct inner_address *destination);
