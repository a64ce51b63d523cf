/* See format_log.h. */
#include "format_log.h"

#include "format.h"
#include "output.h"

#include <time.h>

#define EPOCH_1601_S 11644473600ull
#define TICKS_PER_S  10000000ull

bool print_log_line(int level, uint64_t timestamp, const char *text, bool json, struct failure *failure)
{
    static const char *const levels[] = {"error", "warning", "info"};
    struct output output = {0};
    char when[32] = "?";
    time_t seconds = (time_t)(timestamp / TICKS_PER_S - EPOCH_1601_S);
    const struct tm *utc = gmtime(&seconds);
    if (utc)
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", utc);
    unsigned milliseconds = (unsigned)(timestamp % TICKS_PER_S / (TICKS_PER_S / 1000));
    if (json) {
        output_text(&output, "{\"time\":\"%s.%03uZ\",\"level\":\"%s\",\"text\":", when, milliseconds,
                    levels[level]);
        format_json_string(&output, text);
        output_text(&output, "}\n");
    } else {
        output_text(&output, "%s.%03uZ %-7s ", when, milliseconds, levels[level]);
        for (const char *at = text; *at; at++) /* what came over the network must not steer the terminal */
            output_text(&output, "%c", (unsigned char)*at < 0x20 || *at == 0x7F ? '?' : *at);
        output_text(&output, "\n");
    }
    return output_flush(&output, failure);
}
