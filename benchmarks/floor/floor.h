/* The floors: tunnels that do nothing but what any tunnel in user space has to do.  A TUN device whose
 * super-segments are cut to packets, each with 32 bytes around it (as many as a WireGuard message adds), sent
 * as segmented runs over UDP, and coalesced again on the other side.  floor-io moves packets as they are;
 * floor-aead seals and opens each with one pass of libcrypto's ChaCha20-Poly1305.  No protocol: no handshake,
 * no replay window, no routing, one peer.  IPv4 inside and outside.  One thread, run to completion. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define MESSAGE_HEADER 16u /* before each packet: type, receiver, counter, as in WireGuard */
#define MESSAGE_TAG    16u /* behind it */
#define OVERHEAD       (MESSAGE_HEADER + MESSAGE_TAG)
#define MESSAGE_DATA   4u /* the type, first byte of the header */

#define RUN_MESSAGES 64u    /* UDP_MAX_SEGMENTS of Linux before 6.9 */
#define RUN_BYTES    65487u /* one UDP datagram over IPv6; also enough for IPv4 */

/* ---- from the TUN to the wire (cut.c) ---- */

/* Cuts what one read of the TUN gave (a super-segment or one packet, without vnet_hdr) to packets with right
 * checksums, and gives each to outbox_put.  `packet` has at least 64 writable bytes before it and is
 * overwritten.  `gso_type`, `gso_size`, `checksum_start`, `checksum_offset`: of struct virtio_net_hdr;
 * checksum_start 0 means that the checksum is complete. */
void cut_packet(uint8_t *packet, size_t length, unsigned gso_type, size_t gso_size, size_t checksum_start,
                size_t checksum_offset);

/* ---- messages (outbox.c, seal_*.c) ---- */

/* For the connected socket `wire`; false without memory. */
bool outbox_open(int wire);
/* Appends one packet: `head` (up to 120 bytes, copied), then `body`, which stays as it is until outbox_send.
 * floor-aead may overwrite `head_length` bytes before `body`. */
void outbox_put(const uint8_t *head, size_t head_length, uint8_t *body, size_t length);
/* Sends everything and empties the outbox. */
void outbox_send(void);

/* What the two floors do differently: whether the packet is sealed into its message, or copied. */
extern const bool seals;
bool seal_open(void);
/* Seals `length` bytes at `packet` into `out` (length + MESSAGE_TAG bytes). */
void seal_packet(uint8_t *out, const uint8_t *packet, size_t length, uint64_t counter);
/* Opens in place; `length` is without the tag behind it.  false: not authentic. */
bool unseal_packet(uint8_t *packet, size_t length, uint64_t counter);

/* ---- from the wire to the TUN (join.c) ---- */

/* Coalesces packets of one flow, in order; what is complete is written to `tun`.  The packet's memory is
 * used, and its headers are changed, until join_flush.  `udp`: the TUN takes UDP super-segments. */
void join_packet(int tun, bool udp, uint8_t *packet, size_t length);
void join_flush(int tun);

/* ---- devices (devices.c) ---- */

/* Opens the TUN interface with vnet_hdr and offloads, not blocking; -1 with a message on standard error.
 * *udp: it takes UDP super-segments. */
int tun_open(const char *name, bool *udp);
/* A UDP socket over IPv4 from `port` to `address`:`peer_port`, blocking; -1 with a message. */
int wire_open(uint16_t port, const char *address, uint16_t peer_port);
