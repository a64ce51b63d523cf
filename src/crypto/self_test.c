/* Known answers for every primitive, small enough to run in DriverEntry.  The batch AEAD is tested with RFC
 * 8439's vector, and against the portable single-message code over lengths that reach its body, tail and
 * pooling paths. */
#include "crypto/self_test.h"

#include "crypto/blake2s.h"
#include "crypto/chacha20poly1305.h"
#include "crypto/secure_memory.h"
#include "crypto/x25519.h"
#include "crypto/x25519_batch.h"
#include "crypto/xchacha20poly1305.h"

/* RFC 8439, section 2.8.2, and draft-irtf-cfrg-xchacha-03, appendix A.3.1: same plaintext, key and AAD. */
static const char plaintext[] =
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
    "future, sunscreen would be it.";
#define PLAINTEXT_BYTES (sizeof plaintext - 1)
static const uint8_t aead_aad[12] = {0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
static const uint8_t aead_nonce[12] = {0x07, 0x00, 0x00, 0x00, 0x40, 0x41,
                                       0x42, 0x43, 0x44, 0x45, 0x46, 0x47};
static const uint8_t aead_sealed[PLAINTEXT_BYTES + 16] = {
    0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb, 0x7b, 0x86, 0xaf, 0xbc, 0x53, 0xef, 0x7e, 0xc2, 0xa4,
    0xad, 0xed, 0x51, 0x29, 0x6e, 0x08, 0xfe, 0xa9, 0xe2, 0xb5, 0xa7, 0x36, 0xee, 0x62, 0xd6, 0x3d, 0xbe,
    0xa4, 0x5e, 0x8c, 0xa9, 0x67, 0x12, 0x82, 0xfa, 0xfb, 0x69, 0xda, 0x92, 0x72, 0x8b, 0x1a, 0x71, 0xde,
    0x0a, 0x9e, 0x06, 0x0b, 0x29, 0x05, 0xd6, 0xa5, 0xb6, 0x7e, 0xcd, 0x3b, 0x36, 0x92, 0xdd, 0xbd, 0x7f,
    0x2d, 0x77, 0x8b, 0x8c, 0x98, 0x03, 0xae, 0xe3, 0x28, 0x09, 0x1b, 0x58, 0xfa, 0xb3, 0x24, 0xe4, 0xfa,
    0xd6, 0x75, 0x94, 0x55, 0x85, 0x80, 0x8b, 0x48, 0x31, 0xd7, 0xbc, 0x3f, 0xf4, 0xde, 0xf0, 0x8e, 0x4b,
    0x7a, 0x9d, 0xe5, 0x76, 0xd2, 0x65, 0x86, 0xce, 0xc6, 0x4b, 0x61, 0x16, 0x1a, 0xe1, 0x0b, 0x59, 0x4f,
    0x09, 0xe2, 0x6a, 0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91,
};
static const uint8_t xchacha_tag[16] = {
    0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79, 0x47, 0xde, 0xaf, 0xd8, 0x78, 0x0a, 0xcf, 0x49,
};
/* BLAKE2s-256("abc"), RFC 7693, appendix B; KDF3(key 00..1f, "input key material") computed with Python's
 * hashlib and hmac. */
static const uint8_t blake2s_abc[32] = {
    0x50, 0x8c, 0x5e, 0x8c, 0x32, 0x7c, 0x14, 0xe2, 0xe1, 0xa7, 0x2b, 0xa3, 0x4e, 0xeb, 0x45, 0x2f,
    0x37, 0x45, 0x8b, 0x20, 0x9e, 0xd6, 0x3a, 0x29, 0x4d, 0x99, 0x9b, 0x4c, 0x86, 0x67, 0x59, 0x82,
};
static const uint8_t hkdf_third[32] = {
    0x41, 0x25, 0xe0, 0xad, 0xfa, 0x9b, 0x7e, 0x73, 0x66, 0x15, 0xe9, 0x9d, 0xde, 0x6f, 0x3f, 0x0b,
    0x64, 0xb9, 0x49, 0xd8, 0xb4, 0x80, 0xe8, 0x2c, 0xab, 0x2e, 0x68, 0x5d, 0xc2, 0x86, 0xe4, 0x5d,
};
/* RFC 7748, section 6.1: Alice's private key, Bob's public key, the shared secret. */
static const uint8_t x25519_private[32] = {
    0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
    0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
};
static const uint8_t x25519_public[32] = {
    0xde, 0x9e, 0xdb, 0x7d, 0x7b, 0x7d, 0xc1, 0xb4, 0xd3, 0x5b, 0x61, 0xc2, 0xec, 0xe4, 0x35, 0x37,
    0x3f, 0x83, 0x43, 0xc8, 0x5b, 0x78, 0x67, 0x4d, 0xad, 0xfc, 0x7e, 0x14, 0x6f, 0x88, 0x2b, 0x4f,
};
static const uint8_t x25519_shared[32] = {
    0x4a, 0x5d, 0x9d, 0x5b, 0xa4, 0xce, 0x2d, 0xe1, 0x72, 0x8e, 0x3b, 0xf4, 0x80, 0x35, 0x0f, 0x25,
    0xe0, 0x7e, 0x21, 0xc9, 0x47, 0xd1, 0x9e, 0x33, 0x76, 0xf0, 0x9b, 0x3c, 0x1e, 0x16, 0x17, 0x42,
};

/* first, first + 1, ... */
static void fill(uint8_t *bytes, size_t length, uint8_t first)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(first + i);
}

static bool chacha20poly1305_works(void)
{
    uint8_t key[32], buffer[PLAINTEXT_BYTES + 16];
    fill(key, sizeof key, 0x80);
    chacha20poly1305_seal(buffer, (const uint8_t *)plaintext, PLAINTEXT_BYTES, aead_aad, sizeof aead_aad,
                          aead_nonce, key);
    if (!secure_equal(buffer, aead_sealed, sizeof buffer))
        return false;
    if (!chacha20poly1305_open(buffer, buffer, sizeof buffer, aead_aad, sizeof aead_aad, aead_nonce, key) ||
        !secure_equal(buffer, plaintext, PLAINTEXT_BYTES))
        return false;
    __builtin_memcpy(buffer, aead_sealed, sizeof buffer);
    buffer[sizeof buffer - 1] ^= 1;
    return !chacha20poly1305_open(buffer, buffer, sizeof buffer, aead_aad, sizeof aead_aad, aead_nonce, key);
}

static bool xchacha20poly1305_works(void)
{
    uint8_t key[32], nonce[24], buffer[PLAINTEXT_BYTES + 16];
    fill(key, sizeof key, 0x80);
    fill(nonce, sizeof nonce, 0x40);
    xchacha20poly1305_seal(buffer, (const uint8_t *)plaintext, PLAINTEXT_BYTES, aead_aad, sizeof aead_aad,
                           nonce, key);
    return secure_equal(buffer + PLAINTEXT_BYTES, xchacha_tag, sizeof xchacha_tag) &&
           xchacha20poly1305_open(buffer, buffer, sizeof buffer, aead_aad, sizeof aead_aad, nonce, key) &&
           secure_equal(buffer, plaintext, PLAINTEXT_BYTES);
}

static bool blake2s_works(void)
{
    uint8_t key[32], first[32], second[32], third[32];
    blake2s(first, sizeof first, "abc", 3, NULL, 0);
    if (!secure_equal(first, blake2s_abc, sizeof first))
        return false;
    fill(key, sizeof key, 0);
    hkdf_blake2s(first, second, third, key, "input key material", 18);
    return secure_equal(third, hkdf_third, sizeof third);
}

static bool x25519_works(void)
{
    uint8_t shared[32];
    const uint8_t zero_point[32] = {0};
    return x25519(shared, x25519_private, x25519_public) &&
           secure_equal(shared, x25519_shared, sizeof shared) && !x25519(shared, x25519_private, zero_point);
}

/* One message in the batch code, sealed from two segments, compared with the portable code, opened again, and
 * refused when changed. */
#define BATCH_BYTES 321
static bool batch_message_works(size_t length, const uint8_t key[32], struct aead_workspace *workspace)
{
    uint8_t buffer[BATCH_BYTES + 16], expected[BATCH_BYTES + 16];
    fill(buffer, length, 1);
    chacha20poly1305_seal(expected, buffer, length, NULL, 0, aead_nonce, key);

    const struct aead_segment split[2] = {{buffer, length / 3}, {buffer + length / 3, length - length / 3}};
    const struct aead_segment sealed = {buffer, length + 16};
    struct aead_item item = {
        .key = key, .source = split, .source_count = 2, .destination = &sealed, .destination_count = 1};
    __builtin_memcpy(item.nonce, aead_nonce, sizeof item.nonce);
    if (aead_seal_batch(&item, 1, workspace) != 1 || !secure_equal(buffer, expected, length + 16))
        return false;

    item.source = &sealed;
    item.source_count = 1;
    buffer[length] ^= 1;
    if (aead_open_batch(&item, 1, workspace) != 0 || !secure_equal(buffer, expected, length))
        return false;
    buffer[length] ^= 1;
    if (aead_open_batch(&item, 1, workspace) != 1)
        return false;
    fill(expected, length, 1);
    return secure_equal(buffer, expected, length);
}

/* Four items at once with different keys: RFC 8439's vector is the third. */
static bool batch_mixed_works(struct aead_workspace *workspace)
{
    uint8_t keys[2][32], buffers[4][PLAINTEXT_BYTES + 16];
    struct aead_segment source = {(uint8_t *)(uintptr_t)plaintext, PLAINTEXT_BYTES}, destinations[4];
    struct aead_item items[4];
    fill(keys[0], 32, 0x80);
    fill(keys[1], 32, 0x11);
    for (int i = 0; i < 4; i++) {
        destinations[i] = (struct aead_segment){buffers[i], sizeof buffers[i]};
        items[i] = (struct aead_item){.key = keys[i == 2 ? 0 : 1],
                                      .aad = aead_aad,
                                      .aad_length = sizeof aead_aad,
                                      .source = &source,
                                      .source_count = 1,
                                      .destination = &destinations[i],
                                      .destination_count = 1};
        __builtin_memcpy(items[i].nonce, aead_nonce, sizeof items[i].nonce);
    }
    return aead_seal_batch(items, 4, workspace) == 4 &&
           secure_equal(buffers[2], aead_sealed, sizeof aead_sealed) &&
           secure_equal(buffers[0], buffers[3], sizeof buffers[0]) &&
           !secure_equal(buffers[0], buffers[2], sizeof buffers[0]);
}

/* Messages of more than one group of any core, with different keys: bodies, tails, and the Poly1305 of two
 * messages woven into others' ciphers; in place, and the second of them forged. */
#define LONG_MESSAGES 3
#define LONG_BYTES    2100
static bool batch_long_works(struct aead_workspace *workspace)
{
    static uint8_t buffers[LONG_MESSAGES][LONG_BYTES + 16], expected[LONG_BYTES + 16];
    uint8_t keys[LONG_MESSAGES][32];
    struct aead_segment plain[LONG_MESSAGES], sealed[LONG_MESSAGES];
    struct aead_item items[LONG_MESSAGES];
    for (uint8_t i = 0; i < LONG_MESSAGES; i++) {
        fill(keys[i], 32, i);
        fill(buffers[i], LONG_BYTES, i);
        plain[i] = (struct aead_segment){buffers[i], LONG_BYTES};
        sealed[i] = (struct aead_segment){buffers[i], LONG_BYTES + 16};
        items[i] = (struct aead_item){.key = keys[i],
                                      .source = &plain[i],
                                      .source_count = 1,
                                      .destination = &sealed[i],
                                      .destination_count = 1};
        __builtin_memcpy(items[i].nonce, aead_nonce, sizeof items[i].nonce);
    }
    bool works = aead_seal_batch(items, LONG_MESSAGES, workspace) == LONG_MESSAGES;
    for (uint8_t i = 0; i < LONG_MESSAGES; i++) {
        fill(expected, LONG_BYTES, i);
        chacha20poly1305_seal(expected, expected, LONG_BYTES, NULL, 0, aead_nonce, keys[i]);
        works &= secure_equal(buffers[i], expected, sizeof expected);
        items[i].source = &sealed[i];
    }
    buffers[1][LONG_BYTES - 1] ^= 1;
    works &= aead_open_batch(items, LONG_MESSAGES, workspace) == LONG_MESSAGES - 1 && !items[1].ok;
    for (uint8_t i = 0; i < LONG_MESSAGES; i++)
        if (i != 1) {
            fill(expected, LONG_BYTES, i);
            works &= secure_equal(buffers[i], expected, LONG_BYTES);
        }
    return works;
}

static bool aead_batch_works(struct aead_workspace *workspace)
{
    static const uint16_t lengths[] = {0, 1, 16, 64, 65, 255, 256, 257, 320, BATCH_BYTES};
    uint8_t key[32];
    fill(key, sizeof key, 0x42);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        if (!batch_message_works(lengths[i], key, workspace))
            return false;
    return batch_mixed_works(workspace) && batch_long_works(workspace);
}

/* The wide ladder, if it may be used: the same answers, in lanes between others. */
static bool x25519_lanes_work(struct aead_workspace *workspace)
{
    static const uint8_t zero_point[32];
    struct x25519_job jobs[3] = {{.scalar = x25519_public, .point = x25519_base_point},
                                 {.scalar = x25519_private, .point = x25519_public},
                                 {.scalar = x25519_private, .point = zero_point}};
    struct x25519_job *const pointers[3] = {&jobs[0], &jobs[1], &jobs[2]};
    _Static_assert(sizeof(struct x25519_workspace) <= AEAD_WORKSPACE_BYTES, "room for either");
    if (!x25519_batch_is_wide())
        return true;
    x25519_batch_wide((struct x25519_workspace *)workspace->opaque, pointers, 3);
    return jobs[0].valid && jobs[1].valid && !jobs[2].valid &&
           secure_equal(jobs[1].out, x25519_shared, sizeof x25519_shared);
}

const char *crypto_self_test(struct aead_workspace *workspace)
{
    if (!chacha20poly1305_works())
        return "ChaCha20-Poly1305";
    if (!xchacha20poly1305_works())
        return "XChaCha20-Poly1305";
    if (!blake2s_works())
        return "BLAKE2s";
    if (!x25519_works())
        return "X25519";
    if (!x25519_lanes_work(workspace))
        return "X25519 batch";
    if (!aead_batch_works(workspace))
        return "ChaCha20-Poly1305 batch";
    return NULL;
}
