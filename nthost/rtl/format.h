/* printf for the kernel's formats (DbgPrint, _snprintf): counted strings, 16-bit characters, I32/I64. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Formats into `out` (`size` bytes, always terminated when size > 0). Returns the length that the whole text
 * has. *wide: a Unicode conversion was used (allowed at PASSIVE_LEVEL only); may be NULL. */
size_t nt_format(char *out, size_t size, const char *format, __builtin_ms_va_list arguments, bool *wide);
