/* One WireGuard interface in user space: the protocol of src/protocol between a TUN device and UDP sockets
 * (edge/edge.h, the same edges that nthost has; others, such as Windows' wintun, stand behind the same
 * functions).
 *
 * Concurrency: everything here runs on the event loop's thread and needs no lock.  The control socket's
 * threads come over to it (control.c).  No function waits.  Peers are freed at once, by configuration only;
 * sessions by engine_reap, at the end of what the loop called, so that a batch may hold on to them. */
#pragma once

#include "drops.h"
#include "edge/edge.h"
#include "endpoint.h"
#include "protocol/allowed_ips.h"
#include "protocol/cookie.h"
#include "protocol/identity.h"
#include "protocol/index_table.h"
#include "protocol/rate_limiter.h"
#include "protocol/siphash.h"
#include "protocol/under_load.h"
#include "timer_heap.h"

#include <stdbool.h>
#include <stdint.h>

struct handshake_queue;
struct peer;
struct receiver;
struct session_object;
struct transmitter;

/* What the interface's MTU is at first: 1500 less what IPv6, UDP and a data message take (40 + 8 + 32). */
#define ENGINE_MTU_DEFAULT 1420

/* One in 2^20: as many as the index table has room for. */
#define ENGINE_PEERS_MAX (1u << 20)

struct peer_table {
    struct peer **heads;
    uint32_t count; /* buckets, a power of two */
    uint8_t key[SIPHASH_KEY_BYTES];
};

struct engine {
    struct tun *tun;
    uint32_t ifindex, mtu;
    bool link_up; /* the interface is set up in the system */
    bool up;      /* and the sockets are open */

    struct udp_socket *sockets[2]; /* IPv4, IPv6; NULL: closed, or the system has no such family */
    uint16_t listen_port;          /* while down: the one wanted; 0: any */
    uint32_t fwmark;

    struct identity identity;
    uint32_t identity_generation; /* never 0; peers follow it when they need it */
    struct cookie_checker cookie_checker;
    struct under_load under_load;
    struct rate_limiter limiter;
    void *limiter_memory; /* NULL until the first load */
    struct handshake_queue *handshakes;

    struct index_table indexes;
    struct allowed_ips allowed_ips;
    struct peer_table table;
    struct peer *peers, *last_peer; /* in the order of their creation */
    uint32_t peer_count;
    struct timer_heap timers;
    struct session_object *dead_sessions;

    struct transmitter *transmitter;
    struct receiver *receiver;
    struct drops drops;
};

/* Makes the interface `name`, down, without configuration.  0 or a negative errno with `error` filled; what
 * was made meanwhile is gone again.  At most one engine a process (the edges' loop has one timer). */
int engine_create(struct engine *engine, const char *name, char *error, size_t error_size);

/* Erases all keys and takes the interface away. */
void engine_destroy(struct engine *engine);

/* Opens the sockets on `port` (0: any), closing those there were; `engine->listen_port` is the port
 * afterwards. 0 or a negative errno: the old ones stay. */
int engine_sockets_open(struct engine *engine, uint16_t port);

/* The interface is up and the engine is not: opens the sockets on `port`, starts the timers.  0 or a negative
 * errno (logged): nothing has changed. */
int engine_come_up(struct engine *engine, uint16_t port);

/* Follows the interface: opens sockets and starts timers, or erases sessions and closes them. */
void engine_set_up(struct engine *engine, bool up);

/* When something is due next (TIME_FOREVER_NS: never), and doing what is. */
uint64_t engine_next_due_ns(const struct engine *engine);
void engine_expire(struct engine *engine);

/* Frees the sessions that were evicted. */
void engine_reap(struct engine *engine);

/* Receiver indexes: the table grows as needed.  INDEX_NONE: no memory. */
uint32_t engine_index_insert(struct engine *engine, void *object, enum index_kind kind);
void engine_index_remove(struct engine *engine, uint32_t index);
