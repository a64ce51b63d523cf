/* An adapter's configuration and counters as read from it.  Owned by the caller; keys are wiped by
 * device_free(). */
#pragma once

#include "config.h"
#include "endpoint.h"
#include "key_codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device_peer {
    uint8_t public_key[KEY_LENGTH];
    uint8_t preshared_key[KEY_LENGTH]; /* all zero: none */
    struct endpoint endpoint;          /* family 0: none */
    int64_t handshake_seconds;         /* of the last one, since 1970; 0 with 0 ns: never */
    uint32_t handshake_nanoseconds;
    uint64_t rx_bytes, tx_bytes;
    uint16_t keepalive; /* seconds, 0 = off */
    struct config_prefixes allowed_ips;
    size_t allowed_ips_capacity;
};

/* Windows allows 127 UTF-16 units. */
#define DEVICE_NAME_BYTES 384

struct device {
    char name[DEVICE_NAME_BYTES];
    uint8_t private_key[KEY_LENGTH]; /* all zero: none */
    uint8_t public_key[KEY_LENGTH];  /* of private_key; all zero: none */
    uint16_t listen_port;
    uint32_t fwmark; /* 0 = none */
    struct device_peer *peers;
    size_t peer_count, peer_capacity;
};

/* Appends an empty peer.  NULL: no memory. */
struct device_peer *device_add_peer(struct device *device);
/* false: no memory. */
bool device_peer_add_prefix(struct device_peer *peer, const struct config_prefix *prefix);
void device_free(struct device *device);
