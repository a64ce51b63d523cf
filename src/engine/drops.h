/* What the engine drops is counted by reason, and said in the log when the interface goes down and at the
 * end. */
#pragma once

#include <stdint.h>

enum drop {
    DROP_TX_DOWN,     /* packets while the engine is down */
    DROP_TX_NO_PEER,  /* malformed, or no peer has the address */
    DROP_TX_ENDPOINT, /* the peer has none */
    DROP_TX_MEMORY,
    DROP_TX_STAGED, /* waited for a session that did not come, or made room for newer ones */
    DROP_TX_NONCES, /* none left, or too large for a datagram */
    DROP_TX_SEAL,
    DROP_TX_SOCKET,  /* the system refused the datagrams */
    DROP_RX_INVALID, /* no message, or for no session */
    DROP_RX_FORGED,
    DROP_RX_REPLAYED,
    DROP_RX_SOURCE,  /* inner packet malformed, or its source not allowed */
    DROP_RX_TUN,     /* the device did not take them */
    DROP_HS_QUEUE,   /* more handshake messages than the queue takes */
    DROP_HS_MACS,    /* first MAC wrong, or a cookie was sent instead, or too many of one source */
    DROP_HS_REFUSED, /* did not open, replayed, unknown peer */
    DROP_REASONS,
};

struct drops {
    uint64_t of[DROP_REASONS];
};

/* Writes those that are not 0 to the log. */
void drops_log(const struct drops *drops);
