/* A tunnel from a configuration file, as wg-quick(8) describes it: for `wyrm up` and `nthost up`.  All of it
 * is checked before anything is done; whatever fails later, what was done is undone.  Failures are told
 * through say.h.  Root only; not for several threads. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* The same numbers as the exit statuses of `wyrm` (docs/cli.md). */
enum quick_result {
    QUICK_DONE = 0,
    QUICK_FAILED = 1,
    QUICK_USAGE = 2,   /* not the name of a tunnel */
    QUICK_INVALID = 3, /* the configuration is not valid */
    QUICK_NOT_PERMITTED = 5
};

struct quick_options {
    /* What makes the interface and serves its socket, a vector that ends with NULL; "%i" alone is the
     * tunnel's name. */
    const char *const *engine;
    const char *driver; /* a file that the engine needs, to be checked first; NULL = none */
    /* The engine stays in the foreground and writes "ready" to descriptor 3.  Otherwise it is one as wg-quick
     * starts them: asked by WG_PROCESS_FOREGROUND=1 to stay, it may yet go to the background. */
    bool reports_ready;
    /* `up` of what is up, and `down` of what is not, are done with nothing to do. */
    bool idempotent;
    const char *control_dir; /* of its sockets, NULL = /var/run/wireguard */
};

/* `operand`: FILE.conf, or NAME for /etc/wireguard/NAME.conf. `name` (16 bytes) gets the interface's. */
enum quick_result quick_up(const struct quick_options *options, const char *operand, char *name);
enum quick_result quick_down(const struct quick_options *options, const char *operand, char *name);
