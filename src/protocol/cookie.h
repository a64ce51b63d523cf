/* mac1, mac2 and cookies, the defence against floods of handshakes (white paper 5.3, 5.4.4, 5.4.7).
 * The checker is the interface's side that receives handshake messages, the maker a peer's side that sends
 * them. */
#pragma once

#include "protocol/messages.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a message came from, as opaque bytes the caller makes the same way every time: 16 bytes of address
 * (IPv4 in any fixed embedding) and 2 of port.  A cookie is good for exactly one of these. */
#define COOKIE_SOURCE_BYTES 18

/* ---- checker: one per interface ---- */

/* Private to cookie.c.  Concurrency: verify and create_reply may run at the same time with each other;
 * set_identity, rotate_secret and wipe exclude everything else on the same object. */
struct cookie_checker {
    uint8_t mac1_key[32];   /* HASH("mac1----" || our public key) */
    uint8_t cookie_key[32]; /* HASH("cookie--" || our public key) */
    uint8_t secret[32];
    uint64_t secret_birth_ns; /* TIME_NEVER_NS: no secret yet */
    bool identity_present;
};

enum cookie_verdict {
    COOKIE_MAC1_INVALID = 0, /* not made for our public key: drop silently */
    COOKIE_MAC1_VALID,       /* mac1 is right; mac2 absent, wrong, stale or not asked for */
    COOKIE_MAC2_VALID,       /* both: the sender can receive at its source address */
};

/* No identity, no secret: every verdict is COOKIE_MAC1_INVALID. */
void cookie_checker_init(struct cookie_checker *checker);

/* The interface's public key changed; NULL: it has none. */
void cookie_checker_set_identity(struct cookie_checker *checker, const uint8_t public_key[PUBLIC_KEY_BYTES]);

void cookie_checker_wipe(struct cookie_checker *checker);

/* True when there is no secret or it is COOKIE_SECRET_LIFE_NS old: time for rotate_secret, before
 * create_reply. */
bool cookie_checker_secret_is_stale(const struct cookie_checker *checker, uint64_t now_ns);

/* A new secret from 32 fresh random bytes; all cookies given out before become invalid. */
void cookie_checker_rotate_secret(struct cookie_checker *checker, const uint8_t random[32], uint64_t now_ns);

/* Checks the MACs of an initiation or response of `length` bytes (MESSAGE_INITIATION_BYTES or
 * MESSAGE_RESPONSE_BYTES, the MACs being its last 32).  mac2 is looked at only with `want_mac2` (under load).
 * Constant time. */
enum cookie_verdict cookie_checker_verify(const struct cookie_checker *checker, const void *message,
                                          size_t length, const uint8_t source[COOKIE_SOURCE_BYTES],
                                          bool want_mac2, uint64_t now_ns);

/* Answers a message whose mac1 was valid: its own sender index, its mac1 and its source go in; `nonce` is 24
 * fresh random bytes.  False when the secret is stale or there is no identity: `reply` is not written. */
bool cookie_checker_create_reply(const struct cookie_checker *checker, struct message_cookie_reply *reply,
                                 const void *message, size_t length,
                                 const uint8_t source[COOKIE_SOURCE_BYTES], const uint8_t nonce[24],
                                 uint64_t now_ns);

/* ---- maker: one per peer ---- */

/* Private to cookie.c.  Concurrency: all functions on one maker exclude each other (the peer's handshake
 * lock). */
struct cookie_maker {
    uint8_t mac1_key[32];   /* HASH("mac1----" || the peer's public key) */
    uint8_t cookie_key[32]; /* HASH("cookie--" || the peer's public key) */
    uint8_t cookie[COOKIE_BYTES];
    uint64_t cookie_birth_ns; /* TIME_NEVER_NS: no cookie */
    uint8_t last_mac1[MAC_BYTES];
    bool last_mac1_valid; /* a cookie reply may answer it, once */
};

void cookie_maker_init(struct cookie_maker *maker, const uint8_t remote_public_key[PUBLIC_KEY_BYTES]);

/* Erases everything; the maker needs cookie_maker_init again. */
void cookie_maker_wipe(struct cookie_maker *maker);

/* Fills in mac1, and mac2 (zero without a cookie younger than COOKIE_SECRET_LIFE_NS - COOKIE_LATENCY_NS), of
 * an initiation or response of `length` bytes that is otherwise complete.  Remembers mac1 for the cookie
 * reply. */
void cookie_maker_add_macs(struct cookie_maker *maker, void *message, size_t length, uint64_t now_ns);

/* Takes the cookie out of a reply to the message that add_macs last completed.  The caller found this peer by
 * the reply's receiver index.  False: no message is waiting for a reply, or it does not decrypt; nothing
 * changed. */
bool cookie_maker_consume_reply(struct cookie_maker *maker, const struct message_cookie_reply *reply,
                                uint64_t now_ns);
