/* The responder's side: answers the initiations that wait together, because their X25519 together cost a
 * fraction of what they cost one by one (crypto/x25519_batch.h). */
#pragma once

#include "crypto/x25519_batch.h"
#include "handshake_process.h"

#define RESPONDER_BATCH X25519_LANES

/* Working memory of one worker; private to responder.c. */
struct responder;

/* PASSIVE_LEVEL. NULL: no memory. */
struct responder *responder_create(void);
void responder_free(struct responder *responder);

/* Answers up to RESPONDER_BATCH initiations whose MACs are right; all secrets in `responder` are erased
 * again. PASSIVE_LEVEL. */
void responder_answer(struct adapter *adapter, struct responder *responder,
                      const struct handshake_message *const messages[], uint32_t count);
