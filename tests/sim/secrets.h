/* Every key that the scenario knows of, and the search for those that should be gone from the driver's
 * memory. */
#pragma once

#include "world.h"

enum secret_kind {
    SECRET_PRIVATE_KEY = 1u << 0,
    SECRET_PRESHARED_KEY = 1u << 1,
    SECRET_SESSION_KEY = 1u << 2,
    SECRET_ANY = ~0u,
};

/* Of adapter end `node`, about the peer at end `peer` (END_ANY: the adapter's own). Known keys are not noted
 * twice. */
void secret_note(enum secret_kind kind, uint8_t node, uint8_t peer, const uint8_t key[32]);

/* None of these is in memory.  `peer` END_ANY: all peers.  `before_ns`: only what was noted before then.
 * Violation "secret-in-memory". From the scenario's thread only. */
void secrets_expect_gone(unsigned kinds, uint8_t node, uint8_t peer, uint64_t before_ns, const char *why);

/* How many of these are in memory: to be sure that the search finds any. */
unsigned secrets_found(unsigned kinds, uint8_t node, uint8_t peer);
void secrets_reset(void);
