/* The process that makes a tunnel's interface and serves its socket: started, waited for, ended. */
#pragma once

#include "quick.h"
#include "state.h"

#include <stdbool.h>

/* Starts it, records it in the state, and waits until it serves the tunnel. false: said why. */
bool engine_start(const struct quick_options *options, struct state *state);
/* Ends it and waits until it and its interface are gone.  false: it had to be killed. */
bool engine_stop(const struct state *state);
