/* What the files of the simulated scheduler share among themselves. */
#pragma once

#include "sim.h"

#define SIM_YIELD_NS 1000u /* virtual time of a turn of a spinning thread */

extern uint32_t sim_switch_rate, sim_import_cost_ns;
extern uint64_t sim_stall_ns;

/* sim_fiber.c */
void sim_fibers_start(void); /* the calling thread becomes the first fiber */
/* sim_time.c */
void sim_time_add(uint64_t ns);
void sim_time_reach(uint64_t time_ns); /* nothing happens before */
