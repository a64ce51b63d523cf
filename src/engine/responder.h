/* The responder's part of handshakes, several at a time: their X25519 together cost less than one by one
 * (crypto/x25519_batch.h). */
#pragma once

#include "peer.h"

#define RESPONDER_BATCH X25519_LANES

/* A handshake message as it came in. */
struct handshake_message {
    uint8_t bytes[MESSAGE_INITIATION_BYTES];
    uint32_t length;
    struct udp_address from, to;
    uint32_t ifindex;
};

struct responder;

/* NULL: no memory. */
struct responder *responder_create(void);
/* NULL is allowed. */
void responder_free(struct responder *responder);

/* Answers up to RESPONDER_BATCH initiations whose MACs were right. */
void responder_answer(struct engine *engine, struct responder *responder,
                      const struct handshake_message *const messages[], uint32_t count);
