/* Run-time library exports that nt/ does not declare: our driver brings its own memcpy and needs no C
 * strings, other authors' drivers import them. */
#pragma once

#include "nt/rtl.h"

#include <stddef.h>

NTAPI void *nt_memcpy(void *destination, const void *source, size_t length);
NTAPI void *nt_memmove(void *destination, const void *source, size_t length);
NTAPI void *nt_memset(void *destination, int value, size_t length);
NTAPI int nt_memcmp(const void *left, const void *right, size_t length);
NTAPI size_t nt_strlen(const char *text);
NTAPI int nt_strcmp(const char *left, const char *right);
NTAPI int nt_strncmp(const char *left, const char *right, size_t count);
NTAPI size_t nt_wcslen(const WCHAR *text);
NTAPI int nt_snprintf(char *out, size_t size, const char *format, ...);
NTAPI int nt_vsnprintf(char *out, size_t size, const char *format, __builtin_ms_va_list arguments);
NTAPI VOID RtlInitAnsiString(PANSI_STRING DestinationString, PCSZ SourceString);
NTAPI NTSTATUS RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source);
NTAPI NTSTATUS RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source);
