/* See config_memory.h.  A block that was reserved is a link to the next one until it is taken. */
#include "config_memory.h"
#include "epoch.h"
#include "memory.h"
#include "nt/rtl.h"
#include "peer.h"

/* A block of a trie: a link for the epoch stands in front of it. */
struct trie_block {
    struct epoch_node epoch;
    size_t bytes;
    _Alignas(8) uint8_t data[];
};

#define TRIE_BLOCK_BYTES (sizeof(struct trie_block) + ALLOWED_IPS_BLOCK_BYTES)

/* Zeroed; NULL: there is none. */
static void *reserve_take(struct reserved_memory **list, size_t bytes)
{
    struct reserved_memory *memory = *list;
    if (!memory)
        return NULL;
    *list = memory->next;
    __builtin_memset(memory, 0, bytes);
    return memory;
}

static void reserve_free(struct reserved_memory **list, enum memory_kind kind, size_t bytes)
{
    while (*list) {
        struct reserved_memory *memory = *list;
        *list = memory->next;
        memory_free(kind, memory, bytes);
    }
}

static bool reserve_add(struct reserved_memory **list, enum memory_kind kind, size_t bytes, uint64_t count)
{
    for (; count > 0; count--) {
        struct reserved_memory *memory = memory_allocate_uninitialized(kind, bytes);
        if (!memory)
            return false;
        memory->next = *list;
        *list = memory;
    }
    return true;
}

bool config_memory_reserve(struct adapter *adapter, uint64_t peers, uint64_t prefixes)
{
    if (reserve_add(&adapter->reserved_peers, MEMORY_PEER, sizeof(struct peer), peers) &&
        reserve_add(&adapter->reserved_blocks, MEMORY_TRIE, TRIE_BLOCK_BYTES,
                    prefixes * ALLOWED_IPS_BLOCKS_OF_INSERT))
        return true;
    config_memory_unreserve(adapter);
    return false;
}

void config_memory_unreserve(struct adapter *adapter)
{
    reserve_free(&adapter->reserved_peers, MEMORY_PEER, sizeof(struct peer));
    reserve_free(&adapter->reserved_blocks, MEMORY_TRIE, TRIE_BLOCK_BYTES);
}

struct peer *config_memory_of_peer(struct adapter *adapter)
{
    struct peer *peer = reserve_take(&adapter->reserved_peers, sizeof(*peer));
    return peer ? peer : memory_allocate(MEMORY_PEER, sizeof(*peer));
}

static void *trie_allocate(void *context, size_t size)
{
    struct adapter *adapter = context;
    struct trie_block *block = NULL;
    size_t bytes = TRIE_BLOCK_BYTES;
    if (size <= ALLOWED_IPS_BLOCK_BYTES)
        block = reserve_take(&adapter->reserved_blocks, bytes);
    if (!block) {
        bytes = sizeof(*block) + size;
        block = memory_allocate(MEMORY_TRIE, bytes);
    }
    if (!block)
        return NULL;
    block->bytes = bytes;
    return block->data;
}

static void trie_release(struct epoch_node *node)
{
    struct trie_block *block = CONTAINING_RECORD(node, struct trie_block, epoch);
    memory_free(MEMORY_TRIE, block, block->bytes);
}

static void trie_free_deferred(void *context, void *data, size_t size)
{
    struct trie_block *block = CONTAINING_RECORD(data, struct trie_block, data);
    epoch_defer(&block->epoch, trie_release);
}

struct allowed_ips_memory config_memory_of_tries(struct adapter *adapter)
{
    return (struct allowed_ips_memory){
        .allocate = trie_allocate, .free_deferred = trie_free_deferred, .context = adapter};
}
