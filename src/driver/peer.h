/* A peer: keys, handshake, sessions, endpoint, times, queues.  Reference-counted; found through the
 * public-key table, the allowed IPs and the index table, all read in an epoch. */
#pragma once

#include "adapter.h"
#include "epoch.h"
#include "order.h"
#include "protocol/handshake.h"
#include "protocol/session_set.h"
#include "protocol/timer_policy.h"

#define PEER_STAGED_PACKETS 128
#define PEER_STAGED_BYTES   (256 * 1024)
#define PEERS_PER_ADAPTER   (1u << 20)

/* A session with its place in the driver. */
struct session_object {
    struct session session; /* protocol state */
    volatile int32_t references;
    struct peer *peer; /* referenced */
    struct epoch_node epoch;
};

struct peer_orders {
    struct batch *volatile tx_slots[ORDER_SLOTS], *volatile rx_slots[ORDER_SLOTS];
};

/* A packet that waits for a session: our own copy, so that the sender's NBL is completed at once. */
struct staged_packet {
    struct staged_packet *next;
    uint32_t bytes;
    uint8_t family;
    uint8_t data[];
};

struct peer {
    LIST_ENTRY link;        /* adapter.peer_list, config_lock */
    struct peer *hash_next; /* peer_table.c's bucket */
    struct adapter *adapter;
    uint64_t id; /* names it in the log */
    volatile int32_t references;
    volatile bool removed;
    struct epoch_node epoch;

    /* ---- handshake: PASSIVE_LEVEL, under handshake_lock ---- */
    FAST_MUTEX handshake_lock;
    struct handshake handshake;
    uint32_t identity_generation; /* of the handshake's static-static secret; 0: not computed yet */
    struct cookie_maker cookie;
    volatile uint64_t last_handshake_filetime; /* 100 ns since 1601, 0 = never */
    struct work initiation_work;               /* sends an initiation; holds a reference while queued */
    struct work route_work; /* refreshes the endpoint's source; holds a reference while queued */
    struct work erase_work; /* erases the keys; holds a reference while queued */

    /* ---- sessions: writers hold session_lock; readers load the pointers in an epoch and take a reference
     * ---- */
    KSPIN_LOCK session_lock;
    struct session_set sessions;

    /* ---- data path ---- */
    struct endpoint_cell endpoint;
    struct order tx_order, rx_order; /* usable once there was a session */
    struct peer_orders *orders; /* their slots: two kilobytes that a peer without sessions does not need */
    struct fair_flow flow;      /* its turn at the workers, both directions */
    struct work tx_order_work, rx_order_work; /* long deliveries go on there; hold a reference while queued */
    KSPIN_LOCK staged_lock;
    struct staged_packet *staged_head, *staged_tail;
    uint32_t staged_count, staged_bytes;
    struct allowed_ips_peer allowed; /* its list of prefixes */

    /* ---- times (protocol/timer_policy.h): written once per batch ---- */
    KSPIN_LOCK timer_lock; /* the (locked) verbs of timer_policy.h */
    struct peer_times times;
    struct wheel_entry timer;
    volatile int64_t tx_bytes, rx_bytes; /* outer bytes, one atomic add per batch */
};

/* ---- life ---- */
/* A new peer, in no table yet; one reference. NULL: memory. PASSIVE_LEVEL. */
struct peer *peer_create(struct adapter *adapter, const uint8_t public_key[32]);
/* Out of every table: no new work starts; sessions, staged packets and keys are erased; the table's reference
 * is dropped. config_lock held. PASSIVE_LEVEL. */
void peer_remove(struct peer *peer);
/* Erases all sessions and the handshake under way; the peer stays.  PASSIVE_LEVEL. */
void peer_erase_keys(struct peer *peer);
/* False when the last reference is gone already (somebody holds the peer only through an epoch).  IRQL <=
 * DISPATCH_LEVEL. */
bool peer_reference(struct peer *peer);
void peer_release(struct peer *peer); /* IRQL <= DISPATCH_LEVEL; memory goes through the epoch */

/* ---- public-key table (peer_table.c): writers hold config_lock; grows with the number of peers ---- */
NTSTATUS peer_table_create(struct adapter *adapter);
void peer_table_destroy(struct adapter *adapter);
NTSTATUS peer_table_insert(struct adapter *adapter, struct peer *peer);
void peer_table_remove(struct adapter *adapter, struct peer *peer);
/* Referenced, or NULL. IRQL <= DISPATCH_LEVEL. */
struct peer *peer_table_find(struct adapter *adapter, const uint8_t public_key[32]);

/* ---- sessions (peer_session.c) ---- */
/* A session derived from the peer's handshake (handshake_begin_session filled object->session): one
 * reference; the first one makes the peer's orders.  NULL: memory.  handshake_lock held. */
struct session_object *session_object_create(struct peer *peer);
/* The current session if it can send at `now`, referenced; else NULL. IRQL <= DISPATCH_LEVEL, in an epoch or
 * holding the peer; the second one only in an epoch. */
struct session_object *peer_current_session(struct peer *peer, uint64_t now_ns);
struct session_object *peer_current_session_in_epoch(struct peer *peer, uint64_t now_ns);
/* Session of a receiver index, referenced; NULL if unknown.  In an epoch. */
struct session_object *session_from_index(struct adapter *adapter, uint32_t index);
/* False when the last reference is gone already. */
bool session_reference(struct session_object *session);
void session_release(struct session_object *session); /* wiped with the last reference, after the epoch */
/* Installs a freshly derived session (session_set_add): takes the reference over, points its index at it,
 * removes the indexes of what was evicted and releases that.  handshake_lock held, IRQL <= APC_LEVEL. */
void peer_install_session(struct peer *peer, struct session_object *session);
/* First authenticated packet on `next`: next -> current. True if it rotated. IRQL <= DISPATCH_LEVEL */
bool peer_confirm_session(struct peer *peer, struct session_object *session);
void peer_erase_sessions(struct peer *peer);  /* all three, index entries too */
void peer_expire_sessions(struct peer *peer); /* they can no longer send; key change */

/* ---- timers (peer_timers.c) ---- */
void peer_timers_initialize(struct peer *peer);
void peer_timers_set_keepalive(struct peer *peer, uint16_t interval_s); /* seconds, 0 = off */
uint16_t peer_timers_keepalive(const struct peer *peer);
/* The (locked) verbs of timer_policy.h with the peer's lock, and the wheel after them.  IRQL <=
 * DISPATCH_LEVEL. */
bool peer_timers_begin_initiation(struct peer *peer, uint64_t now_ns);
void peer_timers_identity_changed(struct peer *peer);
void peer_timers_session_derived(struct peer *peer, uint64_t now_ns);
/* A session is confirmed; also notes the wall-clock time for GET. */
void peer_timers_handshake_complete(struct peer *peer, enum wyrm_event_handshake by);
void peer_timers_start(struct peer *peer);           /* up */
void peer_timers_stop(struct peer *peer);            /* down, removal */
void peer_timers_expired(struct wheel_entry *entry); /* wheel callback, DISPATCH_LEVEL */
/* A verb of timer_policy.h said true: moves the peer in the wheel.  IRQL <= DISPATCH_LEVEL. */
void peer_timers_reschedule(struct peer *peer);
/* An authenticated message came from there (endpoint_learn).  IRQL <= DISPATCH_LEVEL. */
void peer_learn_endpoint(struct peer *peer, const SOCKADDR_INET *remote, const SOCKADDR_INET *local,
                         uint32_t ifindex);
/* The data path's events. Once per batch. Cheap: stores times, arms the wheel only when it must
 * fire sooner. */
void peer_sent(struct peer *peer, struct session_object *session, bool data, uint64_t now_ns);
void peer_received(struct peer *peer, struct session_object *session, bool data, uint64_t now_ns);
