/* What the files of the pipeline share. */
#pragma once

#include "edge/edge.h"
#include "pipeline/pipeline.h"

struct ndis_adapter;

enum phase { PHASE_TRANSMIT, PHASE_RECEIVE, PHASE_OUTSIDE };

/* Of one thread. `phase` and `edge_cycles` are also written by the edges, which are outside. */
struct meter {
    volatile enum phase phase;
    uint64_t edge_cycles;
    uint64_t cycles[PIPELINE_DIRECTIONS];
};
extern __thread struct meter meter;

/* gates.c: from now on the calls into the driver are measured. */
void gates_install(struct ndis_adapter *adapter);
void gates_install_socket(void *receive_context);

/* edges.c */
void edges_use(void);
void edges_tun_send(struct tun *tun, struct tun_packet *packets, unsigned count);
bool edges_tun_paused(const struct tun *tun);
uint64_t edges_tun_packets(const struct tun *tun, uint64_t *bytes, uint64_t *writes);

/* sockets.c: `port` in network order */
struct udp_functions;
extern const struct udp_functions memory_udp;
uint32_t sockets_deliver(uint16_t port);
void sockets_discard(uint16_t port, bool discard);
uint64_t sockets_received(uint16_t port, uint64_t *bytes);
