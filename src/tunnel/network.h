/* Gives an interface what a plan (plan.h) wants, by difference to what it was given before; through
 * win/netio.h. */
#pragma once

#include "failure.h"
#include "plan.h"
#include "win/netio.h"

/* From `old` to `new`; an interface without anything has an empty plan (all zero).  Stops at the first step
 * that fails; going back from `new` to `old` is allowed then, for what is not there is no error to take
 * away. */
bool network_change(const NET_LUID *luid, const char *name, const struct plan *old, uint32_t old_mtu,
                    const struct plan *new, uint32_t new_mtu, struct failure *failure);
