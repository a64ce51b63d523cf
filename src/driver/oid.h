/* What the miniport says about itself: registration attributes, OIDs, statistics, link state. */
#pragma once

#include "adapter.h"

NDIS_STATUS
oid_set_attributes(struct adapter *adapter); /* registration, general, offload: in MiniportInitializeEx */
NDIS_STATUS oid_request(struct adapter *adapter, NDIS_OID_REQUEST *request);
void oid_indicate_link(struct adapter *adapter, bool connected); /* only on change. IRQL <= DISPATCH_LEVEL */
