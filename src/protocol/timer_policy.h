/* The timers of a peer (white paper 6) as a pure function of stored times: the data path only writes down
 * when things happened, and one timer wheel asks timers_evaluate what is due and when to ask again.
 *
 * Scheduling: `scheduled_ns` is the time for which the peer stands in the caller's wheel (TIME_FOREVER_NS: it
 * does not).  Verbs that return true have lowered it: the caller then moves the peer in its wheel to
 * timers_scheduled_ns().  Verbs that return false need nothing; in steady traffic nearly all do.  When the
 * wheel's time has come, the caller runs timers_evaluate, acts, and puts the peer into the wheel at
 * decision.next_ns.
 *
 * Concurrency: the verbs marked (data) may run anywhere at the same time, any IRQL, no lock: call them once
 * per batch. The verbs marked (locked) exclude each other (the peer's lock) but not the (data) verbs.
 *
 * `now_ns`: see constants.h, never 0.  `random`: 32 fresh random bits (jitter). */
#pragma once

#include "protocol/constants.h"
#include <stdbool.h>
#include <stdint.h>

struct peer_times {
    /* written by the data path, atomic */
    uint64_t last_sent_ns;            /* anything authenticated: data, keepalive, handshake */
    uint64_t last_received_ns;        /* the same */
    uint64_t unanswered_since_ns;     /* first data sent since anything was received; TIME_NEVER_NS: none */
    uint64_t unacknowledged_since_ns; /* first data received since anything was sent; TIME_NEVER_NS: none */
    uint64_t scheduled_ns;
    uint32_t initiation_requested; /* bool */

    /* written under the peer's lock, read by the data path, atomic */
    uint32_t running; /* bool */
    uint64_t new_handshake_jitter_ns;

    /* under the peer's lock */
    uint32_t persistent_interval_s; /* 0: off */
    uint32_t attempts;              /* initiations sent in this handshake */
    uint64_t last_initiation_ns;
    uint64_t retry_at_ns;        /* TIME_NEVER_NS: no handshake under way */
    uint64_t erase_at_ns;        /* TIME_NEVER_NS: nothing to erase */
    uint64_t persistent_base_ns; /* last persistent keepalive asked for */
};

/* What to do, a set. */
enum timer_action {
    TIMER_SEND_INITIATION = 1u << 0, /* timers_begin_initiation, then make and send one */
    TIMER_FORGET_SOURCE =
        1u << 1, /* before that: forget the endpoint's local address, it may be the trouble */
    TIMER_SEND_KEEPALIVE = 1u << 2, /* an empty data packet; without a session: request a handshake instead */
    TIMER_GIVE_UP = 1u << 3,        /* HANDSHAKE_ATTEMPTS_MAX unanswered: drop the staged packets */
    TIMER_ERASE_KEYS = 1u << 4,     /* evict and wipe all sessions and the handshake under way */
};

struct timer_decision {
    uint32_t actions;  /* enum timer_action */
    uint32_t attempts; /* initiations sent so far in this handshake; with TIMER_GIVE_UP: so many failed */
    uint64_t next_ns;  /* evaluate again then (earlier, when a verb returns true); TIME_FOREVER_NS: never */
};

/* A peer of an interface that is down; no persistent keepalive. */
void timers_init(struct peer_times *times, uint32_t random);

/* (locked) The interface went up: handshakes may be sent at once.  `*keepalive_now`: a persistent keepalive
 * is configured, send a keepalive now.  True: see "Scheduling". */
bool timers_start(struct peer_times *times, uint64_t now_ns, bool *keepalive_now);

/* (locked) The interface went down or the peer goes away: nothing is due any more until timers_start, not
 * even the erasure of keys, so the caller evicts and wipes the sessions now.  It also takes the peer out of
 * its wheel. */
void timers_stop(struct peer_times *times);

/* (locked) Sets the interval in seconds, 0: off.  `*keepalive_now`: it was off and the interface is up, send
 * a keepalive now.  True: see "Scheduling". */
bool timers_set_persistent_keepalive(struct peer_times *times, uint16_t interval_s, uint64_t now_ns,
                                     bool *keepalive_now);

/* ---- events; those that return true: see "Scheduling" ---- */

/* (data) Data packets (not keepalives) of this peer were sent; implies timers_any_authenticated_sent. */
bool timers_data_sent(struct peer_times *times, uint64_t now_ns);

/* (data) A keepalive or handshake message was sent. */
void timers_any_authenticated_sent(struct peer_times *times, uint64_t now_ns);

/* (data) Non-empty authenticated data was received; implies timers_any_authenticated_received. */
bool timers_data_received(struct peer_times *times, uint64_t now_ns);

/* (data) A keepalive or handshake message was received and authenticated. */
void timers_any_authenticated_received(struct peer_times *times, uint64_t now_ns);

/* (data) A new handshake is wanted because of packets to send (no session, or session_wants_rekey_*).  Starts
 * the count of attempts again.  True (at most once per initiation): the wheel is to look at the peer now; the
 * caller may as well go to timers_evaluate on a worker at once. */
bool timers_request_handshake(struct peer_times *times, uint64_t now_ns);

/* (locked) Before making an initiation, and before anything in it that can fail.  False when the last one was
 * sent less than REKEY_TIMEOUT ago: do not send; the request stays, and the wheel comes back to it.  True: it
 * counts as sent at `now_ns`, and the retry is scheduled: put the peer into the wheel at
 * timers_scheduled_ns().  When the message went out, timers_any_authenticated_sent. */
bool timers_begin_initiation(struct peer_times *times, uint64_t now_ns, uint32_t random);

/* (locked) Our private key changed: what was sent in the old identity's name no longer holds the next
 * initiation back. */
void timers_identity_changed(struct peer_times *times);

/* (locked) A session was derived, in either role: keys are to be erased 540 s from now.  True: see
 * "Scheduling". */
bool timers_session_derived(struct peer_times *times, uint64_t now_ns);

/* (locked) A handshake is complete: the initiator consumed the response, or the responder received the first
 * data on the new session. */
void timers_handshake_complete(struct peer_times *times, uint32_t random);

/* (locked) What is due at `now_ns`; the state moves on as if the caller does it all.  Calling it too early or
 * twice is harmless.  Sets scheduled_ns = decision->next_ns. */
void timers_evaluate(struct peer_times *times, uint64_t now_ns, uint32_t random,
                     struct timer_decision *decision);

/* (data) For when the peer is to stand in the wheel. */
uint64_t timers_scheduled_ns(const struct peer_times *times);
