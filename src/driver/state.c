/* The adapter's state machine; see state.h. */
#include "state.h"
#include "batch.h"
#include "events.h"
#include "handshake_work.h"
#include "nt/ob_ps_se.h"
#include "nt/rtl.h"
#include "oid.h"
#include "peer.h"
#include "route.h"
#include "transmit.h"
#include "udp_socket.h"

static void set_miniport_state(struct adapter *adapter, enum miniport_state state)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&adapter->state_lock);
    adapter->miniport_state = state;
    KeReleaseSpinLock(&adapter->state_lock, irql);
}

NDIS_STATUS state_restart(struct adapter *adapter)
{
    ExReInitializeRundownProtection(&adapter->transmit_rundown);
    ExReInitializeRundownProtection(&adapter->receive_rundown);
    set_miniport_state(adapter, MINIPORT_RUNNING);
    route_request_mtu(adapter);
    return NDIS_STATUS_SUCCESS;
}

NDIS_STATUS state_pause(struct adapter *adapter)
{
    set_miniport_state(adapter, MINIPORT_PAUSED);
    ExWaitForRundownProtectionRelease(&adapter->transmit_rundown);
    ExWaitForRundownProtectionRelease(&adapter->receive_rundown);
    return NDIS_STATUS_SUCCESS;
}

/* Nothing of the traffic so far is left: sessions, handshakes, packets, timers.  config_lock held. */
static void peers_stop(struct adapter *adapter)
{
    for (LIST_ENTRY *link = adapter->peer_list.Flink; link != &adapter->peer_list; link = link->Flink) {
        struct peer *peer = CONTAINING_RECORD(link, struct peer, link);
        peer_timers_stop(peer);
        transmit_purge_staged(peer);
        peer_erase_keys(peer);
        endpoint_forget_source(&peer->endpoint);
    }
    batch_trim(adapter);
}

/* config_lock held. */
static void peers_start(struct adapter *adapter)
{
    for (LIST_ENTRY *link = adapter->peer_list.Flink; link != &adapter->peer_list; link = link->Flink) {
        struct peer *peer = CONTAINING_RECORD(link, struct peer, link);
        peer_timers_start(peer);
        transmit_flush_staged(peer);
    }
}

NTSTATUS state_up(struct adapter *adapter)
{
    uint16_t port;
    if (adapter->up)
        return STATUS_ALREADY_COMPLETE;
    NTSTATUS status = wsk_ensure_registered();
    if (!NT_SUCCESS(status)) {
        log_line(adapter, LOG_ERROR, "Winsock Kernel is not available (status %x)", (uint32_t)status);
        return status;
    }
    adapter->socket_owner = IoGetCurrentProcess();
    ObfReferenceObject(adapter->socket_owner);
    status = udp_sockets_open(adapter, adapter->listen_port, &port);
    if (!NT_SUCCESS(status)) {
        ObfDereferenceObject(adapter->socket_owner);
        adapter->socket_owner = NULL;
        log_line(adapter, LOG_ERROR, "No socket on port %u (status %x)", (uint32_t)adapter->listen_port,
                 (uint32_t)status);
        return status;
    }
    adapter->listen_port = port;
    adapter->up = true;
    route_request_mtu(adapter);
    oid_indicate_link(adapter, true);
    log_line(adapter, LOG_INFORMATION, "Interface up on port %u", (uint32_t)port);
    event_of_adapter(adapter, WYRM_EVENT_ADAPTER_STATE, WYRM_ADAPTER_UP);
    if (!adapter->suspended)
        peers_start(adapter);
    return STATUS_SUCCESS;
}

NTSTATUS state_down(struct adapter *adapter)
{
    if (!adapter->up)
        return STATUS_ALREADY_COMPLETE;
    adapter->up = false; /* handshakes under way install nothing from here on */
    oid_indicate_link(adapter, false);
    udp_sockets_close(adapter);
    handshake_work_drain(adapter);
    peers_stop(adapter);
    ObfDereferenceObject(adapter->socket_owner);
    adapter->socket_owner = NULL;
    log_line(adapter, LOG_INFORMATION, "Interface down");
    event_of_adapter(adapter, WYRM_EVENT_ADAPTER_STATE, WYRM_ADAPTER_DOWN);
    return STATUS_SUCCESS;
}

void state_removing(struct adapter *adapter, bool removing)
{
    adapter->removing = removing;
    if (removing) {
        log_ring_wake(adapter, NULL, STATUS_CANCELLED);
        events_wake(adapter, NULL, STATUS_CANCELLED);
    }
}

/* A session older than its limit is of no use and its keys are not kept (white paper 6.3). */
static void erase_if_expired(struct peer *peer, uint64_t now_ns)
{
    struct epoch_guard guard;
    epoch_enter(&guard);
    struct session *current = session_set_current(&peer->sessions);
    bool expired = current && !session_may_receive(current, now_ns);
    epoch_leave(&guard);
    if (expired)
        peer_erase_keys(peer);
}

void state_suspended(struct adapter *adapter)
{
    KeWaitForSingleObject(&adapter->config_lock, Executive, KernelMode, FALSE, NULL);
    if (!adapter->suspended) {
        adapter->suspended = true; /* handshakes under way install nothing from here on */
        peers_stop(adapter);
    }
    KeReleaseMutex(&adapter->config_lock, FALSE);
}

void state_resumed(struct adapter *adapter)
{
    uint64_t now_ns = time_now_ns();
    KeWaitForSingleObject(&adapter->config_lock, Executive, KernelMode, FALSE, NULL);
    bool slept = adapter->suspended;
    adapter->suspended = false;
    if (slept && adapter->up)
        peers_start(adapter);
    for (LIST_ENTRY *link = adapter->peer_list.Flink; !slept && link != &adapter->peer_list;
         link = link->Flink)
        erase_if_expired(CONTAINING_RECORD(link, struct peer, link), now_ns);
    KeReleaseMutex(&adapter->config_lock, FALSE);
    wheel_kick(adapter);
}
