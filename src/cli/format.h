/* The ways an adapter is shown. */
#pragma once

#include "device.h"
#include "output.h"

#include <stdbool.h>

enum field {
    FIELD_PUBLIC_KEY,
    FIELD_PRIVATE_KEY,
    FIELD_LISTEN_PORT,
    FIELD_FWMARK,
    FIELD_PEERS,
    FIELD_PRESHARED_KEYS,
    FIELD_ENDPOINTS,
    FIELD_ALLOWED_IPS,
    FIELD_LATEST_HANDSHAKES,
    FIELD_TRANSFER,
    FIELD_PERSISTENT_KEEPALIVE,
    FIELD_DUMP,
    FIELD_ALL /* none was named */
};

/* FIELD_ALL: no such word. */
enum field field_of(const char *word);

/* One field, or the whole dump, in lines and tabs for scripts, byte for byte as `wg show` prints it. `named`:
 * every line begins with the adapter's name. */
void format_fields(struct output *output, const struct device *device, enum field field, bool named);

struct pretty {
    bool colours, show_keys;
    int64_t now; /* seconds since 1970 */
};
/* For people: the peers that spoke last come first. */
void format_pretty(struct output *output, const struct device *device, const struct pretty *pretty);

/* The text of a file for `setconf`. */
void format_conf(struct output *output, const struct device *device);

/* One adapter as a JSON object (RFC 8259). */
void format_json(struct output *output, const struct device *device, enum field field, bool show_keys);
/* A string with its quotation marks. */
void format_json_string(struct output *output, const char *text);
