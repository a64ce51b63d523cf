/* Values of a configuration file: each parses one trimmed text of `length` bytes and says whether it is
 * valid.
 */
#pragma once

#include "config.h"

bool value_number(const char *text, size_t length, uint64_t minimum, uint64_t maximum, uint64_t *value);
/* "address" or "address/length". */
bool value_prefix(const char *text, size_t length, struct config_prefix *prefix);
/* A host name or domain: labels of letters, digits, '-' and '_', joined by dots. */
bool value_domain(const char *text, size_t length);
/* "host:port", "1.2.3.4:port", "[ipv6]:port" with an optional %scope; allocates *host. */
bool value_endpoint(const char *text, size_t length, char **host, uint16_t *port);
/* "off", decimal, or 0x hexadecimal. */
bool value_fwmark(const char *text, size_t length, uint32_t *mark);
bool value_is(const char *text, size_t length, const char *word); /* case-insensitive */
