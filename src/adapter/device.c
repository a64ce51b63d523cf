/* See device.h. */
#include "device.h"

#include "crypto/secure_memory.h"

#include <stdlib.h>
#include <string.h>

struct device_peer *device_add_peer(struct device *device)
{
    if (device->peer_count == device->peer_capacity) {
        size_t capacity = device->peer_capacity ? device->peer_capacity * 2 : 4;
        struct device_peer *peers = calloc(capacity, sizeof *peers); /* realloc may leave keys behind */
        if (!peers)
            return NULL;
        if (device->peers) {
            memcpy(peers, device->peers, device->peer_count * sizeof *peers);
            secure_zero(device->peers, device->peer_count * sizeof *peers);
            free(device->peers);
        }
        device->peers = peers;
        device->peer_capacity = capacity;
    }
    return &device->peers[device->peer_count++];
}

bool device_peer_add_prefix(struct device_peer *peer, const struct config_prefix *prefix)
{
    struct config_prefixes *list = &peer->allowed_ips;
    if (list->count == peer->allowed_ips_capacity) {
        size_t capacity = list->count ? list->count * 2 : 2;
        struct config_prefix *items = realloc(list->items, capacity * sizeof *items);
        if (!items)
            return false;
        list->items = items;
        peer->allowed_ips_capacity = capacity;
    }
    list->items[list->count++] = *prefix;
    return true;
}

void device_free(struct device *device)
{
    for (size_t i = 0; i < device->peer_count; i++)
        free(device->peers[i].allowed_ips.items);
    if (device->peers)
        secure_zero(device->peers, device->peer_count * sizeof *device->peers);
    free(device->peers);
    secure_zero(device, sizeof *device);
}
