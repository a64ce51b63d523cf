/* TAI64N labels, the timestamps inside initiations (white paper 5.1; D. J. Bernstein, "TAI64, TAI64N, and
 * TAI64NA").  Our own are rounded down so that they do not reveal a precise clock.  Pure functions, any IRQL.
 */
#pragma once

#include "protocol/messages.h"
#include <stdbool.h>
#include <stdint.h>

/* Our own timestamps are multiples of 2^17 x 100 ns (13.1 ms): shorter than INITIATION_INTERVAL_MIN_NS, so
 * two initiations that a responder would accept never carry the same label. */
#define TAI64N_ROUNDING_100NS (UINT64_C(1) << 17)

/* The label of a UTC time, given in 100 ns units since 1601-01-01 (NT system time), rounded down. */
void tai64n_from_system_time(uint8_t label[TAI64N_BYTES], uint64_t utc_100ns);

/* True when `label` is strictly later than `reference`. */
bool tai64n_is_after(const uint8_t label[TAI64N_BYTES], const uint8_t reference[TAI64N_BYTES]);
