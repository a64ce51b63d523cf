/* An adapter under test: its life, its configuration with the model of it, and the check of what it hands to
 * the stack. */
#pragma once

#include "model.h"

#define STATUS_OK               0
#define STATUS_ALREADY          0xff
#define STATUS_BUFFER_OVERFLOW_ ((int32_t)0x80000005)

/* For this long after a change what was right before it is still right. */
#define CHANGE_SETTLES_NS (200 * NS_PER_MS)

struct node {
    uint8_t end;
    struct sim_adapter *adapter; /* NULL: does not exist now */
    bool up, paused;
    uint64_t paused_ns; /* since when */
    uint16_t port;
    bool uncertain; /* a SET failed half-way: who gets what is not known */
    bool changing;  /* inside of a SET */
    uint32_t sets;  /* so many there were */
    uint64_t changed_ns;
    struct model model, model_before;
    uint64_t packets_in, packets_in_unknown; /* handed up */
    uint64_t last_in_ns;
    uint64_t oid_sent, oid_received;
};

/* Who owns a public key; END_NONE: nobody that we know.  Nodes and scripted peers register theirs. */
void end_register(uint8_t end, const uint8_t public_key[32]);
uint8_t end_of_key(const uint8_t public_key[32]);
void ends_reset(void);

/* A new adapter at end `end`, with no configuration, running and down.  Fails the run when refused. */
void node_create(struct node *node, uint8_t end);
void node_destroy(struct node *node);

/* SET; on success the model follows.  Status. */
int32_t node_set(struct node *node, const struct config *config);
int32_t node_state(struct node *node, uint32_t verb, uint32_t *out);
/* Up and down must succeed. */
void node_up(struct node *node);
void node_down(struct node *node);
void node_pause(struct node *node);
void node_restart(struct node *node);

/* Private key (clamped or not) and port in one SET. */
void node_identity(struct node *node, const uint8_t private_key[32], uint16_t port);

/* One peer that owns the networks of its end; endpoint may be NULL, psk too. */
void node_add_peer(struct node *node, uint8_t end, const uint8_t public_key[32],
                   const struct sim_address *endpoint, const uint8_t *psk, uint16_t keepalive);
void node_remove_peer(struct node *node, const uint8_t public_key[32]);

/* The next packet of a flow into this adapter. */
void node_send(struct node *node, int flow, uint32_t length);

/* The end that gets packets for this address now; END_NONE, END_ANY. */
uint8_t node_lookup(const struct node *node, const struct inner_address *address);

/* A packet came out of the adapter (the checker; called by itself). */
void node_packet(struct node *node, const uint8_t *packet, uint32_t length);

/* GET, compared with the model; also the OID counters, which may only grow. */
void node_check(struct node *node);
/* What GET says of one peer. */
struct wyrm_ioctl_peer node_get_peer(struct node *node, const uint8_t public_key[32]);
uint16_t node_get_port(struct node *node);

struct sim_address node_address(const struct node *node, uint8_t family);
