/* The time and the events of these tests. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

void world_seed(uint64_t seed);
void world_run(void); /* until nothing is due */
void world_run_for(uint64_t ns);
void world_on_loop(bool is); /* what loop_is_self() says */
