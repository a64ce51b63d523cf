/* Receiver indexes of one adapter: the protocol's index table under a spin lock, doubled when it is full; the
 * old slots are freed after the epochs that may still read them. */
#include "adapter.h"
#include "driver.h"
#include "epoch.h"
#include "memory.h"

#define INDEX_SLOTS_FIRST 64

/* Stands in front of the slots: what is needed to free them later. */
struct index_block {
    _Alignas(64) struct epoch_node epoch;
    size_t bytes;
    uint32_t capacity;
    _Alignas(64) uint8_t slots[];
};

static struct index_block *block_of(void *slots)
{
    return (struct index_block *)((uint8_t *)slots - offsetof(struct index_block, slots));
}

static struct index_block *block_allocate(uint32_t capacity)
{
    size_t slots = index_table_memory_bytes(capacity);
    if (!slots)
        return NULL;
    size_t bytes = sizeof(struct index_block) + slots;
    struct index_block *block = memory_allocate(MEMORY_ADAPTER, bytes);
    if (block) {
        block->bytes = bytes;
        block->capacity = capacity;
    }
    return block;
}

static void block_free(struct index_block *block)
{
    memory_free(MEMORY_ADAPTER, block, block->bytes);
}

static void block_release(struct epoch_node *node)
{
    block_free(CONTAINING_RECORD(node, struct index_block, epoch));
}

NTSTATUS receiver_index_initialize(struct adapter *adapter)
{
    KeInitializeSpinLock(&adapter->index_lock);
    struct index_block *block = block_allocate(INDEX_SLOTS_FIRST);
    if (!block)
        return STATUS_INSUFFICIENT_RESOURCES;
    uint8_t key[INDEX_KEY_BYTES];
    random_bytes(key, sizeof(key));
    index_table_init(&adapter->indexes, block->slots, INDEX_SLOTS_FIRST, key);
    return STATUS_SUCCESS;
}

void receiver_index_uninitialize(struct adapter *adapter)
{
    if (adapter->indexes.slots)
        block_free(block_of(adapter->indexes.slots));
    adapter->indexes.slots = NULL;
}

/* Doubles a table that has `capacity` slots; somebody else may have done so meanwhile.  False: no memory, or
 * the table has its largest size. */
static bool table_grow(struct adapter *adapter, uint32_t capacity)
{
    struct index_block *block = block_allocate(capacity * 2);
    void *old = NULL;
    if (!block)
        return false;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&adapter->index_lock);
    bool grown = block_of(adapter->indexes.slots)->capacity > capacity;
    if (!grown)
        old = index_table_grow(&adapter->indexes, block->slots, block->capacity);
    KeReleaseSpinLock(&adapter->index_lock, irql);
    if (old)
        epoch_defer(&block_of(old)->epoch, block_release);
    else
        block_free(block);
    return grown || old;
}

uint32_t receiver_index_insert(struct adapter *adapter, void *object, enum index_kind kind)
{
    for (;;) {
        KIRQL irql = KeAcquireSpinLockRaiseToDpc(&adapter->index_lock);
        uint32_t capacity = block_of(adapter->indexes.slots)->capacity;
        uint32_t index = index_table_insert(&adapter->indexes, object, kind);
        KeReleaseSpinLock(&adapter->index_lock, irql);
        if (index != INDEX_NONE || !table_grow(adapter, capacity))
            return index;
    }
}

bool receiver_index_replace(struct adapter *adapter, uint32_t index, void *object, enum index_kind kind)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&adapter->index_lock);
    bool replaced = index_table_replace(&adapter->indexes, index, object, kind);
    KeReleaseSpinLock(&adapter->index_lock, irql);
    return replaced;
}

void receiver_index_remove(struct adapter *adapter, uint32_t index)
{
    if (index == INDEX_NONE)
        return;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&adapter->index_lock);
    index_table_remove(&adapter->indexes, index);
    KeReleaseSpinLock(&adapter->index_lock, irql);
}
