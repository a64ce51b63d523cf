/* A cursor over a scattered buffer (a list of struct aead_segment).  Internal to src/crypto. */
#pragma once

#include <stdbool.h>

#include "crypto/aead_batch.h"

/* Stands at the first byte not yet used.  `segment` never stands on an exhausted segment unless all are. */
struct segment_cursor {
    const struct aead_segment *segment;
    size_t count;  /* segments left, including the current one */
    size_t offset; /* into the current one */
};

/* The sum of all lengths; false when it would exceed `limit`. */
static inline bool segments_length(const struct aead_segment *segments, size_t count, size_t limit,
                                   size_t *length)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        if (segments[i].length > limit - total)
            return false;
        total += segments[i].length;
    }
    *length = total;
    return true;
}

static inline void segment_cursor_normalize(struct segment_cursor *cursor)
{
    while (cursor->count > 0 && cursor->offset == cursor->segment->length) {
        cursor->segment++;
        cursor->count--;
        cursor->offset = 0;
    }
}

static inline void segment_cursor_init(struct segment_cursor *cursor, const struct aead_segment *segments,
                                       size_t count)
{
    *cursor = (struct segment_cursor){.segment = segments, .count = count};
    segment_cursor_normalize(cursor);
}

/* Bytes left in the current segment; 0 only at the very end. */
static inline size_t segment_cursor_contiguous(const struct segment_cursor *cursor)
{
    return cursor->count > 0 ? cursor->segment->length - cursor->offset : 0;
}

/* The current byte's address; only when segment_cursor_contiguous is not 0. */
static inline uint8_t *segment_cursor_data(const struct segment_cursor *cursor)
{
    return cursor->segment->data + cursor->offset;
}

/* Moves on; beyond the end it stays at the end. */
static inline void segment_cursor_skip(struct segment_cursor *cursor, size_t length)
{
    while (length > 0 && cursor->count > 0) {
        size_t here = segment_cursor_contiguous(cursor);
        size_t piece = length < here ? length : here;
        cursor->offset += piece;
        length -= piece;
        segment_cursor_normalize(cursor);
    }
}

/* Copies the next `length` bytes out and moves on; what is beyond the end reads as zeros (padding). */
static inline void segment_cursor_read(struct segment_cursor *cursor, uint8_t *to, size_t length)
{
    while (length > 0 && cursor->count > 0) {
        size_t here = segment_cursor_contiguous(cursor);
        size_t piece = length < here ? length : here;
        __builtin_memcpy(to, segment_cursor_data(cursor), piece);
        cursor->offset += piece;
        to += piece;
        length -= piece;
        segment_cursor_normalize(cursor);
    }
    __builtin_memset(to, 0, length);
}

/* Copies `length` bytes in and moves on.  The buffer must be long enough. */
static inline void segment_cursor_write(struct segment_cursor *cursor, const uint8_t *from, size_t length)
{
    while (length > 0 && cursor->count > 0) {
        size_t here = segment_cursor_contiguous(cursor);
        size_t piece = length < here ? length : here;
        __builtin_memcpy(segment_cursor_data(cursor), from, piece);
        cursor->offset += piece;
        from += piece;
        length -= piece;
        segment_cursor_normalize(cursor);
    }
}
