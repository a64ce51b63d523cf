/* See sync.h. */
#include "sync.h"

#include "crypto/secure_memory.h"

#include <stdlib.h>
#include <string.h>

struct named_peer {
    uint8_t public_key[KEY_LENGTH];
    size_t index;
};

static int compare_names(const void *left, const void *right)
{
    return memcmp(((const struct named_peer *)left)->public_key,
                  ((const struct named_peer *)right)->public_key, KEY_LENGTH);
}

/* In any order, host bits and repetitions aside: compared as the adapter would keep them. */
static int compare_prefixes(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct config_prefix));
}

static size_t sort_prefixes(struct config_prefix *prefixes, size_t count)
{
    size_t kept = 0;
    qsort(prefixes, count, sizeof *prefixes, compare_prefixes);
    for (size_t i = 0; i < count; i++)
        if (!i || compare_prefixes(&prefixes[i], &prefixes[kept - 1]) != 0)
            prefixes[kept++] = prefixes[i];
    return kept;
}

struct claim {
    struct config_prefix prefix; /* first: compare_prefixes */
    size_t peer;
};

static int compare_claims(const void *left, const void *right)
{
    size_t a = ((const struct claim *)left)->peer, b = ((const struct claim *)right)->peer;
    int order = compare_prefixes(left, right);
    return order ? order : (a > b) - (a < b);
}

static void drop_prefix(struct peer_change *peer, const struct config_prefix *network)
{
    size_t kept = 0;
    for (size_t i = 0; i < peer->prefix_count; i++) {
        struct config_prefix one = config_prefix_network(&peer->prefixes[i].prefix);
        if (compare_prefixes(&one, network) != 0)
            peer->prefixes[kept++] = peer->prefixes[i];
    }
    peer->prefix_count = kept;
}

/* A prefix belongs to one peer: the last that names it has it, as with setconf, whatever is left out later.
 */
static bool settle_claims(struct change *change)
{
    size_t count = 0;
    for (size_t i = 0; i < change->peer_count; i++)
        count += change->peers[i].prefix_count;
    struct claim *claims = calloc(count + 1, sizeof *claims);
    if (!claims)
        return false;
    count = 0;
    for (size_t i = 0; i < change->peer_count; i++)
        for (size_t k = 0; k < change->peers[i].prefix_count; k++)
            claims[count++] = (struct claim){config_prefix_network(&change->peers[i].prefixes[k].prefix), i};
    qsort(claims, count, sizeof *claims, compare_claims);
    for (size_t i = 0; i + 1 < count; i++)
        if (!compare_prefixes(&claims[i], &claims[i + 1]) && claims[i].peer != claims[i + 1].peer)
            drop_prefix(&change->peers[claims[i].peer], &claims[i].prefix);
    free(claims);
    return true;
}

/* 1: the same, 0: not, -1: no memory. */
static int same_prefixes(const struct peer_change *wanted, const struct device_peer *has)
{
    struct config_prefix *left = calloc(wanted->prefix_count + 1, sizeof *left),
                         *right = calloc(has->allowed_ips.count + 1, sizeof *right);
    int same = -1;
    if (left && right) {
        for (size_t i = 0; i < wanted->prefix_count; i++)
            left[i] = config_prefix_network(&wanted->prefixes[i].prefix);
        for (size_t i = 0; i < has->allowed_ips.count; i++)
            right[i] = config_prefix_network(&has->allowed_ips.items[i]);
        size_t count = sort_prefixes(left, wanted->prefix_count);
        same = count == sort_prefixes(right, has->allowed_ips.count) &&
               !memcmp(left, right, count * sizeof *left);
    }
    free(left);
    free(right);
    return same;
}

/* Leaves in `wanted` what differs from `has`.  false: no memory. */
static bool peer_difference(struct peer_change *wanted, const struct device_peer *has)
{
    int same = same_prefixes(wanted, has);
    if (same < 0)
        return false;
    if (same) {
        wanted->replace_allowed_ips = false;
        wanted->prefix_count = 0;
    }
    /* All zero when the file has none. */
    wanted->has_preshared_key = !secure_equal(wanted->preshared_key, has->preshared_key, KEY_LENGTH);
    wanted->has_keepalive = wanted->keepalive != has->keepalive;
    wanted->has_endpoint = wanted->has_endpoint && !endpoint_equal(&wanted->endpoint, &has->endpoint);
    return true;
}

static bool changes_nothing(const struct peer_change *peer)
{
    return !peer->has_preshared_key && !peer->has_keepalive && !peer->has_endpoint &&
           !peer->replace_allowed_ips;
}

/* Marks the peers that stay, and reduces what is wanted of them. */
static bool match_peers(struct change *change, const struct device *device, const struct named_peer *names,
                        size_t count, bool *stays)
{
    for (size_t i = 0; i < change->peer_count; i++) {
        struct named_peer wanted = {.index = 0};
        memcpy(wanted.public_key, change->peers[i].public_key, KEY_LENGTH);
        const struct named_peer *found =
            count ? bsearch(&wanted, names, count, sizeof *names, compare_names) : NULL;
        if (!found)
            continue;
        stays[found->index] = true;
        if (!peer_difference(&change->peers[i], &device->peers[found->index]))
            return false;
    }
    return true;
}

static bool difference(struct change *change, const struct device *device, struct named_peer *names,
                       bool *stays)
{
    for (size_t i = 0; i < device->peer_count; i++) {
        memcpy(names[i].public_key, device->peers[i].public_key, KEY_LENGTH);
        names[i].index = i;
    }
    if (device->peer_count)
        qsort(names, device->peer_count, sizeof *names, compare_names);
    struct change result = {0};
    if (!settle_claims(change) || !match_peers(change, device, names, device->peer_count, stays))
        return false;
    /* Those that go, first: what they had is free then. */
    for (size_t i = 0; i < device->peer_count; i++) {
        if (stays[i])
            continue;
        struct peer_change *gone = change_add_peer(&result, device->peers[i].public_key);
        if (!gone) {
            change_free(&result);
            return false;
        }
        gone->remove = true;
    }
    for (size_t i = 0; i < change->peer_count; i++) {
        struct peer_change *peer = &change->peers[i];
        bool known =
            bsearch(peer->public_key, names, device->peer_count, sizeof *names, compare_names) != NULL;
        if (known && changes_nothing(peer))
            continue;
        struct peer_change *copy = change_add_peer(&result, peer->public_key);
        if (!copy) {
            change_free(&result);
            return false;
        }
        *copy = *peer;
        peer->prefixes = NULL;
        peer->prefix_count = peer->prefix_capacity = 0;
    }
    struct peer_change *peers = change->peers;
    size_t count = change->peer_count;
    change->peers = result.peers;
    change->peer_count = result.peer_count;
    change->peer_capacity = result.peer_capacity;
    result.peers = peers;
    result.peer_count = count;
    change_free(&result);
    return true;
}

bool sync_difference(struct change *change, const struct device *device, struct failure *failure)
{
    struct named_peer *names = calloc(device->peer_count + 1, sizeof *names);
    bool *stays = calloc(device->peer_count + 1, sizeof *stays);
    bool done = names && stays && difference(change, device, names, stays);
    free(names);
    free(stays);
    if (!done)
        return fail(failure, EXIT_REFUSED, "out of memory");
    change->replace_peers = false;
    change->has_private_key = !secure_equal(change->private_key, device->private_key, KEY_LENGTH);
    change->has_listen_port = change->listen_port != 0 && change->listen_port != device->listen_port;
    change->has_fwmark = change->fwmark != device->fwmark;
    return true;
}
