/* A peer's timers: times and policy are the protocol's (timer_policy.h), the heap says when to look. */
#include "handshake_work.h"
#include "peer.h"
#include "system.h"
#include "transmit.h"

#include <stddef.h>

static void schedule(struct peer *peer, uint64_t due_ns)
{
    if (!peer->times.running || due_ns == TIME_FOREVER_NS)
        timer_heap_remove(&peer->engine->timers, &peer->timer);
    else
        timer_heap_set(&peer->engine->timers, &peer->timer, due_ns);
}

void peer_timers_reschedule(struct peer *peer)
{
    schedule(peer, timers_scheduled_ns(&peer->times));
}

void peer_timers_start(struct peer *peer)
{
    bool keepalive = false;
    timers_start(&peer->times, system_time_ns(), &keepalive);
    peer_timers_reschedule(peer);
    if (keepalive)
        transmit_keepalive(peer);
}

void peer_timers_stop(struct peer *peer)
{
    timers_stop(&peer->times);
    timer_heap_remove(&peer->engine->timers, &peer->timer);
}

void peer_timers_set_keepalive(struct peer *peer, uint16_t interval_s)
{
    bool keepalive = false;
    timers_set_persistent_keepalive(&peer->times, interval_s, system_time_ns(), &keepalive);
    peer_timers_reschedule(peer);
    if (keepalive)
        transmit_keepalive(peer);
}

void peer_timers_handshake_complete(struct peer *peer)
{
    peer->last_handshake_100ns = system_utc_100ns();
    timers_handshake_complete(&peer->times, system_jitter());
    peer_timers_reschedule(peer);
}

void peer_request_handshake(struct peer *peer)
{
    if (timers_request_handshake(&peer->times, system_time_ns()))
        peer_timers_reschedule(peer);
}

void peer_sent(struct peer *peer, struct session_object *session, bool data, uint64_t now_ns)
{
    if (!data)
        timers_any_authenticated_sent(&peer->times, now_ns);
    else if (timers_data_sent(&peer->times, now_ns))
        peer_timers_reschedule(peer);
    if (session && session_wants_rekey_on_send(&session->session, now_ns))
        peer_request_handshake(peer);
}

void peer_received(struct peer *peer, struct session_object *session, bool data, uint64_t now_ns)
{
    if (!data)
        timers_any_authenticated_received(&peer->times, now_ns);
    else if (timers_data_received(&peer->times, now_ns))
        peer_timers_reschedule(peer);
    if (session && session_wants_rekey_on_receive(&session->session, now_ns))
        peer_request_handshake(peer);
}

static void act(struct peer *peer, const struct timer_decision *decision)
{
    if (decision->actions & TIMER_GIVE_UP) {
        log_info("no answer to %u handshake initiations, giving up", decision->attempts);
        peer_purge_staged(peer);
    }
    if (decision->actions & TIMER_ERASE_KEYS)
        peer_erase_keys(peer);
    if (decision->actions & TIMER_FORGET_SOURCE)
        endpoint_forget_source(&peer->endpoint);
    if (decision->actions & TIMER_SEND_INITIATION)
        handshake_send_initiation(peer);
    if (decision->actions & TIMER_SEND_KEEPALIVE)
        transmit_keepalive(peer);
}

void peer_timers_run(struct engine *engine)
{
    uint64_t now_ns = system_time_ns();
    struct timer_entry *entry;
    while ((entry = timer_heap_first(&engine->timers)) && entry->due_ns <= now_ns) {
        struct peer *peer = (struct peer *)((char *)entry - offsetof(struct peer, timer));
        struct timer_decision decision = {0};
        timers_evaluate(&peer->times, now_ns, system_jitter(), &decision);
        /* Whatever is due again at once comes in the next round, behind packets. */
        schedule(peer, decision.next_ns > now_ns ? decision.next_ns : now_ns + 1);
        act(peer, &decision);
    }
    engine_reap(engine);
}
