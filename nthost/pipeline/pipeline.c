/* The life of a pipeline: the host without Linux edges, the driver, and the benchmark's thread beside the
 * event loop. */
#include "internal.h"

#include "host.h"
#include "io/driver.h"
#include "io/file.h"
#include "ndis/adapter.h"
#include "sched/sched.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define CPUS_MAX 64u

static struct {
    const char *path;
    struct driver *driver;
    void (*run)(void *context);
    void *context;
    int status;
} pipeline;

_Noreturn void pipeline_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("pipeline: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    fflush(NULL);
    _Exit(1);
}

/* ---- life ---- */

static void *run_main(void *unused)
{
    static char error[8192];

    (void)unused;
    sched_thread_adopt("benchmark");
    if (!driver_load(pipeline.path, &pipeline.driver, error, sizeof error))
        pipeline_fail("the driver was not loaded: %s", error);
    pipeline.run(pipeline.context);
    if (!driver_stop(pipeline.driver))
        pipeline_fail("%s has no DriverUnload", pipeline.path);
    sched_thread_disown();
    loop_stop();
    return NULL;
}

int pipeline_main(const char *driver, unsigned cpus, void (*run)(void *context), void *context)
{
    struct stat status;
    pthread_t thread;
    unsigned leaks;

    if (stat(driver, &status) < 0 || !S_ISREG(status.st_mode))
        pipeline_fail("%s is not a file: name the driver's .sys file", driver);
    pipeline.path = driver;
    pipeline.run = run;
    pipeline.context = context;
    host_options.cpus = cpus;
    edges_use();
    sched_initialize(cpus);
    sched_thread_adopt("loop");
    if (pthread_create(&thread, NULL, run_main, NULL))
        pipeline_fail("no thread");
    loop_run();
    pthread_join(thread, NULL);
    leaks = host_count_report_leaks();
    driver_free(pipeline.driver);
    sched_thread_disown();
    sched_shutdown();
    return leaks ? 1 : 0;
}

/* ---- adapters ---- */

struct pipeline_adapter {
    struct ndis_adapter *ndis;
};

struct pipeline_adapter *pipeline_adapter_create(const char *name)
{
    struct ndis_adapter_options options = {.name = name};
    struct pipeline_adapter *adapter = calloc(1, sizeof *adapter);
    char error[512] = "";

    if (!adapter ||
        ndis_adapter_create(driver_object(pipeline.driver), &options, &adapter->ndis, error, sizeof error))
        pipeline_fail("%s: the adapter was not made: %s", name, error);
    gates_install(adapter->ndis);
    return adapter;
}

void pipeline_adapter_destroy(struct pipeline_adapter *adapter)
{
    ndis_adapter_destroy(adapter->ndis);
    free(adapter);
}

int32_t pipeline_control(struct pipeline_adapter *adapter, uint32_t code, const void *in, uint32_t in_length,
                         void *out, uint32_t out_length)
{
    struct io_file *file;
    uint64_t information;
    int32_t status = io_file_open(ndis_adapter_device(adapter->ndis), &io_token_system, &file);

    if (status < 0)
        return status;
    status = io_file_control(file, code, in, in_length, out, out_length, &information);
    io_file_close(file);
    return status;
}

/* ---- threads ---- */

struct call {
    void (*function)(void *context);
    void *context;
    struct sched_thread *waiter, *thread;
    unsigned cpu;
    volatile bool done;
};

static void call_run(void *context)
{
    struct call *call = context;

    call->function(call->context);
    __atomic_store_n(&call->done, true, __ATOMIC_RELEASE);
    sched_wake(call->waiter);
}

static void call_wait(struct call *call)
{
    while (!__atomic_load_n(&call->done, __ATOMIC_ACQUIRE))
        sched_block(SCHED_FOREVER);
}

void pipeline_on_loop(void (*function)(void *context), void *context)
{
    struct call call = {.function = function, .context = context, .waiter = sched_self()};

    loop_post(call_run, &call);
    call_wait(&call);
}

static void on_cpu(void *context)
{
    struct call *call = context;

    sched_affinity_set(1ull << call->cpu);
    call->function(call->context);
}

void pipeline_on_cpus(unsigned count, void (*function)(void *context), void *const *contexts)
{
    struct call calls[CPUS_MAX];

    for (unsigned i = 1; i < count; i++) {
        calls[i] = (struct call){.function = function, .context = contexts[i], .cpu = i};
        calls[i].thread = sched_thread_create("benchmark-cpu", on_cpu, &calls[i]);
        if (!calls[i].thread)
            pipeline_fail("no thread");
    }
    pipeline_on_loop(function, contexts[0]); /* CPU 0 is the loop's */
    for (unsigned i = 1; i < count; i++)
        sched_thread_join(calls[i].thread);
}

/* ---- packets ---- */

void pipeline_send(struct pipeline_adapter *adapter, const struct pipeline_packet *packets, unsigned count)
{
    struct tun_packet burst[256];

    for (unsigned i = 0; i < count;) {
        unsigned part = 0;

        for (; i < count && part < sizeof burst / sizeof *burst; i++, part++) {
            const struct pipeline_packet *packet = &packets[i];
            unsigned version = packet->data[0] >> 4;
            unsigned ip_bytes = version == 4 ? (packet->data[0] & 15u) * 4 : 40;

            burst[part] = (struct tun_packet){.data = packet->data, .length = packet->length};
            if (packet->segment) {
                burst[part].gso_size = packet->segment;
                burst[part].gso_type = version == 4 ? TUN_GSO_TCP4 : TUN_GSO_TCP6;
                burst[part].needs_checksum = true;
                burst[part].checksum_start = (uint16_t)ip_bytes;
                burst[part].checksum_offset = 16; /* of the checksum in a TCP header */
            }
        }
        edges_tun_send(ndis_adapter_tun(adapter->ndis), burst, part);
    }
}

bool pipeline_holds_too_much(const struct pipeline_adapter *adapter)
{
    return edges_tun_paused(ndis_adapter_tun(adapter->ndis));
}

uint32_t pipeline_deliver(uint16_t port)
{
    return sockets_deliver(__builtin_bswap16(port));
}

void pipeline_discard(uint16_t port, bool discard)
{
    sockets_discard(__builtin_bswap16(port), discard);
}

uint64_t pipeline_datagrams(uint16_t port, uint64_t *bytes)
{
    return sockets_received(__builtin_bswap16(port), bytes);
}

uint64_t pipeline_packets(const struct pipeline_adapter *adapter, uint64_t *bytes, uint64_t *writes)
{
    return edges_tun_packets(ndis_adapter_tun(adapter->ndis), bytes, writes);
}
