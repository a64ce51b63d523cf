/* The members of `struct sim` that are about time, threads and adapters; those of the simulated edges are in
 * their own files (edges.h). */
#include "sim/run_internal.h"

#include "ex/callback.h"
#include "io/driver.h"
#include "io/file.h"
#include "ndis/adapter.h"
#include "sched/sched.h"
#include "sched/sim.h"
#include "sim/edges.h"
#include "sim/network.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OID_PNP_SET_POWER_VALUE 0xfd010101u
#define DEVICE_STATE_D0         1u
#define DEVICE_STATE_D3         4u
/* \Callback\PowerState: PO_CB_SYSTEM_STATE_LOCK; the second argument: 0 the system is about to leave S0, 1 it
 * is back.  Source: Microsoft, ExRegisterCallback. */
#define POWER_STATE_LOCK 3u

struct sim_adapter {
    struct ndis_adapter *ndis;
    sim_packet_callback *callback;
    void *context;
    struct sim_adapter *next;
};

struct sim_thread {
    struct sched_thread *thread;
    void (*start)(void *context);
    void *context;
};

static struct driver *the_driver;
static struct sim_adapter *adapters;

void api_set_driver(struct driver *driver)
{
    the_driver = driver;
}

static void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (!memory)
        run_fail("no memory");
    return memory;
}

static void must_not_be_the_loop(const char *member)
{
    if (loop_is_self())
        run_fail("%s() was called in a callback, which must not block", member);
}

/* ---- time, randomness, threads ---- */

static void api_sleep(uint64_t duration_ns)
{
    must_not_be_the_loop("sleep");
    uint64_t until = sched_time_ns() + duration_ns;
    while (sched_time_ns() < until)
        sched_block(until);
}

static void system_notify(uint64_t back)
{
    callback_notify("\\Callback\\PowerState", (void *)(uintptr_t)POWER_STATE_LOCK, (void *)(uintptr_t)back);
}

static void adapters_power(uint32_t state)
{
    for (struct sim_adapter *adapter = adapters; adapter; adapter = adapter->next) {
        uint32_t bytes;
        int32_t status =
            ndis_adapter_oid(adapter->ndis, true, OID_PNP_SET_POWER_VALUE, &state, sizeof state, &bytes);
        if (status != 0)
            run_log("OID_PNP_SET_POWER to state %u: 0x%08x", state, (unsigned)status);
    }
}

/* As NDIS does for a miniport that does not ask to stay unpaused (NDIS_PAUSE_LOW_POWER). */
static void api_suspend(uint64_t duration_ns)
{
    must_not_be_the_loop("suspend");
    run_log("the machine sleeps for %.3f s", (double)duration_ns / 1e9);
    system_notify(0);
    for (struct sim_adapter *adapter = adapters; adapter; adapter = adapter->next)
        ndis_adapter_pause(adapter->ndis);
    adapters_power(DEVICE_STATE_D3);
    sim_pass_suspended(duration_ns);
    adapters_power(DEVICE_STATE_D0);
    for (struct sim_adapter *adapter = adapters; adapter; adapter = adapter->next)
        ndis_adapter_restart(adapter->ndis);
    system_notify(1);
}

static uint64_t api_random(void)
{
    return sim_random_next(SIM_STREAM_SCENARIO);
}

static void thread_main(void *context)
{
    struct sim_thread *thread = context;
    thread->start(thread->context);
}

static struct sim_thread *api_spawn(const char *name, void (*start)(void *context), void *context)
{
    char full[16];
    snprintf(full, sizeof full, "scenario-%s", name);
    struct sim_thread *thread = allocate(sizeof *thread);
    *thread = (struct sim_thread){.start = start, .context = context};
    thread->thread = sched_thread_create(full, thread_main, thread);
    if (!thread->thread)
        run_fail("spawn(\"%s\"): too many threads", name);
    return thread;
}

static void api_join(struct sim_thread *thread)
{
    must_not_be_the_loop("join");
    sched_thread_join(thread->thread);
    free(thread);
}

/* ---- adapters ---- */

/* The configuration of an adapter: as the driver's INF file leaves it, or with offloads switched by the seed.
 */
static void draw_keywords(void)
{
    static const char *const keywords[] = {"*IPChecksumOffloadIPv4",
                                           "*TCPChecksumOffloadIPv4",
                                           "*TCPChecksumOffloadIPv6",
                                           "*UDPChecksumOffloadIPv4",
                                           "*UDPChecksumOffloadIPv6",
                                           "*LsoV2IPv4",
                                           "*LsoV2IPv6",
                                           "*UsoIPv4",
                                           "*UsoIPv6",
                                           "*RscIPv4",
                                           "*RscIPv6"};
    enum { COUNT = sizeof keywords / sizeof *keywords, CHECKSUMS = 5 };
    static char settings[COUNT][40];
    ndis_keyword_clear();
    if (!network_moods || sim_random_next(SIM_STREAM_TUN) % 2)
        return;
    uint64_t random = sim_random_next(SIM_STREAM_TUN);
    bool off = random % 4 == 0;
    for (unsigned i = 0; i < COUNT; i++) {
        random = sim_random_next(SIM_STREAM_TUN);
        if (!off && random % 2)
            continue;
        snprintf(settings[i], sizeof settings[i], "%s=%u", keywords[i],
                 off ? 0 : (unsigned)(random / 2 % (i < CHECKSUMS ? 4 : 2)));
        ndis_keyword_set(settings[i]);
        run_log("%s", settings[i]);
    }
}

static struct sim_adapter *api_adapter_create(const char *name)
{
    char error[512] = "";
    struct ndis_adapter_options options = {.name = name};
    struct sim_adapter *adapter = allocate(sizeof *adapter);
    must_not_be_the_loop("adapter_create");
    draw_keywords();
    if (ndis_adapter_create(driver_object(the_driver), &options, &adapter->ndis, error, sizeof error)) {
        run_log("%s: the adapter was not made: %s", name, error);
        free(adapter);
        return NULL;
    }
    struct sim_adapter **link = &adapters;
    while (*link)
        link = &(*link)->next;
    *link = adapter;
    return adapter;
}

static void api_adapter_destroy(struct sim_adapter *adapter)
{
    must_not_be_the_loop("adapter_destroy");
    struct sim_adapter **link = &adapters;
    while (*link && *link != adapter)
        link = &(*link)->next;
    if (!*link)
        run_fail("adapter_destroy: no such adapter");
    *link = adapter->next;
    ndis_adapter_destroy(adapter->ndis);
    free(adapter);
}

void api_finish(void)
{
    while (adapters)
        api_adapter_destroy(adapters);
}

static int32_t api_adapter_pause(struct sim_adapter *adapter)
{
    return ndis_adapter_pause(adapter->ndis);
}

static int32_t api_adapter_restart(struct sim_adapter *adapter)
{
    return ndis_adapter_restart(adapter->ndis);
}

static void api_adapter_surprise_remove(struct sim_adapter *adapter)
{
    ndis_adapter_surprise_remove(adapter->ndis);
}

static int32_t api_adapter_pnp(struct sim_adapter *adapter, uint8_t minor)
{
    return io_pnp(ndis_adapter_device(adapter->ndis), minor);
}

static int32_t api_adapter_oid(struct sim_adapter *adapter, bool set, uint32_t oid, void *buffer,
                               uint32_t length, uint32_t *bytes)
{
    uint32_t ignored;
    return ndis_adapter_oid(adapter->ndis, set, oid, buffer, length, bytes ? bytes : &ignored);
}

static bool api_adapter_link_up(struct sim_adapter *adapter)
{
    return ndis_adapter_link_up(adapter->ndis);
}

static int32_t api_control(struct sim_adapter *adapter, uint32_t code, const void *in, uint32_t in_length,
                           void *out, uint32_t out_length, uint64_t *information)
{
    struct io_file *file;
    uint64_t ignored;
    must_not_be_the_loop("control");
    int32_t status = io_file_open(ndis_adapter_device(adapter->ndis), &io_token_system, &file);
    if (status < 0)
        return status;
    status =
        io_file_control(file, code, in, in_length, out, out_length, information ? information : &ignored);
    io_file_close(file);
    return status;
}

/* ---- packets ---- */

static void api_packet_send(struct sim_adapter *adapter, const uint8_t *packet, uint32_t length)
{
    sim_tun_send(ndis_adapter_tun(adapter->ndis), packet, length);
}

static void packet_received(void *context, const uint8_t *packet, uint32_t length)
{
    struct sim_adapter *adapter = context;
    adapter->callback(adapter->context, adapter, packet, length);
}

static void api_packet_receive(struct sim_adapter *adapter, sim_packet_callback *callback, void *context)
{
    adapter->callback = callback;
    adapter->context = context;
    sim_tun_receiver(ndis_adapter_tun(adapter->ndis), callback ? packet_received : NULL, adapter);
}

static void api_set_mtu(struct sim_adapter *adapter, uint32_t mtu)
{
    tun_set_mtu(ndis_adapter_tun(adapter->ndis), mtu);
}

void api_fill(struct sim *sim)
{
    *sim = (struct sim){
        .abi = SCENARIO_ABI,
        .time_ns = sched_time_ns,
        .system_time_100ns = sched_time_system_100ns,
        .step_system_time = sim_step_system_time,
        .suspend = api_suspend,
        .sleep = api_sleep,
        .at = sim_at,
        .random = api_random,
        .spawn = api_spawn,
        .join = api_join,
        .log = run_log,
        .fail = run_fail,
        .adapter_create = api_adapter_create,
        .adapter_destroy = api_adapter_destroy,
        .adapter_pause = api_adapter_pause,
        .adapter_restart = api_adapter_restart,
        .adapter_surprise_remove = api_adapter_surprise_remove,
        .adapter_pnp = api_adapter_pnp,
        .adapter_oid = api_adapter_oid,
        .adapter_link_up = api_adapter_link_up,
        .control = api_control,
        .packet_send = api_packet_send,
        .packet_receive = api_packet_receive,
        .set_mtu = api_set_mtu,
        .machine_address = sim_machine_address,
        .translate = sim_translate,
        .endpoint_open = sim_endpoint_open,
        .endpoint_move = sim_endpoint_move,
        .endpoint_send = sim_endpoint_send,
        .endpoint_close = sim_endpoint_close,
        .inject = sim_inject,
        .path = sim_path,
        .tap = sim_tap,
        .segments_refused_ns = sim_segments_refused_ns,
        .memory_search = sim_memory_search,
        .pool_bytes = sim_pool_bytes,
        .pool_bytes_peak = sim_pool_bytes_peak,
        .fail_allocations = sim_fail_allocations,
    };
}
