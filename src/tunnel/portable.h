/* What the portable parts use of POSIX.1-2008's string functions and glibc's, by the names that Windows has.
 */
#pragma once

#include "crypto/secure_memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define strncasecmp _strnicmp
#define strdup      _strdup

static inline void explicit_bzero(void *data, size_t length)
{
    secure_zero(data, length);
}

static inline void *reallocarray(void *memory, size_t count, size_t size)
{
    return size && count > SIZE_MAX / size ? NULL : realloc(memory, count * size);
}

static inline void *memrchr(const void *data, int wanted, size_t length)
{
    const unsigned char *at = data;
    while (length)
        if (at[--length] == (unsigned char)wanted)
            return (void *)(at + length);
    return NULL;
}

static inline void *memmem(const void *data, size_t length, const void *wanted, size_t wanted_length)
{
    for (const char *at = data; length >= wanted_length; at++, length--)
        if (!memcmp(at, wanted, wanted_length))
            return (void *)at;
    return NULL;
}

static inline char *strndup(const char *text, size_t length)
{
    size_t used = strnlen(text, length);
    char *copy = malloc(used + 1);
    if (copy) {
        memcpy(copy, text, used);
        copy[used] = 0;
    }
    return copy;
}
