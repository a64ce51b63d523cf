/* Which stage a function of the driver belongs to, by its name: those of src/crypto are the AEAD (nothing
 * else of it runs in the data path); the compiler has inlined the small ones into the others, and what is not
 * known here is shown as "other" (--functions says what it was). */
#include "bench.h"

#include <string.h>

const char *const stage_names[STAGES] = {"aead",   "classify", "batch", "order",
                                         "socket", "deliver",  "other", "host"};

/* The first entry that the name begins with. */
static const struct {
    const char *prefix;
    enum stage stage;
} prefixes[] = {
    {"poly1305", STAGE_AEAD},
    {"chacha", STAGE_AEAD},
    {"miniport_send", STAGE_CLASSIFY},
    {"transmit_send", STAGE_CLASSIFY},
    {"pass_", STAGE_CLASSIFY},
    {"classify", STAGE_CLASSIFY},
    {"packet_", STAGE_CLASSIFY},
    {"allowed_ips_", STAGE_CLASSIFY},
    {"lookup", STAGE_CLASSIFY},
    {"loop_guard", STAGE_CLASSIFY},
    {"nbl_", STAGE_CLASSIFY},
    {"segment", STAGE_CLASSIFY},
    {"checksum", STAGE_CLASSIFY},
    {"receiver_index", STAGE_CLASSIFY},
    {"index_table", STAGE_CLASSIFY},
    {"receive_datagrams", STAGE_CLASSIFY},
    {"group_", STAGE_BATCH},
    {"tx_batch", STAGE_BATCH},
    {"rx_batch", STAGE_BATCH},
    {"batch_", STAGE_BATCH},
    {"workspace_", STAGE_BATCH},
    {"describe_", STAGE_BATCH},
    {"mdl_copy", STAGE_BATCH},
    {"memory_", STAGE_BATCH},
    {"memcpy", STAGE_BATCH},
    {"memset", STAGE_BATCH},
    {"memmove", STAGE_BATCH},
    {"order_", STAGE_ORDER},
    {"deliver_go", STAGE_ORDER},
    {"deliver_due", STAGE_ORDER},
    {"epoch_", STAGE_ORDER},
    {"session_", STAGE_ORDER},
    {"replay_window", STAGE_ORDER},
    {"work", STAGE_ORDER},
    {"transmit_batch", STAGE_ORDER},
    {"peer_", STAGE_ORDER},
    {"staged_", STAGE_ORDER},
    {"counter", STAGE_ORDER},
    {"drop_count", STAGE_ORDER},
    {"time_", STAGE_ORDER},
    {"udp_", STAGE_SOCKET},
    {"endpoint_", STAGE_SOCKET},
    {"memcmp", STAGE_SOCKET}, /* origins of datagrams are compared */
    {"wsk_", STAGE_SOCKET},
    {"datagram", STAGE_SOCKET},
    {"send_", STAGE_SOCKET},
    {"receive_deliver", STAGE_DELIVER},
    {"deliver", STAGE_DELIVER},
    {"coalesce", STAGE_DELIVER},
    {"indicate", STAGE_DELIVER},
    {"miniport_return", STAGE_DELIVER},
    {"receive_", STAGE_CLASSIFY},
};

static const char *const crypto_names[] = {
#include "crypto_names.inc"
};

enum stage stage_of(const char *function)
{
    if (!function)
        return STAGE_HOST;
    for (unsigned i = 0; i < sizeof crypto_names / sizeof *crypto_names; i++)
        if (strcmp(function, crypto_names[i]) == 0)
            return STAGE_AEAD;
    for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(function, prefixes[i].prefix, strlen(prefixes[i].prefix)) == 0)
            return prefixes[i].stage;
    return STAGE_OTHER;
}
