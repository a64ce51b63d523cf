/* See format.h: what scripts read. */
#include "format.h"

#include <string.h>

static const char *const words[] = {"public-key",
                                    "private-key",
                                    "listen-port",
                                    "fwmark",
                                    "peers",
                                    "preshared-keys",
                                    "endpoints",
                                    "allowed-ips",
                                    "latest-handshakes",
                                    "transfer",
                                    "persistent-keepalive",
                                    "dump"};

enum field field_of(const char *word)
{
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(word, words[i]))
            return (enum field)i;
    return FIELD_ALL;
}

static void fwmark(struct output *output, uint32_t mark)
{
    if (mark)
        output_text(output, "0x%x", mark);
    else
        output_text(output, "off");
}

static void endpoint(struct output *output, const struct endpoint *endpoint)
{
    char text[ENDPOINT_TEXT] = "(none)";
    if (endpoint->family)
        endpoint_format(endpoint, text);
    output_text(output, "%s", text);
}

static void allowed_ips(struct output *output, const struct config_prefixes *list, char separator)
{
    char text[CONFIG_PREFIX_TEXT];
    if (!list->count)
        output_text(output, "(none)");
    for (size_t i = 0; i < list->count; i++) {
        config_prefix_format(&list->items[i], false, text);
        if (i)
            output_text(output, "%c", separator);
        output_text(output, "%s", text);
    }
}

static void keepalive(struct output *output, uint16_t seconds)
{
    if (seconds)
        output_text(output, "%u", seconds);
    else
        output_text(output, "off");
}

/* What follows the public key. */
static void peer_field(struct output *output, const struct device_peer *peer, enum field field)
{
    if (field != FIELD_PEERS)
        output_text(output, "\t");
    switch (field) {
    case FIELD_PRESHARED_KEYS:
        output_key(output, peer->preshared_key);
        break;
    case FIELD_ENDPOINTS:
        endpoint(output, &peer->endpoint);
        break;
    case FIELD_ALLOWED_IPS:
        allowed_ips(output, &peer->allowed_ips, ' ');
        break;
    case FIELD_LATEST_HANDSHAKES:
        output_text(output, "%lld", (long long)peer->handshake_seconds);
        break;
    case FIELD_TRANSFER:
        output_text(output, "%llu\t%llu", (unsigned long long)peer->rx_bytes,
                    (unsigned long long)peer->tx_bytes);
        break;
    case FIELD_PERSISTENT_KEEPALIVE:
        keepalive(output, peer->keepalive);
        break;
    case FIELD_DUMP:
        output_key(output, peer->preshared_key);
        output_text(output, "\t");
        endpoint(output, &peer->endpoint);
        output_text(output, "\t");
        allowed_ips(output, &peer->allowed_ips, ',');
        output_text(output, "\t%lld\t%llu\t%llu\t", (long long)peer->handshake_seconds,
                    (unsigned long long)peer->rx_bytes, (unsigned long long)peer->tx_bytes);
        keepalive(output, peer->keepalive);
        break;
    default:
        break;
    }
    output_text(output, "\n");
}

static void interface_field(struct output *output, const struct device *device, enum field field)
{
    switch (field) {
    case FIELD_PUBLIC_KEY:
        output_key(output, device->public_key);
        break;
    case FIELD_PRIVATE_KEY:
        output_key(output, device->private_key);
        break;
    case FIELD_LISTEN_PORT:
        output_text(output, "%u", device->listen_port);
        break;
    case FIELD_FWMARK:
        fwmark(output, device->fwmark);
        break;
    default: /* FIELD_DUMP */
        output_key(output, device->private_key);
        output_text(output, "\t");
        output_key(output, device->public_key);
        output_text(output, "\t%u\t", device->listen_port);
        fwmark(output, device->fwmark);
        break;
    }
    output_text(output, "\n");
}

void format_fields(struct output *output, const struct device *device, enum field field, bool named)
{
    if (field < FIELD_PEERS || field == FIELD_DUMP) {
        if (named)
            output_text(output, "%s\t", device->name);
        interface_field(output, device, field);
    }
    if (field < FIELD_PEERS)
        return;
    for (size_t i = 0; i < device->peer_count; i++) {
        if (named)
            output_text(output, "%s\t", device->name);
        output_key(output, device->peers[i].public_key);
        peer_field(output, &device->peers[i], field);
    }
}
