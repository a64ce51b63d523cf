/* No routing loops: a packet that the system routes into the tunnel although it is our own ciphertext would
 * be encrypted again, and again.  It is recognised by what we wrote into it, not by addresses, so that it
 * does not matter which peer's prefixes caught it, and a client behind us that runs the same protocol on the
 * same port is let through:
 *
 *   a UDP datagram from our listen port that is
 *     a data message for a receiver index to which we sent lately, or
 *     an initiation or a response with a sender index of our own index table.
 *
 * Only packets with our port as source port are looked at further; the test is one array access.  Fragments
 * other than the first have no UDP header and pass, once: encrypted they are whole datagrams again and do not
 * come back. */
#pragma once

#include "nt/ndis.h"

#include <stdbool.h>
#include <stdint.h>

struct adapter;

#define LOOP_GUARD_ENTRIES 256

/* The receiver indexes sent to last, by their low bits; relaxed loads and stores, an entry overwritten by
 * another peer of the same low bits costs one more turn of a loop. */
struct loop_guard {
    volatile uint32_t recent[LOOP_GUARD_ENTRIES];
};

/* A batch goes out to this receiver index.  Any IRQL <= DISPATCH_LEVEL. */
void loop_guard_note(struct adapter *adapter, uint32_t remote_index);
/* Is the packet in `buffer`, of which `header` holds the first bytes (those of its IP header at least), our
 * own ciphertext?  In an epoch. */
bool loop_guard_is_own(struct adapter *adapter, const NET_BUFFER *buffer, const uint8_t *header,
                       uint8_t version);
