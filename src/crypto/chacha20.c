/* Portable ChaCha20 (RFC 8439, section 2.4) and HChaCha20 (draft-irtf-cfrg-xchacha-03, section 2.2).  The
 * data path's vector cores are in aead_core_*.c. */
#include "crypto/chacha20.h"

#include "crypto/bytes.h"
#include "crypto/secure_memory.h"
#include "crypto/xchacha20poly1305.h"

static inline uint32_t rotate_left(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

static inline void quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    *a += *b, *d = rotate_left(*d ^ *a, 16);
    *c += *d, *b = rotate_left(*b ^ *c, 12);
    *a += *b, *d = rotate_left(*d ^ *a, 8);
    *c += *d, *b = rotate_left(*b ^ *c, 7);
}

static void double_rounds(uint32_t x[16])
{
    for (int i = 0; i < 10; i++) {
        quarter_round(&x[0], &x[4], &x[8], &x[12]);
        quarter_round(&x[1], &x[5], &x[9], &x[13]);
        quarter_round(&x[2], &x[6], &x[10], &x[14]);
        quarter_round(&x[3], &x[7], &x[11], &x[15]);
        quarter_round(&x[0], &x[5], &x[10], &x[15]);
        quarter_round(&x[1], &x[6], &x[11], &x[12]);
        quarter_round(&x[2], &x[7], &x[8], &x[13]);
        quarter_round(&x[3], &x[4], &x[9], &x[14]);
    }
}

/* The state of RFC 8439, section 2.3: constants, key, then the 16 bytes of counter and nonce. */
static void state_load(uint32_t x[16], const uint8_t key[32], const uint8_t counter_nonce[16])
{
    x[0] = CHACHA20_CONSTANT_0;
    x[1] = CHACHA20_CONSTANT_1;
    x[2] = CHACHA20_CONSTANT_2;
    x[3] = CHACHA20_CONSTANT_3;
    for (int i = 0; i < 8; i++)
        x[4 + i] = load_le32(key + 4 * i);
    for (int i = 0; i < 4; i++)
        x[12 + i] = load_le32(counter_nonce + 4 * i);
}

void chacha20_block(uint8_t out[CHACHA20_BLOCK_BYTES], const uint8_t key[32], uint32_t counter,
                    const uint8_t nonce[12])
{
    uint8_t counter_nonce[16];
    uint32_t initial[16], x[16];
    store_le32(counter_nonce, counter);
    __builtin_memcpy(counter_nonce + 4, nonce, 12);
    state_load(initial, key, counter_nonce);
    __builtin_memcpy(x, initial, sizeof x);
    double_rounds(x);
    for (int i = 0; i < 16; i++)
        store_le32(out + 4 * i, x[i] + initial[i]);
    secure_zero(initial, sizeof initial);
    secure_zero(x, sizeof x);
}

void chacha20_xor(uint8_t *destination, const uint8_t *source, size_t length, const uint8_t key[32],
                  uint32_t counter, const uint8_t nonce[12])
{
    uint8_t keystream[CHACHA20_BLOCK_BYTES];
    while (length > 0) {
        size_t piece = length < sizeof keystream ? length : sizeof keystream;
        chacha20_block(keystream, key, counter++, nonce);
        for (size_t i = 0; i < piece; i++)
            destination[i] = source[i] ^ keystream[i];
        destination += piece;
        source += piece;
        length -= piece;
    }
    secure_zero(keystream, sizeof keystream);
}

void hchacha20(uint8_t subkey[32], const uint8_t nonce[16], const uint8_t key[32])
{
    uint32_t x[16];
    state_load(x, key, nonce);
    double_rounds(x);
    for (int i = 0; i < 4; i++) {
        store_le32(subkey + 4 * i, x[i]);
        store_le32(subkey + 16 + 4 * i, x[12 + i]);
    }
    secure_zero(x, sizeof x);
}
