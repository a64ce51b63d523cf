/* A scripted peer: a whole WireGuard endpoint on the simulated network, made of src/protocol, that talks to
 * one adapter under test.  It notes everything that arrives, does what a good peer does when `automatic`, and
 * what an attacker does when told to. */
#pragma once

#include "node.h"
#include "protocol/cookie.h"
#include "protocol/handshake.h"
#include "protocol/session_set.h"
#include "protocol/tai64n.h"
#include "protocol/timer_policy.h"

struct peer_session {
    struct session session;
    struct peer_session *chain;
    bool wiped;
};

enum peer_event_kind {
    GOT_INITIATION,   /* valid */
    GOT_RESPONSE,     /* valid */
    GOT_COOKIE_REPLY, /* valid */
    GOT_DATA,         /* decrypted, fresh, not empty */
    GOT_KEEPALIVE,    /* decrypted, fresh, empty */
    GOT_REPLAY,       /* decrypted, counter seen before */
    GOT_UNKNOWN,      /* data for a receiver index that this peer has not */
    GOT_INVALID,      /* anything that does not authenticate */
    GOT_KINDS,
};

struct peer_event {
    enum peer_event_kind kind;
    uint64_t time_ns;
    uint32_t receiver_index; /* of data */
    uint64_t counter;
    uint32_t length; /* of the datagram */
    bool had_mac2;   /* initiation, response: mac2 is not zero */
    struct sim_address from;
    uint8_t timestamp[TAI64N_BYTES]; /* of an initiation */
};

#define PEER_EVENTS_KEPT 4096

struct peer {
    uint8_t end;
    struct node *node; /* whom it talks to */
    struct sim_endpoint *endpoint;
    struct sim_address address; /* its own */
    struct sim_address remote;  /* where the adapter was heard last; family 0: not known */
    uint8_t private_key[32], preshared_key[32], node_key[32];
    struct identity identity;
    struct handshake handshake;
    struct cookie_checker checker;
    struct cookie_maker maker;
    uint32_t handshake_index; /* local index of the handshake under way */

    struct session_set set;
    struct peer_session *sessions; /* all that ever were: their keys are searched for */

    /* ---- how it behaves ---- */
    bool silent;         /* hears and notes, says nothing */
    bool no_response;    /* does not answer initiations */
    bool no_confirm;     /* as initiator: does not send the first packet of a session */
    bool demand_cookies; /* always under load */
    bool forget_old;     /* keeps only the newest session's keys */
    bool automatic;      /* timers run: rekeys, keepalives, retries */
    int64_t clock_offset_100ns;

    /* ---- automatic ---- */
    struct peer_times times;
    uint64_t wanted_ns, asked_ns; /* next look at the timers; earliest call that is on its way */

    uint64_t counts[GOT_KINDS];
    struct peer_event events[PEER_EVENTS_KEPT]; /* ring */
    uint64_t events_count;
};

/* A peer at its outer address of `family`, with a fresh key pair, that knows the adapter's public key. */
void peer_open(struct peer *peer, uint8_t end, uint8_t family, struct node *node);
void peer_close(struct peer *peer);
/* The adapter has a new identity. */
void peer_learn_node(struct peer *peer);
void peer_set_preshared_key(struct peer *peer, const uint8_t key[32]);
void peer_set_automatic(struct peer *peer, bool automatic, uint16_t keepalive);
/* Another address and port of the same family. */
void peer_move(struct peer *peer);
/* Adds it to its adapter: networks of its end, preshared key, endpoint (optional). */
void peer_configure(struct peer *peer, bool endpoint, uint16_t keepalive);

/* ---- handshake ---- */
/* Sends an initiation; the raw message is left in `sent` if that is not NULL. */
void peer_initiate(struct peer *peer, struct message_initiation *sent);
/* The same to build it only. */
void peer_build_initiation(struct peer *peer, struct message_initiation *message, int64_t utc_offset_100ns);

/* ---- data ---- */
/* The session to send with, or NULL. */
struct peer_session *peer_session(const struct peer *peer);
/* Encrypts `length` bytes as they are; `wire` has room for 32 more.  Returns the datagram's length. */
uint32_t peer_seal(const struct peer_session *session, uint64_t counter, const uint8_t *plain,
                   uint32_t length, uint8_t *wire);
/* Sends a plaintext (0 bytes: keepalive) on the current session; false: there is none. */
bool peer_send_plain(struct peer *peer, const uint8_t *plain, uint32_t length);
/* The next packet of a flow, padded. False: no session (automatic: a handshake is begun). */
bool peer_send(struct peer *peer, int flow, uint32_t length);
void peer_send_raw(struct peer *peer, const void *bytes, uint32_t length);

/* ---- what it has heard ---- */
uint64_t peer_count(const struct peer *peer, enum peer_event_kind kind);
/* The last one of that kind; NULL: none. `back`: 0 the last, 1 the one before ... */
const struct peer_event *peer_last(const struct peer *peer, enum peer_event_kind kind, uint32_t back);
/* Waits until `count` of that kind were heard in all, at most until that time; true: they were. */
bool peer_wait(struct peer *peer, enum peer_event_kind kind, uint64_t count, uint64_t until_ns);
