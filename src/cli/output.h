/* The text a command prints: collected, so that nothing is printed of a command that fails, and wiped, as it
 * may hold keys.  A want of memory is remembered and told by output_flush(). */
#pragma once

#include "failure.h"
#include "key_codec.h"
#include "secure_buffer.h"

#include <stdint.h>

struct output {
    struct secure_buffer text;
    bool no_memory;
};

void output_text(struct output *output, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* In base64; "(none)" when it is all zero. */
void output_key(struct output *output, const uint8_t key[KEY_LENGTH]);
/* 100 ns since 1601-01-01 UTC, as the driver's, in the form of RFC 3339 with milliseconds.  One thread at a
 * time.
 */
void output_timestamp(struct output *output, uint64_t timestamp);
/* Prints and frees it. */
bool output_flush(struct output *output, struct failure *failure);
void output_free(struct output *output);
