/* endpoint_resolve() that remembers its answers.  While the kill switch is on and the tunnel is not up,
 * nobody answers questions for names: an adapter that is made anew gets the addresses that were known before,
 * and the names are asked for again once it is up (follow.h).  Portable; one thread. */
#pragma once

#include "endpoint.h"

#include <stdbool.h>

/* true: what is remembered is not asked for. */
void recall_only(bool only);
/* A tunnel_resolve of tunnel.h; what does not resolve now is taken from memory. */
bool recall_resolve(const char *host, uint16_t port, struct endpoint *endpoint, struct failure *failure);
void recall_forget(void);
