/* What the UDP edge on Windows has beside edge/edge.h. */
#pragma once

#include <stdint.h>

/* Datagrams of a family (4, 6) leave through the interface; 0: as the routes say.  Present and future
 * sockets. */
void udp_set_way_out(uint8_t family, uint32_t ifindex);
