/* ChaCha20-Poly1305 (RFC 8439, section 2.8) for a batch of packets: the vector lanes of the cipher run across
 * packets as well as across the blocks of one packet, so that Poly1305 key blocks and packet tails fill lanes
 * too.  This is the data path's interface; chacha20poly1305.h is the one for single short messages.
 *
 * All functions: any IRQL, no allocation, no locks, about 3.5 KB of stack; time depends on lengths only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY_BYTES   32
#define AEAD_NONCE_BYTES 12
#define AEAD_TAG_BYTES   16

/* The longest message: the 32-bit block counter of RFC 8439 would allow more, no packet needs it. */
#define AEAD_MESSAGE_MAX_BYTES ((size_t)1 << 24)

/* One piece of a scattered buffer, e.g. what one MDL describes.  `length` in bytes, may be 0 (`data` is then
 * not looked at). */
struct aead_segment {
    uint8_t *data;
    size_t length;
};

/* One message.  Everything is input except `ok`.
 *
 * Source and destination are lists of segments.  A source byte and a destination byte may share an address
 * only when they are at the same offset of the message (in place); any other overlap, also between items, is
 * forbidden.  AAD and key must not overlap any destination of the batch. */
struct aead_item {
    const uint8_t *key; /* AEAD_KEY_BYTES */
    const uint8_t *aad; /* aad_length bytes; may be NULL when that is 0 */
    size_t aad_length;

    /* Seal: the plaintext.  Open: the ciphertext with the tag behind it. */
    const struct aead_segment *source;
    size_t source_count;

    /* Seal: receives ciphertext and tag, plaintext + padding + AEAD_TAG_BYTES.  Open: receives the plaintext,
     * the source's length - AEAD_TAG_BYTES.  A longer destination is left alone behind that; one that is too
     * short fails the item. */
    const struct aead_segment *destination;
    size_t destination_count;

    /* Seal only: that many zero bytes are encrypted behind the plaintext (the source is not touched). */
    size_t padding;

    uint8_t nonce[AEAD_NONCE_BYTES]; /* WireGuard: aead_nonce_from_counter */

    /* Seal: lengths were valid, the destination is complete.  Open: lengths were valid and the tag was right,
     * the destination holds the plaintext.  False: the destination was not written at all. */
    bool ok;
};

/* Working memory of one call: caller-allocated (one per CPU, non-paged), needs no initialisation, holds no
 * secrets after a call.  Not to be used by two calls at once. */
#define AEAD_WORKSPACE_BYTES 45056
struct aead_workspace {
    _Alignas(64) uint8_t opaque[AEAD_WORKSPACE_BYTES];
};

/* Encrypts `count` messages (any number, also 0; keys may differ from item to item).  Returns the number of
 * items with ok = true; only invalid lengths make one false. */
size_t aead_seal_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace);

/* Verifies and decrypts `count` messages.  No byte of a destination is written before that item's tag was
 * verified. Returns the number of items with ok = true. */
size_t aead_open_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace);

/* The same without registers wider than SSE's 16 bytes, whatever is selected: for callers who could not save
 * the state of wider ones. */
size_t aead_seal_batch_narrow(struct aead_item *items, size_t count, struct aead_workspace *workspace);
size_t aead_open_batch_narrow(struct aead_item *items, size_t count, struct aead_workspace *workspace);

/* WireGuard's nonce (white paper, 5.4.6): 4 zero bytes, then the 64-bit counter in little-endian order. */
static inline void aead_nonce_from_counter(uint8_t nonce[AEAD_NONCE_BYTES], uint64_t counter)
{
    for (int i = 0; i < 4; i++)
        nonce[i] = 0;
    for (int i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(counter >> (8 * i));
}
