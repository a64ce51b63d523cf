/* Where batches come from: per adapter and CPU one free list for each class of size.  A batch goes back to
 * the list it came from, wherever it is freed, so that the lists do not drift. */
#include "batch.h"
#include "adapter.h"
#include "driver.h"
#include "memory.h"

#define BUFFER_ALIGNMENT 64

/* The small classes keep a lone packet from pinning the memory of 64, and a handshake message or keepalive
 * from pinning that of 8. */
enum { TX_MESSAGE, TX_SMALL, TX_LARGE, TX_CLASSES };
static const struct {
    uint32_t packets, buffer_bytes;
} tx_classes[TX_CLASSES] = {
    [TX_MESSAGE] = {1, 256},
    [TX_SMALL] = {8, 16384},
    [TX_LARGE] = {BATCH_PACKETS, BATCH_PLAINTEXT_BYTES +
                                     BATCH_PACKETS *(MESSAGE_OVERHEAD_BYTES + MESSAGE_PADDING_MAX_BYTES + 1)},
};
_Static_assert(DATAGRAM_MAX_BYTES <= BATCH_PLAINTEXT_BYTES, "the largest message fits into a large batch");

enum { RX_FEW, RX_SOME, RX_MANY, RX_JUMBO, RX_HUGE, RX_CLASSES };
static const struct {
    uint32_t slots, stride;
} rx_classes[RX_CLASSES] = {
    [RX_FEW] = {4, 2112},    [RX_SOME] = {16, 2112}, [RX_MANY] = {BATCH_PACKETS, 2112},
    [RX_JUMBO] = {16, 9216}, [RX_HUGE] = {2, 65600},
};

#define CLASSES (TX_CLASSES + RX_CLASSES)
/* While an adapter has less than this in one direction, batches that come back stay on their lists. */
#define CACHED_BYTES (8 * 1024 * 1024)

struct batch_cache {
    _Alignas(64) SLIST_HEADER lists[CLASSES];
    volatile int32_t out[CLASSES]; /* not back yet */
};

struct batch_caches {
    NDIS_HANDLE nbl_pool;
    volatile int64_t tx_memory, rx_memory; /* bytes */
    struct batch_cache cpus[];
};

static size_t caches_bytes(void)
{
    return sizeof(struct batch_caches) + driver.cpus * sizeof(struct batch_cache);
}

static uint32_t align_up(uint32_t bytes, uint32_t alignment)
{
    return (bytes + alignment - 1) & ~(alignment - 1);
}

NTSTATUS batch_initialize(struct adapter *adapter)
{
    struct batch_caches *caches = memory_allocate(MEMORY_ADAPTER, caches_bytes());
    if (!caches)
        return STATUS_INSUFFICIENT_RESOURCES;
    NET_BUFFER_LIST_POOL_PARAMETERS parameters = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .ProtocolId = NDIS_PROTOCOL_ID_DEFAULT,
        .fAllocateNetBuffer = TRUE,
        .PoolTag = 'W' | 'y' << 8 | 'N' << 16 | 'b' << 24,
    };
    caches->nbl_pool = NdisAllocateNetBufferListPool(adapter->miniport, &parameters);
    if (!caches->nbl_pool) {
        memory_free(MEMORY_ADAPTER, caches, caches_bytes());
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    for (uint32_t i = 0; i < driver.cpus; i++)
        for (uint32_t class = 0; class < CLASSES; class ++)
            InitializeSListHead(&caches->cpus[i].lists[class]);
    adapter->batches = caches;
    return STATUS_SUCCESS;
}

/* Reserves memory of one direction's bound. */
static bool memory_take(volatile int64_t *total, uint32_t bytes)
{
    if (__atomic_add_fetch(total, bytes, __ATOMIC_RELAXED) <= BATCH_MEMORY_MAX_BYTES)
        return true;
    __atomic_sub_fetch(total, bytes, __ATOMIC_RELAXED);
    return false;
}

/* ---- transmit ---- */

static void tx_destroy(struct batch_caches *caches, struct tx_batch *tx)
{
    uint32_t bytes = tx->batch.bytes;
    if (tx->irp)
        IoFreeIrp(tx->irp);
    memory_free(MEMORY_TX_BATCH, tx, bytes);
    __atomic_sub_fetch(&caches->tx_memory, bytes, __ATOMIC_RELAXED);
}

static struct tx_batch *tx_create(struct batch_caches *caches, uint32_t class)
{
    uint32_t limit = tx_classes[class].packets, capacity = tx_classes[class].buffer_bytes;
    uint32_t packets = align_up(sizeof(struct tx_batch), 16);
    uint32_t messages = packets + align_up(limit * sizeof(struct tx_packet), 16);
    uint32_t mdl = messages + align_up(limit * sizeof(WSK_BUF_LIST), 16);
    uint32_t buffer =
        align_up(mdl + sizeof(MDL) + sizeof(PFN_NUMBER) * (capacity / PAGE_SIZE + 2), BUFFER_ALIGNMENT);
    uint32_t bytes = buffer + capacity;

    if (!memory_take(&caches->tx_memory, bytes))
        return NULL;
    uint8_t *memory = memory_allocate_uninitialized(MEMORY_TX_BATCH, bytes);
    if (!memory) {
        __atomic_sub_fetch(&caches->tx_memory, bytes, __ATOMIC_RELAXED);
        return NULL;
    }
    __builtin_memset(memory, 0, buffer);
    struct tx_batch *tx = (struct tx_batch *)memory;
    tx->batch.bytes = bytes;
    tx->packets = (struct tx_packet *)(memory + packets);
    tx->messages = (WSK_BUF_LIST *)(memory + messages);
    tx->mdl = (MDL *)(memory + mdl);
    tx->buffer = memory + buffer;
    tx->buffer_bytes = capacity;
    tx->limit = limit;
    MmInitializeMdl(tx->mdl, tx->buffer, capacity);
    MmBuildMdlForNonPagedPool(tx->mdl);
    tx->irp = IoAllocateIrp(1, FALSE);
    if (!tx->irp) {
        tx_destroy(caches, tx);
        return NULL;
    }
    return tx;
}

/* ---- receive ---- */

static void rx_destroy(struct batch_caches *caches, struct rx_batch *rx)
{
    uint32_t bytes = rx->batch.bytes;
    for (uint32_t i = 0; i < rx->slots && rx->nbls[i]; i++)
        NdisFreeNetBufferList(rx->nbls[i]);
    memory_free(MEMORY_RX_BATCH, rx, bytes);
    __atomic_sub_fetch(&caches->rx_memory, bytes, __ATOMIC_RELAXED);
}

static struct rx_batch *rx_create(struct batch_caches *caches, uint32_t class)
{
    uint32_t slots = rx_classes[class].slots, stride = rx_classes[class].stride;
    uint32_t mdl_bytes = align_up(sizeof(MDL) + sizeof(PFN_NUMBER) * (stride / PAGE_SIZE + 2), 16);
    uint32_t packets = align_up(sizeof(struct rx_batch), 16);
    uint32_t origins = packets + align_up(slots * sizeof(struct rx_packet), 16);
    uint32_t nbls = origins + align_up(slots * sizeof(struct rx_origin), 16);
    uint32_t mdls = nbls + align_up(slots * sizeof(NET_BUFFER_LIST *), 16);
    uint32_t buffer = align_up(mdls + slots * 2 * mdl_bytes, BUFFER_ALIGNMENT);
    uint32_t bytes = buffer + slots * stride;

    if (!memory_take(&caches->rx_memory, bytes))
        return NULL;
    uint8_t *memory = memory_allocate_uninitialized(MEMORY_RX_BATCH, bytes);
    if (!memory) {
        __atomic_sub_fetch(&caches->rx_memory, bytes, __ATOMIC_RELAXED);
        return NULL;
    }
    __builtin_memset(memory, 0, buffer);
    struct rx_batch *rx = (struct rx_batch *)memory;
    rx->batch.bytes = bytes;
    rx->packets = (struct rx_packet *)(memory + packets);
    rx->origins = (struct rx_origin *)(memory + origins);
    rx->nbls = (NET_BUFFER_LIST **)(memory + nbls);
    rx->mdls = (MDL *)(memory + mdls);
    rx->mdl_bytes = mdl_bytes;
    rx->buffer = memory + buffer;
    rx->slots = slots;
    rx->stride = stride;
    for (uint32_t i = 0; i < slots; i++) {
        MDL *mdl = (MDL *)((uint8_t *)rx->mdls + i * 2 * mdl_bytes);
        MmInitializeMdl(mdl, rx->buffer + i * stride, stride);
        MmBuildMdlForNonPagedPool(mdl);
        rx->nbls[i] = NdisAllocateNetBufferAndNetBufferList(caches->nbl_pool, 0, 0, mdl, 0, stride);
        if (!rx->nbls[i]) {
            rx_destroy(caches, rx);
            return NULL;
        }
    }
    return rx;
}

/* ---- lists ---- */

/* A batch of the class (receive classes follow the transmit ones), from the list or new. */
static struct batch *batch_take(struct adapter *adapter, uint32_t class)
{
    struct batch_caches *caches = adapter->batches;
    struct batch_cache *cache = &caches->cpus[KeGetCurrentProcessorNumberEx(NULL)];
    struct batch *batch;

    __atomic_add_fetch(&cache->out[class], 1, __ATOMIC_RELAXED);
    SLIST_ENTRY *entry = InterlockedPopEntrySList(&cache->lists[class]);
    if (entry) {
        batch = CONTAINING_RECORD(entry, struct batch, link);
    } else {
        if (class < TX_CLASSES) {
            struct tx_batch *tx = tx_create(caches, class);
            batch = tx ? &tx->batch : NULL;
        } else {
            struct rx_batch *rx = rx_create(caches, class - TX_CLASSES);
            batch = rx ? &rx->batch : NULL;
        }
        if (!batch) {
            __atomic_sub_fetch(&cache->out[class], 1, __ATOMIC_RELEASE);
            return NULL;
        }
    }
    batch->home = cache;
    batch->class = class;
    batch->adapter = adapter;
    batch->count = 0;
    batch->session = NULL;
    batch->peer = NULL;
    return batch;
}

static void batch_destroy(struct batch_caches *caches, struct batch *batch)
{
    if (batch->class < TX_CLASSES)
        tx_destroy(caches, CONTAINING_RECORD(batch, struct tx_batch, batch));
    else
        rx_destroy(caches, CONTAINING_RECORD(batch, struct rx_batch, batch));
}

/* What comes back to an adapter that is down or suspended is not kept: it may hold plaintext. The adapter may
 * be gone as soon as the last batch is no longer counted as out: that comes last. */
static void batch_put(struct batch *batch)
{
    struct batch_cache *cache = batch->home;
    struct batch_caches *caches = batch->adapter->batches;
    uint32_t class = batch->class;
    const volatile int64_t *memory = class < TX_CLASSES ? &caches->tx_memory : &caches->rx_memory;
    if (__atomic_load_n(memory, __ATOMIC_RELAXED) > CACHED_BYTES || !batch->adapter->up ||
        batch->adapter->suspended)
        batch_destroy(caches, batch);
    else
        InterlockedPushEntrySList(&cache->lists[class], &batch->link);
    __atomic_sub_fetch(&cache->out[class], 1, __ATOMIC_RELEASE);
}

struct tx_batch *tx_batch_allocate(struct adapter *adapter, uint32_t packets, uint32_t plaintext)
{
    const uint32_t overhead = MESSAGE_OVERHEAD_BYTES + MESSAGE_PADDING_MAX_BYTES;
    uint32_t class = TX_MESSAGE;
    while (class < TX_LARGE && (packets > tx_classes[class].packets ||
                                plaintext + packets * overhead > tx_classes[class].buffer_bytes))
        class ++;
    struct batch *batch = batch_take(adapter, class);
    if (!batch)
        return NULL;
    struct tx_batch *tx = CONTAINING_RECORD(batch, struct tx_batch, batch);
    tx->used = 0;
    tx->plaintext = 0;
    tx->largest = tx->sealed = 0;
    tx->segment = tx->refused = 0;
    tx->nbls = (struct nbl_chain){0};
    tx->span[0] = tx->span[1] = NULL;
    tx->staged = NULL;
    tx->hold = false;
    tx->message = false;
    return tx;
}

void tx_batch_free(struct tx_batch *tx)
{
    batch_put(&tx->batch);
}

struct rx_batch *rx_batch_allocate(struct adapter *adapter, uint32_t packets, uint32_t largest)
{
    uint32_t class = RX_HUGE;
    if (largest <= rx_classes[RX_FEW].stride)
        class = packets <= rx_classes[RX_FEW].slots    ? RX_FEW
                : packets <= rx_classes[RX_SOME].slots ? RX_SOME
                                                       : RX_MANY;
    else if (largest <= rx_classes[RX_JUMBO].stride)
        class = RX_JUMBO;
    else if (largest > rx_classes[RX_HUGE].stride)
        return NULL;
    struct batch *batch = batch_take(adapter, TX_CLASSES + class);
    if (!batch)
        return NULL;
    struct rx_batch *rx = CONTAINING_RECORD(batch, struct rx_batch, batch);
    rx->datagrams = NULL;
    rx->shared = NULL;
    rx->unmarked = false;
    rx->socket = NULL;
    rx->origin_count = 0;
    return rx;
}

void rx_batch_free(struct rx_batch *rx)
{
    batch_put(&rx->batch);
}

static int32_t batches_out(const struct batch_caches *caches)
{
    int32_t out = 0;
    for (uint32_t i = 0; i < driver.cpus; i++)
        for (uint32_t class = 0; class < CLASSES; class ++)
            out += __atomic_load_n(&caches->cpus[i].out[class], __ATOMIC_ACQUIRE);
    return out;
}

void batch_trim(struct adapter *adapter)
{
    struct batch_caches *caches = adapter->batches;
    for (uint32_t i = 0; i < driver.cpus; i++) {
        for (uint32_t class = 0; class < CLASSES; class ++) {
            SLIST_ENTRY *entry;
            while ((entry = InterlockedPopEntrySList(&caches->cpus[i].lists[class])) != NULL)
                batch_destroy(caches, CONTAINING_RECORD(entry, struct batch, link));
        }
    }
}

void batch_uninitialize(struct adapter *adapter)
{
    LARGE_INTEGER pause = {.QuadPart = -10000}; /* 1 ms */
    struct batch_caches *caches = adapter->batches;
    if (!caches)
        return;
    while (batches_out(caches) != 0)
        KeDelayExecutionThread(KernelMode, FALSE, &pause);
    batch_trim(adapter);
    NdisFreeNetBufferListPool(caches->nbl_pool);
    memory_free(MEMORY_ADAPTER, caches, caches_bytes());
    adapter->batches = NULL;
}
