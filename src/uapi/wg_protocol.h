/* The WireGuard cross-platform userspace protocol (wireguard.com/xplatform, "Configuration Protocol") as pure
 * translation: lines of a `set` become one SET buffer of wyrm/control.h, a GET buffer becomes the lines of
 * the answer.  No sockets, no driver: tested and fuzzed by itself. */
#pragma once

#include "secure_buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A `set` being read; zero-initialise, feed its lines, finish, then read the results, then free. */
struct wg_set {
    struct secure_buffer buffer; /* the SET buffer: interface, peers, allowed IPs */
    size_t peer_offset;          /* of the peer that lines refer to; 0 = none yet */
    bool has_fwmark;
    uint32_t fwmark;
};

/* One line "key=value" without its newline, not the empty one.  0, or a positive errno (EINVAL, ENOMEM,
 * E2BIG) after which the whole set is to be refused. */
int wg_set_line(struct wg_set *set, const char *line, size_t length);
/* After the last line: makes sure that the buffer holds at least the interface.  0 or ENOMEM. */
int wg_set_finish(struct wg_set *set);
void wg_set_free(struct wg_set *set);

/* Appends the answer to `get` without the final "errno=" line.  `config`: `length` bytes as GET returned
 * them. 0, ENOMEM, or EPROTO when the bytes are not what control.h says. */
int wg_get_format(struct secure_buffer *out, const uint8_t *config, size_t length, uint32_t fwmark);

/* The errno reported for an NTSTATUS of GET and SET; 0 for success and informational values. */
int wg_errno_of_status(int32_t status);
