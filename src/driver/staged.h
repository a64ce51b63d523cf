/* Packets that wait for a session: copies, so that the sender's NBLs are completed at once; bounded in number
 * and bytes, the oldest dropped first.  Internal to the transmit side; the verbs for others are in
 * transmit.h. */
#pragma once

#include "peer.h"

/* Copies a packet to the end of the queue.  `buffer` NULL: an empty message.  False: no memory, or an MDL
 * that cannot be mapped; counted.  IRQL <= DISPATCH_LEVEL. */
bool staged_append(struct peer *peer, const NET_BUFFER *buffer, uint8_t version);
/* The same for all packets that the buffer becomes (segment.h): each waits by itself, complete. */
bool staged_append_all(struct peer *peer, const NET_BUFFER *buffer, uint8_t version, uint32_t request);
/* Takes all that waits out of the queue; peer->staged_lock held. */
struct staged_packet *staged_take_all(struct peer *peer);
/* Frees what staged_take_all gave, counted as purged.  IRQL <= DISPATCH_LEVEL. */
void staged_drop(struct peer *peer, struct staged_packet *list);
/* Is anything waiting?  A hint without the lock, exact under peer->staged_lock. */
static inline bool staged_is_empty(const struct peer *peer)
{
    return __atomic_load_n(&peer->staged_count, __ATOMIC_RELAXED) == 0;
}
