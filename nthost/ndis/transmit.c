/* Upper edge to driver: bursts from the TUN become one chain of NET_BUFFER_LISTs, one call of
 * MiniportSendNetBufferLists.  A super-segment that the driver does not offer to cut is cut here: one NBL
 * with a NET_BUFFER per packet, as the TCP/IP stack sends a burst of one flow.  NBLs, NBs, MDLs and packet
 * memory are preallocated and come back last in, first out. */
#include "dice.h"
#include "edge/segment.h"
#include "ndis.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <string.h>

#define BACKFILL_MAX    256u
#define SMALL_BYTES     2048u
#define LARGE_BYTES     65536u
#define BUFFERS_PER_NBL 64u
/* Bytes the driver may hold before the TUN is no longer read, and below which reading goes on: a few
 * super-segments, enough to keep a worker busy, not enough to build up delay. */
#define THROTTLE_BYTES (2u << 20)
#define RESUME_BYTES   (1u << 20)

struct tx_buffer {
    _Alignas(64) NET_BUFFER buffer;
    struct tx_buffer *next;
    uint32_t capacity; /* behind the backfill */
    uint8_t *data;
    union {
        MDL mdl;
        uint8_t mdl_space[MDL_BYTES(LARGE_BYTES + BACKFILL_MAX)];
    };
    _Alignas(64) uint8_t memory[];
};

struct tx_list {
    _Alignas(64) NET_BUFFER_LIST list;
    struct tx_list *next;
    uint32_t bytes;
    uint32_t buffers;
};

static struct tx_buffer *buffer_make(uint32_t capacity)
{
    struct tx_buffer *b = aligned_alloc(64, sizeof *b + BACKFILL_MAX + capacity);

    if (b) {
        memset(b, 0, sizeof *b);
        b->capacity = capacity;
        b->data = b->memory + BACKFILL_MAX;
    }
    return b;
}

static struct tx_list *list_make(void)
{
    struct tx_list *list = aligned_alloc(64, (sizeof *list + 63) & ~(size_t)63);

    if (list)
        memset(list, 0, sizeof *list);
    return list;
}

/* The caller holds tx_lock. */
static struct tx_buffer *buffer_take(struct ndis_adapter *adapter, uint32_t length)
{
    struct tx_buffer **pool = length <= SMALL_BYTES ? &adapter->tx_small : &adapter->tx_large;
    struct tx_buffer *b = *pool;

    if (b)
        *pool = b->next;
    else
        b = buffer_make(length <= SMALL_BYTES ? SMALL_BYTES : LARGE_BYTES);
    return b;
}

static void buffer_give(struct ndis_adapter *adapter, struct tx_buffer *b)
{
    struct tx_buffer **pool = b->capacity == SMALL_BYTES ? &adapter->tx_small : &adapter->tx_large;

    b->next = *pool;
    *pool = b;
}

static struct tx_list *list_take(struct ndis_adapter *adapter)
{
    struct tx_list *list = adapter->tx_lists;

    if (list)
        adapter->tx_lists = list->next;
    else
        list = list_make();
    return list;
}

static void list_give(struct ndis_adapter *adapter, struct tx_list *list)
{
    list->next = adapter->tx_lists;
    adapter->tx_lists = list;
}

int transmit_initialize(struct ndis_adapter *adapter)
{
    for (unsigned i = 0; i < 256; i++) {
        struct tx_buffer *b = buffer_make(SMALL_BYTES);
        struct tx_list *list = list_make();

        if (b)
            buffer_give(adapter, b);
        if (list)
            list_give(adapter, list);
        if (!b || !list)
            return -1;
    }
    return 0;
}

void transmit_free(struct ndis_adapter *adapter)
{
    struct tx_buffer **pools[] = {&adapter->tx_small, &adapter->tx_large};

    for (unsigned i = 0; i < 2; i++)
        while (*pools[i]) {
            struct tx_buffer *b = *pools[i];

            *pools[i] = b->next;
            free(b);
        }
    while (adapter->tx_lists) {
        struct tx_list *list = adapter->tx_lists;

        adapter->tx_lists = list->next;
        free(list);
    }
}

void transmit_prepare_list(struct ndis_adapter *adapter, NET_BUFFER_LIST *list, uint8_t version)
{
    uint16_t ether_type = version == 4 ? NDIS_ETH_TYPE_IPV4 : NDIS_ETH_TYPE_IPV6;

    list->Next = NULL;
    list->FirstNetBuffer = NULL;
    list->Context = NULL;
    list->ParentNetBufferList = NULL;
    list->NdisPoolHandle = adapter;
    list->Scratch = NULL;
    list->SourceHandle = adapter;
    list->NblFlags = version == 4 ? NDIS_NBL_FLAGS_IS_IPV4 : NDIS_NBL_FLAGS_IS_IPV6;
    list->ChildRefCount = 0;
    list->Flags = 0;
    list->Status = NDIS_STATUS_SUCCESS;
    memset(list->NetBufferListInfo, 0, sizeof list->NetBufferListInfo);
    list->NetBufferListInfo[NetBufferListProtocolId] =
        (void *)(uintptr_t)__builtin_bswap16(ether_type); /* network order */
}

/* Points the NET_BUFFER at `length` bytes behind the backfill the driver asked for. */
static void buffer_fill(struct ndis_adapter *adapter, struct tx_buffer *b, uint32_t length)
{
    uint32_t backfill = adapter->data_backfill < BACKFILL_MAX ? adapter->data_backfill : BACKFILL_MAX;
    NET_BUFFER *buffer = &b->buffer;

    mdl_describe(&b->mdl, b->data - backfill, backfill + length);
    buffer->Next = NULL;
    buffer->CurrentMdl = &b->mdl;
    buffer->CurrentMdlOffset = backfill;
    buffer->stDataLength = length;
    buffer->MdlChain = &b->mdl;
    buffer->DataOffset = backfill;
    buffer->ChecksumBias = 0;
    buffer->NdisPoolHandle = adapter;
}

struct chain {
    NET_BUFFER_LIST *first, **tail;
    uint32_t lists, bytes, packets;
};

static void chain_append(struct chain *chain, NET_BUFFER_LIST *list, uint32_t bytes, uint32_t packets)
{
    *chain->tail = list;
    chain->tail = &list->Next;
    chain->lists++;
    chain->bytes += bytes;
    chain->packets += packets;
}

/* Appends a packet as it is, for the driver to complete. */
static bool whole_append(struct ndis_adapter *adapter, const struct tun_packet *packet,
                         const struct offload_send *send, struct chain *chain)
{
    struct tx_list *list = list_take(adapter);
    struct tx_buffer *b = list ? buffer_take(adapter, packet->length) : NULL;

    if (!b) {
        if (list)
            list_give(adapter, list);
        return false;
    }
    transmit_prepare_list(adapter, &list->list, send->version);
    memcpy(b->data, packet->data, packet->length);
    buffer_fill(adapter, b, packet->length);
    offload_write(send, b->data, &list->list);
    list->list.FirstNetBuffer = &b->buffer;
    list->bytes = packet->length;
    list->buffers = 1;
    chain_append(chain, &list->list, list->bytes, send->packets);
    return true;
}

/* Cuts one TUN packet into `chain`, if the driver does not; the caller holds tx_lock. */
static void packet_append(struct ndis_adapter *adapter, const struct tun_packet *packet, struct chain *chain)
{
    struct segmenter segmenter;
    struct offload_send send;
    uint8_t version = packet->length ? packet->data[0] >> 4 : 0;
    uint32_t index = 0;

    if ((version != 4 && version != 6) || segment_begin(&segmenter, packet) != 0) {
        adapter->tx_dropped++;
        return;
    }
    if (offload_fits(adapter, packet, &send) && whole_append(adapter, packet, &send, chain))
        return;
    while (index < segmenter.count) {
        struct tx_list *list = list_take(adapter);
        NET_BUFFER **tail;

        if (!list)
            break;
        transmit_prepare_list(adapter, &list->list, version);
        list->bytes = list->buffers = 0;
        tail = &list->list.FirstNetBuffer;
        for (; index < segmenter.count && list->buffers < BUFFERS_PER_NBL; index++) {
            uint32_t length = segment_length(&segmenter, index);
            struct tx_buffer *b = buffer_take(adapter, length);

            if (!b)
                break;
            segment_write(&segmenter, index, b->data);
            buffer_fill(adapter, b, length);
            *tail = &b->buffer;
            tail = &b->buffer.Next;
            list->buffers++;
            list->bytes += length;
        }
        if (list->buffers == 0) {
            list_give(adapter, list);
            break;
        }
        chain_append(chain, &list->list, list->bytes, list->buffers);
    }
    if (index < segmenter.count)
        adapter->tx_dropped += segmenter.count - index;
}

/* Verify mode: each packet in memory of its own, chains cut at random. */
static void packet_append_strict(struct ndis_adapter *adapter, const struct tun_packet *packet,
                                 struct chain *chain)
{
    NET_BUFFER_LIST *list = strict_list(adapter, packet);

    if (!list)
        adapter->tx_dropped++;
    while (list) { /* one or several: a super-segment is spread over NBLs at random */
        NET_BUFFER_LIST *next = list->Next;
        uint32_t packets = 0, list_bytes = 0;

        list->Next = NULL;
        for (NET_BUFFER *b = list->FirstNetBuffer; b; b = b->Next) {
            packets++;
            list_bytes += b->DataLength;
        }
        ledger_add(HOST_NBL_SENT, list, OWNER_DRIVER, "sent NET_BUFFER_LIST");
        chain_append(chain, list, list_bytes, packets);
        list = next;
    }
}

/* Stops or restarts reading the TUN by what the driver holds; both sides look after they have written. */
void transmit_update_throttle(struct ndis_adapter *adapter)
{
    int64_t bytes = __atomic_load_n(&adapter->tx_bytes, __ATOMIC_SEQ_CST);
    bool throttled = __atomic_load_n(&adapter->tx_throttled, __ATOMIC_SEQ_CST);

    if (!throttled && bytes > THROTTLE_BYTES) {
        __atomic_store_n(&adapter->tx_throttled, true, __ATOMIC_SEQ_CST);
        tun_pause_reading(adapter->tun, true);
        bytes = __atomic_load_n(&adapter->tx_bytes, __ATOMIC_SEQ_CST);
        throttled = true;
    }
    if (throttled && bytes < RESUME_BYTES && adapter->state == ADAPTER_RUNNING &&
        __atomic_exchange_n(&adapter->tx_throttled, false, __ATOMIC_SEQ_CST))
        tun_pause_reading(adapter->tun, false);
}

static void send_chain(struct ndis_adapter *adapter, struct chain *chain, bool raised)
{
    struct host_callback cb;

    __atomic_add_fetch(&adapter->tx_outstanding, chain->lists, __ATOMIC_RELAXED);
    __atomic_add_fetch(&adapter->tx_bytes, chain->bytes, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&adapter->tx_packets, chain->packets, __ATOMIC_RELAXED);
    host_count_add(HOST_NBL_SENT, chain->lists);
    host_callback_begin(&cb, "MiniportSendNetBufferLists");
    adapter->driver->handlers.SendNetBufferListsHandler(adapter->context, chain->first,
                                                        NDIS_DEFAULT_PORT_NUMBER,
                                                        raised ? NDIS_SEND_FLAGS_DISPATCH_LEVEL : 0);
    host_callback_end(&cb);
    transmit_update_throttle(adapter);
}

void transmit_burst(void *context, struct tun_packet *packets, unsigned count)
{
    struct ndis_adapter *adapter = context;
    struct chain chain = {.tail = &chain.first};
    bool strict = host_options.verify;
    uint8_t irql;

    gate_lock(&adapter->send_gate);
    if (__atomic_load_n(&adapter->state, __ATOMIC_ACQUIRE) != ADAPTER_RUNNING) {
        adapter->tx_dropped += count; /* a paused miniport gets no sends */
        gate_unlock(&adapter->send_gate);
        return;
    }
    if (strict) {
        for (unsigned i = 0; i < count; i++) {
            packet_append_strict(adapter, &packets[i], &chain);
            /* A chain may be of any length, down to one NBL; at PASSIVE_LEVEL as well as at DISPATCH_LEVEL.
             */
            if (chain.first && (i + 1 == count || dice_chance(8))) {
                bool raised = !dice_chance(4);

                irql = raised ? sched_irql_raise(SCHED_DISPATCH) : 0;
                send_chain(adapter, &chain, raised);
                if (raised)
                    sched_irql_lower(irql);
                chain = (struct chain){.tail = &chain.first};
            }
        }
    } else {
        irql = sched_irql_raise(SCHED_DISPATCH);
        spin_lock(&adapter->tx_lock);
        for (unsigned i = 0; i < count; i++)
            packet_append(adapter, &packets[i], &chain);
        spin_unlock(&adapter->tx_lock);
        if (chain.first)
            send_chain(adapter, &chain, true);
        sched_irql_lower(irql);
    }
    gate_unlock(&adapter->send_gate);
}

static bool completion_valid(struct ndis_adapter *adapter, NET_BUFFER_LIST *list)
{
    if (host_options.verify) {
        ledger_remove(HOST_NBL_SENT, list, OWNER_DRIVER, RULE_NBL_COMPLETED_TWICE);
        return true;
    }
    if (list->NdisPoolHandle == adapter)
        return true;
    host_warn("NdisMSendNetBufferListsComplete: %p is not a NET_BUFFER_LIST that was sent", (void *)list);
    return false;
}

VOID NTAPI NdisMSendNetBufferListsComplete(NDIS_HANDLE MiniportAdapterHandle, PNET_BUFFER_LIST NetBufferList,
                                           ULONG SendCompleteFlags)
{
    struct ndis_adapter *adapter =
        adapter_from_handle(MiniportAdapterHandle, "NdisMSendNetBufferListsComplete");
    NET_BUFFER_LIST *list = NetBufferList, *next;
    int64_t lists = 0, bytes = 0;
    uint64_t bad = 0;

    if (!adapter)
        return;
    if (host_options.verify) {
        bool raised = sched_irql() >= SCHED_DISPATCH;

        if (!raised && (SendCompleteFlags & NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL))
            verify_report(RULE_NDIS_FLAGS,
                          "NdisMSendNetBufferListsComplete: flags say DISPATCH_LEVEL, IRQL is %u",
                          sched_irql());
        for (; list; list = next) {
            completion_valid(adapter, list); /* before its memory is read: it may be gone */
            next = list->Next;
            bad += list->Status != NDIS_STATUS_SUCCESS;
            lists++;
            bytes += strict_completed(adapter, list);
        }
    } else {
        spin_lock(&adapter->tx_lock);
        for (; list; list = next) {
            struct tx_list *own = (struct tx_list *)list;
            NET_BUFFER *buffer, *next_buffer;

            next = list->Next;
            if (!completion_valid(adapter, list))
                continue;
            bytes += own->bytes;
            bad += list->Status != NDIS_STATUS_SUCCESS;
            lists++;
            for (buffer = list->FirstNetBuffer; buffer; buffer = next_buffer) {
                next_buffer = buffer->Next;
                buffer_give(adapter, (struct tx_buffer *)buffer);
            }
            list->NdisPoolHandle = NULL; /* a second completion is recognised */
            list_give(adapter, own);
        }
        spin_unlock(&adapter->tx_lock);
    }
    host_count_add(HOST_NBL_SENT, -lists);
    __atomic_add_fetch(&adapter->tx_completed_bad, bad, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&adapter->tx_outstanding, lists, __ATOMIC_RELEASE);
    __atomic_sub_fetch(&adapter->tx_bytes, bytes, __ATOMIC_SEQ_CST);
    if (__builtin_expect(__atomic_load_n(&adapter->tx_throttled, __ATOMIC_SEQ_CST), 0))
        transmit_update_throttle(adapter);
}
