/* Pool memory of the driver: non-paged, never executable, tagged (poolmon counts by tag); secrets are wiped
 * on the way out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the memory is for; each kind is a pool tag of its own ("Wy" + two letters), visible to poolmon. */
enum memory_kind {
    MEMORY_DRIVER,    /* WyDr: driver-wide tables, workspaces */
    MEMORY_ADAPTER,   /* WyAd: wiped on free */
    MEMORY_PEER,      /* WyPe: wiped on free */
    MEMORY_SESSION,   /* WySe: wiped on free */
    MEMORY_TRIE,      /* WyTr */
    MEMORY_TX_BATCH,  /* WyTx */
    MEMORY_RX_BATCH,  /* WyRx: plaintext, wiped on free */
    MEMORY_STAGED,    /* WySt: plaintext, wiped on free */
    MEMORY_HANDSHAKE, /* WyHs: wiped on free */
    MEMORY_SOCKET,    /* WySo */
    MEMORY_CONFIG,    /* WyCf: wiped on free */
    MEMORY_KINDS
};

/* Blocks of this size and more begin on a cache line. */
#define MEMORY_CACHE_ALIGNED_MIN_BYTES 256

/* Zeroed memory, 16-byte aligned, or NULL (also for 0 bytes).  IRQL <=
 * DISPATCH_LEVEL. */
void *memory_allocate(enum memory_kind kind, size_t bytes);
/* The same without zeroing, for buffers that are written before they are read. */
void *memory_allocate_uninitialized(enum memory_kind kind, size_t bytes);
/* `bytes` as allocated (secret kinds are wiped). NULL is allowed.  IRQL <= DISPATCH_LEVEL. */
void memory_free(enum memory_kind kind, void *memory, size_t bytes);
