/* Token buckets per source in a chained hash table whose links are array positions; no pointer leaves it. */
#include "protocol/rate_limiter.h"
#include "protocol/byte_order.h"

#define NONE UINT32_MAX

/* A bucket holds time: a packet costs the time in which one may be sent. */
#define PACKET_COST_NS (NS_PER_SECOND / RATE_LIMIT_PER_SECOND)
#define BUCKET_MAX_NS  (PACKET_COST_NS * RATE_LIMIT_BURST)
_Static_assert(RATE_LIMITER_IDLE_NS >= BUCKET_MAX_NS, "a forgotten source must not gain tokens by it");

static uint32_t bucket_count(uint32_t capacity)
{
    uint32_t count = 1;
    while (count < capacity / 2)
        count *= 2;
    return count;
}

size_t rate_limiter_memory_bytes(uint32_t capacity)
{
    if (capacity == 0 || capacity > RATE_LIMITER_ENTRIES_MAX)
        return 0;
    return capacity * sizeof(struct rate_limiter_entry) + bucket_count(capacity) * sizeof(uint32_t);
}

bool rate_limiter_init(struct rate_limiter *limiter, void *memory, uint32_t capacity,
                       const uint8_t key[SIPHASH_KEY_BYTES])
{
    if (rate_limiter_memory_bytes(capacity) == 0)
        return false;
    limiter->entries = memory;
    limiter->buckets = (uint32_t *)(limiter->entries + capacity);
    limiter->capacity = capacity;
    limiter->bucket_mask = bucket_count(capacity) - 1;
    limiter->used = 0;
    limiter->free_head = 0;
    limiter->next_collected = 0;
    __builtin_memcpy(limiter->key, key, SIPHASH_KEY_BYTES);
    for (uint32_t i = 0; i < capacity; i++) {
        limiter->entries[i] = (struct rate_limiter_entry){.next = i + 1 < capacity ? i + 1 : NONE};
    }
    for (uint32_t i = 0; i <= limiter->bucket_mask; i++)
        limiter->buckets[i] = NONE;
    return true;
}

static bool allow(struct rate_limiter *limiter, uint64_t prefix, uint8_t family, uint64_t now_ns)
{
    uint8_t hashed[9];
    store_le64(hashed, prefix);
    hashed[8] = family;
    uint32_t *bucket =
        &limiter->buckets[siphash24(limiter->key, hashed, sizeof(hashed)) & limiter->bucket_mask];

    for (uint32_t i = *bucket; i != NONE; i = limiter->entries[i].next) {
        struct rate_limiter_entry *entry = &limiter->entries[i];
        if (entry->prefix != prefix || entry->family != family)
            continue;
        uint64_t passed_ns = now_ns > entry->last_ns ? now_ns - entry->last_ns : 0;
        if (passed_ns)
            entry->last_ns = now_ns;
        uint64_t room_ns = BUCKET_MAX_NS - entry->tokens_ns;
        entry->tokens_ns += passed_ns < room_ns ? passed_ns : room_ns;
        if (entry->tokens_ns < PACKET_COST_NS)
            return false;
        entry->tokens_ns -= PACKET_COST_NS;
        return true;
    }

    uint32_t fresh = limiter->free_head;
    if (fresh == NONE)
        return false;
    struct rate_limiter_entry *entry = &limiter->entries[fresh];
    limiter->free_head = entry->next;
    *entry = (struct rate_limiter_entry){.prefix = prefix,
                                         .family = family,
                                         .last_ns = now_ns,
                                         .tokens_ns = BUCKET_MAX_NS - PACKET_COST_NS,
                                         .next = *bucket};
    *bucket = fresh;
    limiter->used++;
    return true;
}

bool rate_limiter_allow_v4(struct rate_limiter *limiter, const uint8_t address[4], uint64_t now_ns)
{
    return allow(limiter, load_be32(address), 4, now_ns);
}

bool rate_limiter_allow_v6(struct rate_limiter *limiter, const uint8_t address[16], uint64_t now_ns)
{
    return allow(limiter, load_be64(address), 6, now_ns);
}

static void collect_bucket(struct rate_limiter *limiter, uint32_t *link, uint64_t now_ns)
{
    while (*link != NONE) {
        uint32_t i = *link;
        struct rate_limiter_entry *entry = &limiter->entries[i];
        if (now_ns > entry->last_ns && now_ns - entry->last_ns > RATE_LIMITER_IDLE_NS) {
            *link = entry->next;
            entry->next = limiter->free_head;
            limiter->free_head = i;
            limiter->used--;
        } else {
            link = &entry->next;
        }
    }
}

uint32_t rate_limiter_collect_some(struct rate_limiter *limiter, uint32_t buckets, uint64_t now_ns)
{
    for (; buckets > 0 && limiter->used; buckets--) {
        collect_bucket(limiter, &limiter->buckets[limiter->next_collected], now_ns);
        limiter->next_collected = (limiter->next_collected + 1) & limiter->bucket_mask;
    }
    return limiter->used;
}

uint32_t rate_limiter_collect(struct rate_limiter *limiter, uint64_t now_ns)
{
    return rate_limiter_collect_some(limiter, limiter->bucket_mask + 1, now_ns);
}
