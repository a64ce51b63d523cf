/* The timer policy.  Data-path verbs and timers_evaluate meet in two kinds of words: stored times and
 * scheduled_ns.  A verb stores its time, then lowers scheduled_ns; evaluate raises scheduled_ns, then reads
 * the times: all sequentially consistent, so that one of the two always sees the other and no deadline is
 * lost. */
#include "protocol/timer_policy.h"

static uint64_t load_time(const uint64_t *place)
{
    return __atomic_load_n(place, __ATOMIC_SEQ_CST);
}

static void store_time(uint64_t *place, uint64_t value)
{
    __atomic_store_n(place, value, __ATOMIC_SEQ_CST);
}

static uint64_t jitter_ns(uint32_t random)
{
    return (uint64_t)random * REKEY_JITTER_MAX_NS >> 32;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static bool is_running(const struct peer_times *times)
{
    return __atomic_load_n(&times->running, __ATOMIC_RELAXED);
}

/* scheduled = min(scheduled, deadline); true when that lowered it. */
static bool schedule(struct peer_times *times, uint64_t deadline_ns)
{
    uint64_t scheduled_ns = load_time(&times->scheduled_ns);
    while (deadline_ns < scheduled_ns) {
        if (__atomic_compare_exchange_n(&times->scheduled_ns, &scheduled_ns, deadline_ns, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return true;
    }
    return false;
}

/* ---- deadlines, derived from what is stored ---- */

static uint64_t new_handshake_due_ns(const struct peer_times *times, uint64_t unanswered_since_ns)
{
    if (unanswered_since_ns == TIME_NEVER_NS)
        return TIME_FOREVER_NS;
    return unanswered_since_ns + NEW_HANDSHAKE_AFTER_NS +
           __atomic_load_n(&times->new_handshake_jitter_ns, __ATOMIC_RELAXED);
}

static uint64_t keepalive_due_ns(uint64_t unacknowledged_since_ns)
{
    return unacknowledged_since_ns == TIME_NEVER_NS ? TIME_FOREVER_NS
                                                    : unacknowledged_since_ns + KEEPALIVE_TIMEOUT_NS;
}

/* Any traffic, in either direction, keeps mappings on the way alive. */
static uint64_t persistent_keepalive_due_ns(const struct peer_times *times)
{
    if (times->persistent_interval_s == 0)
        return TIME_FOREVER_NS;
    uint64_t last_ns = later(load_time(&times->last_sent_ns), load_time(&times->last_received_ns));
    return later(last_ns, times->persistent_base_ns) + times->persistent_interval_s * NS_PER_SECOND;
}

/* While a handshake is under way its retry, with jitter, serves the request. */
static uint64_t request_due_ns(const struct peer_times *times)
{
    if (!__atomic_load_n(&times->initiation_requested, __ATOMIC_SEQ_CST) ||
        times->retry_at_ns != TIME_NEVER_NS)
        return TIME_FOREVER_NS;
    return times->last_initiation_ns == TIME_NEVER_NS ? TIME_NEVER_NS
                                                      : times->last_initiation_ns + REKEY_TIMEOUT_NS;
}

static uint64_t unless_never(uint64_t time_ns)
{
    return time_ns == TIME_NEVER_NS ? TIME_FOREVER_NS : time_ns;
}

static uint64_t next_deadline_ns(const struct peer_times *times)
{
    uint64_t next_ns = earlier(new_handshake_due_ns(times, load_time(&times->unanswered_since_ns)),
                               keepalive_due_ns(load_time(&times->unacknowledged_since_ns)));
    next_ns = earlier(next_ns, persistent_keepalive_due_ns(times));
    next_ns = earlier(next_ns, request_due_ns(times));
    next_ns = earlier(next_ns, unless_never(times->retry_at_ns));
    return earlier(next_ns, unless_never(times->erase_at_ns));
}

/* ---- life ---- */

void timers_init(struct peer_times *times, uint32_t random)
{
    *times =
        (struct peer_times){.scheduled_ns = TIME_FOREVER_NS, .new_handshake_jitter_ns = jitter_ns(random)};
}

static void forget(struct peer_times *times)
{
    store_time(&times->last_sent_ns, TIME_NEVER_NS);
    store_time(&times->last_received_ns, TIME_NEVER_NS);
    store_time(&times->unanswered_since_ns, TIME_NEVER_NS);
    store_time(&times->unacknowledged_since_ns, TIME_NEVER_NS);
    store_time(&times->scheduled_ns, TIME_FOREVER_NS);
    __atomic_store_n(&times->initiation_requested, 0, __ATOMIC_SEQ_CST);
    times->attempts = 0;
    times->last_initiation_ns = TIME_NEVER_NS;
    times->retry_at_ns = TIME_NEVER_NS;
    times->erase_at_ns = TIME_NEVER_NS;
    times->persistent_base_ns = TIME_NEVER_NS;
}

bool timers_start(struct peer_times *times, uint64_t now_ns, bool *keepalive_now)
{
    forget(times);
    __atomic_store_n(&times->running, 1, __ATOMIC_RELAXED);
    *keepalive_now = times->persistent_interval_s != 0;
    times->persistent_base_ns = now_ns;
    return schedule(times, persistent_keepalive_due_ns(times));
}

void timers_stop(struct peer_times *times)
{
    __atomic_store_n(&times->running, 0, __ATOMIC_RELAXED);
    forget(times);
}

bool timers_set_persistent_keepalive(struct peer_times *times, uint16_t interval_s, uint64_t now_ns,
                                     bool *keepalive_now)
{
    *keepalive_now = is_running(times) && times->persistent_interval_s == 0 && interval_s != 0;
    /* Written under the lock, read without it by whoever reports the configuration. */
    __atomic_store_n(&times->persistent_interval_s, interval_s, __ATOMIC_RELAXED);
    if (*keepalive_now)
        times->persistent_base_ns = now_ns;
    return is_running(times) && schedule(times, persistent_keepalive_due_ns(times));
}

/* ---- events ---- */

static void clear_if_set(uint64_t *place)
{
    if (__atomic_load_n(place, __ATOMIC_RELAXED) != TIME_NEVER_NS)
        store_time(place, TIME_NEVER_NS);
}

static bool set_if_clear(uint64_t *place, uint64_t now_ns)
{
    if (__atomic_load_n(place, __ATOMIC_RELAXED) != TIME_NEVER_NS)
        return false;
    store_time(place, now_ns);
    return true;
}

void timers_any_authenticated_sent(struct peer_times *times, uint64_t now_ns)
{
    __atomic_store_n(&times->last_sent_ns, now_ns, __ATOMIC_RELAXED);
    clear_if_set(&times->unacknowledged_since_ns);
}

void timers_any_authenticated_received(struct peer_times *times, uint64_t now_ns)
{
    __atomic_store_n(&times->last_received_ns, now_ns, __ATOMIC_RELAXED);
    clear_if_set(&times->unanswered_since_ns);
}

bool timers_data_sent(struct peer_times *times, uint64_t now_ns)
{
    timers_any_authenticated_sent(times, now_ns);
    return is_running(times) && set_if_clear(&times->unanswered_since_ns, now_ns) &&
           schedule(times, new_handshake_due_ns(times, now_ns));
}

bool timers_data_received(struct peer_times *times, uint64_t now_ns)
{
    timers_any_authenticated_received(times, now_ns);
    return is_running(times) && set_if_clear(&times->unacknowledged_since_ns, now_ns) &&
           schedule(times, keepalive_due_ns(now_ns));
}

bool timers_request_handshake(struct peer_times *times, uint64_t now_ns)
{
    if (!is_running(times) || __atomic_load_n(&times->initiation_requested, __ATOMIC_RELAXED) ||
        __atomic_exchange_n(&times->initiation_requested, 1, __ATOMIC_SEQ_CST))
        return false;
    return schedule(times, now_ns);
}

static bool may_initiate(const struct peer_times *times, uint64_t now_ns)
{
    return times->last_initiation_ns == TIME_NEVER_NS ||
           now_ns >= times->last_initiation_ns + REKEY_TIMEOUT_NS;
}

bool timers_begin_initiation(struct peer_times *times, uint64_t now_ns, uint32_t random)
{
    if (!is_running(times) || !may_initiate(times, now_ns))
        return false;
    if (__atomic_exchange_n(&times->initiation_requested, 0, __ATOMIC_SEQ_CST))
        times->attempts = 0;
    times->attempts++;
    times->last_initiation_ns = now_ns;
    times->retry_at_ns = now_ns + REKEY_TIMEOUT_NS + jitter_ns(random);
    schedule(times, times->retry_at_ns);
    return true;
}

void timers_identity_changed(struct peer_times *times)
{
    times->last_initiation_ns = TIME_NEVER_NS;
    /* A request that failed for want of a key can be made anew; a retry that is due stays. */
    __atomic_store_n(&times->initiation_requested, 0, __ATOMIC_SEQ_CST);
}

bool timers_session_derived(struct peer_times *times, uint64_t now_ns)
{
    times->erase_at_ns = now_ns + ERASE_KEYS_AFTER_NS;
    return is_running(times) && schedule(times, times->erase_at_ns);
}

void timers_handshake_complete(struct peer_times *times, uint32_t random)
{
    times->retry_at_ns = TIME_NEVER_NS;
    times->attempts = 0;
    __atomic_store_n(&times->initiation_requested, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&times->new_handshake_jitter_ns, jitter_ns(random), __ATOMIC_RELAXED);
}

/* ---- the policy ---- */

/* Clears a stored time that was judged due, unless a verb has replaced it meanwhile. */
static void consume(uint64_t *place, uint64_t judged_ns)
{
    __atomic_compare_exchange_n(place, &judged_ns, TIME_NEVER_NS, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Retry or first attempt: the next look at it does not depend on the caller's acting. */
static uint32_t initiate(struct peer_times *times, uint64_t now_ns, uint32_t random)
{
    times->retry_at_ns = now_ns + REKEY_TIMEOUT_NS + jitter_ns(random);
    return TIMER_SEND_INITIATION;
}

static uint32_t evaluate_handshake(struct peer_times *times, uint64_t now_ns, uint32_t random)
{
    uint32_t actions = 0;
    uint64_t unanswered_since_ns = load_time(&times->unanswered_since_ns);
    if (new_handshake_due_ns(times, unanswered_since_ns) <= now_ns) {
        consume(&times->unanswered_since_ns, unanswered_since_ns);
        __atomic_store_n(&times->initiation_requested, 1, __ATOMIC_SEQ_CST);
        actions |= TIMER_FORGET_SOURCE;
    }
    if (unless_never(times->retry_at_ns) <= now_ns) {
        actions |= TIMER_FORGET_SOURCE;
        bool renewed = __atomic_load_n(&times->initiation_requested, __ATOMIC_SEQ_CST);
        if (times->attempts < HANDSHAKE_ATTEMPTS_MAX || renewed)
            return actions | initiate(times, now_ns, random);
        times->retry_at_ns = TIME_NEVER_NS;
        store_time(&times->unacknowledged_since_ns, TIME_NEVER_NS);
        if (times->erase_at_ns == TIME_NEVER_NS)
            times->erase_at_ns = now_ns + ERASE_KEYS_AFTER_NS;
        return actions | TIMER_GIVE_UP;
    }
    if (request_due_ns(times) <= now_ns)
        actions |= initiate(times, now_ns, random);
    return actions;
}

static uint32_t evaluate_keepalive(struct peer_times *times, uint64_t now_ns)
{
    uint32_t actions = 0;
    uint64_t unacknowledged_since_ns = load_time(&times->unacknowledged_since_ns);
    if (keepalive_due_ns(unacknowledged_since_ns) <= now_ns) {
        consume(&times->unacknowledged_since_ns, unacknowledged_since_ns);
        actions |= TIMER_SEND_KEEPALIVE;
    }
    if (persistent_keepalive_due_ns(times) <= now_ns) {
        times->persistent_base_ns = now_ns;
        actions |= TIMER_SEND_KEEPALIVE;
    }
    return actions;
}

void timers_evaluate(struct peer_times *times, uint64_t now_ns, uint32_t random,
                     struct timer_decision *decision)
{
    *decision = (struct timer_decision){.next_ns = TIME_FOREVER_NS};
    store_time(&times->scheduled_ns, TIME_FOREVER_NS);
    if (!is_running(times))
        return;

    decision->attempts = times->attempts;
    decision->actions = evaluate_handshake(times, now_ns, random);
    decision->actions |= evaluate_keepalive(times, now_ns);
    if (unless_never(times->erase_at_ns) <= now_ns) {
        times->erase_at_ns = TIME_NEVER_NS;
        decision->actions |= TIMER_ERASE_KEYS;
    }
    schedule(times, next_deadline_ns(times));
    decision->next_ns = load_time(&times->scheduled_ns);
}

uint64_t timers_scheduled_ns(const struct peer_times *times)
{
    return load_time(&times->scheduled_ns);
}
