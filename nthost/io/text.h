/* Between the host's UTF-8 and the kernel's counted UTF-16 strings.  Only ASCII is translated both ways;
 * anything else becomes '?'. */
#pragma once

#include "nt/types.h"

#include <stddef.h>

/* Writes `text` with a terminator to `buffer` (`size` in bytes, cut off if too small) and describes it. */
static inline UNICODE_STRING text_to_unicode(const char *text, WCHAR *buffer, size_t size)
{
    size_t length = 0, room = size / sizeof *buffer - 1;
    for (; text[length] && length < room; length++)
        buffer[length] = (unsigned char)text[length] < 0x80 ? (WCHAR)text[length] : u'?';
    buffer[length] = 0;
    return (UNICODE_STRING){.Length = (USHORT)(length * sizeof *buffer),
                            .MaximumLength = (USHORT)((length + 1) * sizeof *buffer),
                            .Buffer = buffer};
}

/* Writes the string to `out` with a terminator (`size` bytes, at least 1); returns `out`. */
static inline char *text_from_unicode(const UNICODE_STRING *string, char *out, size_t size)
{
    size_t length = string->Length / sizeof(WCHAR), i = 0;
    for (; i < length && i + 1 < size; i++)
        out[i] = string->Buffer[i] >= 0x20 && string->Buffer[i] < 0x7f ? (char)string->Buffer[i] : '?';
    out[i] = 0;
    return out;
}
