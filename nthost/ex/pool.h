/* Pool accounting by tag, for leak reports in fast mode (verify mode keeps stacks as well). */
#pragma once

#include <stdint.h>
#include <stdio.h>

/* Tags with live allocations to `out`, one line each; returns how many. */
unsigned pool_report_tags(FILE *out);
