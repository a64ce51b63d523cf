/* Per-call working memory of the data path: AEAD workspace and the item and segment tables of one batch.
 * Taken from a small free list, so that nothing large is ever on a 24 KB kernel stack. */
#pragma once

#include "batch.h"
#include "crypto/aead_batch.h"

#define WORKSPACE_SEGMENTS 512

struct workspace {
    struct aead_workspace aead;
    struct aead_item items[BATCH_PACKETS];
    struct aead_segment sources[WORKSPACE_SEGMENTS];
    struct aead_segment destinations[BATCH_PACKETS];
};

NTSTATUS workspace_initialize(void);
void workspace_uninitialize(void);
/* NULL only when memory is exhausted.  IRQL <= DISPATCH_LEVEL. */
struct workspace *workspace_acquire(void);
void workspace_release(struct workspace *workspace);
