/* Receive buffers of the UDP edge: one buffer takes one recvmmsg() and has room for its consumer's own
 * bookkeeping, so that nothing is allocated per datagram.  Recycled last in, first out (warm cache); how many
 * may exist is bounded. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define UDP_BUFFER_MESSAGES      4u
#define UDP_BUFFER_MESSAGE_BYTES 65536u

struct udp_buffer;

/* NULL when all are in use; `available` given by udp_buffer_set_notify() is then called once, on the loop
 * thread, after the next release. Any thread. */
struct udp_buffer *udp_buffer_take(void);
void udp_buffer_set_notify(void (*available)(void *unused));
/* Start of the memory for message `index` (< UDP_BUFFER_MESSAGES), UDP_BUFFER_MESSAGE_BYTES long. */
uint8_t *udp_buffer_message(struct udp_buffer *buffer, unsigned index);
