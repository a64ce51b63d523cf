/* What the engine needs of the system beside packets: time, randomness, and messages for people.  The event
 * loop is declared in sched/sched.h, whose `loop_` part loop_linux.c implements for the edges. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Monotonic, counts sleep, never 0 (protocol/constants.h). */
uint64_t system_time_ns(void);
/* UTC in 100 ns since 1601. */
uint64_t system_utc_100ns(void);

/* From the system's generator; ends the process when that fails: there are no keys without. */
void system_random(void *buffer, size_t bytes);
/* 32 random bits for delays. */
uint32_t system_jitter(void);

/* Keeps secrets out of swap and of core files, as far as the system allows. */
void system_protect_memory(void);

/* Messages go to stderr until the process is detached, then to the system's log.  Never used for secrets. */
void log_detached(void);
extern bool log_verbose;
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* With --verbose only. */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Before anything else of the loop.  0 or a negative errno. */
int loop_open(void);
