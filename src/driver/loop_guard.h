/* No routing loops: a packet that the system routes into a tunnel although it is ciphertext of that same
 * tunnel would be encrypted again, and again.  It is recognised by what we wrote into it, not by addresses,
 * so that it does not matter which peer's prefixes caught it, and a client behind us that runs the same
 * protocol on the same port is let through:
 *
 *   a UDP datagram from our listen port that is
 *     a data message for a receiver index to which we sent lately, or
 *     an initiation or a response with a sender index of our own index table.
 *
 * A loop may also lead through several adapters of this driver, while a tunnel inside a tunnel is wanted. The
 * two differ in that a loop comes back: data of another adapter's peer that this peer is to carry leaves a
 * note, and a note that would close a ring of notes is a packet on its second turn.
 *
 * Fragments other than the first have no UDP header and pass, once: encrypted they are whole datagrams again.
 */
#pragma once

#include "nt/ndis.h"

#include <stdbool.h>
#include <stdint.h>

struct adapter;

/* The receiver indexes sent to last, of all adapters, by their low bits; an entry overwritten by another peer
 * of the same low bits costs one more turn of a loop. */
#define LOOP_GUARD_ENTRIES 1024

/* A batch of this peer goes out to this receiver index.  Any IRQL <= DISPATCH_LEVEL. */
void loop_guard_note(const struct adapter *adapter, uint64_t peer_id, uint32_t remote_index);
/* Must the packet in `buffer`, of which `header` holds the first bytes (those of its IP header at least), not
 * go to this peer, because it has been there?  In an epoch. */
bool loop_guard_refuses(struct adapter *adapter, uint64_t peer_id, const NET_BUFFER *buffer,
                        const uint8_t *header, uint8_t version, uint64_t now_ns);
