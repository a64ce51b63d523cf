/* Configuration files in wg-quick's format (wg-quick(8), wg(8) "CONFIGURATION FILE FORMAT"), for `up` of
 * nthost and of the command-line tool; read strictly: everything is checked before anything is done. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_KEY_LENGTH 32

enum config_kind {
    CONFIG_QUICK, /* a whole tunnel: one [Interface] with the keys of wg-quick, and peers */
    CONFIG_WG /* what an adapter is told (wg(8)): keys of wg-quick are errors, [Interface] may be missing */
};

/* An address with its prefix length; host bits are kept as written. */
struct config_prefix {
    uint8_t family;    /* 4 or 6 */
    uint8_t length;    /* bits */
    uint8_t bytes[16]; /* network order, IPv4 in the first 4 */
};

struct config_prefixes {
    struct config_prefix *items;
    size_t count;
};

struct config_strings {
    char **items;
    size_t count;
};

enum config_table { CONFIG_TABLE_AUTO, CONFIG_TABLE_OFF, CONFIG_TABLE_NUMBER };

struct config_peer {
    unsigned line; /* of its [Peer] */
    bool has_public_key, has_preshared_key, has_keepalive;
    uint8_t public_key[CONFIG_KEY_LENGTH];
    uint8_t preshared_key[CONFIG_KEY_LENGTH];
    uint16_t keepalive;  /* seconds, 0 = off */
    char *endpoint_host; /* NULL: none.  An address without brackets, or a name */
    uint16_t endpoint_port;
    struct config_prefixes allowed_ips;
};

struct config {
    bool has_private_key, has_listen_port, has_fwmark, has_table, has_save, save;
    uint8_t private_key[CONFIG_KEY_LENGTH];
    uint16_t listen_port;
    uint32_t fwmark;
    uint32_t mtu; /* 0 = automatic */
    enum config_table table;
    uint32_t table_number; /* with CONFIG_TABLE_NUMBER */
    struct config_prefixes addresses;
    struct config_strings dns_servers, dns_domains;
    struct config_strings pre_up, post_up, pre_down, post_down;
    struct config_peer *peers;
    size_t peer_count;
};

/* Parses `length` bytes of text.  `file` is only named in messages.  NULL with `error` = "FILE:LINE:COLUMN:
 * what, which value, what to do" (never a key). */
struct config *config_parse(const char *text, size_t length, enum config_kind kind, const char *file,
                            char *error, size_t error_size);
/* The same from a file (config_file.c); "-" is standard input.  With CONFIG_WG it may be a pipe, too.  Warns
 * on stderr, in the name of `program`, when others than its owner can use it. */
struct config *config_load(const char *path, enum config_kind kind, const char *program, char *error,
                           size_t error_size);
/* Wipes and frees. */
void config_free(struct config *config);

/* The same with the host bits cleared, and what follows an IPv4 address. */
struct config_prefix config_prefix_network(const struct config_prefix *prefix);
/* "1.2.3.4/24" into text of at least CONFIG_PREFIX_TEXT bytes. `network`: with the host bits cleared. */
#define CONFIG_PREFIX_TEXT 64
void config_prefix_format(const struct config_prefix *prefix, bool network, char *text);

/* Whether Linux and the sockets' paths can take this interface name: 1..15 of [a-zA-Z0-9_=+.-], not "." or
 * "..". */
bool config_name_valid(const char *name);
