/* What the parts of the program share. */
#pragma once

#include "sim/network.h"
#include "world.h"

#include "sched/sched.h"

#include <errno.h>

extern const struct sim_address machine4, machine6;
struct sim_address at_port(const struct sim_address *host, uint16_t port); /* host order */
struct sim_address peer4(uint8_t last, uint16_t port);

void test_sockets(void);
void test_tun(void);
