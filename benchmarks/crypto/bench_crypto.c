/* Time-stamp-counter cycles per packet for sealing and opening batches with src/crypto and with libcrypto's
 * EVP, packet by packet, interleaved in one run: only the ratios mean anything on a shared machine.  Medians
 * over all rounds. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "crypto/aead_batch.h"
#include "crypto/cpu_features.h"
#include "crypto/x25519.h"

#define BATCH          32
#define PACKET_MAX     9016
#define DEFAULT_ROUNDS 301
#define X25519_ROUNDS  51

static const size_t sizes[] = {64, 128, 576, 1280, 1420, 9000};
#define SIZES (sizeof sizes / sizeof sizes[0])

enum operation { OURS_SEAL, OURS_OPEN, OURS_SEAL_ONE, EVP_SEAL, EVP_OPEN, OPERATIONS };
static const char *const operation_names[OPERATIONS] = {"batch_seal", "batch_open", "single_seal", "evp_seal",
                                                        "evp_open"};

static uint8_t keys[BATCH][32], plain[BATCH][PACKET_MAX], cipher[BATCH][PACKET_MAX], back[BATCH][PACKET_MAX];
static struct aead_segment plain_segments[BATCH], cipher_segments[BATCH], back_segments[BATCH];
static struct aead_item seal_items[BATCH], open_items[BATCH];
static struct aead_workspace workspace;
static EVP_CIPHER_CTX *seal_contexts[BATCH], *open_contexts[BATCH];

static void fail(const char *what)
{
    fprintf(stderr, "bench_crypto: %s failed\n", what);
    exit(1);
}

static void prepare(size_t size)
{
    for (int i = 0; i < BATCH; i++) {
        plain_segments[i] = (struct aead_segment){plain[i], size};
        cipher_segments[i] = (struct aead_segment){cipher[i], size + AEAD_TAG_BYTES};
        back_segments[i] = (struct aead_segment){back[i], size};
        seal_items[i] = (struct aead_item){.key = keys[i],
                                           .source = &plain_segments[i],
                                           .source_count = 1,
                                           .destination = &cipher_segments[i],
                                           .destination_count = 1};
        aead_nonce_from_counter(seal_items[i].nonce, (uint64_t)i);
        open_items[i] = seal_items[i];
        open_items[i].source = &cipher_segments[i];
        open_items[i].destination = &back_segments[i];
    }
}

/* The cheapest use of EVP: contexts with the key set once, one nonce per packet. */
static void evp_seal(size_t size)
{
    int written, ok = 1;
    for (int i = 0; i < BATCH; i++) {
        ok &= EVP_EncryptInit_ex(seal_contexts[i], NULL, NULL, NULL, seal_items[i].nonce);
        ok &= EVP_EncryptUpdate(seal_contexts[i], cipher[i], &written, plain[i], (int)size);
        ok &= EVP_EncryptFinal_ex(seal_contexts[i], cipher[i] + written, &written);
        ok &= EVP_CIPHER_CTX_ctrl(seal_contexts[i], EVP_CTRL_AEAD_GET_TAG, 16, cipher[i] + size);
    }
    if (ok != 1)
        fail("EVP seal");
}

static void evp_open(size_t size)
{
    int written, ok = 1;
    for (int i = 0; i < BATCH; i++) {
        ok &= EVP_DecryptInit_ex(open_contexts[i], NULL, NULL, NULL, seal_items[i].nonce);
        ok &= EVP_DecryptUpdate(open_contexts[i], back[i], &written, cipher[i], (int)size);
        ok &= EVP_CIPHER_CTX_ctrl(open_contexts[i], EVP_CTRL_AEAD_SET_TAG, 16, cipher[i] + size);
        ok &= EVP_DecryptFinal_ex(open_contexts[i], back[i] + written, &written);
    }
    if (ok != 1)
        fail("EVP open");
}

/* libcrypto leaves the upper halves of vector registers dirty, which makes SSE instructions wait for them
 * (twice the time on Zen 5); nothing in the driver does that. */
static void clean_vector_state(void)
{
    if (cpu_features_detect() & CPU_FEATURE_AVX2)
        __asm__ volatile("vzeroupper" ::: "memory");
}

static void run(enum operation operation, size_t size)
{
    switch (operation) {
    case OURS_SEAL:
        if (aead_seal_batch(seal_items, BATCH, &workspace) != BATCH)
            fail("aead_seal_batch");
        break;
    case OURS_OPEN:
        if (aead_open_batch(open_items, BATCH, &workspace) != BATCH)
            fail("aead_open_batch");
        break;
    case OURS_SEAL_ONE:
        for (int i = 0; i < BATCH; i++)
            if (aead_seal_batch(&seal_items[i], 1, &workspace) != 1)
                fail("aead_seal_batch");
        break;
    case EVP_SEAL:
        evp_seal(size);
        break;
    case EVP_OPEN:
        evp_open(size);
        break;
    case OPERATIONS:
        break;
    }
}

static int compare(const void *left, const void *right)
{
    uint64_t l = *(const uint64_t *)left, r = *(const uint64_t *)right;
    return (l > r) - (l < r);
}

static double median(uint64_t *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    size_t middle = count / 2;
    return (double)values[middle];
}

static double x25519_cycles(void)
{
    uint64_t times[X25519_ROUNDS];
    uint8_t point[32] = {9}, out[32];
    for (size_t i = 0; i < X25519_ROUNDS; i++) {
        uint64_t start = __rdtsc();
        if (!x25519(out, keys[0], point))
            fail("x25519");
        times[i] = __rdtsc() - start;
        memcpy(point, out, sizeof point);
    }
    return median(times, X25519_ROUNDS);
}

int main(int argc, char **argv)
{
    bool json = false;
    size_t rounds = DEFAULT_ROUNDS;
    for (int i = 1; i < argc; i++) {
        char *end = NULL;
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc &&
                   (rounds = strtoul(argv[++i], &end, 10)) > 0 && *end == '\0' && rounds <= 1000000) {
            continue;
        } else {
            fprintf(stderr, "usage: bench_crypto [--json] [--rounds N]   (N from 1 to 1000000)\n");
            return 2;
        }
    }

    uint64_t *times = malloc(OPERATIONS * rounds * sizeof *times);
    EVP_CIPHER *algorithm = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    if (times == NULL || algorithm == NULL)
        fail("allocation");
    cpu_features_use(cpu_features_detect());
    for (int i = 0; i < BATCH; i++) {
        for (int k = 0; k < 32; k++)
            keys[i][k] = (uint8_t)(i * 7 + k);
        seal_contexts[i] = EVP_CIPHER_CTX_new();
        open_contexts[i] = EVP_CIPHER_CTX_new();
        if (seal_contexts[i] == NULL || open_contexts[i] == NULL ||
            !EVP_EncryptInit_ex(seal_contexts[i], algorithm, NULL, keys[i], NULL) ||
            !EVP_DecryptInit_ex(open_contexts[i], algorithm, NULL, keys[i], NULL))
            fail("EVP initialisation");
    }

    double x25519_median = x25519_cycles();
    if (json)
        printf("{\"unit\": \"tsc cycles per packet\", \"batch\": %d, \"rounds\": %zu, \"x25519\": %.0f, "
               "\"sizes\": [",
               BATCH, rounds, x25519_median);
    else
        printf("TSC cycles per packet, batches of %d, medians of %zu rounds; x = times as fast as EVP\n%6s "
               "%10s %10s "
               "%11s %10s %10s\n",
               BATCH, rounds, "bytes", "batch seal", "batch open", "single seal", "EVP seal", "EVP open");
    for (size_t s = 0; s < SIZES; s++) {
        double cycles[OPERATIONS];
        prepare(sizes[s]);
        run(OURS_SEAL, sizes[s]);
        for (size_t round = 0; round < rounds; round++)
            for (int o = 0; o < OPERATIONS; o++) {
                clean_vector_state();
                uint64_t start = __rdtsc();
                run((enum operation)o, sizes[s]);
                times[(size_t)o * rounds + round] = __rdtsc() - start;
            }
        for (int o = 0; o < OPERATIONS; o++)
            cycles[o] = median(times + (size_t)o * rounds, rounds) / BATCH;
        double seal_ratio = cycles[EVP_SEAL] / cycles[OURS_SEAL],
               open_ratio = cycles[EVP_OPEN] / cycles[OURS_OPEN];
        double single_ratio = cycles[EVP_SEAL] / cycles[OURS_SEAL_ONE];
        if (json) {
            printf("%s{\"bytes\": %zu", s == 0 ? "" : ", ", sizes[s]);
            for (int o = 0; o < OPERATIONS; o++)
                printf(", \"%s\": %.0f", operation_names[o], cycles[o]);
            printf(", \"seal_ratio\": %.3f, \"open_ratio\": %.3f, \"single_seal_ratio\": %.3f}", seal_ratio,
                   open_ratio, single_ratio);
        } else {
            printf("%6zu %10.0f %10.0f %11.0f %10.0f %10.0f   seal x%.2f open x%.2f single x%.2f\n", sizes[s],
                   cycles[OURS_SEAL], cycles[OURS_OPEN], cycles[OURS_SEAL_ONE], cycles[EVP_SEAL],
                   cycles[EVP_OPEN], seal_ratio, open_ratio, single_ratio);
        }
    }
    if (json)
        printf("]}\n");
    else
        printf("X25519: %.0f cycles\n", x25519_median);

    for (int i = 0; i < BATCH; i++) {
        EVP_CIPHER_CTX_free(seal_contexts[i]);
        EVP_CIPHER_CTX_free(open_contexts[i]);
    }
    EVP_CIPHER_free(algorithm);
    free(times);
    return 0;
}
