/* See network.h. */
#include "network.h"

#include "library.h"

#include <stdlib.h>
#include <string.h>

#define MINIMUM_MTU_6  1280u
#define FAMILY_WAIT_MS 5000u /* IPv4 and IPv6 come to a new interface one after the other */
#define DNS_UNITS      2048

static struct netio_prefix netio_of(const struct config_prefix *prefix)
{
    struct netio_prefix result = {.family = prefix->family, .length = prefix->length};
    memcpy(result.bytes, prefix->bytes, sizeof result.bytes);
    return result;
}

/* ---- addresses and routes ---- */

static DWORD add_address(const NET_LUID *luid, const struct netio_prefix *prefix)
{
    return netio_add_address(luid, prefix);
}

static DWORD add_route(const NET_LUID *luid, const struct netio_prefix *prefix)
{
    return netio_add_route(luid, prefix, 0);
}

struct step {
    DWORD (*take)(const NET_LUID *luid, const struct netio_prefix *prefix);
    const char *what; /* "the %s NAME cannot be ..." */
    bool network;     /* shown without host bits */
};

/* Does the step for each prefix of `wanted` that `has` lacks. */
static bool each_missing(const NET_LUID *luid, const char *name, const struct step *step,
                         const struct config_prefixes *has, const struct config_prefixes *wanted,
                         struct failure *failure)
{
    struct config_prefixes missing;
    char text[CONFIG_PREFIX_TEXT];
    bool done = plan_missing(has, wanted, &missing) || fail(failure, EXIT_REFUSED, "out of memory");
    for (size_t i = 0; done && i < missing.count; i++) {
        struct netio_prefix prefix = netio_of(&missing.items[i]);
        DWORD code = step->take(luid, &prefix);
        if (!code)
            continue;
        config_prefix_format(&missing.items[i], step->network, text);
        done = fail_windows(failure, code, step->what, name, text);
    }
    free(missing.items);
    return done;
}

/* ---- MTU and metric ---- */

static bool set_family(const NET_LUID *luid, const char *name, int index, const struct plan_family *old,
                       const struct plan_family *new, uint32_t mtu, struct failure *failure)
{
    uint8_t family = index == PLAN_IPV4 ? 4 : 6;
    uint32_t metric = new->preferred ? 0 : NETIO_METRIC_KEEP;
    uint32_t allowed = family == 6 && mtu < MINIMUM_MTU_6 ? MINIMUM_MTU_6 : mtu;
    if (old->preferred && !new->preferred)
        metric = NETIO_METRIC_AUTOMATIC;
    DWORD code = netio_set_interface(luid, family, allowed, metric, FAMILY_WAIT_MS);
    return !code ||
           fail_windows(failure, code, "%.100s: the MTU %u of IPv%u cannot be set", name, allowed, family);
}

static bool set_interface(const NET_LUID *luid, const char *name, const struct plan *old, uint32_t old_mtu,
                          const struct plan *new, uint32_t new_mtu, struct failure *failure)
{
    for (int i = 0; i < PLAN_FAMILIES; i++) {
        const struct plan_family *before = &old->families[i], *after = &new->families[i];
        if (after->used && (!before->used || old_mtu != new_mtu || before->preferred != after->preferred) &&
            !set_family(luid, name, i, before, after, new_mtu, failure))
            return false;
    }
    return true;
}

/* ---- DNS ---- */

static bool set_dns(const NET_LUID *luid, const char *name, const struct plan *old, const struct plan *new,
                    struct failure *failure)
{
    WCHAR servers[DNS_UNITS], domains[DNS_UNITS];
    for (int i = 0; i < PLAN_FAMILIES; i++) {
        const struct plan_family *family = &new->families[i];
        if (!plan_dns_differs(&old->families[i], family))
            continue;
        if (!utf16_of(family->has_dns ? family->servers : "", servers, DNS_UNITS) ||
            !utf16_of(family->has_dns ? family->domains : "", domains, DNS_UNITS))
            return fail(failure, EXIT_INVALID, "%.100s: DNS is too long", name);
        DWORD code = netio_set_dns(luid, i == PLAN_IPV4 ? 4 : 6, servers, domains);
        if (code)
            return fail_windows(failure, code, "%.100s: DNS cannot be set", name);
    }
    return true;
}

bool network_change(const NET_LUID *luid, const char *name, const struct plan *old, uint32_t old_mtu,
                    const struct plan *new, uint32_t new_mtu, struct failure *failure)
{
    static const struct step add_addresses = {add_address, "%.100s: the address %s cannot be added", false};
    static const struct step add_routes = {add_route, "%.100s: the route %s cannot be added", true};
    static const struct step drop_addresses = {netio_delete_address,
                                               "%.100s: the address %s cannot be removed", false};
    static const struct step drop_routes = {netio_delete_route, "%.100s: the route %s cannot be removed",
                                            true};
    return each_missing(luid, name, &drop_routes, &new->routes, &old->routes, failure) &&
           each_missing(luid, name, &drop_addresses, &new->addresses, &old->addresses, failure) &&
           set_interface(luid, name, old, old_mtu, new, new_mtu, failure) &&
           each_missing(luid, name, &add_addresses, &old->addresses, &new->addresses, failure) &&
           set_dns(luid, name, old, new, failure) &&
           each_missing(luid, name, &add_routes, &old->routes, &new->routes, failure);
}
