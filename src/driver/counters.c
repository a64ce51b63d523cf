/* Per-CPU statistics; see counters.h. */
#include "counters.h"
#include "adapter.h"
#include "driver.h"
#include "memory.h"

NTSTATUS counters_initialize(struct adapter *adapter)
{
    adapter->counters = memory_allocate(MEMORY_ADAPTER, driver.cpus * sizeof(struct counters_cpu));
    return adapter->counters ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

void counters_uninitialize(struct adapter *adapter)
{
    memory_free(MEMORY_ADAPTER, adapter->counters, driver.cpus * sizeof(struct counters_cpu));
    adapter->counters = NULL;
}

struct counters_cpu *counters_here(struct adapter *adapter)
{
    return &adapter->counters[KeGetCurrentProcessorNumberEx(NULL)];
}

/* How a drop shows in the statistics of RFC 2863 (ifOutDiscards, ifOutErrors, ifInDiscards, ifInErrors): a
 * discard is a packet that was fine, an error one that was not. */
static void drop_statistics(struct counters_cpu *cpu, enum drop_reason reason, uint32_t n)
{
    switch (reason) {
    case DROP_TX_MALFORMED:
    case DROP_TX_NO_PEER:
    case DROP_TX_NO_ENDPOINT:
    case DROP_TX_NO_ROUTE:
    case DROP_TX_SOCKET:
    case DROP_TX_LOOP:
    case DROP_TX_OFFLOAD:
        cpu->tx_errors += n;
        break;
    case DROP_TX_NOT_RUNNING:
    case DROP_TX_LINK_DOWN:
    case DROP_TX_STAGED_OVERFLOW:
    case DROP_TX_STAGED_PURGED:
    case DROP_TX_MEMORY:
    case DROP_TX_QUEUE_FULL:
    case DROP_TX_QUEUE_LATE:
    case DROP_TX_NONCES_EXHAUSTED:
        cpu->tx_discards += n;
        break;
    case DROP_RX_MALFORMED:
    case DROP_RX_AUTHENTICATION:
    case DROP_RX_REPLAY:
    case DROP_RX_INNER_MALFORMED:
    case DROP_RX_SOURCE_NOT_ALLOWED:
    case DROP_RX_UNKNOWN_INDEX:
    case DROP_RX_SESSION_EXPIRED:
    case DROP_HS_MAC1:
    case DROP_HS_UNKNOWN_PEER:
    case DROP_HS_REPLAY:
    case DROP_HS_FLOOD:
    case DROP_HS_INVALID:
        cpu->rx_errors += n;
        break;
    default:
        cpu->rx_discards += n;
        break;
    }
}

void drop_count(struct adapter *adapter, enum drop_reason reason, uint32_t n)
{
    KIRQL irql = KfRaiseIrql(DISPATCH_LEVEL);
    struct counters_cpu *cpu = counters_here(adapter);
    cpu->drops[reason] += n;
    drop_statistics(cpu, reason, n);
    KeLowerIrql(irql);
}

void counters_read(struct adapter *adapter, counters_sum *sum)
{
    __builtin_memset(sum, 0, sizeof(*sum));
    for (uint32_t i = 0; i < driver.cpus; i++) {
        const struct counters_cpu *cpu = &adapter->counters[i];
        sum->tx_packets += __atomic_load_n(&cpu->tx_packets, __ATOMIC_RELAXED);
        sum->tx_bytes += __atomic_load_n(&cpu->tx_bytes, __ATOMIC_RELAXED);
        sum->tx_errors += __atomic_load_n(&cpu->tx_errors, __ATOMIC_RELAXED);
        sum->tx_discards += __atomic_load_n(&cpu->tx_discards, __ATOMIC_RELAXED);
        sum->rx_packets += __atomic_load_n(&cpu->rx_packets, __ATOMIC_RELAXED);
        sum->rx_bytes += __atomic_load_n(&cpu->rx_bytes, __ATOMIC_RELAXED);
        sum->rx_errors += __atomic_load_n(&cpu->rx_errors, __ATOMIC_RELAXED);
        sum->rx_discards += __atomic_load_n(&cpu->rx_discards, __ATOMIC_RELAXED);
        sum->rsc_packets += __atomic_load_n(&cpu->rsc_packets, __ATOMIC_RELAXED);
        sum->rsc_bytes += __atomic_load_n(&cpu->rsc_bytes, __ATOMIC_RELAXED);
        sum->rsc_units += __atomic_load_n(&cpu->rsc_units, __ATOMIC_RELAXED);
        sum->rsc_aborts += __atomic_load_n(&cpu->rsc_aborts, __ATOMIC_RELAXED);
        for (int reason = 0; reason < DROP_REASONS; reason++)
            sum->drops[reason] += __atomic_load_n(&cpu->drops[reason], __ATOMIC_RELAXED);
    }
}
