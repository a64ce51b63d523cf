/* See format_log.h. */
#include "format_log.h"

#include "format.h"
#include "output.h"

bool print_log_line(int level, uint64_t timestamp, const char *text, bool json, struct failure *failure)
{
    static const char *const levels[] = {"error", "warning", "info"};
    struct output output = {0};
    if (json) {
        output_text(&output, "{\"time\":\"");
        output_timestamp(&output, timestamp);
        output_text(&output, "\",\"level\":\"%s\",\"text\":", levels[level]);
        format_json_string(&output, text);
        output_text(&output, "}\n");
    } else {
        output_timestamp(&output, timestamp);
        output_text(&output, " %-7s ", levels[level]);
        for (const char *at = text; *at; at++) /* what came over the network must not steer the terminal */
            output_text(&output, "%c", (unsigned char)*at < 0x20 || *at == 0x7F ? '?' : *at);
        output_text(&output, "\n");
    }
    return output_flush(&output, failure);
}
