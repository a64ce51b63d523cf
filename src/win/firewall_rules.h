/* Which filters make up the kill switch (firewall.h): layers, conditions, weights, actions; adding them is
 * the caller's. */
#pragma once

#include "win/netio.h"

#include <fwpmtypes.h>

/* Weights: a filter with a higher one is looked at first, and decides within our sublayer. */
enum {
    FIREWALL_WEIGHT_BLOCK = 0,
    FIREWALL_WEIGHT_NEEDED = 12, /* the tunnel's interface, DHCP, neighbour discovery */
    FIREWALL_WEIGHT_LOOPBACK = 13,
    FIREWALL_WEIGHT_BLOCK_DNS = 14,
    FIREWALL_WEIGHT_FIRST = 15 /* the tunnel itself, and its DNS servers */
};

struct firewall_filter {
    const WCHAR *name;
    const GUID *layer;
    UINT8 weight;
    UINT32 action, flags;
    const FWPM_FILTER_CONDITION0 *conditions; /* those of one field are alternatives */
    UINT32 condition_count;
};

/* Adds one; 0 or an error, at which the function below stops and which it returns. */
typedef DWORD firewall_add(void *context, const struct firewall_filter *filter);

/* A program may do everything, also where another filter of the machine blocks it.  `user`: the security
 * descriptor that it has to pass; NULL: none. */
DWORD firewall_rules_program(const WCHAR *name, FWP_BYTE_BLOB *application, FWP_BYTE_BLOB *user,
                             firewall_add *add, void *context);
/* All the rest, with the block of everything. */
DWORD firewall_rules_others(const WCHAR *name, const NET_LUID *luid, const struct netio_prefix *dns,
                            size_t dns_count, firewall_add *add, void *context);
