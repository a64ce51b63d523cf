/* Which flow a packet is of, the same for both directions: addresses, and ports where they are. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TUN_FLOWS 1024u /* different flows may get the same number */

/* `packet`: `length` bytes from the IP header on, of which only that header and the ports are looked at.
 * Below TUN_FLOWS; 0 for what is no IP packet. */
uint32_t tun_flow(const uint8_t *packet, size_t length);
