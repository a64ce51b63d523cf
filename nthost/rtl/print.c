/* Debug output and _snprintf.  The driver's messages appear on stderr with --trace; in verify mode they are
 * formatted in any case, so that bad arguments are found. */
#include "host.h"
#include "imports/imports.h"
#include "rtl/exports.h"
#include "rtl/format.h"
#include "sched/sched.h"
#include "verify/verify.h"

#include <stdio.h>
#include <string.h>

#define DEBUG_LINE 512 /* bytes that one call can print, as on Windows */

static ULONG print(const char *format, __builtin_ms_va_list arguments)
{
    char line[DEBUG_LINE];
    bool wide = false;
    if (!host_options.trace && !host_options.verify)
        return STATUS_SUCCESS;
    nt_format(line, sizeof line, format, arguments, &wide);
    if (wide && host_options.verify && sched_irql() > SCHED_PASSIVE)
        verify_report(RULE_IRQL_RANGE, "DbgPrint with a Unicode conversion was called at IRQL %u",
                      sched_irql());
    if (host_options.trace) {
        size_t length = strlen(line);
        while (length && (line[length - 1] == '\n' || line[length - 1] == '\r'))
            line[--length] = 0;
        fprintf(stderr, "driver: %s\n", line);
    }
    return STATUS_SUCCESS;
}

ULONG NTAPI DbgPrint(PCSTR Format, ...)
{
    __builtin_ms_va_list arguments;
    __builtin_ms_va_start(arguments, Format);
    ULONG status = print(Format, arguments);
    __builtin_ms_va_end(arguments);
    return status;
}

ULONG NTAPI DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...)
{
    __builtin_ms_va_list arguments;
    (void)ComponentId, (void)Level;
    __builtin_ms_va_start(arguments, Format);
    ULONG status = print(Format, arguments);
    __builtin_ms_va_end(arguments);
    return status;
}

/* -1 when the text does not fit; a text that fills the buffer exactly is not terminated. */
NTAPI int nt_vsnprintf(char *out, size_t size, const char *format, __builtin_ms_va_list arguments)
{
    __builtin_ms_va_list again;
    __builtin_ms_va_copy(again, arguments);
    size_t length = nt_format(NULL, 0, format, again, NULL);
    __builtin_ms_va_end(again);
    if (length < size) {
        nt_format(out, size, format, arguments, NULL);
        return (int)length;
    }
    char text[4096];
    nt_format(text, sizeof text, format, arguments, NULL);
    memcpy(out, text, size < sizeof text ? size : sizeof text);
    return length == size ? (int)length : -1;
}

NTAPI int nt_snprintf(char *out, size_t size, const char *format, ...)
{
    __builtin_ms_va_list arguments;
    __builtin_ms_va_start(arguments, format);
    int length = nt_vsnprintf(out, size, format, arguments);
    __builtin_ms_va_end(arguments);
    return length;
}
