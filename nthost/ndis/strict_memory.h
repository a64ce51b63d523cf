/* Memory that verify mode lends to the driver for each packet.  Guarded memory (verify_memory_allocate) costs
 * several system calls, so it is rationed: everything is guarded while traffic is light, a sample of the
 * packets under load. Unguarded memory is poisoned before it is freed. */
#pragma once

#include "verify/verify.h"

/* Shall the next packet's memory be guarded? The answer goes into the calls below for all its parts. */
bool strict_guard(void);
/* Never NULL for guarded memory; its end is at an inaccessible page when `alignment` is 1. */
void *strict_allocate(bool guarded, size_t bytes, size_t alignment, const char *what, enum verify_rule rule);
void strict_free(bool guarded, void *memory, size_t bytes);
