/* The cold parts of Poly1305: padding, the length block and the final reduction. */
#include "crypto/poly1305.h"

#include "crypto/secure_memory.h"

void poly1305_padded(struct poly1305_state *state, const uint8_t *data, size_t length)
{
    size_t blocks = length / POLY1305_BLOCK_BYTES;
    size_t rest = length % POLY1305_BLOCK_BYTES;
    poly1305_blocks(state, data, blocks);
    if (rest > 0) {
        uint8_t last[POLY1305_BLOCK_BYTES] = {0};
        for (size_t i = 0; i < rest; i++)
            last[i] = data[length - rest + i];
        poly1305_blocks(state, last, 1);
        secure_zero(last, sizeof last);
    }
}

void poly1305_lengths(struct poly1305_state *state, uint64_t aad_length, uint64_t message_length)
{
    uint8_t block[POLY1305_BLOCK_BYTES];
    store_le64(block, aad_length);
    store_le64(block + 8, message_length);
    poly1305_blocks(state, block, 1);
}

void poly1305_final(const struct poly1305_state *state, uint8_t tag[16])
{
    /* h2 <= 4 after a step: folding its top bits once more leaves h < 2^130 + 5, so one conditional
     * subtraction of p = 2^130 - 5 is enough; h + 5 >= 2^130 tells whether it is due. */
    unsigned long long carry;
    uint64_t fold = (state->h2 >> 2) * 5;
    uint64_t h0 = __builtin_addcll(state->h0, fold, 0, &carry);
    uint64_t h1 = __builtin_addcll(state->h1, 0, carry, &carry);
    uint64_t h2 = (state->h2 & 3) + carry;

    uint64_t g0 = __builtin_addcll(h0, 5, 0, &carry);
    uint64_t g1 = __builtin_addcll(h1, 0, carry, &carry);
    uint64_t g2 = h2 + carry;
    uint64_t use_g = 0 - (g2 >> 2);
    __asm__("" : "+r"(use_g)); /* keeps the selection free of branches */

    h0 = (h0 & ~use_g) | (g0 & use_g);
    h1 = (h1 & ~use_g) | (g1 & use_g);
    h0 = __builtin_addcll(h0, state->pad0, 0, &carry);
    h1 = __builtin_addcll(h1, state->pad1, carry, &carry);
    store_le64(tag, h0);
    store_le64(tag + 8, h1);
}
