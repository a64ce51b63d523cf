/* A growing byte buffer for data that may hold keys: every copy that is left behind is wiped. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secure_buffer {
    uint8_t *data;
    size_t length;   /* bytes in use */
    size_t capacity; /* bytes allocated */
};

/* Makes room for `more` further bytes. false: no memory (the content is as before). */
bool secure_buffer_reserve(struct secure_buffer *buffer, size_t more);
bool secure_buffer_append(struct secure_buffer *buffer, const void *data, size_t length);
/* Appends formatted text (without its NUL). */
bool secure_buffer_printf(struct secure_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Appends "NAME=" with a key of 32 bytes in hexadecimal and a new line, as the userspace protocol has keys.
 */
bool secure_buffer_key_line(struct secure_buffer *buffer, const char *name, const uint8_t *key);
/* Takes the first `length` bytes away and wipes the gap. */
void secure_buffer_consume(struct secure_buffer *buffer, size_t length);
/* Wipes and forgets the content, keeps the memory. */
void secure_buffer_clear(struct secure_buffer *buffer);
/* Wipes and frees; the buffer is empty and usable afterwards. */
void secure_buffer_free(struct secure_buffer *buffer);
