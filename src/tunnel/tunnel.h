/* A tunnel from a configuration file on Windows: the adapter through a back end (backend.h), addresses,
 * routes, MTU and DNS through network.h.  It lives as long as the process that made it, whatever ends that.
 */
#pragma once

#include "backend.h"
#include "config.h"
#include "failure.h"
#include "plan.h"

struct tunnel {
    struct backend *backend;
    const char *name; /* the caller's, as long as the tunnel */
    NET_LUID luid;
    struct plan plan; /* what the interface has been given */
    uint32_t mtu;
    /* Called by tunnel_configure() once the names of endpoints have been asked for and peers are set, before
     * anything leads into the tunnel; false: it fails.  NULL: nobody. */
    bool (*guard)(void *context, struct failure *failure);
    void *guard_context;
};

/* Asks for the address of a name; endpoint_resolve() is one. */
typedef bool tunnel_resolve(const char *host, uint16_t port, struct endpoint *endpoint,
                            struct failure *failure);

/* FILE.conf, or FILE.conf.dpapi: the tunnel has the file's name (UTF-8). */
bool tunnel_name_of(const char *file, char *name, size_t size, struct failure *failure);

/* The adapter, down and without anything.  tunnel_close() follows only a success. */
bool tunnel_create(struct tunnel *tunnel, const char *name, struct backend *backend, struct failure *failure);
/* Gives it all that the configuration says, and brings it up.  After a failure it is to be closed. */
bool tunnel_configure(struct tunnel *tunnel, const struct config *config, tunnel_resolve *resolve,
                      struct failure *failure);
/* From one configuration to another, by what differs: sessions of peers that stay live on, and an endpoint
 * that the file gives as before stays where its peer was heard last.  All or nothing. */
bool tunnel_reconfigure(struct tunnel *tunnel, const struct config *old, const struct config *new,
                        tunnel_resolve *resolve, struct failure *failure);
/* After a change of the network: another MTU if the ways to the endpoints have another one (mtu.h), unless
 * the configuration gives it. */
bool tunnel_follow_mtu(struct tunnel *tunnel, const struct config *config, struct failure *failure);
/* Gives the interface once more what it has been given; what is there stays. */
bool tunnel_repeat(struct tunnel *tunnel, struct failure *failure);
void tunnel_close(struct tunnel *tunnel);
