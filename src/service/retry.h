/* When to try again, and when to give up: decisions only, time comes in.  Portable. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RETRY_BOOT_MS    600000u /* after the boot of the machine, drivers and networks may be late */
#define RETRY_LATER_MS   15000u  /* who starts a tunnel by hand waits for the answer */
#define RETRY_FIRST_MS   1000u
#define RETRY_LONGEST_MS 30000u

struct retry {
    uint64_t deadline_ms;
    uint32_t pause_ms;
};

/* `now_ms`: time since the boot.  Within 10 minutes of it: until these are over; later for 15 s. */
void retry_begin(struct retry *retry, uint64_t now_ms);
/* For an adapter that vanished while the tunnel was up: for 10 minutes. */
void retry_begin_again(struct retry *retry, uint64_t now_ms);
/* The pause before the next attempt, twice as long each time; 0: give up. */
uint32_t retry_next(struct retry *retry, uint64_t now_ms);

#define RESTARTS_MAX       5u
#define RESTARTS_WITHIN_MS 600000u

/* The last deaths of what is started again. */
struct restarts {
    uint64_t died_ms[RESTARTS_MAX];
    unsigned count;
};

/* Notes a death.  false: it is the sixth within 10 minutes, so starting it again does not help. */
bool restarts_allow(struct restarts *restarts, uint64_t now_ms);
