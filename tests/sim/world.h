/* What all parts of the WireGuard scenarios share: the simulation's interface, time, seeded randomness,
 * addresses, and the one place where a broken rule is reported. */
#pragma once

#include "nthost/sim/scenario.h"
#include "protocol/constants.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern const struct sim *sim;

/* Clears the vector registers, in which the scenario's own cryptography leaves keys: the next simulated
 * thread would save them on its stack, where a search finds them.  The calls of `sim` that may switch threads
 * do that themselves; callbacks end with it. */
void forget_registers(void);

/* ---- rules ---- */

/* Ends the run with `rule: ...`.  In a self-check it only notes the rule and returns: checkers go on. */
void violation(const char *rule, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define EXPECT(condition, ...)                                                                               \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            violation("expectation", __VA_ARGS__);                                                           \
    } while (0)

/* Self-check: the harness commits a violation itself and asks whether it was noticed. */
void expect_violations(bool expected);
bool violation_noticed(const char *rule); /* since the last call; forgets it */

/* Allocations fail by chance now: requests may be refused for lack of memory. */
extern bool allocations_fail;
#define STATUS_NO_MEMORY ((int32_t)0xC000009A)

/* ---- time ---- */
static inline uint64_t now_ns(void)
{
    return sim->time_ns();
}
static inline void sleep_ns(uint64_t duration_ns)
{
    sim->sleep(duration_ns);
}
static inline void sleep_s(uint64_t seconds)
{
    sim->sleep(seconds * NS_PER_SECOND);
}
static inline void sleep_ms(uint64_t milliseconds)
{
    sim->sleep(milliseconds * NS_PER_MS);
}
/* Sleeps until that time, if it is not past. */
void sleep_until(uint64_t time_ns);

/* How much later something may be because threads stopped on the way (--stall), each several times; 0: none
 * does. */
static inline uint64_t stalls_ns(void)
{
    return 16 * sim->stall_ns;
}

/* The driver looks at its timers every 100 ms and lets NT delay them by 32 ms more: nothing happens before
 * its time, and nothing later than this. */
#define TIMER_SLACK_NS (150 * NS_PER_MS)

/* ---- randomness of the scenario itself ---- */
uint64_t random_u64(void);
uint32_t random_below(uint32_t limit); /* 0 .. limit - 1; 0 for 0 */
bool random_chance(uint32_t percent);
uint64_t random_between(uint64_t low, uint64_t high); /* both included */
void random_fill(void *out, size_t length);

/* ---- addresses ---- */
struct sim_address address_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d,
                              uint16_t port); /* host order port */
/* 2001:db8:NET::HOST */
struct sim_address address_v6(uint16_t net, uint16_t host, uint16_t port);
bool address_equal(const struct sim_address *a, const struct sim_address *b);
uint16_t address_port(const struct sim_address *address); /* host order */

/* The machine's outer addresses, set up by world_start: 192.0.2.1 and 2001:db8::1. */
struct sim_address machine_address(uint8_t family, uint16_t port);

/* Seeds randomness, brings the machine's addresses up, starts watching the wire. */
void world_start(const struct sim *simulation);
