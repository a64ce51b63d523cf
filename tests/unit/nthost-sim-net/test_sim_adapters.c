/* Two adapters of one driver on simulated upper edges. */
#include "check.h"
#include "host_test.h"
#include "ndis/adapter.h"
#include "sched/sched.h"
#include "sched/sim.h"
#include "sim/edges.h"
#include "two_adapters.h"

#define PACKETS 20u
#define MS      1000000ull

struct back {
    uint32_t packets, wrong;
    uint8_t third; /* of the address it is sent from again */
};

static void on_packet(void *context, const uint8_t *packet, uint32_t length)
{
    struct back *back = context;

    back->packets++;
    back->wrong += length != 40 || packet[14] != back->third || packet[39] != back->third;
}

/* IPv4, protocol 253 (experiments), 20 bytes of payload. */
static void make_packet(uint8_t packet[40], uint8_t third)
{
    static const uint8_t header[20] = {0x45, 0, 0,  40, 0, 0, 0x40, 0, 64, 253,
                                       0,    0, 10, 8,  0, 1, 10,   8, 0,  2};

    memset(packet, third, 40);
    memcpy(packet, header, sizeof header);
    packet[14] = packet[18] = third;
}

static void exchange(struct ndis_adapter *adapter, uint8_t which)
{
    struct back back = {.third = which};
    uint64_t limit = sched_time_ns() + 1000 * MS;
    uint8_t packet[40];

    two_ports[which].mine = 0;
    make_packet(packet, which);
    sim_tun_receiver(ndis_adapter_tun(adapter), on_packet, &back);
    for (unsigned i = 0; i < PACKETS; i++)
        sim_tun_send(ndis_adapter_tun(adapter), packet, sizeof packet);
    while (back.packets < PACKETS && sched_time_ns() < limit)
        sched_block(sched_time_ns() + MS);
    CHECK_MSG(back.packets == PACKETS && back.wrong == 0, "%u back, %u wrong", back.packets, back.wrong);
    CHECK(two_ports[which].mine == PACKETS && two_ports[which].foreign == 0 &&
          two_ports[!which].foreign == 0);
    sim_tun_receiver(ndis_adapter_tun(adapter), NULL, NULL);
}

/* ---- NDIS never pauses a miniport during a send to it ---- */

static struct {
    unsigned inside[2], overlaps, sends, pauses;
    bool stop;
} gates;

static void during_send(unsigned which)
{
    gates.inside[which]++;
    gates.sends++;
    for (unsigned i = 0; i < 20; i++)
        sim_yield();
    gates.inside[which]--;
}

static void during_pause(unsigned which)
{
    gates.overlaps += gates.inside[which] != 0;
    gates.pauses++;
}

static void pause_often(void *adapter)
{
    while (!gates.stop) {
        CHECK(ndis_adapter_pause(adapter) == 0);
        CHECK(ndis_adapter_restart(adapter) == 0);
        sched_block(sched_time_ns() + MS / 10);
    }
}

static void test_gates(struct ndis_adapter *adapter)
{
    struct sched_thread *thread = sched_thread_create("pauser", pause_often, adapter);
    uint8_t packet[40];

    two_during_send = during_send;
    two_during_pause = during_pause;
    make_packet(packet, 1);
    for (unsigned i = 0; i < 300; i++) {
        sim_tun_send(ndis_adapter_tun(adapter), packet, sizeof packet);
        sched_block(sched_time_ns() + MS / 20);
    }
    gates.stop = true;
    sched_thread_join(thread);
    CHECK_MSG(gates.overlaps == 0, "%u of %u pauses during one of %u sends", gates.overlaps, gates.pauses,
              gates.sends);
    CHECK(gates.pauses > 20 && gates.sends > 20);
    two_during_send = two_during_pause = NULL;
}

void test_sim_adapters(void)
{
    struct ndis_adapter *adapters[2] = {0};

    if (!two_adapters_make(adapters)) {
        CHECK(!"two adapters of one driver can be made");
        return;
    }
    two_adapters_check(adapters);
    exchange(adapters[0], 0);
    exchange(adapters[1], 1);
    test_gates(adapters[1]);
    two_adapters_remove(adapters[0], 0);
    exchange(adapters[1], 1);
    two_adapters_remove(adapters[1], 1);
    two_adapters_end();
}
