/* See format.h: for people, in colours where that helps (ECMA-48, SGR). */
#include "format.h"

#include <stdio.h>
#include <stdlib.h>

#define RESET  "\x1b[0m"
#define BOLD   "\x1b[1m"
#define RED    "\x1b[31m"
#define GREEN  "\x1b[32m"
#define YELLOW "\x1b[33m"
#define CYAN   "\x1b[36m"

struct painter {
    struct output *output;
    bool colours;
};

static void paint(const struct painter *painter, const char *colour, const char *text)
{
    output_text(painter->output, "%s%s%s", painter->colours ? colour : "", text,
                painter->colours ? RESET : "");
}

static void label(const struct painter *painter, const char *text)
{
    output_text(painter->output, "  ");
    paint(painter, BOLD, text);
    output_text(painter->output, ": ");
}

static void secret(const struct painter *painter, const uint8_t *key, bool show)
{
    if (show)
        output_key(painter->output, key);
    else
        output_text(painter->output, "(hidden)");
    output_text(painter->output, "\n");
}

/* "3 hours": the unit in the plural where it must be. */
static void quantity(const struct painter *painter, uint64_t count, const char *unit)
{
    char text[24];
    snprintf(text, sizeof text, "%s%s", unit, count == 1 ? "" : "s");
    output_text(painter->output, "%llu ", (unsigned long long)count);
    paint(painter, CYAN, text);
}

static void span_of_time(const struct painter *painter, uint64_t seconds)
{
    static const struct {
        const char *name;
        uint64_t seconds;
    } units[] = {{"year", 31536000}, {"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}};
    bool first = true;
    for (unsigned i = 0; i < sizeof units / sizeof *units; i++) {
        uint64_t count = seconds / units[i].seconds;
        seconds %= units[i].seconds;
        if (!count)
            continue;
        if (!first)
            output_text(painter->output, ", ");
        first = false;
        quantity(painter, count, units[i].name);
    }
}

static void handshake(const struct painter *painter, int64_t when, int64_t now)
{
    label(painter, "latest handshake");
    if (when == now) {
        output_text(painter->output, "Now");
    } else if (when > now) {
        output_text(painter->output, "(");
        paint(painter, RED, "System clock wound backward; connection problems may ensue.");
        output_text(painter->output, ")");
    } else {
        span_of_time(painter, (uint64_t)(now - when));
        output_text(painter->output, " ago");
    }
    output_text(painter->output, "\n");
}

static void bytes(const struct painter *painter, uint64_t count)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    if (count < 1024) {
        output_text(painter->output, "%u ", (unsigned)count);
        paint(painter, CYAN, "B");
        return;
    }
    unsigned unit = 0;
    uint64_t scale = 1024;
    while (unit < 3 && count >= scale * 1024) {
        scale *= 1024;
        unit++;
    }
    output_text(painter->output, "%.2f ", (double)count / (double)scale);
    paint(painter, CYAN, units[unit]);
}

static void allowed_ips(const struct painter *painter, const struct config_prefixes *list)
{
    label(painter, "allowed ips");
    if (!list->count)
        output_text(painter->output, "(none)");
    for (size_t i = 0; i < list->count; i++) {
        char text[CONFIG_PREFIX_TEXT], *slash = text;
        config_prefix_format(&list->items[i], false, text);
        while (*slash != '/')
            slash++;
        *slash = 0;
        output_text(painter->output, "%s%s", i ? ", " : "", text);
        paint(painter, CYAN, "/");
        output_text(painter->output, "%s", slash + 1);
    }
    output_text(painter->output, "\n");
}

static void show_peer(const struct painter *painter, const struct device_peer *peer,
                      const struct pretty *pretty)
{
    struct output *output = painter->output;
    output_text(output, "\n%s%s%s: %s", painter->colours ? YELLOW BOLD : "", "peer",
                painter->colours ? RESET : "", painter->colours ? YELLOW : "");
    output_key(output, peer->public_key);
    output_text(output, "%s\n", painter->colours ? RESET : "");
    if (!key_is_zero(peer->preshared_key)) {
        label(painter, "preshared key");
        secret(painter, peer->preshared_key, pretty->show_keys);
    }
    if (peer->endpoint.family) {
        char text[ENDPOINT_TEXT];
        endpoint_format(&peer->endpoint, text);
        label(painter, "endpoint");
        output_text(output, "%s\n", text);
    }
    allowed_ips(painter, &peer->allowed_ips);
    if (peer->handshake_seconds)
        handshake(painter, peer->handshake_seconds, pretty->now);
    if (peer->rx_bytes || peer->tx_bytes) {
        label(painter, "transfer");
        bytes(painter, peer->rx_bytes);
        output_text(output, " received, ");
        bytes(painter, peer->tx_bytes);
        output_text(output, " sent\n");
    }
    if (peer->keepalive) {
        label(painter, "persistent keepalive");
        output_text(output, "every ");
        span_of_time(painter, peer->keepalive);
        output_text(output, "\n");
    }
}

/* The latest handshake first; among equal ones as the adapter listed them. */
static int compare_peers(const void *a, const void *b)
{
    const struct device_peer *left = *(const struct device_peer *const *)a,
                             *right = *(const struct device_peer *const *)b;
    if (left->handshake_seconds != right->handshake_seconds)
        return left->handshake_seconds < right->handshake_seconds ? 1 : -1;
    if (left->handshake_nanoseconds != right->handshake_nanoseconds)
        return left->handshake_nanoseconds < right->handshake_nanoseconds ? 1 : -1;
    return left < right ? -1 : left > right;
}

void format_pretty(struct output *output, const struct device *device, const struct pretty *pretty)
{
    const struct painter painter = {output, pretty->colours};
    const struct device_peer **order = calloc(device->peer_count + 1, sizeof(*order));
    if (!order) {
        output->no_memory = true;
        return;
    }
    output_text(output, "%s%s%s: %s%s%s\n", pretty->colours ? RESET GREEN BOLD : "", "interface",
                pretty->colours ? RESET : "", pretty->colours ? GREEN : "", device->name,
                pretty->colours ? RESET : "");
    if (!key_is_zero(device->public_key)) {
        label(&painter, "public key");
        output_key(output, device->public_key);
        output_text(output, "\n");
    }
    if (!key_is_zero(device->private_key)) {
        label(&painter, "private key");
        secret(&painter, device->private_key, pretty->show_keys);
    }
    if (device->listen_port) {
        label(&painter, "listening port");
        output_text(output, "%u\n", device->listen_port);
    }
    if (device->fwmark) {
        label(&painter, "fwmark");
        output_text(output, "0x%x\n", device->fwmark);
    }
    for (size_t i = 0; i < device->peer_count; i++)
        order[i] = &device->peers[i];
    qsort(order, device->peer_count, sizeof(*order), compare_peers);
    for (size_t i = 0; i < device->peer_count; i++)
        show_peer(&painter, order[i], pretty);
    free(order);
}
