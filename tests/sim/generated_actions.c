/* Generated scenarios: what users, administrators, networks and attackers do meanwhile. */
#include "generated_internal.h"
#include <stdlib.h>
#include <string.h>

static struct node *random_node(void)
{
    return &world.nodes[random_below(world.nodes_count)];
}

static int32_t set_entry(struct node *of, struct link *link, uint32_t flags)
{
    struct config *config = malloc(sizeof(*config));
    config_begin(config);
    topology_entry(config, of, link, flags);
    int32_t status = node_set(of, config);
    free(config);
    EXPECT(status == STATUS_OK || allocations_fail, "SET of a peer: status %08x", (uint32_t)status);
    return status;
}

/* Applies the link's present settings at both ends. */
static void apply_link(struct link *link)
{
    struct node *b = node_of_end(link->b);
    if (!link->absent[0])
        set_entry(node_of_end(link->a), link, 0);
    if (random_chance(30))
        sleep_ms(random_below(3000));
    if (!b)
        peer_set_preshared_key(peer_of_end(link->b), link->preshared_key);
    else if (!link->absent[1])
        set_entry(b, link, 0);
}

static void change_preshared_key(void)
{
    struct link *link = topology_random_link();
    if (random_chance(30))
        memset(link->preshared_key, 0, 32);
    else
        random_fill(link->preshared_key, 32);
    apply_link(link);
}

static void change_keepalive(void)
{
    struct link *link = topology_random_link();
    int side = node_of_end(link->b) ? (int)random_below(2) : 0;
    link->keepalive[side] = random_chance(50) ? 0 : (uint16_t)random_between(keepalive_shortest, 120);
    if (!link->absent[side])
        set_entry(node_of_end(side ? link->b : link->a), link, WYRM_PEER_UPDATE_ONLY);
}

static void remove_and_add_peer(void)
{
    struct link *link = topology_random_link();
    struct node *of = node_of_end(link->a);
    if (link->absent[0] || allocations_fail)
        return;
    link->absent[0] = true;
    uint64_t removed_ns = now_ns();
    node_remove_peer(of, key_of_end(link->b));
    if (link->b >= FIRST_PEER_END && random_chance(50)) {
        sleep_s(1);
        secrets_expect_gone(SECRET_SESSION_KEY | SECRET_PRESHARED_KEY, of->end, link->b, removed_ns,
                            "peer removal");
    }
    sleep_ms(random_below(random_chance(50) ? 100 : 20000));
    link->absent[0] = false;
    set_entry(of, link, 0);
}

static void replace_all_peers(void)
{
    struct node *of = random_node();
    int32_t status = topology_configure(of);
    EXPECT(status == STATUS_OK || allocations_fail, "SET of all peers: status %08x", (uint32_t)status);
}

static void move_shared_net(void)
{
    struct link *link = topology_random_link();
    struct node *of = node_of_end(link->a);
    uint8_t k = (uint8_t)random_below(SHARED_NETS);
    if (link->absent[0])
        return;
    if (now_ns() - of->changed_ns < 2 * CHANGE_SETTLES_NS)
        sleep_ns(2 * CHANGE_SETTLES_NS); /* one change at a time can be judged */
    world.shared_owner[of->end][k] = (uint8_t)(link - world.links);
    set_entry(of, link, 0);
}

static void change_port(void)
{
    struct node *of = random_node();
    struct config *config = malloc(sizeof(*config));
    config_begin(config);
    config_port(config, (uint16_t)(20000 + 1000 * of->end + random_below(1000)));
    int32_t status = node_set(of, config);
    EXPECT(status == STATUS_OK || allocations_fail, "SET of the port: status %08x", (uint32_t)status);
    free(config);
}

/* Everybody who knows this adapter learns its new public key. */
static void tell_new_key(struct node *of)
{
    for (uint32_t i = 0; i < world.links_count; i++) {
        struct link *link = &world.links[i];
        if (link->a != of->end && link->b != of->end)
            continue;
        uint8_t other = link->a == of->end ? link->b : link->a;
        if (node_of_end(other))
            topology_configure(node_of_end(other));
        else
            peer_learn_node(peer_of_end(other));
    }
}

static void change_private_key(void)
{
    struct node *of = random_node();
    uint8_t key[32], zero[32] = {0};
    if (allocations_fail)
        return;
    uint64_t changed_ns = now_ns() + 1;
    if (random_chance(30)) {
        memcpy(key, of->model.private_key, 32); /* the same, not clamped: no change */
        key[0] |= 7;
        node_identity(of, key, of->port);
        return;
    }
    if (random_chance(30)) {
        memcpy(key, of->model.private_key, 32);
        node_identity(of, zero, of->port);
        sleep_ms(random_below(5000));
        node_identity(of, key, of->port);
        return;
    }
    random_fill(key, 32);
    node_identity(of, key, of->port);
    tell_new_key(of);
    sleep_s(1);
    secrets_expect_gone(SECRET_PRIVATE_KEY, of->end, END_ANY, changed_ns, "a new private key");
    secret_note(SECRET_PRIVATE_KEY, of->end, END_ANY, of->model.private_key);
}

static void down_and_up(void)
{
    struct node *of = random_node();
    if (allocations_fail)
        return;
    uint64_t down_ns = now_ns();
    node_down(of);
    if (random_chance(50)) {
        sleep_s(1);
        secrets_expect_gone(SECRET_SESSION_KEY, of->end, END_ANY, down_ns, "down");
    }
    sleep_ms(random_below(random_chance(50) ? 50 : 30000));
    node_up(of);
}

static void pause_and_restart(void)
{
    struct node *of = random_node();
    node_pause(of);
    sleep_ms(random_below(random_chance(50) ? 50 : 10000));
    node_restart(of);
}

static void recreate_adapter(void)
{
    struct node *of = random_node();
    uint8_t key[32], end = of->end;
    uint16_t port = of->port;
    if (allocations_fail)
        return;
    memcpy(key, of->model.private_key, 32);
    if (random_chance(50))
        sim->adapter_surprise_remove(of->adapter);
    uint64_t halted_ns = now_ns();
    node_destroy(of);
    sleep_s(1);
    secrets_expect_gone(SECRET_SESSION_KEY, end, END_ANY, halted_ns, "halt");
    node_create(of, end);
    node_identity(of, key, port);
    EXPECT(topology_configure(of) == STATUS_OK, "SET of a new adapter");
    node_up(of);
}

static void cancelled_removal(void)
{
    struct node *of = random_node();
    sim->adapter_pnp(of->adapter, 1);
    sleep_ms(random_below(2000));
    sim->adapter_pnp(of->adapter, 3);
}

static void suspend(void)
{
    uint64_t slept_ns = now_ns();
    sim->suspend(random_between(1, random_chance(50) ? 100 : 4000) * NS_PER_SECOND);
    sleep_s(1);
    for (uint32_t i = 0; i < world.nodes_count; i++) /* what is on its way comes afterwards */
        secrets_expect_gone(SECRET_SESSION_KEY, world.nodes[i].end, END_ANY, slept_ns - NS_PER_SECOND,
                            "resume");
}

static void clock_jump(void)
{
    int64_t delta = (int64_t)random_between(1, random_chance(50) ? 60 : 1000000) * 10000000;
    if (random_chance(50))
        delta = -delta;
    sim->step_system_time(delta);
    world.clock_100ns += delta;
    if (world.clock_100ns > world.clock_latest_100ns)
        world.clock_latest_100ns = world.clock_100ns;
}

void path_mood(bool mild)
{
    struct sim_path path = {.latency_ns = random_between(0, 40) * NS_PER_MS};
    if (!mild && random_chance(60)) {
        if (random_chance(50))
            path.jitter_ns = random_between(1, 300) * NS_PER_MS;
        if (random_chance(50))
            path.loss = random_below(65536 * 3 / 10);
        if (random_chance(30))
            path.duplicate = random_below(20000);
        if (random_chance(30))
            path.corrupt = random_below(6000);
        if (random_chance(10))
            path.mtu = (uint32_t)random_between(600, 1500);
    }
    if (path.jitter_ns || !mild) {
        flow_unordered(); /* also a change of latency reorders */
        world.reorders = true;
    }
    sim->path(NULL, &path);
}

static void change_path(void)
{
    path_mood(false);
}

static void cut_link(void)
{
    struct link *link = topology_random_link();
    struct sim_address to = outer_of_end(random_chance(50) ? link->a : link->b, link->family);
    sim->path(&to, &(struct sim_path){.down = true});
    sleep_ms(random_below(random_chance(70) ? 20000 : 300000));
    sim->path(&to, NULL);
}

static void fail_allocations(void)
{
    allocations_fail = true;
    sim->fail_allocations((uint32_t)random_between(600, 20000));
    for (uint32_t i = random_below(4); i; i--) {
        sleep_ms(random_below(3000));
        action_run();
    }
    sleep_ms(random_below(10000));
    sim->fail_allocations(0);
    allocations_fail = false;
    for (uint32_t i = 0; i < world.nodes_count; i++)
        if (world.nodes[i].uncertain)
            EXPECT(topology_configure(&world.nodes[i]) == STATUS_OK, "SET when memory is back");
}

static struct peer *random_peer(void)
{
    return world.peers_count ? &world.peers[random_below(world.peers_count)] : NULL;
}

static void peer_roams(void)
{
    struct peer *of = random_peer();
    if (!of)
        return;
    peer_move(of);
    if (random_chance(70))
        peer_send_plain(of, NULL, 0);
}

static void peer_misbehaves(void)
{
    struct peer *of = random_peer();
    if (!of)
        return;
    of->silent = random_chance(20);
    of->no_response = random_chance(30);
    of->no_confirm = random_chance(30);
    of->demand_cookies = random_chance(30);
    sleep_ms(random_below(random_chance(80) ? 20000 : 200000));
    of->silent = of->no_response = of->no_confirm = of->demand_cookies = false;
    if (random_chance(20))
        session_set_init(&of->set); /* forgets everything */
}

static void peer_sends_nonsense(void)
{
    struct peer *of = random_peer();
    uint8_t plain[1600];
    if (!of || !peer_session(of))
        return;
    for (uint32_t i = 1 + random_below(20); i; i--) {
        struct inner_address from = inner_of((uint8_t)random_below(16), random_chance(50) ? 4 : 6, 9);
        struct inner_address to = inner_of(of->node->end, from.family, 1);
        uint32_t length = (uint32_t)random_between(1, 200);
        random_fill(plain, length + 40);
        if (random_chance(50)) {
            ip_header(plain, length + 40, &from, &to);
            plain[random_below(8)] ^= (uint8_t)random_below(256);
        }
        /* Not addressed by one of its own sources: nothing of this may come out. */
        if (from.bytes[from.family == 4 ? 1 : 3] != of->end)
            peer_send_plain(of, plain, length);
    }
}

/* ---- an attacker who hears much ---- */

#define HEARD 64
static struct {
    struct sim_address to;
    uint32_t length;
    uint8_t bytes[1600];
} heard[HEARD];
static uint32_t heard_count;

static void hear(void *context, const struct sim_datagram *datagram)
{
    uint32_t i = heard_count < HEARD ? heard_count++ : random_below(HEARD);
    heard[i].length = datagram->length < sizeof(heard[i].bytes) ? datagram->length : 0;
    heard[i].to = datagram->to;
    memcpy(heard[i].bytes, datagram->data, heard[i].length);
}

void record_datagrams(void)
{
    heard_count = 0;
    wire_listen(hear, NULL);
}

static void attack(void)
{
    flow_unordered(); /* what was lost is fresh when it is repeated */
    struct sim_address from = address_v4(203, 0, 113, (uint8_t)random_below(256), 4444);
    for (uint32_t i = random_below(100); i && heard_count; i--) {
        uint32_t which = random_below(heard_count);
        struct sim_address to =
            random_chance(50) ? heard[which].to : node_address(random_node(), heard[which].to.family);
        if (to.family == 6)
            from = address_v6(9, (uint16_t)random_below(1000), 4444);
        uint8_t bytes[1600];
        uint32_t length = heard[which].length;
        memcpy(bytes, heard[which].bytes, length);
        if (length && random_chance(50))
            bytes[random_below(length)] ^= (uint8_t)(1u << random_below(8));
        if (random_chance(20))
            length = random_below(length + 1);
        sim->inject(&from, &to, bytes, length);
    }
}

static void change_mtu(void)
{
    static const uint16_t mtus[] = {576, 1280, 1299, 1420, 1500, 9000, 65535};
    sim->set_mtu(random_node()->adapter, mtus[random_below(7)]);
}

/* What TCP/IP asks for when an administrator switches offloads (Microsoft: NDIS_OFFLOAD_PARAMETERS, revision
 * 5): each setting stays (0), goes off (1) or on; a checksum's has a value for each direction (4: both). */
static void change_offloads(void)
{
    enum {
        OID_PARAMETERS = 0xfc01020c,
        TYPE = 0x80,
        REVISION = 5,
        SIZE = 0x22,
        CHECKSUMS = 4,
        LARGE = 11,
        COALESCE = 22,
        DATAGRAMS = 32
    };
    uint8_t parameters[SIZE] = {TYPE, REVISION, SIZE, 0};
    struct node *of = random_node();
    bool everything = random_chance(30), off = random_chance(50);
    if (!of->adapter)
        return;
    for (int i = 0; i < 5; i++)
        parameters[CHECKSUMS + i] = everything ? (off ? 1 : 4) : (uint8_t)random_below(5);
    for (int i = 0; i < 2; i++) {
        parameters[LARGE + i] = everything ? 1 + !off : (uint8_t)random_below(3);
        parameters[COALESCE + i] = everything ? 1 + !off : (uint8_t)random_below(3);
        parameters[DATAGRAMS + i] = everything ? 1 + !off : (uint8_t)random_below(3);
    }
    int32_t status =
        sim->adapter_oid(of->adapter, true, (uint32_t)OID_PARAMETERS, parameters, sizeof(parameters), NULL);
    EXPECT(status == STATUS_OK, "switching offloads: status %08x", (uint32_t)status);
}

static void look(void)
{
    node_check(random_node());
}

void action_run(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
        uint32_t weight;
    } actions[] = {
        {"change_preshared_key", change_preshared_key, 4},
        {"change_keepalive", change_keepalive, 4},
        {"remove_and_add_peer", remove_and_add_peer, 4},
        {"replace_all_peers", replace_all_peers, 3},
        {"move_shared_net", move_shared_net, 6},
        {"change_port", change_port, 3},
        {"change_private_key", change_private_key, 3},
        {"down_and_up", down_and_up, 4},
        {"pause_and_restart", pause_and_restart, 5},
        {"recreate_adapter", recreate_adapter, 2},
        {"cancelled_removal", cancelled_removal, 2},
        {"suspend", suspend, 2},
        {"clock_jump", clock_jump, 2},
        {"change_path", change_path, 6},
        {"cut_link", cut_link, 4},
        {"fail_allocations", fail_allocations, 3},
        {"peer_roams", peer_roams, 5},
        {"peer_misbehaves", peer_misbehaves, 4},
        {"peer_sends_nonsense", peer_sends_nonsense, 5},
        {"attack", attack, 8},
        {"change_mtu", change_mtu, 3},
        {"change_offloads", change_offloads, 5},
        {"look", look, 8},
    };
    enum { COUNT = sizeof(actions) / sizeof(actions[0]) };
    uint32_t total = 0;
    for (int i = 0; i < COUNT; i++)
        total += actions[i].weight;
    uint32_t pick = random_below(total);
    for (int i = 0; i < COUNT; i++) {
        if (pick < actions[i].weight) {
            if (allocations_fail && actions[i].run == fail_allocations)
                return;
            sim->log("%s", actions[i].name);
            actions[i].run();
            return;
        }
        pick -= actions[i].weight;
    }
}
