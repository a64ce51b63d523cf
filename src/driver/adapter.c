/* Making and unmaking an adapter: every part in its order, and the reverse. */
#include "adapter.h"
#include "batch.h"
#include "config_memory.h"
#include "crypto/secure_memory.h"
#include "driver.h"
#include "epoch.h"
#include "events.h"
#include "handshake_work.h"
#include "keyword.h"
#include "memory.h"
#include "nt/rtl.h"
#include "oid.h"
#include "peer.h"
#include "route.h"
#include "state.h"
#include "udp_socket.h"

/* Undoes adapter_prepare as far as it came.  Nobody else knows the adapter any more. */
static void adapter_dismantle(struct adapter *adapter)
{
    route_uninitialize(adapter);
    wheel_uninitialize(adapter);
    udp_sockets_uninitialize(adapter);
    handshake_work_uninitialize(adapter);
    batch_uninitialize(adapter);
    receiver_index_uninitialize(adapter);
    peer_table_destroy(adapter);
    log_ring_uninitialize(adapter);
    events_uninitialize(adapter);
    counters_uninitialize(adapter);
    identity_clear(&adapter->identity);
    memory_free(MEMORY_ADAPTER, adapter, sizeof(*adapter));
}

/* A rundown that is over: nothing is accepted until restart begins it anew. */
static void rundown_initialize_completed(PEX_RUNDOWN_REF rundown)
{
    ExInitializeRundownProtection(rundown);
    ExWaitForRundownProtectionRelease(rundown);
}

static NTSTATUS adapter_prepare(struct adapter *adapter)
{
    struct allowed_ips_memory trie_memory = config_memory_of_tries(adapter);
    NTSTATUS status;
    KeInitializeSpinLock(&adapter->state_lock);
    KeInitializeSpinLock(&adapter->identity_lock);
    KeInitializeMutex(&adapter->config_lock, 0);
    InitializeListHead(&adapter->link);
    InitializeListHead(&adapter->peer_list);
    rundown_initialize_completed(&adapter->transmit_rundown);
    rundown_initialize_completed(&adapter->receive_rundown);
    ExInitializeRundownProtection(&adapter->control_rundown);
    ExInitializeRundownProtection(&adapter->peer_rundown);
    identity_init(&adapter->identity);
    adapter->identity_generation = 1;
    allowed_ips_init(&adapter->allowed_ips, &trie_memory);
    adapter->miniport_state = MINIPORT_PAUSED;
    udp_sockets_initialize(adapter);

    if (!NT_SUCCESS(status = counters_initialize(adapter)) ||
        !NT_SUCCESS(status = events_initialize(adapter)) ||
        !NT_SUCCESS(status = log_ring_initialize(adapter)) ||
        !NT_SUCCESS(status = peer_table_create(adapter)) ||
        !NT_SUCCESS(status = receiver_index_initialize(adapter)) ||
        !NT_SUCCESS(status = batch_initialize(adapter)) ||
        !NT_SUCCESS(status = handshake_work_initialize(adapter)) ||
        !NT_SUCCESS(status = wheel_initialize(adapter)))
        return status;
    return route_initialize(adapter);
}

/* At one gigabyte a second the default is a third of a millisecond.  Less lets other DPCs of the processor
 * run sooner and other packets of the same processor wait less; more keeps longer bursts on one processor. */
#define PASS_BUDGET_DEFAULT_KB 320
#define PASS_BUDGET_MIN_KB     16
#define PASS_BUDGET_MAX_KB     4096
/* All that a peer may have outstanding in one direction, 8 MB, passes within the default at 420 MB/s; what
 * seals more slowly has a shorter queue.  It is several times the round-trip time of near machines, and no
 * more than the jitter of a wireless link. */
#define QUEUE_LIMIT_DEFAULT_MS 20
#define QUEUE_LIMIT_MAX_MS     10000

static void read_keywords(struct adapter *adapter)
{
    uint32_t kilobytes = PASS_BUDGET_DEFAULT_KB, milliseconds = QUEUE_LIMIT_DEFAULT_MS;
    adapter->udp_segmentation = adapter->udp_coalescing = true;
    NDIS_HANDLE configuration = keywords_open(adapter);
    if (configuration) {
        kilobytes =
            keyword_read(configuration, L"PassBudget", PASS_BUDGET_MIN_KB, PASS_BUDGET_MAX_KB, kilobytes);
        milliseconds = keyword_read(configuration, L"QueueLimit", 0, QUEUE_LIMIT_MAX_MS, milliseconds);
        adapter->udp_segmentation = keyword_read(configuration, L"UdpSegmentation", 0, 1, 1) != 0;
        adapter->udp_coalescing = keyword_read(configuration, L"UdpCoalescing", 0, 1, 1) != 0;
        NdisCloseConfiguration(configuration);
    }
    adapter->pass_bytes = kilobytes * 1024;
    adapter->queue_limit_ns = milliseconds * 1000000ull;
}

NDIS_STATUS adapter_create(NDIS_HANDLE miniport, NDIS_MINIPORT_INIT_PARAMETERS *parameters,
                           struct adapter **created)
{
    struct adapter *adapter = memory_allocate(MEMORY_ADAPTER, sizeof(*adapter));
    if (!adapter)
        return NDIS_STATUS_RESOURCES;
    adapter->miniport = miniport;
    adapter->luid = parameters->NetLuid;
    adapter->ifindex = parameters->IfIndex;
    NdisMGetDeviceProperty(miniport, NULL, &adapter->device, NULL, NULL, NULL);

    NTSTATUS status = adapter_prepare(adapter);
    read_keywords(adapter);
    if (NT_SUCCESS(status))
        status = oid_set_attributes(adapter);
    if (!NT_SUCCESS(status)) {
        adapter_dismantle(adapter);
        if (status == STATUS_INSUFFICIENT_RESOURCES || status == NDIS_STATUS_RESOURCES)
            return NDIS_STATUS_RESOURCES;
        NdisWriteErrorLogEntry(miniport, NDIS_ERROR_CODE_DRIVER_FAILURE, 1, (ULONG)status);
        return NDIS_STATUS_FAILURE;
    }
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&driver.adapters_lock);
    InsertTailList(&driver.adapters, &adapter->link);
    KeReleaseSpinLock(&driver.adapters_lock, irql);
    *created = adapter;
    return NDIS_STATUS_SUCCESS;
}

void adapter_destroy(struct adapter *adapter)
{
    /* No new control request finds the adapter, and those inside leave. */
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&driver.adapters_lock);
    RemoveEntryList(&adapter->link);
    KeReleaseSpinLock(&driver.adapters_lock, irql);
    ExWaitForRundownProtectionRelease(&adapter->control_rundown);
    adapter->removing = true;
    log_ring_wake(adapter, NULL, STATUS_CANCELLED);
    events_wake(adapter, NULL, STATUS_CANCELLED);

    KeWaitForSingleObject(&adapter->config_lock, Executive, KernelMode, FALSE, NULL);
    adapter->miniport_state = MINIPORT_HALTED;
    state_down(adapter);
    while (!IsListEmpty(&adapter->peer_list))
        peer_remove(CONTAINING_RECORD(adapter->peer_list.Flink, struct peer, link));
    KeReleaseMutex(&adapter->config_lock, FALSE);

    /* Work items and sessions may hold peers a little longer; each ends by itself. */
    ExWaitForRundownProtectionRelease(&adapter->peer_rundown);
    epoch_barrier();
    adapter_dismantle(adapter);
}

struct adapter *adapter_from_device(DEVICE_OBJECT *device)
{
    struct adapter *found = NULL;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&driver.adapters_lock);
    for (LIST_ENTRY *link = driver.adapters.Flink; link != &driver.adapters && !found; link = link->Flink) {
        struct adapter *adapter = CONTAINING_RECORD(link, struct adapter, link);
        if (adapter->device == device && ExAcquireRundownProtection(&adapter->control_rundown))
            found = adapter;
    }
    KeReleaseSpinLock(&driver.adapters_lock, irql);
    return found;
}

void adapter_release(struct adapter *adapter)
{
    ExReleaseRundownProtection(&adapter->control_rundown);
}

uint32_t adapter_copy_identity(struct adapter *adapter, struct identity *copy)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&adapter->identity_lock);
    uint32_t generation = adapter->identity_generation;
    identity_copy(copy, &adapter->identity);
    KeReleaseSpinLock(&adapter->identity_lock, irql);
    return generation;
}
