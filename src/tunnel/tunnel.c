/* See tunnel.h. */
#include "tunnel.h"

#include "library.h"
#include "mtu.h"
#include "network.h"
#include "sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, size_t length, const char *end)
{
    size_t bytes = strlen(end);
    return length > bytes && _stricmp(text + length - bytes, end) == 0;
}

bool tunnel_name_of(const char *file, char *name, size_t size, struct failure *failure)
{
    const char *base = file;
    for (const char *at = file; *at; at++)
        if (*at == '\\' || *at == '/' || *at == ':')
            base = at + 1;
    size_t length = strlen(base);
    if (ends_with(base, length, ".conf.dpapi"))
        length -= strlen(".conf.dpapi");
    else if (ends_with(base, length, ".conf"))
        length -= strlen(".conf");
    else
        return fail(failure, EXIT_USAGE, "\"%.200s\" is not a file NAME.conf", file);
    if (length >= WIREGUARD_MAX_ADAPTER_NAME || length >= size)
        return fail(failure, EXIT_USAGE,
                    "the file's name becomes the adapter's: at most 127 bytes before .conf");
    memcpy(name, base, length);
    name[length] = 0;
    return true;
}

/* ---- keys and peers ---- */

static const struct config_peer *find_peer(const struct config *config, const uint8_t key[KEY_LENGTH])
{
    for (size_t i = 0; config && i < config->peer_count; i++)
        if (!memcmp(config->peers[i].public_key, key, KEY_LENGTH))
            return &config->peers[i];
    return NULL;
}

static bool device_has(const struct device *device, const uint8_t key[KEY_LENGTH])
{
    for (size_t i = 0; device && i < device->peer_count; i++)
        if (!memcmp(device->peers[i].public_key, key, KEY_LENGTH))
            return device->peers[i].endpoint.family != 0;
    return false;
}

/* The file says of the endpoint what it said before, and the adapter has one: it may have moved on since. */
static bool endpoint_stays(const struct config *old, const struct device *device,
                           const struct config_peer *peer)
{
    const struct config_peer *before = find_peer(old, peer->public_key);
    return before && before->endpoint_host && before->endpoint_port == peer->endpoint_port &&
           !strcmp(before->endpoint_host, peer->endpoint_host) && device_has(device, peer->public_key);
}

/* `old` and `device`: NULL for a new adapter. */
static bool add_peers(struct change *change, const struct config *config, const struct config *old,
                      const struct device *device, tunnel_resolve *resolve, struct failure *failure)
{
    for (size_t i = 0; i < config->peer_count; i++) {
        const struct config_peer *from = &config->peers[i];
        struct peer_change *peer = change_add_peer(change, from->public_key);
        if (!peer || !peer_change_from_config(peer, from))
            return fail(failure, EXIT_REFUSED, "out of memory");
        peer->has_endpoint = from->endpoint_host && !endpoint_stays(old, device, from);
        if (peer->has_endpoint &&
            !resolve(from->endpoint_host, from->endpoint_port, &peer->endpoint, failure))
            return false;
    }
    return true;
}

static void take_interface(struct change *change, const struct config *config)
{
    change->has_private_key = true;
    memcpy(change->private_key, config->private_key, KEY_LENGTH);
    change->has_listen_port = true;
    change->listen_port = config->listen_port;
    change->replace_peers = true;
}

/* ---- MTU ---- */

/* false: no memory. */
static bool mtu_for(const struct tunnel *tunnel, const struct config *config, const struct change *change,
                    uint32_t *mtu)
{
    struct endpoint *endpoints = calloc(change->peer_count + 1, sizeof *endpoints);
    if (!endpoints)
        return false;
    for (size_t i = 0; i < change->peer_count; i++)
        if (change->peers[i].has_endpoint)
            endpoints[i] = change->peers[i].endpoint;
    *mtu = config->mtu ? config->mtu : mtu_automatic(&tunnel->luid, endpoints, change->peer_count);
    free(endpoints);
    return true;
}

/* ---- the whole ---- */

bool tunnel_create(struct tunnel *tunnel, const char *name, struct backend *backend, struct failure *failure)
{
    *tunnel = (struct tunnel){.backend = backend, .name = name};
    return backend->open(backend, name, &tunnel->luid, failure);
}

bool tunnel_configure(struct tunnel *tunnel, const struct config *config, tunnel_resolve *resolve,
                      struct failure *failure)
{
    static const struct plan nothing;
    struct change change = {0};
    struct plan plan;
    take_interface(&change, config);
    bool done = plan_make(&plan, config) || fail(failure, EXIT_REFUSED, "out of memory");
    done = done && add_peers(&change, config, NULL, NULL, resolve, failure) &&
           tunnel->backend->set(tunnel->backend, &change, failure);
    uint32_t mtu = 0;
    done = done && (mtu_for(tunnel, config, &change, &mtu) || fail(failure, EXIT_REFUSED, "out of memory"));
    change_free(&change);
    if (!done) {
        plan_free(&plan);
        return false;
    }
    /* Whatever of it is done is to be undone. */
    plan_free(&tunnel->plan);
    tunnel->plan = plan;
    tunnel->mtu = mtu;
    return (!tunnel->guard || tunnel->guard(tunnel->guard_context, failure)) &&
           network_change(&tunnel->luid, tunnel->name, &nothing, 0, &plan, mtu, failure) &&
           tunnel->backend->up(tunnel->backend, failure);
}

/* Two messages in one. */
static void add_failure(struct failure *failure, const struct failure *undoing)
{
    size_t used = strlen(failure->text);
    snprintf(failure->text + used, sizeof failure->text - used, "; and not all of it could be undone: %s",
             undoing->text);
}

bool tunnel_reconfigure(struct tunnel *tunnel, const struct config *old, const struct config *new,
                        tunnel_resolve *resolve, struct failure *failure)
{
    struct change change = {0};
    struct device device = {0};
    struct plan plan;
    struct failure undoing;
    struct backend *backend = tunnel->backend;
    take_interface(&change, new);
    bool done = plan_make(&plan, new) || fail(failure, EXIT_REFUSED, "out of memory");
    done = done && backend->get(backend, &device, failure) &&
           add_peers(&change, new, old, &device, resolve, failure);
    uint32_t mtu = tunnel->mtu;
    if (done && (new->mtu || old->mtu))
        done = mtu_for(tunnel, new, &change, &mtu) || fail(failure, EXIT_REFUSED, "out of memory");
    done = done && sync_difference(&change, &device, failure);
    if (done) {
        done = network_change(&tunnel->luid, tunnel->name, &tunnel->plan, tunnel->mtu, &plan, mtu, failure) &&
               backend->set(backend, &change, failure);
        if (!done &&
            !network_change(&tunnel->luid, tunnel->name, &plan, mtu, &tunnel->plan, tunnel->mtu, &undoing))
            add_failure(failure, &undoing);
    }
    if (done) {
        struct plan before = tunnel->plan;
        tunnel->plan = plan;
        tunnel->mtu = mtu;
        plan = before;
    }
    plan_free(&plan);
    change_free(&change);
    device_free(&device);
    return done;
}

bool tunnel_follow_mtu(struct tunnel *tunnel, const struct config *config, struct failure *failure)
{
    struct device device = {0};
    uint32_t mtu = tunnel->mtu;
    if (config->mtu)
        return true;
    bool done = tunnel->backend->get(tunnel->backend, &device, failure);
    struct endpoint *endpoints = done ? calloc(device.peer_count + 1, sizeof *endpoints) : NULL;
    if (done && !endpoints)
        done = fail(failure, EXIT_REFUSED, "out of memory");
    for (size_t i = 0; done && i < device.peer_count; i++)
        endpoints[i] = device.peers[i].endpoint;
    if (done)
        mtu = mtu_automatic(&tunnel->luid, endpoints, device.peer_count);
    done = done && network_change(&tunnel->luid, tunnel->name, &tunnel->plan, tunnel->mtu, &tunnel->plan, mtu,
                                  failure);
    if (done)
        tunnel->mtu = mtu;
    free(endpoints);
    device_free(&device);
    return done;
}

bool tunnel_repeat(struct tunnel *tunnel, struct failure *failure)
{
    static const struct plan nothing;
    return network_change(&tunnel->luid, tunnel->name, &nothing, 0, &tunnel->plan, tunnel->mtu, failure) &&
           tunnel->backend->up(tunnel->backend, failure);
}

void tunnel_close(struct tunnel *tunnel)
{
    /* What may outlive the interface; addresses and routes do not. */
    for (int i = 0; i < PLAN_FAMILIES; i++)
        if (tunnel->plan.families[i].has_dns)
            netio_set_dns(&tunnel->luid, i == PLAN_IPV4 ? 4 : 6, L"", L"");
    tunnel->backend->close(tunnel->backend);
    plan_free(&tunnel->plan);
}
