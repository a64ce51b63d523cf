/* See format_event.h. */
#include "format_event.h"

#include "endpoint.h"

#include <stdio.h>
#include <string.h>

#define WORDS_MAX 3

/* The words of each kind and of its values, by their numbers; NULL: no such number. */
static const struct {
    const char *kind;
    const char *values[WORDS_MAX];
} kinds[] = {
    [WYRM_EVENT_HANDSHAKE] = {"handshake",
                              {[WYRM_HANDSHAKE_BY_US] = "by-us", [WYRM_HANDSHAKE_BY_PEER] = "by-peer"}},
    [WYRM_EVENT_ENDPOINT] = {"endpoint", {NULL}},
    [WYRM_EVENT_EXPIRED] = {"expired",
                            {[WYRM_EXPIRED_NO_ANSWER] = "no-answer", [WYRM_EXPIRED_IDLE] = "idle"}},
    [WYRM_EVENT_ADAPTER_STATE] = {"state", {[WYRM_ADAPTER_DOWN] = "down", [WYRM_ADAPTER_UP] = "up"}},
    [WYRM_EVENT_LOG_LOST] = {"log-lost",
                             {[WYRM_LOG_OVERWRITTEN] = "overwritten", [WYRM_LOG_SUPPRESSED] = "suppressed"}},
};

struct words {
    char kind[24], detail[24];
};

static void words_of(const struct wyrm_ioctl_event *event, struct words *words)
{
    const char *kind = event->kind < sizeof kinds / sizeof *kinds ? kinds[event->kind].kind : NULL;
    const char *value = kind && event->value < WORDS_MAX ? kinds[event->kind].values[event->value] : NULL;
    if (kind)
        snprintf(words->kind, sizeof words->kind, "%s", kind);
    else
        snprintf(words->kind, sizeof words->kind, "kind-%u", event->kind);
    if (value)
        snprintf(words->detail, sizeof words->detail, "%s", value);
    else if (event->value)
        snprintf(words->detail, sizeof words->detail, "value-%u", event->value);
    else
        words->detail[0] = 0;
}

static bool has_key(const struct wyrm_ioctl_event *event)
{
    static const uint8_t none[WYRM_KEY_LENGTH];
    return memcmp(event->public_key, none, sizeof none) != 0;
}

/* false: there is none. */
static bool endpoint_of(const struct wyrm_ioctl_event *event, char text[ENDPOINT_TEXT])
{
    const struct wyrm_ioctl_endpoint *from = &event->endpoint;
    const uint8_t *port = (const uint8_t *)&from->port;
    struct endpoint endpoint = {.port = (uint16_t)(port[0] << 8 | port[1])};
    if (from->family == WYRM_FAMILY_IPV4) {
        endpoint.family = 4;
        memcpy(endpoint.address, from->u.ipv4.address, sizeof from->u.ipv4.address);
    } else if (from->family == WYRM_FAMILY_IPV6) {
        endpoint.family = 6;
        memcpy(endpoint.address, from->u.ipv6.address, sizeof from->u.ipv6.address);
        endpoint.scope = from->u.ipv6.scope_id;
    } else {
        return false;
    }
    endpoint_format(&endpoint, text);
    return true;
}

void format_event(struct output *output, const struct wyrm_ioctl_event *event, bool json)
{
    struct words words;
    char endpoint[ENDPOINT_TEXT];
    words_of(event, &words);
    bool placed = endpoint_of(event, endpoint);
    output_text(output, json ? "{\"time\":\"" : "");
    output_timestamp(output, event->timestamp);
    if (json)
        output_text(output, "\",\"sequence\":%llu,\"event\":\"%s\"%s%s%s",
                    (unsigned long long)event->sequence, words.kind, words.detail[0] ? ",\"detail\":\"" : "",
                    words.detail, words.detail[0] ? "\"" : "");
    else
        output_text(output, " %-9s", words.kind);
    if (has_key(event)) {
        output_text(output, json ? ",\"peer\":\"" : " ");
        output_key(output, event->public_key);
        output_text(output, json ? "\"" : "");
    }
    if (placed)
        output_text(output, json ? ",\"endpoint\":\"%s\"" : " %s", endpoint);
    if (json)
        output_text(output, "}\n");
    else
        output_text(output, "%s%s\n", words.detail[0] ? " " : "", words.detail);
}

void format_events_lost(struct output *output, uint64_t count, bool json)
{
    if (count)
        output_text(output, json ? "{\"lost\":%llu}\n" : "(%llu events came too fast to be kept)\n",
                    (unsigned long long)count);
}
