/* The way in: datagrams, decrypted in batches, to the TUN device. */
#pragma once

#include "engine.h"

/* NULL: no memory. */
struct receiver *receiver_create(struct engine *engine);
/* NULL is allowed. */
void receiver_free(struct receiver *receiver);

/* What a socket delivers in one call (udp_receive). */
void receive_datagrams(void *context, struct udp_datagram *datagrams, unsigned count, void *token);
