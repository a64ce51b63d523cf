/* The batch AEAD on AVX-512 with IFMA: sixteen ChaCha20 blocks of any packets at a time, in 512-bit vectors,
 * and Poly1305 on eight blocks at a time (poly1305_avx512.h).  Internal to src/crypto: aead_batch.c calls it
 * when the processor and the system can. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/aead_batch.h"

/* Other processors' builds have no such code. */
#if defined(__x86_64__)
#define WYRM_HAS_AVX512 1
#else
#define WYRM_HAS_AVX512 0
#endif

/* So many items in one call at most. */
#define AEAD_AVX512_ITEMS 16

/* Can it do this item?  Lengths are valid; the ciphertext lies in one piece, and so does the plaintext when
 * opening; no additional data. */
bool aead_avx512_fits(const struct aead_item *item, bool seal);

/* Seals or opens `count` items that fit: sets their `ok`.  `workspace` is AEAD_WORKSPACE_BYTES, 64-byte
 * aligned, and holds no secrets afterwards. */
void aead_avx512(struct aead_item *const *items, size_t count, bool seal, void *workspace);
