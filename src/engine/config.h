/* The configuration as wyrm/control.h lays it out, applied to and read from an engine.  On the loop's thread.
 */
#pragma once

#include "engine.h"
#include "secure_buffer.h"

#include <stddef.h>

/* Applies a whole SET buffer; `fwmark` NULL: unchanged.  0 or a positive errno; what was applied before a
 * failure stays. */
int config_set(struct engine *engine, const uint8_t *buffer, size_t length, const uint32_t *fwmark);

/* Appends what GET returns.  0 or ENOMEM. */
int config_get(struct engine *engine, struct secure_buffer *out);
