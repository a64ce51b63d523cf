/* One tunnel adapter: identity, peers, sockets, queues.  Life: initialize (halted -> paused), restart
 * (running), pause, halt; independently of that up or down, as the STATE control code says. */
#pragma once

#include "counters.h"
#include "endpoint.h"
#include "log_ring.h"
#include "nt/io.h"
#include "nt/ndis.h"
#include "nt/wsk.h"
#include "offload.h"
#include "protocol/allowed_ips.h"
#include "protocol/cookie.h"
#include "protocol/identity.h"
#include "protocol/index_table.h"
#include "protocol/under_load.h"
#include "wheel.h"
#include "worker.h"

#include <stdbool.h>
#include <stdint.h>

struct udp_socket;
struct batch_caches;
struct log_ring;
struct event_ring;
struct wheel;
struct route_state;
struct handshake_queue;
struct peer;

enum miniport_state { MINIPORT_HALTED, MINIPORT_PAUSED, MINIPORT_RUNNING };

/* Opens sockets again that the system took away (udp_socket.c). */
struct socket_recovery {
    struct work work;
    struct wheel_entry retry;
    uint32_t attempts; /* failed so far, under config_lock */
};

struct adapter {
    LIST_ENTRY link; /* driver.adapters */
    NDIS_HANDLE miniport;
    DEVICE_OBJECT *device; /* functional device object; control requests name the adapter by it */
    NET_LUID luid;
    uint32_t ifindex;

    /* ---- state (state.c) ---- */
    KSPIN_LOCK state_lock;
    volatile enum miniport_state miniport_state;
    volatile bool up;        /* STATE verb; data flows when running and up */
    volatile bool removing;  /* control refuses; cleared by CANCEL_REMOVE */
    volatile bool suspended; /* the system sleeps: no keys are made or kept */
    /* transmit: one per NBL chain accepted; receive: one per indication under way and one per batch that
     * the stack has not given back.  Pause waits for both,
     * restart begins them anew. */
    EX_RUNDOWN_REF transmit_rundown, receive_rundown;
    EX_RUNDOWN_REF peer_rundown;    /* one per peer object in memory; waited for by halt */
    EX_RUNDOWN_REF control_rundown; /* one per control request under way; waited for by halt */

    /* ---- configuration: writers hold config_lock (PASSIVE_LEVEL); readers of the tables are in an epoch
     * ---- */
    KMUTEX config_lock;
    struct identity identity;
    uint32_t identity_generation; /* counts its changes, from 1 */
    KSPIN_LOCK identity_lock;     /* of both; handshakes copy the identity under it */
    uint16_t listen_port;         /* host order, as configured or chosen */
    PEPROCESS socket_owner;       /* process that issued Up; referenced */
    struct peer_table *peers;
    uint32_t peer_count;
    uint64_t next_peer_id; /* for the log, and loop_guard.c */
    LIST_ENTRY peer_list;  /* peer.link, config order */
    struct allowed_ips allowed_ips;
    struct reserved_memory {
        struct reserved_memory *next;
    } *reserved_peers, *reserved_blocks; /* config_memory.c */
    struct index_table indexes;
    KSPIN_LOCK index_lock; /* writers of `indexes` */

    /* ---- parts ---- */
    struct udp_socket *volatile socket4, *volatile socket6; /* read in an epoch or under their rundown */
    struct socket_recovery socket_recovery;
    struct batch_caches *batches;
    struct handshake_queue *handshakes;
    struct under_load under_load;
    struct cookie_checker cookie_checker;
    EX_SPIN_LOCK cookie_lock; /* of cookie_checker: shared to check, exclusive to change */
    struct wheel *wheel;
    struct route_state *routes;
    struct log_ring *log;
    struct event_ring *events;
    struct counters_cpu *counters; /* driver.cpus entries */
    struct offload_state offload;
    /* How many bytes one call into the driver seals or opens where it stands, at DISPATCH_LEVEL, before the
     * rest goes to the workers.  Keyword "PassBudget", kilobytes. */
    uint32_t pass_bytes;
    /* How long a batch may wait for a worker while more of its peer wait behind it, once that is not for a
     * moment only (fair_queue.h); 0: for ever.  Keyword "QueueLimit", milliseconds. */
    uint64_t queue_limit_ns;
    /* Keywords "UdpSegmentation" and "UdpCoalescing" (0, 1): may the sockets send segments, and coalesce what
     * they receive? */
    bool udp_segmentation, udp_coalescing;
    volatile uint32_t mtu4, mtu6; /* NL MTU by family, 0 = unknown; refreshed by route.c's notifications */
    volatile int64_t rx_outstanding_bytes; /* indicated and not returned */
    volatile int64_t tx_outstanding_bytes; /* in the sockets */
    volatile int32_t messages_outstanding; /* handshake messages in the sockets */
};

/* MiniportInitializeEx: allocates and wires everything; undone on failure.  PASSIVE_LEVEL. */
NDIS_STATUS adapter_create(NDIS_HANDLE miniport, NDIS_MINIPORT_INIT_PARAMETERS *parameters,
                           struct adapter **adapter);
/* MiniportHaltEx. PASSIVE_LEVEL. Returns when nothing of the adapter is left. */
void adapter_destroy(struct adapter *adapter);
/* The adapter whose functional device object this is, with a control rundown reference; NULL if none (not
 * ours, halting). */
struct adapter *adapter_from_device(DEVICE_OBJECT *device);
void adapter_release(struct adapter *adapter);
/* Returns the copy's generation; the caller wipes the copy.  IRQL <= DISPATCH_LEVEL. */
uint32_t adapter_copy_identity(struct adapter *adapter, struct identity *copy);

/* ---- receiver indexes (receiver_index.c): protocol/index_table.h with this adapter's lock and growing
 * memory ---- */
NTSTATUS receiver_index_initialize(struct adapter *adapter);
void receiver_index_uninitialize(struct adapter *adapter);
/* INDEX_NONE when memory is exhausted.  All: IRQL <= DISPATCH_LEVEL. */
uint32_t receiver_index_insert(struct adapter *adapter, void *object, enum index_kind kind);
/* The index stands for `object` from now on; false when it was not in use. */
bool receiver_index_replace(struct adapter *adapter, uint32_t index, void *object, enum index_kind kind);
void receiver_index_remove(struct adapter *adapter, uint32_t index); /* INDEX_NONE is allowed */
