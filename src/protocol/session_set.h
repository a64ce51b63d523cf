/* A peer's sessions: previous, current and next, and how they rotate (white paper 6.3; key
 * confirmation: 5.4.6 with 6.1).  The set holds one reference of the caller's on each session it points at
 * and hands that reference back when it evicts one.
 *
 * Concurrency: add, confirm, clear, expire exclude each other (the peer's lock).  session_set_current and
 * session_set_next may run at any time at any IRQL; sessions are published with release stores.  A reader
 * keeps what it got alive by an epoch, or takes its reference inside one. */
#pragma once

#include "protocol/session.h"
#include <stdbool.h>
#include <stdint.h>

struct session_set {
    struct session *previous, *current, *next; /* atomic */
};

/* The sessions that left the set; the caller removes their indexes and drops the set's references. */
struct session_evictions {
    struct session *sessions[3];
    uint32_t count;
};

void session_set_init(struct session_set *set);

/* A handshake completed.  As initiator (session->is_initiator) the new session is current at once: the
 * response proved that the peer has the keys; an unconfirmed next or else the current becomes previous.  As
 * responder it waits as next, replacing an unconfirmed one; previous is evicted. */
void session_set_add(struct session_set *set, struct session *session, struct session_evictions *evictions);

/* An authenticated packet came in on `session`.  When that is the unconfirmed next, it becomes current,
 * current becomes previous, and previous is evicted; returns true then: the handshake is complete
 * (timers_handshake_complete) and staged packets may flow.  The unlocked test session ==
 * session_set_next(set) spares the lock in all other cases. */
bool session_set_confirm(struct session_set *set, struct session *session,
                         struct session_evictions *evictions);

/* Evicts all: keys are erased, the peer or the interface goes away. */
void session_set_clear(struct session_set *set, struct session_evictions *evictions);

/* The identity changed (a new preshared key counts from the next handshake on): the current session stops
 * sending (what is under way may still come in), an unconfirmed next is evicted. */
void session_set_expire(struct session_set *set, struct session_evictions *evictions);

/* The session to send with (check session_may_send), or NULL. */
struct session *session_set_current(const struct session_set *set);

/* The session that waits for confirmation, or NULL. */
struct session *session_set_next(const struct session_set *set);

/* The one before current, or NULL.  Under the lock only. */
struct session *session_set_previous(const struct session_set *set);
