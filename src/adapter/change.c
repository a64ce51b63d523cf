/* See change.h. */
#include "change.h"

#include "crypto/secure_memory.h"

#include <stdlib.h>
#include <string.h>

struct peer_change *change_add_peer(struct change *change, const uint8_t public_key[KEY_LENGTH])
{
    if (change->peer_count == change->peer_capacity) {
        size_t capacity = change->peer_capacity ? change->peer_capacity * 2 : 4;
        struct peer_change *peers = calloc(capacity, sizeof *peers); /* realloc may leave keys behind */
        if (!peers)
            return NULL;
        if (change->peers) {
            memcpy(peers, change->peers, change->peer_count * sizeof *peers);
            secure_zero(change->peers, change->peer_count * sizeof *peers);
            free(change->peers);
        }
        change->peers = peers;
        change->peer_capacity = capacity;
    }
    struct peer_change *peer = &change->peers[change->peer_count++];
    memcpy(peer->public_key, public_key, KEY_LENGTH);
    return peer;
}

bool peer_change_add_prefix(struct peer_change *peer, const struct config_prefix *prefix, bool remove)
{
    if (peer->prefix_count == peer->prefix_capacity) {
        size_t capacity = peer->prefix_count ? peer->prefix_count * 2 : 2;
        struct prefix_change *prefixes = realloc(peer->prefixes, capacity * sizeof *prefixes);
        if (!prefixes)
            return false;
        peer->prefixes = prefixes;
        peer->prefix_capacity = capacity;
    }
    peer->prefixes[peer->prefix_count++] = (struct prefix_change){.prefix = *prefix, .remove = remove};
    return true;
}

bool peer_change_from_config(struct peer_change *peer, const struct config_peer *from)
{
    peer->replace_allowed_ips = true;
    peer->has_preshared_key = from->has_preshared_key;
    memcpy(peer->preshared_key, from->preshared_key, KEY_LENGTH);
    peer->has_keepalive = from->has_keepalive;
    peer->keepalive = from->keepalive;
    for (size_t i = 0; i < from->allowed_ips.count; i++)
        if (!peer_change_add_prefix(peer, &from->allowed_ips.items[i], false))
            return false;
    return true;
}

bool change_add_config_peers(struct change *change, const struct config *config, struct failure *failure)
{
    for (size_t i = 0; i < config->peer_count; i++) {
        const struct config_peer *from = &config->peers[i];
        struct peer_change *peer = change_add_peer(change, from->public_key);
        if (!peer || !peer_change_from_config(peer, from))
            return fail(failure, EXIT_REFUSED, "out of memory");
        peer->has_endpoint = from->endpoint_host != NULL;
        if (peer->has_endpoint &&
            !endpoint_resolve(from->endpoint_host, from->endpoint_port, &peer->endpoint, failure))
            return false;
    }
    return true;
}

void change_free(struct change *change)
{
    for (size_t i = 0; i < change->peer_count; i++)
        free(change->peers[i].prefixes);
    if (change->peers)
        secure_zero(change->peers, change->peer_count * sizeof *change->peers);
    free(change->peers);
    secure_zero(change, sizeof *change);
}
