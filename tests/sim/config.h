/* Buffers for SET, piece by piece (include/wyrm/control.h). */
#pragma once

#include "flow.h"
#include "wyrm/control_extensions.h"

#define CONFIG_MAX_BYTES 32768

struct config {
    uint32_t length;
    struct wyrm_ioctl_interface *interface;
    struct wyrm_ioctl_peer *peer; /* the one begun last */
    _Alignas(8) uint8_t bytes[CONFIG_MAX_BYTES];
};

/* An empty one: changes nothing. */
void config_begin(struct config *config);
void config_private_key(struct config *config, const uint8_t key[32]);
void config_port(struct config *config, uint16_t port);
void config_replace_peers(struct config *config);

/* The next peer; what follows is about it.  `flags`: WYRM_PEER_REMOVE and the like. */
void config_peer(struct config *config, const uint8_t public_key[32], uint32_t flags);
void config_preshared_key(struct config *config, const uint8_t key[32]);
void config_keepalive(struct config *config, uint16_t seconds);
void config_endpoint(struct config *config, const struct sim_address *address);
void config_allowed_ip(struct config *config, const struct inner_address *address, uint8_t cidr,
                       uint32_t flags);
/* The two networks that end owns: 10.end.0.0/16 and fd00:end::/32. */
void config_allow_end(struct config *config, uint8_t end);

/* Endpoint of GET in the simulation's form. */
struct sim_address endpoint_address(const struct wyrm_ioctl_endpoint *endpoint);
