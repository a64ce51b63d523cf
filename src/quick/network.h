/* Addresses, routes, rules, MTU and DNS of a tunnel, with iproute2, nftables and resolvconf; what does not
 * vanish with the interface is recorded in the state before it is made. */
#pragma once

#include "config.h"
#include "state.h"
#include "wg_client.h"

#include <stdbool.h>
#include <stdint.h>

/* Says on stderr what failed and returns false, all of them. */
bool network_add_addresses(const char *name, const struct config *config);
/* Sets the MTU and brings the interface up. */
bool network_set_up(const char *name, uint32_t mtu);
bool network_add_dns(const char *name, const struct config *config, struct state *state);
/* `table`: with default routes in automatic mode, the table (and mark) that they use. */
bool network_add_routes(const char *name, const struct config *config, uint32_t table, struct state *state);

/* Whether automatic routes need the mark: some peer has a prefix of length 0. */
bool network_wants_mark(const struct config *config);
/* A routing table that nobody uses, from 51820 on. */
uint32_t network_free_table(void);
/* The MTU of the way to the endpoints (or of the default route) minus 80 bytes of tunnel headers. */
uint32_t network_auto_mtu(const struct config *config, const union endpoint_address *endpoints);
