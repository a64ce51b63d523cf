/* See log.h. */
#include "log.h"

#include "folders.h"
#include "library.h"
#include "names.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SOURCE_KEY L"SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\" SERVICE_SOURCE
#define LINE_BYTES 1024
#define TAIL_BYTES 65536
#define EVENT_ID   1
#define ERROR_MARK " error: "

static struct {
    SRWLOCK lock;
    HANDLE file; /* NULL: none */
    WCHAR path[PATH_UNITS];
    ULONG64 bytes;
    bool to_stderr;
} output;

static DWORD open_file(void)
{
    LARGE_INTEGER size = {.QuadPart = 0};
    /* Who reads it may not keep us from renaming it. */
    output.file = CreateFileW(output.path, FILE_APPEND_DATA, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL,
                              OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
    if (output.file == INVALID_HANDLE_VALUE) {
        output.file = NULL;
        return GetLastError();
    }
    output.bytes = GetFileSizeEx(output.file, &size) ? (ULONG64)size.QuadPart : 0;
    return 0;
}

static bool path_of(const char *name, WCHAR *path)
{
    return folder_file(FOLDER_LOGS, name, L".log", path);
}

DWORD log_open(const char *name, bool to_stderr)
{
    DWORD code = ERROR_INVALID_NAME;
    AcquireSRWLockExclusive(&output.lock);
    output.to_stderr = to_stderr;
    if (path_of(name, output.path))
        code = open_file();
    ReleaseSRWLockExclusive(&output.lock);
    return code;
}

void log_close(void)
{
    AcquireSRWLockExclusive(&output.lock);
    if (output.file)
        CloseHandle(output.file);
    output.file = NULL;
    output.to_stderr = false;
    ReleaseSRWLockExclusive(&output.lock);
}

static DWORD rotate(void)
{
    WCHAR older[PATH_UNITS + 2];
    swprintf(older, PATH_UNITS + 2, L"%ls.1", output.path);
    CloseHandle(output.file);
    /* When it cannot be renamed it grows on. */
    MoveFileExW(output.path, older, MOVEFILE_REPLACE_EXISTING);
    return open_file();
}

/* One line: time (UTC), level, who unless it is the service, text without control characters. */
static void put_line(enum log_level level, const char *who, const char *text)
{
    static const char *const levels[] = {"info", "warning", "error"};
    char line[LINE_BYTES + 128];
    SYSTEMTIME now;
    DWORD put, lost = 0;
    GetSystemTime(&now);
    int length = snprintf(line, sizeof line, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ %s: %s%s%.900s", now.wYear,
                          now.wMonth, now.wDay, now.wHour, now.wMinute, now.wSecond, now.wMilliseconds,
                          levels[level], who ? who : "", who ? ": " : "", text);
    if (length < 0)
        return;
    for (char *at = line; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            *at = '?';
    AcquireSRWLockExclusive(&output.lock);
    if (output.to_stderr)
        fprintf(stderr, "%s\n", line);
    line[length++] = '\r';
    line[length++] = '\n';
    if (output.file && output.bytes + (unsigned)length > LOG_BYTES)
        lost = rotate();
    if (output.file && WriteFile(output.file, line, (DWORD)length, &put, NULL))
        output.bytes += put;
    ReleaseSRWLockExclusive(&output.lock);
    if (lost) /* to the event log: there is no file any more */
        log_event(LOG_WARNING, "there is no log file: code %lu", lost);
}

void log_line(enum log_level level, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put_line(level, NULL, text);
}

void log_foreign(enum log_level level, const char *who, const char *text)
{
    put_line(level, who, text);
}

/* ---- event log (Microsoft, "ReportEventW", "Event Sources") ---- */

void log_event(enum log_level level, const char *format, ...)
{
    static const WORD types[] = {EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE, EVENTLOG_ERROR_TYPE};
    char text[LINE_BYTES];
    WCHAR wide[LINE_BYTES];
    const WCHAR *strings[] = {wide};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put_line(level, NULL, text);
    HANDLE source = RegisterEventSourceW(NULL, SERVICE_SOURCE);
    if (!source)
        return;
    if (utf16_of(text, wide, LINE_BYTES))
        ReportEventW(source, types[level], 0, EVENT_ID, NULL, 1, 0, strings, NULL);
    DeregisterEventSource(source);
}

DWORD log_register_source(void)
{
    static const WCHAR file[] = L"%SystemRoot%\\System32\\EventCreate.exe";
    DWORD types = EVENTLOG_INFORMATION_TYPE | EVENTLOG_WARNING_TYPE | EVENTLOG_ERROR_TYPE;
    HKEY key;
    DWORD code =
        (DWORD)RegCreateKeyExW(HKEY_LOCAL_MACHINE, SOURCE_KEY, 0, NULL, 0, KEY_SET_VALUE, NULL, &key, NULL);
    if (code)
        return code;
    code = (DWORD)RegSetValueExW(key, L"EventMessageFile", 0, REG_EXPAND_SZ, (const BYTE *)file, sizeof file);
    if (!code)
        code =
            (DWORD)RegSetValueExW(key, L"TypesSupported", 0, REG_DWORD, (const BYTE *)&types, sizeof types);
    RegCloseKey(key);
    return code;
}

void log_unregister_source(void)
{
    RegDeleteKeyW(HKEY_LOCAL_MACHINE, SOURCE_KEY);
}

/* ---- for those who ask why a start failed ---- */

bool log_last_error(const char *name, char *text, size_t size)
{
    static char tail[TAIL_BYTES + 1];
    WCHAR path[PATH_UNITS];
    LARGE_INTEGER length;
    DWORD got = 0;
    if (!path_of(name, path))
        return false;
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                              NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return false;
    if (GetFileSizeEx(file, &length) && length.QuadPart > TAIL_BYTES) {
        LARGE_INTEGER at = {.QuadPart = length.QuadPart - TAIL_BYTES};
        SetFilePointerEx(file, at, NULL, FILE_BEGIN);
    }
    if (!ReadFile(file, tail, TAIL_BYTES, &got, NULL))
        got = 0;
    CloseHandle(file);
    tail[got] = 0;
    const char *found = NULL;
    for (const char *at = tail; (at = strstr(at, ERROR_MARK)); at += sizeof ERROR_MARK - 1)
        found = at + sizeof ERROR_MARK - 1;
    if (!found)
        return false;
    snprintf(text, size, "%.*s", (int)strcspn(found, "\r\n"), found);
    return true;
}
