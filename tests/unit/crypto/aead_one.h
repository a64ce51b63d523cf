/* One contiguous message through the batch interface, for tests with vectors. */
#pragma once

#include <string.h>

#include "crypto/aead_batch.h"

static inline bool aead_one(bool seal, uint8_t *destination, size_t destination_length, const uint8_t *source,
                            size_t source_length, const uint8_t *aad, size_t aad_length,
                            const uint8_t nonce[12], const uint8_t key[32])
{
    static struct aead_workspace workspace;
    const struct aead_segment from = {(uint8_t *)(uintptr_t)source, source_length};
    const struct aead_segment to = {destination, destination_length};
    struct aead_item item = {.key = key,
                             .aad = aad,
                             .aad_length = aad_length,
                             .source = &from,
                             .source_count = 1,
                             .destination = &to,
                             .destination_count = 1};
    memcpy(item.nonce, nonce, sizeof item.nonce);
    size_t succeeded = seal ? aead_seal_batch(&item, 1, &workspace) : aead_open_batch(&item, 1, &workspace);
    return succeeded == 1 && item.ok;
}
