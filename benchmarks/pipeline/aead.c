/* The measure: the batches of a burst through src/crypto alone, with the memory laid out as the driver does:
 * packets apart, messages back to back. */
#include "bench.h"

#include "crypto/aead_batch.h"
#include "crypto/cpu_features.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_PACKETS 64u    /* of the driver's batches */
#define BATCH_BYTES   65487u /* and their messages in all */
#define HEADER_BYTES  16u
#define PACKET_STRIDE 2304u
#define PADDING       16u
#define SAMPLES_MAX   4096u

static uint8_t key[AEAD_KEY_BYTES], *plain, *messages;
static struct aead_workspace workspace;
static struct aead_item items[BATCH_PACKETS];
static struct aead_segment near_end[BATCH_PACKETS], far_end[BATCH_PACKETS];

bool aead_choose(const char *core)
{
    static const struct {
        const char *name;
        uint32_t features, core;
    } cores[] = {{"sse2", 0, 0},
                 {"ssse3", CPU_FEATURE_SSSE3, CPU_FEATURE_SSSE3},
                 {"avx2", CPU_FEATURE_SSSE3 | CPU_FEATURE_AVX2, CPU_FEATURE_AVX2},
                 {"avx512", UINT32_MAX, CPU_FEATURE_AVX512}};

    for (unsigned i = 0; i < sizeof cores / sizeof *cores; i++) {
        if (strcmp(cores[i].name, core) != 0)
            continue;
        cpu_features_use(cpu_features_detect() & cores[i].features);
        return (cpu_features_in_use() & cores[i].core) == cores[i].core;
    }
    return false;
}

/* Packet i of a batch, all of them of `length` bytes and padded as the protocol wants it. */
static void describe(unsigned i, uint32_t length, bool open, uint64_t counter)
{
    uint32_t padding = (PADDING - length % PADDING) % PADDING;
    uint32_t sealed = length + padding + AEAD_TAG_BYTES;
    struct aead_item *item = &items[i];

    near_end[i] = (struct aead_segment){plain + (size_t)i * PACKET_STRIDE, open ? length + padding : length};
    far_end[i] = (struct aead_segment){messages + (size_t)i * (sealed + HEADER_BYTES) + HEADER_BYTES, sealed};
    *item = (struct aead_item){.key = key,
                               .source = open ? &far_end[i] : &near_end[i],
                               .source_count = 1,
                               .destination = open ? &near_end[i] : &far_end[i],
                               .destination_count = 1,
                               .padding = open ? 0 : padding};
    aead_nonce_from_counter(item->nonce, counter);
}

/* One burst. Returns the cycles inside of the calls. */
static uint64_t burst_run(uint32_t length, unsigned burst, bool open, uint64_t counter)
{
    uint32_t message = (length + PADDING - 1) / PADDING * PADDING + AEAD_TAG_BYTES + HEADER_BYTES;
    unsigned limit = BATCH_BYTES / message < BATCH_PACKETS ? BATCH_BYTES / message : BATCH_PACKETS;
    uint64_t cycles = 0;

    for (unsigned done = 0; done < burst;) {
        unsigned count = burst - done < limit ? burst - done : limit;
        size_t good;

        for (unsigned i = 0; i < count; i++)
            describe(i, length, open, counter + i);
        uint64_t start = pipeline_tsc();
        good = (open ? aead_open_batch : aead_seal_batch)(items, count, &workspace);
        cycles += pipeline_tsc() - start;
        if (good != count)
            pipeline_fail("the AEAD alone failed");
        done += count;
    }
    return cycles;
}

static int compare(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

struct aead_cost aead_measure(uint32_t length, unsigned burst, uint64_t cycles)
{
    static uint64_t seal[SAMPLES_MAX], open[SAMPLES_MAX];
    uint64_t start = pipeline_tsc();
    unsigned count = 0;

    if (!plain) {
        plain = aligned_alloc(64, BATCH_PACKETS * PACKET_STRIDE);
        messages = aligned_alloc(64, 65536 + 4096);
        if (!plain || !messages)
            pipeline_fail("no memory");
        memset(plain, 0x5a, BATCH_PACKETS * PACKET_STRIDE);
    }
    do {
        /* one nonce for all of a batch position: opening finds what sealing left */
        seal[count] = burst_run(length, burst, false, 0);
        open[count] = burst_run(length, burst, true, 0);
        count++;
    } while (count < SAMPLES_MAX && pipeline_tsc() - start < cycles);
    qsort(seal, count, sizeof *seal, compare);
    qsort(open, count, sizeof *open, compare);
    uint64_t middle_seal = seal[count / 2], middle_open = open[count / 2];
    return (struct aead_cost){(double)middle_seal / burst, (double)middle_open / burst};
}
