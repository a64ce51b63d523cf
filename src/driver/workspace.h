/* Per-call working memory of the data path: AEAD workspace and the item and segment tables of one batch.
 * Taken from a small free list, so that nothing large is ever on a 24 KB kernel stack. */
#pragma once

#include "batch.h"
#include "crypto/aead_batch.h"

#define WORKSPACE_SEGMENTS 512

struct workspace {
    SLIST_ENTRY link; /* free list */
    struct aead_workspace aead;
    struct aead_item items[BATCH_PACKETS];
    struct aead_segment sources[WORKSPACE_SEGMENTS];
    struct aead_segment destinations[BATCH_PACKETS];
    uint32_t sources_used;
};

/* DriverEntry / unload, PASSIVE_LEVEL. */
NTSTATUS workspace_initialize(void);
void workspace_uninitialize(void); /* all are back */
/* NULL only when memory is exhausted.  IRQL <= DISPATCH_LEVEL. */
struct workspace *workspace_acquire(void);
void workspace_release(struct workspace *workspace);

/* Appends the `length` bytes that begin `offset` bytes into the MDL chain to `sources`, at most `limit`
 * segments. Returns how many, 0 when they are more than `limit`, when the chain is too short, or when an MDL
 * cannot be mapped.
 */
uint32_t workspace_add_mdl(struct workspace *workspace, MDL *mdl, uint32_t offset, uint32_t length,
                           uint32_t limit);
/* Copies the same bytes.  False when the chain is too short or an MDL cannot be mapped. */
bool mdl_copy(uint8_t *to, MDL *mdl, uint32_t offset, uint32_t length);
