/* floor-aead: one pass of libcrypto's ChaCha20-Poly1305 per packet.  The contexts are keyed once; for each
 * packet only the nonce is set, which is the fastest way that the EVP interface offers.  The key is all zero:
 * this measures, it protects nothing. */
#include "floor.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

const bool seals = true;
static EVP_CIPHER_CTX *sealing, *opening;

static void nonce_of(uint8_t nonce[12], uint64_t counter)
{
    memset(nonce, 0, 4);
    memcpy(nonce + 4, &counter, 8);
}

bool seal_open(void)
{
    static const uint8_t key[32], nonce[12];
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);

    sealing = EVP_CIPHER_CTX_new();
    opening = EVP_CIPHER_CTX_new();
    if (!cipher || !sealing || !opening || !EVP_EncryptInit_ex2(sealing, cipher, key, nonce, NULL) ||
        !EVP_DecryptInit_ex2(opening, cipher, key, nonce, NULL)) {
        fprintf(stderr, "floor-aead: libcrypto has no ChaCha20-Poly1305\n");
        return false;
    }
    EVP_CIPHER_free(cipher);
    return true;
}

void seal_packet(uint8_t *out, const uint8_t *packet, size_t length, uint64_t counter)
{
    uint8_t nonce[12];
    int done;

    nonce_of(nonce, counter);
    EVP_EncryptInit_ex2(sealing, NULL, NULL, nonce, NULL);
    EVP_EncryptUpdate(sealing, out, &done, packet, (int)length);
    EVP_EncryptFinal_ex(sealing, out + length, &done);
    EVP_CIPHER_CTX_ctrl(sealing, EVP_CTRL_AEAD_GET_TAG, MESSAGE_TAG, out + length);
}

bool unseal_packet(uint8_t *packet, size_t length, uint64_t counter)
{
    uint8_t nonce[12];
    int done;

    nonce_of(nonce, counter);
    return EVP_DecryptInit_ex2(opening, NULL, NULL, nonce, NULL) &&
           EVP_CIPHER_CTX_ctrl(opening, EVP_CTRL_AEAD_SET_TAG, MESSAGE_TAG, packet + length) &&
           EVP_DecryptUpdate(opening, packet, &done, packet, (int)length) &&
           EVP_DecryptFinal_ex(opening, packet + length, &done) > 0;
}
