/* Small scenarios for the tests of `nthost sim` itself; the first word after -- chooses one, the second is
 * its number.  They check what struct sim promises about time, order, threads and failure. */
#include "sim/scenario.h"

#include <stdlib.h>
#include <string.h>

#define SECOND 1000000000ull
#define SLACK  2000000ull /* virtual: what imports of other threads may cost */

static const struct sim *sim;

static uint64_t argument(void)
{
    return sim->argc > 1 ? strtoull(sim->argv[1], NULL, 10) : 0;
}

static void expect(bool condition, const char *what)
{
    if (!condition)
        sim->fail("%s", what);
}

static void took(uint64_t before, uint64_t wanted, const char *what)
{
    uint64_t duration = sim->time_ns() - before;
    if (duration < wanted || duration > wanted + SLACK)
        sim->fail("%s took %llu ns instead of %llu", what, (unsigned long long)duration,
                  (unsigned long long)wanted);
}

/* ---- scenarios ---- */

static void idle(void)
{
    sim->sleep(argument() * SECOND);
}

static void adapter(void)
{
    struct sim_adapter *first = sim->adapter_create("test0");
    expect(first, "no adapter");
    sim->sleep(argument() * SECOND);
    sim->log("random %016llx", (unsigned long long)sim->random());
    expect(sim->adapter_pause(first) == 0, "pause");
    expect(sim->adapter_restart(first) == 0, "restart");
    sim->suspend(10 * SECOND);
    sim->adapter_destroy(first);
}

static unsigned order[8], order_count;
static uint64_t order_start;

static void event(void *context)
{
    unsigned number = (unsigned)(uintptr_t)context;
    if (order_count < 8)
        order[order_count++] = number;
    took(order_start, (number < 4 ? 1 : number - 2) * SECOND, "an event");
}

static void worker(void *context)
{
    uint64_t before = sim->time_ns(), wanted = (uint64_t)(uintptr_t)context;
    sim->sleep(wanted);
    took(before, wanted, "a thread's sleep");
}

/* Sleeps, events and threads are exact to the costs of imports, whatever the real machine does. */
static void times(void)
{
    struct sim_thread *threads[4];
    uint64_t before = sim->time_ns(), system = sim->system_time_100ns();
    sim->sleep(86400 * SECOND);
    took(before, 86400 * SECOND, "a day");
    uint64_t passed = sim->system_time_100ns() - system;
    expect(passed >= 864000000000ull && passed < 864000100000ull, "system time went with it");
    sim->step_system_time(-36000000000ll);
    expect(sim->system_time_100ns() - system < passed, "the clock was set back");
    before = sim->time_ns();
    sim->suspend(3600 * SECOND);
    took(before, 3600 * SECOND, "a suspend");

    order_start = sim->time_ns();
    sim->at(order_start + 3 * SECOND, event, (void *)5);
    for (uintptr_t i = 0; i < 4; i++) /* one instant: in order */
        sim->at(order_start + SECOND, event, (void *)i);
    sim->at(order_start + 2 * SECOND, event, (void *)4);
    for (unsigned i = 0; i < 4; i++)
        threads[i] = sim->spawn("t", worker, (void *)(uintptr_t)((4 - i) * SECOND));
    for (unsigned i = 0; i < 4; i++)
        sim->join(threads[i]);
    took(order_start, 4 * SECOND, "the threads together");
    expect(order_count == 6, "number of events");
    for (unsigned i = 0; i < 6; i++)
        expect(order[i] == i, "order of events");
}

static void fails(void)
{
    sim->log("what led to it, seed %llu", (unsigned long long)sim->seed);
    uint64_t one_in = argument();
    if (one_in == 0 || sim->random() % one_in == 0)
        sim->fail("as it was asked");
}

static void crashes(void)
{
    abort();
}

static void sleep_in_callback(void *context)
{
    (void)context;
    sim->sleep(1);
}

static void blocks_the_loop(void)
{
    sim->at(sim->time_ns(), sleep_in_callback, NULL);
    sim->sleep(SECOND);
}

static unsigned datagrams;

static void received(void *context, struct sim_endpoint *endpoint, const struct sim_address *from,
                     const uint8_t *data, uint32_t length)
{
    (void)context, (void)endpoint, (void)from, (void)data, (void)length;
    datagrams++;
}

/* Endpoints among themselves, over a bad path: the seed decides what arrives. */
static void network(void)
{
    struct sim_address a = {4, 0x0102, {192, 0, 2, 1}}, b = {4, 0x0304, {192, 0, 2, 2}};
    struct sim_endpoint *from = sim->endpoint_open(&a, received, NULL);
    struct sim_endpoint *to = sim->endpoint_open(&b, received, NULL);
    struct sim_path path = {.latency_ns = SECOND / 100, .jitter_ns = SECOND / 10, .loss = 16384};
    expect(from && to, "endpoints");
    sim->path(&b, &path);
    for (unsigned i = 0; i < 100; i++) {
        uint8_t data[8] = {(uint8_t)i};
        sim->endpoint_send(from, &b, data, sizeof data);
    }
    sim->sleep(SECOND);
    expect(datagrams > 40 && datagrams < 100, "a quarter is lost");
    sim->log("%u arrived", datagrams);
    sim->endpoint_close(from);
    sim->endpoint_close(to);
}

static const struct {
    const char *name;
    void (*run)(void);
} scenarios[] = {{"idle", idle},       {"adapter", adapter},      {"times", times},    {"fails", fails},
                 {"crashes", crashes}, {"loop", blocks_the_loop}, {"network", network}};

void scenario_main(const struct sim *given)
{
    sim = given;
    for (unsigned i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (sim->argc && !strcmp(sim->argv[0], scenarios[i].name)) {
            scenarios[i].run();
            return;
        }
    }
    sim->fail("no scenario of that name");
}
