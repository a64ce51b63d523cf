/* SET_ATOMIC: a configuration of which everything or nothing is applied.  The caller's buffer is copied, so
 * that what was checked is what is applied; all that SET could refuse is refused here, and all the memory
 * that it could lack is reserved.  Then it is applied as SET does it: its first step, the sockets of another
 * port, is the only one left that can fail. */
#include "config_memory.h"
#include "control.h"
#include "driver.h"
#include "memory.h"
#include "peer.h"
#include "protocol/stack_erase.h"
#include "wyrm/control.h"

/* What applying a configuration may take, at most. */
struct needs {
    uint64_t peers, prefixes;
};

static bool is_prefix(const struct wyrm_ioctl_allowed_ip *ip)
{
    return (ip->family == WYRM_FAMILY_IPV4 && ip->cidr <= 32) ||
           (ip->family == WYRM_FAMILY_IPV6 && ip->cidr <= 128);
}

/* The next `bytes` of the copy; NULL: it ends before. */
static const void *take(const uint8_t **at, uint64_t *left, uint64_t bytes)
{
    const uint8_t *taken = *at;
    if (bytes > *left)
        return NULL;
    *at += bytes;
    *left -= bytes;
    return taken;
}

static bool is_known(struct adapter *adapter, const uint8_t public_key[PUBLIC_KEY_BYTES])
{
    struct peer *peer = peer_table_find(adapter, public_key);
    if (peer)
        peer_release(peer);
    return peer != NULL;
}

/* The peer at `*at`, with its allowed IPs.  `renewed`: it may be gone by the time it is set. */
static NTSTATUS check_peer(struct adapter *adapter, const uint8_t **at, uint64_t *left, bool renewed,
                           struct needs *needs)
{
    const struct wyrm_ioctl_peer *peer = take(at, left, sizeof(*peer));
    if (!peer || !(peer->flags & WYRM_PEER_HAS_PUBLIC_KEY))
        return STATUS_INVALID_PARAMETER;
    if ((peer->flags & WYRM_PEER_HAS_PROTOCOL_VERSION) && peer->protocol_version > CONFIG_PROTOCOL_VERSION)
        return STATUS_NOT_IMPLEMENTED;
    const struct wyrm_ioctl_allowed_ip *ips =
        take(at, left, (uint64_t)peer->allowed_ips_count * sizeof(*ips));
    if (!ips)
        return STATUS_INVALID_PARAMETER;
    bool removed = (peer->flags & WYRM_PEER_REMOVE) != 0;
    for (uint32_t i = 0; i < peer->allowed_ips_count; i++) {
        if (!is_prefix(&ips[i]))
            return STATUS_INVALID_PARAMETER;
        needs->prefixes += !removed && !(ips[i].flags & WYRM_ALLOWED_IP_REMOVE);
    }
    if (!removed && !(peer->flags & WYRM_PEER_UPDATE_ONLY) &&
        (renewed || !is_known(adapter, peer->public_key)))
        needs->peers++;
    return STATUS_SUCCESS;
}

/* config_lock held. */
static NTSTATUS check(struct adapter *adapter, const uint8_t *at, uint64_t left, struct needs *needs)
{
    const struct wyrm_ioctl_interface *interface = take(&at, &left, sizeof(*interface));
    if (!interface)
        return STATUS_INVALID_PARAMETER;
    bool replace = (interface->flags & WYRM_INTERFACE_REPLACE_PEERS) != 0, removes = false;
    for (uint32_t i = 0; i < interface->peers_count; i++) {
        const struct wyrm_ioctl_peer *peer = (const struct wyrm_ioctl_peer *)at;
        NTSTATUS status = check_peer(adapter, &at, &left, replace || removes, needs);
        if (!NT_SUCCESS(status))
            return status;
        removes |= (peer->flags & WYRM_PEER_REMOVE) != 0;
    }
    uint64_t kept = replace ? 0 : adapter->peer_count;
    return kept + needs->peers > PEERS_PER_ADAPTER ? STATUS_TOO_MANY_NODES : STATUS_SUCCESS;
}

/* config_lock held. */
static NTSTATUS check_and_apply(struct adapter *adapter, const uint8_t *copy, uint32_t length,
                                uint32_t *consumed)
{
    struct needs needs = {0};
    NTSTATUS status = check(adapter, copy, length, &needs);
    if (!NT_SUCCESS(status))
        return status;
    if (!config_memory_reserve(adapter, needs.peers, needs.prefixes))
        return STATUS_INSUFFICIENT_RESOURCES;
    status = config_apply(adapter, copy, length, consumed);
    config_memory_unreserve(adapter);
    return status;
}

NTSTATUS config_set_atomic(struct adapter *adapter, const void *buffer, uint32_t length,
                           uint64_t *information)
{
    uint32_t consumed = 0;
    if (length < sizeof(struct wyrm_ioctl_interface))
        return STATUS_INVALID_PARAMETER;
    uint8_t *copy = memory_allocate_uninitialized(MEMORY_CONFIG, length);
    if (!copy)
        return STATUS_INSUFFICIENT_RESOURCES;
    __builtin_memcpy(copy, buffer, length);
    KeWaitForSingleObject(&adapter->config_lock, Executive, KernelMode, FALSE, NULL);
    NTSTATUS status = check_and_apply(adapter, copy, length, &consumed);
    KeReleaseMutex(&adapter->config_lock, FALSE);
    memory_free(MEMORY_CONFIG, copy, length);
    stack_erase();
    *information = NT_SUCCESS(status) ? consumed : 0;
    return status;
}
