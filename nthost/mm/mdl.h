/* The host's own MDLs: those of a request's buffers.  Not counted and not in the ledger, as the driver does
 * not free them. */
#pragma once

#include "nt/mm.h"

#include <stdbool.h>

/* An MDL for `length` bytes at `address`, to be freed with free(); NULL: no memory. */
PMDL mdl_allocate(PVOID address, ULONG length);
/* Marks the pages as locked, as MmProbeAndLockPages does, without checking them. */
void mdl_lock(PMDL mdl, bool write);
