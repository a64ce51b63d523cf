/* A peer: its handshake, sessions, timers, prefixes, endpoint, and what waits to be sent. */
#pragma once

#include "endpoint.h"
#include "engine.h"
#include "protocol/handshake.h"
#include "protocol/session_set.h"
#include "protocol/timer_policy.h"

/* What waits for a session, at the cost of the oldest. */
#define PEER_STAGED_PACKETS 128
#define PEER_STAGED_BYTES   (256 * 1024)

struct staged_packet {
    struct staged_packet *next;
    uint32_t bytes;
    uint8_t data[];
};

struct peer {
    struct engine *engine;
    struct peer *next, *previous, *next_in_bucket;

    struct handshake handshake;
    uint32_t identity_generation; /* for which the handshake has its secret; 0: for none */
    struct cookie_maker cookie;
    struct session_set sessions;
    struct peer_times times;
    struct timer_entry timer;
    struct allowed_ips_peer allowed;
    struct endpoint endpoint;

    struct staged_packet *staged_first, *staged_last;
    uint32_t staged_packets, staged_bytes;

    uint64_t tx_bytes, rx_bytes;
    uint64_t last_handshake_100ns; /* UTC since 1601; 0: never */
};

/* A session and what it belongs to. */
struct session_object {
    struct session session; /* first */
    struct peer *peer;
    struct session_object *next_dead;
};

/* ---- peers of an engine ---- */

/* Makes the table; false: no memory. */
bool peer_table_create(struct peer_table *table);
void peer_table_free(struct peer_table *table);

struct peer *peer_find(const struct engine *engine, const uint8_t public_key[PUBLIC_KEY_BYTES]);
/* NULL: no memory. */
struct peer *peer_add(struct engine *engine, const uint8_t public_key[PUBLIC_KEY_BYTES]);
/* Takes a peer away and erases it. */
void peer_remove(struct peer *peer);

/* Makes the handshake's static-static secret belong to the present identity (one X25519 after a change):
 * before every step of a handshake. */
void peer_follow_identity(struct peer *peer);

/* The identity changed: secrets of the former one are erased, its sessions stop sending. */
void peer_identity_changed(struct peer *peer);

/* Erases sessions and the handshake under way. */
void peer_erase_keys(struct peer *peer);

/* ---- sessions (peer_session.c) ---- */

/* Derives the session of a finished handshake and gives it its place.  False: no memory. */
bool peer_begin_session(struct peer *peer, uint64_t now_ns);
/* An authentic packet came on the session.  True: that completed the handshake. */
bool peer_confirm_session(struct peer *peer, struct session_object *object);
/* The session to send with, or NULL. */
struct session_object *peer_current_session(struct peer *peer, uint64_t now_ns);
void peer_erase_sessions(struct peer *peer);
/* Nothing new is sent on the sessions there are. */
void peer_expire_sessions(struct peer *peer);

/* ---- packets that wait for a session (peer_staged.c) ---- */

/* A copy is appended; 0 bytes: a keepalive. */
void peer_stage(struct peer *peer, const uint8_t *packet, uint32_t bytes);
void peer_purge_staged(struct peer *peer);
/* The same when they are sent. */
void peer_free_staged(struct peer *peer);

/* ---- timers (peer_timers.c) ---- */

void peer_timers_start(struct peer *peer);
void peer_timers_stop(struct peer *peer);
void peer_timers_set_keepalive(struct peer *peer, uint16_t interval_s);
void peer_timers_handshake_complete(struct peer *peer);
/* A verb of timer_policy.h says that the peer is to be looked at sooner. */
void peer_timers_reschedule(struct peer *peer);
/* A handshake is wanted: the timer sends the initiation as soon as the policy allows. */
void peer_request_handshake(struct peer *peer);
/* Something authentic was sent or received, `data`: not only keepalives; `session` NULL: a handshake message.
 */
void peer_sent(struct peer *peer, struct session_object *session, bool data, uint64_t now_ns);
void peer_received(struct peer *peer, struct session_object *session, bool data, uint64_t now_ns);
/* Acts on all timers that are due. */
void peer_timers_run(struct engine *engine);
