/* See world.h. */
#include "world.h"
#include "wire.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct sim *sim;
bool allocations_fail;

static uint64_t random_state;
static bool violations_expected;
static char noticed[64];

void violation(const char *rule, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (!violations_expected)
        sim->fail("%s: %s", rule, text);
    snprintf(noticed, sizeof(noticed), "%s", rule);
}

void expect_violations(bool expected)
{
    violations_expected = expected;
    noticed[0] = 0;
}

bool violation_noticed(const char *rule)
{
    bool same = strcmp(noticed, rule) == 0;
    noticed[0] = 0;
    return same;
}

void sleep_until(uint64_t time_ns)
{
    uint64_t now = now_ns();
    if (time_ns > now)
        sim->sleep(time_ns - now);
}

/* splitmix64 */
uint64_t random_u64(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t random_below(uint32_t limit)
{
    return limit ? (uint32_t)((random_u64() >> 32) * limit >> 32) : 0;
}

bool random_chance(uint32_t percent)
{
    return random_below(100) < percent;
}

uint64_t random_between(uint64_t low, uint64_t high)
{
    return low + random_u64() % (high - low + 1);
}

void random_fill(void *out, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((uint8_t *)out)[i] = (uint8_t)(random_u64() >> 56);
}

static uint16_t network_order(uint16_t host)
{
    return (uint16_t)(host << 8 | host >> 8);
}

struct sim_address address_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (struct sim_address){.family = 4, .port = network_order(port), .bytes = {a, b, c, d}};
}

struct sim_address address_v6(uint16_t net, uint16_t host, uint16_t port)
{
    return (struct sim_address){.family = 6,
                                .port = network_order(port),
                                .bytes = {0x20, 0x01, 0x0d, 0xb8, (uint8_t)(net >> 8),
                                          (uint8_t)net, [14] = (uint8_t)(host >> 8), [15] = (uint8_t)host}};
}

bool address_equal(const struct sim_address *a, const struct sim_address *b)
{
    return a->family == b->family && a->port == b->port &&
           memcmp(a->bytes, b->bytes, a->family == 4 ? 4 : 16) == 0;
}

uint16_t address_port(const struct sim_address *address)
{
    return network_order(address->port);
}

struct sim_address machine_address(uint8_t family, uint16_t port)
{
    return family == 4 ? address_v4(192, 0, 2, 1, port) : address_v6(0, 1, port);
}

void forget_registers(void)
{
    __asm__ volatile("pxor %%xmm0, %%xmm0\n\tpxor %%xmm1, %%xmm1\n\tpxor %%xmm2, %%xmm2\n\t"
                     "pxor %%xmm3, %%xmm3\n\tpxor %%xmm4, %%xmm4\n\tpxor %%xmm5, %%xmm5\n\t"
                     "pxor %%xmm6, %%xmm6\n\tpxor %%xmm7, %%xmm7\n\tpxor %%xmm8, %%xmm8\n\t"
                     "pxor %%xmm9, %%xmm9\n\tpxor %%xmm10, %%xmm10\n\tpxor %%xmm11, %%xmm11\n\t"
                     "pxor %%xmm12, %%xmm12\n\tpxor %%xmm13, %%xmm13\n\tpxor %%xmm14, %%xmm14\n\t"
                     "pxor %%xmm15, %%xmm15" ::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                           "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

/* ---- the calls that may switch threads ---- */

static const struct sim *host;

static void clean_sleep(uint64_t duration_ns)
{
    forget_registers();
    host->sleep(duration_ns);
}

static void clean_suspend(uint64_t duration_ns)
{
    forget_registers();
    host->suspend(duration_ns);
}

static void clean_join(struct sim_thread *thread)
{
    forget_registers();
    host->join(thread);
}

static struct sim_adapter *clean_create(const char *name)
{
    forget_registers();
    return host->adapter_create(name);
}

static void clean_destroy(struct sim_adapter *adapter)
{
    forget_registers();
    host->adapter_destroy(adapter);
}

static int32_t clean_control(struct sim_adapter *adapter, uint32_t code, const void *in, uint32_t in_length,
                             void *out, uint32_t out_length, uint64_t *information)
{
    forget_registers();
    return host->control(adapter, code, in, in_length, out, out_length, information);
}

void world_start(const struct sim *simulation)
{
    static struct sim clean;
    host = simulation;
    clean = *simulation;
    clean.sleep = clean_sleep;
    clean.suspend = clean_suspend;
    clean.join = clean_join;
    clean.adapter_create = clean_create;
    clean.adapter_destroy = clean_destroy;
    clean.control = clean_control;
    sim = &clean;
    random_state = sim->random() ^ sim->seed;
    struct sim_address v4 = machine_address(4, 0), v6 = machine_address(6, 0);
    sim->machine_address(&v4, true);
    sim->machine_address(&v6, true);
    wire_watch();
}
