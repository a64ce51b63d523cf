/* See format.h: JSON.  Numbers are integers of up to 64 bits. */
#include "format.h"

#include <stdio.h>

/* Bytes of the UTF-8 sequence that begins here (RFC 3629, section 4); 0: none does.  Ends at a zero byte. */
static unsigned utf8_length(const unsigned char *at)
{
    /* The least and the greatest second byte keep out long forms, surrogates, and what is beyond U+10FFFF. */
    unsigned char least = at[0] == 0xE0   ? 0xA0
                          : at[0] == 0xF0 ? 0x90
                                          : 0x80,
                  greatest = at[0] == 0xED   ? 0x9F
                             : at[0] == 0xF4 ? 0x8F
                                             : 0xBF;
    unsigned length = at[0] < 0x80                     ? 1
                      : at[0] >= 0xC2 && at[0] <= 0xDF ? 2
                      : at[0] >= 0xE0 && at[0] <= 0xEF ? 3
                      : at[0] >= 0xF0 && at[0] <= 0xF4 ? 4
                                                       : 0;
    if (length > 1 && (at[1] < least || at[1] > greatest))
        return 0;
    for (unsigned i = 2; i < length; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

void format_json_string(struct output *output, const char *text)
{
    output_text(output, "\"");
    while (*text) {
        unsigned char c = (unsigned char)*text;
        unsigned length = utf8_length((const unsigned char *)text);
        if (c == '"' || c == '\\')
            output_text(output, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            output_text(output, "\\u%04x", c);
        else if (!length) /* of a name, or of a message cut within a character: JSON must be UTF-8 */
            output_text(output, "\\ufffd");
        else
            output_text(output, "%.*s", (int)length, text);
        text += length ? length : 1;
    }
    output_text(output, "\"");
}

static void key_or_null(struct output *output, const char *name, const uint8_t *key)
{
    bool none = key_is_zero(key);
    output_text(output, ",\"%s\":%s", name, none ? "null" : "\"");
    if (!none) {
        output_key(output, key);
        output_text(output, "\"");
    }
}

/* Whether it is there is no secret. */
static void secret(struct output *output, const char *name, const uint8_t *key, bool show)
{
    output_text(output, ",\"has_%s\":%s", name, key_is_zero(key) ? "false" : "true");
    if (show)
        key_or_null(output, name, key);
}

static void peer_object(struct output *output, const struct device_peer *peer, enum field field,
                        bool show_keys)
{
    bool all = field == FIELD_ALL || field == FIELD_DUMP;
    output_text(output, "{\"public_key\":\"");
    output_key(output, peer->public_key);
    output_text(output, "\"");
    if (all || field == FIELD_PRESHARED_KEYS)
        secret(output, "preshared_key", peer->preshared_key, show_keys || !(field == FIELD_ALL));
    if (all || field == FIELD_ENDPOINTS) {
        char text[ENDPOINT_TEXT];
        output_text(output, ",\"endpoint\":");
        if (peer->endpoint.family) {
            endpoint_format(&peer->endpoint, text);
            format_json_string(output, text);
        } else {
            output_text(output, "null");
        }
    }
    if (all || field == FIELD_ALLOWED_IPS) {
        output_text(output, ",\"allowed_ips\":[");
        for (size_t i = 0; i < peer->allowed_ips.count; i++) {
            char text[CONFIG_PREFIX_TEXT];
            config_prefix_format(&peer->allowed_ips.items[i], false, text);
            output_text(output, "%s\"%s\"", i ? "," : "", text);
        }
        output_text(output, "]");
    }
    if (all || field == FIELD_LATEST_HANDSHAKES)
        output_text(output, ",\"latest_handshake\":%lld", (long long)peer->handshake_seconds);
    if (all || field == FIELD_TRANSFER)
        output_text(output, ",\"rx_bytes\":%llu,\"tx_bytes\":%llu", (unsigned long long)peer->rx_bytes,
                    (unsigned long long)peer->tx_bytes);
    if (all || field == FIELD_PERSISTENT_KEEPALIVE)
        output_text(output, ",\"persistent_keepalive\":%u", peer->keepalive);
    output_text(output, "}");
}

void format_json(struct output *output, const struct device *device, enum field field, bool show_keys)
{
    bool all = field == FIELD_ALL || field == FIELD_DUMP;
    output_text(output, "{\"name\":");
    format_json_string(output, device->name);
    if (all || field == FIELD_PUBLIC_KEY)
        key_or_null(output, "public_key", device->public_key);
    if (all || field == FIELD_PRIVATE_KEY)
        secret(output, "private_key", device->private_key, show_keys || !(field == FIELD_ALL));
    if (all || field == FIELD_LISTEN_PORT)
        output_text(output, ",\"listen_port\":%u", device->listen_port);
    if (all || field == FIELD_FWMARK)
        output_text(output, ",\"fwmark\":%u", device->fwmark);
    if (all || field >= FIELD_PEERS) {
        output_text(output, ",\"peers\":[");
        for (size_t i = 0; i < device->peer_count; i++) {
            if (i)
                output_text(output, ",");
            peer_object(output, &device->peers[i], field, show_keys);
        }
        output_text(output, "]");
    }
    output_text(output, "}");
}
