/* SET: applies a configuration in the order that the control ABI prescribes.  Not transactional: what stands
 * before a failure stays.  The buffer is the caller's memory, mapped: every structure is copied out of it
 * exactly once. */
#include "control.h"
#include "crypto/secure_memory.h"
#include "driver.h"
#include "memory.h"
#include "nt/rtl.h"
#include "peer.h"
#include "protocol/stack_erase.h"
#include "transmit.h"
#include "udp_socket.h"
#include "wyrm/control.h"

struct reader {
    const uint8_t *buffer;
    uint32_t length, consumed;
};

static bool reader_copy(const struct reader *reader, void *out, uint32_t bytes)
{
    if (reader->length - reader->consumed < bytes)
        return false;
    __builtin_memcpy(out, reader->buffer + reader->consumed, bytes);
    return true;
}

/* ---- interface ---- */

static NTSTATUS set_listen_port(struct adapter *adapter, uint16_t port)
{
    if (port == adapter->listen_port)
        return STATUS_SUCCESS;
    if (!adapter->up) {
        adapter->listen_port = port;
        return STATUS_SUCCESS;
    }
    uint16_t bound;
    NTSTATUS status = udp_sockets_open(adapter, port, &bound);
    if (NT_SUCCESS(status))
        adapter->listen_port = bound;
    return status;
}

static void remove_all_peers(struct adapter *adapter)
{
    while (!IsListEmpty(&adapter->peer_list))
        peer_remove(CONTAINING_RECORD(adapter->peer_list.Flink, struct peer, link));
}

/* Every peer's static-static secret of the former identity is erased (the next handshake computes the new
 * one), its sessions stop sending, and the next packet may bring a handshake at once. */
static void identity_changed(struct adapter *adapter, bool flush)
{
    struct identity none;
    identity_init(&none);
    for (LIST_ENTRY *link = adapter->peer_list.Flink; link != &adapter->peer_list; link = link->Flink) {
        struct peer *peer = CONTAINING_RECORD(link, struct peer, link);
        ExAcquireFastMutex(&peer->handshake_lock);
        /* A handshake that has followed meanwhile has made a new secret already: the same work once more. */
        uint32_t released = handshake_set_identity(&peer->handshake, &none);
        peer->identity_generation = 0;
        ExReleaseFastMutex(&peer->handshake_lock);
        receiver_index_remove(adapter, released);
        peer_expire_sessions(peer);
        peer_timers_identity_changed(peer);
        if (flush)
            transmit_flush_staged(peer);
        /* With a key the peer can be kept alive, as from Up on. */
        if (adapter->identity.present && adapter->up && peer_timers_keepalive(peer) != 0)
            transmit_keepalive(peer);
    }
}

static void set_private_key(struct adapter *adapter, const uint8_t key[PRIVATE_KEY_BYTES])
{
    struct identity identity;
    bool clear = secure_is_zero(key, PRIVATE_KEY_BYTES);
    bool had_key = adapter->identity.present; /* config_lock is held: nobody else writes it */
    if (clear ? !had_key : had_key && identity_equals_private_key(&adapter->identity, key))
        return;

    identity_init(&identity);
    if (!clear) {
        identity_set(&identity, key);
        struct peer *self = peer_table_find(adapter, identity.public_key);
        if (self) {
            peer_remove(self);
            peer_release(self);
        }
    }
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&adapter->identity_lock);
    identity_copy(&adapter->identity, &identity);
    adapter->identity_generation += adapter->identity_generation == UINT32_MAX ? 2 : 1; /* never 0 */
    KeReleaseSpinLock(&adapter->identity_lock, irql);

    irql = ExAcquireSpinLockExclusive(&adapter->cookie_lock);
    cookie_checker_set_identity(&adapter->cookie_checker, identity.present ? identity.public_key : NULL);
    ExReleaseSpinLockExclusive(&adapter->cookie_lock, irql);

    identity_changed(adapter, !had_key && adapter->up);
    secure_zero(&identity, sizeof(identity));
}

static NTSTATUS set_interface(struct adapter *adapter, struct reader *reader, uint32_t *peers_count)
{
    struct wyrm_ioctl_interface in;
    NTSTATUS status = STATUS_SUCCESS;
    if (!reader_copy(reader, &in, sizeof(in)))
        return STATUS_INVALID_PARAMETER;
    if (in.flags & WYRM_INTERFACE_HAS_LISTEN_PORT)
        status = set_listen_port(adapter, in.listen_port);
    if (NT_SUCCESS(status)) {
        if (in.flags & WYRM_INTERFACE_REPLACE_PEERS)
            remove_all_peers(adapter);
        if (in.flags & WYRM_INTERFACE_HAS_PRIVATE_KEY)
            set_private_key(adapter, in.private_key);
        *peers_count = in.peers_count;
        reader->consumed += sizeof(in);
    }
    secure_zero(&in, sizeof(in));
    return status;
}

/* ---- peers ---- */

static NTSTATUS set_allowed_ip(struct adapter *adapter, struct peer *peer,
                               const struct wyrm_ioctl_allowed_ip *in)
{
    enum allowed_ips_family family;
    enum allowed_ips_result result;
    if (in->family == WYRM_FAMILY_IPV4)
        family = ALLOWED_IPS_V4;
    else if (in->family == WYRM_FAMILY_IPV6)
        family = ALLOWED_IPS_V6;
    else
        return STATUS_INVALID_PARAMETER;
    if (in->flags & WYRM_ALLOWED_IP_REMOVE)
        result = allowed_ips_remove(&adapter->allowed_ips, family, in->address, in->cidr, &peer->allowed);
    else
        result = allowed_ips_insert(&adapter->allowed_ips, family, in->address, in->cidr, &peer->allowed);
    switch (result) {
    case ALLOWED_IPS_BAD_PREFIX_LENGTH:
        return STATUS_INVALID_PARAMETER;
    case ALLOWED_IPS_NO_MEMORY:
        return STATUS_INSUFFICIENT_RESOURCES;
    default:
        return STATUS_SUCCESS; /* a prefix that is not this peer's need not be removed */
    }
}

static NTSTATUS set_allowed_ips(struct adapter *adapter, struct peer *peer, struct reader *reader,
                                uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct wyrm_ioctl_allowed_ip in;
        if (!reader_copy(reader, &in, sizeof(in)))
            return STATUS_INVALID_PARAMETER;
        NTSTATUS status = set_allowed_ip(adapter, peer, &in);
        if (!NT_SUCCESS(status))
            return status;
        reader->consumed += sizeof(in);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS add_peer(struct adapter *adapter, const uint8_t public_key[PUBLIC_KEY_BYTES],
                         struct peer **added)
{
    if (adapter->peer_count >= PEERS_PER_ADAPTER)
        return STATUS_TOO_MANY_NODES;
    struct peer *peer = peer_create(adapter, public_key);
    if (!peer)
        return STATUS_INSUFFICIENT_RESOURCES;
    NTSTATUS status = peer_table_insert(adapter, peer);
    if (!NT_SUCCESS(status)) {
        peer_release(peer);
        return status;
    }
    peer_reference(peer); /* the list's is the first one; this one is the caller's */
    InsertTailList(&adapter->peer_list, &peer->link);
    adapter->peer_count++;
    if (adapter->up && !adapter->suspended)
        peer_timers_start(peer);
    *added = peer;
    return STATUS_SUCCESS;
}

static NTSTATUS apply_peer(struct adapter *adapter, struct peer *peer, const struct wyrm_ioctl_peer *in,
                           struct reader *reader)
{
    if (in->flags & WYRM_PEER_HAS_PRESHARED_KEY) {
        ExAcquireFastMutex(&peer->handshake_lock);
        handshake_set_preshared_key(&peer->handshake, in->preshared_key);
        ExReleaseFastMutex(&peer->handshake_lock);
    }
    if ((in->flags & WYRM_PEER_HAS_ENDPOINT) &&
        (in->endpoint.family == WYRM_FAMILY_IPV4 || in->endpoint.family == WYRM_FAMILY_IPV6)) {
        SOCKADDR_INET remote;
        __builtin_memcpy(&remote, &in->endpoint, sizeof(remote));
        endpoint_set(&peer->endpoint, &remote);
    }
    if (in->flags & WYRM_PEER_REPLACE_ALLOWED_IPS)
        allowed_ips_remove_by_peer(&adapter->allowed_ips, &peer->allowed);
    NTSTATUS status = set_allowed_ips(adapter, peer, reader, in->allowed_ips_count);
    if (!NT_SUCCESS(status))
        return status;
    if (in->flags & WYRM_PEER_HAS_PERSISTENT_KEEPALIVE)
        peer_timers_set_keepalive(peer, in->persistent_keepalive);
    if (adapter->up)
        transmit_flush_staged(peer);
    return STATUS_SUCCESS;
}

/* `in` was copied, its allowed IPs follow in the reader. */
static NTSTATUS set_copied_peer(struct adapter *adapter, struct reader *reader,
                                const struct wyrm_ioctl_peer *in)
{
    if (!(in->flags & WYRM_PEER_HAS_PUBLIC_KEY))
        return STATUS_INVALID_PARAMETER;
    if ((in->flags & WYRM_PEER_HAS_PROTOCOL_VERSION) && in->protocol_version > CONFIG_PROTOCOL_VERSION)
        return STATUS_NOT_IMPLEMENTED;
    uint64_t prefixes = (uint64_t)in->allowed_ips_count * sizeof(struct wyrm_ioctl_allowed_ip);
    if (prefixes > reader->length - reader->consumed - sizeof(*in))
        return STATUS_INVALID_PARAMETER;

    struct peer *peer = peer_table_find(adapter, in->public_key);
    bool own_key = adapter->identity.present &&
                   __builtin_memcmp(adapter->identity.public_key, in->public_key, PUBLIC_KEY_BYTES) == 0;
    bool absent = !peer && (in->flags & (WYRM_PEER_REMOVE | WYRM_PEER_UPDATE_ONLY));
    reader->consumed += sizeof(*in);
    if (own_key || absent || (in->flags & WYRM_PEER_REMOVE)) {
        if (peer) {
            peer_remove(peer);
            peer_release(peer);
        }
        reader->consumed += (uint32_t)prefixes;
        return STATUS_SUCCESS;
    }
    NTSTATUS status = peer ? STATUS_SUCCESS : add_peer(adapter, in->public_key, &peer);
    if (!NT_SUCCESS(status)) {
        reader->consumed -= sizeof(*in);
        return status;
    }
    status = apply_peer(adapter, peer, in, reader);
    peer_release(peer);
    return status;
}

static NTSTATUS set_peer(struct adapter *adapter, struct reader *reader)
{
    struct wyrm_ioctl_peer in;
    NTSTATUS status = STATUS_INVALID_PARAMETER;
    if (reader_copy(reader, &in, sizeof(in))) {
        status = set_copied_peer(adapter, reader, &in);
        secure_zero(&in, sizeof(in));
    }
    return status;
}

NTSTATUS config_apply(struct adapter *adapter, const void *buffer, uint32_t length, uint32_t *consumed)
{
    struct reader reader = {.buffer = buffer, .length = length};
    uint32_t peers_count = 0;
    NTSTATUS status = set_interface(adapter, &reader, &peers_count);
    for (uint32_t i = 0; i < peers_count && NT_SUCCESS(status); i++)
        status = set_peer(adapter, &reader);
    *consumed = reader.consumed;
    return status;
}

NTSTATUS config_set(struct adapter *adapter, const void *buffer, uint32_t length, uint64_t *information)
{
    uint32_t consumed;
    KeWaitForSingleObject(&adapter->config_lock, Executive, KernelMode, FALSE, NULL);
    NTSTATUS status = config_apply(adapter, buffer, length, &consumed);
    KeReleaseMutex(&adapter->config_lock, FALSE);
    *information = consumed;
    stack_erase();
    return status;
}
