/* Runs one operation with its secrets marked as undefined memory: under valgrind's memcheck every branch and
 * every address that depends on a secret is then an error.  The leaky operations are the positive controls,
 * "innocent" shows that the marks and nothing else make them fire.  constant_time_probe OPERATION
 * [baseline] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "crypto/aead_batch.h"
#include "crypto/blake2s.h"
#include "crypto/chacha20poly1305.h"
#include "crypto/cpu_features.h"
#include "crypto/secure_memory.h"
#include "crypto/x25519.h"
#include "crypto/xchacha20poly1305.h"

#define PACKETS     5
#define PACKET_MAX  3000
#define SECRET(x)   VALGRIND_MAKE_MEM_UNDEFINED(&(x), sizeof(x))
#define REVEALED(x) VALGRIND_MAKE_MEM_DEFINED(&(x), sizeof(x))

static uint8_t keys[2][32], nonce[24], plain[PACKETS][PACKET_MAX], cipher[PACKETS][PACKET_MAX + 16],
    back[PACKETS][PACKET_MAX];
static const size_t lengths[PACKETS] = {0, 63, 1420, 640, PACKET_MAX};
static bool declassify_comparisons;

/* Whether a tag is right is public: everybody sees what happens to the packet.  Whatever leads to it is not.
 */
bool __real_secure_equal(const void *left, const void *right, size_t length);
bool __wrap_secure_equal(const void *left, const void *right, size_t length);
bool __wrap_secure_equal(const void *left, const void *right, size_t length)
{
    bool equal = __real_secure_equal(left, right, length);
    if (declassify_comparisons)
        REVEALED(equal);
    return equal;
}

static void require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "constant_time_probe: %s went wrong\n", what);
        exit(3);
    }
}

/* Seals, then opens; sources and destinations also cut in pieces, to reach every path. */
static void aead_batch(bool open)
{
    static struct aead_workspace workspace;
    struct aead_segment whole[PACKETS], sealed[PACKETS][2], opened[PACKETS][2];
    struct aead_item items[PACKETS];
    for (int i = 0; i < PACKETS; i++) {
        size_t cut = i % 2 ? lengths[i] / 3 : lengths[i];
        whole[i] = (struct aead_segment){plain[i], lengths[i]};
        sealed[i][0] = (struct aead_segment){cipher[i], cut};
        sealed[i][1] = (struct aead_segment){cipher[i] + cut, lengths[i] + 16 - cut};
        opened[i][0] = (struct aead_segment){back[i], cut / 2};
        opened[i][1] = (struct aead_segment){back[i] + cut / 2, lengths[i] - cut / 2};
        items[i] = (struct aead_item){.key = keys[i % 2],
                                      .aad = nonce,
                                      .aad_length = (size_t)i * 5,
                                      .source = &whole[i],
                                      .source_count = 1,
                                      .destination = sealed[i],
                                      .destination_count = 2};
        aead_nonce_from_counter(items[i].nonce, (uint64_t)i);
    }
    if (!open) {
        SECRET(keys);
        SECRET(plain);
    }
    require(aead_seal_batch(items, PACKETS, &workspace) == PACKETS, "sealing");
    REVEALED(cipher);
    if (open) {
        SECRET(keys);
        declassify_comparisons = true;
        cipher[1][5] ^= 1;
        for (int i = 0; i < PACKETS; i++) {
            items[i].source = sealed[i];
            items[i].source_count = 2;
            items[i].destination = opened[i];
        }
        require(aead_open_batch(items, PACKETS, &workspace) == PACKETS - 1, "opening");
        REVEALED(back);
        require(!items[1].ok && memcmp(back[4], plain[4], PACKET_MAX) == 0, "opening");
    }
}

static void aead_single(bool x)
{
    declassify_comparisons = true;
    SECRET(keys);
    SECRET(plain);
    bool opened;
    if (x) {
        xchacha20poly1305_seal(cipher[0], plain[0], 100, nonce, 16, nonce, keys[0]);
        REVEALED(cipher);
        opened = xchacha20poly1305_open(back[0], cipher[0], 116, nonce, 16, nonce, keys[0]);
    } else {
        chacha20poly1305_seal(cipher[0], plain[0], 100, nonce, 16, nonce, keys[0]);
        REVEALED(cipher);
        opened = chacha20poly1305_open(back[0], cipher[0], 116, nonce, 16, nonce, keys[0]);
    }
    require(opened, "opening");
}

static void hashes(void)
{
    uint8_t out[3][32];
    SECRET(keys);
    SECRET(plain);
    blake2s(out[0], 32, plain[0], 1000, keys[0], 32);
    hmac_blake2s(out[1], plain[0], 77, plain[1], 100);
    hkdf_blake2s(out[0], out[1], out[2], keys[0], plain[0], 32);
}

static void curve(void)
{
    uint8_t out[32], point[32] = {9};
    SECRET(keys);
    bool nonzero = x25519(out, keys[0], point);
    REVEALED(nonzero);
    require(nonzero, "x25519");
    /* A secret point as well: the result of one multiplication into the next. */
    nonzero = x25519(out, keys[1], out);
    REVEALED(nonzero);
    require(nonzero, "x25519");
    x25519_base(out, keys[0]);
    nonzero = !secure_is_zero(out, sizeof out);
    REVEALED(nonzero);
    require(nonzero, "x25519_base");
}

static void comparison(void)
{
    SECRET(keys);
    bool equal = secure_equal(keys[0], keys[1], 32), zero = secure_is_zero(keys[0], 32);
    secure_zero(keys[1], 32);
    REVEALED(equal);
    REVEALED(zero);
    require(!equal && !zero, "comparison");
}

static volatile int sink;

__attribute__((noinline)) static void leaky_branch(const uint8_t *left, const uint8_t *right)
{
    for (int i = 0; i < 32; i++)
        if (left[i] != right[i]) {
            sink = i;
            return;
        }
}

__attribute__((noinline)) static void leaky_lookup(const uint8_t *secret)
{
    static const uint8_t table[256] = {1, 2, 3};
    sink = table[secret[0]];
}

int main(int argc, char **argv)
{
    const char *operation = argc >= 2 ? argv[1] : "";
    if (argc < 3 || strcmp(argv[2], "baseline") != 0)
        cpu_features_use(cpu_features_detect());
    for (int i = 0; i < 32; i++) {
        keys[0][i] = (uint8_t)(i * 11 + 1);
        keys[1][i] = (uint8_t)(i * 5 + 2);
    }
    memset(plain, 0x33, sizeof plain);

    if (strcmp(operation, "aead-seal") == 0) {
        aead_batch(false);
    } else if (strcmp(operation, "aead-open") == 0) {
        aead_batch(true);
    } else if (strcmp(operation, "chacha20poly1305") == 0) {
        aead_single(false);
    } else if (strcmp(operation, "xchacha20poly1305") == 0) {
        aead_single(true);
    } else if (strcmp(operation, "blake2s") == 0) {
        hashes();
    } else if (strcmp(operation, "x25519") == 0) {
        curve();
    } else if (strcmp(operation, "comparison") == 0) {
        comparison();
    } else if (strcmp(operation, "leaky-branch") == 0) {
        SECRET(keys);
        leaky_branch(keys[0], keys[1]);
    } else if (strcmp(operation, "leaky-lookup") == 0) {
        SECRET(keys);
        leaky_lookup(keys[0]);
    } else if (strcmp(operation, "leaky-tag") == 0) {
        /* The tag comparison's outcome without declassification: the batch code must be seen to branch on it.
         */
        static struct aead_workspace workspace;
        struct aead_segment source = {cipher[0], 116}, destination = {back[0], 100};
        struct aead_item item = {.key = keys[0],
                                 .source = &source,
                                 .source_count = 1,
                                 .destination = &destination,
                                 .destination_count = 1};
        SECRET(keys);
        aead_open_batch(&item, 1, &workspace);
    } else if (strcmp(operation, "innocent") == 0) {
        leaky_branch(keys[0], keys[1]);
        leaky_lookup(keys[0]);
    } else {
        fprintf(stderr, "usage: constant_time_probe OPERATION [baseline]\nOPERATION: "
                        "aead-seal|aead-open|chacha20poly1305|xchacha20poly1305|blake2s|"
                        "x25519|comparison|leaky-branch|leaky-lookup|leaky-tag|innocent\n");
        return 2;
    }
    puts("done");
    return 0;
}
