/* What the files of the simulated network share. */
#pragma once

#include "sim/edges.h"

#include <string.h>

#define SIM_DATAGRAM_MAX 65507u /* 65535 - 20 - 8 */

struct sim_flight { /* a datagram on its way */
    struct sim_flight *next;
    struct sim_address from, to;
    bool inside;      /* between sockets of the machine: no address translation */
    bool from_socket; /* for the tap */
    uint32_t length;
    uint8_t data[];
};

static inline unsigned sim_address_bytes(uint8_t family)
{
    return family == 4 ? 4 : 16;
}

static inline bool sim_same_host(const struct sim_address *a, const struct sim_address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sim_address_bytes(a->family)) == 0;
}

static inline bool sim_same_address(const struct sim_address *a, const struct sim_address *b)
{
    return a->port == b->port && sim_same_host(a, b);
}

static inline bool sim_any_host(const struct sim_address *address)
{
    static const uint8_t zero[16];

    return memcmp(address->bytes, zero, sim_address_bytes(address->family)) == 0;
}

/* network.c: leaves a socket of the driver. */
void network_send(const struct sim_address *from, const struct sim_address *to, const uint8_t *data,
                  uint32_t length);
extern struct sim_network_counts network_counts;
extern bool network_moods;
/* 0 .. n-1, n > 0, from the network's stream of randomness. */
uint64_t network_below(uint64_t n);
/* True with one chance in `n`; never when moods are off. */
bool network_mood(unsigned n);

/* udp.c: arrives at a local address. Takes the flight if it returns true; false: no socket there. */
bool udp_arrived(struct sim_flight *flight);

/* routes.c */
uint32_t routes_interface_add(const char *name); /* a TUN: its index; 0: the name is taken */
void routes_interface_remove(uint32_t ifindex);
int routes_interface_mtu(uint32_t ifindex, uint32_t mtu);
uint32_t routes_interface_get_mtu(uint32_t ifindex);
void routes_interface_link(uint32_t ifindex, bool up);
bool routes_is_local(const struct sim_address *address);
/* The source address for sends to `to`: `wanted` (NULL: any). 0, -ENETUNREACH, or -EINVAL for a wanted one
 * that the machine does not have. */
int routes_source(const struct sim_address *to, const struct sim_address *wanted, struct sim_address *source);
extern const struct net_functions sim_net;
extern const struct udp_functions sim_udp;
extern const struct tun_functions sim_tun;
