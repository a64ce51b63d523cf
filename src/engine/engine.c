/* See engine.h: the engine's life, its sockets, and the interface's state in the system. */
#include "engine.h"

#include "handshake_work.h"
#include "peer.h"
#include "receive.h"
#include "sched/sched.h"
#include "system.h"
#include "transmit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_SLOTS_FIRST 64
#define PORT_ATTEMPTS     16
#define IFF_UP_           1u /* <net/if.h>, whose names clash with the edge's */

/* ---- memory of the tables ---- */

static void *allocate(void *context, size_t size)
{
    return malloc(size);
}

/* Nobody looks anything up while the configuration is changed. */
static void free_deferred(void *context, void *block, size_t size)
{
    free(block);
}

static bool indexes_create(struct engine *engine)
{
    uint8_t key[INDEX_KEY_BYTES];
    void *slots = malloc(index_table_memory_bytes(INDEX_SLOTS_FIRST));
    if (!slots)
        return false;
    system_random(key, sizeof(key));
    return index_table_init(&engine->indexes, slots, INDEX_SLOTS_FIRST, key);
}

static void indexes_destroy(struct engine *engine)
{
    void *slots;
    size_t bytes;
    for (uint32_t n = 0; (slots = index_table_memory(&engine->indexes, n, &bytes)); n++)
        free(slots);
}

uint32_t engine_index_insert(struct engine *engine, void *object, enum index_kind kind)
{
    uint32_t index = index_table_insert(&engine->indexes, object, kind);
    if (index != INDEX_NONE)
        return index;
    uint32_t capacity = index_table_capacity(&engine->indexes);
    size_t bytes = index_table_memory_bytes(capacity * 2) / 2;
    void *slots = bytes ? malloc(bytes) : NULL;
    if (!slots)
        return INDEX_NONE;
    index_table_prepare(slots, capacity);
    index_table_grow(&engine->indexes, slots, capacity);
    return index_table_insert(&engine->indexes, object, kind);
}

void engine_index_remove(struct engine *engine, uint32_t index)
{
    index_table_remove(&engine->indexes, index);
}

/* ---- sockets ---- */

static void sockets_close(struct udp_socket *sockets[2])
{
    for (unsigned i = 0; i < 2; i++) {
        udp_close(sockets[i]);
        sockets[i] = NULL;
    }
}

/* IPv4 first, then IPv6 on the same port. */
static int sockets_bind(struct engine *engine, uint16_t port, struct udp_socket *sockets[2], uint16_t *bound)
{
    int error = 0;
    for (unsigned i = 0; i < 2 && !error; i++) {
        struct udp_address local = {.family = i ? 6 : 4, .port = __builtin_bswap16(port)};
        error = udp_open(local.family, true, receive_datagrams, engine, &sockets[i]);
        if (error == -EAFNOSUPPORT && i) /* a system without IPv6 */
            return 0;
        if (!error)
            error = udp_bind(sockets[i], &local);
        if (error == -EADDRNOTAVAIL && i) { /* it is switched off */
            udp_close(sockets[i]);
            sockets[i] = NULL;
            return 0;
        }
        if (!error)
            error = udp_local(sockets[i], &local);
        port = *bound = __builtin_bswap16(local.port);
    }
    return error;
}

int engine_sockets_open(struct engine *engine, uint16_t port)
{
    struct udp_socket *sockets[2] = {NULL, NULL};
    uint16_t bound = 0;
    int error = -EADDRINUSE;
    /* Any port that is free for IPv4 may be taken for IPv6: then another. */
    for (unsigned i = 0; i < (port ? 1 : PORT_ATTEMPTS) && error == -EADDRINUSE; i++) {
        sockets_close(sockets);
        error = sockets_bind(engine, port, sockets, &bound);
    }
    if (error) {
        sockets_close(sockets);
        return error;
    }
    transmit_drop_waiting(engine);
    sockets_close(engine->sockets);
    memcpy(engine->sockets, sockets, sizeof(sockets));
    engine->listen_port = bound;
    return 0;
}

/* ---- up and down ---- */

int engine_come_up(struct engine *engine, uint16_t port)
{
    int error = engine_sockets_open(engine, port);
    if (error) {
        log_error("cannot listen on UDP port %u: %s; choose another with `wg set ... listen-port`", port,
                  strerror(-error));
        return error;
    }
    engine->up = true;
    log_info("up on port %u", engine->listen_port);
    for (struct peer *peer = engine->peers; peer; peer = peer->next) {
        peer_timers_start(peer);
        transmit_staged(peer);
    }
    return 0;
}

static void go_down(struct engine *engine)
{
    engine->up = false;
    transmit_drop_waiting(engine);
    sockets_close(engine->sockets);
    handshake_queue_clear(engine->handshakes);
    for (struct peer *peer = engine->peers; peer; peer = peer->next) {
        peer_timers_stop(peer);
        peer_purge_staged(peer);
        peer_erase_keys(peer);
        endpoint_forget_source(&peer->endpoint);
    }
    log_info("down");
    drops_log(&engine->drops);
}

void engine_set_up(struct engine *engine, bool up)
{
    engine->link_up = up;
    if (up && !engine->up)
        engine_come_up(engine, engine->listen_port); /* said what is wrong; a set of the port tries again */
    else if (!up && engine->up)
        go_down(engine);
    engine_reap(engine);
}

/* ---- the system's view of the interface ---- */

/* The interface as it now is; when it is gone, the engine goes. */
static void look_at_interface(struct engine *engine)
{
    struct interface_entry *entries;
    int count = net_interfaces(&entries);
    if (count < 0) {
        log_error("the interface's state cannot be read: %s", strerror(-count));
        return;
    }
    const struct interface_entry *ours = NULL;
    for (int i = 0; i < count && !ours; i++)
        if (entries[i].ifindex == engine->ifindex)
            ours = &entries[i];
    if (ours) {
        engine->mtu = ours->mtu;
        engine_set_up(engine, ours->flags & IFF_UP_);
    } else if (tun_set_link(engine->tun, true) != 0) {
        log_info("the interface was deleted");
        loop_stop();
    } else { /* it was moved to another namespace, where its state cannot be seen: the tunnel serves it */
        engine_set_up(engine, true);
    }
    free(entries);
}

static void system_changed(void *context, unsigned mask, uint32_t ifindex)
{
    struct engine *engine = context;
    if ((mask & NET_CHANGED_LINK) && (ifindex == 0 || ifindex == engine->ifindex))
        look_at_interface(engine);
    if (ifindex == engine->ifindex)
        return;
    /* Another way may lead to the peers now: the system chooses. */
    for (struct peer *peer = engine->peers; peer; peer = peer->next)
        endpoint_forget_source(&peer->endpoint);
}

/* ---- timers ---- */

uint64_t engine_next_due_ns(const struct engine *engine)
{
    const struct timer_entry *first = timer_heap_first(&engine->timers);
    uint64_t timer_ns = first ? first->due_ns : TIME_FOREVER_NS,
             handshake_ns = handshake_due_ns(engine->handshakes);
    return timer_ns < handshake_ns ? timer_ns : handshake_ns;
}

void engine_expire(struct engine *engine)
{
    handshake_run_due(engine);
    peer_timers_run(engine);
}

static struct engine *timed;

static uint64_t timers_next(void)
{
    return engine_next_due_ns(timed);
}

static void timers_expire(void)
{
    engine_expire(timed);
}

/* ---- life ---- */

static bool make_tables(struct engine *engine)
{
    identity_init(&engine->identity);
    cookie_checker_init(&engine->cookie_checker);
    under_load_init(&engine->under_load);
    const struct allowed_ips_memory memory = {.allocate = allocate, .free_deferred = free_deferred};
    allowed_ips_init(&engine->allowed_ips, &memory);
    engine->handshakes = handshake_queue_create();
    engine->transmitter = transmitter_create();
    return engine->handshakes && engine->transmitter && indexes_create(engine) &&
           peer_table_create(&engine->table);
}

int engine_create(struct engine *engine, const char *name, char *error, size_t error_size)
{
    int result = -ENOMEM;
    *engine = (struct engine){.mtu = ENGINE_MTU_DEFAULT, .identity_generation = 1};
    snprintf(error, error_size, "out of memory");
    if (!make_tables(engine))
        goto fail;
    result = tun_open(name, true, transmit_packets, engine, &engine->tun, error, error_size);
    if (result)
        goto fail;
    engine->ifindex = tun_ifindex(engine->tun);
    result = tun_set_mtu(engine->tun, engine->mtu);
    if (result) {
        snprintf(error, error_size, "%s: MTU %u is refused: %s", name, engine->mtu, strerror(-result));
        goto fail;
    }
    engine->receiver = receiver_create(engine);
    result = engine->receiver ? net_subscribe(system_changed, engine) : -ENOMEM;
    if (result) {
        snprintf(error, error_size, "%s: changes of the system's interfaces cannot be followed: %s", name,
                 strerror(-result));
        goto fail;
    }
    timed = engine;
    loop_set_timer(timers_next, timers_expire);
    tun_set_link(engine->tun, true);
    look_at_interface(engine);
    return 0;
fail:
    engine_destroy(engine);
    return result;
}

void engine_destroy(struct engine *engine)
{
    loop_set_timer(NULL, NULL);
    net_unsubscribe(system_changed, engine);
    if (engine->up)
        go_down(engine);
    while (engine->peers)
        peer_remove(engine->peers);
    engine_reap(engine);
    identity_clear(&engine->identity);
    cookie_checker_wipe(&engine->cookie_checker);
    tun_close(engine->tun);
    receiver_free(engine->receiver);
    transmitter_free(engine->transmitter);
    handshake_queue_free(engine->handshakes);
    timer_heap_free(&engine->timers);
    peer_table_free(&engine->table);
    indexes_destroy(engine);
    free(engine->limiter_memory);
    *engine = (struct engine){0};
}
