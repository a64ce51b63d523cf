/* ChaCha20's block function (RFC 8439, section 2.3) in portable code, for single short messages and for
 * subkeys. Internal to src/crypto. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CHACHA20_BLOCK_BYTES 64

/* "expand 32-byte k" */
#define CHACHA20_CONSTANT_0 0x61707865u
#define CHACHA20_CONSTANT_1 0x3320646eu
#define CHACHA20_CONSTANT_2 0x79622d32u
#define CHACHA20_CONSTANT_3 0x6b206574u

/* The keystream block with number `counter`. */
void chacha20_block(uint8_t out[CHACHA20_BLOCK_BYTES], const uint8_t key[32], uint32_t counter,
                    const uint8_t nonce[12]);

/* Encrypts or decrypts `length` bytes, starting with keystream block `counter`.  In place or not. */
void chacha20_xor(uint8_t *destination, const uint8_t *source, size_t length, const uint8_t key[32],
                  uint32_t counter, const uint8_t nonce[12]);
