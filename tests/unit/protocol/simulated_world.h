/* Two whole peers over a simulated link in virtual time, for the scenarios of test_simulation.c. */
#pragma once

#include "protocol/index_table.h"
#include "protocol/session_set.h"
#include "protocol/timer_policy.h"
#include "support.h"

#define MS NS_PER_MS
#define S  NS_PER_SECOND

struct counted_session {
    struct session session;
    int references; /* of the set */
};

struct node {
    struct side side;
    struct session_set set;
    struct peer_times times;
    struct index_table indexes;
    uint64_t wheel_ns;
    uint32_t staged;
    /* user traffic */
    uint64_t send_every_ns, next_send_ns;
    /* statistics */
    uint32_t data_sent, data_delivered, keepalives_sent, initiations_sent, handshakes_complete, give_ups,
        erasures, forgets, staged_dropped, replays_refused, bad_messages;
    uint64_t last_delivery_ns, longest_gap_ns, oldest_session_used_ns;
    int64_t sessions_alive;
};

struct datagram {
    uint64_t deliver_ns;
    int to;
    size_t length;
    uint8_t bytes[160];
};

enum { FLIGHT_MAX = 4096 };

struct world {
    struct node nodes[2];
    struct datagram flight[FLIGHT_MAX];
    uint32_t flying;
    uint64_t now_ns, start_ns;
    uint32_t loss_percent, duplicate_percent;
    uint64_t latency_ns, latency_jitter_ns;
    bool cut[2]; /* cut[i]: nothing reaches node i */
};
extern struct world w;

void world_init(uint64_t seed);
/* Takes all down; whatever a session or index was leaked shows here. */
void world_end(void);
void run_until(uint64_t end_ns);
void run_for(uint64_t duration_ns);
/* Node i sends user data at this interval from now on; 0: no more. */
void traffic(int i, uint64_t every_ns);
void send_transport(int i, bool data);
/* What a driver does when the wheel is to move, and when sessions or indexes leave. */
void reschedule(struct node *n, bool wanted);
void evict(struct node *n, const struct session_evictions *evictions);
void release(struct node *n, uint32_t index);
