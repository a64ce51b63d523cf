/* A tunnel's life in a process of its own, from its configuration's file to its end: started with patience,
 * reloaded, made anew when its adapter vanishes.  For the service, for `run` and for wyrm-tunnel.dll. */
#pragma once

#include "config.h"
#include "failure.h"
#include "tunnel.h"

#include "follow.h"
#include "names.h"
#include "protection.h"
#include "retry.h"

#include <stdbool.h>
#include <winsock2.h>

struct runner {
    const char *path; /* NAME.conf.dpapi, or NAME.conf; the caller's */
    char name[TUNNEL_NAME_BYTES];
    bool to_stderr;
    /* Told from the runner's thread; `context` is the caller's. */
    void (*progress)(void *context); /* still starting, every few seconds at least */
    void (*running)(void *context);
    void *context;

    /* Auto-reset events that anybody may set; runner_prepare() makes them. */
    HANDLE reload, resume;
    HANDLE stop; /* stays set */

    /* The runner's own. */
    HANDLE event; /* tunnel_event.h */
    struct config *config;
    struct tunnel tunnel;
    struct protection protection;
    struct follow follow;
    struct restarts restarts;
    bool open;
};

/* Takes the name out of the path and makes the events.  runner_release() in any case. */
bool runner_prepare(struct runner *runner, const char *path, struct failure *failure);
void runner_release(struct runner *runner);

/* From start to stop.  false: it failed, and `failure` has been logged. */
bool runner_run(struct runner *runner, struct failure *failure);
/* Instead of running: stores the configuration that is handed over (handover.h). */
bool runner_store(struct runner *runner, struct failure *failure);
