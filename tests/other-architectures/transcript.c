/* Prints a digest of what every primitive makes of thousands of reproducible inputs, a line for each kind:
 * the same program must print the same lines on every architecture.  On x64, where the primitives are
 * compared with other implementations (suite crypto), these lines are right. */
#include "crypto/aead_batch.h"
#include "crypto/blake2s.h"
#include "crypto/chacha20poly1305.h"
#include "crypto/poly1305.h"
#include "crypto/x25519.h"
#include "crypto/xchacha20poly1305.h"
#include "protocol/siphash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX 4096

static uint64_t random_state;
static struct blake2s_state digest;

static uint8_t random_byte(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t)(random_state >> 56);
}

static void random_fill(uint8_t *to, size_t length)
{
    for (size_t i = 0; i < length; i++)
        to[i] = random_byte();
}

/* Mostly random; sometimes all ones or all zeros, where carries run far. */
static void edge_fill(uint8_t *to, size_t length)
{
    unsigned kind = random_byte();
    random_fill(to, length);
    if (kind < 32)
        memset(to, 0xff, length - (length > 0 ? kind % length : 0));
    else if (kind < 48)
        memset(to, 0, length);
}

static void begin(uint64_t seed)
{
    random_state = seed;
    blake2s_init(&digest, BLAKE2S_HASH_BYTES);
}

static void end(const char *name)
{
    uint8_t hash[BLAKE2S_HASH_BYTES];
    blake2s_final(&digest, hash);
    printf("%s ", name);
    for (size_t i = 0; i < sizeof hash; i++)
        printf("%02x", hash[i]);
    printf("\n");
}

static void poly1305_lines(void)
{
    begin(1);
    for (int i = 0; i < 2000; i++) {
        uint8_t key[32], message[256], tag[16];
        struct poly1305_state state;
        size_t length = (size_t)random_byte();
        edge_fill(key, sizeof key);
        edge_fill(message, length);
        poly1305_init(&state, key);
        poly1305_padded(&state, message, length);
        poly1305_lengths(&state, length, (uint64_t)length << 33);
        poly1305_final(&state, tag);
        blake2s_update(&digest, tag, sizeof tag);
    }
    end("poly1305");
}

static void x25519_lines(int count)
{
    begin(2);
    for (int i = 0; i < count; i++) {
        uint8_t scalar[32], point[32], out[32];
        edge_fill(scalar, sizeof scalar);
        edge_fill(point, sizeof point);
        bool valid = x25519(out, scalar, point);
        blake2s_update(&digest, &(uint8_t){valid}, 1);
        blake2s_update(&digest, out, sizeof out);
        x25519_base(out, scalar);
        blake2s_update(&digest, out, sizeof out);
    }
    end("x25519");
}

static void message_lines(void)
{
    static uint8_t message[MESSAGE_MAX], sealed[MESSAGE_MAX + AEAD_TAG_BYTES];
    begin(3);
    for (size_t length = 0; length < 600; length++) {
        uint8_t key[32], nonce[24], aad[32], hash[32];
        random_fill(key, sizeof key);
        random_fill(nonce, sizeof nonce);
        random_fill(aad, sizeof aad);
        random_fill(message, length);
        chacha20poly1305_seal(sealed, message, length, aad, length % 33, nonce, key);
        blake2s_update(&digest, sealed, length + AEAD_TAG_BYTES);
        xchacha20poly1305_seal(sealed, message, length, aad, length % 33, nonce, key);
        blake2s_update(&digest, sealed, length + AEAD_TAG_BYTES);
        hmac_blake2s(hash, message, length, key, length % 33);
        blake2s_update(&digest, hash, sizeof hash);
        uint64_t sip = siphash24(key, message, length);
        blake2s_update(&digest, &sip, sizeof sip);
    }
    end("messages");
}

#define BATCH 33

static void batch_lines(void)
{
    static uint8_t plain[BATCH][MESSAGE_MAX], sealed[BATCH][MESSAGE_MAX + AEAD_TAG_BYTES],
        opened[BATCH][MESSAGE_MAX];
    static struct aead_workspace workspace;
    begin(4);
    for (int round = 0; round < 40; round++) {
        struct aead_item items[BATCH];
        struct aead_segment from[BATCH], to[BATCH];
        uint8_t keys[BATCH][AEAD_KEY_BYTES];
        size_t count = 1 + random_byte() % BATCH, length[BATCH];
        for (size_t i = 0; i < count; i++) {
            length[i] = (round % 4 == 0 ? 16u * random_byte() : random_byte());
            random_fill(keys[i], sizeof keys[i]);
            random_fill(plain[i], length[i]);
            from[i] = (struct aead_segment){plain[i], length[i]};
            to[i] = (struct aead_segment){sealed[i], length[i] + AEAD_TAG_BYTES};
            items[i] = (struct aead_item){.key = keys[i],
                                          .source = &from[i],
                                          .source_count = 1,
                                          .destination = &to[i],
                                          .destination_count = 1};
            aead_nonce_from_counter(items[i].nonce, random_state);
        }
        size_t done = aead_seal_batch(items, count, &workspace);
        for (size_t i = 0; i < count; i++) {
            blake2s_update(&digest, sealed[i], length[i] + AEAD_TAG_BYTES);
            from[i] = to[i];
            to[i] = (struct aead_segment){opened[i], length[i]};
            if (random_byte() < 20)
                sealed[i][random_byte() % (length[i] + AEAD_TAG_BYTES)] ^= 1;
            items[i].ok = false;
        }
        size_t good = aead_open_batch(items, count, &workspace);
        for (size_t i = 0; i < count; i++) {
            blake2s_update(&digest, &(uint8_t){items[i].ok}, 1);
            if (items[i].ok && memcmp(opened[i], plain[i], length[i]) != 0)
                printf("batch: an opened message differs\n");
        }
        blake2s_update(&digest, &(uint8_t[2]){(uint8_t)done, (uint8_t)good}, 2);
    }
    end("batch");
}

int main(int argc, char **argv)
{
    poly1305_lines();
    x25519_lines(argc > 1 ? atoi(argv[1]) : 100);
    message_lines();
    batch_lines();
    return 0;
}
