/* What the driver puts on the wire, watched in every scenario: legal types and lengths, no nonce used twice,
 * no session used beyond its time,. */
#pragma once

#include "world.h"

/* Starts watching (the simulation's tap). */
void wire_watch(void);

/* One datagram of a socket of the driver. */
void wire_datagram(const struct sim_datagram *datagram);

/* A datagram of a scripted peer, for the listener only. */
void wire_overhear(const struct sim_datagram *datagram);

/* Sees each datagram of the driver after the checks, and those of scripted peers (adapter NULL); NULL:
 * nobody. */
void wire_listen(void (*listener)(void *context, const struct sim_datagram *datagram), void *context);

/* Forget what was seen (self-check). */
void wire_forget(void);

/* Datagrams of a message type so far; type 0: all. */
uint64_t wire_count(uint8_t type);

/* Has the network refused a segmented send in the last two seconds?  What was sent together goes out again
 * then, message by message, and some of it may come twice or late. */
bool wire_refused_lately(void);
