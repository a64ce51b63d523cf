/* A session: the pair of transport keys that a handshake produced (white paper 5.4.5, 5.4.6), with its nonce
 * counter, replay window, indexes and age.
 *
 * Concurrency: the keys, indexes, role and birth are written once, by session_init before publication, and
 * read by anybody who holds a reference afterwards.  session_reserve_nonces, session_may_*, session_wants_*,
 * session_stop_* may run anywhere at the same time, any IRQL, no lock.  session_accept_counter: one consumer
 * at a time.  session_wipe: nobody else (last reference gone). */
#pragma once

#include "protocol/constants.h"
#include "protocol/replay_window.h"
#include <stdbool.h>
#include <stdint.h>

/* The data path reads send_key, receive_key and the indexes directly; the rest is private to session.c.
 * Embeddable. */
struct session {
    uint8_t send_key[SESSION_KEY_BYTES];
    uint8_t receive_key[SESSION_KEY_BYTES];
    uint64_t birth_ns;
    uint32_t local_index;  /* in what we receive */
    uint32_t remote_index; /* in what we send */
    bool is_initiator;

    uint8_t sending_stopped, receiving_stopped; /* atomic */
    uint8_t refresh_on_receive_done;            /* atomic */

    /* Every sender writes the counter: it shares no cache line with what receivers read or write. */
    uint8_t padding_before[64];
    uint64_t send_counter; /* atomic */
    uint8_t padding_behind[64];
    struct replay_window window;
};

/* Fills a session; the keys are copied. */
void session_init(struct session *session, const uint8_t send_key[SESSION_KEY_BYTES],
                  const uint8_t receive_key[SESSION_KEY_BYTES], uint32_t local_index, uint32_t remote_index,
                  bool is_initiator, uint64_t now_ns);

/* Erases keys, counters and window. */
void session_wipe(struct session *session);

/* Takes the nonces *first .. *first + count - 1 (count 1 .. 2^16) with one atomic add.  False when they would
 * pass REJECT_AFTER_MESSAGES: nothing is sent on this session any more.  Does not look at age:
 * session_may_send does. */
bool session_reserve_nonces(struct session *session, uint32_t count, uint64_t *first);

/* May packets be encrypted with it at `now_ns`: younger than REJECT_AFTER_TIME, not stopped, nonces left. */
bool session_may_send(const struct session *session, uint64_t now_ns);

/* May packets be decrypted with it at `now_ns`: younger than REJECT_AFTER_TIME, not stopped. */
bool session_may_receive(const struct session *session, uint64_t now_ns);

/* The counter of an authenticated packet: replay check and update.  False: drop the packet. */
bool session_accept_counter(struct session *session, uint64_t counter);

/* After sending: should a new handshake begin?  Initiator older than REKEY_AFTER_TIME, or more than
 * REKEY_AFTER_MESSAGES sent in either role.  True again and again until a new session replaces this one
 * (timers_request_handshake limits the rate). */
bool session_wants_rekey_on_send(const struct session *session, uint64_t now_ns);

/* After receiving: the last-minute renewal of an initiator, at 165 s.  True at most once per session. */
bool session_wants_rekey_on_receive(struct session *session, uint64_t now_ns);

/* For ever unfit for sending / for sending and receiving (identity changed, keys revoked). */
void session_stop_sending(struct session *session);
void session_stop(struct session *session);
