/* The other end of the `wg` socket: how `up` and `down` configure a running adapter. */
#pragma once

#include "config.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/* The address of a peer's endpoint after name resolution; family AF_UNSPEC when it has none. */
union endpoint_address {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

/* Resolves every peer's endpoint (tries again for a few seconds while the resolver says "try again").  A
 * malloc'ed array of config->peer_count, or NULL with `error`. */
union endpoint_address *endpoints_resolve(const struct config *config, char *error, size_t error_size);

/* Sends the whole configuration as one set that replaces what is there.  `fwmark`: 0 = none.  0, or -1 with
 * `error` filled. */
int wg_client_configure(const char *directory, const char *name, const struct config *config,
                        const union endpoint_address *endpoints, uint32_t fwmark, char *error,
                        size_t error_size);

/* Reads the running configuration and writes it to `path` (mode 0600, atomically), with the keys that only
 * the file knows taken from `old`.  0, or -1 with `error` filled. */
int wg_client_save(const char *directory, const char *name, const struct config *old, const char *path,
                   char *error, size_t error_size);
