/* Receiver indexes of one adapter: the protocol's index table under a spin lock, doubled when it is full. */
#include "adapter.h"
#include "driver.h"
#include "memory.h"

#define INDEX_SLOTS_FIRST 64

NTSTATUS receiver_index_initialize(struct adapter *adapter)
{
    KeInitializeSpinLock(&adapter->index_lock);
    void *memory = memory_allocate_uninitialized(MEMORY_ADAPTER, index_table_memory_bytes(INDEX_SLOTS_FIRST));
    if (!memory)
        return STATUS_INSUFFICIENT_RESOURCES;
    uint8_t key[INDEX_KEY_BYTES];
    random_bytes(key, sizeof(key));
    index_table_init(&adapter->indexes, memory, INDEX_SLOTS_FIRST, key);
    return STATUS_SUCCESS;
}

void receiver_index_uninitialize(struct adapter *adapter)
{
    void *memory;
    size_t bytes;
    for (uint32_t n = 0; (memory = index_table_memory(&adapter->indexes, n, &bytes)); n++)
        memory_free(MEMORY_ADAPTER, memory, bytes);
    adapter->indexes = (struct index_table){0};
}

/* Doubles a table that has `capacity` slots, unless somebody else has done so meanwhile.  False: no memory,
 * or the table has its largest size.  The lock is held for a moment only: handshakes of other peers and the
 * end of sessions wait for it at DISPATCH_LEVEL. */
static bool table_grow(struct adapter *adapter, uint32_t capacity)
{
    size_t bytes = index_table_memory_bytes(capacity * 2) / 2;
    void *memory = bytes ? memory_allocate_uninitialized(MEMORY_ADAPTER, bytes) : NULL;
    if (!memory)
        return false;
    index_table_prepare(memory, capacity);
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&adapter->index_lock);
    bool grown = index_table_grow(&adapter->indexes, memory, capacity);
    KeReleaseSpinLock(&adapter->index_lock, irql);
    if (!grown)
        memory_free(MEMORY_ADAPTER, memory, bytes); /* somebody else was faster */
    return true;
}

uint32_t receiver_index_insert(struct adapter *adapter, void *object, enum index_kind kind)
{
    for (;;) {
        KIRQL irql = KeAcquireSpinLockRaiseToDpc(&adapter->index_lock);
        uint32_t capacity = index_table_capacity(&adapter->indexes);
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
