/* See endpoint.h. */
#include "endpoint.h"

#include <string.h>

bool endpoint_from_control(struct udp_address *address, const struct wyrm_ioctl_endpoint *from)
{
    memset(address, 0, sizeof(*address));
    address->port = from->port;
    if (from->family == WYRM_FAMILY_IPV4) {
        address->family = 4;
        memcpy(address->bytes, from->u.ipv4.address, 4);
        return true;
    }
    if (from->family != WYRM_FAMILY_IPV6)
        return false;
    address->family = 6;
    memcpy(address->bytes, from->u.ipv6.address, 16);
    address->scope = from->u.ipv6.scope_id;
    return true;
}

void endpoint_to_control(struct wyrm_ioctl_endpoint *to, const struct udp_address *address)
{
    memset(to, 0, sizeof(*to));
    to->port = address->port;
    if (address->family == 4) {
        to->family = WYRM_FAMILY_IPV4;
        memcpy(to->u.ipv4.address, address->bytes, 4);
    } else {
        to->family = WYRM_FAMILY_IPV6;
        memcpy(to->u.ipv6.address, address->bytes, 16);
        to->u.ipv6.scope_id = address->scope;
    }
}

static bool same(const struct udp_address *a, const struct udp_address *b)
{
    return a->family == b->family && a->port == b->port && a->scope == b->scope &&
           memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void endpoint_learn(struct endpoint *endpoint, const struct udp_address *from, const struct udp_address *to,
                    uint32_t ifindex)
{
    if (same(&endpoint->remote, from) && endpoint->ifindex == ifindex && same(&endpoint->local, to))
        return;
    endpoint->remote = *from;
    endpoint->local = *to;
    endpoint->ifindex = ifindex;
}

void endpoint_forget_source(struct endpoint *endpoint)
{
    memset(&endpoint->local, 0, sizeof(endpoint->local));
    endpoint->ifindex = 0;
}
