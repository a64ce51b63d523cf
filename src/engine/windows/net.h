/* What the view of the system on Windows has beside edge/edge.h. */
#pragma once

#include <stdint.h>

/* The interface of the tunnel, 0: none: its own datagrams must not be routed into it. */
void net_set_tunnel(uint32_t ifindex);
