/* The timer policy, case by case: what is due when, and that every deadline is announced. */
#include "protocol/timer_policy.h"
#include "support.h"

#define T0 TEST_NOW_NS
#define S  NS_PER_SECOND

static struct timer_decision evaluate(struct peer_times *times, uint64_t now_ns)
{
    struct timer_decision decision;
    timers_evaluate(times, now_ns, 0, &decision);
    CHECK(decision.next_ns == timers_scheduled_ns(times));
    CHECK(decision.next_ns > now_ns);
    return decision;
}

static void start(struct peer_times *times)
{
    bool keepalive_now;
    timers_init(times, 0);
    CHECK(timers_scheduled_ns(times) == TIME_FOREVER_NS);
    CHECK(!timers_start(times, T0, &keepalive_now) && !keepalive_now);
    CHECK(evaluate(times, T0).next_ns == TIME_FOREVER_NS);
}

/* Nothing is due at `at_ns` - 1, and `actions` at `at_ns`. */
static struct timer_decision expect_at(struct peer_times *times, uint64_t at_ns, uint32_t actions)
{
    CHECK_MSG(timers_scheduled_ns(times) == at_ns, "scheduled %.3f s, expected %.3f s",
              (double)(timers_scheduled_ns(times) - T0) / 1e9, (double)(at_ns - T0) / 1e9);
    struct timer_decision early = evaluate(times, at_ns - 1);
    CHECK(early.actions == 0 && early.next_ns == at_ns);
    struct timer_decision decision = evaluate(times, at_ns);
    CHECK_MSG(decision.actions == actions, "actions %#x, expected %#x", decision.actions, actions);
    CHECK(evaluate(times, at_ns).actions == 0); /* said once */
    return decision;
}

static void test_down(void)
{
    struct peer_times t;
    bool now;
    timers_init(&t, 5);
    CHECK(!timers_data_sent(&t, T0) && !timers_data_received(&t, T0) && !timers_request_handshake(&t, T0));
    CHECK(!timers_begin_initiation(&t, T0, 0) && !timers_session_derived(&t, T0));
    CHECK(!timers_set_persistent_keepalive(&t, 25, T0, &now) && !now);
    CHECK(evaluate(&t, T0 + 1000 * S).actions == 0);
    /* up again: all of that is forgotten, except the setting */
    CHECK(timers_start(&t, T0 + S, &now) && now);
    CHECK(timers_scheduled_ns(&t) == T0 + 26 * S);
    timers_stop(&t);
    CHECK(timers_scheduled_ns(&t) == TIME_FOREVER_NS && evaluate(&t, T0 + 100 * S).actions == 0);
}

static void test_identity_changed(void)
{
    struct peer_times t;
    start(&t);
    CHECK(timers_begin_initiation(&t, T0, 0));
    CHECK(!timers_begin_initiation(&t, T0 + S, 0));
    timers_identity_changed(&t);
    CHECK(timers_begin_initiation(&t, T0 + S, 0));
    CHECK(!timers_begin_initiation(&t, T0 + 2 * S, 0)); /* once */
    /* asked for, and not answered because there is no key: can be asked for again */
    evaluate(&t, T0 + 2 * S);
    CHECK(timers_request_handshake(&t, T0 + 2 * S));
    evaluate(&t, T0 + 2 * S);
    CHECK(!timers_request_handshake(&t, T0 + 3 * S));
    timers_identity_changed(&t);
    CHECK(timers_request_handshake(&t, T0 + 3 * S) && timers_begin_initiation(&t, T0 + 3 * S, 0));
}

static void test_passive_keepalive(void)
{
    struct peer_times t;
    start(&t);
    CHECK(timers_data_received(&t, T0) && timers_scheduled_ns(&t) == T0 + 10 * S);
    CHECK(!timers_data_received(&t, T0 + 9 * S));
    expect_at(&t, T0 + 10 * S, TIMER_SEND_KEEPALIVE);
    timers_any_authenticated_sent(&t, T0 + 10 * S);
    CHECK(timers_scheduled_ns(&t) == TIME_FOREVER_NS);
    /* answered in time: nothing */
    CHECK(timers_data_received(&t, T0 + 20 * S));
    timers_any_authenticated_sent(&t, T0 + 22 * S);
    CHECK(evaluate(&t, T0 + 30 * S).actions == 0);
    /* and answered, then received again: counted from then */
    CHECK(timers_data_received(&t, T0 + 40 * S));
    timers_any_authenticated_sent(&t, T0 + 41 * S);
    CHECK(!timers_data_received(&t, T0 + 42 * S)); /* the wheel comes by earlier anyway */
    CHECK(evaluate(&t, T0 + 50 * S).next_ns == T0 + 52 * S);
    expect_at(&t, T0 + 52 * S, TIMER_SEND_KEEPALIVE);
    /* a received keepalive asks for no keepalive */
    timers_any_authenticated_sent(&t, T0 + 52 * S);
    timers_any_authenticated_received(&t, T0 + 60 * S);
    CHECK(evaluate(&t, T0 + 200 * S).actions == 0);
}

static void test_new_handshake(void)
{
    struct peer_times t;
    start(&t);
    CHECK(timers_data_sent(&t, T0) && timers_scheduled_ns(&t) == T0 + 15 * S);
    CHECK(!timers_data_sent(&t, T0 + 14 * S));
    expect_at(&t, T0 + 15 * S, TIMER_SEND_INITIATION | TIMER_FORGET_SOURCE);
    /* answered */
    start(&t);
    CHECK(timers_data_sent(&t, T0));
    timers_any_authenticated_received(&t, T0 + 3 * S);
    CHECK(!timers_data_sent(&t, T0 + 4 * S));
    CHECK(evaluate(&t, T0 + 15 * S).next_ns == T0 + 19 * S);
    expect_at(&t, T0 + 19 * S, TIMER_SEND_INITIATION | TIMER_FORGET_SOURCE);
    /* keepalives and handshakes sent need no answer */
    start(&t);
    timers_any_authenticated_sent(&t, T0);
    CHECK(timers_scheduled_ns(&t) == TIME_FOREVER_NS);
    /* jitter: up to a third of a second, the whole of it */
    struct timer_decision decision;
    for (int i = 0; i < 3; i++) {
        static const uint32_t randoms[] = {0, 0x80000000, 0xffffffff};
        static const uint64_t jitters[] = {0, 166666666, 333333332};
        start(&t);
        timers_handshake_complete(&t, randoms[i]);
        CHECK(timers_data_sent(&t, T0) && timers_scheduled_ns(&t) == T0 + 15 * S + jitters[i]);
        start(&t);
        CHECK(timers_begin_initiation(&t, T0, randoms[i]) &&
              timers_scheduled_ns(&t) == T0 + 5 * S + jitters[i]);
        timers_evaluate(&t, T0 + 6 * S, randoms[i], &decision);
        CHECK(decision.actions == (TIMER_SEND_INITIATION | TIMER_FORGET_SOURCE));
        CHECK(decision.next_ns == T0 + 11 * S + jitters[i]);
    }
    /* while a handshake is under way its retry is enough */
    start(&t);
    CHECK(timers_data_sent(&t, T0));
    CHECK(timers_begin_initiation(&t, T0 + 12 * S, 0));
    struct timer_decision at15 = evaluate(&t, T0 + 15 * S);
    CHECK(at15.actions == TIMER_FORGET_SOURCE && at15.next_ns == T0 + 17 * S);
}

static void test_request(void)
{
    struct peer_times t;
    start(&t);
    CHECK(timers_request_handshake(&t, T0) && timers_scheduled_ns(&t) == T0);
    CHECK(!timers_request_handshake(&t, T0 + 1)); /* once is enough */
    CHECK(evaluate(&t, T0 + 2).actions == TIMER_SEND_INITIATION);
    CHECK(timers_begin_initiation(&t, T0 + 2, 0));
    /* again at once: not before REKEY_TIMEOUT */
    CHECK(timers_request_handshake(&t, T0 + 3));
    struct timer_decision again = evaluate(&t, T0 + 3);
    CHECK(again.actions == 0 && again.next_ns == T0 + 2 + 5 * S);
    CHECK(!timers_begin_initiation(&t, T0 + 5 * S + 1, 0));
    timers_handshake_complete(&t, 0);
    CHECK(evaluate(&t, T0 + 6 * S).next_ns == TIME_FOREVER_NS);
    /* complete, and a new one wanted soon after: remembered until it may be sent */
    CHECK(timers_request_handshake(&t, T0 + 10 * S));
    CHECK(evaluate(&t, T0 + 10 * S).actions == TIMER_SEND_INITIATION);
    CHECK(timers_begin_initiation(&t, T0 + 10 * S, 0));
    timers_handshake_complete(&t, 0);
    CHECK(timers_request_handshake(&t, T0 + 11 * S));
    CHECK(evaluate(&t, T0 + 11 * S).next_ns == T0 + 15 * S);
    expect_at(&t, T0 + 15 * S, TIMER_SEND_INITIATION);
    /* a caller who does not act is reminded later, not at once */
    CHECK(timers_scheduled_ns(&t) == T0 + 20 * S);
}

static void test_retries_and_give_up(void)
{
    struct peer_times t;
    start(&t);
    uint64_t at_ns = T0;
    CHECK(timers_request_handshake(&t, at_ns));
    CHECK(evaluate(&t, at_ns).actions == TIMER_SEND_INITIATION);
    CHECK(timers_begin_initiation(&t, at_ns, 0));
    for (uint32_t attempt = 2; attempt <= 20; attempt++) {
        at_ns += 5 * S;
        struct timer_decision d = expect_at(&t, at_ns, TIMER_SEND_INITIATION | TIMER_FORGET_SOURCE);
        CHECK(d.attempts == attempt - 1);
        CHECK(timers_begin_initiation(&t, at_ns, 0));
    }
    timers_data_received(&t, at_ns); /* cannot be, but must not outlive giving up */
    at_ns += 5 * S;
    struct timer_decision d = expect_at(&t, at_ns, TIMER_GIVE_UP | TIMER_FORGET_SOURCE);
    CHECK(d.attempts == 20 && at_ns - T0 == 100 * S);
    /* what there is of keys goes 540 s later */
    expect_at(&t, at_ns + 540 * S, TIMER_ERASE_KEYS);
    CHECK(timers_scheduled_ns(&t) == TIME_FOREVER_NS);
    /* new data starts anew, with all attempts */
    at_ns += 600 * S;
    CHECK(timers_request_handshake(&t, at_ns) && evaluate(&t, at_ns).actions == TIMER_SEND_INITIATION);
    CHECK(timers_begin_initiation(&t, at_ns, 0));
    CHECK(expect_at(&t, at_ns + 5 * S, TIMER_SEND_INITIATION | TIMER_FORGET_SOURCE).attempts == 1);

    /* data all the time: never given up */
    start(&t);
    uint32_t initiations = 0, given_up = 0;
    for (uint64_t tick = 0; tick < 3000; tick++) {
        at_ns = T0 + tick * S / 10;
        timers_request_handshake(&t, at_ns);
        struct timer_decision decision;
        timers_evaluate(&t, at_ns, 0x7fffffff, &decision);
        given_up += !!(decision.actions & TIMER_GIVE_UP);
        if (decision.actions & TIMER_SEND_INITIATION)
            initiations += timers_begin_initiation(&t, at_ns, 0x7fffffff);
    }
    CHECK(given_up == 0 && initiations >= 300 / 6 && initiations <= 300 / 5);
}

static void test_erase(void)
{
    struct peer_times t;
    start(&t);
    CHECK(timers_session_derived(&t, T0) && timers_scheduled_ns(&t) == T0 + 540 * S);
    CHECK(!timers_session_derived(&t, T0 + 120 * S)); /* later is no news for the wheel */
    CHECK(evaluate(&t, T0 + 540 * S).actions == 0);
    expect_at(&t, T0 + 660 * S, TIMER_ERASE_KEYS);
    CHECK(timers_scheduled_ns(&t) == TIME_FOREVER_NS);
    /* giving up does not put it off */
    start(&t);
    timers_session_derived(&t, T0);
    for (int i = 0; i < 20; i++)
        CHECK(timers_begin_initiation(&t, T0 + (uint64_t)i * 6 * S, 0));
    CHECK(evaluate(&t, T0 + 119 * S).actions == (TIMER_GIVE_UP | TIMER_FORGET_SOURCE));
    expect_at(&t, T0 + 540 * S, TIMER_ERASE_KEYS);
}

static void test_persistent(void)
{
    struct peer_times t;
    bool now;
    start(&t);
    CHECK(timers_set_persistent_keepalive(&t, 25, T0, &now) && now && timers_scheduled_ns(&t) == T0 + 25 * S);
    timers_any_authenticated_sent(&t, T0);
    expect_at(&t, T0 + 25 * S, TIMER_SEND_KEEPALIVE);
    /* whoever does not manage to send is asked again an interval later */
    expect_at(&t, T0 + 50 * S, TIMER_SEND_KEEPALIVE);
    /* traffic in either direction puts it off */
    timers_any_authenticated_sent(&t, T0 + 60 * S);
    CHECK(evaluate(&t, T0 + 75 * S).next_ns == T0 + 85 * S);
    timers_any_authenticated_received(&t, T0 + 84 * S);
    CHECK(evaluate(&t, T0 + 85 * S).next_ns == T0 + 109 * S);
    expect_at(&t, T0 + 109 * S, TIMER_SEND_KEEPALIVE);
    /* another value: no keepalive at once; a shorter one is scheduled anew */
    CHECK(timers_set_persistent_keepalive(&t, 5, T0 + 110 * S, &now) && !now);
    expect_at(&t, T0 + 114 * S, TIMER_SEND_KEEPALIVE);
    CHECK(!timers_set_persistent_keepalive(&t, 65535, T0 + 115 * S, &now) && !now);
    CHECK(evaluate(&t, T0 + 119 * S).next_ns == T0 + 114 * S + 65535 * S);
    CHECK(!timers_set_persistent_keepalive(&t, 0, T0 + 120 * S, &now) && !now);
    CHECK(evaluate(&t, T0 + 100000 * S).actions == 0);
    CHECK(timers_scheduled_ns(&t) == TIME_FOREVER_NS);
}

int main(void)
{
    test_down();
    test_identity_changed();
    test_passive_keepalive();
    test_new_handshake();
    test_request();
    test_retries_and_give_up();
    test_erase();
    test_persistent();
    return check_summary();
}
