/* See uapi.h: answers.  Values are checked as strictly as those that users write: what is shown was
 * understood. */
#include "uapi.h"

#include "config_value.h"
#include "crypto/x25519.h"

#include <stdlib.h>
#include <string.h>

enum outcome { FINE, NOT_VALID, NO_MEMORY };

/* Decimal digits only. */
static bool number_of(const char *text, uint64_t maximum, uint64_t *value)
{
    uint64_t sum = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        unsigned digit = (unsigned char)*text - '0';
        if (digit > 9 || sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return sum <= maximum;
}

static enum outcome outcome_of(bool valid)
{
    return valid ? FINE : NOT_VALID;
}

static enum outcome interface_line(struct device *device, const char *key, const char *value)
{
    uint64_t number = 0;
    enum outcome outcome = FINE;
    if (!strcmp(key, "private_key")) {
        outcome = outcome_of(key_from_hex(device->private_key, value, strlen(value)));
        if (outcome == FINE && !key_is_zero(device->private_key))
            x25519_base(device->public_key, device->private_key);
    } else if (!strcmp(key, "listen_port")) {
        outcome = outcome_of(number_of(value, UINT16_MAX, &number));
        device->listen_port = (uint16_t)number;
    } else if (!strcmp(key, "fwmark")) {
        outcome = outcome_of(number_of(value, UINT32_MAX, &number));
        device->fwmark = (uint32_t)number;
    }
    return outcome;
}

static enum outcome allowed_ip_line(struct device_peer *peer, const char *value)
{
    struct config_prefix prefix;
    if (!strchr(value, '/') || !value_prefix(value, strlen(value), &prefix))
        return NOT_VALID;
    return device_peer_add_prefix(peer, &prefix) ? FINE : NO_MEMORY;
}

static enum outcome peer_line(struct device_peer *peer, const char *key, const char *value)
{
    uint64_t number = 0;
    if (!strcmp(key, "preshared_key"))
        return outcome_of(key_from_hex(peer->preshared_key, value, strlen(value)));
    if (!strcmp(key, "endpoint"))
        return outcome_of(endpoint_parse(value, &peer->endpoint));
    if (!strcmp(key, "allowed_ip"))
        return allowed_ip_line(peer, value);
    if (!strcmp(key, "rx_bytes"))
        return outcome_of(number_of(value, UINT64_MAX, &peer->rx_bytes));
    if (!strcmp(key, "tx_bytes"))
        return outcome_of(number_of(value, UINT64_MAX, &peer->tx_bytes));
    enum outcome outcome = FINE;
    if (!strcmp(key, "last_handshake_time_sec")) {
        outcome = outcome_of(number_of(value, INT64_MAX, &number));
        peer->handshake_seconds = (int64_t)number;
    } else if (!strcmp(key, "last_handshake_time_nsec")) {
        outcome = outcome_of(number_of(value, 999999999, &number));
        peer->handshake_nanoseconds = (uint32_t)number;
    } else if (!strcmp(key, "persistent_keepalive_interval")) {
        outcome = outcome_of(number_of(value, UINT16_MAX, &number));
        peer->keepalive = (uint16_t)number;
    }
    return outcome;
}

static enum outcome new_peer(struct device *device, const char *value)
{
    struct device_peer *peer = device_add_peer(device);
    if (!peer)
        return NO_MEMORY;
    return outcome_of(key_from_hex(peer->public_key, value, strlen(value)));
}

bool uapi_get_parse(char *text, size_t length, struct device *device, struct failure *failure)
{
    char *end = text + length;
    for (unsigned line = 1; text < end; line++) {
        char *newline = memchr(text, '\n', (size_t)(end - text));
        if (!newline)
            return fail(failure, EXIT_NO_ANSWER, "%s: line %u of the answer has no end", device->name, line);
        if (newline == text)
            return true;
        *newline = 0;
        char *equals = strchr(text, '=');
        enum outcome outcome = NOT_VALID;
        if (equals && strlen(text) == (size_t)(newline - text)) {
            *equals = 0;
            const char *value = equals + 1;
            if (!strcmp(text, "errno"))
                outcome = FINE; /* uapi_errno() */
            else if (!strcmp(text, "public_key"))
                outcome = new_peer(device, value);
            else if (device->peer_count)
                outcome = peer_line(&device->peers[device->peer_count - 1], text, value);
            else
                outcome = interface_line(device, text, value);
        }
        if (outcome == NO_MEMORY)
            return fail(failure, EXIT_REFUSED, "out of memory");
        if (outcome == NOT_VALID) { /* the value, or a line without a name, may be a key */
            bool name = text[strspn(text, "abcdefghijklmnopqrstuvwxyz_")] == 0;
            return fail(failure, EXIT_NO_ANSWER, "%s: line %u of the answer (%.32s) is not valid",
                        device->name, line,
                        !equals ? "no \"=\""
                        : name  ? text
                                : "not repeated");
        }
        text = newline + 1;
    }
    return fail(failure, EXIT_NO_ANSWER, "%s: the answer has no end", device->name);
}

int uapi_errno(const char *text, size_t length)
{
    static const char name[] = "\nerrno=";
    const char *end = text + length, *at = text, *value = NULL;
    if (length > sizeof name && !strncmp(text, name + 1, sizeof name - 2))
        value = text + sizeof name - 2;
    while ((at = memmem(at, (size_t)(end - at), name, sizeof name - 1)))
        value = at += sizeof name - 1;
    if (!value)
        return -1;
    uint64_t number = 0;
    char digits[12] = "";
    value += value < end && *value == '-';
    for (size_t i = 0; i < sizeof digits - 1 && value < end && *value != '\n'; i++)
        digits[i] = *value++;
    return number_of(digits, INT32_MAX, &number) ? (int)number : -1;
}
