/* The formatting functions of the C library, which ucrtbase.dll does not export under their names:
 * Microsoft's headers have them as inline functions over __stdio_common_* (corecrt_wstdio.h, stdio.h).  In
 * the wide ones %s is a wide string, as everywhere on Windows. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef struct _iobuf FILE;
enum { OPTION_STANDARD_SNPRINTF = 2, OPTION_WIDE_MEANS_WIDE = 4 };

__declspec(dllimport) FILE *__cdecl __acrt_iob_func(unsigned index);
__declspec(dllimport) int __cdecl __stdio_common_vfprintf(uint64_t options, FILE *file, const char *format,
                                                          void *locale, va_list list);
__declspec(dllimport) int __cdecl __stdio_common_vfwprintf(uint64_t options, FILE *file,
                                                           const wchar_t *format, void *locale, va_list list);
__declspec(dllimport) int __cdecl __stdio_common_vsprintf(uint64_t options, char *buffer, size_t count,
                                                          const char *format, void *locale, va_list list);
__declspec(dllimport) int __cdecl __stdio_common_vswprintf(uint64_t options, wchar_t *buffer, size_t count,
                                                           const wchar_t *format, void *locale, va_list list);
__declspec(dllimport) int __cdecl __stdio_common_vsscanf(uint64_t options, const char *buffer, size_t count,
                                                         const char *format, void *locale, va_list list);

int __cdecl vfprintf(FILE *file, const char *format, va_list list);
int __cdecl vprintf(const char *format, va_list list);
int __cdecl vsnprintf(char *buffer, size_t count, const char *format, va_list list);
int __cdecl vswprintf(wchar_t *buffer, size_t count, const wchar_t *format, va_list list);
int __cdecl vfwprintf(FILE *file, const wchar_t *format, va_list list);
int __cdecl printf(const char *format, ...);
int __cdecl fprintf(FILE *file, const char *format, ...);
int __cdecl snprintf(char *buffer, size_t count, const char *format, ...);
int __cdecl sprintf(char *buffer, const char *format, ...);
int __cdecl sscanf(const char *buffer, const char *format, ...);
int __cdecl swprintf(wchar_t *buffer, size_t count, const wchar_t *format, ...);
int __cdecl wprintf(const wchar_t *format, ...);
int __cdecl fwprintf(FILE *file, const wchar_t *format, ...);

int __cdecl vfprintf(FILE *file, const char *format, va_list list)
{
    return __stdio_common_vfprintf(0, file, format, NULL, list);
}

int __cdecl vprintf(const char *format, va_list list)
{
    return vfprintf(__acrt_iob_func(1), format, list);
}

int __cdecl vsnprintf(char *buffer, size_t count, const char *format, va_list list)
{
    return __stdio_common_vsprintf(OPTION_STANDARD_SNPRINTF, buffer, count, format, NULL, list);
}

/* Returns a negative value when the text does not fit; ends it with a zero all the same. */
int __cdecl vswprintf(wchar_t *buffer, size_t count, const wchar_t *format, va_list list)
{
    int length = __stdio_common_vswprintf(OPTION_STANDARD_SNPRINTF | OPTION_WIDE_MEANS_WIDE, buffer, count,
                                          format, NULL, list);
    return length < 0 || (size_t)length >= count ? -1 : length;
}

int __cdecl vfwprintf(FILE *file, const wchar_t *format, va_list list)
{
    return __stdio_common_vfwprintf(OPTION_WIDE_MEANS_WIDE, file, format, NULL, list);
}

/* Calls CALL with `list` holding the arguments behind `format`. */
#define WITH_ARGUMENTS(CALL)                                                                                 \
    va_list list;                                                                                            \
    va_start(list, format);                                                                                  \
    int result = CALL;                                                                                       \
    va_end(list);                                                                                            \
    return result

int __cdecl printf(const char *format, ...)
{
    WITH_ARGUMENTS(vfprintf(__acrt_iob_func(1), format, list));
}

int __cdecl fprintf(FILE *file, const char *format, ...)
{
    WITH_ARGUMENTS(vfprintf(file, format, list));
}

int __cdecl snprintf(char *buffer, size_t count, const char *format, ...)
{
    WITH_ARGUMENTS(vsnprintf(buffer, count, format, list));
}

int __cdecl sprintf(char *buffer, const char *format, ...)
{
    WITH_ARGUMENTS(__stdio_common_vsprintf(OPTION_STANDARD_SNPRINTF, buffer, SIZE_MAX, format, NULL, list));
}

int __cdecl sscanf(const char *buffer, const char *format, ...)
{
    WITH_ARGUMENTS(__stdio_common_vsscanf(0, buffer, SIZE_MAX, format, NULL, list));
}

int __cdecl swprintf(wchar_t *buffer, size_t count, const wchar_t *format, ...)
{
    WITH_ARGUMENTS(vswprintf(buffer, count, format, list));
}

int __cdecl wprintf(const wchar_t *format, ...)
{
    WITH_ARGUMENTS(vfwprintf(__acrt_iob_func(1), format, list));
}

int __cdecl fwprintf(FILE *file, const wchar_t *format, ...)
{
    WITH_ARGUMENTS(vfwprintf(file, format, list));
}
