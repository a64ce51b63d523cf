/* What Wyrm's control interface has beyond that of the reference (control.h): drop counters, events, and a
 * SET of all or nothing.
 *
 * The same rules: plain C11 or C++11, no pointers, the same bytes for 32-bit and 64-bit callers, host order.
 * A driver that does not know a code answers STATUS_INVALID_DEVICE_REQUEST (ERROR_INVALID_FUNCTION) or
 * another refusal of NDIS's.
 *
 * Access: SYSTEM, or Administrators at high integrity, on a handle opened for reading and writing.
 *
 * Versions: what stands here keeps its place and meaning.  Counters, kinds of events and fields at the end of
 * an event are only ever added; the lengths in the answers let older programs pass over what they do not
 * know, and newer ones see what an older driver has not.  Anything else gets a code of its own. */
#pragma once

#include "wyrm/control.h"

#define WYRM_EXTENSIONS_VERSION 1u

/* In: none.  Out: struct wyrm_ioctl_drops and behind it a uint64_t per reason, in the order of
 * WYRM_DROP_REASONS; as many whole counters as the buffer has room for.  Information = bytes written.  No
 * room for the structure: STATUS_BUFFER_TOO_SMALL. */
#define WYRM_IOCTL_DROPS WYRM_IOCTL_CODE(2305u, WYRM_METHOD_BUFFERED)
/* In: struct wyrm_ioctl_events_request (exactly).  Out: struct wyrm_ioctl_events and behind it the events
 * after that of the request, the oldest first, as many as the buffer has room for (at least one, else
 * STATUS_BUFFER_TOO_SMALL).  Waits until there is one.  Each handle may have one such request waiting
 * (another one: STATUS_REQUEST_NOT_ACCEPTED); every handle gets every event.  A request for events after one
 * that has not happened yet: STATUS_INVALID_PARAMETER. */
#define WYRM_IOCTL_EVENTS WYRM_IOCTL_CODE(2306u, WYRM_METHOD_BUFFERED)
/* As SET, but all or nothing: after a failure the adapter is as it was before, and Information is 0.  The
 * allowed IPs of peers that are removed, or not there, are checked too. */
#define WYRM_IOCTL_SET_ATOMIC WYRM_IOCTL_CODE(2307u, WYRM_METHOD_IN_DIRECT)

WYRM_CONTROL_ASSERT(WYRM_IOCTL_DROPS == 0xB098E404u);
WYRM_CONTROL_ASSERT(WYRM_IOCTL_EVENTS == 0xB098E408u);
WYRM_CONTROL_ASSERT(WYRM_IOCTL_SET_ATOMIC == 0xB098E40Du);

/* ---- drops ---- */

/* X(number, identifier, name for people and programs, meaning). TX: packets of the stack to send; RX:
 * datagrams and packets received; HS: handshake messages received. */
#define WYRM_DROP_REASONS(X)                                                                                 \
    X(0, TX_NOT_RUNNING, "tx-not-running", "the adapter was paused")                                         \
    X(1, TX_LINK_DOWN, "tx-link-down", "the adapter was down")                                               \
    X(2, TX_MALFORMED, "tx-malformed", "no correct IP packet")                                               \
    X(3, TX_NO_PEER, "tx-no-peer", "the destination is no peer's allowed IP")                                \
    X(4, TX_NO_ENDPOINT, "tx-no-endpoint", "the peer's endpoint is not known")                               \
    X(5, TX_STAGED_OVERFLOW, "tx-staged-overflow", "too many waited for a session")                          \
    X(6, TX_STAGED_PURGED, "tx-staged-purged", "waited for a session in vain")                               \
    X(7, TX_MEMORY, "tx-memory", "no memory")                                                                \
    X(8, TX_QUEUE_FULL, "tx-queue-full", "too many of the peer's packets were under way")                    \
    X(9, TX_QUEUE_LATE, "tx-queue-late", "waited for a worker too long")                                     \
    X(10, TX_NONCES_EXHAUSTED, "tx-nonces-exhausted", "the session could encrypt no more")                   \
    X(11, TX_SOCKET, "tx-socket", "the socket did not take it")                                              \
    X(12, TX_NO_ROUTE, "tx-no-route", "no route to the peer's endpoint")                                     \
    X(13, TX_LOOP, "tx-loop", "the tunnel's own datagram was routed into it")                                \
    X(14, TX_OFFLOAD, "tx-offload", "an offload was asked for that cannot be done")                          \
    X(15, RX_NOT_UP, "rx-not-up", "the adapter was down")                                                    \
    X(16, RX_MALFORMED, "rx-malformed", "no message of the protocol")                                        \
    X(17, RX_UNKNOWN_INDEX, "rx-unknown-index", "for a session that does not exist")                         \
    X(18, RX_SESSION_EXPIRED, "rx-session-expired", "for a session that is too old")                         \
    X(19, RX_AUTHENTICATION, "rx-authentication", "did not authenticate")                                    \
    X(20, RX_REPLAY, "rx-replay", "had come before, or is too old to tell")                                  \
    X(21, RX_INNER_MALFORMED, "rx-inner-malformed", "carried no correct IP packet")                          \
    X(22, RX_SOURCE_NOT_ALLOWED, "rx-source-not-allowed", "its source is not the peer's allowed IP")         \
    X(23, RX_MEMORY, "rx-memory", "no memory")                                                               \
    X(24, RX_QUEUE_FULL, "rx-queue-full", "too many of the peer's packets were under way")                   \
    X(25, RX_QUEUE_LATE, "rx-queue-late", "waited for a worker too long")                                    \
    X(26, RX_PAUSED, "rx-paused", "the adapter was paused")                                                  \
    X(27, HS_QUEUE_FULL, "hs-queue-full", "too many handshake messages waited")                              \
    X(28, HS_MAC1, "hs-mac1", "from somebody who does not know the public key")                              \
    X(29, HS_COOKIE_SENT, "hs-cookie-sent", "answered with a cookie under load")                             \
    X(30, HS_RATE_LIMITED, "hs-rate-limited", "too many from one address under load")                        \
    X(31, HS_UNKNOWN_PEER, "hs-unknown-peer", "from somebody who is no peer")                                \
    X(32, HS_REPLAY, "hs-replay", "an initiation that had come before")                                      \
    X(33, HS_FLOOD, "hs-flood", "initiations of one peer too soon after each other")                         \
    X(34, HS_INVALID, "hs-invalid", "did not authenticate, or there is no handshake for it")                 \
    X(35, HS_MEMORY, "hs-memory", "no memory")

enum wyrm_drop_reason {
#define WYRM_DROP_ENUMERATOR(number, identifier, name, meaning) WYRM_DROP_##identifier = (number),
    WYRM_DROP_REASONS(WYRM_DROP_ENUMERATOR)
#undef WYRM_DROP_ENUMERATOR
        WYRM_DROP_REASON_COUNT
};

/* The reasons' names as initializers of a table of wyrm_drop_reason: const char *names[] = {WYRM_DROP_NAMES};
 */
#define WYRM_DROP_NAME_OF(number, identifier, name, meaning) name,
#define WYRM_DROP_NAMES                                      WYRM_DROP_REASONS(WYRM_DROP_NAME_OF)

struct wyrm_ioctl_drops {
    WYRM_CONTROL_ALIGN uint32_t version; /* WYRM_EXTENSIONS_VERSION of the driver */
    uint32_t count;                      /* reasons that the driver knows, also when fewer counters fit */
    /* uint64_t: packets dropped since the adapter was created, by reason */
};

/* ---- events ---- */

/* `value` and the other fields that each kind fills; the others are zero. */
enum wyrm_event_kind {
    /* A session with the peer is confirmed: packets flow both ways.  value: enum wyrm_event_handshake; key,
     * endpoint. */
    WYRM_EVENT_HANDSHAKE = 1,
    /* The peer was heard from another address or port, which is its endpoint now.  Key, endpoint. */
    WYRM_EVENT_ENDPOINT = 2,
    /* There is no session with the peer any more.  value: enum wyrm_event_expired; key, endpoint. */
    WYRM_EVENT_EXPIRED = 3,
    /* The adapter went up or down.  value: enum wyrm_adapter_state. */
    WYRM_EVENT_ADAPTER_STATE = 4,
    /* Lines of the log begin to be lost.  value: enum wyrm_event_log_lost. */
    WYRM_EVENT_LOG_LOST = 5,
};

enum wyrm_event_handshake {
    WYRM_HANDSHAKE_BY_US = 1, /* this side sent the initiation */
    WYRM_HANDSHAKE_BY_PEER = 2,
};

enum wyrm_event_expired {
    WYRM_EXPIRED_NO_ANSWER = 1, /* handshakes were not answered for 90 s; the next packet begins anew */
    WYRM_EXPIRED_IDLE = 2,      /* the last session is so old that its keys were erased */
};

enum wyrm_event_log_lost {
    WYRM_LOG_OVERWRITTEN = 1, /* nobody reads the log, or not fast enough */
    WYRM_LOG_SUPPRESSED = 2,  /* too many lines of frequent kinds within five seconds */
};

/* As `after`: wait for the next event, whatever has happened before. */
#define WYRM_EVENTS_FROM_NOW 0xFFFFFFFFFFFFFFFFull

struct wyrm_ioctl_events_request {
    /* The last event known: that of wyrm_ioctl_events.last, 0 (all that are kept), or WYRM_EVENTS_FROM_NOW.
     */
    WYRM_CONTROL_ALIGN uint64_t after;
};

struct wyrm_ioctl_events {
    WYRM_CONTROL_ALIGN uint32_t version; /* WYRM_EXTENSIONS_VERSION of the driver */
    uint32_t event_bytes; /* from one event to the next; at least sizeof(struct wyrm_ioctl_event) */
    uint64_t last;        /* sequence of the last event here: `after` of the next request */
    uint64_t lost;        /* events after that of the request which are not kept any more */
    uint32_t count;       /* events that follow */
    uint32_t padding_0;
};

struct wyrm_ioctl_event {
    WYRM_CONTROL_ALIGN uint64_t sequence; /* from 1, without gaps, since the adapter was created */
    uint64_t timestamp;                   /* 100 ns since 1601-01-01 UTC */
    uint32_t kind;                        /* enum wyrm_event_kind */
    uint32_t value;
    uint8_t public_key[WYRM_KEY_LENGTH];
    struct wyrm_ioctl_endpoint endpoint;
    uint8_t padding_0[4];
};

/* ---- the layout is the interface ---- */
WYRM_CONTROL_ASSERT(WYRM_DROP_REASON_COUNT == 36);
WYRM_CONTROL_ASSERT(sizeof(struct wyrm_ioctl_drops) == 8);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_drops, count) == 4);
WYRM_CONTROL_ASSERT(sizeof(struct wyrm_ioctl_events_request) == 8);
WYRM_CONTROL_ASSERT(sizeof(struct wyrm_ioctl_events) == 32);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_events, event_bytes) == 4);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_events, last) == 8);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_events, lost) == 16);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_events, count) == 24);
WYRM_CONTROL_ASSERT(sizeof(struct wyrm_ioctl_event) == 88);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_event, timestamp) == 8);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_event, kind) == 16);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_event, value) == 20);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_event, public_key) == 24);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_event, endpoint) == 56);
