/* What an adapter's configuration has to be: an independent, slow reading of the control interface's rules,
 * for comparison with what GET says and with where packets go. */
#pragma once

#include "config.h"

#define MODEL_PEERS_MAX 12
#define MODEL_IPS_MAX   24

struct model_ip {
    struct inner_address address; /* masked */
    uint8_t cidr;
};

struct model_peer {
    uint8_t public_key[32], preshared_key[32];
    uint16_t keepalive;
    uint32_t ips_count;
    struct model_ip ips[MODEL_IPS_MAX];
    uint64_t tx_bytes, rx_bytes; /* as GET said last */
};

struct model {
    bool has_key;
    uint8_t private_key[32], public_key[32]; /* clamped */
    uint16_t port;
    uint32_t peers_count;
    struct model_peer peers[MODEL_PEERS_MAX];
};

/* A successful SET of this configuration. */
void model_apply(struct model *model, const struct config *config);

struct model_peer *model_find(struct model *model, const uint8_t public_key[32]);

/* The peer with the longest prefix that covers the address; NULL: none. */
const struct model_peer *model_lookup(const struct model *model, const struct inner_address *address);

/* Compares the answer of GET; counters may only grow. Violations "configuration" and "statistics". A
 * port of 0 in the model (any) is not compared. */
void model_compare(struct model *model, const uint8_t *answer, uint64_t length);
