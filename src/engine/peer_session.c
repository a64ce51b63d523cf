/* A peer's sessions: their place among the receiver indexes, and the rotation that protocol/session_set.h
 * decides. */
#include "peer.h"

#include <stddef.h>
#include <stdlib.h>

_Static_assert(offsetof(struct session_object, session) == 0, "one is the other");

static struct session_object *object_of(struct session *session)
{
    return (struct session_object *)session;
}

/* Nobody finds an evicted session any more; a batch that has it may still look at it. */
static void bury(struct engine *engine, const struct session_evictions *evictions)
{
    for (uint32_t i = 0; i < evictions->count; i++) {
        struct session_object *object = object_of(evictions->sessions[i]);
        engine_index_remove(engine, object->session.local_index);
        object->next_dead = engine->dead_sessions;
        engine->dead_sessions = object;
    }
}

void engine_reap(struct engine *engine)
{
    while (engine->dead_sessions) {
        struct session_object *object = engine->dead_sessions;
        engine->dead_sessions = object->next_dead;
        session_wipe(&object->session);
        free(object);
    }
}

bool peer_begin_session(struct peer *peer, uint64_t now_ns)
{
    struct session_evictions evictions = {0};
    struct session_object *object = calloc(1, sizeof(*object));
    if (!object)
        return false;
    object->peer = peer;
    if (handshake_begin_session(&peer->handshake, &object->session, now_ns) != HANDSHAKE_OK) {
        free(object);
        return false;
    }
    index_table_replace(&peer->engine->indexes, object->session.local_index, object, INDEX_KIND_SESSION);
    session_set_add(&peer->sessions, &object->session, &evictions);
    bury(peer->engine, &evictions);
    if (timers_session_derived(&peer->times, now_ns))
        peer_timers_reschedule(peer);
    return true;
}

bool peer_confirm_session(struct peer *peer, struct session_object *object)
{
    struct session_evictions evictions = {0};
    if (session_set_next(&peer->sessions) != &object->session)
        return false;
    bool rotated = session_set_confirm(&peer->sessions, &object->session, &evictions);
    bury(peer->engine, &evictions);
    return rotated;
}

struct session_object *peer_current_session(struct peer *peer, uint64_t now_ns)
{
    struct session *session = session_set_current(&peer->sessions);
    return session && session_may_send(session, now_ns) ? object_of(session) : NULL;
}

void peer_erase_sessions(struct peer *peer)
{
    struct session_evictions evictions = {0};
    session_set_clear(&peer->sessions, &evictions);
    bury(peer->engine, &evictions);
}

void peer_expire_sessions(struct peer *peer)
{
    struct session_evictions evictions = {0};
    session_set_expire(&peer->sessions, &evictions);
    bury(peer->engine, &evictions);
}
