/* Where a peer is: an address and a port, and how they are written. */
#pragma once

#include "failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct endpoint {
    uint8_t family; /* 4 or 6; 0: none */
    uint8_t address[16];
    uint16_t port;  /* host order */
    uint32_t scope; /* IPv6: index of the interface, 0 = none */
};

/* "192.0.2.1:5" or "[2001:db8::1%scope]:5". */
#define ENDPOINT_TEXT 96
void endpoint_format(const struct endpoint *endpoint, char text[ENDPOINT_TEXT]);
/* The same text read, addresses only.  false: not valid. */
bool endpoint_parse(const char *text, struct endpoint *endpoint);
/* Asks the resolver for `host` (an address without brackets, or a name), again for a few seconds while it
 * says "try again". */
bool endpoint_resolve(const char *host, uint16_t port, struct endpoint *endpoint, struct failure *failure);
bool endpoint_equal(const struct endpoint *left, const struct endpoint *right);
