/* See config_value.h. */
#include "config_value.h"

#include "sockets.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool value_is(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && !strncasecmp(text, word, length);
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

static bool parse_digits(const char *text, size_t length, int base, uint64_t *value)
{
    uint64_t sum = 0;
    if (!length || length > 15)
        return false;
    for (size_t i = 0; i < length; i++) {
        int digit = digit_of(text[i]);
        if (digit >= base)
            return false;
        sum = sum * (unsigned)base + (unsigned)digit;
    }
    *value = sum;
    return true;
}

bool value_number(const char *text, size_t length, uint64_t minimum, uint64_t maximum, uint64_t *value)
{
    return parse_digits(text, length, 10, value) && *value >= minimum && *value <= maximum;
}

bool value_fwmark(const char *text, size_t length, uint32_t *mark)
{
    uint64_t value = 0;
    if (!value_is(text, length, "off")) {
        bool hexadecimal = length > 2 && text[0] == '0' && (text[1] | 0x20) == 'x';
        if (!parse_digits(text + (hexadecimal ? 2 : 0), length - (hexadecimal ? 2 : 0), hexadecimal ? 16 : 10,
                          &value) ||
            value > UINT32_MAX)
            return false;
    }
    *mark = (uint32_t)value;
    return true;
}

bool value_prefix(const char *text, size_t length, struct config_prefix *prefix)
{
    char address[64];
    const char *slash = memchr(text, '/', length);
    size_t address_length = slash ? (size_t)(slash - text) : length;
    uint64_t bits;
    if (!address_length || address_length >= sizeof address || memchr(text, 0, length))
        return false;
    memcpy(address, text, address_length);
    address[address_length] = 0;
    memset(prefix, 0, sizeof *prefix);
    if (inet_pton(AF_INET, address, prefix->bytes) == 1) {
        prefix->family = 4;
        prefix->length = 32;
    } else if (inet_pton(AF_INET6, address, prefix->bytes) == 1) {
        prefix->family = 6;
        prefix->length = 128;
    } else {
        return false;
    }
    if (slash) {
        if (!value_number(slash + 1, length - address_length - 1, 0, prefix->length, &bits))
            return false;
        prefix->length = (uint8_t)bits;
    }
    return true;
}

bool value_domain(const char *text, size_t length)
{
    size_t label = 0;
    if (length && text[length - 1] == '.')
        length--;
    if (!length || length > 253)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '.') {
            if (!label)
                return false;
            label = 0;
        } else if (isalnum((unsigned char)text[i]) || text[i] == '_' || (text[i] == '-' && label)) {
            if (++label > 63)
                return false;
        } else {
            return false;
        }
    }
    return label != 0;
}

/* An IPv6 address with an optional %scope of the characters of interface names. */
static bool is_ipv6(const char *text)
{
    char address[64];
    struct in6_addr bytes;
    const char *percent = strchr(text, '%');
    size_t length = percent ? (size_t)(percent - text) : strlen(text);
    if (length >= sizeof address || (percent && !config_name_valid(percent + 1)))
        return false;
    memcpy(address, text, length);
    address[length] = 0;
    return inet_pton(AF_INET6, address, &bytes) == 1;
}

bool value_endpoint(const char *text, size_t length, char **host, uint16_t *port)
{
    const char *colon = memrchr(text, ':', length);
    uint64_t number;
    if (!colon || memchr(text, 0, length) ||
        !value_number(colon + 1, length - (size_t)(colon + 1 - text), 1, UINT16_MAX, &number))
        return false;
    size_t host_length = (size_t)(colon - text);
    bool bracketed = host_length > 2 && text[0] == '[' && colon[-1] == ']';
    if (bracketed) {
        text++;
        host_length -= 2;
    }
    char *copy = strndup(text, host_length);
    if (!copy)
        return false;
    bool valid = bracketed ? is_ipv6(copy) : value_domain(copy, host_length);
    /* A name of only digits and dots must be an IPv4 address: "1.2.3.400" is a mistake, not a name. */
    struct in_addr ipv4;
    if (valid && !bracketed && strspn(copy, "0123456789.") == host_length)
        valid = inet_pton(AF_INET, copy, &ipv4) == 1;
    if (!valid) {
        free(copy);
        return false;
    }
    *host = copy;
    *port = (uint16_t)number;
    return true;
}

bool config_name_valid(const char *name)
{
    size_t length = strlen(name);
    if (!length || length > 15 || !strcmp(name, ".") || !strcmp(name, ".."))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("_=+.-", name[i]))
            return false;
    return true;
}

struct config_prefix config_prefix_network(const struct config_prefix *prefix)
{
    struct config_prefix network = {.family = prefix->family, .length = prefix->length};
    memcpy(network.bytes, prefix->bytes, prefix->family == 4 ? 4 : 16);
    for (unsigned bit = prefix->length; bit < (prefix->family == 4 ? 32u : 128u); bit++)
        network.bytes[bit / 8] &= (uint8_t)~(0x80u >> bit % 8);
    return network;
}

void config_prefix_format(const struct config_prefix *prefix, bool network, char *text)
{
    struct config_prefix shown = network ? config_prefix_network(prefix) : *prefix;
    char address[INET6_ADDRSTRLEN];
    inet_ntop(prefix->family == 4 ? AF_INET : AF_INET6, shown.bytes, address, sizeof address);
    size_t length = strlen(address);
    memcpy(text, address, length);
    text[length] = '/';
    unsigned bits = prefix->length, at = 0;
    char digits[4];
    do
        digits[at++] = (char)('0' + bits % 10);
    while (bits /= 10);
    for (size_t i = 0; i < at; i++)
        text[length + 1 + i] = digits[at - 1 - i];
    text[length + 1 + at] = 0;
}
