/* UDP sockets that send from many source addresses: each datagram names its own (IP_PKTINFO).  The addresses
 * are those behind `first`; a `local` route must make them the namespace's own. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define LOAD_BATCH         64
#define LOAD_MESSAGE_BYTES 256

struct load_datagram {
    uint32_t source; /* number of the address, 0: the first */
    uint32_t socket; /* number of the socket (its port is the first port plus this) */
    uint32_t length;
    uint8_t bytes[LOAD_MESSAGE_BYTES];
};

struct load_sockets {
    struct sockaddr_in to;
    uint32_t first; /* host order */
    uint32_t count;
    int fds[64];
};

/* `count` sockets on consecutive ports; prints what went wrong. */
bool load_sockets_open(struct load_sockets *sockets, uint16_t first_port, uint32_t count);
void load_sockets_close(struct load_sockets *sockets);

/* Sends up to LOAD_BATCH datagrams that belong to one socket; waits while its buffer is full. */
void load_send(struct load_sockets *sockets, const struct load_datagram *datagrams, uint32_t count);

/* What has arrived on all sockets, at most `count`; `length` and `bytes` are filled in. */
uint32_t load_receive(struct load_sockets *sockets, struct load_datagram *datagrams, uint32_t count);

/* Waits until something arrives, at most so long. */
void load_wait(struct load_sockets *sockets, int milliseconds);
