/* See format.h: the text of a configuration file. */
#include "format.h"

static void peer_section(struct output *output, const struct device_peer *peer)
{
    char text[CONFIG_PREFIX_TEXT > ENDPOINT_TEXT ? CONFIG_PREFIX_TEXT : ENDPOINT_TEXT];
    output_text(output, "[Peer]\nPublicKey = ");
    output_key(output, peer->public_key);
    output_text(output, "\n");
    if (!key_is_zero(peer->preshared_key)) {
        output_text(output, "PresharedKey = ");
        output_key(output, peer->preshared_key);
        output_text(output, "\n");
    }
    for (size_t i = 0; i < peer->allowed_ips.count; i++) {
        config_prefix_format(&peer->allowed_ips.items[i], false, text);
        output_text(output, "%s%s", i ? ", " : "AllowedIPs = ", text);
    }
    if (peer->allowed_ips.count)
        output_text(output, "\n");
    if (peer->endpoint.family) {
        endpoint_format(&peer->endpoint, text);
        output_text(output, "Endpoint = %s\n", text);
    }
    if (peer->keepalive)
        output_text(output, "PersistentKeepalive = %u\n", peer->keepalive);
}

void format_conf(struct output *output, const struct device *device)
{
    output_text(output, "[Interface]\n");
    if (device->listen_port)
        output_text(output, "ListenPort = %u\n", device->listen_port);
    if (device->fwmark)
        output_text(output, "FwMark = 0x%x\n", device->fwmark);
    if (!key_is_zero(device->private_key)) {
        output_text(output, "PrivateKey = ");
        output_key(output, device->private_key);
        output_text(output, "\n");
    }
    output_text(output, "\n");
    for (size_t i = 0; i < device->peer_count; i++) {
        if (i)
            output_text(output, "\n");
        peer_section(output, &device->peers[i]);
    }
}
