#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <wchar.h>

enum { LINE_UNITS = 1024 };

static void CALLBACK drop(WIREGUARD_LOGGER_LEVEL level, DWORD64 timestamp, LPCWSTR message)
{
}

static _Atomic(WIREGUARD_LOGGER_CALLBACK) logger = drop;

void log_set_callback(WIREGUARD_LOGGER_CALLBACK callback)
{
    logger = callback ? callback : drop;
}

void log_at(WIREGUARD_LOGGER_LEVEL level, DWORD64 timestamp, const wchar_t *message)
{
    WIREGUARD_LOGGER_CALLBACK callback = logger;
    callback(level, timestamp, message);
}

/* The callback must not disturb what the failing function tells its caller. */
static void emit(WIREGUARD_LOGGER_LEVEL level, const wchar_t *message)
{
    DWORD error = GetLastError();
    FILETIME now;
    GetSystemTimePreciseAsFileTime(&now);
    log_at(level, (DWORD64)now.dwHighDateTime << 32 | now.dwLowDateTime, message);
    SetLastError(error);
}

void log_line(WIREGUARD_LOGGER_LEVEL level, const wchar_t *format, ...)
{
    wchar_t line[LINE_UNITS];
    va_list list;
    va_start(list, format);
    vswprintf(line, LINE_UNITS, format, list);
    va_end(list);
    emit(level, line);
}

/* Appends the system's words for `error` to `line`, without the line end that the system puts behind them. */
static void append_error(wchar_t line[LINE_UNITS], DWORD error)
{
    wchar_t words[512];
    DWORD length = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS |
                                      FORMAT_MESSAGE_MAX_WIDTH_MASK,
                                  NULL, error, 0, words, 512, NULL);
    while (length && (words[length - 1] == L' ' || words[length - 1] == L'.'))
        length--;
    words[length] = 0;
    size_t used = wcslen(line);
    if (length)
        swprintf(line + used, LINE_UNITS - used, L": %s (error %lu)", words, error);
    else
        swprintf(line + used, LINE_UNITS - used, L": error 0x%08lx", error);
}

static void log_error(WIREGUARD_LOGGER_LEVEL level, DWORD error, const wchar_t *format, va_list list)
{
    wchar_t line[LINE_UNITS];
    vswprintf(line, LINE_UNITS - 600, format, list);
    append_error(line, error);
    emit(level, line);
}

bool log_failure(DWORD error, const wchar_t *format, ...)
{
    va_list list;
    va_start(list, format);
    log_error(WIREGUARD_LOG_ERR, error, format, list);
    va_end(list);
    SetLastError(error);
    return false;
}

void log_warning(DWORD error, const wchar_t *format, ...)
{
    va_list list;
    va_start(list, format);
    log_error(WIREGUARD_LOG_WARN, error, format, list);
    va_end(list);
}
