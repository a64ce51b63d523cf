/* The memory that a configuration needs: peers, and the blocks of the allowed-IPs tries.  It comes from the
 * pool, or, while SET_ATOMIC applies a configuration, from what was reserved for it before, so that it cannot
 * fail half-way. */
#pragma once

#include "adapter.h"

struct peer;

/* What allowed_ips_init gets. */
struct allowed_ips_memory config_memory_of_tries(struct adapter *adapter);
/* Zeroed memory for a peer (MEMORY_PEER), or NULL.  config_lock held. */
struct peer *config_memory_of_peer(struct adapter *adapter);

/* Memory for so many peers and prefixes put aside; false: there is not enough, and nothing is put aside.
 * config_lock held; PASSIVE_LEVEL. */
bool config_memory_reserve(struct adapter *adapter, uint64_t peers, uint64_t prefixes);
/* Gives back what was not taken of it. */
void config_memory_unreserve(struct adapter *adapter);
