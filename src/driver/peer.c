/* Life of a peer: made by SET, found through three tables, taken out of all of them by peer_remove, freed
 * with its last reference after the epoch. */
#include "peer.h"
#include "config_memory.h"
#include "crypto/secure_memory.h"
#include "driver.h"
#include "handshake_work.h"
#include "memory.h"
#include "nt/rtl.h"
#include "receive.h"
#include "route.h"
#include "transmit.h"

static void peer_free(struct epoch_node *node)
{
    struct peer *peer = CONTAINING_RECORD(node, struct peer, epoch);
    struct adapter *adapter = peer->adapter;
    transmit_purge_staged(peer); /* what was staged while the peer was on its way out */
    memory_free(MEMORY_PEER, peer->orders, sizeof(*peer->orders));
    secure_zero(peer, sizeof(*peer));
    memory_free(MEMORY_PEER, peer, sizeof(*peer));
    ExReleaseRundownProtection(&adapter->peer_rundown);
}

bool peer_reference(struct peer *peer)
{
    int32_t count = __atomic_load_n(&peer->references, __ATOMIC_RELAXED);
    do {
        if (count == 0)
            return false;
    } while (!__atomic_compare_exchange_n(&peer->references, &count, count + 1, true, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED));
    return true;
}

void peer_release(struct peer *peer)
{
    if (__atomic_sub_fetch(&peer->references, 1, __ATOMIC_ACQ_REL) == 0)
        epoch_defer(&peer->epoch, peer_free);
}

struct peer *peer_create(struct adapter *adapter, const uint8_t public_key[32])
{
    struct identity none;
    if (!ExAcquireRundownProtection(&adapter->peer_rundown))
        return NULL;
    struct peer *peer = config_memory_of_peer(adapter);
    if (!peer) {
        ExReleaseRundownProtection(&adapter->peer_rundown);
        return NULL;
    }
    peer->adapter = adapter;
    peer->references = 1;
    peer->id = ++adapter->next_peer_id;
    InitializeListHead(&peer->link);
    ExInitializeFastMutex(&peer->handshake_lock);
    KeInitializeSpinLock(&peer->session_lock);
    KeInitializeSpinLock(&peer->staged_lock);
    KeInitializeSpinLock(&peer->timer_lock);

    /* Without an identity: the first handshake computes the static-static secret, so that ten thousand peers
     * are configured without ten thousand Diffie-Hellmans. */
    identity_init(&none);
    handshake_init(&peer->handshake, &none, public_key);
    cookie_maker_init(&peer->cookie, public_key);
    session_set_init(&peer->sessions);
    endpoint_initialize(&peer->endpoint);
    allowed_ips_peer_init(&peer->allowed);
    wheel_entry_initialize(&peer->timer, peer_timers_expired);
    peer_timers_initialize(peer);
    fair_flow_initialize(&peer->flow, adapter->queue_limit_ns);
    handshake_work_initialize_peer(peer);
    route_initialize_peer(peer);
    transmit_initialize_peer(peer);
    receive_initialize_peer(peer);
    return peer;
}

void peer_erase_keys(struct peer *peer)
{
    ExAcquireFastMutex(&peer->handshake_lock);
    uint32_t released = handshake_clear(&peer->handshake);
    ExReleaseFastMutex(&peer->handshake_lock);
    receiver_index_remove(peer->adapter, released);
    peer_erase_sessions(peer);
}

void peer_remove(struct peer *peer)
{
    struct adapter *adapter = peer->adapter;

    /* Nobody installs a session after this: handshake_work.c looks at `removed` under the same lock. */
    ExAcquireFastMutex(&peer->handshake_lock);
    peer->removed = true;
    ExReleaseFastMutex(&peer->handshake_lock);

    peer_table_remove(adapter, peer);
    RemoveEntryList(&peer->link);
    adapter->peer_count--;
    allowed_ips_remove_by_peer(&adapter->allowed_ips, &peer->allowed);
    peer_timers_stop(peer);
    transmit_purge_staged(peer);
    peer_erase_sessions(peer);

    ExAcquireFastMutex(&peer->handshake_lock);
    uint32_t released = handshake_destroy(&peer->handshake);
    cookie_maker_wipe(&peer->cookie);
    ExReleaseFastMutex(&peer->handshake_lock);
    receiver_index_remove(adapter, released);
    peer_release(peer);
}
