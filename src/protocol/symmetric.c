/* The Noise symmetric state over BLAKE2s and ChaCha20-Poly1305.  Every key of the handshake is used once, so
 * the nonce is always 0. */
#include "protocol/symmetric.h"
#include "crypto/blake2s.h"
#include "crypto/chacha20poly1305.h"
#include "crypto/secure_memory.h"
#include "crypto/x25519.h"

static const uint8_t nonce_zero[CHACHA20POLY1305_NONCE_BYTES];

void symmetric_init(struct symmetric_state *state, const void *protocol_name, size_t name_length,
                    const void *prologue, size_t prologue_length)
{
    blake2s(state->chaining_key, NOISE_HASH_BYTES, protocol_name, name_length, NULL, 0);
    __builtin_memcpy(state->hash, state->chaining_key, NOISE_HASH_BYTES);
    symmetric_mix_hash(state, prologue, prologue_length);
}

void symmetric_mix_hash(struct symmetric_state *state, const void *data, size_t length)
{
    struct blake2s_state hash;
    blake2s_init(&hash, NOISE_HASH_BYTES);
    blake2s_update(&hash, state->hash, NOISE_HASH_BYTES);
    blake2s_update(&hash, data, length);
    blake2s_final(&hash, state->hash);
}

void symmetric_mix_chaining_key(struct symmetric_state *state, const uint8_t *input, size_t length)
{
    hkdf_blake2s(state->chaining_key, NULL, NULL, state->chaining_key, input, length);
}

void symmetric_mix_key(struct symmetric_state *state, uint8_t key[32], const uint8_t *input, size_t length)
{
    hkdf_blake2s(state->chaining_key, key, NULL, state->chaining_key, input, length);
}

void symmetric_mix_psk(struct symmetric_state *state, uint8_t key[32],
                       const uint8_t preshared_key[PRESHARED_KEY_BYTES])
{
    uint8_t temporary[NOISE_HASH_BYTES];
    hkdf_blake2s(state->chaining_key, temporary, key, state->chaining_key, preshared_key,
                 PRESHARED_KEY_BYTES);
    symmetric_mix_hash(state, temporary, sizeof(temporary));
    secure_zero(temporary, sizeof(temporary));
}

bool symmetric_mix_dh(struct symmetric_state *state, const uint8_t private_key[PRIVATE_KEY_BYTES],
                      const uint8_t public_key[PUBLIC_KEY_BYTES])
{
    uint8_t secret[X25519_KEY_BYTES];
    bool ok = x25519(secret, private_key, public_key);
    if (ok)
        symmetric_mix_chaining_key(state, secret, sizeof(secret));
    secure_zero(secret, sizeof(secret));
    return ok;
}

bool symmetric_mix_dh_key(struct symmetric_state *state, uint8_t key[32],
                          const uint8_t private_key[PRIVATE_KEY_BYTES],
                          const uint8_t public_key[PUBLIC_KEY_BYTES])
{
    uint8_t secret[X25519_KEY_BYTES];
    bool ok = x25519(secret, private_key, public_key);
    if (ok)
        symmetric_mix_key(state, key, secret, sizeof(secret));
    secure_zero(secret, sizeof(secret));
    return ok;
}

void symmetric_seal(struct symmetric_state *state, uint8_t *ciphertext, const uint8_t *plaintext,
                    size_t length, const uint8_t key[32])
{
    chacha20poly1305_seal(ciphertext, plaintext, length, state->hash, NOISE_HASH_BYTES, nonce_zero, key);
    symmetric_mix_hash(state, ciphertext, length + CHACHA20POLY1305_TAG_BYTES);
}

bool symmetric_open(struct symmetric_state *state, uint8_t *plaintext, const uint8_t *ciphertext,
                    size_t ciphertext_length, const uint8_t key[32])
{
    if (!chacha20poly1305_open(plaintext, ciphertext, ciphertext_length, state->hash, NOISE_HASH_BYTES,
                               nonce_zero, key))
        return false;
    symmetric_mix_hash(state, ciphertext, ciphertext_length);
    return true;
}

void symmetric_split(const struct symmetric_state *state, uint8_t first[32], uint8_t second[32])
{
    hkdf_blake2s(first, second, NULL, state->chaining_key, NULL, 0);
}
