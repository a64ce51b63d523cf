/* The parts of the pipeline benchmark. */
#pragma once

#include "pipeline/pipeline.h"

#include <stdbool.h>
#include <stdint.h>

#define BURST_MAX 256u

/* ---- tunnel.c: pairs of adapters that are each other's peer ---- */
struct tunnel_end {
    struct pipeline_adapter *adapter;
    uint16_t port; /* host order */
};
struct tunnel {
    struct tunnel_end ends[2];
    unsigned number;
};
/* With a session. `idle_peers` more, which never send, in the tables of both ends. */
void tunnel_open(struct tunnel *tunnel, unsigned number, unsigned idle_peers);
void tunnel_close(struct tunnel *tunnel);
/* An IPv4 packet of `length` bytes from end 0 to end 1 (UDP, or TCP when `tcp`). */
void tunnel_packet(const struct tunnel *tunnel, uint8_t *data, uint32_t length, bool tcp, uint32_t sequence);

/* ---- aead.c: the same number of bytes through src/crypto alone, in this process ---- */
/* The features whose core is named (sse2, ssse3, avx2, avx512). False: unknown, or not of this machine. */
bool aead_choose(const char *core);
struct aead_cost {
    double seal, open; /* cycles per packet */
};
/* One batch after the other, as the driver cuts a burst. */
struct aead_cost aead_measure(uint32_t length, unsigned burst, uint64_t cycles);

/* ---- beside.c: one tunnel's packets while another is at full rate ---- */
struct beside_cost {
    double median, p99;   /* cycles from the call with a single packet until its datagram is out */
    double flood_packets; /* a second, of the other tunnel */
};
/* One packet after the other through `one`, with pauses, on virtual CPU 1, for so many cycles; `other`,
 * unless NULL, is flooded with bursts on CPU 0 meanwhile, beyond what a call takes, so that the workers have
 * a backlog of it. */
struct beside_cost beside_measure(const struct tunnel *one, const struct tunnel *other, uint32_t length,
                                  uint64_t cycles, double tsc_hertz);

/* ---- stages.c: what the driver's functions do ---- */
enum stage {
    STAGE_AEAD,
    STAGE_CLASSIFY, /* headers, tables, grouping; transmit offloads */
    STAGE_BATCH,    /* memory, descriptions, completion of the NBLs */
    STAGE_ORDER,    /* tickets, nonces, replay window, locks, epochs, queues */
    STAGE_SOCKET,   /* endpoint, WskSendMessages, release of datagrams */
    STAGE_DELIVER,  /* inner checks, coalescing, indication */
    STAGE_OTHER,
    STAGE_HOST, /* what the driver calls: not its own code */
    STAGES
};
extern const char *const stage_names[STAGES];
enum stage stage_of(const char *function);
