/* The sliding window against replayed counters: RFC 6479 with a bitmap of 8192 bits, of which 8128 are
 * usable.
 *
 * Concurrency: one consumer at a time (the peer's ordered receive stage); no lock, no atomics. */
#pragma once

#include "protocol/constants.h"
#include <stdbool.h>
#include <stdint.h>

struct replay_window {
    uint64_t next; /* one above the highest counter accepted; 0: none yet */
    uint64_t bitmap[REPLAY_WINDOW_BITS / 64];
};

/* Empty: every counter is fresh. */
void replay_window_init(struct replay_window *window);

/* Accepts a counter of an *authenticated* packet once.  False: seen before, more than REPLAY_WINDOW_USABLE
 * behind the highest, or not below REJECT_AFTER_MESSAGES; the window is then as before. */
bool replay_window_accept(struct replay_window *window, uint64_t counter);
