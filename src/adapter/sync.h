/* What `syncconf` changes. */
#pragma once

#include "change.h"
#include "device.h"

#include <stdbool.h>

/* Turns `change`, which describes an adapter completely (setconf), into the difference to what `device` has
 * now: peers that stay are not touched, so that their sessions live on.  An endpoint that is not given stays
 * as it is. */
bool sync_difference(struct change *change, const struct device *device, struct failure *failure);
