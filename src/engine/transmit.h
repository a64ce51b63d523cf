/* The way out: packets of the TUN device, cut and encrypted in batches, to the peers' endpoints. */
#pragma once

#include "peer.h"

/* NULL: no memory. */
struct transmitter *transmitter_create(void);
/* NULL is allowed. */
void transmitter_free(struct transmitter *transmitter);

/* What the TUN device delivers in one burst (tun_receive). */
void transmit_packets(void *context, struct tun_packet *packets, unsigned count);

/* Sends what waits for a session; without one asks for a handshake. */
void transmit_staged(struct peer *peer);

/* Says something to the peer: what waits, else an empty packet. */
void transmit_keepalive(struct peer *peer);

/* One handshake message.  True: it was sent. */
bool transmit_message(struct engine *engine, struct endpoint *endpoint, const void *message, uint32_t length);

/* The sockets are gone: what they did not take is dropped. */
void transmit_drop_waiting(struct engine *engine);
