/* XChaCha20-Poly1305: ChaCha20-Poly1305 under a subkey of the first 16 nonce bytes, with the other 8 as nonce
 * (draft-irtf-cfrg-xchacha-03, section 2.3). */
#include "crypto/xchacha20poly1305.h"

#include "crypto/chacha20poly1305.h"
#include "crypto/secure_memory.h"

static void derive(uint8_t subkey[32], uint8_t inner_nonce[12], const uint8_t nonce[24],
                   const uint8_t key[32])
{
    hchacha20(subkey, nonce, key);
    __builtin_memset(inner_nonce, 0, 4);
    __builtin_memcpy(inner_nonce + 4, nonce + 16, 8);
}

void xchacha20poly1305_seal(uint8_t *destination, const uint8_t *source, size_t source_length,
                            const uint8_t *aad, size_t aad_length,
                            const uint8_t nonce[XCHACHA20POLY1305_NONCE_BYTES],
                            const uint8_t key[XCHACHA20POLY1305_KEY_BYTES])
{
    uint8_t subkey[32], inner_nonce[12];
    derive(subkey, inner_nonce, nonce, key);
    chacha20poly1305_seal(destination, source, source_length, aad, aad_length, inner_nonce, subkey);
    secure_zero(subkey, sizeof subkey);
}

bool xchacha20poly1305_open(uint8_t *destination, const uint8_t *source, size_t source_length,
                            const uint8_t *aad, size_t aad_length,
                            const uint8_t nonce[XCHACHA20POLY1305_NONCE_BYTES],
                            const uint8_t key[XCHACHA20POLY1305_KEY_BYTES])
{
    uint8_t subkey[32], inner_nonce[12];
    derive(subkey, inner_nonce, nonce, key);
    bool authentic =
        chacha20poly1305_open(destination, source, source_length, aad, aad_length, inner_nonce, subkey);
    secure_zero(subkey, sizeof subkey);
    return authentic;
}
