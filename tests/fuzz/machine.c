/* The machine under the driver: nthost's own parts, simulated; reports of the verify rules become crashes. */
#include "machine.h"

#include "host.h"
#include "io/driver.h"
#include "io/file.h"
#include "loader/image_private.h"
#include "sched/sched.h"
#include "sched/sim.h"

#include <wyrm/control.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED           1u
#define SWITCH_RATE    1024u /* of 2^16 imports: enough for other orders, few enough for speed */
#define IMPORT_COST_NS 100u

static struct driver *driver;
static struct ndis_adapter *adapter;

/* ---- what libFuzzer gets to see ---- */

void __sanitizer_cov_8bit_counters_init(uint8_t *start, uint8_t *stop);
void __sanitizer_cov_pcs_init(const uintptr_t *start, const uintptr_t *stop);
void __sanitizer_cov_trace_cmp1(uint8_t left, uint8_t right);
void __sanitizer_cov_trace_cmp2(uint16_t left, uint16_t right);
void __sanitizer_cov_trace_cmp4(uint32_t left, uint32_t right);
void __sanitizer_cov_trace_cmp8(uint64_t left, uint64_t right);
void __sanitizer_cov_trace_const_cmp1(uint8_t left, uint8_t right);
void __sanitizer_cov_trace_const_cmp2(uint16_t left, uint16_t right);
void __sanitizer_cov_trace_const_cmp4(uint32_t left, uint32_t right);
void __sanitizer_cov_trace_const_cmp8(uint64_t left, uint64_t right);
void __sanitizer_cov_trace_switch(uint64_t value, uint64_t *cases);

/* From the driver's calling convention to the host's. */
#define COMPARE(name, type)                                                                                  \
    __attribute__((ms_abi)) static void on_##name(uint64_t left, uint64_t right)                             \
    {                                                                                                        \
        __sanitizer_cov_trace_##name((type)left, (type)right);                                               \
    }
COMPARE(cmp1, uint8_t)
COMPARE(cmp2, uint16_t)
COMPARE(cmp4, uint32_t)
COMPARE(cmp8, uint64_t)
COMPARE(const_cmp1, uint8_t)
COMPARE(const_cmp2, uint16_t)
COMPARE(const_cmp4, uint32_t)
COMPARE(const_cmp8, uint64_t)
__attribute__((ms_abi)) static void on_switch(uint64_t value, uint64_t *cases)
{
    __sanitizer_cov_trace_switch(value, cases);
}

/* Layout: nt/runtime/fuzz.c. */
static void *const callbacks[9] = {on_cmp1,       on_cmp2,       on_cmp4,       on_cmp8,  on_const_cmp1,
                                   on_const_cmp2, on_const_cmp4, on_const_cmp8, on_switch};

static void *section(const struct image *image, const char *name, size_t *size)
{
    for (unsigned i = 0; i < image->pe.section_count; i++) {
        if (strcmp(image->pe.sections[i].name, name) == 0) {
            *size = image->pe.sections[i].virtual_size;
            return image->base + image->pe.sections[i].rva;
        }
    }
    return NULL;
}

static void give_counters_to_fuzzer(const struct image *image)
{
    size_t counters_size, places_size, table_size;
    uint8_t *counters = section(image, ".SCOV", &counters_size);
    uint8_t *places = section(image, ".SCOVP", &places_size);
    void *table = section(image, ".fuzzcb", &table_size);
    if (!counters || !places || !table) {
        host_info("the driver was not built for fuzzing: inputs run, nothing is learnt from them");
        return;
    }
    if (places_size != counters_size * 16 || table_size != sizeof callbacks)
        host_fatal("the driver's coverage sections are not what the fuzzer expects");
    __sanitizer_cov_8bit_counters_init(counters, counters + counters_size);
    __sanitizer_cov_pcs_init((const uintptr_t *)(void *)places,
                             (const uintptr_t *)(void *)(places + places_size));
    memcpy(table, callbacks, sizeof callbacks);
}

/* Verify reports and a stuck simulation end the process; libFuzzer is to keep the input. */
_Noreturn void __wrap__exit(int status);
_Noreturn void __wrap__exit(int status)
{
    fprintf(stderr, "fuzz: the host would end with status %d\n", status);
    abort();
}

/* ---- the machine ---- */

struct sim_address machine_address(bool ipv6, uint8_t last, uint16_t port)
{
    struct sim_address address = {.family = ipv6 ? 6 : 4, .port = __builtin_bswap16(port)};
    static const uint8_t v4[4] = {192, 0, 2, 0}, v6[16] = {0x20, 0x01, 0x0d, 0xb8};
    memcpy(address.bytes, ipv6 ? v6 : v4, ipv6 ? 16 : 4);
    address.bytes[ipv6 ? 15 : 3] = last;
    return address;
}

static void start_job(void *context)
{
    char error[8192] = "";
    const char *path = getenv("WYRM_FUZZ_DRIVER");
    uint32_t verb = WYRM_ADAPTER_UP;
    if (!driver_load(path ? path : WYRM_FUZZ_DRIVER_DEFAULT, &driver, error, sizeof error))
        host_fatal("%s", error);
    give_counters_to_fuzzer(driver_image(driver));
    struct ndis_adapter_options options = {.name = "fuzz"};
    if (ndis_adapter_create(driver_object(driver), &options, &adapter, error, sizeof error))
        host_fatal("%s", error);
    struct sim_address here[2] = {machine_address(false, 1, 0), machine_address(true, 1, 0)};
    sim_machine_address(&here[0], true);
    sim_machine_address(&here[1], true);
    if (machine_control(WYRM_IOCTL_STATE, &verb, sizeof verb, NULL, 0, NULL) < 0)
        host_fatal("the adapter does not come up");
}

void machine_start(void)
{
    struct sim_settings settings = {
        .seed = SEED, .switch_rate = SWITCH_RATE, .import_cost_ns = IMPORT_COST_NS};
    host_options.verify = true;
    sim_start(&settings);
    sim_edges_use();
    sim_network_moods(false);
    sched_initialize(1);
    machine_run(start_job, NULL);
}

struct job {
    void (*function)(void *context);
    void *context;
};

static void job_main(void *argument)
{
    const struct job *job = argument;
    job->function(job->context);
    loop_stop();
}

void machine_run(void (*function)(void *context), void *context)
{
    struct job job = {function, context};
    struct sched_thread *thread = sched_thread_create("fuzz", job_main, &job);
    if (!thread)
        host_fatal("no thread");
    loop_run();
    sched_thread_join(thread);
}

struct tun *machine_tun(void)
{
    return ndis_adapter_tun(adapter);
}

struct ndis_adapter *machine_adapter(void)
{
    return adapter;
}

void machine_sleep_ns(uint64_t ns)
{
    uint64_t deadline = sched_time_ns() + ns;
    while (sched_time_ns() < deadline)
        sched_block(deadline);
}

int32_t machine_control(uint32_t code, const void *in, uint32_t in_length, void *out, uint32_t out_length,
                        uint64_t *information)
{
    struct io_file *file;
    uint64_t ignored = 0;
    int32_t status = io_file_open(ndis_adapter_device(adapter), &io_token_system, &file);
    if (status < 0)
        return status;
    status =
        io_file_control(file, code, in, in_length, out, out_length, information ? information : &ignored);
    io_file_close(file);
    return status;
}

void machine_wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("fuzz: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}
