/* Generated scenarios: who is there, who knows whom. */
#include "generated_internal.h"
#include <stdlib.h>
#include <string.h>

struct topology world;
uint16_t keepalive_shortest;

struct node *node_of_end(uint8_t end)
{
    return end < FIRST_PEER_END ? &world.nodes[end] : NULL;
}

struct peer *peer_of_end(uint8_t end)
{
    return end < FIRST_PEER_END ? NULL : &world.peers[end - FIRST_PEER_END];
}

struct sim_address outer_of_end(uint8_t end, uint8_t family)
{
    return end < FIRST_PEER_END ? node_address(node_of_end(end), family) : peer_of_end(end)->address;
}

const uint8_t *key_of_end(uint8_t end)
{
    return end < FIRST_PEER_END ? node_of_end(end)->model.public_key : peer_of_end(end)->identity.public_key;
}

int link_side(const struct link *link, const struct node *of)
{
    return link->a == of->end ? 0 : 1;
}

void topology_entry(struct config *config, struct node *of, struct link *link, uint32_t flags)
{
    int side = link_side(link, of);
    uint8_t other = side ? link->a : link->b;
    struct sim_address outer = outer_of_end(other, link->family);
    config_peer(config, key_of_end(other), flags | WYRM_PEER_REPLACE_ALLOWED_IPS);
    config_preshared_key(config, link->preshared_key);
    config_keepalive(config, link->keepalive[side]);
    if (outer.port)
        config_endpoint(config, &outer);
    config_allow_end(config, other);
    for (uint8_t k = 0; k < SHARED_NETS; k++) {
        struct inner_address net = inner_of(200, 4, 0);
        net.bytes[2] = k;
        if (world.shared_owner[of->end][k] == link - world.links)
            config_allowed_ip(config, &net, 24, 0);
    }
    if (other >= FIRST_PEER_END)
        secret_note(SECRET_PRESHARED_KEY, of->end, other, link->preshared_key);
}

int32_t topology_configure(struct node *of)
{
    struct config *config = malloc(sizeof(*config));
    config_begin(config);
    config_replace_peers(config);
    for (uint32_t i = 0; i < world.links_count; i++) {
        struct link *link = &world.links[i];
        bool ours = link->a == of->end || link->b == of->end;
        if (ours && !link->absent[link_side(link, of)])
            topology_entry(config, of, link, 0);
    }
    int32_t status = node_set(of, config);
    if (status == STATUS_OK)
        of->uncertain = false;
    free(config);
    return status;
}

struct link *topology_random_link(void)
{
    return &world.links[random_below(world.links_count)];
}

static void add_link(uint8_t a, uint8_t b, uint8_t family)
{
    struct link *link = &world.links[world.links_count++];
    *link = (struct link){.a = a, .b = b, .family = family};
    if (random_chance(50))
        random_fill(link->preshared_key, 32);
    if (random_chance(30))
        link->keepalive[0] = (uint16_t)random_between(keepalive_shortest, 120);
    if (random_chance(30))
        link->keepalive[1] = (uint16_t)random_between(keepalive_shortest, 120);
    for (int v6 = 0; v6 < 2; v6++) {
        link->flow[0][v6] = flow_between(a, b, v6 ? 6 : 4);
        link->flow[1][v6] = flow_between(b, a, v6 ? 6 : 4);
        for (int direction = 0; direction < 2; direction++)
            if (random_chance(50))
                flow_stream(link->flow[direction][v6]);
    }
}

static void make_node(uint8_t end)
{
    struct node *of = &world.nodes[end];
    uint8_t key[32];
    node_create(of, end);
    random_fill(key, 32);
    node_identity(of, key, (uint16_t)(20000 + 1000 * end + random_below(1000)));
    secret_note(SECRET_PRIVATE_KEY, end, END_ANY, of->model.private_key);
}

void topology_make(uint16_t keepalive_min)
{
    keepalive_shortest = keepalive_min;
    static const uint8_t nodes[10] = {1, 1, 1, 1, 2, 2, 2, 3, 3, 4};
    memset(world.shared_owner, 0xff, sizeof(world.shared_owner));
    world.nodes_count = nodes[random_below(10)];
    world.peers_count = random_below(PEERS_MAX + 1);
    if (world.nodes_count == 1 && world.peers_count == 0)
        world.peers_count = 1;
    for (uint32_t i = 0; i < world.nodes_count; i++)
        make_node((uint8_t)i);
    for (uint32_t i = 0; i < world.peers_count; i++) {
        struct node *of = &world.nodes[random_below(world.nodes_count)];
        uint8_t family = random_chance(70) ? 4 : 6;
        peer_open(&world.peers[i], (uint8_t)(FIRST_PEER_END + i), family, of);
        add_link(of->end, (uint8_t)(FIRST_PEER_END + i), family);
        struct link *link = &world.links[world.links_count - 1];
        peer_set_preshared_key(&world.peers[i], link->preshared_key);
    }
    for (uint32_t a = 0; a < world.nodes_count; a++)
        for (uint32_t b = a + 1; b < world.nodes_count; b++)
            if (world.links_count == 0 || random_chance(70))
                add_link((uint8_t)a, (uint8_t)b, random_chance(70) ? 4 : 6);
    for (uint32_t i = 0; i < world.nodes_count; i++)
        for (uint8_t k = 0; k < SHARED_NETS; k++) {
            struct inner_address from = inner_of((uint8_t)i, 4, 1), to = inner_of(200, 4, 1);
            to.bytes[2] = k;
            world.shared_flow[i][k] = flow_new((uint8_t)i, &from, &to, false);
        }
}

/* ---- traffic ---- */

static uint32_t random_length(void)
{
    switch (random_below(8)) {
    case 0:
        return 0; /* shortest */
    case 1:
        return (uint32_t)random_between(1400, 1440); /* around the MTU */
    case 2:
        return (uint32_t)random_between(1441, 4000);
    default:
        return (uint32_t)random_between(60, 1420);
    }
}

static void send_packet(struct link *link, int direction, int flow, uint32_t length)
{
    uint8_t from = direction ? link->b : link->a;
    struct node *of = node_of_end(from);
    if (of && of->adapter)
        node_send(of, flow, length);
    else if (!of)
        peer_send(peer_of_end(from), flow, length);
}

static void send_one(struct link *link, int direction)
{
    send_packet(link, direction, link->flow[direction][random_chance(40)], random_length());
}

/* Packets of one flow and of one length, but for the last: what offloads join. */
static void send_run(struct link *link, int direction)
{
    uint32_t count = (uint32_t)random_between(2, random_chance(20) ? 90 : 12), length = random_length();
    int flow = link->flow[direction][random_chance(40)];
    for (uint32_t i = 0; i + 1 < count; i++)
        send_packet(link, direction, flow, length);
    send_packet(link, direction, flow, random_chance(50) ? length : length / 2);
}

void traffic_burst(void)
{
    struct link *link = topology_random_link();
    uint32_t count = random_chance(10) ? (uint32_t)random_between(20, 200) : (uint32_t)random_between(1, 8);
    int direction = (int)random_below(3); /* 2: both */
    bool run = random_chance(25);
    struct node *of = node_of_end(link->a);
    if (run && direction != 1)
        send_run(link, 0);
    if (run && direction != 0)
        send_run(link, 1);
    for (uint32_t i = 0; i < count && !run; i++) {
        if (direction != 1)
            send_one(link, 0);
        if (direction != 0)
            send_one(link, 1);
    }
    if (of->adapter && random_chance(10))
        node_send(of, world.shared_flow[of->end][random_below(SHARED_NETS)], 0);
}

void traffic_run(void *context)
{
    while (!world.stop) {
        if (world.rate == 0) {
            sleep_s(60);
            continue;
        }
        traffic_burst();
        sleep_ms(random_between(0, 2 * world.rate));
    }
}
