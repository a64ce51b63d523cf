/* The simulated edges, for those who assemble `struct sim`: network, upper edges, memory.  Addresses and
 * ports are in network byte order. Any simulated thread at any IRQL unless said otherwise; none of these
 * functions switches threads. */
#pragma once

#include "edge/edge.h"
#include "sim/scenario.h"

/* From now on the edges (edge/edge.h) are simulated. Before anything is opened. */
void sim_edges_use(void);

/* ---- the network: members of struct sim ---- */
void sim_machine_address(const struct sim_address *address, bool up);
void sim_translate(uint16_t port, const struct sim_address *outside);
/* NULL: somebody has that address. */
struct sim_endpoint *sim_endpoint_open(const struct sim_address *address, sim_endpoint_callback *callback,
                                       void *context);
void sim_endpoint_move(struct sim_endpoint *endpoint, const struct sim_address *address);
void sim_endpoint_send(struct sim_endpoint *endpoint, const struct sim_address *to, const uint8_t *data,
                       uint32_t length);
void sim_endpoint_close(struct sim_endpoint *endpoint);
void sim_inject(const struct sim_address *from, const struct sim_address *to, const uint8_t *data,
                uint32_t length);
/* `to` NULL: everything without conditions of its own. */
void sim_path(const struct sim_address *to, const struct sim_path *conditions);
void sim_tap(sim_datagram_callback *callback, void *context);
uint64_t sim_segments_refused_ns(void);

/* What became of the datagrams. */
struct sim_network_counts {
    uint64_t sent; /* by sockets of the driver; segments of a segmented send are counted singly */
    uint64_t delivered, lost, duplicated, corrupted;
    uint64_t too_long;    /* for the path */
    uint64_t unreachable; /* nobody there */
    uint64_t overflowed;  /* a bounded queue was full */
    uint64_t again;       /* sends refused with EAGAIN */
    uint64_t refused;     /* segmented sends refused with EMSGSIZE */
    uint64_t refused_ns;  /* when that was last */
    uint64_t runs;        /* received datagrams that were given as coalesced runs, per run */
};
struct sim_network_counts sim_network_counts(void);
/* Sockets say now and then that they are full, receives are coalesced by chance: on by default. */
void sim_network_moods(bool on);

/* ---- upper edges ---- */
typedef void sim_tun_callback(void *context, const uint8_t *packet, uint32_t length);
/* From an application: down into the driver. */
void sim_tun_send(struct tun *tun, const uint8_t *packet, uint32_t length);
/* What the driver indicated, one IP packet a call, on the loop thread. NULL: nobody listens. */
void sim_tun_receiver(struct tun *tun, sim_tun_callback *callback, void *context);
bool sim_tun_link_up(const struct tun *tun);
/* An administrator's route through the interface of an adapter (or through the network interface). */
void sim_route(uint32_t ifindex, const struct sim_address *prefix, uint8_t prefix_length, uint32_t metric,
               bool add);
#define SIM_NETWORK_IFINDEX 1u

/* ---- memory: members of struct sim ---- */
unsigned sim_memory_search(const void *needle, size_t length, struct sim_memory_hit *hits, unsigned max);
uint64_t sim_pool_bytes(void);
uint64_t sim_pool_bytes_peak(void);
void sim_fail_allocations(uint32_t probability);
