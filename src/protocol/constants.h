/* The constants of the WireGuard protocol, with their sources.  "WP" is the white paper (Donenfeld,
 * "WireGuard: Next Generation Kernel Network Tunnel").  Times are nanoseconds of a monotonic clock that
 * counts sleep and is never 0: 0 means "never" wherever a time is stored. */
#pragma once

#include <stdint.h>

#define NS_PER_MS     UINT64_C(1000000)
#define NS_PER_SECOND UINT64_C(1000000000)

#define TIME_NEVER_NS   UINT64_C(0) /* a stored time: it has not happened */
#define TIME_FOREVER_NS UINT64_MAX  /* a deadline: nothing to wait for */

#define PUBLIC_KEY_BYTES    32
#define PRIVATE_KEY_BYTES   32
#define PRESHARED_KEY_BYTES 32
#define SESSION_KEY_BYTES   32

/* WP 6.1, table of constants. */
#define REKEY_AFTER_MESSAGES  (UINT64_C(1) << 60)
#define REJECT_AFTER_MESSAGES (UINT64_MAX - (UINT64_C(1) << 13)) /* 2^64 - 2^13 - 1 */
#define REKEY_AFTER_TIME_NS   (120 * NS_PER_SECOND)
#define REJECT_AFTER_TIME_NS  (180 * NS_PER_SECOND)
#define REKEY_ATTEMPT_TIME_NS (90 * NS_PER_SECOND)
#define REKEY_TIMEOUT_NS      (5 * NS_PER_SECOND)
#define KEEPALIVE_TIMEOUT_NS  (10 * NS_PER_SECOND)

/* WP 6.1: jitter against lock-step initiations of both sides. */
#define REKEY_JITTER_MAX_NS (NS_PER_SECOND / 3)

/* WP 6.2: an initiator that receives on an old session renews it this long before both sides reject it. */
#define REKEY_ON_RECEIVE_AFTER_NS                                                                            \
    (REJECT_AFTER_TIME_NS - KEEPALIVE_TIMEOUT_NS - REKEY_TIMEOUT_NS) /* 165 s                                \
                                                                      */

/* WP 6.5: data went out and nothing came back. */
#define NEW_HANDSHAKE_AFTER_NS (KEEPALIVE_TIMEOUT_NS + REKEY_TIMEOUT_NS) /* 15 s */

/* WP 6.3: keys are erased when no new session came for three times the life of one. */
#define ERASE_KEYS_AFTER_NS (3 * REJECT_AFTER_TIME_NS) /* 540 s */

/* The first initiation, plus REKEY_ATTEMPT_TIME / REKEY_TIMEOUT = 18 counted retries, plus the one that makes
 * the count exceed its limit: what deployed implementations do. */
#define HANDSHAKE_ATTEMPTS_MAX (REKEY_ATTEMPT_TIME_NS / REKEY_TIMEOUT_NS + 2) /* 20 */

/* At most 50 initiations per second and peer are answered. */
#define INITIATION_INTERVAL_MIN_NS (20 * NS_PER_MS)

/* WP 5.4.7: life of the cookie secret; the maker of MACs trusts a cookie a little less long. */
#define COOKIE_SECRET_LIFE_NS (120 * NS_PER_SECOND)
#define COOKIE_LATENCY_NS     (5 * NS_PER_SECOND)

/* WP 5.4.6: data is padded to a multiple of this. */
#define PADDING_MULTIPLE 16

/* RFC 6479 bitmap; one 64-bit word of it is always being recycled. */
#define REPLAY_WINDOW_BITS   8192
#define REPLAY_WINDOW_USABLE (REPLAY_WINDOW_BITS - 64) /* 8128 */

/* Never the index of anything: the index table does not hand it out. */
#define INDEX_NONE UINT32_C(0)
