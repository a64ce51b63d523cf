/* See tunnel.h. */
#include "tunnel.h"

#include "change.h"
#include "transport.h"
#include "win/netio.h"

#include <stdio.h>
#include <string.h>

#define TUNNEL_HEADERS  80u /* IPv6, UDP and WireGuard around a packet: as wg-quick counts */
#define DEFAULT_WAY_MTU 1500u
#define MINIMUM_MTU     576u
#define MINIMUM_MTU_6   1280u
#define FAMILY_WAIT_MS  5000u /* IPv4 and IPv6 come to a new interface one after the other */

static struct netio_prefix netio_of(const struct config_prefix *prefix)
{
    struct netio_prefix result = {.family = prefix->family, .length = prefix->length};
    memcpy(result.bytes, prefix->bytes, sizeof result.bytes);
    return result;
}

static bool configure_peers(const char *name, const struct config *config, struct change *change,
                            struct failure *failure)
{
    change->has_private_key = true;
    memcpy(change->private_key, config->private_key, KEY_LENGTH);
    change->has_listen_port = true;
    change->listen_port = config->listen_port;
    change->replace_peers = true;
    return change_add_config_peers(change, config, failure) && transport_set(name, change, failure);
}

/* That of the way to the endpoints without the headers of the tunnel. */
static uint32_t automatic_mtu(const struct tunnel *tunnel, const struct change *change)
{
    uint32_t least = 0;
    for (size_t i = 0; i < change->peer_count; i++) {
        const struct endpoint *endpoint = &change->peers[i].endpoint;
        SOCKADDR_INET to = {0};
        NET_LUID through;
        uint32_t mtu;
        to.si_family = endpoint->family == 4 ? AF_INET : AF_INET6;
        if (endpoint->family == 4)
            memcpy(&to.Ipv4.sin_addr, endpoint->address, 4);
        else
            memcpy(&to.Ipv6.sin6_addr, endpoint->address, 16);
        if (change->peers[i].has_endpoint && netio_way_to(&to, &tunnel->luid, &through, &mtu) == 0 &&
            (!least || mtu < least))
            least = mtu;
    }
    if (!least || least > DEFAULT_WAY_MTU)
        least = DEFAULT_WAY_MTU;
    return least - TUNNEL_HEADERS < MINIMUM_MTU ? MINIMUM_MTU : least - TUNNEL_HEADERS;
}

/* A default route of the tunnel must be preferred to the one that there is: the interface's metric is 0 then.
 */
static bool has_default(const struct config *config, uint8_t family)
{
    for (size_t i = 0; i < config->peer_count; i++)
        for (size_t k = 0; k < config->peers[i].allowed_ips.count; k++)
            if (config->peers[i].allowed_ips.items[k].family == family &&
                !config->peers[i].allowed_ips.items[k].length)
                return true;
    return false;
}

static bool wants_family(const struct config *config, uint8_t family)
{
    for (size_t i = 0; i < config->addresses.count; i++)
        if (config->addresses.items[i].family == family)
            return true;
    for (size_t i = 0; i < config->peer_count; i++)
        for (size_t k = 0; k < config->peers[i].allowed_ips.count; k++)
            if (config->peers[i].allowed_ips.items[k].family == family)
                return true;
    return false;
}

static bool set_interface(const struct tunnel *tunnel, const char *name, const struct config *config,
                          uint32_t mtu, struct failure *failure)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        if (!wants_family(config, family))
            continue;
        uint32_t metric =
            config->table != CONFIG_TABLE_OFF && has_default(config, family) ? 0 : NETIO_METRIC_KEEP;
        uint32_t allowed = family == 6 && mtu < MINIMUM_MTU_6 ? MINIMUM_MTU_6 : mtu;
        DWORD code = netio_set_interface(&tunnel->luid, family, allowed, metric, FAMILY_WAIT_MS);
        if (code)
            return fail_windows(failure, code, "%.100s: the MTU %u of IPv%u cannot be set", name, allowed,
                                family);
    }
    return true;
}

static bool add_addresses(const struct tunnel *tunnel, const char *name, const struct config *config,
                          struct failure *failure)
{
    char text[CONFIG_PREFIX_TEXT];
    for (size_t i = 0; i < config->addresses.count; i++) {
        struct netio_prefix address = netio_of(&config->addresses.items[i]);
        DWORD code = netio_add_address(&tunnel->luid, &address);
        if (!code)
            continue;
        config_prefix_format(&config->addresses.items[i], false, text);
        return fail_windows(failure, code, "%.100s: the address %s cannot be added", name, text);
    }
    return true;
}

static bool add_routes(const struct tunnel *tunnel, const char *name, const struct config *config,
                       struct failure *failure)
{
    char text[CONFIG_PREFIX_TEXT];
    for (size_t i = 0; config->table != CONFIG_TABLE_OFF && i < config->peer_count; i++) {
        const struct config_prefixes *prefixes = &config->peers[i].allowed_ips;
        for (size_t k = 0; k < prefixes->count; k++) {
            struct netio_prefix destination = netio_of(&prefixes->items[k]);
            DWORD code = netio_add_route(&tunnel->luid, &destination, 0);
            if (!code)
                continue;
            config_prefix_format(&prefixes->items[k], true, text);
            return fail_windows(failure, code, "%.100s: the route %s cannot be added", name, text);
        }
    }
    return true;
}

static bool join(WCHAR *list, size_t units, const char *text)
{
    size_t used = wcslen(list);
    if (used && used + 1 < units)
        list[used++] = L',';
    return used < units && utf16_of(text, list + used, (int)(units - used));
}

static bool set_dns(struct tunnel *tunnel, const char *name, const struct config *config,
                    struct failure *failure)
{
    WCHAR servers[2][2048] = {L"", L""}, domains[2048] = L"";
    DWORD code = 0;
    bool fits = true;
    for (size_t i = 0; fits && i < config->dns_servers.count; i++) {
        const char *server = config->dns_servers.items[i];
        fits = join(servers[strchr(server, ':') != NULL], 2048, server);
    }
    for (size_t i = 0; fits && i < config->dns_domains.count; i++)
        fits = join(domains, 2048, config->dns_domains.items[i]);
    if (!fits)
        return fail(failure, EXIT_INVALID, "%.100s: DNS is too long", name);
    if (servers[0][0] || (domains[0] && !servers[1][0])) {
        code = netio_set_dns(&tunnel->luid, 4, servers[0], domains);
        tunnel->dns4 = !code;
    }
    if (!code && servers[1][0]) {
        code = netio_set_dns(&tunnel->luid, 6, servers[1], domains);
        tunnel->dns6 = !code;
    }
    return !code || fail_windows(failure, code, "%.100s: DNS cannot be set", name);
}

/* The same file name gets the same GUID each time, so that Windows knows the network again. */
static GUID guid_of(const char *name)
{
    /* FNV-1a over the name, twice; no secret and no protection: other names only should get other GUIDs. */
    uint64_t low = 0xcbf29ce484222325u, high = 0x84222325cbf29ce4u;
    GUID guid;
    for (; *name; name++) {
        low = (low ^ (uint8_t)*name) * 0x100000001b3u;
        high = (high ^ (uint8_t)*name) * 0x100000001b3u + 0x9e37u;
    }
    memcpy(&guid, &low, 8);
    memcpy((uint8_t *)&guid + 8, &high, 8);
    guid.Data3 =
        (uint16_t)((guid.Data3 & 0x0FFF) | 0x8000); /* RFC 9562 section 5.8: made to one's own rules */
    guid.Data4[0] = (uint8_t)((guid.Data4[0] & 0x3F) | 0x80);
    return guid;
}

bool tunnel_open(struct tunnel *tunnel, const char *name, const struct config *config,
                 struct failure *failure)
{
    WCHAR wide[WIREGUARD_MAX_ADAPTER_NAME];
    GUID guid = guid_of(name);
    struct change change = {0};
    *tunnel = (struct tunnel){.library = library_load(failure)};
    if (!tunnel->library)
        return false;
    if (!utf16_of(name, wide, WIREGUARD_MAX_ADAPTER_NAME))
        return fail(failure, EXIT_USAGE,
                    "\"%.60s\" cannot be the name of an adapter: use 1 to 127 characters", name);
    tunnel->adapter = tunnel->library->create(wide, L"" WYRM_VENDOR_NAME, &guid);
    if (!tunnel->adapter)
        return fail_windows(failure, GetLastError(), "%.100s: the adapter cannot be created", name);
    tunnel->library->luid(tunnel->adapter, &tunnel->luid);
    bool done = configure_peers(name, config, &change, failure);
    uint32_t mtu = config->mtu ? config->mtu : automatic_mtu(tunnel, &change);
    done = done && set_interface(tunnel, name, config, mtu, failure) &&
           add_addresses(tunnel, name, config, failure) && set_dns(tunnel, name, config, failure) &&
           add_routes(tunnel, name, config, failure);
    if (done && !tunnel->library->set_state(tunnel->adapter, WIREGUARD_ADAPTER_STATE_UP))
        done = fail_windows(failure, GetLastError(), "%.100s: the adapter cannot be brought up", name);
    change_free(&change);
    if (!done)
        tunnel_close(tunnel);
    return done;
}

void tunnel_close(struct tunnel *tunnel)
{
    if (tunnel->dns4)
        netio_set_dns(&tunnel->luid, 4, L"", L"");
    if (tunnel->dns6)
        netio_set_dns(&tunnel->luid, 6, L"", L"");
    tunnel->library->close(tunnel->adapter); /* addresses and routes go with it */
}
