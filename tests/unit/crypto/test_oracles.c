/* Random inputs through the other primitives and through independent implementations: libsodium
 * (XChaCha20-Poly1305, ChaCha20-Poly1305, Poly1305, X25519), libb2 (BLAKE2s), libcrypto (HMAC-BLAKE2s,
 * X25519). test_crypto_oracles [ROUNDS [SEED]] */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdlib.h>

#include "check.h"
#include "crypto/blake2s.h"
#include "crypto/chacha20poly1305.h"
#include "crypto/poly1305.h"
#include "crypto/x25519.h"
#include "crypto/xchacha20poly1305.h"

#define DEFAULT_ROUNDS 3000
#define INPUT_MAX      2000

static uint8_t key[32], nonce[24], aad[80], input[INPUT_MAX], ours[INPUT_MAX + 16], theirs[INPUT_MAX + 16];

static uint8_t seed[randombytes_SEEDBYTES];

/* Deterministic: libsodium's ChaCha20 generator, a new seed each time. */
static void random_bytes(void *bytes, size_t length)
{
    randombytes_buf_deterministic(bytes, length, seed);
    sodium_increment(seed, sizeof seed);
}

static size_t random_below(size_t bound)
{
    uint64_t value;
    random_bytes(&value, sizeof value);
    return (size_t)(value % bound);
}

static void test_aead_round(void)
{
    size_t length = random_below(random_below(2) ? 100 : INPUT_MAX), aad_length = random_below(sizeof aad);
    unsigned long long written;
    bool x = random_below(2);
    random_bytes(key, sizeof key);
    random_bytes(nonce, sizeof nonce);
    random_bytes(aad, aad_length);
    random_bytes(input, length);

    if (x) {
        xchacha20poly1305_seal(ours, input, length, aad, aad_length, nonce, key);
        crypto_aead_xchacha20poly1305_ietf_encrypt(theirs, &written, input, length, aad, aad_length, NULL,
                                                   nonce, key);
    } else {
        chacha20poly1305_seal(ours, input, length, aad, aad_length, nonce, key);
        crypto_aead_chacha20poly1305_ietf_encrypt(theirs, &written, input, length, aad, aad_length, NULL,
                                                  nonce, key);
    }
    CHECK_MSG(memcmp(ours, theirs, length + 16) == 0, "x %d, %zu bytes, aad %zu", x, length, aad_length);

    /* Refused when damaged, the destination untouched; accepted when right, also in place. */
    size_t bit = random_below(8 * (length + 16));
    theirs[bit / 8] ^= (uint8_t)(1 << bit % 8);
    memset(ours, 0x5a, sizeof ours);
    bool accepted = x ? xchacha20poly1305_open(ours, theirs, length + 16, aad, aad_length, nonce, key)
                      : chacha20poly1305_open(ours, theirs, length + 16, aad, aad_length, nonce, key);
    size_t untouched = 0;
    while (untouched < length && ours[untouched] == 0x5a)
        untouched++;
    CHECK(!accepted && untouched == length);
    theirs[bit / 8] ^= (uint8_t)(1 << bit % 8);
    accepted = x ? xchacha20poly1305_open(theirs, theirs, length + 16, aad, aad_length, nonce, key)
                 : chacha20poly1305_open(theirs, theirs, length + 16, aad, aad_length, nonce, key);
    CHECK(accepted && memcmp(theirs, input, length) == 0);
}

/* Bytes where carries live: nearly all ones or zeros, in a row. */
static void extreme_bytes(uint8_t *bytes, size_t length)
{
    static const uint8_t low[] = {0x00, 0x01, 0x02, 0x04, 0x05, 0xfa, 0xfb, 0xfc, 0xfd, 0xff};
    memset(bytes, random_below(4) ? 0xff : 0, length);
    bytes[0] = low[random_below(sizeof low)];
    if (random_below(3) == 0)
        bytes[random_below(length)] = (uint8_t)random_below(256);
}

static void test_poly1305_round(void)
{
    uint8_t long_key[32], tag[16], expected[16];
    size_t blocks = random_below(12);
    struct poly1305_state state;
    random_bytes(long_key, sizeof long_key);
    random_bytes(input, 16 * blocks);
    /* A multiplier of 1, 2 or 4 keeps the blocks' pattern in the accumulator. */
    if (random_below(3)) {
        memset(long_key, 0, 16);
        long_key[0] = (uint8_t)(1 << random_below(3));
    } else if (random_below(2)) {
        extreme_bytes(long_key, 16);
    }
    extreme_bytes(long_key + 16, 16);
    for (size_t i = 0; i < blocks; i++)
        if (random_below(8))
            extreme_bytes(input + 16 * i, 16);
    poly1305_init(&state, long_key);
    poly1305_blocks(&state, input, blocks);
    poly1305_final(&state, tag);
    crypto_onetimeauth(expected, input, 16 * blocks, long_key);
    CHECK_MSG(memcmp(tag, expected, 16) == 0, "%zu blocks", blocks);
}

typedef int blake2s_oracle(uint8_t *out, const void *in, const void *key, size_t outlen, size_t inlen,
                           size_t keylen);

/* libb2's functions have the names of ours: they are looked up, not linked. */
static blake2s_oracle *find_libb2(void)
{
    void *library = dlopen("libb2.so.1", RTLD_NOW | RTLD_LOCAL);
    void *symbol = library != NULL ? dlsym(library, "blake2s") : NULL;
    Dl_info info;
    if (symbol == NULL || dladdr(symbol, &info) == 0 || strstr(info.dli_fname, "libb2") == NULL) {
        fprintf(stderr, "libb2 (libb2-dev) is missing: %s\n", dlerror());
        exit(2);
    }
    return (blake2s_oracle *)(uintptr_t)symbol;
}

static void test_blake2s_round(blake2s_oracle *oracle)
{
    size_t length = random_below(random_below(2) ? 200 : INPUT_MAX), key_length = random_below(33);
    size_t out_length = 1 + random_below(32), done = 0;
    uint8_t pieces[32];
    struct blake2s_state state;
    random_bytes(key, sizeof key);
    random_bytes(input, length);
    memset(ours, 0, 32);
    memset(theirs, 0, 32);
    blake2s(ours, out_length, input, length, key, key_length);
    CHECK(oracle(theirs, input, key, out_length, length, key_length) == 0);
    CHECK_MSG(memcmp(ours, theirs, 32) == 0, "%zu bytes, key %zu, out %zu", length, key_length, out_length);

    blake2s_init_keyed(&state, out_length, key, key_length);
    while (done < length) {
        size_t piece = 1 + random_below(length - done);
        blake2s_update(&state, input + done, piece);
        done += piece;
    }
    blake2s_final(&state, pieces);
    CHECK(memcmp(pieces, ours, out_length) == 0);
}

static void test_hmac_round(void)
{
    uint8_t long_key[200], mac[32], expected[EVP_MAX_MD_SIZE];
    size_t key_length = random_below(sizeof long_key), length = random_below(300);
    unsigned int written = 0;
    random_bytes(long_key, key_length);
    random_bytes(input, length);
    hmac_blake2s(mac, input, length, long_key, key_length);
    CHECK(HMAC(EVP_blake2s256(), long_key, (int)key_length, input, length, expected, &written) != NULL);
    CHECK_MSG(written == 32 && memcmp(mac, expected, 32) == 0, "key %zu, input %zu", key_length, length);
}

static void test_x25519_round(void)
{
    uint8_t scalar[32], point[32], shared[32], sodium_shared[32], public_key[32], sodium_public[32];
    random_bytes(scalar, sizeof scalar);
    /* Digits of one value everywhere: every entry of the base point's table, and carries through all digits.
     */
    if (random_below(8) == 0)
        memset(scalar, (int)(0x11 * random_below(16)), sizeof scalar);
    random_bytes(point, sizeof point);
    /* Now and then values at and above the prime: not reduced on the wire. */
    if (random_below(8) == 0) {
        memset(point, 0xff, sizeof point);
        point[0] = (uint8_t)(0xe0 + random_below(32));
    }
    bool nonzero = x25519(shared, scalar, point);
    int sodium_result = crypto_scalarmult(sodium_shared, scalar, point);
    CHECK(nonzero == (sodium_result == 0));
    if (nonzero)
        CHECK(memcmp(shared, sodium_shared, 32) == 0);
    x25519_base(public_key, scalar);
    crypto_scalarmult_base(sodium_public, scalar);
    CHECK(memcmp(public_key, sodium_public, 32) == 0);

    size_t length = sizeof theirs;
    EVP_PKEY *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, scalar, 32);
    EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, point, 32);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(own, NULL);
    bool evp_ok = EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_derive_set_peer(context, peer) == 1 &&
                  EVP_PKEY_derive(context, theirs, &length) == 1;
    CHECK(evp_ok == nonzero && (!nonzero || (length == 32 && memcmp(theirs, shared, 32) == 0)));
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(own);
    EVP_PKEY_free(peer);
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_ROUNDS;
    uint64_t first_seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    blake2s_oracle *libb2 = find_libb2();
    if (sodium_init() < 0) {
        fprintf(stderr, "libsodium does not start\n");
        return 2;
    }
    memcpy(seed, &first_seed, sizeof first_seed);
    fprintf(stderr, "%zu rounds, seed %llu\n", rounds, (unsigned long long)first_seed);
    for (size_t i = 0; i < rounds && check_failed < 20; i++) {
        test_aead_round();
        for (int k = 0; k < 10; k++)
            test_poly1305_round();
        test_blake2s_round(libb2);
        test_hmac_round();
        if (i % 10 == 0)
            test_x25519_round();
    }
    return check_summary();
}
