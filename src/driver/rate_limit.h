/* The driver-wide limit of handshakes per source address (protocol/rate_limiter.h), used only under load. */
#pragma once

#include "nt/ws2.h"

#include <stdbool.h>
#include <stdint.h>

void rate_limit_initialize(void);
void rate_limit_uninitialize(void); /* PASSIVE_LEVEL */
/* Takes a token of the source's bucket; false: none left, or no memory for the table.  PASSIVE_LEVEL. */
bool rate_limit_allow(const SOCKADDR_INET *from, uint64_t now_ns);
