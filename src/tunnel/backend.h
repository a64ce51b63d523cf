/* What serves a tunnel's adapter: the driver (backend_driver.c), or the user-space engine
 * (src/service/engine.c). */
#pragma once

#include "change.h"
#include "device.h"
#include "failure.h"
#include "library.h"

#include <winsock2.h>
#include <ws2tcpip.h>

#include <iphlpapi.h>

struct backend {
    /* Makes the adapter; close() follows only a success. */
    bool (*open)(struct backend *backend, const char *name, NET_LUID *luid, struct failure *failure);
    bool (*get)(struct backend *backend, struct device *device, struct failure *failure);
    /* All or nothing. */
    bool (*set)(struct backend *backend, const struct change *change, struct failure *failure);
    bool (*up)(struct backend *backend, struct failure *failure);
    /* Whether the adapter is still there. */
    bool (*alive)(struct backend *backend);
    /* Ends the adapter, and its addresses and routes with it. */
    void (*close)(struct backend *backend);
    const char *name; /* of the adapter: the caller's of open() */
    HANDLE process;   /* of an engine: signaled when it has died; NULL: none */
};

/* The driver, through wyrm.dll.  One in a process.  `logger` gets what DLL and driver say, on any thread;
 * NULL: nobody does. */
struct backend *backend_driver(WIREGUARD_LOGGER_CALLBACK logger);
