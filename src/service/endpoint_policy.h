/* Which address of a peer's endpoint name to use, and when to ask for the name again: decisions only; time,
 * answers and counters come in.  The idea of RFC 8305 (both families at once, then those in turn), with a
 * handshake instead of a connection: UDP does not tell that nobody answers.  Portable; one thread.
 *
 * Call endpoint_policy_poll() when the time is due and after each event, and do what it says. */
#pragma once

#include "endpoint.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENDPOINT_ADDRESSES 16u /* more of an answer are left out */

/* Three initiations go out within it (REKEY_TIMEOUT is 5 s): nobody answers at an address. */
#define ENDPOINT_TRIAL_MS 15000u
/* A session is renewed after 120 s while data is sent (REKEY_AFTER_TIME), so a last handshake that is older
 * than that and three more attempts, though data was sent, means that the peer does not answer. */
#define ENDPOINT_STALE_MS 135000u
/* Between questions for the name, twice as long each time. */
#define ENDPOINT_ASK_FIRST_MS   5000u
#define ENDPOINT_ASK_LONGEST_MS 300000u

enum endpoint_action {
    ENDPOINT_WAIT, /* until endpoint_policy_due(), or the next event */
    ENDPOINT_ASK,  /* ask for the name; endpoint_policy_answer() is owed */
    ENDPOINT_USE   /* give the peer `address` */
};

struct endpoint_policy {
    struct endpoint addresses[ENDPOINT_ADDRESSES]; /* in the order in which they are tried */
    size_t count;
    struct endpoint current; /* the one in use; family 0: none */
    size_t tried;            /* of `addresses`, since the last handshake or answer */
    bool asking, ask_at_once, choose;
    uint32_t pause_ms;     /* before the next question */
    uint64_t ask_at_ms;    /* not before */
    uint64_t given_ms;     /* when `current` was given */
    uint64_t sent_ms;      /* the first data since the last handshake; 0: none */
    uint64_t sent_bytes;   /* at the last poll */
    uint64_t handshake_ms; /* of the last one; 0: never */
    bool route_ipv4, route_ipv6;
};

/* Starts with a question. `current`: what the peer has now; NULL: nothing. */
void endpoint_policy_begin(struct endpoint_policy *policy, const struct endpoint *current, uint64_t now_ms);

/* What the name stands for, in the resolver's order (RFC 6724); none: there was no answer.  The address in
 * use stays if the answer still has it, it can be reached, and it has not failed. */
void endpoint_policy_answer(struct endpoint_policy *policy, const struct endpoint *addresses, size_t count,
                            uint64_t now_ms);
/* Which families have a route now, and that something of the network changed: the name is asked for again,
 * at once. */
void endpoint_policy_network(struct endpoint_policy *policy, bool ipv4, bool ipv6);
/* What the peer's counters say: bytes sent, and the time of the last handshake (0: never).  The peer may
 * have moved on by itself to `current` (family 0: has none). */
void endpoint_policy_counters(struct endpoint_policy *policy, uint64_t sent_bytes, uint64_t handshake_ms,
                              const struct endpoint *current, uint64_t now_ms);

/* What is to be done now; each ENDPOINT_ASK and ENDPOINT_USE is said once. */
enum endpoint_action endpoint_policy_poll(struct endpoint_policy *policy, uint64_t now_ms,
                                          struct endpoint *address);
/* When the next poll is due at the latest, if nothing happens; UINT64_MAX: never. */
uint64_t endpoint_policy_due(const struct endpoint_policy *policy);
