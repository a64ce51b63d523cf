/* See output.h. */
#include "output.h"

#include "crypto/secure_memory.h"
#include "platform.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define EPOCH_1601_S 11644473600ull
#define TICKS_PER_S  10000000ull

void output_text(struct output *output, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0 || output->no_memory || !secure_buffer_reserve(&output->text, (size_t)length + 1))
        output->no_memory = true;
    else {
        vsnprintf((char *)output->text.data + output->text.length, (size_t)length + 1, format, again);
        output->text.length += (size_t)length;
    }
    va_end(again);
}

void output_key(struct output *output, const uint8_t key[KEY_LENGTH])
{
    char text[KEY_BASE64_LENGTH + 1];
    if (key_is_zero(key)) {
        output_text(output, "(none)");
        return;
    }
    key_to_base64(text, key);
    output_text(output, "%s", text);
    secure_zero(text, sizeof text);
}

void output_timestamp(struct output *output, uint64_t timestamp)
{
    char when[32] = "?";
    time_t seconds = (time_t)(timestamp / TICKS_PER_S - EPOCH_1601_S);
    const struct tm *utc = gmtime(&seconds);
    if (utc)
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", utc);
    output_text(output, "%s.%03uZ", when, (unsigned)(timestamp % TICKS_PER_S / (TICKS_PER_S / 1000)));
}

bool output_flush(struct output *output, struct failure *failure)
{
    bool done = !output->no_memory || fail(failure, EXIT_REFUSED, "out of memory");
    done = done && platform_write_output(output->text.data, output->text.length, failure);
    output_free(output);
    return done;
}

void output_free(struct output *output)
{
    secure_buffer_free(&output->text);
}
