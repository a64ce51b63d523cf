/* What the files of the IP helper share. */
#pragma once

#include "edge/edge.h"
#include "host.h"
#include "nt/netioapi.h"

#define LINK_FLAG_UP       0x1u /* IFF_UP */
#define LINK_TYPE_ETHERNET 1u   /* ARPHRD_ETHER */
#define LINK_TYPE_LOOPBACK 772u /* ARPHRD_LOOPBACK */
#define LINK_TYPE_NONE     65534u

/* LUID of a Linux interface: NetLuidIndex = ifindex, IfType from the link's type. Stable as long as it
 * exists. */
NET_LUID mib_luid(uint32_t ifindex, uint16_t link_type);
/* Its link type; false if there is no such interface. Cached: the type of an index never changes. */
bool mib_link_type(uint32_t ifindex, uint16_t *link_type);
uint32_t mib_if_type(uint16_t link_type);
/* Interface index of a LUID, or of a row that names it by LUID or by index; 0 if neither. */
uint32_t mib_index(const NET_LUID *luid, NET_IFINDEX index);
uint8_t mib_family(ADDRESS_FAMILY family); /* AF_* to 0 (both), 4, 6; 0xff if unknown */
void mib_address(uint8_t family, const uint8_t *bytes, uint32_t ifindex, SOCKADDR_INET *out);
/* A table of `count` rows for FreeMibTable. */
void *mib_table_allocate(size_t header_bytes, size_t row_bytes, size_t count);
NTSTATUS mib_status_of(int error);
