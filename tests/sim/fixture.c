/* See directed.h. */
#include "directed.h"
#include <string.h>

struct node node;
struct peer peer, second;
int flow_out, flow_in;

void fixture_bare(uint8_t family)
{
    uint8_t key[32];
    const struct sim_path path = {.latency_ns = LATENCY_NS};
    sim->path(NULL, &path);
    node_create(&node, 0);
    random_fill(key, sizeof(key));
    node_identity(&node, key, 51820);
    secret_note(SECRET_PRIVATE_KEY, 0, END_ANY, node.model.private_key);
    peer_open(&peer, 1, family, &node);
    flow_out = flow_between(0, 1, 4);
    flow_in = flow_between(1, 0, 4);
}

void fixture(uint8_t family)
{
    fixture_bare(family);
    node_up(&node);
    peer_configure(&peer, true, 0);
}

void fixture_end(void)
{
    peer_set_automatic(&peer, false, 0);
    peer_set_automatic(&second, false, 0);
    if (node.adapter) {
        node_check(&node);
        node_destroy(&node);
        sleep_s(2);
        secrets_expect_gone(SECRET_ANY, 0, END_ANY, now_ns(), "halt");
    }
    peer_close(&peer);
    peer_close(&second);
}

void session_by_node(void)
{
    uint64_t before = peer_count(&peer, GOT_DATA);
    node_to_peer();
    EXPECT(peer_wait(&peer, GOT_DATA, before + 1, now_ns() + NS_PER_SECOND), "no session by the adapter");
    peer_send_plain(&peer, NULL, 0); /* heard: no new handshake after 15 s */
    sleep_ms(50);
}

void session_by_peer(void)
{
    uint64_t before = peer_count(&peer, GOT_RESPONSE);
    peer_initiate(&peer, NULL);
    EXPECT(peer_wait(&peer, GOT_RESPONSE, before + 1, now_ns() + NS_PER_SECOND), "no response");
    sleep_ms(100);
}

static void must_arrive(int flow, uint32_t number, const char *where)
{
    uint64_t until_ns = now_ns() + NS_PER_SECOND;
    while (!flow_was_received(flow, number) && now_ns() < until_ns)
        sleep_ms(10);
    EXPECT(flow_was_received(flow, number), "a packet did not reach %s", where);
}

void must_reach_peer(struct peer *to)
{
    int flow = flow_between(node.end, to->end, 4);
    node_send(&node, flow, 0);
    must_arrive(flow, 0, "the peer");
}

void must_reach_node(struct peer *from)
{
    int flow = flow_between(from->end, node.end, 4);
    EXPECT(peer_send(from, flow, 0), "the peer has no session");
    must_arrive(flow, 0, "the adapter");
}

void every(uint64_t every_ns, uint64_t duration_ns, void (*each)(void))
{
    for (uint64_t end_ns = now_ns() + duration_ns; now_ns() < end_ns;) {
        each();
        sleep_ns(every_ns);
    }
}

void node_to_peer(void)
{
    node_send(&node, flow_out, 100);
}

void peer_to_node(void)
{
    peer_send(&peer, flow_in, 100);
}
