/* See node.h. */
#include "node.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OID_XMIT_OK UINT32_C(0x00020101)
#define OID_RCV_OK  UINT32_C(0x00020102)

#define ANSWER_MAX_BYTES 65536

/* ---- keys of ends ---- */

static struct {
    uint8_t key[32], end;
} keys[256];
static int keys_count;

void end_register(uint8_t end, const uint8_t public_key[32])
{
    if (keys_count == sizeof(keys) / sizeof(keys[0]))
        sim->fail("too many keys in one scenario");
    memcpy(keys[keys_count].key, public_key, 32);
    keys[keys_count++].end = end;
}

uint8_t end_of_key(const uint8_t public_key[32])
{
    for (int i = keys_count - 1; i >= 0; i--)
        if (memcmp(keys[i].key, public_key, 32) == 0)
            return keys[i].end;
    return END_NONE;
}

void ends_reset(void)
{
    keys_count = 0;
}

/* ---- life ---- */

static void on_packet(void *context, struct sim_adapter *adapter, const uint8_t *packet, uint32_t length)
{
    node_packet(context, packet, length);
}

void node_create(struct node *node, uint8_t end)
{
    char name[8];
    *node = (struct node){.end = end};
    snprintf(name, sizeof(name), "wg%u", end);
    node->adapter = sim->adapter_create(name);
    if (!node->adapter)
        sim->fail("an adapter was refused");
    sim->packet_receive(node->adapter, on_packet, node);
}

void node_destroy(struct node *node)
{
    if (node->adapter)
        sim->adapter_destroy(node->adapter);
    node->adapter = NULL;
    node->up = false;
}

/* ---- control ---- */

int32_t node_set(struct node *node, const struct config *config)
{
    struct config copy = *config;
    uint64_t information = 0;
    /* Every other time all or nothing: then a failure leaves no doubt. */
    bool atomic = node->sets++ % 2 == 1;
    node->model_before = node->model;
    node->changing = true;
    if (sim->stall_ns)
        flow_expect_any(node->end); /* what was sent may not have reached the driver yet */
    int32_t status = sim->control(node->adapter, atomic ? WYRM_IOCTL_SET_ATOMIC : WYRM_IOCTL_SET, NULL, 0,
                                  copy.bytes, copy.length, &information);
    if (status == STATUS_OK) {
        model_apply(&node->model, config);
        if (node->model.has_key)
            end_register(node->end, node->model.public_key);
        if (node->model.port)
            node->port = node->model.port;
        if (information != config->length)
            violation("control", "SET used %llu of %u bytes", (unsigned long long)information,
                      config->length);
    } else if (!atomic) {
        node->uncertain = true;
    } else if (information != 0) {
        violation("control", "SET_ATOMIC failed and used %llu bytes", (unsigned long long)information);
    }
    node->changing = false;
    node->changed_ns = now_ns();
    return status;
}

int32_t node_state(struct node *node, uint32_t verb, uint32_t *out)
{
    uint64_t information = 0;
    uint32_t answer = 0xffffffff;
    int32_t status = sim->control(node->adapter, WYRM_IOCTL_STATE, &verb, sizeof(verb), &answer,
                                  verb == WYRM_ADAPTER_QUERY ? sizeof(answer) : 0, &information);
    if (out)
        *out = answer;
    return status;
}

void node_up(struct node *node)
{
    int32_t status = node_state(node, WYRM_ADAPTER_UP, NULL);
    EXPECT(status == (node->up ? STATUS_ALREADY : STATUS_OK), "Up: status %08x", (uint32_t)status);
    EXPECT(sim->adapter_link_up(node->adapter), "the link is not up after Up");
    node->up = true;
    node->port = node_get_port(node);
    EXPECT(node->port != 0, "an adapter is up without a port");
    if (!node->model.port)
        node->model.port = node->port; /* chosen, and kept from now on */
}

void node_down(struct node *node)
{
    int32_t status = node_state(node, WYRM_ADAPTER_DOWN, NULL);
    EXPECT(status == (node->up ? STATUS_OK : STATUS_ALREADY), "Down: status %08x", (uint32_t)status);
    EXPECT(!sim->adapter_link_up(node->adapter), "the link is up after Down");
    node->up = false;
}

void node_pause(struct node *node)
{
    int32_t status = sim->adapter_pause(node->adapter);
    EXPECT(status == STATUS_OK, "pause: status %08x", (uint32_t)status);
    node->paused = true;
    node->paused_ns = now_ns();
}

void node_restart(struct node *node)
{
    node->paused = false;
    int32_t status = sim->adapter_restart(node->adapter);
    EXPECT(status == STATUS_OK, "restart: status %08x", (uint32_t)status);
}

void node_identity(struct node *node, const uint8_t private_key[32], uint16_t port)
{
    struct config *config = malloc(sizeof(*config));
    config_begin(config);
    config_private_key(config, private_key);
    config_port(config, port);
    int32_t status = node_set(node, config);
    free(config);
    EXPECT(status == STATUS_OK, "SET of the identity: status %08x", (uint32_t)status);
}

void node_add_peer(struct node *node, uint8_t end, const uint8_t public_key[32],
                   const struct sim_address *endpoint, const uint8_t *psk, uint16_t keepalive)
{
    struct config *config = malloc(sizeof(*config));
    config_begin(config);
    config_peer(config, public_key, WYRM_PEER_REPLACE_ALLOWED_IPS);
    if (endpoint)
        config_endpoint(config, endpoint);
    if (psk)
        config_preshared_key(config, psk);
    config_keepalive(config, keepalive);
    config_allow_end(config, end);
    int32_t status = node_set(node, config);
    free(config);
    EXPECT(status == STATUS_OK, "SET of a peer: status %08x", (uint32_t)status);
}

void node_remove_peer(struct node *node, const uint8_t public_key[32])
{
    struct config *config = malloc(sizeof(*config));
    config_begin(config);
    config_peer(config, public_key, WYRM_PEER_REMOVE);
    int32_t status = node_set(node, config);
    free(config);
    EXPECT(status == STATUS_OK, "SET that removes a peer: status %08x", (uint32_t)status);
}

/* ---- packets ---- */

static uint8_t lookup_in(const struct model *model, const struct inner_address *address)
{
    const struct model_peer *peer = model_lookup(model, address);
    return peer ? end_of_key(peer->public_key) : END_NONE;
}

static bool is_settled(const struct node *node)
{
    return !node->changing && now_ns() - node->changed_ns > CHANGE_SETTLES_NS + stalls_ns();
}

uint8_t node_lookup(const struct node *node, const struct inner_address *address)
{
    uint8_t now = lookup_in(&node->model, address);
    if (node->uncertain || (node->changing && node->model.peers_count == 0))
        return END_ANY;
    if (!is_settled(node) && (node->changing || lookup_in(&node->model_before, address) != now))
        return END_ANY;
    return now;
}

void node_send(struct node *node, int flow, uint32_t length)
{
    uint8_t packet[FLOW_PACKET_MAX];
    length = flow_build(flow, packet, length, node_lookup(node, flow_destination(flow)));
    sim->packet_send(node->adapter, packet, length);
}

void node_packet(struct node *node, const uint8_t *packet, uint32_t length)
{
    struct inner_address source, destination;
    node->packets_in++;
    node->last_in_ns = now_ns();
    if (!ip_parse(packet, length, &source, &destination)) {
        violation("delivered-malformed", "adapter %u handed up %u bytes without an IP header", node->end,
                  length);
        return;
    }
    uint8_t allowed = node_lookup(node, &source), sender = flow_sender(packet, length);
    if (allowed != END_ANY && allowed != sender)
        violation("source-not-allowed", "adapter %u handed up a packet of end %u; its source belongs to %u",
                  node->end, sender, allowed);
    /* What was handed up before the pause may have waited for the simulated TUN's thread since. */
    if (node->paused && now_ns() - node->paused_ns >= stalls_ns())
        violation("received-while-paused", "adapter %u handed up a packet while paused", node->end);
    flow_delivered(node->end, packet, length);
}

/* ---- what it says about itself ---- */

static uint64_t get(struct node *node, uint8_t *answer)
{
    uint64_t length = 0;
    memset(answer, 0, ANSWER_MAX_BYTES);
    int32_t status = sim->control(node->adapter, WYRM_IOCTL_GET, NULL, 0, answer, ANSWER_MAX_BYTES, &length);
    if (status == STATUS_NO_MEMORY && allocations_fail)
        return 0;
    EXPECT(status == STATUS_OK, "GET: status %08x", (uint32_t)status);
    return length;
}

static void check_counter(struct node *node, uint32_t oid, uint64_t *last)
{
    uint64_t value = 0;
    uint32_t bytes = 0;
    int32_t status = sim->adapter_oid(node->adapter, false, oid, &value, sizeof(value), &bytes);
    EXPECT(status == STATUS_OK && bytes == 8, "OID %08x: status %08x, %u bytes", oid, (uint32_t)status,
           bytes);
    if (value < *last)
        violation("statistics", "OID %08x went from %llu to %llu", oid, (unsigned long long)*last,
                  (unsigned long long)value);
    *last = value;
}

void node_check(struct node *node)
{
    uint8_t *answer = malloc(ANSWER_MAX_BYTES);
    uint64_t length = get(node, answer);
    if (!node->uncertain && length)
        model_compare(&node->model, answer, length);
    free(answer);
    check_counter(node, OID_XMIT_OK, &node->oid_sent);
    check_counter(node, OID_RCV_OK, &node->oid_received);
}

struct wyrm_ioctl_peer node_get_peer(struct node *node, const uint8_t public_key[32])
{
    struct wyrm_ioctl_peer found = {0};
    uint8_t *answer = malloc(ANSWER_MAX_BYTES);
    get(node, answer);
    const struct wyrm_ioctl_interface *interface = (const struct wyrm_ioctl_interface *)answer;
    const uint8_t *place = (const uint8_t *)(interface + 1);
    for (uint32_t i = 0; i < interface->peers_count; i++) {
        const struct wyrm_ioctl_peer *peer = (const struct wyrm_ioctl_peer *)place;
        if (memcmp(peer->public_key, public_key, 32) == 0)
            found = *peer;
        place += sizeof(*peer) + peer->allowed_ips_count * sizeof(struct wyrm_ioctl_allowed_ip);
    }
    free(answer);
    return found;
}

uint16_t node_get_port(struct node *node)
{
    uint8_t *answer = malloc(ANSWER_MAX_BYTES);
    get(node, answer);
    uint16_t port = ((const struct wyrm_ioctl_interface *)answer)->listen_port;
    free(answer);
    return port;
}

struct sim_address node_address(const struct node *node, uint8_t family)
{
    return machine_address(family, node->port);
}
