/* See model.h. */
#include "model.h"
#include "crypto/x25519.h"
#include <string.h>

static const uint8_t no_key[32];

struct model_peer *model_find(struct model *model, const uint8_t public_key[32])
{
    for (uint32_t i = 0; i < model->peers_count; i++)
        if (memcmp(model->peers[i].public_key, public_key, 32) == 0)
            return &model->peers[i];
    return NULL;
}

static void remove_peer(struct model *model, struct model_peer *peer)
{
    uint32_t i = (uint32_t)(peer - model->peers);
    memmove(peer, peer + 1, (model->peers_count - i - 1) * sizeof(*peer));
    model->peers_count--;
}

static bool covers(const struct model_ip *ip, const struct inner_address *address)
{
    if (ip->address.family != address->family)
        return false;
    for (uint32_t bit = 0; bit < ip->cidr; bit++)
        if ((ip->address.bytes[bit / 8] ^ address->bytes[bit / 8]) & 0x80u >> (bit % 8))
            return false;
    return true;
}

const struct model_peer *model_lookup(const struct model *model, const struct inner_address *address)
{
    const struct model_peer *best = NULL;
    int best_cidr = -1;
    for (uint32_t p = 0; p < model->peers_count; p++)
        for (uint32_t i = 0; i < model->peers[p].ips_count; i++) {
            const struct model_ip *ip = &model->peers[p].ips[i];
            if (ip->cidr > best_cidr && covers(ip, address)) {
                best = &model->peers[p];
                best_cidr = ip->cidr;
            }
        }
    return best;
}

static bool same_ip(const struct model_ip *a, const struct model_ip *b)
{
    return a->cidr == b->cidr && a->address.family == b->address.family &&
           memcmp(a->address.bytes, b->address.bytes, 16) == 0;
}

static bool drop_ip(struct model_peer *peer, const struct model_ip *ip)
{
    for (uint32_t i = 0; i < peer->ips_count; i++)
        if (same_ip(&peer->ips[i], ip)) {
            memmove(&peer->ips[i], &peer->ips[i + 1], (peer->ips_count - i - 1) * sizeof(*ip));
            peer->ips_count--;
            return true;
        }
    return false;
}

static struct model_ip ip_of(const struct wyrm_ioctl_allowed_ip *in)
{
    struct model_ip ip = {.cidr = in->cidr, .address.family = in->family == WYRM_FAMILY_IPV4 ? 4 : 6};
    for (uint32_t bit = 0; bit < in->cidr; bit++)
        ip.address.bytes[bit / 8] |= (uint8_t)(in->address[bit / 8] & 0x80u >> (bit % 8));
    return ip;
}

static void apply_ip(struct model *model, struct model_peer *peer, const struct wyrm_ioctl_allowed_ip *in)
{
    struct model_ip ip = ip_of(in);
    if (in->flags & WYRM_ALLOWED_IP_REMOVE) {
        drop_ip(peer, &ip);
        return;
    }
    for (uint32_t p = 0; p < model->peers_count; p++)
        drop_ip(&model->peers[p], &ip);
    if (peer->ips_count == MODEL_IPS_MAX)
        sim->fail("the model has no room for another prefix");
    peer->ips[peer->ips_count++] = ip;
}

static void apply_private_key(struct model *model, const uint8_t key[32])
{
    struct model_peer *self;
    model->has_key = memcmp(key, no_key, 32) != 0;
    memcpy(model->private_key, key, 32);
    memset(model->public_key, 0, 32);
    if (!model->has_key)
        return;
    x25519_clamp(model->private_key);
    x25519_base(model->public_key, model->private_key);
    self = model_find(model, model->public_key);
    if (self)
        remove_peer(model, self);
}

static void apply_peer(struct model *model, const struct wyrm_ioctl_peer *in)
{
    const struct wyrm_ioctl_allowed_ip *ips = (const struct wyrm_ioctl_allowed_ip *)(in + 1);
    struct model_peer *peer = model_find(model, in->public_key);
    bool own = model->has_key && memcmp(model->public_key, in->public_key, 32) == 0;
    if (in->flags & WYRM_PEER_REMOVE || own) {
        if (peer)
            remove_peer(model, peer);
        return;
    }
    if (!peer) {
        if (in->flags & WYRM_PEER_UPDATE_ONLY)
            return;
        if (model->peers_count == MODEL_PEERS_MAX)
            sim->fail("the model has no room for another peer");
        peer = &model->peers[model->peers_count++];
        *peer = (struct model_peer){0};
        memcpy(peer->public_key, in->public_key, 32);
    }
    if (in->flags & WYRM_PEER_HAS_PRESHARED_KEY)
        memcpy(peer->preshared_key, in->preshared_key, 32);
    if (in->flags & WYRM_PEER_REPLACE_ALLOWED_IPS)
        peer->ips_count = 0;
    for (uint32_t i = 0; i < in->allowed_ips_count; i++)
        apply_ip(model, peer, &ips[i]);
    if (in->flags & WYRM_PEER_HAS_PERSISTENT_KEEPALIVE)
        peer->keepalive = in->persistent_keepalive;
}

void model_apply(struct model *model, const struct config *config)
{
    const struct wyrm_ioctl_interface *in = (const struct wyrm_ioctl_interface *)config->bytes;
    const uint8_t *place = (const uint8_t *)(in + 1);
    if (in->flags & WYRM_INTERFACE_HAS_LISTEN_PORT)
        model->port = in->listen_port;
    if (in->flags & WYRM_INTERFACE_REPLACE_PEERS)
        model->peers_count = 0;
    if (in->flags & WYRM_INTERFACE_HAS_PRIVATE_KEY)
        apply_private_key(model, in->private_key);
    for (uint32_t i = 0; i < in->peers_count; i++) {
        const struct wyrm_ioctl_peer *peer = (const struct wyrm_ioctl_peer *)place;
        apply_peer(model, peer);
        place += sizeof(*peer) + peer->allowed_ips_count * sizeof(struct wyrm_ioctl_allowed_ip);
    }
}

/* ---- comparison ---- */

static void compare_ips(const struct model_peer *peer, const struct wyrm_ioctl_peer *out)
{
    const struct wyrm_ioctl_allowed_ip *ips = (const struct wyrm_ioctl_allowed_ip *)(out + 1);
    for (uint32_t i = 0; i < out->allowed_ips_count; i++) {
        struct model_ip ip = ip_of(&ips[i]);
        bool known = false;
        for (uint32_t k = 0; k < peer->ips_count; k++)
            known |= same_ip(&peer->ips[k], &ip);
        if (!known || memcmp(ip.address.bytes, ips[i].address, ip.address.family == 4 ? 4 : 16) != 0)
            violation("configuration", "a peer has a prefix (/%u) that it was not given", ip.cidr);
    }
}

static void compare_peer(struct model *model, const struct wyrm_ioctl_peer *out)
{
    struct model_peer *peer = model_find(model, out->public_key);
    bool has_psk = out->flags & WYRM_PEER_HAS_PRESHARED_KEY;
    if (!peer) {
        violation("configuration", "GET shows a peer that there is not");
        return;
    }
    if (has_psk != (memcmp(peer->preshared_key, no_key, 32) != 0) ||
        (has_psk && memcmp(peer->preshared_key, out->preshared_key, 32) != 0))
        violation("configuration", "GET shows another preshared key");
    if (out->persistent_keepalive != peer->keepalive)
        violation("configuration", "keepalive %u, set was %u", out->persistent_keepalive, peer->keepalive);
    if (out->allowed_ips_count != peer->ips_count)
        violation("configuration", "%u allowed IPs, set were %u", out->allowed_ips_count, peer->ips_count);
    compare_ips(peer, out);
    if (out->tx_bytes < peer->tx_bytes || out->rx_bytes < peer->rx_bytes)
        violation("statistics", "a peer's byte counters went back");
    peer->tx_bytes = out->tx_bytes;
    peer->rx_bytes = out->rx_bytes;
}

void model_compare(struct model *model, const uint8_t *answer, uint64_t length)
{
    const struct wyrm_ioctl_interface *out = (const struct wyrm_ioctl_interface *)answer;
    const uint8_t *place = (const uint8_t *)(out + 1);
    if (out->peers_count != model->peers_count)
        violation("configuration", "%u peers, there should be %u", out->peers_count, model->peers_count);
    if (!(out->flags & WYRM_INTERFACE_HAS_PRIVATE_KEY) != !model->has_key ||
        (model->has_key && (memcmp(out->private_key, model->private_key, 32) != 0 ||
                            memcmp(out->public_key, model->public_key, 32) != 0)))
        violation("configuration", "GET shows another identity");
    if (model->port && out->listen_port != model->port)
        violation("configuration", "port %u, set was %u", out->listen_port, model->port);
    for (uint32_t i = 0; i < out->peers_count; i++) {
        const struct wyrm_ioctl_peer *peer = (const struct wyrm_ioctl_peer *)place;
        compare_peer(model, peer);
        place += sizeof(*peer) + peer->allowed_ips_count * sizeof(struct wyrm_ioctl_allowed_ip);
    }
    if (place != answer + length)
        violation("configuration", "GET says %llu bytes, its structures have %llu",
                  (unsigned long long)length, (unsigned long long)(place - answer));
}
