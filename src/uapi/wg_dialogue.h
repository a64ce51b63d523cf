/* The dialogue of the WireGuard userspace protocol (wireguard.com/xplatform, "Configuration Protocol") on one
 * connection: commands are read, translated (wg_protocol.h), carried out by a back end, and answered. */
#pragma once

#include "wg_protocol.h"

/* Both return 0 or a positive errno. */
struct wg_backend {
    /* Appends the configuration and the counters as GET of wyrm/control.h lays them out. */
    int (*get)(void *context, struct secure_buffer *config, uint32_t *fwmark);
    /* Applies a finished set (wg_set_finish). */
    int (*set)(void *context, const struct wg_set *set);
};

/* Serves until the connection ends; the caller closes `fd`. */
void wg_dialogue(const struct wg_backend *backend, void *context, int fd);
