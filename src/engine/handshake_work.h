/* Handshake messages: a bounded queue, worked off beside the packets so that a flood of them cannot stop
 * these. */
#pragma once

#include "responder.h"

/* NULL: no memory. */
struct handshake_queue *handshake_queue_create(void);
/* Empties it, frees it; NULL is allowed. */
void handshake_queue_free(struct handshake_queue *queue);
void handshake_queue_clear(struct handshake_queue *queue);

/* An initiation, a response or a cookie reply came in (message_classify); it is copied. */
void handshake_receive(struct engine *engine, const uint8_t *bytes, uint32_t length,
                       const struct udp_address *from, const struct udp_address *to, uint32_t ifindex);

/* Makes and sends an initiation, unless the policy forbids it now or the peer has no endpoint. */
void handshake_send_initiation(struct peer *peer);

/* A message of the peer's goes out, or came in authentically: sent, booked, and the timers told. */
void handshake_send_to(struct peer *peer, const void *message, uint32_t length);
void handshake_received_from(struct peer *peer, const struct handshake_message *message);

/* When what is held back is to be worked off (TIME_FOREVER_NS: nothing is), and that. */
uint64_t handshake_due_ns(const struct handshake_queue *queue);
void handshake_run_due(struct engine *engine);
