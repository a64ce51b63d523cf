#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

static LONG passed, failed;

bool check(bool good, const char *format, ...)
{
    unsigned error = GetLastError();
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    InterlockedIncrement(good ? &passed : &failed);
    if (good) {
        printf("ok %s\n", text);
    } else {
        printf("FAILED %s (last error %u)\n", text, error);
    }
    fflush(stdout);
    return good;
}

int report(void)
{
    printf("counts %ld %ld\n", passed, failed);
    fflush(stdout);
    return failed != 0;
}
