/* See config.h.  The order of things is that of the driver (docs/control-abi of the same structures), so that
 * both behave alike. */
#include "config.h"

#include "crypto/secure_memory.h"
#include "peer.h"
#include "protocol/stack_erase.h"
#include "transmit.h"

#include <wyrm/control.h>

#include <errno.h>
#include <string.h>

#define PROTOCOL_VERSION 1

struct reader {
    const uint8_t *at;
    size_t left;
};

/* Copies the next structure; false: the buffer is too short. */
static bool read_next(struct reader *reader, void *out, size_t bytes)
{
    if (reader->left < bytes)
        return false;
    memcpy(out, reader->at, bytes);
    reader->at += bytes;
    reader->left -= bytes;
    return true;
}

/* ---- interface ---- */

static int set_listen_port(struct engine *engine, uint16_t port)
{
    if (port == engine->listen_port && (engine->up || !engine->link_up))
        return 0;
    if (engine->up)
        return -engine_sockets_open(engine, port);
    if (engine->link_up) /* it failed when the interface came up, with the former port */
        return -engine_come_up(engine, port);
    engine->listen_port = port;
    return 0;
}

static int set_fwmark(struct engine *engine, uint32_t mark)
{
    int error = -udp_set_mark(mark);
    if (!error)
        engine->fwmark = mark;
    return error;
}

/* The next packet of each peer may bring a handshake at once. */
static void identity_changed(struct engine *engine)
{
    for (struct peer *peer = engine->peers; peer; peer = peer->next) {
        peer_identity_changed(peer);
        if (!engine->identity.present || !engine->up)
            continue;
        if (peer->times.persistent_interval_s)
            transmit_keepalive(peer);
        else
            transmit_staged(peer);
    }
}

static void set_private_key(struct engine *engine, const uint8_t key[PRIVATE_KEY_BYTES])
{
    bool clear = secure_is_zero(key, PRIVATE_KEY_BYTES), had_key = engine->identity.present;
    if (clear ? !had_key : had_key && identity_equals_private_key(&engine->identity, key))
        return;
    if (clear)
        identity_clear(&engine->identity);
    else
        identity_set(&engine->identity, key);
    struct peer *self = clear ? NULL : peer_find(engine, engine->identity.public_key);
    if (self)
        peer_remove(self);
    cookie_checker_set_identity(&engine->cookie_checker, clear ? NULL : engine->identity.public_key);
    engine->identity_generation += engine->identity_generation == UINT32_MAX ? 2 : 1;
    identity_changed(engine);
}

static int set_interface(struct engine *engine, const struct wyrm_ioctl_interface *in)
{
    int error = 0;
    if (in->flags & WYRM_INTERFACE_HAS_LISTEN_PORT)
        error = set_listen_port(engine, in->listen_port);
    if (error)
        return error;
    while ((in->flags & WYRM_INTERFACE_REPLACE_PEERS) && engine->peers)
        peer_remove(engine->peers);
    if (in->flags & WYRM_INTERFACE_HAS_PRIVATE_KEY)
        set_private_key(engine, in->private_key);
    return 0;
}

/* ---- peers ---- */

static int set_allowed_ip(struct engine *engine, struct peer *peer, const struct wyrm_ioctl_allowed_ip *in)
{
    enum allowed_ips_family family = in->family == WYRM_FAMILY_IPV4 ? ALLOWED_IPS_V4 : ALLOWED_IPS_V6;
    enum allowed_ips_result result;
    if (in->family != WYRM_FAMILY_IPV4 && in->family != WYRM_FAMILY_IPV6)
        return EINVAL;
    if (in->flags & WYRM_ALLOWED_IP_REMOVE)
        result = allowed_ips_remove(&engine->allowed_ips, family, in->address, in->cidr, &peer->allowed);
    else
        result = allowed_ips_insert(&engine->allowed_ips, family, in->address, in->cidr, &peer->allowed);
    if (result == ALLOWED_IPS_BAD_PREFIX_LENGTH)
        return EINVAL;
    return result == ALLOWED_IPS_NO_MEMORY ? ENOMEM : 0; /* what is not this peer's need not be removed */
}

static int apply_peer(struct engine *engine, struct peer *peer, const struct wyrm_ioctl_peer *in,
                      struct reader *prefixes)
{
    if (in->flags & WYRM_PEER_HAS_PRESHARED_KEY)
        handshake_set_preshared_key(&peer->handshake, in->preshared_key);
    struct udp_address remote;
    if ((in->flags & WYRM_PEER_HAS_ENDPOINT) && endpoint_from_control(&remote, &in->endpoint))
        peer->endpoint = (struct endpoint){.remote = remote};
    if (in->flags & WYRM_PEER_REPLACE_ALLOWED_IPS)
        allowed_ips_remove_by_peer(&engine->allowed_ips, &peer->allowed);
    for (uint32_t i = 0; i < in->allowed_ips_count; i++) {
        struct wyrm_ioctl_allowed_ip ip;
        int error = read_next(prefixes, &ip, sizeof(ip)) ? set_allowed_ip(engine, peer, &ip) : EINVAL;
        if (error)
            return error;
    }
    if (in->flags & WYRM_PEER_HAS_PERSISTENT_KEEPALIVE)
        peer_timers_set_keepalive(peer, in->persistent_keepalive);
    transmit_staged(peer);
    return 0;
}

static int set_peer(struct engine *engine, const struct wyrm_ioctl_peer *in, struct reader *reader)
{
    size_t bytes = (size_t)in->allowed_ips_count * sizeof(struct wyrm_ioctl_allowed_ip);
    if (!(in->flags & WYRM_PEER_HAS_PUBLIC_KEY) || bytes > reader->left)
        return EINVAL;
    if ((in->flags & WYRM_PEER_HAS_PROTOCOL_VERSION) && in->protocol_version > PROTOCOL_VERSION)
        return EINVAL;
    struct reader prefixes = {reader->at, bytes};
    reader->at += bytes;
    reader->left -= bytes;

    struct peer *peer = peer_find(engine, in->public_key);
    bool own_key = engine->identity.present &&
                   memcmp(engine->identity.public_key, in->public_key, PUBLIC_KEY_BYTES) == 0;
    if (own_key || (in->flags & WYRM_PEER_REMOVE)) {
        if (peer)
            peer_remove(peer);
        return 0;
    }
    if (!peer && (in->flags & WYRM_PEER_UPDATE_ONLY))
        return 0;
    if (!peer && engine->peer_count >= ENGINE_PEERS_MAX)
        return ENOSPC;
    if (!peer)
        peer = peer_add(engine, in->public_key);
    return peer ? apply_peer(engine, peer, in, &prefixes) : ENOMEM;
}

static int set_all(struct engine *engine, struct reader *reader)
{
    struct wyrm_ioctl_interface interface;
    struct wyrm_ioctl_peer peer;
    int error = read_next(reader, &interface, sizeof(interface)) ? set_interface(engine, &interface) : EINVAL;
    for (uint32_t i = 0; !error && i < interface.peers_count; i++)
        error = read_next(reader, &peer, sizeof(peer)) ? set_peer(engine, &peer, reader) : EINVAL;
    secure_zero(&interface, sizeof(interface));
    secure_zero(&peer, sizeof(peer));
    return error;
}

int config_set(struct engine *engine, const uint8_t *buffer, size_t length, const uint32_t *fwmark)
{
    struct reader reader = {buffer, length};
    uint32_t former_mark = engine->fwmark;
    int error = fwmark ? set_fwmark(engine, *fwmark) : 0;
    if (!error) {
        error = set_all(engine, &reader);
        if (error && fwmark)
            set_fwmark(engine, former_mark);
    }
    engine_reap(engine);
    stack_erase();
    return error;
}

/* ---- get ---- */

static bool append_peer(struct secure_buffer *out, const struct peer *peer)
{
    struct wyrm_ioctl_peer record = {
        .flags =
            WYRM_PEER_HAS_PUBLIC_KEY | WYRM_PEER_HAS_PERSISTENT_KEEPALIVE | WYRM_PEER_HAS_PROTOCOL_VERSION,
        .protocol_version = PROTOCOL_VERSION,
        .persistent_keepalive = (uint16_t)peer->times.persistent_interval_s,
        .tx_bytes = peer->tx_bytes,
        .rx_bytes = peer->rx_bytes,
        .last_handshake = peer->last_handshake_100ns,
        .allowed_ips_count = allowed_ips_count(&peer->allowed),
    };
    memcpy(record.public_key, peer->handshake.remote_static, sizeof(record.public_key));
    if (!secure_is_zero(peer->handshake.preshared_key, PRESHARED_KEY_BYTES)) {
        memcpy(record.preshared_key, peer->handshake.preshared_key, sizeof(record.preshared_key));
        record.flags |= WYRM_PEER_HAS_PRESHARED_KEY;
    }
    if (peer->endpoint.remote.family) {
        endpoint_to_control(&record.endpoint, &peer->endpoint.remote);
        record.flags |= WYRM_PEER_HAS_ENDPOINT;
    }
    bool done = secure_buffer_append(out, &record, sizeof(record));
    secure_zero(&record, sizeof(record));

    struct allowed_ips_entry *cursor = NULL;
    struct allowed_ips_prefix prefix;
    while (done && allowed_ips_iterate(&peer->allowed, &cursor, &prefix)) {
        struct wyrm_ioctl_allowed_ip ip = {
            .family = prefix.family == ALLOWED_IPS_V4 ? WYRM_FAMILY_IPV4 : WYRM_FAMILY_IPV6,
            .cidr = prefix.prefix_length,
        };
        memcpy(ip.address, prefix.address, sizeof(ip.address));
        done = secure_buffer_append(out, &ip, sizeof(ip));
    }
    return done;
}

int config_get(struct engine *engine, struct secure_buffer *out)
{
    struct wyrm_ioctl_interface record = {.listen_port = engine->listen_port,
                                          .peers_count = engine->peer_count};
    if (engine->listen_port)
        record.flags |= WYRM_INTERFACE_HAS_LISTEN_PORT;
    if (engine->identity.present) {
        memcpy(record.private_key, engine->identity.private_key, sizeof(record.private_key));
        memcpy(record.public_key, engine->identity.public_key, sizeof(record.public_key));
        record.flags |= WYRM_INTERFACE_HAS_PRIVATE_KEY | WYRM_INTERFACE_HAS_PUBLIC_KEY;
    }
    bool done = secure_buffer_append(out, &record, sizeof(record));
    secure_zero(&record, sizeof(record));
    for (const struct peer *peer = engine->peers; done && peer; peer = peer->next)
        done = append_peer(out, peer);
    stack_erase();
    return done ? 0 : ENOMEM;
}
