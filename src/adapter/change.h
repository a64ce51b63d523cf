/* A change to an adapter: what `set`, `setconf`, `addconf` and `syncconf` ask for, sent as one request. */
#pragma once

#include "config.h"
#include "endpoint.h"
#include "failure.h"
#include "key_codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prefix_change {
    struct config_prefix prefix;
    bool remove; /* takes this one away from the peer */
};

struct peer_change {
    uint8_t public_key[KEY_LENGTH];
    uint8_t preshared_key[KEY_LENGTH]; /* all zero: removed */
    bool remove;
    bool has_preshared_key, has_endpoint, has_keepalive, replace_allowed_ips;
    struct endpoint endpoint;
    uint16_t keepalive; /* seconds, 0 = off */
    struct prefix_change *prefixes;
    size_t prefix_count, prefix_capacity;
};

struct change {
    uint8_t private_key[KEY_LENGTH]; /* all zero: removed */
    bool has_private_key, has_listen_port, has_fwmark, replace_peers;
    uint16_t listen_port;
    uint32_t fwmark; /* 0 = none */
    struct peer_change *peers;
    size_t peer_count, peer_capacity;
};

/* Appends a peer without a change.  NULL: no memory.  Earlier pointers to peers are no longer valid. */
struct peer_change *change_add_peer(struct change *change, const uint8_t public_key[KEY_LENGTH]);
/* false: no memory. */
bool peer_change_add_prefix(struct peer_change *peer, const struct config_prefix *prefix, bool remove);
/* All that a file says of a peer but the address of its endpoint.  false: no memory. */
bool peer_change_from_config(struct peer_change *peer, const struct config_peer *from);
/* Appends the peers of a configuration file; names are resolved. */
bool change_add_config_peers(struct change *change, const struct config *config, struct failure *failure);
/* Wipes and frees. */
void change_free(struct change *change);
