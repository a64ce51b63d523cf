/* The symmetric state of the Noise handshake (Noise Protocol Framework revision 34, section 5.2; white
 * paper 5.4: C and H): what handshake.c is written in. */
#pragma once

#include "protocol/constants.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOISE_HASH_BYTES 32

struct symmetric_state {
    uint8_t chaining_key[NOISE_HASH_BYTES];
    uint8_t hash[NOISE_HASH_BYTES];
};

/* C = HASH(protocol name), H = HASH(C || prologue). */
void symmetric_init(struct symmetric_state *state, const void *protocol_name, size_t name_length,
                    const void *prologue, size_t prologue_length);

/* H = HASH(H || data) */
void symmetric_mix_hash(struct symmetric_state *state, const void *data, size_t length);

/* C = KDF1(C, input) */
void symmetric_mix_chaining_key(struct symmetric_state *state, const uint8_t *input, size_t length);

/* (C, key) = KDF2(C, input) */
void symmetric_mix_key(struct symmetric_state *state, uint8_t key[32], const uint8_t *input, size_t length);

/* (C, t, key) = KDF3(C, psk); H = HASH(H || t) */
void symmetric_mix_psk(struct symmetric_state *state, uint8_t key[32],
                       const uint8_t preshared_key[PRESHARED_KEY_BYTES]);

/* C = KDF1(C, DH(private, public)).  False when the DH result is all zero; the state is then as before. */
bool symmetric_mix_dh(struct symmetric_state *state, const uint8_t private_key[PRIVATE_KEY_BYTES],
                      const uint8_t public_key[PUBLIC_KEY_BYTES]);

/* (C, key) = KDF2(C, DH(private, public)).  False as above; `key` is then not written. */
bool symmetric_mix_dh_key(struct symmetric_state *state, uint8_t key[32],
                          const uint8_t private_key[PRIVATE_KEY_BYTES],
                          const uint8_t public_key[PUBLIC_KEY_BYTES]);

/* Writes length + 16 bytes: AEAD(key, 0, plaintext, H); H = HASH(H || ciphertext).  No overlap. */
void symmetric_seal(struct symmetric_state *state, uint8_t *ciphertext, const uint8_t *plaintext,
                    size_t length, const uint8_t key[32]);

/* Reads ciphertext_length bytes, writes ciphertext_length - 16.  False when the tag is wrong or the text too
 * short; state and plaintext are then as before.  No overlap. */
bool symmetric_open(struct symmetric_state *state, uint8_t *plaintext, const uint8_t *ciphertext,
                    size_t ciphertext_length, const uint8_t key[32]);

/* (first, second) = KDF2(C, ""): the transport keys, initiator's sending key first. */
void symmetric_split(const struct symmetric_state *state, uint8_t first[32], uint8_t second[32]);
