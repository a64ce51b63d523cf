/* What a configuration wants of the network interface, apart from keys and peers, and how two of them differ.
 * Portable: the steps themselves are network.h's. */
#pragma once

#include "config.h"

#include <stdbool.h>
#include <stdint.h>

enum { PLAN_IPV4, PLAN_IPV6, PLAN_FAMILIES };

struct plan_family {
    bool used;      /* has an address or a route */
    bool preferred; /* has a default route, which must win over others: the interface's metric is 0 */
    bool has_dns;
    char *servers, *domains; /* with has_dns; lists with commas */
};

struct plan {
    struct config_prefixes addresses;
    struct config_prefixes routes; /* host bits cleared, in the file's order; none with Table = off */
    struct plan_family families[PLAN_FAMILIES];
    uint32_t mtu; /* 0: automatic */
};

/* false: no memory; plan_free() in any case. */
bool plan_make(struct plan *plan, const struct config *config);
void plan_free(struct plan *plan);

/* The prefixes of `wanted` that `has` lacks, in their order; `missing->items` is for free().  false: no
 * memory. */
bool plan_missing(const struct config_prefixes *has, const struct config_prefixes *wanted,
                  struct config_prefixes *missing);
/* Whether the family's DNS differs. */
bool plan_dns_differs(const struct plan_family *left, const struct plan_family *right);

/* A name for a tunnel that is also part of a service's and a file's name: 1 to 32 of a-z A-Z 0-9 _ = + . -,
 * no device name of DOS (Microsoft, "Naming Files, Paths, and Namespaces"), not ending with a dot. */
bool plan_name_valid(const char *name);

/* The first setting that cannot be had on Windows, as a text for people; NULL: none. */
const char *plan_refusal(const struct config *config);
/* There are DNS servers and domains, and no default route: names below these domains are asked of these
 * servers, all others as before. */
bool plan_wants_name_rules(const struct config *config);
/* One peer, a default route to it, and Table is not off: nothing but the tunnel may carry traffic. */
bool plan_wants_kill_switch(const struct config *config);
