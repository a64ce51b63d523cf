/* See say.h. */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_BYTES 1024

static const char *speaker = "nthost";
static say_listener *listens;

void say_as(const char *program, say_listener *listener)
{
    speaker = program;
    listens = listener;
}

const char *say_program(void)
{
    return speaker;
}

bool say_is_heard(void)
{
    return listens != NULL;
}

void say(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (listens)
        listens(line);
    else
        fprintf(stderr, "%s: %s\n", speaker, line);
}
