/* GET: the configuration and the counters as the control ABI lays them out; see include/wyrm/control.h. */
#include "control.h"
#include "crypto/secure_memory.h"
#include "peer.h"
#include "protocol/stack_erase.h"
#include "wyrm/control.h"

#include "nt/rtl.h"

#define GET_LIMIT_BYTES 0xFFFFFFFFull

/* Writes whole structures as far as the caller's buffer reaches, and goes on counting behind that. */
struct writer {
    uint8_t *buffer;
    uint64_t length, needed;
    bool full;
};

/* Room for the next structure, or NULL. */
static void *writer_next(struct writer *writer, uint32_t bytes)
{
    void *place = NULL;
    if (!writer->full && writer->needed + bytes <= writer->length)
        place = writer->buffer + writer->needed;
    else
        writer->full = true;
    writer->needed += bytes;
    return place;
}

static void write_interface(struct writer *writer, struct adapter *adapter)
{
    struct wyrm_ioctl_interface *out = writer_next(writer, sizeof(*out));
    struct identity identity;
    uint32_t flags = 0;
    if (!out)
        return;
    adapter_copy_identity(adapter, &identity);
    if (adapter->listen_port) {
        out->listen_port = adapter->listen_port;
        flags |= WYRM_INTERFACE_HAS_LISTEN_PORT;
    }
    if (identity.present) {
        __builtin_memcpy(out->private_key, identity.private_key, sizeof(out->private_key));
        __builtin_memcpy(out->public_key, identity.public_key, sizeof(out->public_key));
        flags |= WYRM_INTERFACE_HAS_PRIVATE_KEY | WYRM_INTERFACE_HAS_PUBLIC_KEY;
    }
    secure_zero(&identity, sizeof(identity));
    out->peers_count = adapter->peer_count;
    out->flags = flags;
}

_Static_assert(sizeof(SOCKADDR_INET) == sizeof(struct wyrm_ioctl_endpoint), "the same bytes");

static void write_peer(struct writer *writer, struct peer *peer)
{
    struct wyrm_ioctl_peer *out = writer_next(writer, sizeof(*out));
    struct endpoint endpoint;
    uint32_t flags =
        WYRM_PEER_HAS_PUBLIC_KEY | WYRM_PEER_HAS_PERSISTENT_KEEPALIVE | WYRM_PEER_HAS_PROTOCOL_VERSION;
    if (!out)
        return;
    out->protocol_version = CONFIG_PROTOCOL_VERSION;
    __builtin_memcpy(out->public_key, peer->handshake.remote_static, sizeof(out->public_key));
    ExAcquireFastMutex(&peer->handshake_lock);
    if (!secure_is_zero(peer->handshake.preshared_key, PRESHARED_KEY_BYTES)) {
        __builtin_memcpy(out->preshared_key, peer->handshake.preshared_key, sizeof(out->preshared_key));
        flags |= WYRM_PEER_HAS_PRESHARED_KEY;
    }
    ExReleaseFastMutex(&peer->handshake_lock);
    out->persistent_keepalive = peer_timers_keepalive(peer);
    endpoint_read(&peer->endpoint, &endpoint);
    if (endpoint.remote.si_family) {
        __builtin_memcpy(&out->endpoint, &endpoint.remote, sizeof(out->endpoint));
        flags |= WYRM_PEER_HAS_ENDPOINT;
    }
    out->tx_bytes = (uint64_t)__atomic_load_n(&peer->tx_bytes, __ATOMIC_RELAXED);
    out->rx_bytes = (uint64_t)__atomic_load_n(&peer->rx_bytes, __ATOMIC_RELAXED);
    out->last_handshake = __atomic_load_n(&peer->last_handshake_filetime, __ATOMIC_RELAXED);
    out->allowed_ips_count = allowed_ips_count(&peer->allowed);
    out->flags = flags;
}

static void write_allowed_ips(struct writer *writer, const struct peer *peer)
{
    struct allowed_ips_entry *cursor = NULL;
    struct allowed_ips_prefix prefix;
    while (allowed_ips_iterate(&peer->allowed, &cursor, &prefix)) {
        struct wyrm_ioctl_allowed_ip *out = writer_next(writer, sizeof(*out));
        if (!out)
            continue;
        __builtin_memset(out, 0, sizeof(*out));
        __builtin_memcpy(out->address, prefix.address, sizeof(out->address));
        out->family = prefix.family == ALLOWED_IPS_V4 ? WYRM_FAMILY_IPV4 : WYRM_FAMILY_IPV6;
        out->cidr = prefix.prefix_length;
    }
}

NTSTATUS config_get(struct adapter *adapter, void *buffer, uint32_t length, uint64_t *information)
{
    struct writer writer = {.buffer = buffer, .length = buffer ? length : 0};
    KeWaitForSingleObject(&adapter->config_lock, Executive, KernelMode, FALSE, NULL);
    write_interface(&writer, adapter);
    for (LIST_ENTRY *link = adapter->peer_list.Flink; link != &adapter->peer_list; link = link->Flink) {
        struct peer *peer = CONTAINING_RECORD(link, struct peer, link);
        write_peer(&writer, peer);
        write_allowed_ips(&writer, peer);
    }
    KeReleaseMutex(&adapter->config_lock, FALSE);
    stack_erase();

    if (writer.needed > GET_LIMIT_BYTES) {
        *information = 0;
        return STATUS_SECTION_TOO_BIG;
    }
    *information = writer.needed;
    return writer.full ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}
