/* Strings and memory. */
#include "rtl/exports.h"

#include <string.h>

static size_t wide_length(PCWSTR text)
{
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}

VOID NTAPI RtlInitUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString)
{
    size_t bytes = SourceString ? wide_length(SourceString) * sizeof(WCHAR) : 0;
    if (bytes > 0xfffc) /* the longest that leaves room for the terminator */
        bytes = 0xfffc;
    DestinationString->Length = (USHORT)bytes;
    DestinationString->MaximumLength = SourceString ? (USHORT)(bytes + sizeof(WCHAR)) : 0;
    DestinationString->Buffer = (PWCH)(uintptr_t)SourceString;
}

VOID NTAPI RtlInitAnsiString(PANSI_STRING DestinationString, PCSZ SourceString)
{
    size_t bytes = SourceString ? strlen(SourceString) : 0;
    if (bytes > 0xfffe)
        bytes = 0xfffe;
    DestinationString->Length = (USHORT)bytes;
    DestinationString->MaximumLength = SourceString ? (USHORT)(bytes + 1) : 0;
    DestinationString->Buffer = (PCHAR)(uintptr_t)SourceString;
}

/* Case is ignored for ASCII and Latin-1, which is what device and registry names use. */
static WCHAR upcase(WCHAR c)
{
    if (c >= u'a' && c <= u'z')
        return (WCHAR)(c - 32);
    if (c >= 0xe0 && c <= 0xfe && c != 0xf7)
        return (WCHAR)(c - 32);
    return c == 0xff ? (WCHAR)0x178 : c;
}

LONG NTAPI RtlCompareUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2,
                                   BOOLEAN CaseInSensitive)
{
    size_t length1 = String1->Length / sizeof(WCHAR), length2 = String2->Length / sizeof(WCHAR);
    for (size_t i = 0; i < length1 && i < length2; i++) {
        WCHAR c1 = String1->Buffer[i], c2 = String2->Buffer[i];
        if (CaseInSensitive) {
            c1 = upcase(c1);
            c2 = upcase(c2);
        }
        if (c1 != c2)
            return (LONG)c1 - (LONG)c2;
    }
    return (LONG)String1->Length - (LONG)String2->Length;
}

BOOLEAN NTAPI RtlEqualUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2,
                                    BOOLEAN CaseInSensitive)
{
    return String1->Length == String2->Length &&
           RtlCompareUnicodeString(String1, String2, CaseInSensitive) == 0;
}

VOID NTAPI RtlCopyUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString)
{
    if (!SourceString) {
        DestinationString->Length = 0;
        return;
    }
    USHORT bytes = SourceString->Length < DestinationString->MaximumLength ? SourceString->Length
                                                                           : DestinationString->MaximumLength;
    memmove(DestinationString->Buffer, SourceString->Buffer, bytes);
    DestinationString->Length = bytes;
    if ((ULONG)bytes + sizeof(WCHAR) <= DestinationString->MaximumLength)
        DestinationString->Buffer[bytes / sizeof(WCHAR)] = 0;
}

NTAPI NTSTATUS RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source)
{
    if ((ULONG)Destination->Length + Source->Length > Destination->MaximumLength)
        return STATUS_BUFFER_TOO_SMALL;
    memmove((PCHAR)Destination->Buffer + Destination->Length, Source->Buffer, Source->Length);
    Destination->Length = (USHORT)(Destination->Length + Source->Length);
    if ((ULONG)Destination->Length + sizeof(WCHAR) <= Destination->MaximumLength)
        Destination->Buffer[Destination->Length / sizeof(WCHAR)] = 0;
    return STATUS_SUCCESS;
}

NTAPI NTSTATUS RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source)
{
    UNICODE_STRING string;
    if (!Source)
        return STATUS_SUCCESS;
    RtlInitUnicodeString(&string, Source);
    return RtlAppendUnicodeStringToString(Destination, &string);
}

/* The number of equal bytes at the start. */
SIZE_T NTAPI RtlCompareMemory(const VOID *Source1, const VOID *Source2, SIZE_T Length)
{
    const UCHAR *left = Source1, *right = Source2;
    SIZE_T i = 0;
    while (i < Length && left[i] == right[i])
        i++;
    return i;
}

NTAPI void *nt_memcpy(void *destination, const void *source, size_t length)
{
    return memmove(destination, source, length); /* the kernel's memcpy allows overlap */
}

NTAPI void *nt_memmove(void *destination, const void *source, size_t length)
{
    return memmove(destination, source, length);
}

NTAPI void *nt_memset(void *destination, int value, size_t length)
{
    return memset(destination, value, length);
}

NTAPI int nt_memcmp(const void *left, const void *right, size_t length)
{
    return memcmp(left, right, length);
}

NTAPI size_t nt_strlen(const char *text)
{
    return strlen(text);
}

NTAPI int nt_strcmp(const char *left, const char *right)
{
    return strcmp(left, right);
}

NTAPI int nt_strncmp(const char *left, const char *right, size_t count)
{
    return strncmp(left, right, count);
}

NTAPI size_t nt_wcslen(const WCHAR *text)
{
    return wide_length(text);
}
