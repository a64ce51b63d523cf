/* Two path-compressed binary tries.  A node without a peer is a branch and always has two children, so a trie
 * of n prefixes has fewer than 2n nodes and its depth needs no stack.  What readers follow (child, peer, list
 * links) changes by single release stores; unlinked nodes and entries keep their contents until the grace
 * period is over.
 *
 * Before each trie stands a hash table of its nodes of full length (hosts).  It only ever shortens the way:
 * what it does not find, for want of memory or beside a writer, is looked up in the trie, and what it finds
 * is the longest prefix there can be. */
#include "protocol/allowed_ips.h"
#include "protocol/byte_order.h"

/* An address as two big-endian words, left-aligned: IPv4 in the top 32 bits of `high`. */
struct key {
    uint64_t high, low;
};

struct allowed_ips_node {
    struct key key;                    /* masked to prefix_length bits */
    struct allowed_ips_node *child[2]; /* atomic */
    struct allowed_ips_peer *peer;     /* atomic; NULL: a branch */
    struct allowed_ips_node *parent;   /* writer only */
    struct allowed_ips_entry *entry;   /* writer only; the peer's entry for this prefix */
    uint8_t prefix_length;
};

/* One element of a peer's list.  Apart from the node so that iteration may go on while the prefix moves. */
struct allowed_ips_entry {
    struct allowed_ips_entry *next;     /* atomic */
    struct allowed_ips_entry *previous; /* writer only */
    struct allowed_ips_node *node;      /* writer only */
    struct key key;
    uint8_t family, prefix_length;
};

_Static_assert(sizeof(struct allowed_ips_node) <= ALLOWED_IPS_BLOCK_BYTES &&
                   sizeof(struct allowed_ips_entry) <= ALLOWED_IPS_BLOCK_BYTES,
               "so much is reserved");

static unsigned int family_bits(enum allowed_ips_family family)
{
    return family == ALLOWED_IPS_V4 ? 32 : 128;
}

static struct key key_load(enum allowed_ips_family family, const uint8_t *address)
{
    if (family == ALLOWED_IPS_V4)
        return (struct key){(uint64_t)load_be32(address) << 32, 0};
    return (struct key){load_be64(address), load_be64(address + 8)};
}

static struct key key_mask(struct key key, unsigned int bits)
{
    uint64_t all = UINT64_MAX;
    return (struct key){bits >= 64 ? key.high : key.high & (bits ? all << (64 - bits) : 0),
                        bits <= 64 ? 0 : key.low & (all << (128 - bits))};
}

/* Bit number `bit`, counted from the most significant. */
static unsigned int key_bit(struct key key, unsigned int bit)
{
    return (bit < 64 ? key.high >> (63 - bit) : key.low >> (127 - bit)) & 1;
}

static unsigned int common_bits(struct key a, struct key b)
{
    if (a.high != b.high)
        return (unsigned int)__builtin_clzll(a.high ^ b.high);
    if (a.low != b.low)
        return 64 + (unsigned int)__builtin_clzll(a.low ^ b.low);
    return 128;
}

static bool covers(const struct allowed_ips_node *node, struct key key)
{
    return common_bits(node->key, key) >= node->prefix_length;
}

static void put_node(struct allowed_ips_node **place, struct allowed_ips_node *node)
{
    __atomic_store_n(place, node, __ATOMIC_RELEASE);
}

static void *allocate(struct allowed_ips *table, size_t size)
{
    return table->memory.allocate(table->memory.context, size);
}

static void free_deferred(struct allowed_ips *table, void *block, size_t size)
{
    if (block)
        table->memory.free_deferred(table->memory.context, block, size);
}

void allowed_ips_init(struct allowed_ips *table, const struct allowed_ips_memory *memory)
{
    *table = (struct allowed_ips){.memory = *memory};
}

void allowed_ips_peer_init(struct allowed_ips_peer *peer)
{
    *peer = (struct allowed_ips_peer){0};
}

/* ---- hosts: open addressing, at most half full ---- */

#define HOSTS_MIN 16

/* A slot is written once (the key before the node) and never given to another key, so that its key can be
 * compared without looking at the node. */
struct host_slot {
    struct key key;
    struct allowed_ips_peer *peer; /* atomic; NULL: removed, go on behind it */
    struct allowed_ips_node *node; /* atomic; NULL: never used */
};

struct allowed_ips_hosts {
    uint32_t mask, live, used; /* used: with removed ones */
    uint32_t reserved;
    struct host_slot slots[];
};

static uint32_t key_hash(struct key key)
{
    uint64_t hash = (key.high ^ (key.low << 29 | key.low >> 35)) * 0x9e3779b97f4a7c15u;
    hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93u;
    return (uint32_t)(hash ^ hash >> 32);
}

static bool same_key(struct key a, struct key b)
{
    return a.high == b.high && a.low == b.low;
}

static size_t hosts_bytes(const struct allowed_ips_hosts *hosts)
{
    return sizeof(*hosts) + ((size_t)hosts->mask + 1) * sizeof(struct host_slot);
}

static struct allowed_ips_peer *hosts_lookup(const struct allowed_ips_hosts *hosts, struct key key)
{
    for (uint32_t i = key_hash(key);; i++) {
        const struct host_slot *slot = &hosts->slots[i & hosts->mask];
        if (!__atomic_load_n(&slot->node, __ATOMIC_ACQUIRE))
            return NULL;
        struct allowed_ips_peer *peer = __atomic_load_n(&slot->peer, __ATOMIC_ACQUIRE);
        if (peer && same_key(slot->key, key))
            return peer;
    }
}

/* There is room. */
static void hosts_put(struct allowed_ips_hosts *hosts, struct allowed_ips_node *node)
{
    uint32_t i = key_hash(node->key) & hosts->mask;
    while (hosts->slots[i].node)
        i = (i + 1) & hosts->mask;
    hosts->slots[i].key = node->key;
    __atomic_store_n(&hosts->slots[i].peer, node->peer, __ATOMIC_RELAXED);
    put_node(&hosts->slots[i].node, node);
    hosts->live++;
    hosts->used++;
}

/* The slot of a node; NULL: there was no memory for it. */
static struct host_slot *hosts_find(struct allowed_ips_hosts *hosts, const struct allowed_ips_node *node)
{
    uint32_t i = hosts ? key_hash(node->key) & hosts->mask : 0;
    while (hosts && hosts->slots[i].node) {
        if (hosts->slots[i].node == node && hosts->slots[i].peer)
            return &hosts->slots[i];
        i = (i + 1) & hosts->mask;
    }
    return NULL;
}

/* A table for twice as many as there are, without the removed ones; NULL: no memory. */
static struct allowed_ips_hosts *hosts_rebuild(struct allowed_ips *table,
                                               const struct allowed_ips_hosts *former)
{
    uint32_t slots = HOSTS_MIN;
    while (former && slots < former->live * 4)
        slots *= 2;
    struct allowed_ips_hosts *hosts =
        allocate(table, sizeof(*hosts) + (size_t)slots * sizeof(struct host_slot));
    if (!hosts)
        return NULL;
    *hosts = (struct allowed_ips_hosts){.mask = slots - 1};
    __builtin_memset(hosts->slots, 0, (size_t)slots * sizeof(struct host_slot));
    for (uint32_t i = 0; former && i <= former->mask; i++)
        if (former->slots[i].peer)
            hosts_put(hosts, former->slots[i].node);
    return hosts;
}

static void hosts_publish(struct allowed_ips *table, enum allowed_ips_family family,
                          struct allowed_ips_hosts *hosts)
{
    struct allowed_ips_hosts *former = table->hosts[family];
    __atomic_store_n(&table->hosts[family], hosts, __ATOMIC_RELEASE);
    if (former)
        free_deferred(table, former, hosts_bytes(former));
}

/* A node of full length was made. */
static void hosts_add(struct allowed_ips *table, enum allowed_ips_family family,
                      struct allowed_ips_node *node)
{
    struct allowed_ips_hosts *hosts = table->hosts[family];
    if (!hosts || hosts->used >= (hosts->mask + 1) / 2) {
        hosts = hosts_rebuild(table, hosts);
        if (!hosts)
            return; /* the trie has it */
        hosts_publish(table, family, hosts);
    }
    hosts_put(hosts, node);
}

/* The node goes to another peer; NULL: to none, and will be freed. */
static void hosts_give(struct allowed_ips *table, enum allowed_ips_family family,
                       const struct allowed_ips_node *node, struct allowed_ips_peer *peer)
{
    struct allowed_ips_hosts *hosts = table->hosts[family];
    struct host_slot *slot = hosts_find(hosts, node);
    if (!slot)
        return;
    __atomic_store_n(&slot->peer, peer, __ATOMIC_RELEASE);
    if (!peer && --hosts->live == 0)
        hosts_publish(table, family, NULL);
}

/* ---- lookup ---- */

static struct allowed_ips_peer *lookup(const struct allowed_ips *table, enum allowed_ips_family family,
                                       const uint8_t *address)
{
    struct key key = key_load(family, address);
    unsigned int bits = family_bits(family);
    const struct allowed_ips_hosts *hosts = __atomic_load_n(&table->hosts[family], __ATOMIC_ACQUIRE);
    struct allowed_ips_peer *found = hosts ? hosts_lookup(hosts, key) : NULL;
    if (found)
        return found;
    const struct allowed_ips_node *node = __atomic_load_n(&table->roots[family], __ATOMIC_ACQUIRE);
    while (node && covers(node, key)) {
        struct allowed_ips_peer *peer = __atomic_load_n(&node->peer, __ATOMIC_ACQUIRE);
        if (peer)
            found = peer;
        if (node->prefix_length == bits)
            break;
        node = __atomic_load_n(&node->child[key_bit(key, node->prefix_length)], __ATOMIC_ACQUIRE);
    }
    return found;
}

struct allowed_ips_peer *allowed_ips_lookup_v4(const struct allowed_ips *table, const uint8_t address[4])
{
    return lookup(table, ALLOWED_IPS_V4, address);
}

struct allowed_ips_peer *allowed_ips_lookup_v6(const struct allowed_ips *table, const uint8_t address[16])
{
    return lookup(table, ALLOWED_IPS_V6, address);
}

/* ---- a peer's list ---- */

static void list_append(struct allowed_ips_peer *peer, struct allowed_ips_entry *entry)
{
    entry->next = NULL;
    entry->previous = peer->last;
    __atomic_store_n(peer->last ? &peer->last->next : &peer->first, entry, __ATOMIC_RELEASE);
    peer->last = entry;
    __atomic_store_n(&peer->count, peer->count + 1, __ATOMIC_RELAXED);
}

/* The entry's own `next` stays for readers that stand on it. */
static void list_remove(struct allowed_ips_peer *peer, struct allowed_ips_entry *entry)
{
    __atomic_store_n(entry->previous ? &entry->previous->next : &peer->first, entry->next, __ATOMIC_RELEASE);
    if (entry->next)
        entry->next->previous = entry->previous;
    else
        peer->last = entry->previous;
    __atomic_store_n(&peer->count, peer->count - 1, __ATOMIC_RELAXED);
}

bool allowed_ips_iterate(const struct allowed_ips_peer *peer, struct allowed_ips_entry **cursor,
                         struct allowed_ips_prefix *prefix)
{
    struct allowed_ips_entry *entry =
        __atomic_load_n(*cursor ? &(*cursor)->next : &peer->first, __ATOMIC_ACQUIRE);
    if (!entry)
        return false;
    *cursor = entry;
    prefix->family = entry->family;
    prefix->prefix_length = entry->prefix_length;
    store_be64(prefix->address, entry->key.high);
    store_be64(prefix->address + 8, entry->key.low);
    return true;
}

uint32_t allowed_ips_count(const struct allowed_ips_peer *peer)
{
    return __atomic_load_n(&peer->count, __ATOMIC_RELAXED);
}

/* ---- the writer ---- */

/* Where the trie points at `node`. */
static struct allowed_ips_node **link_to(struct allowed_ips *table, enum allowed_ips_family family,
                                         const struct allowed_ips_node *node)
{
    struct allowed_ips_node *parent = node->parent;
    return parent ? &parent->child[parent->child[1] == node] : &table->roots[family];
}

/* The last node on the way down that covers the prefix and is not longer than it, or NULL. */
static struct allowed_ips_node *find_cover(struct allowed_ips *table, enum allowed_ips_family family,
                                           struct key key, unsigned int length)
{
    struct allowed_ips_node *cover = NULL, *node = table->roots[family];
    while (node && node->prefix_length <= length && covers(node, key)) {
        cover = node;
        if (node->prefix_length == length)
            break;
        node = node->child[key_bit(key, node->prefix_length)];
    }
    return cover;
}

/* The node (perhaps a branch) of exactly this prefix, or NULL. */
static struct allowed_ips_node *find_exact(struct allowed_ips *table, enum allowed_ips_family family,
                                           struct key key, unsigned int length)
{
    struct allowed_ips_node *cover = find_cover(table, family, key, length);
    return cover && cover->prefix_length == length ? cover : NULL;
}

/* Makes the node of a prefix that has none yet; it has no peer yet.  NULL: no memory, nothing changed. */
static struct allowed_ips_node *make_node(struct allowed_ips *table, enum allowed_ips_family family,
                                          struct key key, unsigned int length)
{
    struct allowed_ips_node *parent = find_cover(table, family, key, length);
    struct allowed_ips_node **link =
        parent ? &parent->child[key_bit(key, parent->prefix_length)] : &table->roots[family];
    struct allowed_ips_node *below = *link;
    struct allowed_ips_node *node = allocate(table, sizeof(*node));
    if (!node)
        return NULL;
    *node = (struct allowed_ips_node){.key = key, .parent = parent, .prefix_length = (uint8_t)length};

    if (!below) {
        put_node(link, node);
        return node;
    }
    unsigned int common = common_bits(below->key, key);
    if (common >= length) {
        /* between parent and below */
        node->child[key_bit(below->key, length)] = below;
        below->parent = node;
        put_node(link, node);
        return node;
    }
    /* beside below, under a new branch */
    struct allowed_ips_node *branch = allocate(table, sizeof(*branch));
    if (!branch) {
        free_deferred(table, node, sizeof(*node));
        return NULL;
    }
    *branch = (struct allowed_ips_node){
        .key = key_mask(key, common), .parent = parent, .prefix_length = (uint8_t)common};
    branch->child[key_bit(key, common)] = node;
    branch->child[key_bit(below->key, common)] = below;
    node->parent = branch;
    below->parent = branch;
    put_node(link, branch);
    return node;
}

/* Takes a node without a peer and with less than two children out of the trie. */
static void unlink_node(struct allowed_ips *table, enum allowed_ips_family family,
                        struct allowed_ips_node *node)
{
    struct allowed_ips_node *below = node->child[0] ? node->child[0] : node->child[1];
    put_node(link_to(table, family, node), below);
    if (below)
        below->parent = node->parent;
    free_deferred(table, node, sizeof(*node));
}

static void prune(struct allowed_ips *table, enum allowed_ips_family family, struct allowed_ips_node *node)
{
    if (node->child[0] && node->child[1])
        return;
    struct allowed_ips_node *parent = node->parent;
    bool was_leaf = !node->child[0] && !node->child[1];
    unlink_node(table, family, node);
    if (was_leaf && parent && !parent->peer)
        unlink_node(table, family, parent);
}

static void remove_entry(struct allowed_ips *table, struct allowed_ips_peer *peer,
                         struct allowed_ips_entry *entry)
{
    struct allowed_ips_node *node = entry->node;
    enum allowed_ips_family family = entry->family;
    __atomic_store_n(&node->peer, NULL, __ATOMIC_RELEASE);
    node->entry = NULL;
    if (node->prefix_length == family_bits(family))
        hosts_give(table, family, node, NULL);
    list_remove(peer, entry);
    free_deferred(table, entry, sizeof(*entry));
    prune(table, family, node);
}

enum allowed_ips_result allowed_ips_insert(struct allowed_ips *table, enum allowed_ips_family family,
                                           const uint8_t *address, uint8_t prefix_length,
                                           struct allowed_ips_peer *peer)
{
    if (prefix_length > family_bits(family))
        return ALLOWED_IPS_BAD_PREFIX_LENGTH;
    struct key key = key_mask(key_load(family, address), prefix_length);

    struct allowed_ips_node *present = find_exact(table, family, key, prefix_length);
    if (present && present->peer == peer)
        return ALLOWED_IPS_OK;
    struct allowed_ips_entry *entry = allocate(table, sizeof(*entry));
    if (!entry)
        return ALLOWED_IPS_NO_MEMORY;
    struct allowed_ips_node *node = present ? present : make_node(table, family, key, prefix_length);
    if (!node) {
        free_deferred(table, entry, sizeof(*entry));
        return ALLOWED_IPS_NO_MEMORY;
    }

    *entry = (struct allowed_ips_entry){
        .node = node, .key = key, .family = (uint8_t)family, .prefix_length = prefix_length};
    struct allowed_ips_peer *former_peer = node->peer;
    struct allowed_ips_entry *former_entry = node->entry;
    node->entry = entry;
    __atomic_store_n(&node->peer, peer, __ATOMIC_RELEASE);
    list_append(peer, entry);
    if (prefix_length == family_bits(family)) {
        if (present)
            hosts_give(table, family, node, peer);
        else
            hosts_add(table, family, node);
    }
    if (former_peer) {
        list_remove(former_peer, former_entry);
        free_deferred(table, former_entry, sizeof(*former_entry));
    }
    return ALLOWED_IPS_OK;
}

enum allowed_ips_result allowed_ips_remove(struct allowed_ips *table, enum allowed_ips_family family,
                                           const uint8_t *address, uint8_t prefix_length,
                                           struct allowed_ips_peer *peer)
{
    if (prefix_length > family_bits(family))
        return ALLOWED_IPS_BAD_PREFIX_LENGTH;
    struct key key = key_mask(key_load(family, address), prefix_length);
    struct allowed_ips_node *node = find_exact(table, family, key, prefix_length);
    if (!node || node->peer != peer)
        return ALLOWED_IPS_NOT_FOUND;
    remove_entry(table, peer, node->entry);
    return ALLOWED_IPS_OK;
}

void allowed_ips_remove_by_peer(struct allowed_ips *table, struct allowed_ips_peer *peer)
{
    while (peer->first)
        remove_entry(table, peer, peer->first);
}
