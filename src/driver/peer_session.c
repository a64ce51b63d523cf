/* Sessions in the driver: reference counts, their place in the receiver-index table, and the rotation that
 * protocol/session_set.h decides.  Readers find a session in an epoch and take a reference that can fail. */
#include "driver.h"
#include "memory.h"
#include "peer.h"

static struct session_object *object_of(struct session *session)
{
    return session ? CONTAINING_RECORD(session, struct session_object, session) : NULL;
}

static void session_free(struct epoch_node *node)
{
    struct session_object *object = CONTAINING_RECORD(node, struct session_object, epoch);
    struct peer *peer = object->peer;
    session_wipe(&object->session);
    memory_free(MEMORY_SESSION, object, sizeof(*object));
    peer_release(peer);
}

static bool orders_ensure(struct peer *peer)
{
    if (peer->orders)
        return true;
    struct peer_orders *orders = memory_allocate(MEMORY_PEER, sizeof(*orders));
    if (!orders)
        return false;
    order_initialize(&peer->tx_order, orders->tx_slots);
    order_initialize(&peer->rx_order, orders->rx_slots);
    peer->orders = orders;
    return true;
}

struct session_object *session_object_create(struct peer *peer)
{
    if (!orders_ensure(peer) || !peer_reference(peer))
        return NULL;
    struct session_object *object = memory_allocate(MEMORY_SESSION, sizeof(*object));
    if (!object) {
        peer_release(peer);
        return NULL;
    }
    object->references = 1;
    object->peer = peer;
    return object;
}

bool session_reference(struct session_object *object)
{
    int32_t count = __atomic_load_n(&object->references, __ATOMIC_RELAXED);
    do {
        if (count == 0)
            return false;
    } while (!__atomic_compare_exchange_n(&object->references, &count, count + 1, true, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED));
    return true;
}

void session_release(struct session_object *object)
{
    if (__atomic_sub_fetch(&object->references, 1, __ATOMIC_ACQ_REL) == 0)
        epoch_defer(&object->epoch, session_free);
}

/* Takes evicted sessions out of the index table and drops the set's references.  Session lock not held. */
static void drop_evicted(struct adapter *adapter, const struct session_evictions *evictions)
{
    for (uint32_t i = 0; i < evictions->count; i++) {
        receiver_index_remove(adapter, evictions->sessions[i]->local_index);
        session_release(object_of(evictions->sessions[i]));
    }
}

struct session_object *peer_current_session_in_epoch(struct peer *peer, uint64_t now_ns)
{
    struct session_object *object = object_of(session_set_current(&peer->sessions));
    return object && session_may_send(&object->session, now_ns) && session_reference(object) ? object : NULL;
}

struct session_object *peer_current_session(struct peer *peer, uint64_t now_ns)
{
    struct epoch_guard guard;
    epoch_enter(&guard);
    struct session_object *object = peer_current_session_in_epoch(peer, now_ns);
    epoch_leave(&guard);
    return object;
}

struct session_object *session_from_index(struct adapter *adapter, uint32_t index)
{
    enum index_kind kind;
    struct session_object *object = index_table_lookup(&adapter->indexes, index, &kind);
    return object && kind == INDEX_KIND_SESSION && session_reference(object) ? object : NULL;
}

void peer_install_session(struct peer *peer, struct session_object *object)
{
    struct session_evictions evictions = {0};
    /* The index first: a peer may answer before we are back here. */
    receiver_index_replace(peer->adapter, object->session.local_index, object, INDEX_KIND_SESSION);
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->session_lock);
    session_set_add(&peer->sessions, &object->session, &evictions);
    KeReleaseSpinLock(&peer->session_lock, irql);
    drop_evicted(peer->adapter, &evictions);
}

bool peer_confirm_session(struct peer *peer, struct session_object *object)
{
    struct session_evictions evictions = {0};
    if (session_set_next(&peer->sessions) != &object->session)
        return false;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->session_lock);
    bool rotated = session_set_confirm(&peer->sessions, &object->session, &evictions);
    KeReleaseSpinLock(&peer->session_lock, irql);
    drop_evicted(peer->adapter, &evictions);
    return rotated;
}

void peer_erase_sessions(struct peer *peer)
{
    struct session_evictions evictions = {0};
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->session_lock);
    session_set_clear(&peer->sessions, &evictions);
    KeReleaseSpinLock(&peer->session_lock, irql);
    drop_evicted(peer->adapter, &evictions);
}

void peer_expire_sessions(struct peer *peer)
{
    struct session_evictions evictions = {0};
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->session_lock);
    session_set_expire(&peer->sessions, &evictions);
    KeReleaseSpinLock(&peer->session_lock, irql);
    drop_evicted(peer->adapter, &evictions);
}
