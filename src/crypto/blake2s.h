/* BLAKE2s (RFC 7693), HMAC over it (RFC 2104) and the white paper's KDFn (section 5.4, i.e. HKDF of RFC 5869
 * with an empty info).  Portable code.  Any IRQL; time depends on lengths only. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define BLAKE2S_BLOCK_BYTES 64
#define BLAKE2S_HASH_BYTES  32
#define BLAKE2S_KEY_MAX     32

/* An unfinished hash.  The members are private to blake2s.c; the struct is complete only so that callers can
 * place it.  May hold secrets: blake2s_final erases it, secure_zero does when a hash is given up. */
struct blake2s_state {
    uint32_t h[8];
    uint64_t counter_bytes;
    uint8_t buffer[BLAKE2S_BLOCK_BYTES];
    uint32_t buffered_bytes;
    uint32_t out_bytes;
};

/* Starts a hash of `out_length` bytes, 1..32. */
void blake2s_init(struct blake2s_state *state, size_t out_length);

/* Starts a keyed hash: out_length 1..32, key_length 1..32 (0 is the unkeyed hash). */
void blake2s_init_keyed(struct blake2s_state *state, size_t out_length, const uint8_t *key,
                        size_t key_length);

/* Appends input; may be called any number of times, also with length 0. */
void blake2s_update(struct blake2s_state *state, const void *input, size_t length);

/* Writes the hash, as many bytes as were asked for at the start, and erases the state. */
void blake2s_final(struct blake2s_state *state, uint8_t *out);

/* The whole in one call.  key_length 0: unkeyed (`key` may be NULL).  The white paper's MAC(key, input) is
 * this with out_length 16. */
void blake2s(uint8_t *out, size_t out_length, const void *input, size_t input_length, const uint8_t *key,
             size_t key_length);

/* HMAC-BLAKE2s (white paper: HMAC); any key length, keys above 64 bytes are hashed first.  `out` may overlap
 * the inputs. */
void hmac_blake2s(uint8_t out[BLAKE2S_HASH_BYTES], const void *input, size_t input_length, const uint8_t *key,
                  size_t key_length);

/* KDF1, KDF2, KDF3 of the white paper: outputs of 32 bytes each; the output that is NULL and those behind it
 * are not computed (`first` must be given).  `first` may be the same buffer as `key`. */
void hkdf_blake2s(uint8_t *first, uint8_t *second, uint8_t *third, const uint8_t key[BLAKE2S_HASH_BYTES],
                  const void *input, size_t input_length);
