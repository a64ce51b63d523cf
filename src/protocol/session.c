/* A session's keys, nonces and age. */
#include "protocol/session.h"
#include "crypto/secure_memory.h"

/* Below this distance from the limit, nonces are taken by compare-exchange, so that the counter can never run
 * past the limit and wrap, however many processors keep trying. */
#define NONCE_FAST_PATH_LIMIT (REJECT_AFTER_MESSAGES - (UINT64_C(1) << 40))

void session_init(struct session *session, const uint8_t send_key[SESSION_KEY_BYTES],
                  const uint8_t receive_key[SESSION_KEY_BYTES], uint32_t local_index, uint32_t remote_index,
                  bool is_initiator, uint64_t now_ns)
{
    __builtin_memcpy(session->send_key, send_key, SESSION_KEY_BYTES);
    __builtin_memcpy(session->receive_key, receive_key, SESSION_KEY_BYTES);
    session->birth_ns = now_ns;
    session->local_index = local_index;
    session->remote_index = remote_index;
    session->is_initiator = is_initiator;
    session->sending_stopped = 0;
    session->receiving_stopped = 0;
    session->refresh_on_receive_done = 0;
    session->send_counter = 0;
    replay_window_init(&session->window);
}

void session_wipe(struct session *session)
{
    secure_zero(session, sizeof(*session));
    session->sending_stopped = 1;
    session->receiving_stopped = 1;
}

bool session_reserve_nonces(struct session *session, uint32_t count, uint64_t *first)
{
    uint64_t counter = __atomic_load_n(&session->send_counter, __ATOMIC_RELAXED);
    if (counter < NONCE_FAST_PATH_LIMIT) {
        *first = __atomic_fetch_add(&session->send_counter, count, __ATOMIC_RELAXED);
        return true;
    }
    do {
        if (counter > REJECT_AFTER_MESSAGES || count > REJECT_AFTER_MESSAGES - counter)
            return false;
    } while (!__atomic_compare_exchange_n(&session->send_counter, &counter, counter + count, false,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    *first = counter;
    return true;
}

/* 0 for a session born "later": another CPU's clock reading may be a little ahead. */
static uint64_t age_ns(const struct session *session, uint64_t now_ns)
{
    return now_ns > session->birth_ns ? now_ns - session->birth_ns : 0;
}

bool session_may_send(const struct session *session, uint64_t now_ns)
{
    return !__atomic_load_n(&session->sending_stopped, __ATOMIC_RELAXED) &&
           age_ns(session, now_ns) < REJECT_AFTER_TIME_NS &&
           __atomic_load_n(&session->send_counter, __ATOMIC_RELAXED) < REJECT_AFTER_MESSAGES;
}

bool session_may_receive(const struct session *session, uint64_t now_ns)
{
    return !__atomic_load_n(&session->receiving_stopped, __ATOMIC_RELAXED) &&
           age_ns(session, now_ns) < REJECT_AFTER_TIME_NS;
}

bool session_accept_counter(struct session *session, uint64_t counter)
{
    return replay_window_accept(&session->window, counter);
}

bool session_wants_rekey_on_send(const struct session *session, uint64_t now_ns)
{
    return (session->is_initiator && age_ns(session, now_ns) >= REKEY_AFTER_TIME_NS) ||
           __atomic_load_n(&session->send_counter, __ATOMIC_RELAXED) > REKEY_AFTER_MESSAGES;
}

bool session_wants_rekey_on_receive(struct session *session, uint64_t now_ns)
{
    if (!session->is_initiator || age_ns(session, now_ns) < REKEY_ON_RECEIVE_AFTER_NS ||
        __atomic_load_n(&session->refresh_on_receive_done, __ATOMIC_RELAXED))
        return false;
    return !__atomic_exchange_n(&session->refresh_on_receive_done, 1, __ATOMIC_RELAXED);
}

void session_stop_sending(struct session *session)
{
    __atomic_store_n(&session->sending_stopped, 1, __ATOMIC_RELAXED);
}

void session_stop(struct session *session)
{
    session_stop_sending(session);
    __atomic_store_n(&session->receiving_stopped, 1, __ATOMIC_RELAXED);
}
