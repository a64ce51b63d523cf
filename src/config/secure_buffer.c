/* See secure_buffer.h.  realloc() is not used: it may leave an unwiped copy behind. */
#include "secure_buffer.h"

#include "key_codec.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool secure_buffer_reserve(struct secure_buffer *buffer, size_t more)
{
    if (more <= buffer->capacity - buffer->length)
        return true;
    if (more > SIZE_MAX / 4 - buffer->length)
        return false;
    size_t capacity = buffer->capacity ? buffer->capacity * 2 : 512;
    if (capacity < buffer->length + more)
        capacity = buffer->length + more;
    uint8_t *data = malloc(capacity);
    if (!data)
        return false;
    if (buffer->data) {
        memcpy(data, buffer->data, buffer->length);
        explicit_bzero(buffer->data, buffer->capacity);
        free(buffer->data);
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

bool secure_buffer_append(struct secure_buffer *buffer, const void *data, size_t length)
{
    if (!length)
        return true;
    if (!secure_buffer_reserve(buffer, length))
        return false;
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    return true;
}

bool secure_buffer_printf(struct secure_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0 || !secure_buffer_reserve(buffer, (size_t)length + 1))
        return false;
    va_start(arguments, format);
    vsnprintf((char *)buffer->data + buffer->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buffer->length += (size_t)length;
    return true;
}

bool secure_buffer_key_line(struct secure_buffer *buffer, const char *name, const uint8_t *key)
{
    /* In place: printf() would leave a copy of the digits on the stack. */
    size_t prefix = strlen(name), line = prefix + 1 + KEY_HEX_LENGTH + 1;
    if (!secure_buffer_reserve(buffer, line))
        return false;
    char *at = (char *)buffer->data + buffer->length;
    memcpy(at, name, prefix + 1);
    at[prefix] = '=';
    key_to_hex(at + prefix + 1, key);
    at[line - 1] = '\n'; /* over its NUL */
    buffer->length += line;
    return true;
}

void secure_buffer_consume(struct secure_buffer *buffer, size_t length)
{
    if (!length)
        return;
    memmove(buffer->data, buffer->data + length, buffer->length - length);
    explicit_bzero(buffer->data + buffer->length - length, length);
    buffer->length -= length;
}

void secure_buffer_clear(struct secure_buffer *buffer)
{
    if (buffer->data)
        explicit_bzero(buffer->data, buffer->length);
    buffer->length = 0;
}

void secure_buffer_free(struct secure_buffer *buffer)
{
    if (buffer->data)
        explicit_bzero(buffer->data, buffer->capacity);
    free(buffer->data);
    *buffer = (struct secure_buffer){0};
}
