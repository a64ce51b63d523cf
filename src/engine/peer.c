/* Peers of the engine and their table by public key, keyed so that nobody can choose keys that share a
 * bucket. */
#include "peer.h"

#include "crypto/secure_memory.h"
#include "system.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 64

bool peer_table_create(struct peer_table *table)
{
    system_random(table->key, sizeof(table->key));
    table->count = BUCKETS_FIRST;
    table->heads = calloc(table->count, sizeof(struct peer *));
    return table->heads != NULL;
}

void peer_table_free(struct peer_table *table)
{
    free(table->heads);
    table->heads = NULL;
}

static struct peer **bucket_of(const struct peer_table *table, const uint8_t public_key[PUBLIC_KEY_BYTES])
{
    return &table->heads[siphash24(table->key, public_key, PUBLIC_KEY_BYTES) & (table->count - 1)];
}

/* Twice as many buckets; without memory the chains only become longer. */
static void grow(struct engine *engine)
{
    struct peer_table larger = engine->table;
    larger.count *= 2;
    larger.heads = calloc(larger.count, sizeof(struct peer *));
    if (!larger.heads)
        return;
    for (struct peer *peer = engine->peers; peer; peer = peer->next) {
        struct peer **head = bucket_of(&larger, peer->handshake.remote_static);
        peer->next_in_bucket = *head;
        *head = peer;
    }
    peer_table_free(&engine->table);
    engine->table = larger;
}

struct peer *peer_find(const struct engine *engine, const uint8_t public_key[PUBLIC_KEY_BYTES])
{
    struct peer *peer = *bucket_of(&engine->table, public_key);
    while (peer && memcmp(peer->handshake.remote_static, public_key, PUBLIC_KEY_BYTES) != 0)
        peer = peer->next_in_bucket;
    return peer;
}

struct peer *peer_add(struct engine *engine, const uint8_t public_key[PUBLIC_KEY_BYTES])
{
    struct peer *peer =
        timer_heap_reserve(&engine->timers, engine->peer_count + 1) ? calloc(1, sizeof(*peer)) : NULL;
    struct identity none;
    if (!peer)
        return NULL;
    identity_init(&none);
    if (engine->peer_count >= engine->table.count)
        grow(engine);
    peer->engine = engine;
    handshake_init(&peer->handshake, &none, public_key);
    cookie_maker_init(&peer->cookie, public_key);
    session_set_init(&peer->sessions);
    allowed_ips_peer_init(&peer->allowed);
    timers_init(&peer->times, system_jitter());

    struct peer **head = bucket_of(&engine->table, public_key);
    peer->next_in_bucket = *head;
    *head = peer;
    peer->previous = engine->last_peer;
    *(engine->last_peer ? &engine->last_peer->next : &engine->peers) = peer;
    engine->last_peer = peer;
    engine->peer_count++;
    if (engine->up)
        peer_timers_start(peer);
    return peer;
}

void peer_follow_identity(struct peer *peer)
{
    struct engine *engine = peer->engine;
    if (peer->identity_generation == engine->identity_generation)
        return;
    peer->identity_generation = engine->identity_generation;
    engine_index_remove(engine, handshake_set_identity(&peer->handshake, &engine->identity));
}

void peer_identity_changed(struct peer *peer)
{
    struct identity none;
    identity_init(&none);
    peer->identity_generation = 0;
    engine_index_remove(peer->engine, handshake_set_identity(&peer->handshake, &none));
    peer_expire_sessions(peer);
    timers_identity_changed(&peer->times);
}

void peer_erase_keys(struct peer *peer)
{
    peer_erase_sessions(peer);
    engine_index_remove(peer->engine, handshake_clear(&peer->handshake));
}

void peer_remove(struct peer *peer)
{
    struct engine *engine = peer->engine;
    struct peer **link = bucket_of(&engine->table, peer->handshake.remote_static);
    while (*link != peer)
        link = &(*link)->next_in_bucket;
    *link = peer->next_in_bucket;
    *(peer->previous ? &peer->previous->next : &engine->peers) = peer->next;
    *(peer->next ? &peer->next->previous : &engine->last_peer) = peer->previous;
    engine->peer_count--;

    peer_timers_stop(peer);
    allowed_ips_remove_by_peer(&engine->allowed_ips, &peer->allowed);
    peer_purge_staged(peer);
    peer_erase_sessions(peer);
    engine_index_remove(engine, handshake_destroy(&peer->handshake));
    cookie_maker_wipe(&peer->cookie);
    secure_zero(peer, sizeof(*peer));
    free(peer);
}
