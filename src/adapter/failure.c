/* See failure.h. */
#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool fail(struct failure *failure, enum exit_status status, const char *format, ...)
{
    va_list arguments;
    failure->status = status;
    va_start(arguments, format);
    vsnprintf(failure->text, sizeof failure->text, format, arguments);
    va_end(arguments);
    return false;
}

static enum exit_status status_of(int number)
{
    switch (number) {
    case EACCES:
    case EPERM:
        return EXIT_NOT_PERMITTED;
    case ENODEV:
        return EXIT_NO_ADAPTER;
    default:
        return EXIT_REFUSED;
    }
}

bool fail_errno(struct failure *failure, int number, const char *format, ...)
{
    va_list arguments;
    failure->status = status_of(number);
    va_start(arguments, format);
    int length = vsnprintf(failure->text, sizeof failure->text, format, arguments);
    va_end(arguments);
    if (length >= 0 && (size_t)length < sizeof failure->text)
        snprintf(failure->text + length, sizeof failure->text - (size_t)length, ": %s%s", strerror(number),
                 number == EACCES || number == EPERM ? " (run it as root)" : "");
    return false;
}
