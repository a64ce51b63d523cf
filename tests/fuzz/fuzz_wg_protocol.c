/* The wg front's text protocol, both directions: lines of a set become a buffer that has the layout of
 * control.h, and that buffer formats as the answer to a get; any bytes given as a configuration are formatted
 * or refused. */
#include "wg_protocol.h"

#include <wyrm/control.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void wrong(const char *what)
{
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

static void format(const uint8_t *config, size_t length)
{
    struct secure_buffer out = {0};
    int error = wg_get_format(&out, config, length, 0);
    if (error != 0 && error != EPROTO && error != ENOMEM)
        wrong("an unknown error of wg_get_format");
    secure_buffer_free(&out);
}

/* Interface, peers, allowed IPs, to the last byte. */
static void check_layout(const uint8_t *buffer, size_t length)
{
    struct wyrm_ioctl_interface interface;
    size_t at = sizeof interface;
    if (length < at)
        wrong("a finished set has no interface");
    memcpy(&interface, buffer, sizeof interface);
    for (uint32_t i = 0; i < interface.peers_count; i++) {
        struct wyrm_ioctl_peer peer;
        if (length - at < sizeof peer)
            wrong("a set ends in a peer");
        memcpy(&peer, buffer + at, sizeof peer);
        at += sizeof peer;
        if (!(peer.flags & WYRM_PEER_HAS_PUBLIC_KEY))
            wrong("a peer has no public key");
        if ((length - at) / sizeof(struct wyrm_ioctl_allowed_ip) < peer.allowed_ips_count)
            wrong("a set ends in an allowed IP");
        at += peer.allowed_ips_count * sizeof(struct wyrm_ioctl_allowed_ip);
    }
    if (at != length)
        wrong("a set has bytes behind its last peer");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wg_set set = {0};
    int error = 0;
    if (size && data[0] == 0) {
        format(data + 1, size - 1);
        return 0;
    }
    for (size_t at = 0; at < size && !error;) {
        const uint8_t *newline = memchr(data + at, '\n', size - at);
        size_t length = newline ? (size_t)(newline - data) - at : size - at;
        if (length)
            error = wg_set_line(&set, (const char *)data + at, length);
        at += length + 1;
    }
    if (!error && wg_set_finish(&set) == 0) {
        check_layout(set.buffer.data, set.buffer.length);
        format(set.buffer.data, set.buffer.length);
    }
    wg_set_free(&set);
    return 0;
}
