/* Rotation of a peer's three sessions.  Stores are ordered so that a lock-free reader of `current` never
 * finds it empty in the middle of a rotation. */
#include "protocol/session_set.h"
#include <stddef.h>

static void evict(struct session_evictions *evictions, struct session *session)
{
    if (session)
        evictions->sessions[evictions->count++] = session;
}

static void put(struct session **place, struct session *session)
{
    __atomic_store_n(place, session, __ATOMIC_RELEASE);
}

void session_set_init(struct session_set *set)
{
    *set = (struct session_set){0};
}

void session_set_add(struct session_set *set, struct session *session, struct session_evictions *evictions)
{
    evictions->count = 0;
    evict(evictions, set->previous);
    if (!session->is_initiator) {
        evict(evictions, set->next);
        put(&set->next, session);
        put(&set->previous, NULL);
        return;
    }
    if (set->next) {
        /* The peer may already be sending on the unconfirmed session: it must stay able to come in. */
        evict(evictions, set->current);
        put(&set->previous, set->next);
        put(&set->next, NULL);
    } else {
        put(&set->previous, set->current);
    }
    put(&set->current, session);
}

bool session_set_confirm(struct session_set *set, struct session *session,
                         struct session_evictions *evictions)
{
    evictions->count = 0;
    if (set->next != session || !session)
        return false;
    evict(evictions, set->previous);
    put(&set->previous, set->current);
    put(&set->current, session);
    put(&set->next, NULL);
    return true;
}

void session_set_clear(struct session_set *set, struct session_evictions *evictions)
{
    evictions->count = 0;
    evict(evictions, set->previous);
    evict(evictions, set->current);
    evict(evictions, set->next);
    put(&set->previous, NULL);
    put(&set->current, NULL);
    put(&set->next, NULL);
}

void session_set_expire(struct session_set *set, struct session_evictions *evictions)
{
    evictions->count = 0;
    evict(evictions, set->next);
    put(&set->next, NULL);
    if (set->current)
        session_stop_sending(set->current);
}

struct session *session_set_current(const struct session_set *set)
{
    return __atomic_load_n(&set->current, __ATOMIC_ACQUIRE);
}

struct session *session_set_next(const struct session_set *set)
{
    return __atomic_load_n(&set->next, __ATOMIC_ACQUIRE);
}

struct session *session_set_previous(const struct session_set *set)
{
    return __atomic_load_n(&set->previous, __ATOMIC_ACQUIRE);
}
