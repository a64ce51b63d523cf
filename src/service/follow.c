/* See follow.h. */
#include "follow.h"

#include "endpoint_policy.h"
#include "log.h"
#include "resolve.h"
#include "win/netio.h"
#include "win/network_watch.h"

#include <stdlib.h>
#include <string.h>

#define QUIET_MS  1000u
#define LOOK_MS   5000u /* between two looks at the peers' counters */
#define ACTIONS   8     /* of one peer in one look: a question and an answer at once are two */
#define MS_PER_S  1000u
#define NS_PER_MS 1000000u
#define EPOCH_MS  11644473600000u /* from 1601 to 1970 */

struct followed {
    const struct config_peer *peer; /* of follow->config */
    struct endpoint_policy policy;
    struct resolve *resolve; /* NULL: no question is under way */
};

static void changed(void *context)
{
    struct follow *follow = context;
    InterlockedExchange(&follow->network_changed, 1);
    SetEvent(follow->event);
}

/* Milliseconds since 1970: the clock by which adapters tell handshakes.  When it is set, a question more may
 * be asked. */
static uint64_t clock_ms(void)
{
    FILETIME now;
    GetSystemTimeAsFileTime(&now);
    return ((uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime) / 10000 - EPOCH_MS;
}

void follow_start(struct follow *follow)
{
    *follow = (struct follow){.event = CreateEventW(NULL, FALSE, FALSE, NULL)};
    DWORD code =
        follow->event ? network_watch_start(&follow->watch, QUIET_MS, changed, follow) : GetLastError();
    if (code)
        log_line(LOG_WARNING, "changes of the network are not noticed: code %lu", code);
}

/* ---- peers ---- */

static const struct device_peer *find(const struct device *device, const struct config_peer *peer)
{
    for (size_t i = 0; i < device->peer_count; i++)
        if (!memcmp(device->peers[i].public_key, peer->public_key, KEY_LENGTH))
            return &device->peers[i];
    return NULL;
}

static bool is_name(const struct config_peer *peer)
{
    BYTE address[16];
    return peer->endpoint_host && inet_pton(AF_INET, peer->endpoint_host, address) != 1 &&
           !strchr(peer->endpoint_host, ':');
}

void follow_nothing(struct follow *follow)
{
    for (size_t i = 0; i < follow->peer_count; i++)
        resolve_end(follow->peers[i].resolve);
    free(follow->peers);
    follow->peers = NULL;
    follow->peer_count = 0;
    follow->tunnel = NULL;
}

static bool read_device(const struct follow *follow, struct device *device)
{
    struct failure failure;
    struct backend *backend = follow->tunnel->backend;
    if (backend->get(backend, device, &failure))
        return true;
    device_free(device);
    return false; /* the runner finds out why */
}

void follow_tunnel(struct follow *follow, struct tunnel *tunnel, const struct config *config)
{
    struct device device = {0};
    follow_nothing(follow);
    follow->tunnel = tunnel;
    follow->config = config;
    size_t count = 0;
    for (size_t i = 0; i < config->peer_count; i++)
        count += is_name(&config->peers[i]);
    if (!count)
        return;
    /* Without it the policies begin with no address, and ask. */
    bool known = read_device(follow, &device);
    follow->peers = calloc(count, sizeof *follow->peers);
    if (!follow->peers)
        log_line(LOG_WARNING, "no memory for following the endpoints' names");
    for (size_t i = 0; follow->peers && i < config->peer_count; i++) {
        if (!is_name(&config->peers[i]))
            continue;
        struct followed *followed = &follow->peers[follow->peer_count++];
        const struct device_peer *now = known ? find(&device, &config->peers[i]) : NULL;
        followed->peer = &config->peers[i];
        endpoint_policy_begin(&followed->policy, now && now->endpoint.family ? &now->endpoint : NULL,
                              clock_ms());
    }
    if (known)
        device_free(&device);
    SetEvent(follow->event);
}

/* ---- what the policy wants ---- */

static void use_address(const struct follow *follow, const struct followed *followed,
                        const struct endpoint *address)
{
    struct change change = {0};
    struct failure failure;
    char text[ENDPOINT_TEXT];
    struct backend *backend = follow->tunnel->backend;
    struct peer_change *peer = change_add_peer(&change, followed->peer->public_key);
    endpoint_format(address, text);
    fail(&failure, EXIT_REFUSED, "out of memory");
    if (peer) {
        peer->has_endpoint = true;
        peer->endpoint = *address;
    }
    if (peer && backend->set(backend, &change, &failure))
        log_line(LOG_INFO, "the endpoint %.200s is now %s", followed->peer->endpoint_host, text);
    else
        log_line(LOG_WARNING, "the endpoint %.200s cannot become %s: %s", followed->peer->endpoint_host, text,
                 failure.text);
    change_free(&change);
}

/* When to look at the answer again at the latest. */
static uint32_t take_answer(struct followed *followed, uint64_t now_ms)
{
    struct endpoint addresses[ENDPOINT_ADDRESSES];
    size_t count = 0;
    DWORD code = 0;
    uint32_t wait_ms = LOOK_MS;
    if (!followed->resolve || !resolve_take(followed->resolve, addresses, &count, &code, &wait_ms))
        return wait_ms;
    resolve_end(followed->resolve);
    followed->resolve = NULL;
    if (!count)
        log_line(LOG_WARNING, "the endpoint %.200s cannot be resolved: code %lu",
                 followed->peer->endpoint_host, code);
    endpoint_policy_answer(&followed->policy, addresses, count, now_ms);
    return LOOK_MS;
}

static void ask(struct follow *follow, struct followed *followed, uint64_t now_ms)
{
    resolve_end(followed->resolve);
    followed->resolve =
        resolve_start(followed->peer->endpoint_host, followed->peer->endpoint_port, follow->event);
    if (!followed->resolve)
        endpoint_policy_answer(&followed->policy, NULL, 0, now_ms);
}

static uint64_t handshake_ms(const struct device_peer *peer)
{
    return (uint64_t)peer->handshake_seconds * MS_PER_S + peer->handshake_nanoseconds / NS_PER_MS;
}

static uint32_t look_at(struct follow *follow, struct followed *followed, const struct device *device,
                        uint64_t now_ms)
{
    const struct device_peer *peer = find(device, followed->peer);
    struct endpoint address;
    if (!peer) /* taken away by somebody else */
        return LOOK_MS;
    endpoint_policy_counters(&followed->policy, peer->tx_bytes, handshake_ms(peer), &peer->endpoint, now_ms);
    uint32_t wait_ms = take_answer(followed, now_ms);
    for (int i = 0; i < ACTIONS; i++) {
        enum endpoint_action action = endpoint_policy_poll(&followed->policy, now_ms, &address);
        if (action == ENDPOINT_WAIT)
            break;
        if (action == ENDPOINT_ASK)
            ask(follow, followed, now_ms);
        else
            use_address(follow, followed, &address);
    }
    uint64_t due_ms = endpoint_policy_due(&followed->policy);
    if (due_ms <= now_ms)
        return 0;
    return due_ms - now_ms < wait_ms ? (uint32_t)(due_ms - now_ms) : wait_ms;
}

/* ---- the network ---- */

/* A default route beside the tunnel's. */
static bool has_route(const struct tunnel *tunnel, ADDRESS_FAMILY family)
{
    SOCKADDR_INET any = {.si_family = family};
    NET_LUID luid;
    uint32_t mtu;
    return netio_way_to(&any, &tunnel->luid, &luid, &mtu) == 0;
}

static void take_change(struct follow *follow)
{
    struct failure failure;
    uint32_t before = follow->tunnel->mtu;
    bool ipv4 = has_route(follow->tunnel, AF_INET), ipv6 = has_route(follow->tunnel, AF_INET6);
    for (size_t i = 0; i < follow->peer_count; i++)
        endpoint_policy_network(&follow->peers[i].policy, ipv4, ipv6);
    if (!tunnel_follow_mtu(follow->tunnel, follow->config, &failure))
        log_line(LOG_WARNING, "the MTU cannot follow the network: %s", failure.text);
    else if (follow->tunnel->mtu != before)
        log_line(LOG_INFO, "the MTU is now %u", follow->tunnel->mtu);
}

uint32_t follow_look(struct follow *follow)
{
    struct device device = {0};
    uint32_t least = LOOK_MS;
    if (!follow->tunnel)
        return LOOK_MS;
    if (InterlockedExchange(&follow->network_changed, 0))
        take_change(follow);
    if (!follow->peer_count || !read_device(follow, &device))
        return LOOK_MS;
    uint64_t now_ms = clock_ms();
    for (size_t i = 0; i < follow->peer_count; i++) {
        uint32_t wait_ms = look_at(follow, &follow->peers[i], &device, now_ms);
        if (wait_ms < least)
            least = wait_ms;
    }
    device_free(&device);
    return least;
}

void follow_end(struct follow *follow)
{
    network_watch_stop(follow->watch);
    follow_nothing(follow);
    if (follow->event)
        CloseHandle(follow->event);
    *follow = (struct follow){0};
}
