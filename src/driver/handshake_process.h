/* What a worker does with handshakes: the MAC and load checks, the two asymmetric halves of each role,
 * sessions. */
#pragma once

#include "peer.h"

/* A received message of type 1-3 with its exact length, and the path it came by. */
struct handshake_message {
    LIST_ENTRY link;
    uint32_t length;
    uint32_t waiting; /* messages queued when this one was taken, it included; decides about load */
    uint32_t ifindex;
    SOCKADDR_INET from, to;
    uint8_t bytes[MESSAGE_INITIATION_BYTES];
};

struct responder;

/* Up to RESPONDER_BATCH messages (responder.h), with the working memory of the worker.  PASSIVE_LEVEL. */
void handshake_process(struct adapter *adapter, struct responder *responder,
                       struct handshake_message *const messages[], uint32_t count);
/* Makes and sends an initiation unless the last one is too recent.  PASSIVE_LEVEL. */
void handshake_send_initiation(struct peer *peer);
