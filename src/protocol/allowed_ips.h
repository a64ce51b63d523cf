/* Allowed IPs: which peer a destination is routed to and which source addresses a peer may use ("cryptokey
 * routing", white paper 2).  Longest prefix match in two path-compressed binary tries, IPv4 and IPv6, with a
 * hash table of single addresses before each, so that a peer of one address is found as fast among 10,000 as
 * among 10.
 *
 * Concurrency: one writer at a time (the adapter's configuration lock): init, insert, remove, remove_by_peer,
 * clear. Lookups, and iteration over one peer's prefixes, run at any time beside the writer, any IRQL,
 * without a lock, inside an epoch: changes become visible by single release stores, and what was unlinked is
 * handed to the `free_deferred` callback, which must not release it before all epochs begun earlier have
 * ended. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum allowed_ips_family { ALLOWED_IPS_V4 = 0, ALLOWED_IPS_V6 = 1 };

struct allowed_ips_node;
struct allowed_ips_hosts;
struct allowed_ips_entry;

/* Memory for the tries.  Blocks hold no secrets and are small (under 100 bytes), except for the tables of
 * hosts (512 bytes, and at most 256 a host). */
struct allowed_ips_memory {
    /* `size` bytes aligned to 8, or NULL; called by the writer only. */
    void *(*allocate)(void *context, size_t size);
    /* Releases a block after a grace period.  Readers may still look at it: it is not to be written to before
     * that, so a link for the caller's list of waiting blocks belongs in front of the block. */
    void (*free_deferred)(void *context, void *block, size_t size);
    void *context;
};

/* A prefix is given with at most so many blocks of at most so many bytes; more is only asked for to look
 * hosts up faster, and is not needed. */
#define ALLOWED_IPS_BLOCKS_OF_INSERT 3
#define ALLOWED_IPS_BLOCK_BYTES      64

/* Private to allowed_ips.c. */
struct allowed_ips {
    struct allowed_ips_node *roots[2];  /* atomic */
    struct allowed_ips_hosts *hosts[2]; /* atomic; NULL: none */
    struct allowed_ips_memory memory;
};

/* Embedded in each peer: the list of its prefixes, and what lookups return. */
struct allowed_ips_peer {
    struct allowed_ips_entry *first; /* atomic */
    struct allowed_ips_entry *last;
    uint32_t count; /* atomic; number of prefixes */
};

enum allowed_ips_result {
    ALLOWED_IPS_OK = 0,
    ALLOWED_IPS_BAD_PREFIX_LENGTH, /* above 32 or 128 */
    ALLOWED_IPS_NO_MEMORY,
    ALLOWED_IPS_NOT_FOUND, /* remove: no such prefix, or it belongs to another peer */
};

/* One prefix as iteration reports it: masked, in network order; IPv4 in the first 4 bytes, the rest zero. */
struct allowed_ips_prefix {
    enum allowed_ips_family family;
    uint8_t address[16];
    uint8_t prefix_length;
};

void allowed_ips_init(struct allowed_ips *table, const struct allowed_ips_memory *memory);

/* A peer without prefixes. */
void allowed_ips_peer_init(struct allowed_ips_peer *peer);

/* Gives a prefix to a peer, taking it from another one that has it (exactly this prefix).  `address`: 4 or 16
 * bytes, network order; bits behind the prefix are ignored.  ALLOWED_IPS_OK (also when the peer had it
 * already), _BAD_PREFIX_LENGTH, _NO_MEMORY; on failure all is as before. */
enum allowed_ips_result allowed_ips_insert(struct allowed_ips *table, enum allowed_ips_family family,
                                           const uint8_t *address, uint8_t prefix_length,
                                           struct allowed_ips_peer *peer);

/* Takes a prefix from a peer.  ALLOWED_IPS_OK, _BAD_PREFIX_LENGTH, _NOT_FOUND. */
enum allowed_ips_result allowed_ips_remove(struct allowed_ips *table, enum allowed_ips_family family,
                                           const uint8_t *address, uint8_t prefix_length,
                                           struct allowed_ips_peer *peer);

/* Takes all prefixes from a peer; afterwards no new lookup returns it. */
void allowed_ips_remove_by_peer(struct allowed_ips *table, struct allowed_ips_peer *peer);

/* The peer with the longest prefix that covers the address, or NULL. */
struct allowed_ips_peer *allowed_ips_lookup_v4(const struct allowed_ips *table, const uint8_t address[4]);
struct allowed_ips_peer *allowed_ips_lookup_v6(const struct allowed_ips *table, const uint8_t address[16]);

/* Walks a peer's prefixes in the order of their insertion: `cursor` starts as NULL; false at the end.  Beside
 * a writer each prefix that the peer has throughout is reported exactly once, others may or may not be. */
bool allowed_ips_iterate(const struct allowed_ips_peer *peer, struct allowed_ips_entry **cursor,
                         struct allowed_ips_prefix *prefix);

/* Number of the peer's prefixes. */
uint32_t allowed_ips_count(const struct allowed_ips_peer *peer);
