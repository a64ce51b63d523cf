/* The interface's own static key pair (white paper 5.4: S_priv, S_pub). */
#pragma once

#include "protocol/constants.h"
#include <stdbool.h>
#include <stdint.h>

/* Members are private except by the verbs below; complete so that callers can place it.
 *
 * Concurrency: identity_set/clear/copy-to exclude every other use of the same object.  All handshake
 * functions that take a `const struct identity *` may run at the same time with each other.  The intended use
 * is an identity under a reader-writer lock of the adapter (handshakes: shared; configuration: exclusive). */
struct identity {
    uint8_t private_key[PRIVATE_KEY_BYTES]; /* clamped */
    uint8_t public_key[PUBLIC_KEY_BYTES];
    bool present;
};

/* Starts without a key. */
void identity_init(struct identity *identity);

/* Clamps and takes over a private key and computes the public one (one X25519).  False when the key is all
 * zero (the configuration's word for "no key": use identity_clear) - the identity is then as before. */
bool identity_set(struct identity *identity, const uint8_t private_key[PRIVATE_KEY_BYTES]);

/* Erases the key pair. */
void identity_clear(struct identity *identity);

/* destination = source. */
void identity_copy(struct identity *destination, const struct identity *source);

/* True when `private_key`, once clamped, is the key the identity has (constant time). */
bool identity_equals_private_key(const struct identity *identity,
                                 const uint8_t private_key[PRIVATE_KEY_BYTES]);
