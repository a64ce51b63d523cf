/* Time, randomness and messages on Windows (system.h, host.h).  Messages go to standard error; whoever starts
 * the engine keeps them. */
#include "system.h"

#include "host.h"
#include "protocol/constants.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <bcrypt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The performance counter goes on in sleep (Microsoft, "Acquiring high-resolution time stamps"). */
uint64_t system_time_ns(void)
{
    static LARGE_INTEGER frequency;
    LARGE_INTEGER now;
    if (!frequency.QuadPart)
        QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    uint64_t ticks = (uint64_t)now.QuadPart, per_second = (uint64_t)frequency.QuadPart;
    return ticks / per_second * NS_PER_SECOND + ticks % per_second * NS_PER_SECOND / per_second + 1;
}

uint64_t system_utc_100ns(void)
{
    FILETIME now;
    GetSystemTimePreciseAsFileTime(&now);
    return (uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime;
}

void system_random(void *buffer, size_t bytes)
{
    if (BCryptGenRandom(NULL, buffer, (ULONG)bytes, BCRYPT_USE_SYSTEM_PREFERRED_RNG) < 0)
        host_fatal("no randomness: BCryptGenRandom failed");
}

uint32_t system_jitter(void)
{
    uint32_t bits;
    system_random(&bits, sizeof(bits));
    return bits;
}

#define WER_FAULT_REPORTING_NOHEAP                                                                           \
    1u /* WER_FAULT_REPORTING_FLAG_NOHEAP of Microsoft, "WerSetFlags function" */

/* The heap stays out of error reports, and no window waits for somebody when the process fails. */
void system_protect_memory(void)
{
    HRESULT(WINAPI * set_flags)(DWORD);
    SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
    *(FARPROC *)&set_flags = GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "WerSetFlags");
    if (set_flags)
        set_flags(WER_FAULT_REPORTING_NOHEAP);
}

/* ---- messages ---- */

bool log_verbose;

void log_detached(void)
{
}

/* One call a line: threads' lines do not mix. */
static void write_line(const char *format, va_list arguments)
{
    char line[512];
    vsnprintf(line, sizeof(line), format, arguments);
    fprintf(stderr, "wyrm-engine: %s\n", line);
    fflush(stderr);
}

#define WRITE_LINE(format)                                                                                   \
    do {                                                                                                     \
        va_list arguments;                                                                                   \
        va_start(arguments, format);                                                                         \
        write_line(format, arguments);                                                                       \
        va_end(arguments);                                                                                   \
    } while (0)

void log_error(const char *format, ...)
{
    WRITE_LINE(format);
}

void log_info(const char *format, ...)
{
    if (log_verbose)
        WRITE_LINE(format);
}

void host_warn(const char *format, ...)
{
    WRITE_LINE(format);
}

void host_fatal(const char *format, ...)
{
    WRITE_LINE(format);
    exit(1);
}
