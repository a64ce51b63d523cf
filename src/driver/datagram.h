/* The messages of one indication of a socket: one, or several of equal size (the last may be shorter) that
 * the system has coalesced.  Internal to receive.c and datagram.c. */
#pragma once

#include "batch.h"

/* Reads them one after the other.  All functions: IRQL <= DISPATCH_LEVEL. */
struct datagram_reader {
    WSK_DATAGRAM_INDICATION *datagram;
    struct rx_shared *shared; /* when parts of it go different ways; one of its users */
    MDL *mdl;                 /* where the next message begins; NULL: the chain is too short */
    uint32_t offset;
    uint32_t left; /* bytes from there on; 0: at the end */
    uint32_t each; /* bytes of a message */
};

/* `each` as of udp_message_bytes, not 0. */
void datagram_begin(struct datagram_reader *reader, WSK_DATAGRAM_INDICATION *datagram, uint32_t each);
/* Messages from here on, at least one unless the datagram is empty. */
uint32_t datagram_messages(const struct datagram_reader *reader);
/* Bytes of the next one. */
static inline uint32_t datagram_next(const struct datagram_reader *reader)
{
    return reader->left < reader->each ? reader->left : reader->each;
}
/* Its first `wanted` bytes in one piece: where they are, or copied to `storage` when the socket gave them in
 * several MDLs. NULL if they cannot be read. */
const uint8_t *datagram_peek(const struct datagram_reader *reader, uint32_t wanted, uint8_t *storage);
/* Goes on to the message behind it. */
void datagram_skip(struct datagram_reader *reader);

/* The whole rest of the datagram gets a count of its users, the first of which is the reader.  False: no
 * memory. */
bool datagram_share(struct datagram_reader *reader);
/* One user less; the datagram if it was the last one: it is done with. NULL is allowed. */
WSK_DATAGRAM_INDICATION *datagram_unshare(struct rx_shared *shared);
