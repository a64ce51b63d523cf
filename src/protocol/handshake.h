/* The handshake, Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, in both roles (white paper 5.4.2 to 5.4.5).  One
 * struct handshake per peer: the peer's long-term keys, and the state of at most one handshake under way.
 *
 * Initiator: handshake_create_initiation, (network), handshake_consume_response, handshake_begin_session.
 * Responder: initiation_open, (look the peer up by static key), handshake_consume_initiation,
 *            handshake_create_response, handshake_begin_session.
 * The responder's two steps with Diffie-Hellman exist twice: whole, and with the multiplications left to the
 * caller, who may do those of several handshakes together (x25519_batch.h).
 * MACs (mac1, mac2) are the business of cookie.h: messages made here leave them zero, and those consumed here
 * were checked before.
 *
 * Concurrency: all functions on one struct handshake exclude each other (the peer's handshake lock).  They
 * make up to four X25519 (about 0.15 ms): PASSIVE_LEVEL, never in a DPC.  Different peers do not hinder each
 * other. Nothing is allocated; intermediate secrets are wiped on every path.
 *
 * Receiver indexes: the local index of a handshake comes from the index table (index_table.h) and is owned by
 * the handshake until handshake_begin_session hands it to the session.  Functions that give one up without a
 * session return it as the "released index" (INDEX_NONE: none): the caller removes it from the table. */
#pragma once

#include "crypto/x25519_batch.h"
#include "protocol/identity.h"
#include "protocol/messages.h"
#include "protocol/session.h"
#include "protocol/symmetric.h"
#include <stdbool.h>
#include <stdint.h>

enum handshake_state {
    HANDSHAKE_NONE = 0,           /* nothing under way */
    HANDSHAKE_CREATED_INITIATION, /* waiting for exactly the response to the last initiation created */
    HANDSHAKE_CONSUMED_INITIATION,
    HANDSHAKE_CREATED_RESPONSE,  /* ready for a session, as responder */
    HANDSHAKE_CONSUMED_RESPONSE, /* ready for a session, as initiator */
};

enum handshake_result {
    HANDSHAKE_OK = 0,
    HANDSHAKE_NO_IDENTITY,           /* the interface has no private key */
    HANDSHAKE_BAD_KEY,               /* a Diffie-Hellman result was zero: low-order point */
    HANDSHAKE_AUTHENTICATION_FAILED, /* a tag was wrong: wrong keys, wrong preshared key, or damage */
    HANDSHAKE_WRONG_PEER,            /* the initiation carries another static key than this peer's */
    HANDSHAKE_REPLAYED,              /* timestamp not later than the last one accepted */
    HANDSHAKE_FLOOD,                 /* sooner than 20 ms after the last initiation accepted */
    HANDSHAKE_WRONG_STATE,           /* no such step now: e.g. a response to a superseded initiation */
    HANDSHAKE_WRONG_INDEX,           /* the response's receiver index is not that of our last initiation */
};

/* Members are private to handshake.c; complete so that callers can embed it. */
struct handshake {
    /* long-term */
    uint8_t remote_static[PUBLIC_KEY_BYTES];
    uint8_t static_static[32]; /* DH(S_priv, S_pub of the peer), precomputed */
    uint8_t preshared_key[PRESHARED_KEY_BYTES];
    bool static_static_valid;

    /* what survives a handshake, against replay and flood */
    uint8_t latest_timestamp[TAI64N_BYTES];
    uint64_t last_initiation_consumed_ns;

    /* the handshake under way */
    enum handshake_state state;
    uint32_t local_index, remote_index;
    uint8_t ephemeral_private[PRIVATE_KEY_BYTES];
    uint8_t remote_ephemeral[PUBLIC_KEY_BYTES];
    struct symmetric_state symmetric;
};

/* The first half of a consumed initiation: enough to find the peer.  Holds secrets: goes on to
 * handshake_consume_initiation or to initiation_clear. */
struct initiation {
    uint8_t remote_static[PUBLIC_KEY_BYTES]; /* to look the peer up with */
    uint32_t remote_index;
    uint8_t remote_ephemeral[PUBLIC_KEY_BYTES];
    uint8_t encrypted_timestamp[TAI64N_BYTES + TAG_BYTES];
    struct symmetric_state symmetric;
};

/* White paper 5.4.2: C = HASH(CONSTRUCTION) and H = HASH(C || IDENTIFIER), the same for every handshake. */
extern const struct symmetric_state handshake_initial_state;

/* Sets up a peer: its static public key, and an all-zero preshared key.  `identity` may have no key yet.
 * False when the identity has a key and the Diffie-Hellman of the two is zero (the peer's key is a low-order
 * point): no handshake with this peer will ever succeed, but the object is valid. */
bool handshake_init(struct handshake *handshake, const struct identity *identity,
                    const uint8_t remote_static[PUBLIC_KEY_BYTES]);

/* After every change of the identity, for each peer: recomputes the static-static secret (one X25519) and
 * abandons the handshake under way.  Without a key the peer cannot do handshakes until the next call. Returns
 * the released index. */
uint32_t handshake_set_identity(struct handshake *handshake, const struct identity *identity);

/* Replaces the preshared key (all zero: none).  A handshake under way goes on with the new key. */
void handshake_set_preshared_key(struct handshake *handshake,
                                 const uint8_t preshared_key[PRESHARED_KEY_BYTES]);

/* Abandons the handshake under way and erases its secrets; the peer's long-term keys and the replay guard
 * stay. Returns the released index. */
uint32_t handshake_clear(struct handshake *handshake);

/* Erases everything, for a peer that goes away.  Returns the released index. */
uint32_t handshake_destroy(struct handshake *handshake);

/* The index that the handshake under way owns, or INDEX_NONE. */
uint32_t handshake_local_index(const struct handshake *handshake);

/* Initiator, first message (5.4.2).  Supersedes any handshake under way.
 *   local_index   a fresh index of the table; on success owned by the handshake, on failure still the
 * caller's random        32 fresh random bytes, the ephemeral private key (clamped here); the caller wipes
 * its copy timestamp     TAI64N (tai64n.h), later than that of every earlier initiation message complete but
 * for the MACs, which are zero released      the index of the superseded handshake, or INDEX_NONE
 * HANDSHAKE_OK, _NO_IDENTITY, _BAD_KEY; on failure the handshake under way is as before. */
enum handshake_result handshake_create_initiation(struct handshake *handshake,
                                                  const struct identity *identity, uint32_t local_index,
                                                  const uint8_t random[PRIVATE_KEY_BYTES],
                                                  const uint8_t timestamp[TAI64N_BYTES],
                                                  struct message_initiation *message, uint32_t *released);

/* Responder, first message, first half: decrypts the initiator's static key (one X25519).  Needs no peer and
 * no peer's lock.  HANDSHAKE_OK, _NO_IDENTITY, _BAD_KEY, _AUTHENTICATION_FAILED; on failure `initiation` is
 * all zero. */
enum handshake_result initiation_open(struct initiation *initiation, const struct identity *identity,
                                      const struct message_initiation *message);

/* The same in two parts: the multiplication to do, whose pointers go into the identity and the message, and
 * the rest, once it is done.  The caller wipes the job. */
void initiation_prepare(struct x25519_job *job, const struct identity *identity,
                        const struct message_initiation *message);
enum handshake_result initiation_open_prepared(struct initiation *initiation, const struct identity *identity,
                                               const struct message_initiation *message,
                                               const struct x25519_job *job);

/* Erases a half-consumed initiation that found no peer. */
void initiation_clear(struct initiation *initiation);

/* Responder, first message, second half: decrypts the timestamp, refuses replays and floods, and supersedes
 * any handshake under way.  `initiation` is erased in every case.  HANDSHAKE_OK, _WRONG_PEER, _BAD_KEY,
 * _AUTHENTICATION_FAILED, _REPLAYED, _FLOOD; on failure the handshake under way is as before. `released` as
 * above. */
enum handshake_result handshake_consume_initiation(struct handshake *handshake, struct initiation *initiation,
                                                   uint64_t now_ns, uint32_t *released);

/* Responder, second message (5.4.3; two X25519 and the ephemeral key).  Arguments as in
 * handshake_create_initiation. HANDSHAKE_OK, _WRONG_STATE (no initiation consumed), _BAD_KEY; on failure the
 * state is as before and the index the caller's. */
enum handshake_result handshake_create_response(struct handshake *handshake, uint32_t local_index,
                                                const uint8_t random[PRIVATE_KEY_BYTES],
                                                struct message_response *message);

/* What a response needs beside the handshake's state: the ephemeral key and three multiplications (the public
 * key, ee, se), whose pointers go into the struct itself: it is not moved.  Secret: the caller wipes it. */
struct response_keys {
    uint8_t ephemeral_private[PRIVATE_KEY_BYTES];
    uint8_t remote_ephemeral[PUBLIC_KEY_BYTES], remote_static[PUBLIC_KEY_BYTES];
    struct x25519_job public_key, ephemeral_ephemeral, static_ephemeral;
};

/* handshake_create_response in two parts.  The first takes what the jobs need out of a handshake that has
 * just consumed an initiation.  Between the two, while the jobs are done, the handshake may be used
 * otherwise: if it then is no longer that of the same initiation the second part gives HANDSHAKE_WRONG_STATE.
 */
void response_prepare(struct response_keys *keys, const struct handshake *handshake,
                      const uint8_t random[PRIVATE_KEY_BYTES]);
enum handshake_result handshake_create_response_prepared(struct handshake *handshake, uint32_t local_index,
                                                         const struct response_keys *keys,
                                                         struct message_response *message);

/* Initiator, second message.  HANDSHAKE_OK, _NO_IDENTITY, _WRONG_STATE, _WRONG_INDEX, _BAD_KEY,
 * _AUTHENTICATION_FAILED; on failure the handshake under way is as before and still waits for its response.
 */
enum handshake_result handshake_consume_response(struct handshake *handshake, const struct identity *identity,
                                                 const struct message_response *message);

/* Derives the transport keys (5.4.5) into `session`, which takes over the local index, and ends the handshake
 * (its secrets are erased).  The role follows from the state.  HANDSHAKE_OK or _WRONG_STATE (`session` is
 * then not touched).  The caller publishes the session: session_set_add, and index_table_replace for the
 * index. */
enum handshake_result handshake_begin_session(struct handshake *handshake, struct session *session,
                                              uint64_t now_ns);
