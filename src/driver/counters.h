/* Statistics and drop reasons: per CPU, written without atomics at DISPATCH_LEVEL, summed on query. */
#pragma once

#include "nt/types.h"
#include "wyrm/control_extensions.h"

#include <stdint.h>

/* The reasons and their numbers are the control interface's. */
enum drop_reason {
#define DROP_ENUMERATOR(number, identifier, name, meaning) DROP_##identifier = (number),
    WYRM_DROP_REASONS(DROP_ENUMERATOR)
#undef DROP_ENUMERATOR
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
