/* NDIS functions on the data of NET_BUFFERs: looking at it, moving its start, copying, cloning. */
#include "host.h"
#include "nbl.h"
#include "ndis/ndis.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <string.h>

/* Address of the bytes of an MDL; NULL if they cannot be mapped. */
static uint8_t *mdl_address(MDL *mdl)
{
    return MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority);
}

PVOID NTAPI NdisGetDataBuffer(PNET_BUFFER NetBuffer, ULONG BytesNeeded, PVOID Storage, UINT AlignMultiple,
                              UINT AlignOffset)
{
    MDL *mdl = NetBuffer->CurrentMdl;
    uint32_t offset = NetBuffer->CurrentMdlOffset, done = 0;
    uint8_t *at;

    if (BytesNeeded == 0 || NetBuffer->DataLength < BytesNeeded || !mdl)
        return NULL;
    if (mdl->ByteCount - offset >= BytesNeeded) {
        at = mdl_address(mdl);
        if (!at)
            return NULL;
        at += offset;
        if (AlignMultiple <= 1 || (uintptr_t)at % AlignMultiple == AlignOffset)
            return at;
    }
    if (!Storage)
        return NULL;
    while (done < BytesNeeded && mdl) {
        uint32_t take = mdl->ByteCount - offset;

        if (take > BytesNeeded - done)
            take = BytesNeeded - done;
        at = mdl_address(mdl);
        if (!at)
            return NULL;
        memcpy((uint8_t *)Storage + done, at + offset, take);
        done += take;
        offset = 0;
        mdl = mdl->Next;
    }
    return done == BytesNeeded ? Storage : NULL;
}

VOID NTAPI NdisAdjustNetBufferCurrentMdl(PNET_BUFFER NetBuffer)
{
    net_buffer_set_data(NetBuffer, NetBuffer->MdlChain, NetBuffer->DataOffset, NetBuffer->DataLength);
}

VOID NTAPI NdisAdvanceNetBufferDataStart(PNET_BUFFER NetBuffer, ULONG DataOffsetDelta, BOOLEAN FreeMdl,
                                         NET_BUFFER_FREE_MDL_HANDLER FreeMdlHandler)
{
    if (DataOffsetDelta > NetBuffer->DataLength) {
        if (host_options.verify)
            verify_report(RULE_NBL_FIELDS, "NdisAdvanceNetBufferDataStart: %u bytes of %u", DataOffsetDelta,
                          NetBuffer->DataLength);
        DataOffsetDelta = NetBuffer->DataLength;
    }
    NetBuffer->DataOffset += DataOffsetDelta;
    NetBuffer->DataLength -= DataOffsetDelta;
    NdisAdjustNetBufferCurrentMdl(NetBuffer);
    /* Only what NdisRetreatNetBufferDataStart added goes: it marked its MDLs. */
    while (FreeMdl && NetBuffer->MdlChain != NetBuffer->CurrentMdl &&
           (NetBuffer->MdlChain->MdlFlags & MDL_NETWORK_HEADER)) {
        MDL *mdl = NetBuffer->MdlChain;

        NetBuffer->MdlChain = mdl->Next;
        NetBuffer->DataOffset -= mdl->ByteCount;
        if (FreeMdlHandler) {
            FreeMdlHandler(mdl);
        } else {
            void *memory = mdl_address(mdl);

            NdisFreeMdl(mdl);
            free(memory);
        }
    }
}

NDIS_STATUS NTAPI NdisRetreatNetBufferDataStart(PNET_BUFFER NetBuffer, ULONG DataOffsetDelta,
                                                ULONG DataBackFill,
                                                NET_BUFFER_ALLOCATE_MDL_HANDLER AllocateMdlHandler)
{
    if (DataOffsetDelta > NetBuffer->DataOffset) {
        ULONG missing = DataOffsetDelta - NetBuffer->DataOffset;
        ULONG size = missing + DataBackFill;
        MDL *mdl;

        if (AllocateMdlHandler) {
            mdl = AllocateMdlHandler(&size);
        } else {
            void *memory = malloc(size);

            mdl = memory ? NdisAllocateMdl(NULL, memory, size) : NULL;
            if (!mdl)
                free(memory);
        }
        if (!mdl)
            return NDIS_STATUS_RESOURCES;
        mdl->MdlFlags |= MDL_NETWORK_HEADER;
        mdl->Next = NetBuffer->MdlChain;
        NetBuffer->MdlChain = mdl;
        NetBuffer->DataOffset += mdl->ByteCount;
    }
    NetBuffer->DataOffset -= DataOffsetDelta;
    NetBuffer->DataLength += DataOffsetDelta;
    NdisAdjustNetBufferCurrentMdl(NetBuffer);
    return NDIS_STATUS_SUCCESS;
}

VOID NTAPI NdisAdvanceNetBufferListDataStart(PNET_BUFFER_LIST NetBufferList, ULONG DataOffsetDelta,
                                             BOOLEAN FreeMdl, NET_BUFFER_FREE_MDL_HANDLER FreeMdlHandler)
{
    for (NET_BUFFER *buffer = NetBufferList->FirstNetBuffer; buffer; buffer = buffer->Next)
        NdisAdvanceNetBufferDataStart(buffer, DataOffsetDelta, FreeMdl, FreeMdlHandler);
}

NDIS_STATUS NTAPI NdisRetreatNetBufferListDataStart(PNET_BUFFER_LIST NetBufferList, ULONG DataOffsetDelta,
                                                    ULONG DataBackFill,
                                                    NET_BUFFER_ALLOCATE_MDL_HANDLER AllocateMdlHandler,
                                                    NET_BUFFER_FREE_MDL_HANDLER FreeMdlHandler)
{
    for (NET_BUFFER *buffer = NetBufferList->FirstNetBuffer; buffer; buffer = buffer->Next)
        if (NdisRetreatNetBufferDataStart(buffer, DataOffsetDelta, DataBackFill, AllocateMdlHandler) !=
            NDIS_STATUS_SUCCESS) {
            for (NET_BUFFER *undo = NetBufferList->FirstNetBuffer; undo != buffer; undo = undo->Next)
                NdisAdvanceNetBufferDataStart(undo, DataOffsetDelta, TRUE, FreeMdlHandler);
            return NDIS_STATUS_RESOURCES;
        }
    return NDIS_STATUS_SUCCESS;
}

/* Position in a chain of MDLs. */
struct cursor {
    MDL *mdl;
    uint32_t offset;
};

static struct cursor cursor_at(const NET_BUFFER *buffer, uint32_t skip)
{
    struct cursor c = {buffer->CurrentMdl, buffer->CurrentMdlOffset + skip};

    while (c.mdl && c.offset >= c.mdl->ByteCount) {
        c.offset -= c.mdl->ByteCount;
        c.mdl = c.mdl->Next;
    }
    return c;
}

NDIS_STATUS NTAPI NdisCopyFromNetBufferToNetBuffer(PNET_BUFFER Destination, ULONG DestinationOffset,
                                                   ULONG BytesToCopy, const NET_BUFFER *Source,
                                                   ULONG SourceOffset, PULONG BytesCopied)
{
    struct cursor to = cursor_at(Destination, DestinationOffset);
    struct cursor from = cursor_at(Source, SourceOffset);
    ULONG done = 0;

    *BytesCopied = 0;
    if (Source->DataLength <= SourceOffset)
        return NDIS_STATUS_SUCCESS;
    if (BytesToCopy > Source->DataLength - SourceOffset)
        BytesToCopy = Source->DataLength - SourceOffset;
    while (done < BytesToCopy && to.mdl && from.mdl) {
        ULONG take = BytesToCopy - done;
        uint8_t *a = mdl_address(to.mdl), *b = mdl_address(from.mdl);

        if (!a || !b)
            return NDIS_STATUS_RESOURCES;
        if (take > to.mdl->ByteCount - to.offset)
            take = to.mdl->ByteCount - to.offset;
        if (take > from.mdl->ByteCount - from.offset)
            take = from.mdl->ByteCount - from.offset;
        memcpy(a + to.offset, b + from.offset, take);
        done += take;
        for (struct cursor *c = &to;; c = &from) {
            c->offset += take;
            if (c->offset == c->mdl->ByteCount) {
                c->mdl = c->mdl->Next;
                c->offset = 0;
            }
            if (c == &from)
                break;
        }
    }
    *BytesCopied = done;
    return NDIS_STATUS_SUCCESS;
}

PMDL NTAPI NdisAllocateMdl(NDIS_HANDLE NdisHandle, PVOID VirtualAddress, UINT Length)
{
    MDL *mdl = IoAllocateMdl(VirtualAddress, Length, FALSE, FALSE, NULL);

    if (mdl)
        MmBuildMdlForNonPagedPool(mdl);
    return mdl;
}

VOID NTAPI NdisFreeMdl(PMDL Mdl)
{
    IoFreeMdl(Mdl);
}
