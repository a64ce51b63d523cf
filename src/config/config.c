/* The reader of configuration files: lines, sections, keys; values are in config_value.c.  The text and every
 * copy of a key is wiped. */
#include "config.h"

#include "config_value.h"
#include "key_codec.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum section { SECTION_NONE, SECTION_INTERFACE, SECTION_PEER };

struct reader {
    enum config_kind kind;
    const char *file;
    char *error;
    size_t error_size;
    struct config *config;
    enum section section;
    bool seen_interface;
    size_t peer_capacity;
    unsigned line;
    const char *line_start;
    const char *key; /* name of the key being read, for messages */
};

struct span {
    const char *at;
    size_t length;
};

__attribute__((format(printf, 3, 4))) static bool fail(struct reader *reader, const char *at,
                                                       const char *format, ...)
{
    int length = snprintf(reader->error, reader->error_size, "%s:%u:%zu: ", reader->file, reader->line,
                          (size_t)(at - reader->line_start) + 1);
    if (length > 0 && (size_t)length < reader->error_size) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(reader->error + length, reader->error_size - (size_t)length, format, arguments);
        va_end(arguments);
    }
    return false;
}

/* `%.*s` of a value in a message: short, so that the advice after it stays visible. */
static int shown(struct span value)
{
    return value.length > 60 ? 60 : (int)value.length;
}

static bool fail_value(struct reader *reader, struct span value, const char *wanted)
{
    if (key_may_be_in(value.at, value.length)) /* a key in the wrong place stays a secret */
        return fail(reader, value.at,
                    "%s is not valid (its value, which may hold a key, is not repeated): use %s", reader->key,
                    wanted);
    return fail(reader, value.at, "%s \"%.*s\" is not valid: use %s", reader->key, shown(value), value.at,
                wanted);
}

static bool out_of_memory(struct reader *reader, const char *at)
{
    return fail(reader, at, "out of memory");
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static struct span trim(struct span text)
{
    while (text.length && is_blank(text.at[0])) {
        text.at++;
        text.length--;
    }
    while (text.length && is_blank(text.at[text.length - 1]))
        text.length--;
    return text;
}

/* ---- values ---- */

static bool read_key(struct reader *reader, struct span value, bool *has, uint8_t *key)
{
    if (*has)
        return fail(reader, value.at, "%s is given twice in this section: keep one", reader->key);
    if (!key_from_base64(key, value.at, value.length))
        return fail(reader, value.at,
                    "%s is not a key: want 44 base64 characters, as `wg genkey`, `wg pubkey` or `wg genpsk` "
                    "print them",
                    reader->key);
    *has = true;
    return true;
}

static bool read_number(struct reader *reader, struct span value, uint64_t minimum, uint64_t maximum,
                        uint64_t *number)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "a number from %llu to %llu", (unsigned long long)minimum,
             (unsigned long long)maximum);
    return value_number(value.at, value.length, minimum, maximum, number) ||
           fail_value(reader, value, wanted);
}

static bool add_string(struct reader *reader, struct config_strings *list, struct span value)
{
    char **items = reallocarray(list->items, list->count + 1, sizeof *items);
    if (!items)
        return out_of_memory(reader, value.at);
    list->items = items;
    items[list->count] = strndup(value.at, value.length);
    if (!items[list->count])
        return out_of_memory(reader, value.at);
    list->count++;
    return true;
}

static bool add_prefix(struct reader *reader, struct config_prefixes *list, struct span value)
{
    struct config_prefix prefix;
    if (!value_prefix(value.at, value.length, &prefix))
        return fail_value(reader, value, "an IPv4 or IPv6 address, or address/prefix length");
    if ((list->count & (list->count - 1)) == 0) { /* grows at the powers of two */
        struct config_prefix *items =
            reallocarray(list->items, list->count ? list->count * 2 : 1, sizeof *items);
        if (!items)
            return out_of_memory(reader, value.at);
        list->items = items;
    }
    list->items[list->count++] = prefix;
    return true;
}

static bool add_dns(struct reader *reader, struct span value)
{
    struct config_prefix prefix;
    if (!memchr(value.at, '/', value.length) && value_prefix(value.at, value.length, &prefix))
        return add_string(reader, &reader->config->dns_servers, value);
    bool named = false; /* digits and dots alone are an address with a mistake */
    for (size_t i = 0; i < value.length; i++)
        named = named || !strchr("0123456789.", value.at[i]);
    if (!named || !value_domain(value.at, value.length))
        return fail_value(reader, value, "the address of a server or the name of a search domain");
    return add_string(reader, &reader->config->dns_domains, value);
}

/* Calls `add` for each item of a comma-separated list. */
static bool read_list(struct reader *reader, struct span value,
                      bool (*add)(struct reader *, void *, struct span), void *context, bool may_be_empty)
{
    if (!value.length && may_be_empty)
        return true;
    for (;;) {
        const char *comma = memchr(value.at, ',', value.length);
        struct span item = trim((struct span){value.at, comma ? (size_t)(comma - value.at) : value.length});
        if (!item.length)
            return fail(reader, item.at, "%s has an empty item: remove the comma or fill it in", reader->key);
        if (!add(reader, context, item))
            return false;
        if (!comma)
            return true;
        value.length -= (size_t)(comma + 1 - value.at);
        value.at = comma + 1;
    }
}

static bool list_prefix(struct reader *reader, void *context, struct span item)
{
    return add_prefix(reader, context, item);
}

static bool list_dns(struct reader *reader, void *context, struct span item)
{
    (void)context;
    return add_dns(reader, item);
}

static bool read_table(struct reader *reader, struct span value)
{
    struct config *config = reader->config;
    uint64_t number;
    config->has_table = true;
    if (value_is(value.at, value.length, "auto")) {
        config->table = CONFIG_TABLE_AUTO;
    } else if (value_is(value.at, value.length, "off")) {
        config->table = CONFIG_TABLE_OFF;
    } else if (value_is(value.at, value.length, "main")) {
        config->table = CONFIG_TABLE_NUMBER;
        config->table_number = 254; /* RT_TABLE_MAIN */
    } else if (value_number(value.at, value.length, 1, UINT32_MAX, &number)) {
        config->table = CONFIG_TABLE_NUMBER;
        config->table_number = (uint32_t)number;
    } else {
        return fail_value(reader, value, "off, auto, main, or a table number from 1 to 4294967295");
    }
    return true;
}

static bool read_save(struct reader *reader, struct span value)
{
    struct config *config = reader->config;
    config->has_save = true;
    config->save = value_is(value.at, value.length, "true");
    return config->save || value_is(value.at, value.length, "false") ||
           fail_value(reader, value, "true or false");
}

static struct config_strings *hooks_of(struct config *config, const char *key)
{
    if (!strcmp(key, "PreUp"))
        return &config->pre_up;
    if (!strcmp(key, "PostUp"))
        return &config->post_up;
    if (!strcmp(key, "PreDown"))
        return &config->pre_down;
    return !strcmp(key, "PostDown") ? &config->post_down : NULL;
}

static bool read_hook(struct reader *reader, struct span value)
{
    if (!value.length)
        return fail(reader, value.at, "%s is empty: name a command or remove the line", reader->key);
    return add_string(reader, hooks_of(reader->config, reader->key), value);
}

/* ---- keys ---- */

/* The spelling of messages; keys in files are case-insensitive. */
static const char *const interface_keys[] = {"PrivateKey", "ListenPort", "FwMark", "Address", "DNS",
                                             "MTU",        "Table",      "PreUp",  "PostUp",  "PreDown",
                                             "PostDown",   "SaveConfig", NULL};
/* Those of [Interface] that describe the system around the adapter, not the adapter. */
static const char *const quick_keys[] = {"Address", "DNS",     "MTU",      "Table",      "PreUp",
                                         "PostUp",  "PreDown", "PostDown", "SaveConfig", NULL};
static const char *const peer_keys[] = {"PublicKey", "PresharedKey",        "AllowedIPs",
                                        "Endpoint",  "PersistentKeepalive", NULL};

static bool interface_value(struct reader *reader, struct span value)
{
    struct config *config = reader->config;
    const char *key = reader->key;
    uint64_t number;
    if (!strcmp(key, "PrivateKey"))
        return read_key(reader, value, &config->has_private_key, config->private_key);
    if (!strcmp(key, "ListenPort")) {
        if (!read_number(reader, value, 0, UINT16_MAX, &number))
            return false;
        config->has_listen_port = true;
        config->listen_port = (uint16_t)number;
        return true;
    }
    if (!strcmp(key, "FwMark")) {
        config->has_fwmark = true;
        return value_fwmark(value.at, value.length, &config->fwmark) ||
               fail_value(reader, value, "off, or a 32-bit number, decimal or hexadecimal with 0x");
    }
    if (!strcmp(key, "Address"))
        return read_list(reader, value, list_prefix, &config->addresses, true);
    if (!strcmp(key, "DNS"))
        return read_list(reader, value, list_dns, NULL, true);
    if (!strcmp(key, "MTU")) {
        if (!read_number(reader, value, 576, UINT16_MAX, &number))
            return false;
        config->mtu = (uint32_t)number;
        return true;
    }
    if (!strcmp(key, "Table"))
        return read_table(reader, value);
    if (!strcmp(key, "SaveConfig"))
        return read_save(reader, value);
    return read_hook(reader, value);
}

static bool peer_value(struct reader *reader, struct span value)
{
    struct config_peer *peer = &reader->config->peers[reader->config->peer_count - 1];
    const char *key = reader->key;
    uint64_t number = 0;
    if (!strcmp(key, "PublicKey"))
        return read_key(reader, value, &peer->has_public_key, peer->public_key);
    if (!strcmp(key, "PresharedKey"))
        return read_key(reader, value, &peer->has_preshared_key, peer->preshared_key);
    if (!strcmp(key, "AllowedIPs"))
        return read_list(reader, value, list_prefix, &peer->allowed_ips, true);
    if (!strcmp(key, "Endpoint")) {
        if (peer->endpoint_host)
            return fail(reader, value.at, "Endpoint is given twice in this section: keep one");
        return value_endpoint(value.at, value.length, &peer->endpoint_host, &peer->endpoint_port) ||
               fail_value(reader, value, "name:port, 192.0.2.1:port or [2001:db8::1]:port");
    }
    if (!value_is(value.at, value.length, "off") &&
        !value_number(value.at, value.length, 0, UINT16_MAX, &number))
        return fail_value(reader, value, "off, or seconds from 0 to 65535");
    peer->has_keepalive = true;
    peer->keepalive = (uint16_t)number;
    return true;
}

static const char *find_key(const char *const *keys, struct span name)
{
    for (; *keys; keys++)
        if (value_is(name.at, name.length, *keys))
            return *keys;
    return NULL;
}

/* ---- lines ---- */

static bool begin_peer(struct reader *reader, const char *at)
{
    struct config *config = reader->config;
    if (config->peer_count == reader->peer_capacity) {
        size_t capacity = reader->peer_capacity ? reader->peer_capacity * 2 : 4;
        struct config_peer *peers = calloc(capacity, sizeof *peers);
        if (!peers)
            return out_of_memory(reader, at);
        if (config->peers) {
            memcpy(peers, config->peers, config->peer_count * sizeof *peers);
            explicit_bzero(config->peers, config->peer_count * sizeof *peers);
            free(config->peers);
        }
        config->peers = peers;
        reader->peer_capacity = capacity;
    }
    config->peers[config->peer_count++] = (struct config_peer){.line = reader->line};
    return true;
}

/* The peer that ends here must have its key. */
static bool end_section(struct reader *reader)
{
    struct config *config = reader->config;
    if (reader->section != SECTION_PEER || config->peers[config->peer_count - 1].has_public_key)
        return true;
    snprintf(reader->error, reader->error_size, "%s:%u:1: this [Peer] has no PublicKey: add it", reader->file,
             config->peers[config->peer_count - 1].line);
    return false;
}

static bool read_section(struct reader *reader, struct span line)
{
    if (!end_section(reader))
        return false;
    if (value_is(line.at, line.length, "[Interface]")) {
        if (reader->seen_interface)
            return fail(reader, line.at, "a second [Interface] section: put its keys into the first");
        reader->seen_interface = true;
        reader->section = SECTION_INTERFACE;
        return true;
    }
    if (value_is(line.at, line.length, "[Peer]")) {
        reader->section = SECTION_PEER;
        return begin_peer(reader, line.at);
    }
    if (key_may_be_in(line.at, line.length))
        return fail(reader, line.at, "this section is not known: use [Interface] or [Peer]");
    return fail(reader, line.at, "section \"%.*s\" is not known: use [Interface] or [Peer]", shown(line),
                line.at);
}

static bool read_assignment(struct reader *reader, struct span line)
{
    const char *equals = memchr(line.at, '=', line.length);
    /* The line may be a key that lost its name, so it is not repeated in the message. */
    if (!equals)
        return fail(reader, line.at, "this is neither a section nor \"Key = value\": add the \"=\"");
    if (reader->section == SECTION_NONE)
        return fail(reader, line.at, "a key before the first section: start with [Interface]");
    struct span name = trim((struct span){line.at, (size_t)(equals - line.at)});
    struct span value = trim((struct span){equals + 1, line.length - (size_t)(equals + 1 - line.at)});
    bool interface = reader->section == SECTION_INTERFACE;
    reader->key = find_key(interface ? interface_keys : peer_keys, name);
    if (!reader->key) {
        const char *elsewhere = find_key(interface ? peer_keys : interface_keys, name);
        if (elsewhere)
            return fail(reader, line.at, "%s belongs into %s, not into %s", elsewhere,
                        interface ? "[Peer]" : "[Interface]", interface ? "[Interface]" : "[Peer]");
        /* A long name may be the text of a private key that lost its own name. */
        return fail(reader, line.at, "key \"%.*s\" is not known in %s: see %s",
                    name.length > 24 ? 3 : (int)name.length, name.length > 24 ? "..." : name.at,
                    interface ? "[Interface]" : "[Peer]",
                    reader->kind == CONFIG_QUICK ? "wg-quick(8)" : "wg(8)");
    }
    if (interface && reader->kind == CONFIG_WG && find_key(quick_keys, name))
        return fail(reader, line.at,
                    "%s is for wg-quick only: take it out (`wg-quick strip` prints a file without it)",
                    reader->key);
    return interface ? interface_value(reader, value) : peer_value(reader, value);
}

static bool read_line(struct reader *reader, struct span line)
{
    const char *nul = memchr(line.at, 0, line.length);
    if (nul)
        return fail(reader, nul, "a zero byte: this is not a text file");
    const char *comment = memchr(line.at, '#', line.length);
    if (comment)
        line.length = (size_t)(comment - line.at);
    line = trim(line);
    if (!line.length)
        return true;
    return line.at[0] == '[' ? read_section(reader, line) : read_assignment(reader, line);
}

static int compare_keys(const void *a, const void *b)
{
    const struct config_peer *const *left = a, *const *right = b;
    int order = memcmp((*left)->public_key, (*right)->public_key, CONFIG_KEY_LENGTH);
    return order ? order : (*left)->line<(*right)->line ? -1 : (*left)->line>(*right)->line;
}

/* Two peers with one key would silently become one. */
static bool check_peers(struct reader *reader)
{
    struct config *config = reader->config;
    struct config_peer **sorted = calloc(config->peer_count + 1, sizeof(*sorted));
    bool unique = true;
    if (!sorted) {
        snprintf(reader->error, reader->error_size, "%s: out of memory", reader->file);
        return false;
    }
    for (size_t i = 0; i < config->peer_count; i++)
        sorted[i] = &config->peers[i];
    qsort(sorted, config->peer_count, sizeof(*sorted), compare_keys);
    for (size_t i = 1; unique && i < config->peer_count; i++) {
        unique = memcmp(sorted[i - 1]->public_key, sorted[i]->public_key, CONFIG_KEY_LENGTH) != 0;
        if (!unique)
            snprintf(reader->error, reader->error_size,
                     "%s:%u:1: this [Peer] has the PublicKey of the one in line %u: merge them", reader->file,
                     sorted[i]->line, sorted[i - 1]->line);
    }
    free(sorted);
    return unique;
}

struct config *config_parse(const char *text, size_t length, enum config_kind kind, const char *file,
                            char *error, size_t error_size)
{
    struct reader reader = {.kind = kind, .file = file, .error = error, .error_size = error_size};
    reader.config = calloc(1, sizeof *reader.config);
    if (!reader.config) {
        snprintf(error, error_size, "%s: out of memory", file);
        return NULL;
    }
    const char *end = text + length;
    if (length >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3))
        text += 3; /* the byte order mark of Windows editors */
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        struct span line = {text, (size_t)((newline ? newline : end) - text)};
        reader.line++;
        reader.line_start = text;
        if (!read_line(&reader, line))
            goto refuse;
        text = newline ? newline + 1 : end;
    }
    if (!end_section(&reader) || !check_peers(&reader))
        goto refuse;
    if (kind == CONFIG_QUICK && !reader.seen_interface) {
        snprintf(error, error_size, "%s:1:1: there is no [Interface] section: add it", file);
        goto refuse;
    }
    return reader.config;
refuse:
    config_free(reader.config);
    return NULL;
}

static void free_strings(struct config_strings *list)
{
    for (size_t i = 0; i < list->count; i++) {
        explicit_bzero(list->items[i], strlen(list->items[i])); /* hooks may carry secrets */
        free(list->items[i]);
    }
    free(list->items);
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->peer_count; i++) {
        free(config->peers[i].endpoint_host);
        free(config->peers[i].allowed_ips.items);
    }
    if (config->peers)
        explicit_bzero(config->peers, config->peer_count * sizeof *config->peers);
    free(config->peers);
    free(config->addresses.items);
    free_strings(&config->dns_servers);
    free_strings(&config->dns_domains);
    free_strings(&config->pre_up);
    free_strings(&config->post_up);
    free_strings(&config->pre_down);
    free_strings(&config->post_down);
    explicit_bzero(config, sizeof *config);
    free(config);
}
