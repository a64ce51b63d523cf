/* Statistics and drop reasons: per CPU, written without atomics at DISPATCH_LEVEL, summed on query. */
#pragma once

#include "nt/types.h"

#include <stdint.h>

enum drop_reason {
    /* transmit */
    DROP_TX_NOT_RUNNING,
    DROP_TX_LINK_DOWN,
    DROP_TX_MALFORMED,
    DROP_TX_NO_PEER,
    DROP_TX_NO_ENDPOINT,
    DROP_TX_STAGED_OVERFLOW,
    DROP_TX_STAGED_PURGED,
    DROP_TX_MEMORY,
    DROP_TX_QUEUE_FULL,
    DROP_TX_QUEUE_LATE,
    DROP_TX_NONCES_EXHAUSTED,
    DROP_TX_SOCKET,
    DROP_TX_NO_ROUTE,
    DROP_TX_LOOP,
    DROP_TX_OFFLOAD,
    /* receive */
    DROP_RX_NOT_UP,
    DROP_RX_MALFORMED,
    DROP_RX_UNKNOWN_INDEX,
    DROP_RX_SESSION_EXPIRED,
    DROP_RX_AUTHENTICATION,
    DROP_RX_REPLAY,
    DROP_RX_INNER_MALFORMED,
    DROP_RX_SOURCE_NOT_ALLOWED,
    DROP_RX_MEMORY,
    DROP_RX_QUEUE_FULL,
    DROP_RX_QUEUE_LATE,
    DROP_RX_PAUSED,
    /* handshake */
    DROP_HS_QUEUE_FULL,
    DROP_HS_MAC1,
    DROP_HS_COOKIE_SENT,
    DROP_HS_RATE_LIMITED,
    DROP_HS_UNKNOWN_PEER,
    DROP_HS_REPLAY,
    DROP_HS_FLOOD,
    DROP_HS_INVALID,
    DROP_HS_MEMORY,
    DROP_REASONS
};

struct counters_cpu {
    uint64_t tx_packets, tx_bytes, tx_errors, tx_discards; /* outer bytes, as the reference counts */
    uint64_t rx_packets, rx_bytes, rx_errors, rx_discards;
    uint64_t rsc_packets, rsc_bytes, rsc_units, rsc_aborts; /* coalesced, and units ended by an exception */
    uint64_t drops[DROP_REASONS];
} __attribute__((aligned(64)));

struct adapter;
typedef struct counters_cpu counters_sum;

NTSTATUS counters_initialize(struct adapter *adapter);
void counters_uninitialize(struct adapter *adapter);
/* This CPU's block; DISPATCH_LEVEL. */
struct counters_cpu *counters_here(struct adapter *adapter);
/* Counts `n` drops (and the matching error/discard statistics).  IRQL <= DISPATCH_LEVEL. */
void drop_count(struct adapter *adapter, enum drop_reason reason, uint32_t n);
void counters_read(struct adapter *adapter, counters_sum *sum); /* IRQL <= DISPATCH_LEVEL */
const char *drop_reason_name(enum drop_reason reason);
