/* See generated.h: the course of a generated scenario. */
#include "generated_internal.h"

/* A side may send into a session that the other has lost: it notices after 15 s, and may have begun a
 * handshake just before. */
#define HEALED_AFTER_NS                                                                                      \
    (NEW_HANDSHAKE_AFTER_NS + REKEY_TIMEOUT_NS + 2 * REKEY_JITTER_MAX_NS + 4 * TIMER_SLACK_NS)

#define MEMORY_MAX_BYTES (UINT64_C(64) << 20)

static void bring_up(void)
{
    for (uint32_t i = 0; i < world.nodes_count; i++) {
        bool early = random_chance(50);
        if (early)
            node_up(&world.nodes[i]);
        EXPECT(topology_configure(&world.nodes[i]) == STATUS_OK, "the first SET");
        if (!early)
            node_up(&world.nodes[i]);
    }
    for (uint32_t i = 0; i < world.peers_count; i++) {
        peer_learn_node(&world.peers[i]);
        peer_set_automatic(&world.peers[i], true, random_chance(30) ? 25 : 0);
    }
}

static void run_until(uint64_t end_ns, uint32_t mean_ms)
{
    while (now_ns() < end_ns) {
        uint64_t pause_ns = random_between(0, 2 * (uint64_t)mean_ms) * NS_PER_MS;
        if (now_ns() + pause_ns > end_ns)
            pause_ns = end_ns - now_ns();
        sleep_ns(pause_ns);
        action_run();
    }
}

/* All is well again: every link has to carry packets both ways, in time. */
static void heal(void)
{
    sim->path(NULL, &(struct sim_path){.latency_ns = LATENCY_NS});
    sim->step_system_time(world.clock_latest_100ns - world.clock_100ns);
    for (uint32_t i = 0; i < world.nodes_count; i++)
        EXPECT(topology_configure(&world.nodes[i]) == STATUS_OK, "the last SET");
    for (uint32_t i = 0; i < world.links_count; i++)
        if (peer_of_end(world.links[i].b))
            peer_set_preshared_key(peer_of_end(world.links[i].b), world.links[i].preshared_key);
}

static bool ping(struct link *link, int direction, int flow)
{
    uint8_t from = direction ? link->b : link->a;
    if (flow_received(flow))
        return true;
    if (node_of_end(from))
        node_send(node_of_end(from), flow, 0);
    else
        peer_send(peer_of_end(from), flow, 0);
    return false;
}

static void check_liveness(void)
{
    static int flows[LINKS_MAX][2];
    uint64_t healed_ns = now_ns(), limit_ns = healed_ns + HEALED_AFTER_NS;
    if (sim->stall_ns) /* both ends ask within one stall, again and again */
        limit_ns += 4 * REKEY_TIMEOUT_NS;
    for (uint32_t i = 0; i < world.links_count; i++)
        for (int d = 0; d < 2; d++)
            flows[i][d] = flow_between(d ? world.links[i].b : world.links[i].a,
                                       d ? world.links[i].a : world.links[i].b, random_chance(50) ? 4 : 6);
    for (bool all = false; !all;) {
        all = true;
        for (uint32_t i = 0; i < world.links_count; i++)
            for (int d = 0; d < 2; d++)
                all &= ping(&world.links[i], d, flows[i][d]);
        if (all)
            return;
        if (now_ns() > limit_ns) {
            for (uint32_t i = 0; i < world.links_count; i++)
                for (int d = 0; d < 2; d++)
                    if (!flow_received(flows[i][d]))
                        violation("liveness", "nothing passes from end %u to end %u, %llu ms after healing",
                                  d ? world.links[i].b : world.links[i].a,
                                  d ? world.links[i].a : world.links[i].b,
                                  (unsigned long long)((now_ns() - healed_ns) / NS_PER_MS));
            return;
        }
        sleep_ms(200);
    }
}

static void take_down(uint64_t memory_before)
{
    for (uint32_t i = 0; i < world.nodes_count; i++) {
        node_check(&world.nodes[i]);
        node_destroy(&world.nodes[i]);
    }
    sleep_s(2);
    for (uint32_t i = 0; i < world.nodes_count; i++)
        secrets_expect_gone(SECRET_ANY, (uint8_t)i, END_ANY, now_ns(), "halt");
    if (sim->pool_bytes_peak() > MEMORY_MAX_BYTES)
        violation("memory", "%llu bytes of pool at the peak", (unsigned long long)sim->pool_bytes_peak());
    if (sim->pool_bytes() > memory_before + (1 << 20))
        violation("memory", "%llu bytes of pool are left of %u adapters, %llu were there before them",
                  (unsigned long long)sim->pool_bytes(), world.nodes_count,
                  (unsigned long long)memory_before);
    for (uint32_t i = 0; i < world.peers_count; i++)
        peer_close(&world.peers[i]);
}

void generated_scenario(bool brief)
{
    static const struct {
        uint32_t percent, brief_percent, shortest_s, longest_s, rate_ms, action_ms;
    } courses[] = {
        {40, 72, 120, 240, 600, 4000},        /* busy */
        {22, 24, 300, 900, 4000, 20000},      /* at times */
        {18, 3, 3600, 14400, 120000, 600000}, /* now and then */
        {20, 1, 21600, 172800, 0, 7200000},   /* idle for hours or days: keepalives and rekeys at most */
    };
    uint32_t pick = random_below(100), course = 0;
    uint64_t memory_before = sim->pool_bytes();
    for (uint32_t percent;; pick -= percent, course++) {
        percent = brief ? courses[course].brief_percent : courses[course].percent;
        if (pick < percent)
            break;
    }

    topology_make(course < 2 ? 1 : 25);
    path_mood(random_chance(50));
    record_datagrams();
    bring_up();
    world.rate = courses[course].rate_ms;
    struct sim_thread *traffic = sim->spawn("traffic", traffic_run, NULL);
    run_until(now_ns() +
                  random_between(courses[course].shortest_s, courses[course].longest_s) * NS_PER_SECOND,
              courses[course].action_ms);
    world.stop = true;
    sim->join(traffic);
    heal();
    check_liveness();
    take_down(memory_before);
}
