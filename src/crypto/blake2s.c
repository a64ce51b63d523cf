/* BLAKE2s after RFC 7693, HMAC after RFC 2104, the white paper's KDFn.  Handshake speed is dominated by
 * X25519, so this is plain scalar code. */
#include "crypto/blake2s.h"

#include "crypto/bytes.h"
#include "crypto/secure_memory.h"

/* RFC 7693, section 2.6 */
static const uint32_t initialization_vector[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

/* RFC 7693, section 2.7 */
static const uint8_t sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static inline uint32_t rotate_right(uint32_t value, int bits)
{
    return value >> bits | value << (32 - bits);
}

static inline void mix(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d, uint32_t x, uint32_t y)
{
    *a += *b + x, *d = rotate_right(*d ^ *a, 16);
    *c += *d, *b = rotate_right(*b ^ *c, 12);
    *a += *b + y, *d = rotate_right(*d ^ *a, 8);
    *c += *d, *b = rotate_right(*b ^ *c, 7);
}

/* Function F of RFC 7693, section 3.2, over one block; counter_bytes already includes it. */
static void compress(struct blake2s_state *state, const uint8_t block[BLAKE2S_BLOCK_BYTES],
                     uint32_t final_mask)
{
    uint32_t m[16], v[16];
    for (int i = 0; i < 16; i++)
        m[i] = load_le32(block + 4 * i);
    for (int i = 0; i < 8; i++) {
        v[i] = state->h[i];
        v[8 + i] = initialization_vector[i];
    }
    v[12] ^= (uint32_t)state->counter_bytes;
    v[13] ^= (uint32_t)(state->counter_bytes >> 32);
    v[14] ^= final_mask;

#pragma clang loop unroll(full)
    for (int round = 0; round < 10; round++) {
        const uint8_t *s = sigma[round];
        mix(&v[0], &v[4], &v[8], &v[12], m[s[0]], m[s[1]]);
        mix(&v[1], &v[5], &v[9], &v[13], m[s[2]], m[s[3]]);
        mix(&v[2], &v[6], &v[10], &v[14], m[s[4]], m[s[5]]);
        mix(&v[3], &v[7], &v[11], &v[15], m[s[6]], m[s[7]]);
        mix(&v[0], &v[5], &v[10], &v[15], m[s[8]], m[s[9]]);
        mix(&v[1], &v[6], &v[11], &v[12], m[s[10]], m[s[11]]);
        mix(&v[2], &v[7], &v[8], &v[13], m[s[12]], m[s[13]]);
        mix(&v[3], &v[4], &v[9], &v[14], m[s[14]], m[s[15]]);
    }
    for (int i = 0; i < 8; i++)
        state->h[i] ^= v[i] ^ v[8 + i];
    secure_zero(m, sizeof m);
    secure_zero(v, sizeof v);
}

void blake2s_init_keyed(struct blake2s_state *state, size_t out_length, const uint8_t *key, size_t key_length)
{
    for (int i = 0; i < 8; i++)
        state->h[i] = initialization_vector[i];
    state->h[0] ^= 0x01010000 ^ (uint32_t)(key_length << 8) ^ (uint32_t)out_length;
    state->counter_bytes = 0;
    state->out_bytes = (uint32_t)out_length;
    state->buffered_bytes = 0;
    __builtin_memset(state->buffer, 0, sizeof state->buffer);
    if (key_length > 0) {
        __builtin_memcpy(state->buffer, key, key_length);
        state->buffered_bytes = BLAKE2S_BLOCK_BYTES;
    }
}

void blake2s_init(struct blake2s_state *state, size_t out_length)
{
    blake2s_init_keyed(state, out_length, NULL, 0);
}

/* Compresses a full buffer of which is known that it is not the last. */
static void compress_waiting(struct blake2s_state *state)
{
    state->counter_bytes += BLAKE2S_BLOCK_BYTES;
    compress(state, state->buffer, 0);
    state->buffered_bytes = 0;
}

void blake2s_update(struct blake2s_state *state, const void *input, size_t length)
{
    /* The last block is compressed with a flag, so a full buffer waits until more input shows that it is not
     * the last. */
    const uint8_t *bytes = input;
    while (length > 0) {
        if (state->buffered_bytes == BLAKE2S_BLOCK_BYTES)
            compress_waiting(state);
        size_t space = BLAKE2S_BLOCK_BYTES - state->buffered_bytes;
        size_t piece = length < space ? length : space;
        __builtin_memcpy(state->buffer + state->buffered_bytes, bytes, piece);
        state->buffered_bytes += (uint32_t)piece;
        bytes += piece;
        length -= piece;
    }
}

void blake2s_final(struct blake2s_state *state, uint8_t *out)
{
    uint8_t hash[BLAKE2S_HASH_BYTES];
    state->counter_bytes += state->buffered_bytes;
    __builtin_memset(state->buffer + state->buffered_bytes, 0, BLAKE2S_BLOCK_BYTES - state->buffered_bytes);
    compress(state, state->buffer, 0xffffffff);
    for (int i = 0; i < 8; i++)
        store_le32(hash + 4 * i, state->h[i]);
    __builtin_memcpy(out, hash, state->out_bytes);
    secure_zero(hash, sizeof hash);
    secure_zero(state, sizeof *state);
}

void blake2s(uint8_t *out, size_t out_length, const void *input, size_t input_length, const uint8_t *key,
             size_t key_length)
{
    struct blake2s_state state;
    blake2s_init_keyed(&state, out_length, key, key_length);
    blake2s_update(&state, input, input_length);
    blake2s_final(&state, out);
}

/* HMAC's two hashes when the padded key, a whole block, has gone in: what KDFn's steps have in common. */
struct hmac {
    struct blake2s_state inner, outer;
};

static void hmac_begin(struct hmac *hmac, const uint8_t *key, size_t key_length)
{
    uint8_t pad[BLAKE2S_BLOCK_BYTES] = {0};
    if (key_length > BLAKE2S_BLOCK_BYTES)
        blake2s(pad, BLAKE2S_HASH_BYTES, key, key_length, NULL, 0);
    else if (key_length > 0)
        __builtin_memcpy(pad, key, key_length);

    for (int i = 0; i < BLAKE2S_BLOCK_BYTES; i++)
        pad[i] ^= 0x36;
    blake2s_init(&hmac->inner, BLAKE2S_HASH_BYTES);
    blake2s_update(&hmac->inner, pad, sizeof pad);
    for (int i = 0; i < BLAKE2S_BLOCK_BYTES; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    blake2s_init(&hmac->outer, BLAKE2S_HASH_BYTES);
    blake2s_update(&hmac->outer, pad, sizeof pad);
    secure_zero(pad, sizeof pad);
}

/* Ends both hashes; erases them. */
static void hmac_end(struct hmac *hmac, uint8_t out[BLAKE2S_HASH_BYTES])
{
    uint8_t hash[BLAKE2S_HASH_BYTES];
    blake2s_final(&hmac->inner, hash);
    blake2s_update(&hmac->outer, hash, sizeof hash);
    blake2s_final(&hmac->outer, out);
    secure_zero(hash, sizeof hash);
}

void hmac_blake2s(uint8_t out[BLAKE2S_HASH_BYTES], const void *input, size_t input_length, const uint8_t *key,
                  size_t key_length)
{
    struct hmac hmac;
    hmac_begin(&hmac, key, key_length);
    blake2s_update(&hmac.inner, input, input_length);
    hmac_end(&hmac, out);
}

void hkdf_blake2s(uint8_t *first, uint8_t *second, uint8_t *third, const uint8_t key[BLAKE2S_HASH_BYTES],
                  const void *input, size_t input_length)
{
    uint8_t secret[BLAKE2S_HASH_BYTES], previous[BLAKE2S_HASH_BYTES];
    uint8_t *outputs[3] = {first, second, third};
    struct hmac begun;

    hmac_blake2s(secret, input, input_length, key, BLAKE2S_HASH_BYTES);
    hmac_begin(&begun, secret, sizeof secret);
    /* Input follows in every step: the key's blocks are hashed once for all. */
    compress_waiting(&begun.inner);
    compress_waiting(&begun.outer);
    for (uint8_t step = 1; step <= 3 && outputs[step - 1] != NULL; step++) {
        struct hmac hmac = begun;
        blake2s_update(&hmac.inner, previous, step == 1 ? 0 : sizeof previous);
        blake2s_update(&hmac.inner, &step, 1);
        hmac_end(&hmac, previous);
        __builtin_memcpy(outputs[step - 1], previous, sizeof previous);
    }
    secure_zero(&begun, sizeof begun);
    secure_zero(secret, sizeof secret);
    secure_zero(previous, sizeof previous);
}
