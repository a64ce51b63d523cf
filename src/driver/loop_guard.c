/* Recognises our own ciphertext among the packets to encrypt; see loop_guard.h. */
#include "loop_guard.h"
#include "adapter.h"
#include "protocol/constants.h"
#include "protocol/messages.h"
#include "protocol/packet.h"
#include "protocol/transport.h"
#include "workspace.h"

#define FRAGMENT_HEADER_BYTES 8
#define IPV4_FRAGMENT_OFFSET  0x1fff
#define IPV6_FRAGMENT_OFFSET  0xfff8
/* UDP header, type and the index behind it */
#define LOOKED_AT_BYTES (UDP_HEADER_BYTES + 8)

/* A note that one peer's data is carried by another counts that long; the next packet renews it. */
#define CARRIAGE_LIFE_NS NS_PER_SECOND
#define CARRIAGE_ENTRIES 64
/* Tunnels inside each other that are followed. */
#define CARRIAGE_DEPTH 8

/* A peer of any adapter: two adapters of a machine never have the same port. */
typedef uint32_t node;

struct carriage {
    volatile uint64_t inner_outer; /* nodes: high half inside low half */
    volatile uint64_t noted_ns;
};

/* Relaxed loads and stores throughout: a lost or torn note costs another turn. */
static volatile uint64_t recent[LOOP_GUARD_ENTRIES]; /* high half: receiver index, low half: node */
static struct carriage carriages[CARRIAGE_ENTRIES];

static node node_of(const struct adapter *adapter, uint64_t peer_id)
{
    return (node)adapter->listen_port << 16 | (node)(peer_id & 0xffff);
}

static uint16_t node_port(node of)
{
    return (uint16_t)(of >> 16);
}

void loop_guard_note(const struct adapter *adapter, uint64_t peer_id, uint32_t remote_index)
{
    volatile uint64_t *entry = &recent[remote_index % LOOP_GUARD_ENTRIES];
    uint64_t value = (uint64_t)remote_index << 32 | node_of(adapter, peer_id);
    if (__atomic_load_n(entry, __ATOMIC_RELAXED) != value)
        __atomic_store_n(entry, value, __ATOMIC_RELAXED);
}

/* By whom this peer's data is carried, judged by the last second; 0: by nobody. */
static node carrier_of(node inner, uint64_t now_ns)
{
    const struct carriage *entry = &carriages[(inner ^ inner >> 16) % CARRIAGE_ENTRIES];
    uint64_t pair = __atomic_load_n(&entry->inner_outer, __ATOMIC_RELAXED);
    uint64_t noted_ns = __atomic_load_n(&entry->noted_ns, __ATOMIC_RELAXED);
    return pair >> 32 == inner && now_ns < noted_ns + CARRIAGE_LIFE_NS ? (node)pair : 0;
}

/* Notes that `outer` carries data of `inner`, unless `outer` itself is carried by it. */
static bool closes_ring(node inner, node outer, uint64_t now_ns)
{
    node at = outer;
    for (uint32_t depth = 0; at != 0 && depth < CARRIAGE_DEPTH; depth++) {
        if (at == inner)
            return true;
        at = carrier_of(at, now_ns);
    }
    struct carriage *entry = &carriages[(inner ^ inner >> 16) % CARRIAGE_ENTRIES];
    __atomic_store_n(&entry->inner_outer, (uint64_t)inner << 32 | outer, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->noted_ns, now_ns, __ATOMIC_RELAXED);
    return false;
}

static bool read_at(const NET_BUFFER *buffer, uint32_t offset, uint8_t *bytes, uint32_t count)
{
    if (offset > NET_BUFFER_DATA_LENGTH(buffer) || count > NET_BUFFER_DATA_LENGTH(buffer) - offset)
        return false;
    return mdl_copy(bytes, NET_BUFFER_CURRENT_MDL(buffer), NET_BUFFER_CURRENT_MDL_OFFSET(buffer) + offset,
                    count);
}

/* Where the UDP header is; 0: it is not a UDP datagram or not its beginning. */
static uint32_t udp_offset(const NET_BUFFER *buffer, const uint8_t *header, uint8_t version)
{
    uint8_t fragment[FRAGMENT_HEADER_BYTES];
    if (version == 4) {
        bool first = (load_be16(header + 6) & IPV4_FRAGMENT_OFFSET) == 0;
        return header[9] == IPPROTO_UDP && first ? (header[0] & 15u) * 4 : 0;
    }
    if (header[6] == IPPROTO_UDP)
        return IPV6_HEADER_BYTES;
    if (header[6] != IPPROTO_FRAGMENT || !read_at(buffer, IPV6_HEADER_BYTES, fragment, sizeof(fragment)))
        return 0;
    bool first = (load_be16(fragment + 2) & IPV6_FRAGMENT_OFFSET) == 0;
    return fragment[0] == IPPROTO_UDP && first ? IPV6_HEADER_BYTES + FRAGMENT_HEADER_BYTES : 0;
}

bool loop_guard_refuses(struct adapter *adapter, uint64_t peer_id, const NET_BUFFER *buffer,
                        const uint8_t *header, uint8_t version, uint64_t now_ns)
{
    uint8_t bytes[LOOKED_AT_BYTES];
    uint32_t offset = udp_offset(buffer, header, version);
    if (offset == 0 || !read_at(buffer, offset, bytes, sizeof(bytes)))
        return false;
    uint16_t port = load_be16(bytes);
    const uint8_t *message = bytes + UDP_HEADER_BYTES;
    uint32_t index = load_le32(message + 4);
    uint64_t entry;
    enum index_kind kind;
    switch (load_le32(message)) {
    case MESSAGE_DATA:
        entry = __atomic_load_n(&recent[index % LOOP_GUARD_ENTRIES], __ATOMIC_RELAXED);
        if (index == INDEX_NONE || entry >> 32 != index || node_port((node)entry) != port)
            return false;
        return port == adapter->listen_port || closes_ring((node)entry, node_of(adapter, peer_id), now_ns);
    case MESSAGE_INITIATION:
    case MESSAGE_RESPONSE:
        return port == adapter->listen_port && index_table_lookup(&adapter->indexes, index, &kind) != NULL;
    default:
        return false;
    }
}
