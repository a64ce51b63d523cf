/* The adapter's configuration: integers of its registry key, by name ("keywords" in NDIS's documentation; the
 * standardized ones begin with an asterisk).  PASSIVE_LEVEL, while the adapter is initialised. */
#pragma once

#include "nt/ndis.h"

#include <stdint.h>

struct adapter;

/* NULL when there is no configuration; to be closed with NdisCloseConfiguration. */
NDIS_HANDLE keywords_open(struct adapter *adapter);
/* The value, or `otherwise` when there is none or it is not in lowest .. highest. */
uint32_t keyword_read(NDIS_HANDLE configuration, const WCHAR *keyword, uint32_t lowest, uint32_t highest,
                      uint32_t otherwise);
