/* Between the files of the generated scenarios: the topology and what may happen to it. */
#pragma once

#include "directed.h"
#include "generated.h"

#define NODES_MAX      4
#define PEERS_MAX      4
#define LINKS_MAX      12
#define FIRST_PEER_END 8
#define SHARED_NETS    4 /* 10.200.k.0/24, which may belong to anybody */

/* Two ends that know each other. `a` is always an adapter. */
struct link {
    uint8_t a, b;
    uint8_t family; /* of the outer addresses */
    uint8_t preshared_key[32];
    uint16_t keepalive[2];
    bool absent[2]; /* adapter a (b) has no such peer now */
    int flow[2][2]; /* [0]: a to b; [.][1]: IPv6 */
};

struct topology {
    uint32_t nodes_count, peers_count, links_count;
    struct node nodes[NODES_MAX];
    struct peer peers[PEERS_MAX];
    struct link links[LINKS_MAX];
    uint8_t shared_owner[NODES_MAX][SHARED_NETS]; /* link number, 0xff: nobody */
    int shared_flow[NODES_MAX][SHARED_NETS];
    bool reorders;
    bool stop; /* traffic */
    int64_t clock_100ns, clock_latest_100ns;
    uint32_t rate; /* mean time between bursts, ms; 0: none */
};

extern struct topology world;

struct node *node_of_end(uint8_t end); /* NULL: a scripted peer */
struct peer *peer_of_end(uint8_t end);
struct sim_address outer_of_end(uint8_t end, uint8_t family);
const uint8_t *key_of_end(uint8_t end);

/* ---- topology (generated_topology.c) ---- */
/* `keepalive_min`: shortest persistent keepalive, seconds. */
void topology_make(uint16_t keepalive_min);
extern uint16_t keepalive_shortest;
/* Everything that the links say about this adapter, in one SET that replaces what there is. */
int32_t topology_configure(struct node *node);
/* The entry of one link in a SET for `node`. */
void topology_entry(struct config *config, struct node *node, struct link *link, uint32_t flags);
struct link *topology_random_link(void);
/* Which side of the link the adapter is: 0 or 1. */
int link_side(const struct link *link, const struct node *node);

/* ---- traffic ---- */
void traffic_run(void *context); /* a thread */
void traffic_burst(void);

/* ---- accidents and changes (generated_actions.c) ---- */
void action_run(void);
void path_mood(bool mild);
void record_datagrams(void);
