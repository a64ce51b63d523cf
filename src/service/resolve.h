/* Asks for the addresses of a name, IPv4 and IPv6 at once, on threads of its own: neither a slow resolver nor
 * one that never answers holds the caller up (Microsoft, "GetAddrInfoW", blocks without bound). */
#pragma once

#include "endpoint_policy.h"

#include <winsock2.h>

/* How long the other family is waited for once one has answered.  RFC 8305 section 3 has 50 ms for a
 * connection that a person waits for; an endpoint is chosen for minutes. */
#define RESOLVE_OTHER_MS 1000u
/* After that a question counts as not answered. */
#define RESOLVE_LONGEST_MS 20000u

struct resolve;

/* Starts; `event` is set whenever resolve_take() should be called.  NULL: no memory or threads. */
struct resolve *resolve_start(const char *host, uint16_t port, HANDLE event);
/* false: not yet; call again after `*wait_ms` at the latest.  true: it is over; `*count` addresses (0: there
 * was no answer, `*code` of Winsock says why), those of the family first that Windows prefers for this
 * machine as far as it says so: IPv6 (RFC 6724) unless it has none. */
bool resolve_take(struct resolve *resolve, struct endpoint addresses[ENDPOINT_ADDRESSES], size_t *count,
                  DWORD *code, uint32_t *wait_ms);
/* Lets go of it at once, answered or not; threads that still wait for the resolver end by themselves and set
 * no event after this.  NULL is allowed. */
void resolve_end(struct resolve *resolve);
