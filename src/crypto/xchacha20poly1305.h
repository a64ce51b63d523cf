/* XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): the AEAD with a random 192-bit nonce, for cookie replies
 * (white paper, 5.4.7).  Portable code, no workspace.  Any IRQL; time depends on lengths only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XCHACHA20POLY1305_KEY_BYTES   32
#define XCHACHA20POLY1305_NONCE_BYTES 24
#define XCHACHA20POLY1305_TAG_BYTES   16

/* As chacha20poly1305_seal. */
void xchacha20poly1305_seal(uint8_t *destination, const uint8_t *source, size_t source_length,
                            const uint8_t *aad, size_t aad_length,
                            const uint8_t nonce[XCHACHA20POLY1305_NONCE_BYTES],
                            const uint8_t key[XCHACHA20POLY1305_KEY_BYTES]);

/* As chacha20poly1305_open. */
bool xchacha20poly1305_open(uint8_t *destination, const uint8_t *source, size_t source_length,
                            const uint8_t *aad, size_t aad_length,
                            const uint8_t nonce[XCHACHA20POLY1305_NONCE_BYTES],
                            const uint8_t key[XCHACHA20POLY1305_KEY_BYTES]);

/* HChaCha20 (section 2.2 of the draft): derives a 32-byte subkey from a key and 16 bytes of nonce. */
void hchacha20(uint8_t subkey[32], const uint8_t nonce[16], const uint8_t key[32]);
