/* Recognises our own ciphertext among the packets to encrypt; see loop_guard.h. */
#include "loop_guard.h"
#include "adapter.h"
#include "protocol/messages.h"
#include "protocol/packet.h"
#include "workspace.h"

#define UDP_HEADER_BYTES      8
#define FRAGMENT_HEADER_BYTES 8
#define IPV4_FRAGMENT_OFFSET  0x1fff
#define IPV6_FRAGMENT_OFFSET  0xfff8
/* UDP header, type and the index behind it */
#define LOOKED_AT_BYTES (UDP_HEADER_BYTES + 8)

void loop_guard_note(struct adapter *adapter, uint32_t remote_index)
{
    volatile uint32_t *entry = &adapter->loop_guard.recent[remote_index % LOOP_GUARD_ENTRIES];
    if (__atomic_load_n(entry, __ATOMIC_RELAXED) != remote_index)
        __atomic_store_n(entry, remote_index, __ATOMIC_RELAXED);
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

bool loop_guard_is_own(struct adapter *adapter, const NET_BUFFER *buffer, const uint8_t *header,
                       uint8_t version)
{
    uint8_t bytes[LOOKED_AT_BYTES];
    uint32_t offset = udp_offset(buffer, header, version);
    if (offset == 0 || !read_at(buffer, offset, bytes, sizeof(bytes)) ||
        load_be16(bytes) != adapter->listen_port)
        return false;
    const uint8_t *message = bytes + UDP_HEADER_BYTES;
    uint32_t index = load_le32(message + 4);
    enum index_kind kind;
    switch (load_le32(message)) {
    case MESSAGE_DATA:
        return index != INDEX_NONE && __atomic_load_n(&adapter->loop_guard.recent[index % LOOP_GUARD_ENTRIES],
                                                      __ATOMIC_RELAXED) == index;
    case MESSAGE_INITIATION:
    case MESSAGE_RESPONSE:
        return index_table_lookup(&adapter->indexes, index, &kind) != NULL;
    default:
        return false;
    }
}
