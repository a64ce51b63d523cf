/* Peers by public key: a hash table keyed with SipHash, so that nobody can choose keys that share a bucket.
 * Only handshakes and configuration look here, never the data path; it doubles when there are more peers than
 * buckets. */
#include "driver.h"
#include "memory.h"
#include "peer.h"
#include "protocol/siphash.h"

#define BUCKETS_FIRST 64

struct peer_table {
    EX_SPIN_LOCK lock;
    uint32_t bucket_count; /* a power of two */
    struct peer **buckets;
    uint8_t key[SIPHASH_KEY_BYTES];
};

static struct peer **bucket_of(struct peer_table *table, const uint8_t public_key[32])
{
    uint64_t hash = siphash24(table->key, public_key, PUBLIC_KEY_BYTES);
    return &table->buckets[hash & (table->bucket_count - 1)];
}

NTSTATUS peer_table_create(struct adapter *adapter)
{
    struct peer_table *table = memory_allocate(MEMORY_ADAPTER, sizeof(*table));
    if (!table)
        return STATUS_INSUFFICIENT_RESOURCES;
    table->bucket_count = BUCKETS_FIRST;
    table->buckets = memory_allocate(MEMORY_ADAPTER, BUCKETS_FIRST * sizeof(struct peer *));
    if (!table->buckets) {
        memory_free(MEMORY_ADAPTER, table, sizeof(*table));
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    random_bytes(table->key, sizeof(table->key));
    adapter->peers = table;
    return STATUS_SUCCESS;
}

void peer_table_destroy(struct adapter *adapter)
{
    struct peer_table *table = adapter->peers;
    if (!table)
        return;
    memory_free(MEMORY_ADAPTER, table->buckets, table->bucket_count * sizeof(struct peer *));
    memory_free(MEMORY_ADAPTER, table, sizeof(*table));
    adapter->peers = NULL;
}

/* Lock held exclusively.  Without memory the table stays as it is and only its chains grow. */
static struct peer **table_grow(struct peer_table *table, struct peer **larger, uint32_t count)
{
    struct peer **old = table->buckets;
    uint32_t old_count = table->bucket_count;
    table->buckets = larger;
    table->bucket_count = count;
    for (uint32_t i = 0; i < old_count; i++) {
        struct peer *peer = old[i];
        while (peer) {
            struct peer *next = peer->hash_next;
            struct peer **bucket = bucket_of(table, peer->handshake.remote_static);
            peer->hash_next = *bucket;
            *bucket = peer;
            peer = next;
        }
    }
    return old;
}

NTSTATUS peer_table_insert(struct adapter *adapter, struct peer *peer)
{
    struct peer_table *table = adapter->peers;
    uint32_t old_count = table->bucket_count; /* changes only under config_lock, which the caller holds */
    struct peer **larger = NULL;
    if (adapter->peer_count >= PEERS_PER_ADAPTER)
        return STATUS_TOO_MANY_NODES;
    if (adapter->peer_count >= old_count)
        larger = memory_allocate(MEMORY_ADAPTER, (size_t)old_count * 2 * sizeof(struct peer *));

    KIRQL irql = ExAcquireSpinLockExclusive(&table->lock);
    struct peer **unused = larger ? table_grow(table, larger, old_count * 2) : NULL;
    struct peer **bucket = bucket_of(table, peer->handshake.remote_static);
    peer->hash_next = *bucket;
    *bucket = peer;
    ExReleaseSpinLockExclusive(&table->lock, irql);

    memory_free(MEMORY_ADAPTER, unused, old_count * sizeof(struct peer *));
    return STATUS_SUCCESS;
}

void peer_table_remove(struct adapter *adapter, struct peer *peer)
{
    struct peer_table *table = adapter->peers;
    KIRQL irql = ExAcquireSpinLockExclusive(&table->lock);
    for (struct peer **link = bucket_of(table, peer->handshake.remote_static); *link;
         link = &(*link)->hash_next) {
        if (*link == peer) {
            *link = peer->hash_next;
            break;
        }
    }
    ExReleaseSpinLockExclusive(&table->lock, irql);
}

struct peer *peer_table_find(struct adapter *adapter, const uint8_t public_key[32])
{
    struct peer_table *table = adapter->peers;
    KIRQL irql = ExAcquireSpinLockShared(&table->lock);
    struct peer *peer = *bucket_of(table, public_key);
    while (peer && (__builtin_memcmp(peer->handshake.remote_static, public_key, PUBLIC_KEY_BYTES) != 0 ||
                    !peer_reference(peer)))
        peer = peer->hash_next;
    ExReleaseSpinLockShared(&table->lock, irql);
    return peer;
}
