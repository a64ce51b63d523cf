/* NBL and NB pools.  Fast mode: a free list under a spin lock, one block per element with NBL, NB, context,
 * MDL and data.  Verify mode: freed elements are poisoned and rest in quarantine, and the ledger knows who
 * owns each. */
#include "host.h"
#include "nbl.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <string.h>

#define ELEMENT_ALLOCATED 0x41u
#define ELEMENT_FREE      0x46u
#define POISON            0xdd
#define QUARANTINE        256u
#define ALIGNMENT         64u

struct pool;

struct element { /* in front of each NBL and of each NB of an NB pool */
    struct element *next;
    struct pool *pool;
    void *extra; /* context memory that did not fit */
    uint32_t state;
    uint32_t magic;
};
_Static_assert(sizeof(struct element) % 16 == 0, "NBLs behind it are 16-byte aligned");

struct pool {
    uint32_t magic;
    uint32_t tag;
    bool with_buffer; /* NBL pool: each NBL has a NET_BUFFER */
    uint16_t context_bytes;
    uint32_t data_bytes;
    uint32_t element_bytes;
    uint32_t buffer_at, context_at, mdl_at, data_at; /* offsets in an element; 0 = absent */
    struct spin lock;
    struct element *free;
    uint64_t outstanding;
    struct element *quarantine[QUARANTINE]; /* verify mode */
    unsigned quarantine_next;
};

static uint32_t align_up(uint32_t value, uint32_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

void net_buffer_set_data(NET_BUFFER *buffer, MDL *chain, uint32_t offset, uint32_t length)
{
    uint32_t left = offset;

    buffer->MdlChain = chain;
    buffer->DataOffset = offset;
    buffer->stDataLength = 0;
    buffer->DataLength = length;
    while (chain && chain->Next && left >= chain->ByteCount) {
        left -= chain->ByteCount;
        chain = chain->Next;
    }
    buffer->CurrentMdl = chain;
    buffer->CurrentMdlOffset = left;
}

static struct element *element_of(const void *object)
{
    return (struct element *)((char *)object - sizeof(struct element));
}

static void *object_of(struct element *element)
{
    return element + 1;
}

static void *pool_create(uint32_t magic, uint32_t tag, bool with_buffer, uint16_t context_bytes,
                         uint32_t data_bytes)
{
    struct pool *pool = calloc(1, sizeof *pool);
    uint32_t at = sizeof(struct element) + (magic == NBL_POOL_MAGIC ? sizeof(NET_BUFFER_LIST) : 0);

    if (!pool)
        return NULL;
    pool->magic = magic;
    pool->tag = tag;
    pool->with_buffer = with_buffer;
    pool->context_bytes = context_bytes;
    pool->data_bytes = data_bytes;
    if (with_buffer) {
        at = align_up(at, 16);
        pool->buffer_at = at;
        at += sizeof(NET_BUFFER);
    }
    if (context_bytes) {
        at = align_up(at, 16);
        pool->context_at = at;
        at += sizeof(NET_BUFFER_LIST_CONTEXT) + context_bytes;
    }
    if (data_bytes) {
        at = align_up(at, 16);
        pool->mdl_at = at;
        at = align_up(at + (uint32_t)MDL_BYTES(data_bytes), 64);
        pool->data_at = at;
        at += data_bytes;
    }
    pool->element_bytes = align_up(at, ALIGNMENT);
    host_count_add(HOST_NBL_POOL, 1);
    if (host_options.verify)
        ledger_add(HOST_NBL_POOL, pool, OWNER_DRIVER, magic == NBL_POOL_MAGIC ? "NBL pool" : "NB pool");
    return pool;
}

static bool pool_destroy(struct pool *pool, uint32_t magic, const char *function)
{
    if (!pool || pool->magic != magic) {
        if (host_options.verify)
            verify_report(RULE_NBL_FIELDS, "%s: %p is not such a pool", function, (void *)pool);
        return false;
    }
    if (pool->outstanding != 0) {
        if (host_options.verify)
            verify_report(RULE_NBL_FIELDS, "%s: %llu elements of the pool are still allocated", function,
                          (unsigned long long)pool->outstanding);
        host_warn("%s: %llu elements of the pool are still allocated", function,
                  (unsigned long long)pool->outstanding);
    }
    if (host_options.verify)
        ledger_remove(HOST_NBL_POOL, pool, OWNER_DRIVER, RULE_NBL_NOT_OWNED);
    while (pool->free) {
        struct element *element = pool->free;

        pool->free = element->next;
        free(element);
    }
    for (unsigned i = 0; i < QUARANTINE; i++)
        free(pool->quarantine[i]);
    pool->magic = 0;
    host_count_add(HOST_NBL_POOL, -1);
    free(pool);
    return true;
}

static struct element *element_take(struct pool *pool)
{
    struct element *element;

    spin_lock(&pool->lock);
    element = pool->free;
    if (element)
        pool->free = element->next;
    pool->outstanding++;
    spin_unlock(&pool->lock);
    if (!element) {
        element = aligned_alloc(ALIGNMENT, pool->element_bytes);
        if (!element) {
            spin_lock(&pool->lock);
            pool->outstanding--;
            spin_unlock(&pool->lock);
            return NULL;
        }
        element->pool = pool;
        element->magic = pool->magic;
        element->state = ELEMENT_FREE;
    }
    element->extra = NULL;
    element->state = ELEMENT_ALLOCATED;
    host_count_add(HOST_NBL_OWN, 1);
    if (__builtin_expect(host_options.verify, 0)) {
        memset(object_of(element), 0xab, pool->element_bytes - sizeof *element);
        ledger_add(HOST_NBL_OWN, object_of(element), OWNER_DRIVER,
                   pool->magic == NBL_POOL_MAGIC ? "NET_BUFFER_LIST" : "NET_BUFFER");
    }
    return element;
}

/* Verify mode: was the freed memory written to meanwhile?  Then makes room for a new one. */
static struct element *quarantine_exchange(struct pool *pool, struct element *element)
{
    struct element *oldest;

    memset(object_of(element), POISON, pool->element_bytes - sizeof *element);
    spin_lock(&pool->lock);
    oldest = pool->quarantine[pool->quarantine_next];
    pool->quarantine[pool->quarantine_next] = element;
    pool->quarantine_next = (pool->quarantine_next + 1) % QUARANTINE;
    spin_unlock(&pool->lock);
    if (oldest) {
        const uint8_t *bytes = object_of(oldest);

        for (size_t i = 0; i < pool->element_bytes - sizeof *oldest; i++)
            if (bytes[i] != POISON)
                verify_report(RULE_NBL_NOT_OWNED, "%s %p was written to (byte %zu) after it had been freed",
                              pool->magic == NBL_POOL_MAGIC ? "NET_BUFFER_LIST" : "NET_BUFFER",
                              (const void *)bytes, i);
    }
    return oldest;
}

static void element_give(struct element *element)
{
    struct pool *pool = element->pool;

    element->state = ELEMENT_FREE;
    free(element->extra);
    element->extra = NULL;
    host_count_add(HOST_NBL_OWN, -1);
    if (__builtin_expect(host_options.verify, 0)) {
        ledger_remove(HOST_NBL_OWN, object_of(element), OWNER_DRIVER, RULE_NBL_NOT_OWNED);
        element = quarantine_exchange(pool, element);
    }
    spin_lock(&pool->lock);
    if (element) {
        element->next = pool->free;
        pool->free = element;
    }
    pool->outstanding--;
    spin_unlock(&pool->lock);
}

/* Reports (verify) or ignores what is not an allocated element of the right kind. */
static bool element_valid(const void *object, const void *handle, uint32_t magic, const char *function)
{
    const struct pool *pool = handle;

    /* The ledger first: a freed element's memory, its pool handle among it, is poisoned. */
    if (host_options.verify && !ledger_owned_by(HOST_NBL_OWN, object, OWNER_DRIVER))
        verify_report(RULE_NBL_NOT_OWNED, "%s: %p was not allocated from a pool, or was freed already",
                      function, object);

    bool valid = object && pool && pool->magic == magic && element_of(object)->pool == pool &&
                 element_of(object)->state == ELEMENT_ALLOCATED;

    if (!valid && host_options.verify)
        verify_report(RULE_NBL_NOT_OWNED, "%s: %p was not allocated from a pool, or was freed already",
                      function, object);
    if (!valid)
        host_warn("%s: %p was not allocated from a pool, or was freed already", function, object);
    return valid;
}

static void buffer_initialize(NET_BUFFER *buffer, void *pool)
{
    memset(buffer, 0, sizeof *buffer);
    buffer->NdisPoolHandle = pool;
}

/* Gives an NBL or NB element's built-in memory to its NET_BUFFER. */
static void buffer_use_data(struct pool *pool, struct element *element, NET_BUFFER *buffer)
{
    MDL *mdl = (MDL *)((char *)element + pool->mdl_at);

    mdl_describe(mdl, (char *)element + pool->data_at, pool->data_bytes);
    net_buffer_set_data(buffer, mdl, 0, 0);
}

static bool context_attach(struct element *element, NET_BUFFER_LIST *list, uint16_t size, uint16_t backfill)
{
    struct pool *pool = element->pool;
    uint32_t total = (uint32_t)size + backfill;
    NET_BUFFER_LIST_CONTEXT *context;

    if (total <= pool->context_bytes) {
        context = (NET_BUFFER_LIST_CONTEXT *)((char *)element + pool->context_at);
    } else {
        context = malloc(sizeof *context + total);
        if (!context)
            return false;
        element->extra = context;
    }
    context->Next = NULL;
    context->Size = (USHORT)total;
    context->Offset = backfill;
    list->Context = context;
    return true;
}

NDIS_HANDLE NTAPI NdisAllocateNetBufferListPool(NDIS_HANDLE NdisHandle,
                                                PNET_BUFFER_LIST_POOL_PARAMETERS Parameters)
{
    if (!Parameters || Parameters->Header.Type != NDIS_OBJECT_TYPE_DEFAULT ||
        Parameters->Header.Revision < NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1 ||
        Parameters->Header.Size < NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1 ||
        (Parameters->DataSize && !Parameters->fAllocateNetBuffer) ||
        Parameters->ContextSize % MEMORY_ALLOCATION_ALIGNMENT) {
        if (host_options.verify)
            verify_report(RULE_NBL_FIELDS, "NdisAllocateNetBufferListPool: invalid parameters");
        return NULL;
    }
    return pool_create(NBL_POOL_MAGIC, Parameters->PoolTag, Parameters->fAllocateNetBuffer,
                       Parameters->ContextSize, Parameters->DataSize);
}

VOID NTAPI NdisFreeNetBufferListPool(NDIS_HANDLE PoolHandle)
{
    pool_destroy(PoolHandle, NBL_POOL_MAGIC, "NdisFreeNetBufferListPool");
}

NDIS_HANDLE NTAPI NdisAllocateNetBufferPool(NDIS_HANDLE NdisHandle, PNET_BUFFER_POOL_PARAMETERS Parameters)
{
    if (!Parameters || Parameters->Header.Type != NDIS_OBJECT_TYPE_DEFAULT ||
        Parameters->Header.Revision < NET_BUFFER_POOL_PARAMETERS_REVISION_1 ||
        Parameters->Header.Size < NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_1) {
        if (host_options.verify)
            verify_report(RULE_NBL_FIELDS, "NdisAllocateNetBufferPool: invalid parameters");
        return NULL;
    }
    return pool_create(NB_POOL_MAGIC, Parameters->PoolTag, true, 0, Parameters->DataSize);
}

VOID NTAPI NdisFreeNetBufferPool(NDIS_HANDLE PoolHandle)
{
    pool_destroy(PoolHandle, NB_POOL_MAGIC, "NdisFreeNetBufferPool");
}

static NET_BUFFER_LIST *list_allocate(struct pool *pool, uint16_t context_size, uint16_t backfill)
{
    struct element *element;
    NET_BUFFER_LIST *list;

    if (!pool || pool->magic != NBL_POOL_MAGIC) {
        if (host_options.verify)
            verify_report(RULE_NBL_FIELDS, "%p is not an NBL pool", (void *)pool);
        return NULL;
    }
    element = element_take(pool);
    if (!element)
        return NULL;
    list = object_of(element);
    memset(list, 0, sizeof *list);
    list->NdisPoolHandle = pool;
    if (context_size + backfill && !context_attach(element, list, context_size, backfill)) {
        element_give(element);
        return NULL;
    }
    if (pool->with_buffer) {
        NET_BUFFER *buffer = (NET_BUFFER *)((char *)element + pool->buffer_at);

        buffer_initialize(buffer, pool);
        if (pool->data_bytes)
            buffer_use_data(pool, element, buffer);
        list->FirstNetBuffer = buffer;
    }
    return list;
}

PNET_BUFFER_LIST NTAPI NdisAllocateNetBufferList(NDIS_HANDLE PoolHandle, USHORT ContextSize,
                                                 USHORT ContextBackFill)
{
    return list_allocate(PoolHandle, ContextSize, ContextBackFill);
}

PNET_BUFFER_LIST NTAPI NdisAllocateNetBufferAndNetBufferList(NDIS_HANDLE PoolHandle, USHORT ContextSize,
                                                             USHORT ContextBackFill, PMDL MdlChain,
                                                             ULONG DataOffset, SIZE_T DataLength)
{
    struct pool *pool = PoolHandle;
    NET_BUFFER_LIST *list;

    if (host_options.verify && pool && (!pool->with_buffer || pool->data_bytes))
        verify_report(RULE_NBL_FIELDS, "NdisAllocateNetBufferAndNetBufferList: the pool must have been made "
                                       "with fAllocateNetBuffer and without DataSize");
    list = list_allocate(pool, ContextSize, ContextBackFill);
    if (list && list->FirstNetBuffer)
        net_buffer_set_data(list->FirstNetBuffer, MdlChain, DataOffset, (uint32_t)DataLength);
    return list;
}

VOID NTAPI NdisFreeNetBufferList(PNET_BUFFER_LIST NetBufferList)
{
    if (!NetBufferList ||
        !element_valid(NetBufferList, NetBufferList->NdisPoolHandle, NBL_POOL_MAGIC, "NdisFreeNetBufferList"))
        return;
    if (host_options.verify && ledger_owned_by(HOST_NBL_INDICATED, NetBufferList, OWNER_STACK))
        verify_report(RULE_NBL_NOT_OWNED, "NdisFreeNetBufferList: %p is indicated and not yet returned",
                      (void *)NetBufferList);
    element_give(element_of(NetBufferList));
}

PNET_BUFFER NTAPI NdisAllocateNetBuffer(NDIS_HANDLE PoolHandle, PMDL MdlChain, ULONG DataOffset,
                                        SIZE_T DataLength)
{
    struct pool *pool = PoolHandle;
    struct element *element;
    NET_BUFFER *buffer;

    if (!pool || pool->magic != NB_POOL_MAGIC) {
        if (host_options.verify)
            verify_report(RULE_NBL_FIELDS, "%p is not a NET_BUFFER pool", (void *)pool);
        return NULL;
    }
    element = element_take(pool);
    if (!element)
        return NULL;
    buffer = object_of(element);
    buffer_initialize(buffer, pool);
    net_buffer_set_data(buffer, MdlChain, DataOffset, (uint32_t)DataLength);
    return buffer;
}

PNET_BUFFER NTAPI NdisAllocateNetBufferMdlAndData(NDIS_HANDLE PoolHandle)
{
    struct pool *pool = PoolHandle;
    NET_BUFFER *buffer = NdisAllocateNetBuffer(PoolHandle, NULL, 0, 0);

    if (buffer && pool->data_bytes)
        buffer_use_data(pool, element_of(buffer), buffer);
    return buffer;
}

VOID NTAPI NdisFreeNetBuffer(PNET_BUFFER NetBuffer)
{
    if (NetBuffer && element_valid(NetBuffer, NetBuffer->NdisPoolHandle, NB_POOL_MAGIC, "NdisFreeNetBuffer"))
        element_give(element_of(NetBuffer));
}
