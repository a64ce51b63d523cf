/* See drops.h. */
#include "drops.h"

#include "system.h"

#include <stdio.h>

static const char *const names[DROP_REASONS] = {
    [DROP_TX_DOWN] = "tx-down",
    [DROP_TX_NO_PEER] = "tx-no-peer",
    [DROP_TX_ENDPOINT] = "tx-no-endpoint",
    [DROP_TX_MEMORY] = "tx-memory",
    [DROP_TX_STAGED] = "tx-staged",
    [DROP_TX_NONCES] = "tx-nonces",
    [DROP_TX_SEAL] = "tx-seal",
    [DROP_TX_SOCKET] = "tx-socket",
    [DROP_RX_INVALID] = "rx-invalid",
    [DROP_RX_FORGED] = "rx-forged",
    [DROP_RX_REPLAYED] = "rx-replayed",
    [DROP_RX_SOURCE] = "rx-source",
    [DROP_RX_TUN] = "rx-device",
    [DROP_HS_QUEUE] = "hs-queue",
    [DROP_HS_MACS] = "hs-macs",
    [DROP_HS_REFUSED] = "hs-refused",
};

void drops_log(const struct drops *drops)
{
    char text[640] = "";
    size_t at = 0;
    for (unsigned i = 0; i < DROP_REASONS; i++)
        if (drops->of[i] && at < sizeof(text))
            at += (size_t)snprintf(text + at, sizeof(text) - at, " %s %llu", names[i],
                                   (unsigned long long)drops->of[i]);
    if (at)
        log_info("dropped:%s", text);
}
