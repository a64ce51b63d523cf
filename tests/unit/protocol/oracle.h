/* An independent handshake, written from the white paper over libcrypto's primitives: an observer who knows
 * all private keys computes both messages and the transport keys.  Shares no code with src/. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct oracle_handshake {
    /* in */
    uint8_t initiator_static[32], responder_static[32];       /* private, clamped */
    uint8_t initiator_ephemeral[32], responder_ephemeral[32]; /* private, clamped */
    uint8_t preshared_key[32];
    uint8_t timestamp[12];
    uint32_t initiator_index, responder_index;
    /* out; mac2 zero */
    uint8_t initiation[148], response[92];
    uint8_t initiator_sends[32], responder_sends[32];
};

void oracle_handshake_run(struct oracle_handshake *handshake);

/* MAC(key, input), the 16-byte keyed BLAKE2s */
void oracle_mac(uint8_t out[16], const uint8_t *key, size_t key_length, const void *input, size_t length);

/* HASH(first || second) */
void oracle_hash(uint8_t out[32], const void *first, size_t first_length, const void *second,
                 size_t second_length);

/* X25519 base point multiplication */
void oracle_public_key(uint8_t out[32], const uint8_t private_key[32]);
