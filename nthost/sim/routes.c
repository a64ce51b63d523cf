/* The simulated machine's interfaces, addresses and routes: one network interface, one interface for each
 * adapter.  Changes are told to subscribers on the loop thread. */
#include "edge/functions.h"
#include "host.h"
#include "network.h"
#include "sched/sched.h"
#include "sched/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NETWORK_NAME   "eth0"
#define NETWORK_MTU    1500u
#define IPV6_MTU_MIN   1280u
#define MTU_MIN        68u
#define LINK_UP        0x1u   /* IFF_UP */
#define TYPE_ETHERNET  1u     /* ARPHRD_ETHER */
#define TYPE_NONE      65534u /* ARPHRD_NONE, as a TUN */
#define TABLE_MAIN     254u
#define TABLE_LOCAL    255u
#define INTERFACES_MAX 64u
#define ADDRESSES_MAX  64u
#define ROUTES_MAX     256u
#define METRIC_NETWORK 100u

struct interface {
    uint32_t ifindex; /* 0: free */
    char name[16];
    uint16_t type;
    bool up;
    uint32_t mtu, ipv6_mtu;
};

static struct interface interfaces[INTERFACES_MAX] = {
    {SIM_NETWORK_IFINDEX, NETWORK_NAME, TYPE_ETHERNET, true, NETWORK_MTU, NETWORK_MTU}};
static uint32_t next_ifindex = SIM_NETWORK_IFINDEX + 1;
static struct sim_address addresses[ADDRESSES_MAX];
static unsigned address_count;
static struct route_entry added_routes[ROUTES_MAX];
static unsigned route_count;

/* ---- changes ---- */

struct subscriber {
    struct subscriber *next;
    net_changed *changed;
    void *context;
};

struct change {
    unsigned mask;
    uint32_t ifindex;
};

static struct subscriber *subscribers;

static void tell(void *context)
{
    struct change *change = context;

    for (struct subscriber *s = subscribers; s; s = s->next)
        s->changed(s->context, change->mask, change->ifindex);
    free(change);
}

static void changed(unsigned mask, uint32_t ifindex)
{
    struct change *change = malloc(sizeof *change);

    if (!change)
        host_fatal("no memory for a simulated change of addresses");
    *change = (struct change){mask, ifindex};
    sim_at(sched_time_ns(), tell, change);
}

static int subscribe(net_changed *function, void *context)
{
    struct subscriber *subscriber = malloc(sizeof *subscriber);

    if (!subscriber)
        return -ENOMEM;
    *subscriber = (struct subscriber){subscribers, function, context};
    subscribers = subscriber;
    return 0;
}

static void unsubscribe(net_changed *function, void *context)
{
    for (struct subscriber **link = &subscribers; *link; link = &(*link)->next)
        if ((*link)->changed == function && (*link)->context == context) {
            struct subscriber *gone = *link;

            *link = gone->next;
            free(gone);
            return;
        }
}

/* ---- interfaces ---- */

static struct interface *find(uint32_t ifindex)
{
    for (unsigned i = 0; i < INTERFACES_MAX; i++)
        if (interfaces[i].ifindex == ifindex && ifindex)
            return &interfaces[i];
    return NULL;
}

uint32_t routes_interface_add(const char *name)
{
    struct interface *free_one = NULL;

    for (unsigned i = 0; i < INTERFACES_MAX; i++) {
        if (!interfaces[i].ifindex)
            free_one = free_one ? free_one : &interfaces[i];
        else if (strcmp(interfaces[i].name, name) == 0)
            return 0;
    }
    if (!free_one)
        return 0;
    *free_one = (struct interface){.ifindex = next_ifindex++, .type = TYPE_NONE, .mtu = NETWORK_MTU};
    free_one->ipv6_mtu = free_one->mtu;
    snprintf(free_one->name, sizeof free_one->name, "%s", name);
    changed(NET_CHANGED_LINK, free_one->ifindex);
    return free_one->ifindex;
}

void routes_interface_remove(uint32_t ifindex)
{
    struct interface *gone = find(ifindex);
    unsigned kept = 0;

    if (!gone)
        return;
    gone->ifindex = 0;
    for (unsigned i = 0; i < route_count; i++)
        if (added_routes[i].ifindex != ifindex)
            added_routes[kept++] = added_routes[i];
    route_count = kept;
    changed(NET_CHANGED_LINK, ifindex);
}

void routes_interface_link(uint32_t ifindex, bool up)
{
    struct interface *interface = find(ifindex);

    if (!interface || interface->up == up)
        return;
    interface->up = up;
    changed(NET_CHANGED_LINK, ifindex);
}

int routes_interface_mtu(uint32_t ifindex, uint32_t mtu)
{
    struct interface *interface = find(ifindex);

    if (!interface)
        return -ENODEV;
    if (mtu < MTU_MIN || mtu > TUN_MTU_MAX)
        return -EINVAL;
    if (interface->mtu == mtu && interface->ipv6_mtu == mtu)
        return 0;
    interface->mtu = interface->ipv6_mtu = mtu;
    changed(NET_CHANGED_LINK, ifindex);
    return 0;
}

uint32_t routes_interface_get_mtu(uint32_t ifindex)
{
    const struct interface *interface = find(ifindex);

    return interface ? interface->mtu : 0;
}

static int list_interfaces(struct interface_entry **out)
{
    struct interface_entry *entries = calloc(INTERFACES_MAX, sizeof *entries);
    int count = 0;

    if (!entries)
        return -ENOMEM;
    for (unsigned i = 0; i < INTERFACES_MAX; i++) {
        const struct interface *from = &interfaces[i];
        struct interface_entry *to = &entries[count];

        if (!from->ifindex)
            continue;
        to->ifindex = from->ifindex;
        memcpy(to->name, from->name, sizeof to->name);
        to->mtu = from->mtu;
        to->flags = LINK_UP;
        to->oper_up = from->up;
        to->type = from->type;
        if (from->type == TYPE_ETHERNET)
            memcpy(to->mac, (uint8_t[]){0x02, 0, 0, 0, 0, 1}, sizeof to->mac);
        count++;
    }
    *out = entries;
    return count;
}

/* IPv6 needs 1280 bytes, and cannot have more than the link. */
static int get_mtu(uint8_t family, uint32_t ifindex, uint32_t *mtu)
{
    const struct interface *interface = find(ifindex);

    if (!interface)
        return -ENODEV;
    if (family == 6 && interface->mtu < IPV6_MTU_MIN)
        return -ENOENT;
    *mtu = family == 4 ? interface->mtu : interface->ipv6_mtu;
    return 0;
}

static int set_mtu(uint8_t family, uint32_t ifindex, uint32_t mtu)
{
    struct interface *interface = find(ifindex);
    int error = 0;

    if (!interface)
        return -ENODEV;
    if (family == 4)
        return routes_interface_mtu(ifindex, mtu);
    if (mtu < IPV6_MTU_MIN)
        return -EINVAL;
    if (interface->mtu < mtu)
        error = routes_interface_mtu(ifindex, mtu);
    if (!error)
        interface->ipv6_mtu = mtu;
    return error;
}

static int set_gso_max(uint32_t ifindex, uint32_t bytes)
{
    (void)bytes;
    return find(ifindex) ? 0 : -ENODEV;
}

/* ---- addresses ---- */

bool routes_is_local(const struct sim_address *address)
{
    for (unsigned i = 0; i < address_count; i++)
        if (sim_same_host(&addresses[i], address))
            return true;
    return false;
}

void sim_machine_address(const struct sim_address *address, bool up)
{
    unsigned at = 0;

    while (at < address_count && !sim_same_host(&addresses[at], address))
        at++;
    if (up == (at < address_count))
        return;
    if (up) {
        if (address_count == ADDRESSES_MAX)
            host_fatal("a simulated machine has at most %u addresses", ADDRESSES_MAX);
        addresses[address_count] = *address;
        addresses[address_count++].port = 0;
    } else {
        memmove(addresses + at, addresses + at + 1, (--address_count - at) * sizeof *addresses);
    }
    changed(NET_CHANGED_ADDRESS, SIM_NETWORK_IFINDEX);
    changed(NET_CHANGED_ROUTE, SIM_NETWORK_IFINDEX);
}

static int list_addresses(uint8_t family, struct address_entry **out)
{
    struct address_entry *entries = calloc(ADDRESSES_MAX, sizeof *entries);
    int count = 0;

    if (!entries)
        return -ENOMEM;
    for (unsigned i = 0; i < address_count; i++) {
        if (family && addresses[i].family != family)
            continue;
        entries[count].family = addresses[i].family;
        entries[count].prefix_length = addresses[i].family == 4 ? 24 : 64;
        entries[count].ifindex = SIM_NETWORK_IFINDEX;
        memcpy(entries[count].bytes, addresses[i].bytes, sim_address_bytes(addresses[i].family));
        count++;
    }
    *out = entries;
    return count;
}

/* ---- routes ---- */

void sim_route(uint32_t ifindex, const struct sim_address *prefix, uint8_t prefix_length, uint32_t metric,
               bool add)
{
    struct route_entry route = {.family = prefix->family,
                                .prefix_length = prefix_length,
                                .ifindex = ifindex,
                                .metric = metric,
                                .table = TABLE_MAIN};
    unsigned at = 0;

    memcpy(route.destination, prefix->bytes, sim_address_bytes(prefix->family));
    while (at < route_count &&
           (added_routes[at].ifindex != ifindex || added_routes[at].family != route.family ||
            added_routes[at].prefix_length != prefix_length ||
            memcmp(added_routes[at].destination, route.destination, sizeof route.destination) != 0))
        at++;
    if (add) {
        if (at == ROUTES_MAX)
            host_fatal("a simulated machine has at most %u routes of its own", ROUTES_MAX);
        route_count += at == route_count;
        added_routes[at] = route;
    } else if (at < route_count) {
        added_routes[at] = added_routes[--route_count];
    } else {
        return;
    }
    changed(NET_CHANGED_ROUTE, ifindex);
}

static bool has_family(uint8_t family)
{
    for (unsigned i = 0; i < address_count; i++)
        if (addresses[i].family == family)
            return true;
    return false;
}

/* A default route for each family that has an address, the machine's own addresses, and what was added. */
static int list_routes(uint8_t family, struct route_entry **out)
{
    struct route_entry *entries = calloc(2 + ADDRESSES_MAX + ROUTES_MAX, sizeof *entries);
    int count = 0;

    if (!entries)
        return -ENOMEM;
    for (uint8_t f = 4; f <= 6; f += 2)
        if ((!family || family == f) && has_family(f))
            entries[count++] = (struct route_entry){
                .family = f, .ifindex = SIM_NETWORK_IFINDEX, .metric = METRIC_NETWORK, .table = TABLE_MAIN};
    for (unsigned i = 0; i < address_count; i++) {
        struct route_entry *route = &entries[count];

        if (family && addresses[i].family != family)
            continue;
        *route = (struct route_entry){.family = addresses[i].family,
                                      .prefix_length = addresses[i].family == 4 ? 32 : 128,
                                      .ifindex = SIM_NETWORK_IFINDEX,
                                      .table = TABLE_LOCAL};
        memcpy(route->destination, addresses[i].bytes, sim_address_bytes(addresses[i].family));
        count++;
    }
    for (unsigned i = 0; i < route_count; i++)
        if (!family || added_routes[i].family == family)
            entries[count++] = added_routes[i];
    *out = entries;
    return count;
}

/* The driver chooses interfaces itself; what leaves a socket leaves by the network interface. */
int routes_source(const struct sim_address *to, const struct sim_address *wanted, struct sim_address *source)
{
    if (wanted && !sim_any_host(wanted)) {
        if (!routes_is_local(wanted))
            return -EINVAL;
        *source = *wanted;
        return 0;
    }
    for (unsigned i = 0; i < address_count; i++)
        if (addresses[i].family == to->family) {
            *source = addresses[i];
            return 0;
        }
    return -ENETUNREACH;
}

const struct net_functions sim_net = {
    .routes = list_routes,
    .interfaces = list_interfaces,
    .addresses = list_addresses,
    .mtu = get_mtu,
    .set_mtu = set_mtu,
    .set_gso_max = set_gso_max,
    .subscribe = subscribe,
    .unsubscribe = unsubscribe,
};
