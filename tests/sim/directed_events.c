/* Events (include/wyrm/control_extensions.h): each kind is told when it happens, to every reader, and nothing
 * is lost without being counted. */
#include "directed.h"
#include "wyrm/control_extensions.h"
#include <string.h>

#define PNP_QUERY_REMOVE  0x01
#define PNP_CANCEL_REMOVE 0x03
#define CANCELLED         ((int32_t)0xC0000120)
#define ROOM              200

struct events {
    struct wyrm_ioctl_events head;
    struct wyrm_ioctl_event list[ROOM];
};

/* The events after that one; waits for one when there is none. */
static int32_t read_events(uint64_t after, struct events *events)
{
    struct wyrm_ioctl_events_request request = {.after = after};
    uint64_t information = 0;
    int32_t status = sim->control(node.adapter, WYRM_IOCTL_EVENTS, &request, sizeof(request), events,
                                  sizeof(*events), &information);
    if (status == STATUS_OK)
        EXPECT(information == sizeof(events->head) + events->head.count * sizeof(events->list[0]),
               "EVENTS: %u events in %llu bytes", events->head.count, (unsigned long long)information);
    return status;
}

static struct events all;

/* All so far; there is one at least, as the adapter went up. */
static void look(void)
{
    int32_t status = read_events(0, &all);
    EXPECT(status == STATUS_OK && all.head.lost == 0, "EVENTS: status %08x, %llu lost", (uint32_t)status,
           (unsigned long long)all.head.lost);
}

static uint32_t count_of(uint32_t kind, uint32_t value)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < all.head.count; i++)
        count += all.list[i].kind == kind && all.list[i].value == value;
    return count;
}

/* There are so many of this kind now, and of those of the peer the last has its key and endpoint. */
static void expect_events(uint32_t kind, uint32_t value, uint32_t count)
{
    look();
    EXPECT(count_of(kind, value) == count, "%u events of kind %u with %u, not %u", count_of(kind, value),
           kind, value, count);
    for (uint32_t i = 0; i < all.head.count; i++) {
        const struct wyrm_ioctl_event *event = &all.list[i];
        EXPECT(event->sequence == i + 1, "event %u has number %llu", i, (unsigned long long)event->sequence);
        if (event->kind <= WYRM_EVENT_EXPIRED)
            EXPECT(memcmp(event->public_key, peer.identity.public_key, 32) == 0 && event->endpoint.port != 0,
                   "an event of the peer without its key or endpoint");
    }
}

static void events_of_a_peer(void)
{
    fixture(4);
    session_by_node();
    expect_events(WYRM_EVENT_ADAPTER_STATE, WYRM_ADAPTER_UP, 1);
    expect_events(WYRM_EVENT_HANDSHAKE, WYRM_HANDSHAKE_BY_US, 1);
    peer.no_confirm = true;
    session_by_peer();
    expect_events(WYRM_EVENT_HANDSHAKE, WYRM_HANDSHAKE_BY_PEER, 0); /* not before the first packet */
    EXPECT(peer_send_plain(&peer, NULL, 0), "the peer has no session");
    sleep_ms(50);
    peer.no_confirm = false;
    expect_events(WYRM_EVENT_HANDSHAKE, WYRM_HANDSHAKE_BY_PEER, 1);
    expect_events(WYRM_EVENT_ENDPOINT, 0, 0);
    peer_move(&peer);
    must_reach_node(&peer);
    must_reach_node(&peer);
    expect_events(WYRM_EVENT_ENDPOINT, 0, 1); /* once, not for each packet */

    uint64_t silent_ns = now_ns();
    peer.silent = true;
    node_to_peer();
    sleep_s(120);
    expect_events(WYRM_EVENT_EXPIRED, WYRM_EXPIRED_NO_ANSWER, 1);
    expect_events(WYRM_EVENT_EXPIRED, WYRM_EXPIRED_IDLE, 0);
    sleep_s(700);
    expect_events(WYRM_EVENT_EXPIRED, WYRM_EXPIRED_IDLE, 1);
    EXPECT(all.list[all.head.count - 1].timestamp - all.list[0].timestamp > (now_ns() - silent_ns) / 200,
           "the events' times");
    peer.silent = false;
    node_down(&node);
    expect_events(WYRM_EVENT_ADAPTER_STATE, WYRM_ADAPTER_DOWN, 1);
    node_up(&node);
}

/* ---- readers beside what happens ---- */

static struct reader {
    uint64_t last, seen, lost;
    int32_t ended;
    struct events events;
} readers[3];

/* Reads on until the request is taken away. */
static void read_on(void *argument)
{
    struct reader *reader = argument;
    while ((reader->ended = read_events(reader->last, &reader->events)) == STATUS_OK) {
        const struct events *got = &reader->events;
        EXPECT(got->head.count > 0, "EVENTS came back without events");
        for (uint32_t i = 0; i < got->head.count; i++)
            EXPECT(got->list[i].sequence == reader->last + got->head.lost + i + 1, "event %llu after %llu",
                   (unsigned long long)got->list[i].sequence, (unsigned long long)reader->last);
        reader->seen += got->head.count;
        reader->lost += got->head.lost;
        reader->last = got->head.last;
        sleep_ms(random_below(400));
    }
}

static void every_reader_gets_every_event(void)
{
    struct sim_thread *threads[3];
    fixture(4);
    for (int i = 0; i < 3; i++) {
        memset(&readers[i], 0, sizeof(readers[i]));
        threads[i] = sim->spawn("reader", read_on, &readers[i]);
    }
    for (int i = 0; i < 60; i++) {
        if (random_below(2))
            session_by_peer();
        node_down(&node);
        sleep_ms(random_below(300));
        node_up(&node);
        if (random_below(3) == 0)
            sleep_ms(random_below(300));
    }
    session_by_node();
    sleep_s(1);
    sim->adapter_pnp(node.adapter, PNP_QUERY_REMOVE);
    for (int i = 0; i < 3; i++)
        sim->join(threads[i]);
    sim->adapter_pnp(node.adapter, PNP_CANCEL_REMOVE);
    int32_t status = read_events(readers[0].last - 1, &all);
    EXPECT(status == STATUS_OK && all.head.count == 1, "EVENTS: status %08x, %u more", (uint32_t)status,
           all.head.count);
    for (int i = 0; i < 3; i++)
        EXPECT(readers[i].ended == CANCELLED && readers[i].last == all.head.last &&
                   readers[i].seen + readers[i].lost == all.head.last,
               "reader %d: %llu events and %llu lost of %llu, then status %08x", i,
               (unsigned long long)readers[i].seen, (unsigned long long)readers[i].lost,
               (unsigned long long)all.head.last, (uint32_t)readers[i].ended);
}

/* All or nothing, while allocations fail: the model follows what SET_ATOMIC says, and GET is what the model
 * says. */
static void atomic_set_without_memory(void)
{
    static struct config config;
    uint32_t refused = 0;
    fixture(4);
    allocations_fail = true;
    for (int i = 0; i < 300; i++) {
        uint8_t key[32] = {(uint8_t)(1 + random_below(5)), 7};
        config_begin(&config);
        config_peer(&config, key, random_below(4) == 0 ? WYRM_PEER_REMOVE : WYRM_PEER_REPLACE_ALLOWED_IPS);
        config_allow_end(&config, (uint8_t)(2 + random_below(10)));
        key[0] += 5;
        config_peer(&config, key, 0);
        config_keepalive(&config, (uint16_t)random_below(100));
        sim->fail_allocations((uint32_t)random_below(8000));
        node.sets |= 1; /* node_set's next one is atomic */
        int32_t status = node_set(&node, &config);
        sim->fail_allocations(0);
        EXPECT(status == STATUS_OK || status == STATUS_NO_MEMORY, "SET_ATOMIC: status %08x",
               (uint32_t)status);
        EXPECT(!node.uncertain, "SET_ATOMIC left a doubt");
        refused += status != STATUS_OK;
        node_check(&node);
    }
    allocations_fail = false;
    EXPECT(refused > 10 && refused < 290, "%u of 300 were refused", refused);
}

const struct directed directed_events[] = {
    {"events-of-a-peer", events_of_a_peer},
    {"every-reader-gets-every-event", every_reader_gets_every_event},
    {"atomic-set-without-memory", atomic_set_without_memory},
    {NULL, NULL},
};
