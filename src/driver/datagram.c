/* See datagram.h. */
#include "datagram.h"

#include "memory.h"
#include "workspace.h"

void datagram_begin(struct datagram_reader *reader, WSK_DATAGRAM_INDICATION *datagram, uint32_t each)
{
    *reader = (struct datagram_reader){.datagram = datagram,
                                       .mdl = datagram->Buffer.Mdl,
                                       .offset = datagram->Buffer.Offset,
                                       .left = (uint32_t)datagram->Buffer.Length,
                                       .each = each};
}

uint32_t datagram_messages(const struct datagram_reader *reader)
{
    return reader->left <= reader->each ? reader->left != 0 : (reader->left - 1) / reader->each + 1;
}

const uint8_t *datagram_peek(const struct datagram_reader *reader, uint32_t wanted, uint8_t *storage)
{
    MDL *mdl = reader->mdl;
    uint32_t offset = reader->offset;
    if (mdl && offset < MmGetMdlByteCount(mdl) && MmGetMdlByteCount(mdl) - offset >= wanted) {
        const uint8_t *data = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority | MdlMappingNoExecute);
        return data ? data + offset : NULL;
    }
    return mdl_copy(storage, mdl, offset, wanted) ? storage : NULL;
}

void datagram_skip(struct datagram_reader *reader)
{
    uint32_t bytes = datagram_next(reader);
    reader->left -= bytes;
    reader->offset += bytes;
    while (reader->left && reader->mdl && reader->offset >= MmGetMdlByteCount(reader->mdl)) {
        reader->offset -= MmGetMdlByteCount(reader->mdl);
        reader->mdl = reader->mdl->Next;
    }
}

bool datagram_share(struct datagram_reader *reader)
{
    struct rx_shared *shared = memory_allocate(MEMORY_SOCKET, sizeof(*shared));
    if (!shared)
        return false;
    shared->datagram = reader->datagram;
    shared->users = 1;
    reader->shared = shared;
    return true;
}

WSK_DATAGRAM_INDICATION *datagram_unshare(struct rx_shared *shared)
{
    if (!shared || __atomic_sub_fetch(&shared->users, 1, __ATOMIC_ACQ_REL) != 0)
        return NULL;
    WSK_DATAGRAM_INDICATION *datagram = shared->datagram;
    datagram->Next = NULL;
    memory_free(MEMORY_SOCKET, shared, sizeof(*shared));
    return datagram;
}
