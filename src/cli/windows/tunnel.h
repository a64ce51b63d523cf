/* A tunnel from a configuration file on Windows: the adapter through wyrm.dll, addresses, routes, MTU and DNS
 * through win/netio.h.  It lives as long as the process that made it, whatever ends that. */
#pragma once

#include "config.h"
#include "failure.h"
#include "library.h"

struct tunnel {
    const struct library *library;
    WIREGUARD_ADAPTER_HANDLE adapter;
    NET_LUID luid;
    bool dns4, dns6; /* set, to be taken away */
};

/* All or nothing; what cannot be done is said in `failure`.  tunnel_close() follows only a success. */
bool tunnel_open(struct tunnel *tunnel, const char *name, const struct config *config,
                 struct failure *failure);
void tunnel_close(struct tunnel *tunnel);
