/* A peer's timers: the stored times and the policy are the protocol's (timer_policy.h), the wheel says when
 * to look, and what is due is done here or handed to a worker. */
#include "batch.h"
#include "driver.h"
#include "events.h"
#include "handshake_work.h"
#include "peer.h"
#include "transmit.h"

static void erase_run(struct work *work)
{
    struct peer *peer = CONTAINING_RECORD(work, struct peer, erase_work);
    peer_erase_keys(peer);
    batch_trim(peer->adapter); /* nor is there any use for what the peer has said */
    peer_release(peer);
}

void peer_timers_initialize(struct peer *peer)
{
    KeInitializeSpinLock(&peer->timer_lock);
    timers_init(&peer->times, random_jitter());
    work_initialize(&peer->erase_work, erase_run);
}

/* Timer lock held: the policy and the wheel never disagree about whether a peer is running. */
static void schedule_locked(struct peer *peer)
{
    if (peer->times.running)
        wheel_set_sooner(peer->adapter, &peer->timer, timers_scheduled_ns(&peer->times));
}

void peer_timers_reschedule(struct peer *peer)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->timer_lock);
    schedule_locked(peer);
    KeReleaseSpinLock(&peer->timer_lock, irql);
}

void peer_timers_start(struct peer *peer)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->timer_lock);
    bool keepalive = false;
    if (!peer->removed)
        timers_start(&peer->times, time_now_ns(), &keepalive);
    schedule_locked(peer);
    KeReleaseSpinLock(&peer->timer_lock, irql);
    if (keepalive)
        transmit_keepalive(peer);
}

void peer_timers_stop(struct peer *peer)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->timer_lock);
    timers_stop(&peer->times);
    wheel_remove(peer->adapter, &peer->timer);
    KeReleaseSpinLock(&peer->timer_lock, irql);
}

void peer_timers_set_keepalive(struct peer *peer, uint16_t interval_s)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->timer_lock);
    bool keepalive = false;
    timers_set_persistent_keepalive(&peer->times, interval_s, time_now_ns(), &keepalive);
    schedule_locked(peer);
    KeReleaseSpinLock(&peer->timer_lock, irql);
    if (keepalive)
        transmit_keepalive(peer);
}

void peer_timers_identity_changed(struct peer *peer)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->timer_lock);
    timers_identity_changed(&peer->times);
    KeReleaseSpinLock(&peer->timer_lock, irql);
}

uint16_t peer_timers_keepalive(const struct peer *peer)
{
    return (uint16_t)__atomic_load_n(&peer->times.persistent_interval_s, __ATOMIC_RELAXED);
}

bool peer_timers_begin_initiation(struct peer *peer, uint64_t now_ns)
{
    uint32_t random = random_jitter();
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->timer_lock);
    bool begin = peer->times.running && timers_begin_initiation(&peer->times, now_ns, random);
    schedule_locked(peer);
    KeReleaseSpinLock(&peer->timer_lock, irql);
    return begin;
}

void peer_timers_session_derived(struct peer *peer, uint64_t now_ns)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->timer_lock);
    timers_session_derived(&peer->times, now_ns);
    schedule_locked(peer);
    KeReleaseSpinLock(&peer->timer_lock, irql);
}

void peer_timers_handshake_complete(struct peer *peer, enum wyrm_event_handshake by)
{
    LARGE_INTEGER now;
    uint32_t random = random_jitter();
    KeQuerySystemTimePrecise(&now);
    __atomic_store_n(&peer->last_handshake_filetime, (uint64_t)now.QuadPart, __ATOMIC_RELAXED);
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&peer->timer_lock);
    timers_handshake_complete(&peer->times, random);
    KeReleaseSpinLock(&peer->timer_lock, irql);
    event_of_peer(peer, WYRM_EVENT_HANDSHAKE, by);
}

void peer_timers_expired(struct wheel_entry *entry)
{
    struct peer *peer = CONTAINING_RECORD(entry, struct peer, timer);
    struct timer_decision decision = {0};
    uint32_t random = random_jitter();

    KeAcquireSpinLockAtDpcLevel(&peer->timer_lock);
    if (peer->times.running) {
        timers_evaluate(&peer->times, time_now_ns(), random, &decision);
        wheel_set(peer->adapter, &peer->timer, decision.next_ns);
    }
    KeReleaseSpinLockFromDpcLevel(&peer->timer_lock);

    if (decision.actions & TIMER_GIVE_UP) {
        log_line_limited(peer->adapter, LOG_INFORMATION,
                         "Handshake for peer did not complete after %u attempts, giving up",
                         decision.attempts);
        transmit_purge_staged(peer);
        event_of_peer(peer, WYRM_EVENT_EXPIRED, WYRM_EXPIRED_NO_ANSWER);
    }
    if (decision.actions & TIMER_ERASE_KEYS)
        event_of_peer(peer, WYRM_EVENT_EXPIRED, WYRM_EXPIRED_IDLE);
    if ((decision.actions & TIMER_ERASE_KEYS) && peer_reference(peer) &&
        !work_queue(WORK_CONTROL, &peer->erase_work))
        peer_release(peer);
    if (decision.actions & TIMER_FORGET_SOURCE)
        endpoint_forget_source(&peer->endpoint);
    if (decision.actions & TIMER_SEND_INITIATION)
        handshake_request(peer, true);
    if (decision.actions & TIMER_SEND_KEEPALIVE)
        transmit_keepalive(peer);
}

void peer_learn_endpoint(struct peer *peer, const SOCKADDR_INET *remote, const SOCKADDR_INET *local,
                         uint32_t ifindex)
{
    if (endpoint_learn(&peer->endpoint, remote, local, ifindex))
        event_of_peer(peer, WYRM_EVENT_ENDPOINT, 0);
}

void peer_sent(struct peer *peer, struct session_object *session, bool data, uint64_t now_ns)
{
    if (!data)
        timers_any_authenticated_sent(&peer->times, now_ns);
    else if (timers_data_sent(&peer->times, now_ns))
        peer_timers_reschedule(peer);
    if (session && session_wants_rekey_on_send(&session->session, now_ns))
        handshake_request(peer, false);
}

void peer_received(struct peer *peer, struct session_object *session, bool data, uint64_t now_ns)
{
    if (!data)
        timers_any_authenticated_received(&peer->times, now_ns);
    else if (timers_data_received(&peer->times, now_ns))
        peer_timers_reschedule(peer);
    if (session && session_wants_rekey_on_receive(&session->session, now_ns))
        handshake_request(peer, false);
}
