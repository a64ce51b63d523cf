/* See config.h. */
#include "config.h"
#include <string.h>

static void *append(struct config *config, size_t bytes)
{
    void *place = config->bytes + config->length;
    if (config->length + bytes > CONFIG_MAX_BYTES)
        sim->fail("a configuration of the scenario is too large");
    memset(place, 0, bytes);
    config->length += (uint32_t)bytes;
    return place;
}

void config_begin(struct config *config)
{
    config->length = 0;
    config->peer = NULL;
    config->interface = append(config, sizeof(*config->interface));
}

void config_private_key(struct config *config, const uint8_t key[32])
{
    config->interface->flags |= WYRM_INTERFACE_HAS_PRIVATE_KEY;
    memcpy(config->interface->private_key, key, 32);
}

void config_port(struct config *config, uint16_t port)
{
    config->interface->flags |= WYRM_INTERFACE_HAS_LISTEN_PORT;
    config->interface->listen_port = port;
}

void config_replace_peers(struct config *config)
{
    config->interface->flags |= WYRM_INTERFACE_REPLACE_PEERS;
}

void config_peer(struct config *config, const uint8_t public_key[32], uint32_t flags)
{
    config->peer = append(config, sizeof(*config->peer));
    config->peer->flags = WYRM_PEER_HAS_PUBLIC_KEY | flags;
    memcpy(config->peer->public_key, public_key, 32);
    config->interface->peers_count++;
}

void config_preshared_key(struct config *config, const uint8_t key[32])
{
    config->peer->flags |= WYRM_PEER_HAS_PRESHARED_KEY;
    memcpy(config->peer->preshared_key, key, 32);
}

void config_keepalive(struct config *config, uint16_t seconds)
{
    config->peer->flags |= WYRM_PEER_HAS_PERSISTENT_KEEPALIVE;
    config->peer->persistent_keepalive = seconds;
}

void config_endpoint(struct config *config, const struct sim_address *address)
{
    struct wyrm_ioctl_endpoint *endpoint = &config->peer->endpoint;
    config->peer->flags |= WYRM_PEER_HAS_ENDPOINT;
    endpoint->family = address->family == 4 ? WYRM_FAMILY_IPV4 : WYRM_FAMILY_IPV6;
    endpoint->port = address->port;
    if (address->family == 4)
        memcpy(endpoint->u.ipv4.address, address->bytes, 4);
    else
        memcpy(endpoint->u.ipv6.address, address->bytes, 16);
}

void config_allowed_ip(struct config *config, const struct inner_address *address, uint8_t cidr,
                       uint32_t flags)
{
    struct wyrm_ioctl_allowed_ip *ip = append(config, sizeof(*ip));
    ip->family = address->family == 4 ? WYRM_FAMILY_IPV4 : WYRM_FAMILY_IPV6;
    memcpy(ip->address, address->bytes, address->family == 4 ? 4 : 16);
    ip->cidr = cidr;
    ip->flags = flags;
    config->peer->allowed_ips_count++;
}

void config_allow_end(struct config *config, uint8_t end)
{
    struct inner_address v4 = inner_of(end, 4, 0), v6 = inner_of(end, 6, 0);
    config_allowed_ip(config, &v4, 16, 0);
    config_allowed_ip(config, &v6, 32, 0);
}

struct sim_address endpoint_address(const struct wyrm_ioctl_endpoint *endpoint)
{
    struct sim_address address = {.port = endpoint->port};
    address.family = endpoint->family == WYRM_FAMILY_IPV4 ? 4 : 6;
    if (address.family == 4)
        memcpy(address.bytes, endpoint->u.ipv4.address, 4);
    else
        memcpy(address.bytes, endpoint->u.ipv6.address, 16);
    return address;
}
