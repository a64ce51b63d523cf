/* Poly1305 of AVX-512 by itself, against libcrypto, with what random packets never meet: keys and blocks that
 * fill or empty the limbs, and sums on both sides of the modulus (as RFC 8439, appendix A.3, has them).
 * test_poly1305_wide ROUNDS */
#include <openssl/evp.h>
#include <stdlib.h>

#include "check.h"
#include "crypto/bytes.h"
#include "crypto/cpu_features.h"
#include "crypto/poly1305_avx512.h"

#define MESSAGES 32
#define MAX      ((size_t)1536)

static struct poly1305_message messages[MESSAGES];
static uint8_t data[MESSAGES][MAX];
static size_t count; /* of the messages that wait */
static EVP_MAC *mac;

static void expected_tag(const struct poly1305_message *message, uint8_t tag[16])
{
    uint8_t rest[32] = {0};
    size_t length, padding = (16 - message->length % 16) % 16;
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    store_le64(rest + padding + 8, message->length);
    if (EVP_MAC_init(context, message->key, 32, NULL) != 1 ||
        EVP_MAC_update(context, message->data, message->length) != 1 ||
        EVP_MAC_update(context, rest, padding + 16) != 1 || EVP_MAC_final(context, tag, &length, 16) != 1)
        abort();
    EVP_MAC_CTX_free(context);
}

static void flush(const char *what)
{
    if (count == 0)
        return;
    poly1305_avx512(messages, count);
    for (size_t i = 0; i < count; i++) {
        uint8_t expected[16];
        expected_tag(&messages[i], expected);
        CHECK_MSG(memcmp(messages[i].tag, expected, 16) == 0, "%s: message %zu of %zu, %zu bytes", what, i,
                  count, messages[i].length);
    }
    count = 0;
}

/* Adds a message to those that wait; its data is to be written by the caller. */
static uint8_t *next(size_t length, uint64_t r0, uint64_t r1, uint64_t s)
{
    struct poly1305_message *message = &messages[count];
    uint8_t *bytes = data[count++];
    store_le64(message->key, r0);
    store_le64(message->key + 8, r1);
    store_le64(message->key + 16, s);
    store_le64(message->key + 24, s);
    message->data = bytes;
    message->length = length;
    return bytes;
}

/* r = 1: the tag is the sum of the blocks, which is made p + `above`, plus s. */
static void sums_about_the_modulus(size_t more, int above, uint64_t s)
{
    size_t length = 64 + 64 * more;
    uint8_t *bytes = next(length, 1, 0, s);
    /* Each block has 2^128 added, four make p + 5; with the block of the lengths there are 5 + 4 more. */
    memset(bytes, 0xff, 48);
    store_le64(bytes + 32, ~UINT64_C(0) - 256);
    store_le64(bytes + 40, ~UINT64_C(0) - length);
    memset(bytes + 48, 0, length - 48);
    store_le64(bytes + 48, UINT64_C(249) + (uint64_t)above);
}

static void moduli(void)
{
    static const uint64_t addends[] = {0, 1, ~UINT64_C(0), UINT64_C(1) << 63};
    for (size_t batch = 1; batch <= 25; batch += 4)
        for (size_t more = 0; more < 12; more++)
            for (int above = -70; above <= 20; above++) {
                sums_about_the_modulus(more, above, addends[(size_t)(above + 70) % 4]);
                if (count >= batch)
                    flush("about the modulus");
            }
    flush("about the modulus");
}

static void extremes(void)
{
    static const uint64_t halves[] = {
        0, 1, 2, 4, UINT64_C(1) << 43, UINT64_C(1) << 44, UINT64_C(0xfff) << 40, ~UINT64_C(0)};
    static const uint8_t fills[] = {0, 0xff, 0x80, 1};
    size_t cases = sizeof halves / sizeof halves[0], length = 0;
    for (size_t low = 0; low < cases; low++)
        for (size_t high = 0; high < cases; high++)
            for (size_t fill = 0; fill < sizeof fills; fill++)
                for (int i = 0; i < 16; i++) {
                    length = (length + 37) % (i % 4 == 0 ? MAX : 200);
                    memset(next(length, halves[low], halves[high], halves[cases - 1 - fill]), fills[fill],
                           length);
                    if (count >= 1 + (low + fill) % 16)
                        flush("extremes");
                }
    flush("extremes");
}

static void random_values(unsigned rounds)
{
    uint64_t state = 0x9e3779b97f4a7c15;
    for (unsigned round = 0; round < rounds; round++) {
        size_t batch = 1 + round % MESSAGES;
        while (count < batch) {
            uint64_t word[4];
            for (int i = 0; i < 4; i++) {
                state ^= state << 13, state ^= state >> 7, state ^= state << 17;
                word[i] = state;
            }
            size_t length = word[3] % (round % 3 ? MAX : round % 2 ? 113 : 49); /* of up to 8 and 4 blocks */
            uint8_t *bytes = next(length, word[0], word[1], word[2]);
            /* Runs of ones and of zeros as well as noise. */
            for (size_t i = 0; i < length; i++)
                bytes[i] = word[2] & 1 ? (uint8_t)(0 - (word[0] >> (i / 8 % 64) & 1))
                                       : (uint8_t)(word[1] * (i + 1) >> 29);
        }
        flush("random");
    }
}

int main(int argc, char **argv)
{
    const uint32_t needed = CPU_FEATURE_AVX512 | CPU_FEATURE_AVX512_IFMA;
    mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);
    CHECK(mac != NULL);
    if ((cpu_features_detect() & needed) != needed) {
        CHECK_SKIP("this processor has no AVX-512 with IFMA");
    } else if (mac != NULL) {
        moduli();
        extremes();
        random_values(argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 100);
    }
    EVP_MAC_free(mac);
    return check_summary();
}
