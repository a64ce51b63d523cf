/* The data path's AEAD on the processor's wide vector registers, whose state is the interrupted thread's and
 * has to be saved first. */
#pragma once

#include "workspace.h"

/* Chooses among the instruction sets that the processor has and the system has switched on, and tests each of
 * them. Returns the name of what failed its test, or NULL.  PASSIVE_LEVEL, once, before any packet. */
const char *wide_initialize(struct workspace *workspace);

/* Seal or open the workspace's first `count` items (aead_batch.h), of about `bytes` bytes in all.  The
 * register state is saved once for the whole call; for little work, and when the system cannot save it, SSE
 * does it. IRQL <= DISPATCH_LEVEL. */
void wide_seal(struct workspace *workspace, uint32_t count, uint32_t bytes);
void wide_open(struct workspace *workspace, uint32_t count, uint32_t bytes);
