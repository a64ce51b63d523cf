/* The machine that a fuzz target drives: one simulated Windows (nthost's simulation) with the real driver,
 * built for fuzzing, one adapter `fuzz` that is up, and a network.  One for the life of the process; each
 * input begins with the same configuration.  Everything here but machine_start() and machine_run() is called
 * on the job's thread. */
#pragma once

#include "ndis/adapter.h"
#include "sim/edges.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MACHINE_PORT 51820u

/* Loads the driver and brings the adapter up; hands its counters to libFuzzer. Ends the process on failure.
 */
void machine_start(void);
/* Runs job(context) on a simulated thread and serves the machine until it returns. */
void machine_run(void (*job)(void *context), void *context);

struct tun *machine_tun(void);
struct ndis_adapter *machine_adapter(void);
void machine_sleep_ns(uint64_t ns); /* virtual time */
/* One DeviceIoControl of SYSTEM. NTSTATUS. */
int32_t machine_control(uint32_t code, const void *in, uint32_t in_length, void *out, uint32_t out_length,
                        uint64_t *information);
/* An address of the driver's side or of a peer: last byte of 192.0.2.0/24 or of 2001:db8::/64. */
struct sim_address machine_address(bool ipv6, uint8_t last, uint16_t port);
/* What the driver did is not what it has to do: prints and aborts. */
_Noreturn void machine_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
