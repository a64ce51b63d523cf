/* Time-stamp-counter cycles per packet for sealing and opening with every core of src/crypto that this
 * processor can run, and with libcrypto's EVP packet by packet, all interleaved in one run: only the ratios
 * mean anything on a shared machine.  Medians over all rounds. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "crypto/aead_batch.h"
#include "crypto/cpu_features.h"
#include "crypto/x25519_batch.h"

#define BATCH_MAX      32
#define PACKET_MAX     9016
#define DEFAULT_ROUNDS 101
#define X25519_ROUNDS  51

static const size_t sizes[] = {64, 128, 576, 1280, 1420, 9000};
static const size_t batches[] = {1, 4, BATCH_MAX};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum kind {
    BATCH,            /* src/crypto, all packets in one call */
    EVP_KEYED_BEFORE, /* one context for each packet, whose key was set before; only the nonce is set */
    EVP_REKEYED       /* one context for all, key and nonce set for each packet */
};

/* The last feature of a subject is the one that its core is named after. */
static const struct subject {
    const char *name;
    enum kind kind;
    uint32_t features, core;
} subjects[] = {
    {"batch-sse2", BATCH, 0, 0},
    {"batch-ssse3", BATCH, CPU_FEATURE_SSSE3, CPU_FEATURE_SSSE3},
    {"batch-avx2", BATCH, CPU_FEATURE_SSSE3 | CPU_FEATURE_AVX2, CPU_FEATURE_AVX2},
    {"batch-avx512", BATCH, UINT32_MAX, CPU_FEATURE_AVX512},
    {"libcrypto", EVP_KEYED_BEFORE, 0, 0},
    {"libcrypto-rekeyed", EVP_REKEYED, 0, 0},
};
#define SUBJECTS   COUNT(subjects)
#define LIBCRYPTO  (SUBJECTS - 2)
#define OPERATIONS 2
static const char *const operations[OPERATIONS] = {"seal", "open"};

static uint8_t keys[BATCH_MAX][32], plain[BATCH_MAX][PACKET_MAX], cipher[BATCH_MAX][PACKET_MAX],
    back[BATCH_MAX][PACKET_MAX];
static struct aead_segment plain_segments[BATCH_MAX], cipher_segments[BATCH_MAX], back_segments[BATCH_MAX];
static struct aead_item seal_items[BATCH_MAX], open_items[BATCH_MAX];
static struct aead_workspace workspace;
static EVP_CIPHER_CTX *seal_contexts[BATCH_MAX], *open_contexts[BATCH_MAX], *seal_context, *open_context;

static void fail(const char *what)
{
    fprintf(stderr, "bench_crypto: %s failed\n", what);
    exit(1);
}

static void prepare(size_t size)
{
    for (int i = 0; i < BATCH_MAX; i++) {
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

static void evp_seal(size_t size, size_t batch, bool rekey)
{
    int written, ok = 1;
    for (size_t i = 0; i < batch; i++) {
        EVP_CIPHER_CTX *context = rekey ? seal_context : seal_contexts[i];
        ok &= EVP_EncryptInit_ex(context, NULL, NULL, rekey ? keys[i] : NULL, seal_items[i].nonce);
        ok &= EVP_EncryptUpdate(context, cipher[i], &written, plain[i], (int)size);
        ok &= EVP_EncryptFinal_ex(context, cipher[i] + written, &written);
        ok &= EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, cipher[i] + size);
    }
    if (ok != 1)
        fail("EVP seal");
}

static void evp_open(size_t size, size_t batch, bool rekey)
{
    int written, ok = 1;
    for (size_t i = 0; i < batch; i++) {
        EVP_CIPHER_CTX *context = rekey ? open_context : open_contexts[i];
        ok &= EVP_DecryptInit_ex(context, NULL, NULL, rekey ? keys[i] : NULL, seal_items[i].nonce);
        ok &= EVP_DecryptUpdate(context, back[i], &written, cipher[i], (int)size);
        ok &= EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, cipher[i] + size);
        ok &= EVP_DecryptFinal_ex(context, back[i] + written, &written);
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

static bool available(const struct subject *subject)
{
    if (subject->kind != BATCH)
        return true;
    cpu_features_use(subject->features & cpu_features_detect());
    return (cpu_features_in_use() & subject->core) == subject->core;
}

/* Cycles for one call. */
static uint64_t measure(const struct subject *subject, int operation, size_t size, size_t batch)
{
    bool open = operation == 1;
    if (subject->kind == BATCH)
        cpu_features_use(subject->features & cpu_features_detect());
    clean_vector_state();
    uint64_t start = __rdtsc();
    switch (subject->kind) {
    case BATCH:
        if ((open ? aead_open_batch(open_items, batch, &workspace)
                  : aead_seal_batch(seal_items, batch, &workspace)) != batch)
            fail(subject->name);
        break;
    case EVP_REKEYED:
    case EVP_KEYED_BEFORE:
        (open ? evp_open : evp_seal)(size, batch, subject->kind == EVP_REKEYED);
        break;
    }
    return __rdtsc() - start;
}

static int compare(const void *left, const void *right)
{
    uint64_t l = *(const uint64_t *)left, r = *(const uint64_t *)right;
    return (l > r) - (l < r);
}

static double median(uint64_t *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    uint64_t middle = values[count / 2];
    return (double)middle;
}

/* Cycles of one X25519: of any point and of the base point, alone; of eight together, 0 where that is not to
 * be had. */
struct x25519_figures {
    double point, base, wide;
};

static struct x25519_figures measure_x25519(void)
{
    static struct x25519_workspace x25519_memory;
    uint64_t times[3][X25519_ROUNDS];
    uint8_t point[32] = {9}, out[32];
    struct x25519_job multiplications[X25519_LANES], *together[X25519_LANES];
    x25519_batch_use(cpu_features_detect());
    for (size_t i = 0; i < X25519_ROUNDS; i++) {
        uint64_t start = __rdtsc();
        if (!x25519(out, keys[0], point))
            fail("x25519");
        times[0][i] = __rdtsc() - start;
        memcpy(point, out, sizeof point);

        start = __rdtsc();
        x25519_base(out, point);
        times[1][i] = __rdtsc() - start;

        for (size_t lane = 0; lane < X25519_LANES; lane++) {
            multiplications[lane] = (struct x25519_job){.scalar = keys[lane], .point = point};
            together[lane] = &multiplications[lane];
        }
        start = __rdtsc();
        if (x25519_batch_is_wide())
            x25519_batch_wide(&x25519_memory, together, X25519_LANES);
        times[2][i] = (__rdtsc() - start) / X25519_LANES;
    }
    return (struct x25519_figures){median(times[0], X25519_ROUNDS), median(times[1], X25519_ROUNDS),
                                   x25519_batch_is_wide() ? median(times[2], X25519_ROUNDS) : 0};
}

/* The processor's cycles in one of the counter's: a chain of additions takes one cycle each. */
static double core_cycles_per_tsc_cycle(void)
{
    enum { ROUNDS = 31, ADDITIONS = 100000 };
    uint64_t times[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        uint64_t start = __rdtsc(), sum = start;
        for (int k = 0; k < ADDITIONS / 10; k++)
            __asm__ volatile("add %1, %0; add %1, %0; add %1, %0; add %1, %0; add %1, %0\n"
                             "add %1, %0; add %1, %0; add %1, %0; add %1, %0; add %1, %0"
                             : "+r"(sum)
                             : "r"(start));
        times[i] = __rdtsc() - start;
    }
    return ADDITIONS / median(times, ROUNDS);
}

/* Medians for one size and batch, cycles[subject][operation], per packet; 0: not available. */
static void measure_all(size_t size, size_t batch, size_t rounds, uint64_t *times,
                        double cycles[SUBJECTS][OPERATIONS])
{
    bool have[SUBJECTS];
    for (size_t s = 0; s < SUBJECTS; s++)
        have[s] = available(&subjects[s]);
    prepare(size);
    measure(&subjects[0], 0, size, batch);
    for (size_t round = 0; round < rounds; round++)
        for (size_t s = 0; s < SUBJECTS; s++)
            for (int o = 0; o < OPERATIONS; o++)
                if (have[s])
                    times[(s * OPERATIONS + (size_t)o) * rounds + round] =
                        measure(&subjects[s], o, size, batch);
    for (size_t s = 0; s < SUBJECTS; s++)
        for (size_t o = 0; o < OPERATIONS; o++)
            cycles[s][o] =
                have[s] ? median(times + (s * OPERATIONS + o) * rounds, rounds) / (double)batch : 0;
}

static void print_rows(size_t size, size_t batch, double cycles[SUBJECTS][OPERATIONS], bool first)
{
    for (size_t s = 0; s < SUBJECTS; s++)
        for (size_t o = 0; o < OPERATIONS; o++)
            if (cycles[s][o] > 0) {
                printf("%s\n{\"subject\": \"%s\", \"test\": \"aead-%zu\", \"operation\": \"%s\", \"batch\": "
                       "%zu, \"metric\": \"cycles_per_packet\", \"median\": %.1f}",
                       first ? "" : ",", subjects[s].name, size, operations[o], batch, cycles[s][o]);
                first = false;
            }
}

/* Each subject's cycles, and in brackets how many times as fast as libcrypto with the keys set before it is.
 */
static void print_table(size_t size, size_t batch, double cycles[SUBJECTS][OPERATIONS])
{
    for (size_t o = 0; o < OPERATIONS; o++) {
        printf("%5zu %5zu %s", size, batch, operations[o]);
        for (size_t s = 0; s < SUBJECTS; s++)
            if (cycles[s][o] > 0)
                printf(" %8.0f (%5.2f)", cycles[s][o], cycles[LIBCRYPTO][o] / cycles[s][o]);
            else
                printf(" %16s", "-");
        printf("\n");
    }
}

static void prepare_contexts(const EVP_CIPHER *algorithm)
{
    seal_context = EVP_CIPHER_CTX_new();
    open_context = EVP_CIPHER_CTX_new();
    if (seal_context == NULL || open_context == NULL ||
        !EVP_EncryptInit_ex(seal_context, algorithm, NULL, NULL, NULL) ||
        !EVP_DecryptInit_ex(open_context, algorithm, NULL, NULL, NULL))
        fail("EVP initialisation");
    for (int i = 0; i < BATCH_MAX; i++) {
        for (int k = 0; k < 32; k++)
            keys[i][k] = (uint8_t)(i * 7 + k);
        seal_contexts[i] = EVP_CIPHER_CTX_new();
        open_contexts[i] = EVP_CIPHER_CTX_new();
        if (seal_contexts[i] == NULL || open_contexts[i] == NULL ||
            !EVP_EncryptInit_ex(seal_contexts[i], algorithm, NULL, keys[i], NULL) ||
            !EVP_DecryptInit_ex(open_contexts[i], algorithm, NULL, keys[i], NULL))
            fail("EVP initialisation");
    }
}

static void free_contexts(void)
{
    EVP_CIPHER_CTX_free(seal_context);
    EVP_CIPHER_CTX_free(open_context);
    for (int i = 0; i < BATCH_MAX; i++) {
        EVP_CIPHER_CTX_free(seal_contexts[i]);
        EVP_CIPHER_CTX_free(open_contexts[i]);
    }
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

    uint64_t *times = malloc(SUBJECTS * OPERATIONS * rounds * sizeof *times);
    EVP_CIPHER *algorithm = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    if (times == NULL || algorithm == NULL)
        fail("allocation");
    prepare_contexts(algorithm);

    struct x25519_figures x25519_cycles = measure_x25519();
    double core_cycles = core_cycles_per_tsc_cycle();
    if (json) {
        printf("{\"unit\": \"tsc cycles per packet\", \"rounds\": %zu, \"core_cycles_per_tsc_cycle\": %.3f, "
               "\"x25519\": %.0f, \"x25519_base\": %.0f, \"x25519_wide\": %.0f, \"rows\": [",
               rounds, core_cycles, x25519_cycles.point, x25519_cycles.base, x25519_cycles.wide);
    } else {
        printf("TSC cycles per packet, medians of %zu rounds; in brackets: times as fast as libcrypto\n",
               rounds);
        printf("bytes batch     ");
        for (size_t s = 0; s < SUBJECTS; s++)
            printf(" %16s", subjects[s].name);
        printf("\n");
    }
    for (size_t s = 0; s < COUNT(sizes); s++)
        for (size_t b = 0; b < COUNT(batches); b++) {
            double cycles[SUBJECTS][OPERATIONS];
            measure_all(sizes[s], batches[b], rounds, times, cycles);
            if (json)
                print_rows(sizes[s], batches[b], cycles, s == 0 && b == 0);
            else
                print_table(sizes[s], batches[b], cycles);
        }
    if (json)
        printf("\n]}\n");
    else
        printf("X25519: %.0f cycles, base point %.0f, in a batch of eight %.0f; one TSC cycle is %.2f of the "
               "processor's\n",
               x25519_cycles.point, x25519_cycles.base, x25519_cycles.wide, core_cycles);

    free_contexts();
    EVP_CIPHER_free(algorithm);
    free(times);
    return 0;
}
