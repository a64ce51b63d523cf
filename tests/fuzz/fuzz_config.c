/* Configuration files: any text is either refused with a place and a reason, or gives a configuration whose
 * parts are what the format allows. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "fuzz: %s\n", #condition);                                                       \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static void check_prefixes(const struct config_prefixes *prefixes)
{
    char text[CONFIG_PREFIX_TEXT];
    for (size_t i = 0; i < prefixes->count; i++) {
        const struct config_prefix *prefix = &prefixes->items[i];
        REQUIRE(prefix->family == 4 || prefix->family == 6);
        REQUIRE(prefix->length <= (prefix->family == 4 ? 32 : 128));
        config_prefix_format(prefix, i & 1, text);
        REQUIRE(strlen(text) < sizeof text && strchr(text, '/'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[256] = "";
    enum config_kind kind = size & 1 ? CONFIG_WG : CONFIG_QUICK;
    struct config *config = config_parse((const char *)data, size, kind, "f.conf", error, sizeof error);
    if (!config) {
        REQUIRE(strncmp(error, "f.conf:", 7) == 0 && memchr(error, 0, sizeof error) && !strchr(error, '\n'));
        return 0;
    }
    check_prefixes(&config->addresses);
    for (size_t i = 0; i < config->peer_count; i++) {
        REQUIRE(config->peers[i].has_public_key);
        REQUIRE(!config->peers[i].endpoint_host || config->peers[i].endpoint_host[0]);
        check_prefixes(&config->peers[i].allowed_ips);
    }
    config_free(config);
    return 0;
}
