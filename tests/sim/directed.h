/* The named scenarios, one per behaviour that users and peers can observe; and what they share: one adapter
 * (end 0) and two scripted peers (ends 1 and 2) on a path of 5 ms each way. */
#pragma once

#include "peer.h"
#include "secrets.h"
#include "wire.h"

struct directed {
    const char *name;
    void (*run)(void);
};

/* Each ends with {NULL, NULL}. */
extern const struct directed directed_timers[], directed_handshake[], directed_cookies[], directed_data[],
    directed_life[], directed_attacks[], directed_events[];

#define LATENCY_NS (5 * NS_PER_MS)

extern struct node node;   /* end 0 */
extern struct peer peer;   /* end 1 */
extern struct peer second; /* end 2 */

/* The adapter with an identity, port 51820, up; `peer` opened and configured with its endpoint. */
void fixture(uint8_t family);
/* The same, not up, no peer configured. */
void fixture_bare(uint8_t family);
/* Takes all down and checks what has to hold at the end of every scenario. */
void fixture_end(void);

/* The adapter (or the peer) initiates; both have a confirmed session afterwards. */
void session_by_node(void);
void session_by_peer(void);

/* A small packet from the adapter to `to`'s end, or from it; fails unless it arrives within a second. */
void must_reach_peer(struct peer *to);
void must_reach_node(struct peer *from);

/* Runs that long with `each` called every `every_ns`. */
void every(uint64_t every_ns, uint64_t duration_ns, void (*each)(void));

/* One packet of the standing flow node -> peer, or peer -> node. */
void node_to_peer(void);
void peer_to_node(void);
extern int flow_out, flow_in;

#define EXPECT_TIME(what, measured_ns, low_ns, high_ns)                                                      \
    do {                                                                                                     \
        uint64_t measured_ = (measured_ns);                                                                  \
        EXPECT(measured_ >= (low_ns) && measured_ <= (high_ns), what ": %llu us, not within %llu..%llu us",  \
               (unsigned long long)measured_ / 1000, (unsigned long long)(low_ns) / 1000,                    \
               (unsigned long long)(high_ns) / 1000);                                                        \
    } while (0)
