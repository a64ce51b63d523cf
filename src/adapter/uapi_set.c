/* See uapi.h: requests. */
#include "uapi.h"

#include "crypto/secure_memory.h"

#include <stdio.h>

static bool add_peer(struct secure_buffer *request, const struct peer_change *peer)
{
    bool done = secure_buffer_key_line(request, "public_key", peer->public_key);
    if (peer->remove)
        return done && secure_buffer_printf(request, "remove=true\n");
    if (peer->has_preshared_key)
        done = done && secure_buffer_key_line(request, "preshared_key", peer->preshared_key);
    if (peer->has_endpoint) {
        char text[ENDPOINT_TEXT];
        endpoint_format(&peer->endpoint, text);
        done = done && secure_buffer_printf(request, "endpoint=%s\n", text);
    }
    if (peer->has_keepalive)
        done = done && secure_buffer_printf(request, "persistent_keepalive_interval=%u\n", peer->keepalive);
    if (peer->replace_allowed_ips)
        done = done && secure_buffer_printf(request, "replace_allowed_ips=true\n");
    for (size_t i = 0; done && i < peer->prefix_count; i++) {
        char text[CONFIG_PREFIX_TEXT];
        config_prefix_format(&peer->prefixes[i].prefix, true, text);
        done = secure_buffer_printf(request, "allowed_ip=%s%s\n", peer->prefixes[i].remove ? "-" : "", text);
    }
    return done;
}

bool uapi_set_format(struct secure_buffer *request, const struct change *change)
{
    bool done = secure_buffer_printf(request, "set=1\n");
    if (change->has_private_key)
        done = done && secure_buffer_key_line(request, "private_key", change->private_key);
    if (change->has_listen_port)
        done = done && secure_buffer_printf(request, "listen_port=%u\n", change->listen_port);
    if (change->has_fwmark)
        done = done && secure_buffer_printf(request, "fwmark=%u\n", change->fwmark);
    if (change->replace_peers)
        done = done && secure_buffer_printf(request, "replace_peers=true\n");
    for (size_t i = 0; done && i < change->peer_count; i++)
        done = add_peer(request, &change->peers[i]);
    return done && secure_buffer_printf(request, "\n");
}
