/* The AEAD of RFC 8439, section 2.8, for one contiguous message, over the portable ChaCha20. */
#include "crypto/chacha20poly1305.h"

#include "crypto/chacha20.h"
#include "crypto/poly1305.h"
#include "crypto/secure_memory.h"

static void compute_tag(uint8_t tag[16], const uint8_t *ciphertext, size_t length, const uint8_t *aad,
                        size_t aad_length, const uint8_t nonce[12], const uint8_t key[32])
{
    uint8_t block[CHACHA20_BLOCK_BYTES];
    struct poly1305_state poly;
    chacha20_block(block, key, 0, nonce);
    poly1305_init(&poly, block);
    poly1305_padded(&poly, aad, aad_length);
    poly1305_padded(&poly, ciphertext, length);
    poly1305_lengths(&poly, aad_length, length);
    poly1305_final(&poly, tag);
    secure_zero(block, sizeof block);
    secure_zero(&poly, sizeof poly);
}

void chacha20poly1305_seal(uint8_t *destination, const uint8_t *source, size_t source_length,
                           const uint8_t *aad, size_t aad_length,
                           const uint8_t nonce[CHACHA20POLY1305_NONCE_BYTES],
                           const uint8_t key[CHACHA20POLY1305_KEY_BYTES])
{
    chacha20_xor(destination, source, source_length, key, 1, nonce);
    compute_tag(destination + source_length, destination, source_length, aad, aad_length, nonce, key);
}

bool chacha20poly1305_open(uint8_t *destination, const uint8_t *source, size_t source_length,
                           const uint8_t *aad, size_t aad_length,
                           const uint8_t nonce[CHACHA20POLY1305_NONCE_BYTES],
                           const uint8_t key[CHACHA20POLY1305_KEY_BYTES])
{
    if (source_length < CHACHA20POLY1305_TAG_BYTES)
        return false;
    size_t length = source_length - CHACHA20POLY1305_TAG_BYTES;
    uint8_t tag[CHACHA20POLY1305_TAG_BYTES];
    compute_tag(tag, source, length, aad, aad_length, nonce, key);
    bool authentic = secure_equal(tag, source + length, sizeof tag);
    secure_zero(tag, sizeof tag);
    if (authentic)
        chacha20_xor(destination, source, length, key, 1, nonce);
    return authentic;
}
