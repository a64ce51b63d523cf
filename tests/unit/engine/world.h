/* A world of simulated edges in virtual time for the engine's tests: nodes with a TUN device and an address
 * each, a network between them that can lose, hold back and repeat datagrams, and nothing that depends on the
 * machine. It implements edge/edge.h, the loop of sched/sched.h, and system.h. */
#pragma once

#include "engine.h"

#include <stdbool.h>
#include <stdint.h>

#define WORLD_NODES 3
#define PACKET_MAX  65536
/* What a node's TUN device keeps of what it was given. */
#define INNER_KEPT 256

struct inner_packet {
    uint8_t *data;
    uint32_t length;
    uint16_t gso_size; /* 0: a plain packet */
};

struct node {
    struct engine engine;
    bool made;
    unsigned address; /* the last byte of its outer addresses */
    bool link_up;
    bool tun_paused, tun_deleted;
    bool socket_full;     /* sends answer -EAGAIN */
    bool source_refused;  /* sends with a source address answer -EADDRNOTAVAIL */
    unsigned sends;       /* calls that were accepted */
    unsigned messages[5]; /* datagrams sent, by message type */
    struct inner_packet inner[INNER_KEPT];
    unsigned inner_count;
    uint64_t inner_bytes;
    char name[8];
};

extern struct node nodes[WORLD_NODES];
extern uint64_t world_now_ns;
extern bool world_stopped;            /* an engine asked the loop to end */
extern uint16_t world_port_of_others; /* no engine gets it; 0: all are free */

/* Called for each datagram on its way; false: it is lost.  NULL: all arrive. */
extern bool (*world_filter)(unsigned from, uint8_t *data, uint32_t length);

/* Makes / takes away a node's engine. */
void world_make(unsigned node);
void world_destroy_all(void);
void world_set_link(unsigned node, bool up);
/* The node's address changes; the engine is told that addresses did. */
void world_move(unsigned node, unsigned address);
void world_socket_writable(unsigned node);

/* Lets everything happen that happens within so much time. */
void world_run_ms(uint64_t milliseconds);

/* A packet of the node's TUN device. */
void world_send_inner(unsigned node, struct tun_packet *packet);
void world_forget_inner(unsigned node);

/* A datagram out of nowhere to a node. */
void world_inject(unsigned to, unsigned from_address, uint16_t from_port, const uint8_t *data,
                  uint32_t length);

/* Deterministic. */
uint32_t world_random(uint32_t below);

/* ---- tunnels (world_tunnel.c) ---- */

/* `wg set` with the lines of the userspace protocol; the errno. */
int world_set(unsigned node, const char *lines);
/* The lines of the answer to get; valid until the next call. */
const char *world_get(unsigned node);
/* Nodes 0 and 1 with keys, up; `initiator` knows the other's endpoint, of the family 4 or 6.  `psk`: 64
 * digits or NULL. */
void world_tunnel(unsigned initiator, unsigned family, const char *psk);
/* The hexadecimal public key of a node's private key (node number + 1 repeated). */
const char *world_public_key(unsigned node);
/* An IPv4 UDP packet from 10.0.0.(from + 1) to 10.0.0.(to + 1) with `bytes` of payload that depend on `seed`.
 */
uint32_t world_packet(uint8_t *packet, unsigned from, unsigned to, uint32_t bytes, uint32_t seed);
/* Sends one through the tunnel and tells whether it came out the other side, unchanged. */
bool world_ping(unsigned from, unsigned to, uint32_t bytes);
