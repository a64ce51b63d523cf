/* Events of an adapter, for people and as JSON, one a line. */
#pragma once

#include "output.h"

#include <wyrm/control_extensions.h>

#include <stdbool.h>

/* What a newer driver may tell and this tool does not know is written as its number. */
void format_event(struct output *output, const struct wyrm_ioctl_event *event, bool json);
/* That so many before these came too fast to be kept; 0: nothing. */
void format_events_lost(struct output *output, uint64_t count, bool json);
