/* Lines of a driver's log, for people and as JSON. */
#pragma once

#include "failure.h"

#include <stdbool.h>
#include <stdint.h>

enum { FORMAT_LOG_ERROR, FORMAT_LOG_WARNING, FORMAT_LOG_INFO };

/* Prints one at once. `timestamp`: 100 ns since 1601-01-01 UTC.  One thread at a time. */
bool print_log_line(int level, uint64_t timestamp, const char *text, bool json, struct failure *failure);
