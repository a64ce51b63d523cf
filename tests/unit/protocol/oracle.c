/* The white paper's section 5.4 over libcrypto; see oracle.h. */
#include "oracle.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "oracle: %s failed\n", #condition);                                              \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

void oracle_hash(uint8_t out[32], const void *first, size_t first_length, const void *second,
                 size_t second_length)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    MUST(EVP_DigestInit_ex(context, EVP_blake2s256(), NULL));
    MUST(EVP_DigestUpdate(context, first, first_length));
    MUST(EVP_DigestUpdate(context, second, second_length));
    MUST(EVP_DigestFinal_ex(context, out, NULL));
    EVP_MD_CTX_free(context);
}

void oracle_mac(uint8_t out[16], const uint8_t *key, size_t key_length, const void *input, size_t length)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    size_t size = 16;
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_END};
    MUST(EVP_MAC_init(context, key, key_length, parameters));
    MUST(EVP_MAC_update(context, input, length));
    MUST(EVP_MAC_final(context, out, &size, 16));
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
}

/* HMAC spelled out over the hash (RFC 2104) */
static void hmac(uint8_t out[32], const uint8_t key[32], const uint8_t *input, size_t length)
{
    uint8_t pad[64], inner[32];
    for (int i = 0; i < 64; i++)
        pad[i] = (i < 32 ? key[i] : 0) ^ 0x36;
    oracle_hash(inner, pad, 64, input, length);
    for (int i = 0; i < 64; i++)
        pad[i] = (i < 32 ? key[i] : 0) ^ 0x5c;
    oracle_hash(out, pad, 64, inner, 32);
}

/* KDFn: up to three outputs */
static void kdf(uint8_t *t1, uint8_t *t2, uint8_t *t3, const uint8_t key[32], const uint8_t *input,
                size_t length)
{
    uint8_t t0[32], block[33], outputs[3][32];
    hmac(t0, key, input, length);
    block[0] = 1;
    hmac(outputs[0], t0, block, 1);
    for (int i = 1; i < 3; i++) {
        memcpy(block, outputs[i - 1], 32);
        block[32] = (uint8_t)(i + 1);
        hmac(outputs[i], t0, block, 33);
    }
    uint8_t *wanted[3] = {t1, t2, t3};
    for (int i = 0; i < 3; i++) {
        if (wanted[i])
            memcpy(wanted[i], outputs[i], 32);
    }
}

void oracle_public_key(uint8_t out[32], const uint8_t private_key[32])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, 32);
    size_t length = 32;
    MUST(key && EVP_PKEY_get_raw_public_key(key, out, &length));
    EVP_PKEY_free(key);
}

static void dh(uint8_t out[32], const uint8_t private_key[32], const uint8_t public_key[32])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, 32);
    EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public_key, 32);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    size_t length = 32;
    MUST(EVP_PKEY_derive_init(context) > 0 && EVP_PKEY_derive_set_peer(context, peer) > 0);
    MUST(EVP_PKEY_derive(context, out, &length) > 0);
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(peer);
    EVP_PKEY_free(key);
}

/* AEAD(key, 0, plaintext, hash) */
static void aead(uint8_t *out, const uint8_t key[32], const uint8_t *plaintext, int length,
                 const uint8_t hash[32])
{
    static const uint8_t nonce[12];
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int written;
    MUST(EVP_EncryptInit_ex(context, EVP_chacha20_poly1305(), NULL, key, nonce));
    MUST(EVP_EncryptUpdate(context, NULL, &written, hash, 32));
    if (length)
        MUST(EVP_EncryptUpdate(context, out, &written, plaintext, length));
    MUST(EVP_EncryptFinal_ex(context, out + length, &written));
    MUST(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, out + length));
    EVP_CIPHER_CTX_free(context);
}

static void put32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static void add_mac1(uint8_t *message, size_t mac1_offset, const uint8_t receiver_public[32])
{
    uint8_t key[32];
    oracle_hash(key, "mac1----", 8, receiver_public, 32);
    oracle_mac(message + mac1_offset, key, 32, message, mac1_offset);
}

void oracle_handshake_run(struct oracle_handshake *h)
{
    static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
    static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";
    uint8_t si_public[32], sr_public[32], ei_public[32], er_public[32];
    uint8_t c[32], hash[32], key[32], secret[32], tau[32];
    oracle_public_key(si_public, h->initiator_static);
    oracle_public_key(sr_public, h->responder_static);
    oracle_public_key(ei_public, h->initiator_ephemeral);
    oracle_public_key(er_public, h->responder_ephemeral);

    /* 5.4.2 */
    uint8_t *m = h->initiation;
    memset(m, 0, 148);
    m[0] = 1;
    put32(m + 4, h->initiator_index);
    oracle_hash(c, construction, strlen(construction), "", 0);
    oracle_hash(hash, c, 32, identifier, strlen(identifier));
    oracle_hash(hash, hash, 32, sr_public, 32);
    kdf(c, NULL, NULL, c, ei_public, 32);
    memcpy(m + 8, ei_public, 32);
    oracle_hash(hash, hash, 32, ei_public, 32);
    dh(secret, h->initiator_ephemeral, sr_public);
    kdf(c, key, NULL, c, secret, 32);
    aead(m + 40, key, si_public, 32, hash);
    oracle_hash(hash, hash, 32, m + 40, 48);
    dh(secret, h->initiator_static, sr_public);
    kdf(c, key, NULL, c, secret, 32);
    aead(m + 88, key, h->timestamp, 12, hash);
    oracle_hash(hash, hash, 32, m + 88, 28);
    add_mac1(m, 116, sr_public);

    /* 5.4.3 */
    m = h->response;
    memset(m, 0, 92);
    m[0] = 2;
    put32(m + 4, h->responder_index);
    put32(m + 8, h->initiator_index);
    kdf(c, NULL, NULL, c, er_public, 32);
    memcpy(m + 12, er_public, 32);
    oracle_hash(hash, hash, 32, er_public, 32);
    dh(secret, h->responder_ephemeral, ei_public);
    kdf(c, NULL, NULL, c, secret, 32);
    dh(secret, h->responder_ephemeral, si_public);
    kdf(c, NULL, NULL, c, secret, 32);
    kdf(c, tau, key, c, h->preshared_key, 32);
    oracle_hash(hash, hash, 32, tau, 32);
    aead(m + 44, key, NULL, 0, hash);
    add_mac1(m, 60, si_public);

    /* 5.4.5 */
    kdf(h->initiator_sends, h->responder_sends, NULL, c, NULL, 0);
}
