/* Pool memory, one tag per kind of object; kinds that may hold secrets are wiped before they go back. */
#include "memory.h"
#include "crypto/secure_memory.h"
#include "nt/ex.h"

#define TAG(a, b) ((ULONG)'W' | (ULONG)'y' << 8 | (ULONG)(a) << 16 | (ULONG)(b) << 24)

static const struct {
    ULONG tag;
    bool secret;
} kinds[MEMORY_KINDS] = {
    [MEMORY_DRIVER] = {TAG('D', 'r'), false},   [MEMORY_ADAPTER] = {TAG('A', 'd'), true},
    [MEMORY_PEER] = {TAG('P', 'e'), true},      [MEMORY_SESSION] = {TAG('S', 'e'), true},
    [MEMORY_TRIE] = {TAG('T', 'r'), false},     [MEMORY_TX_BATCH] = {TAG('T', 'x'), false},
    [MEMORY_RX_BATCH] = {TAG('R', 'x'), true},  [MEMORY_STAGED] = {TAG('S', 't'), true},
    [MEMORY_HANDSHAKE] = {TAG('H', 's'), true}, [MEMORY_SOCKET] = {TAG('S', 'o'), false},
    [MEMORY_CONFIG] = {TAG('C', 'f'), true},
};

void *memory_allocate_uninitialized(enum memory_kind kind, size_t bytes)
{
    if (bytes == 0)
        return NULL;
    /* ExAllocatePool2 is newer than the oldest system we support; this form exists everywhere. */
    POOL_TYPE pool = bytes >= MEMORY_CACHE_ALIGNED_MIN_BYTES ? NonPagedPoolNxCacheAligned : NonPagedPoolNx;
    return ExAllocatePoolWithTag(pool, bytes, kinds[kind].tag);
}

void *memory_allocate(enum memory_kind kind, size_t bytes)
{
    void *memory = memory_allocate_uninitialized(kind, bytes);
    if (memory)
        __builtin_memset(memory, 0, bytes);
    return memory;
}

void memory_free(enum memory_kind kind, void *memory, size_t bytes)
{
    if (!memory)
        return;
    if (kinds[kind].secret)
        secure_zero(memory, bytes);
    ExFreePoolWithTag(memory, kinds[kind].tag);
}
