/* Opening a receive batch, and the NBLs made of its slots until the stack gives the last one back. */
#include "adapter.h"
#include "batch.h"
#include "peer.h"
#include "protocol/messages.h"
#include "udp_socket.h"
#include "wide.h"
#include "workspace.h"

/* That of the datagram before when nothing differs. */
uint16_t rx_batch_origin(struct rx_batch *rx, const WSK_DATAGRAM_INDICATION *datagram)
{
    struct rx_origin *origin = &rx->origins[rx->origin_count];
    udp_origin_of_datagram(datagram, origin);
    if (rx->origin_count == 0 || __builtin_memcmp(origin, origin - 1, sizeof(*origin)) != 0)
        rx->origin_count++;
    return (uint16_t)(rx->origin_count - 1);
}

/* Describes sealed packet `i`; copied into its slot and opened there when its MDLs are too many. */
static bool describe_source(struct rx_batch *rx, struct workspace *workspace, uint32_t i,
                            struct aead_item *item)
{
    const struct rx_packet *packet = &rx->packets[i];
    uint32_t offset = packet->offset + MESSAGE_DATA_HEADER_BYTES;
    uint32_t length = packet->plaintext + TAG_BYTES;
    uint32_t behind = rx->batch.count - i - 1;
    item->source = &workspace->sources[workspace->sources_used];
    item->source_count = workspace_add_mdl(workspace, packet->mdl, offset, length,
                                           WORKSPACE_SEGMENTS - workspace->sources_used - behind);
    if (item->source_count > 0)
        return true;
    uint8_t *slot = rx->buffer + i * rx->stride;
    if (!mdl_copy(slot, packet->mdl, offset, length))
        return false;
    workspace->sources[workspace->sources_used++] = (struct aead_segment){slot, length};
    item->source_count = 1;
    return true;
}

/* A system that coalesces and does not say so makes one long message of several, which is not authentic.
 * Inside there is then the header of another one of the same session, with one of the next counters. */
#define UNMARKED_SEARCH_BYTES 16384

static bool looks_coalesced(const struct rx_batch *rx, const struct rx_packet *packet,
                            const struct aead_item *item)
{
    uint64_t wanted = MESSAGE_DATA | (uint64_t)rx->batch.session->session.local_index << 32;
    for (uint32_t i = 0; i < item->source_count; i++) {
        const uint8_t *data = item->source[i].data;
        size_t end = item->source[i].length;
        if (end > UNMARKED_SEARCH_BYTES)
            end = UNMARKED_SEARCH_BYTES;
        for (size_t at = 0; at + MESSAGE_OVERHEAD_BYTES <= end; at++)
            if (load_le64(data + at) == wanted &&
                load_le64(data + at + sizeof(wanted)) - packet->nonce - 1 < BATCH_PACKETS)
                return true;
    }
    return false;
}

void rx_batch_refuse(struct rx_batch *rx, enum drop_reason reason)
{
    for (uint32_t i = 0; i < rx->batch.count; i++)
        rx->packets[i].valid = false;
    drop_count(rx->batch.adapter, reason, rx->batch.count);
}

void rx_batch_open(struct rx_batch *rx)
{
    struct workspace *workspace = workspace_acquire();
    uint32_t items = 0, bytes = 0, forged = 0, lost = 0;

    if (!workspace) {
        rx_batch_refuse(rx, DROP_RX_MEMORY);
        return;
    }
    for (uint32_t i = 0; i < rx->batch.count; i++) {
        struct rx_packet *packet = &rx->packets[i];
        struct aead_item *item = &workspace->items[items];
        packet->valid = false;
        if (!describe_source(rx, workspace, i, item)) {
            lost++;
            continue;
        }
        packet->valid = true; /* for now: described */
        workspace->destinations[items] =
            (struct aead_segment){rx->buffer + i * rx->stride, packet->plaintext};
        item->key = rx->batch.session->session.receive_key;
        item->aad = NULL;
        item->aad_length = 0;
        item->destination = &workspace->destinations[items];
        item->destination_count = 1;
        item->padding = 0;
        aead_nonce_from_counter(item->nonce, packet->nonce);
        items++;
        bytes += packet->plaintext;
    }
    wide_open(workspace, items, bytes);
    for (uint32_t i = 0, item = 0; i < rx->batch.count; i++) {
        struct rx_packet *packet = &rx->packets[i];
        if (!packet->valid)
            continue;
        if (!workspace->items[item++].ok) {
            packet->valid = false;
            forged++;
            if (forged == 1 && packet->alone) /* one of a batch is enough, forgeries are to be cheap */
                rx->unmarked = looks_coalesced(rx, packet, &workspace->items[item - 1]);
        }
    }
    workspace_release(workspace);
    if (forged)
        drop_count(rx->batch.adapter, DROP_RX_AUTHENTICATION, forged);
    if (lost)
        drop_count(rx->batch.adapter, DROP_RX_MEMORY, lost);
}

/* The slot's MDLs: 0 the whole slot, 1 a payload. */
static MDL *slot_mdl(struct rx_batch *rx, uint32_t i, uint32_t which)
{
    return (MDL *)((uint8_t *)rx->mdls + (2 * i + which) * rx->mdl_bytes);
}

/* A packet that was authenticated has not changed since its sender computed or checked its checksums. */
static uintptr_t checksums_right(uint8_t version, uint32_t offloads)
{
    uint32_t tcp = version == 4 ? OFFLOAD_RX_TCP4 : OFFLOAD_RX_TCP6;
    uint32_t udp = version == 4 ? OFFLOAD_RX_UDP4 : OFFLOAD_RX_UDP6;
    uint32_t ip = version == 4 ? OFFLOAD_RX_IP4 : 0;
    return (offloads & tcp ? NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_SUCCEEDED : 0) |
           (offloads & udp ? NDIS_CHECKSUM_RECEIVE_UDP_CHECKSUM_SUCCEEDED : 0) |
           (offloads & ip ? NDIS_CHECKSUM_RECEIVE_IP_CHECKSUM_SUCCEEDED : 0);
}

NET_BUFFER_LIST *rx_batch_prepare(struct rx_batch *rx, uint32_t i, uint32_t bytes, uint8_t version,
                                  uint32_t offloads)
{
    NET_BUFFER_LIST *nbl = rx->nbls[i];
    NET_BUFFER *buffer = NET_BUFFER_LIST_FIRST_NB(nbl);
    MDL *mdl = slot_mdl(rx, i, 0);
    uint16_t protocol = version == 4 ? NDIS_ETH_TYPE_IPV4 : NDIS_ETH_TYPE_IPV6;

    mdl->Next = NULL; /* as coalescing left it */
    mdl->ByteCount = rx->stride;
    NET_BUFFER_NEXT_NB(buffer) = NULL;
    NET_BUFFER_FIRST_MDL(buffer) = NET_BUFFER_CURRENT_MDL(buffer) = mdl;
    NET_BUFFER_DATA_OFFSET(buffer) = NET_BUFFER_CURRENT_MDL_OFFSET(buffer) = 0;
    NET_BUFFER_DATA_LENGTH(buffer) = bytes;

    nbl->ParentNetBufferList = NULL; /* anything else crashes filters on receive */
    nbl->SourceHandle = rx->batch.adapter->miniport;
    nbl->NblFlags = 0;
    nbl->Status = NDIS_STATUS_SUCCESS;
    /* What is left from the last use; these slots exist in every version we run on (NDIS 6.50 and later). */
    __builtin_memset(nbl->NetBufferListInfo, 0, sizeof(PVOID) * (RscTcpTimestampDelta + 1));
    NET_BUFFER_LIST_INFO(nbl, TcpIpChecksumNetBufferListInfo) = (PVOID)checksums_right(version, offloads);
    NET_BUFFER_LIST_INFO(nbl, NetBufferListProtocolId) = (PVOID)(uintptr_t)__builtin_bswap16(protocol);
    NET_BUFFER_LIST_MINIPORT_RESERVED(nbl)[0] = rx;
    return nbl;
}

void rx_batch_trim_first(struct rx_batch *rx, uint32_t i, uint32_t bytes)
{
    slot_mdl(rx, i, 0)->ByteCount = bytes; /* as NdisAdjustMdlLength does */
}

MDL *rx_batch_payload_mdl(struct rx_batch *rx, uint32_t i, uint32_t offset, uint32_t bytes)
{
    MDL *mdl = slot_mdl(rx, i, 1);
    if (rx->packets[i].payload_offset != offset) { /* headers are most often as long as the last time */
        MmInitializeMdl(mdl, rx->buffer + i * rx->stride + offset, rx->stride - offset);
        MmBuildMdlForNonPagedPool(mdl);
        rx->packets[i].payload_offset = (uint16_t)offset;
    }
    mdl->ByteCount = bytes;
    mdl->Next = NULL;
    return mdl;
}

void rx_batch_returned(struct rx_batch *rx)
{
    struct adapter *adapter = rx->batch.adapter;
    __atomic_sub_fetch(&adapter->rx_outstanding_bytes, rx->batch.bytes, __ATOMIC_RELAXED);
    rx_batch_free(rx);
    ExReleaseRundownProtection(&adapter->receive_rundown);
}

void rx_batch_return(NET_BUFFER_LIST *chain)
{
    while (chain) {
        struct rx_batch *rx = NET_BUFFER_LIST_MINIPORT_RESERVED(chain)[0];
        int32_t returned = 0;
        /* A run of one batch; nothing of an NBL is touched after its batch may be gone. */
        while (chain && NET_BUFFER_LIST_MINIPORT_RESERVED(chain)[0] == rx) {
            chain = chain->Next;
            returned++;
        }
        if (__atomic_sub_fetch(&rx->users, returned, __ATOMIC_ACQ_REL) == 0)
            rx_batch_returned(rx);
    }
}
