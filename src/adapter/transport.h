/* The way to the adapters: the one thing (with platform.h) that differs between systems.  transport_socket.c
 * speaks the WireGuard userspace protocol over Unix sockets; a back end for Windows would be another file
 * with these functions. */
#pragma once

#include "change.h"
#include "device.h"
#include "failure.h"

struct name_list {
    char **items;
    size_t count;
};

/* The names of all adapters that answer, sorted. */
bool transport_list(struct name_list *names, struct failure *failure);
void name_list_free(struct name_list *names);

/* Reads one adapter.  `device` is for device_free() in any case. */
bool transport_get(const char *name, struct device *device, struct failure *failure);
/* Sends a change as one request.  Whether a part of a refused one is applied is up to the adapter: wyrm.sys
 * in nthost takes all of it or nothing. */
bool transport_set(const char *name, const struct change *change, struct failure *failure);
