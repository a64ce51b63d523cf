/* The MTU of a tunnel whose configuration gives none: that of the way to its endpoints, without the headers
 * around a packet. */
#pragma once

#include "endpoint.h"
#include "win/netio.h"

#include <stddef.h>

/* IPv6, UDP and WireGuard around a packet, also over IPv4: as wg-quick counts. */
#define MTU_HEADERS  80u
#define MTU_OF_WAY   1500u /* of a way that is not known, and the most that is made use of */
#define MTU_MINIMUM4 576u  /* RFC 791: what every host takes */
#define MTU_MINIMUM6 1280u /* RFC 8200 section 5; network.h sees to it where IPv6 is used */

/* The tunnel's MTU over a way of this one; 0: not known. */
uint32_t mtu_within(uint32_t way);
/* The least over the ways to all endpoints that have a family, not through the tunnel (`luid`) itself;
 * without any, over the default routes. */
uint32_t mtu_automatic(const NET_LUID *luid, const struct endpoint *endpoints, size_t count);
