/* X25519 (RFC 7748): our Montgomery ladder over fiat-crypto's formally verified field arithmetic.  Any IRQL,
 * about 100,000 cycles and 1.5 KB of stack per call: keep it out of DPCs.  Constant time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define X25519_KEY_BYTES 32

/* out = scalar * point.  The scalar is clamped internally (RFC 7748, section 5).  False when the result is
 * all zero (point of low order): `out` is then zero and must not be used.  `out` may overlap the inputs. */
bool x25519(uint8_t out[X25519_KEY_BYTES], const uint8_t scalar[X25519_KEY_BYTES],
            const uint8_t point[X25519_KEY_BYTES]);

/* The public key of a private key: out = scalar * 9, by a table of the base point's multiples (about a third
 * of x25519's time). */
void x25519_base(uint8_t out[X25519_KEY_BYTES], const uint8_t scalar[X25519_KEY_BYTES]);

/* Clears and sets the bits that RFC 7748 section 5 prescribes, in place.  x25519 does this itself; for keys
 * that are shown to the user. */
void x25519_clamp(uint8_t scalar[X25519_KEY_BYTES]);
