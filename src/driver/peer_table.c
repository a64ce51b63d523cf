/* Peers by public key: a hash table keyed with SipHash, so that nobody can choose keys that share a bucket.
 * Only handshakes and configuration look here, never the data path; it doubles when there are more peers than
 * buckets, a few buckets at a time, so that nobody holds the lock for long. */
#include "driver.h"
#include "memory.h"
#include "peer.h"
#include "protocol/siphash.h"

#define BUCKETS_FIRST 64
/* Buckets moved under the lock in one go. */
#define BUCKETS_MOVED_MAX 32

struct buckets {
    uint32_t count; /* a power of two */
    struct peer **heads;
};

struct peer_table {
    EX_SPIN_LOCK lock;
    struct buckets present;
    struct buckets former; /* while the table grows; its first `moved` buckets are empty already */
    uint32_t moved;
    uint8_t key[SIPHASH_KEY_BYTES];
};

static struct peer **bucket_of(struct peer_table *table, const uint8_t public_key[32])
{
    uint64_t hash = siphash24(table->key, public_key, PUBLIC_KEY_BYTES);
    uint32_t former = (uint32_t)hash & (table->former.count - 1);
    if (table->former.heads && former >= table->moved)
        return &table->former.heads[former];
    return &table->present.heads[hash & (table->present.count - 1)];
}

static bool buckets_create(struct buckets *buckets, uint32_t count)
{
    buckets->count = count;
    buckets->heads = memory_allocate(MEMORY_ADAPTER, (size_t)count * sizeof(struct peer *));
    return buckets->heads != NULL;
}

static void buckets_destroy(struct buckets *buckets)
{
    memory_free(MEMORY_ADAPTER, buckets->heads, (size_t)buckets->count * sizeof(struct peer *));
    *buckets = (struct buckets){0};
}

NTSTATUS peer_table_create(struct adapter *adapter)
{
    struct peer_table *table = memory_allocate(MEMORY_ADAPTER, sizeof(*table));
    if (!table)
        return STATUS_INSUFFICIENT_RESOURCES;
    if (!buckets_create(&table->present, BUCKETS_FIRST)) {
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
    buckets_destroy(&table->present);
    memory_free(MEMORY_ADAPTER, table, sizeof(*table));
    adapter->peers = NULL;
}

/* Lock held exclusively.  Moves some of the former buckets; true: all are moved. */
static bool move_some(struct peer_table *table)
{
    for (uint32_t i = 0; i < BUCKETS_MOVED_MAX && table->moved < table->former.count; i++) {
        struct peer *peer = table->former.heads[table->moved++];
        while (peer) {
            struct peer *next = peer->hash_next;
            struct peer **bucket = bucket_of(table, peer->handshake.remote_static);
            peer->hash_next = *bucket;
            *bucket = peer;
            peer = next;
        }
    }
    return table->moved == table->former.count;
}

/* config_lock held.  Without memory the table stays as it is and only its chains grow. */
static void table_grow(struct peer_table *table)
{
    struct buckets former, larger;
    bool done = false;
    if (!buckets_create(&larger, table->present.count * 2))
        return;
    KIRQL irql = ExAcquireSpinLockExclusive(&table->lock);
    table->former = table->present;
    table->present = larger;
    table->moved = 0;
    ExReleaseSpinLockExclusive(&table->lock, irql);
    while (!done) {
        irql = ExAcquireSpinLockExclusive(&table->lock);
        done = move_some(table);
        if (done) {
            former = table->former;
            table->former = (struct buckets){0};
        }
        ExReleaseSpinLockExclusive(&table->lock, irql);
    }
    buckets_destroy(&former);
}

NTSTATUS peer_table_insert(struct adapter *adapter, struct peer *peer)
{
    struct peer_table *table = adapter->peers;
    if (adapter->peer_count >= PEERS_PER_ADAPTER)
        return STATUS_TOO_MANY_NODES;
    if (adapter->peer_count >= table->present.count)
        table_grow(table);
    KIRQL irql = ExAcquireSpinLockExclusive(&table->lock);
    struct peer **bucket = bucket_of(table, peer->handshake.remote_static);
    peer->hash_next = *bucket;
    *bucket = peer;
    ExReleaseSpinLockExclusive(&table->lock, irql);
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
