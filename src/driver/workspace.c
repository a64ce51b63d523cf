/* Workspaces: a few are kept on one interlocked list, more are made and freed as they are needed. */
#include "workspace.h"
#include "memory.h"
#include "nt/ke.h"

/* Made at start, so that the first packets do not allocate; more are made when more CPUs ask at once. */
#define WORKSPACES_AT_START 2
/* So many wait on the list at most; a list's depth is a hint. */
#define WORKSPACES_KEPT 64

#define MAP_PRIORITY (NormalPagePriority | MdlMappingNoExecute)

static SLIST_HEADER free_list;

NTSTATUS workspace_initialize(void)
{
    InitializeSListHead(&free_list);
    for (int i = 0; i < WORKSPACES_AT_START; i++) {
        struct workspace *workspace = memory_allocate_uninitialized(MEMORY_DRIVER, sizeof(*workspace));
        if (!workspace) {
            workspace_uninitialize();
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        workspace_release(workspace);
    }
    return STATUS_SUCCESS;
}

void workspace_uninitialize(void)
{
    SLIST_ENTRY *entry;
    while ((entry = InterlockedPopEntrySList(&free_list)) != NULL)
        memory_free(MEMORY_DRIVER, CONTAINING_RECORD(entry, struct workspace, link),
                    sizeof(struct workspace));
}

struct workspace *workspace_acquire(void)
{
    SLIST_ENTRY *entry = InterlockedPopEntrySList(&free_list);
    struct workspace *workspace = entry ? CONTAINING_RECORD(entry, struct workspace, link)
                                        : memory_allocate_uninitialized(MEMORY_DRIVER, sizeof(*workspace));
    if (workspace)
        workspace->sources_used = 0;
    return workspace;
}

void workspace_release(struct workspace *workspace)
{
    if (ExQueryDepthSList(&free_list) < WORKSPACES_KEPT)
        InterlockedPushEntrySList(&free_list, &workspace->link);
    else
        memory_free(MEMORY_DRIVER, workspace, sizeof(*workspace));
}

/* Goes to the MDL that holds the byte at `*offset`, which becomes relative to it. */
static MDL *mdl_seek(MDL *mdl, uint32_t *offset)
{
    while (mdl && *offset >= MmGetMdlByteCount(mdl)) {
        *offset -= MmGetMdlByteCount(mdl);
        mdl = mdl->Next;
    }
    return mdl;
}

uint32_t workspace_add_mdl(struct workspace *workspace, MDL *mdl, uint32_t offset, uint32_t length,
                           uint32_t limit)
{
    uint32_t first = workspace->sources_used, used = first;
    mdl = mdl_seek(mdl, &offset);
    while (length > 0) {
        uint8_t *data;
        if (!mdl || used - first == limit || used == WORKSPACE_SEGMENTS)
            return 0;
        uint32_t here = MmGetMdlByteCount(mdl) - offset;
        if (here > length)
            here = length;
        if (here > 0) {
            if (!(data = MmGetSystemAddressForMdlSafe(mdl, MAP_PRIORITY)))
                return 0;
            workspace->sources[used++] = (struct aead_segment){data + offset, here};
        }
        length -= here;
        offset = 0;
        mdl = mdl->Next;
    }
    workspace->sources_used = used;
    return used - first;
}

bool mdl_copy(uint8_t *to, MDL *mdl, uint32_t offset, uint32_t length)
{
    mdl = mdl_seek(mdl, &offset);
    while (length > 0) {
        const uint8_t *data;
        if (!mdl)
            return false;
        uint32_t here = MmGetMdlByteCount(mdl) - offset;
        if (here > length)
            here = length;
        if (here > 0) {
            if (!(data = MmGetSystemAddressForMdlSafe(mdl, MAP_PRIORITY)))
                return false;
            __builtin_memcpy(to, data + offset, here);
        }
        to += here;
        length -= here;
        offset = 0;
        mdl = mdl->Next;
    }
    return true;
}
