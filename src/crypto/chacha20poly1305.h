/* ChaCha20-Poly1305 (RFC 8439, section 2.8) of one contiguous message, for handshake messages: portable code,
 * no workspace.  Data packets use aead_batch.h.  Any IRQL; time depends on lengths only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHACHA20POLY1305_KEY_BYTES   32
#define CHACHA20POLY1305_NONCE_BYTES 12
#define CHACHA20POLY1305_TAG_BYTES   16

/* Writes `source_length` + 16 bytes (ciphertext, tag) to `destination`, which may be equal to `source` but
 * must not overlap it otherwise.  `aad` may be NULL when `aad_length` is 0, `source` when `source_length` is
 * 0. */
void chacha20poly1305_seal(uint8_t *destination, const uint8_t *source, size_t source_length,
                           const uint8_t *aad, size_t aad_length,
                           const uint8_t nonce[CHACHA20POLY1305_NONCE_BYTES],
                           const uint8_t key[CHACHA20POLY1305_KEY_BYTES]);

/* Verifies the tag in the last 16 of `source_length` bytes and writes `source_length` - 16 bytes of
 * plaintext. False (wrong tag, or source_length < 16): `destination` was not written.  Aliasing as above. */
bool chacha20poly1305_open(uint8_t *destination, const uint8_t *source, size_t source_length,
                           const uint8_t *aad, size_t aad_length,
                           const uint8_t nonce[CHACHA20POLY1305_NONCE_BYTES],
                           const uint8_t key[CHACHA20POLY1305_KEY_BYTES]);
