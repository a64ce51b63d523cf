/* The simulated network: carries datagrams between the driver's sockets and scripted endpoints, under the
 * conditions of the path to the destination.  All that happens later happens in events of the loop thread, in
 * the order of time and then of sending. */
#include "network.h"

#include "edge/functions.h"
#include "host.h"
#include "sched/sched.h"
#include "sched/sim.h"

#include <stdlib.h>

#define FLIGHTS_MAX      65536u
#define FLIGHT_BYTES_MAX (64ull << 20)
#define PROBABILITY_ONE  65536u

struct sim_endpoint {
    struct sim_endpoint *next;
    struct sim_address address;
    sim_endpoint_callback *callback;
    void *context;
};

struct path {
    struct path *next;
    struct sim_address to; /* port 0: all */
    struct sim_path conditions;
};

struct mapping { /* of a NAT */
    struct mapping *next;
    uint16_t port; /* the socket's */
    struct sim_address outside;
};

struct sim_network_counts network_counts;
bool network_moods = true;

static struct sim_endpoint *endpoints, *graveyard;
static struct path *paths;
static struct sim_path default_conditions;
static struct mapping *mappings;
static sim_datagram_callback *tap_callback;
static void *tap_context;

static struct sim_flight *outgoing, **outgoing_tail = &outgoing;
static bool outgoing_posted;
static uint32_t flights;
static uint64_t flight_bytes;

void sim_edges_use(void)
{
    edge_select(&sim_tun, &sim_udp, &sim_net);
}

uint64_t network_below(uint64_t n)
{
    return n > 1 ? sim_random_next(SIM_STREAM_NETWORK) % n : 0;
}

bool network_mood(unsigned n)
{
    return network_moods && network_below(n) == 0;
}

struct sim_network_counts sim_network_counts(void)
{
    return network_counts;
}

void sim_network_moods(bool on)
{
    network_moods = on;
}

/* ---- flights ---- */

static struct sim_flight *flight_make(const struct sim_address *from, const struct sim_address *to,
                                      const uint8_t *data, uint32_t length)
{
    struct sim_flight *flight;

    if (flights >= FLIGHTS_MAX || flight_bytes + length > FLIGHT_BYTES_MAX) {
        network_counts.overflowed++;
        return NULL;
    }
    flight = calloc(1, sizeof *flight + length);
    if (!flight)
        host_fatal("no memory for a simulated datagram");
    flight->from = *from;
    flight->to = *to;
    flight->length = length;
    memcpy(flight->data, data, length);
    flights++;
    flight_bytes += length;
    return flight;
}

/* Out of the network: the caller frees or keeps it. */
static void flight_landed(const struct sim_flight *flight)
{
    flights--;
    flight_bytes -= flight->length;
}

static const struct sim_path *conditions_of(const struct sim_address *to)
{
    const struct path *host = NULL;

    for (const struct path *path = paths; path; path = path->next) {
        if (sim_same_address(&path->to, to))
            return &path->conditions;
        if (path->to.port == 0 && sim_same_host(&path->to, to))
            host = path;
    }
    return host ? &host->conditions : &default_conditions;
}

static const struct mapping *mapping_of(uint16_t port, uint8_t family)
{
    for (const struct mapping *mapping = mappings; mapping; mapping = mapping->next)
        if (mapping->port == port && mapping->outside.family == family)
            return mapping;
    return NULL;
}

static const struct mapping *mapping_to(const struct sim_address *outside)
{
    for (const struct mapping *mapping = mappings; mapping; mapping = mapping->next)
        if (sim_same_address(&mapping->outside, outside))
            return mapping;
    return NULL;
}

/* ---- arriving ---- */

/* From outside a translated socket is reached at its outside address only. False: nobody is there. */
static bool translate_inwards(struct sim_flight *flight)
{
    const struct mapping *mapping;
    struct sim_address inside;

    if (flight->inside)
        return routes_is_local(&flight->to);
    mapping = mapping_to(&flight->to);
    if (mapping) {
        flight->to.port = mapping->port;
        if (routes_is_local(&flight->to))
            return true;
        if (routes_source(&flight->from, NULL, &inside) != 0)
            return false;
        inside.port = mapping->port;
        flight->to = inside;
        return true;
    }
    return routes_is_local(&flight->to) && !mapping_of(flight->to.port, flight->to.family);
}

static void arrive(void *context)
{
    struct sim_flight *flight = context;

    flight_landed(flight);
    sim_note_bytes(flight->data, flight->length);
    for (struct sim_endpoint *endpoint = endpoints; endpoint; endpoint = endpoint->next)
        if (sim_same_address(&endpoint->address, &flight->to)) {
            network_counts.delivered++;
            endpoint->callback(endpoint->context, endpoint, &flight->from, flight->data, flight->length);
            free(flight);
            return;
        }
    if (translate_inwards(flight) && udp_arrived(flight))
        return;
    network_counts.unreachable++;
    free(flight);
}

static void travel(struct sim_flight *flight, const struct sim_path *conditions)
{
    uint64_t delay = conditions->latency_ns;

    if (conditions->jitter_ns)
        delay += network_below(conditions->jitter_ns + 1);
    if (conditions->corrupt && flight->length && network_below(PROBABILITY_ONE) < conditions->corrupt) {
        uint64_t bit = network_below((uint64_t)flight->length * 8);

        flight->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        network_counts.corrupted++;
    }
    sim_at(sched_time_ns() + delay, arrive, flight);
}

/* What the path does to one datagram: it may be lost, or become two. */
static void launch(struct sim_flight *flight)
{
    const struct sim_path *conditions = conditions_of(&flight->to);
    struct sim_flight *copy;

    if (conditions->mtu && flight->length > conditions->mtu) {
        network_counts.too_long++;
    } else if (conditions->down || (conditions->loss && network_below(PROBABILITY_ONE) < conditions->loss)) {
        network_counts.lost++;
    } else {
        if (conditions->duplicate && network_below(PROBABILITY_ONE) < conditions->duplicate) {
            copy = flight_make(&flight->from, &flight->to, flight->data, flight->length);
            if (copy) {
                copy->inside = flight->inside;
                network_counts.duplicated++;
                travel(copy, conditions);
            }
        }
        travel(flight, conditions);
        return;
    }
    flight_landed(flight);
    free(flight);
}

/* ---- leaving ---- */

static void depart_from_socket(struct sim_flight *flight)
{
    const struct mapping *mapping;

    if (tap_callback) {
        struct sim_datagram datagram = {
            .from = flight->from, .to = flight->to, .data = flight->data, .length = flight->length};

        tap_callback(tap_context, &datagram);
    }
    flight->inside = routes_is_local(&flight->to);
    mapping = flight->inside ? NULL : mapping_of(flight->from.port, flight->from.family);
    if (mapping)
        flight->from = mapping->outside;
}

static void depart_all(void *unused)
{
    struct sim_flight *flight, *next;

    (void)unused;
    outgoing_posted = false;
    flight = outgoing;
    outgoing = NULL;
    outgoing_tail = &outgoing;
    for (; flight; flight = next) {
        next = flight->next;
        if (flight->from_socket)
            depart_from_socket(flight);
        launch(flight);
    }
}

static void depart(struct sim_flight *flight)
{
    flight->next = NULL;
    *outgoing_tail = flight;
    outgoing_tail = &flight->next;
    if (!outgoing_posted) {
        outgoing_posted = true;
        sim_at(sched_time_ns(), depart_all, NULL);
    }
}

void network_send(const struct sim_address *from, const struct sim_address *to, const uint8_t *data,
                  uint32_t length)
{
    struct sim_flight *flight = flight_make(from, to, data, length);

    network_counts.sent++;
    if (!flight)
        return;
    flight->from_socket = true;
    depart(flight);
}

void sim_inject(const struct sim_address *from, const struct sim_address *to, const uint8_t *data,
                uint32_t length)
{
    struct sim_flight *flight = flight_make(from, to, data, length);

    if (flight)
        depart(flight);
}

/* ---- endpoints ---- */

struct sim_endpoint *sim_endpoint_open(const struct sim_address *address, sim_endpoint_callback *callback,
                                       void *context)
{
    struct sim_endpoint *endpoint;

    for (endpoint = endpoints; endpoint; endpoint = endpoint->next)
        if (sim_same_address(&endpoint->address, address))
            return NULL;
    if (routes_is_local(address))
        return NULL;
    endpoint = calloc(1, sizeof *endpoint);
    if (!endpoint)
        host_fatal("no memory for a simulated endpoint");
    endpoint->address = *address;
    endpoint->callback = callback;
    endpoint->context = context;
    endpoint->next = endpoints;
    endpoints = endpoint;
    return endpoint;
}

void sim_endpoint_move(struct sim_endpoint *endpoint, const struct sim_address *address)
{
    endpoint->address = *address;
}

void sim_endpoint_send(struct sim_endpoint *endpoint, const struct sim_address *to, const uint8_t *data,
                       uint32_t length)
{
    sim_inject(&endpoint->address, to, data, length);
}

/* Kept until the end: its own callback may close it. */
void sim_endpoint_close(struct sim_endpoint *endpoint)
{
    for (struct sim_endpoint **link = &endpoints; *link; link = &(*link)->next)
        if (*link == endpoint) {
            *link = endpoint->next;
            endpoint->next = graveyard;
            graveyard = endpoint;
            return;
        }
}

/* ---- conditions ---- */

void sim_path(const struct sim_address *to, const struct sim_path *conditions)
{
    struct path **link = &paths;

    if (!to) {
        default_conditions = conditions ? *conditions : (struct sim_path){0};
        return;
    }
    while (*link && !sim_same_address(&(*link)->to, to))
        link = &(*link)->next;
    if (!conditions) {
        struct path *gone = *link;

        if (gone) {
            *link = gone->next;
            free(gone);
        }
        return;
    }
    if (!*link) {
        *link = calloc(1, sizeof **link);
        if (!*link)
            host_fatal("no memory for a simulated path");
        (*link)->to = *to;
    }
    (*link)->conditions = *conditions;
}

void sim_translate(uint16_t port, const struct sim_address *outside)
{
    struct mapping **link = &mappings;

    while (*link) {
        struct mapping *mapping = *link;

        if (mapping->port == port && (!outside || mapping->outside.family == outside->family)) {
            *link = mapping->next;
            free(mapping);
        } else {
            link = &mapping->next;
        }
    }
    if (outside) {
        struct mapping *mapping = calloc(1, sizeof *mapping);

        if (!mapping)
            host_fatal("no memory for a simulated translation");
        *mapping = (struct mapping){mappings, port, *outside};
        mappings = mapping;
    }
}

uint64_t sim_segments_refused_ns(void)
{
    return network_counts.refused_ns;
}

void sim_tap(sim_datagram_callback *callback, void *context)
{
    tap_callback = callback;
    tap_context = context;
}
