/* Route and source-address choice for endpoints, and the inner MTU by family; see route.h.  The tables are
 * read at PASSIVE_LEVEL on workers only; every change notification bumps a generation that makes cached
 * answers stale. */
#include "route.h"
#include "driver.h"
#include "memory.h"
#include "nt/netioapi.h"
#include "nt/rtl.h"
#include "peer.h"

/* What is set when an interface appears with the MTU of the media type, which no tunnel can carry (facts:
 * 1420). */
#define TUNNEL_MTU_DEFAULT     1420
#define TUNNEL_MTU_IMPLAUSIBLE 0x10000

struct route_state {
    struct adapter *adapter;
    volatile uint32_t generation;
    volatile uint32_t removal_generation; /* of the last change that took an address away; 0: none yet */
    HANDLE route_change, address_change, interface_change;
    struct work mtu_work;
};

/* ---- inner MTU ---- */

static void mtu_refresh(struct adapter *adapter, ADDRESS_FAMILY family, volatile uint32_t *mtu)
{
    MIB_IPINTERFACE_ROW row;
    InitializeIpInterfaceEntry(&row);
    row.Family = family;
    row.InterfaceLuid = adapter->luid;
    if (!NT_SUCCESS(GetIpInterfaceEntry(&row))) {
        *mtu = 0;
        return;
    }
    if (row.NlMtu >= TUNNEL_MTU_IMPLAUSIBLE) {
        row.NlMtu = TUNNEL_MTU_DEFAULT;
        row.SitePrefixLength =
            0; /* GetIpInterfaceEntry reports it, SetIpInterfaceEntry refuses it for IPv4 */
        if (!NT_SUCCESS(SetIpInterfaceEntry(&row)))
            log_line(adapter, LOG_WARNING, "The MTU of the tunnel could not be set to %u",
                     TUNNEL_MTU_DEFAULT);
    }
    *mtu = row.NlMtu;
}

static void mtu_run(struct work *work)
{
    struct route_state *routes = CONTAINING_RECORD(work, struct route_state, mtu_work);
    mtu_refresh(routes->adapter, AF_INET, &routes->adapter->mtu4);
    mtu_refresh(routes->adapter, AF_INET6, &routes->adapter->mtu6);
}

/* ---- change notifications; any of their threads, IRQL <= DISPATCH_LEVEL ---- */

static uint32_t bump(struct route_state *routes)
{
    uint32_t generation = __atomic_add_fetch(&routes->generation, 1, __ATOMIC_RELAXED);
    if (generation == 0)
        generation = __atomic_add_fetch(&routes->generation, 1, __ATOMIC_RELAXED);
    return generation;
}

static VOID NTAPI route_changed(PVOID context, PMIB_IPFORWARD_ROW2 row, MIB_NOTIFICATION_TYPE type)
{
    bump(context);
}

static VOID NTAPI address_changed(PVOID context, PMIB_UNICASTIPADDRESS_ROW row, MIB_NOTIFICATION_TYPE type)
{
    struct route_state *routes = context;
    uint32_t generation = bump(routes);
    if (type == MibDeleteInstance)
        __atomic_store_n(&routes->removal_generation, generation, __ATOMIC_RELAXED);
}

static VOID NTAPI interface_changed(PVOID context, PMIB_IPINTERFACE_ROW row, MIB_NOTIFICATION_TYPE type)
{
    struct route_state *routes = context;
    if (!row || row->InterfaceLuid.Value == routes->adapter->luid.Value)
        work_queue(WORK_CONTROL, &routes->mtu_work);
    bump(routes);
}

NTSTATUS route_initialize(struct adapter *adapter)
{
    struct route_state *routes = memory_allocate(MEMORY_ADAPTER, sizeof(*routes));
    if (!routes)
        return STATUS_INSUFFICIENT_RESOURCES;
    routes->adapter = adapter;
    routes->generation = 1;
    work_initialize(&routes->mtu_work, mtu_run);
    adapter->routes = routes;

    NTSTATUS status = NotifyRouteChange2(AF_UNSPEC, route_changed, routes, FALSE, &routes->route_change);
    if (NT_SUCCESS(status))
        status =
            NotifyUnicastIpAddressChange(AF_UNSPEC, address_changed, routes, FALSE, &routes->address_change);
    if (NT_SUCCESS(status))
        status =
            NotifyIpInterfaceChange(AF_UNSPEC, interface_changed, routes, FALSE, &routes->interface_change);
    if (!NT_SUCCESS(status))
        route_uninitialize(adapter);
    return status;
}

void route_uninitialize(struct adapter *adapter)
{
    struct route_state *routes = adapter->routes;
    if (!routes)
        return;
    /* Each waits for its running callbacks. */
    if (routes->interface_change)
        CancelMibChangeNotify2(routes->interface_change);
    if (routes->address_change)
        CancelMibChangeNotify2(routes->address_change);
    if (routes->route_change)
        CancelMibChangeNotify2(routes->route_change);
    work_drain(&routes->mtu_work);
    adapter->routes = NULL;
    memory_free(MEMORY_ADAPTER, routes, sizeof(*routes));
}

void route_request_mtu(struct adapter *adapter)
{
    work_queue(WORK_CONTROL, &adapter->routes->mtu_work);
}

uint32_t route_generation(const struct adapter *adapter)
{
    return __atomic_load_n(&adapter->routes->generation, __ATOMIC_RELAXED);
}

bool route_source_doubtful(const struct adapter *adapter, const struct endpoint *endpoint)
{
    uint32_t removal = __atomic_load_n(&adapter->routes->removal_generation, __ATOMIC_RELAXED);
    return endpoint->route_generation != 0 && removal != 0 &&
           (int32_t)(removal - endpoint->route_generation) > 0;
}

/* ---- resolution ---- */

static const uint8_t *address_bytes(const SOCKADDR_INET *address)
{
    return address->si_family == AF_INET ? (const uint8_t *)&address->Ipv4.sin_addr
                                         : (const uint8_t *)&address->Ipv6.sin6_addr;
}

/* True when the first `length` bits of both addresses are equal; 0 bits always are. */
static bool prefix_matches(const uint8_t *prefix, const uint8_t *address, uint32_t length)
{
    uint32_t whole = length / 8, rest = length % 8;
    if (__builtin_memcmp(prefix, address, whole) != 0)
        return false;
    return !rest || ((prefix[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

/* What is known of the interfaces in one resolution: many routes lead over few of them, and each question
 * takes tens of thousands of cycles. */
#define INTERFACES_KNOWN 8
struct known_interfaces {
    uint32_t count;
    bool no_memory; /* an interface may be usable after all */
    struct {
        uint64_t luid;
        uint32_t metric;
        bool usable;
    } known[INTERFACES_KNOWN];
    MIB_IF_ROW2 row; /* too large for a kernel stack */
};

/* Says nothing about the network: the answer is not to be remembered. */
static bool is_no_memory(NTSTATUS status)
{
    return status == STATUS_INSUFFICIENT_RESOURCES || status == STATUS_NO_MEMORY;
}

static bool interface_ask(struct known_interfaces *interfaces, NET_LUID luid, ADDRESS_FAMILY family,
                          uint32_t *metric)
{
    MIB_IPINTERFACE_ROW row;
    MIB_IF_ROW2 *entry = &interfaces->row;
    __builtin_memset(entry, 0, sizeof(*entry));
    entry->InterfaceLuid = luid;
    *metric = 0;
    NTSTATUS status = GetIfEntry2(entry);
    if (is_no_memory(status))
        interfaces->no_memory = true;
    if (!NT_SUCCESS(status) || entry->OperStatus != IfOperStatusUp)
        return false;
    InitializeIpInterfaceEntry(&row);
    row.Family = family;
    row.InterfaceLuid = luid;
    if (NT_SUCCESS(GetIpInterfaceEntry(&row)))
        *metric = row.Metric;
    return true;
}

/* Operational, with its metric. */
static bool interface_usable(struct known_interfaces *interfaces, NET_LUID luid, ADDRESS_FAMILY family,
                             uint32_t *metric)
{
    uint32_t i = 0;
    while (i < interfaces->count && interfaces->known[i].luid != luid.Value)
        i++;
    if (i == INTERFACES_KNOWN)
        return interface_ask(interfaces, luid, family, metric);
    if (i == interfaces->count) {
        interfaces->known[i].luid = luid.Value;
        interfaces->known[i].usable = interface_ask(interfaces, luid, family, &interfaces->known[i].metric);
        interfaces->count++;
    }
    *metric = interfaces->known[i].metric;
    return interfaces->known[i].usable;
}

/* The row with the longest prefix and then the smallest metric, on a usable interface other than ours.
 * `preferred`: an interface whose metric counts as the smallest; 0: none. */
static const MIB_IPFORWARD_ROW2 *best_row(struct adapter *adapter, const MIB_IPFORWARD_TABLE2 *table,
                                          const SOCKADDR_INET *remote, uint32_t preferred,
                                          struct known_interfaces *interfaces)
{
    const MIB_IPFORWARD_ROW2 *best = NULL;
    uint64_t best_metric = 0;
    for (uint32_t i = 0; i < table->NumEntries; i++) {
        const MIB_IPFORWARD_ROW2 *row = &table->Table[i];
        uint32_t metric;
        if (row->InterfaceLuid.Value == adapter->luid.Value ||
            !prefix_matches(address_bytes(&row->DestinationPrefix.Prefix), address_bytes(remote),
                            row->DestinationPrefix.PrefixLength))
            continue;
        if (best && row->DestinationPrefix.PrefixLength < best->DestinationPrefix.PrefixLength)
            continue;
        if (!interface_usable(interfaces, row->InterfaceLuid, remote->si_family, &metric))
            continue;
        uint64_t total =
            preferred && row->InterfaceIndex == preferred ? 0 : 1 + (uint64_t)row->Metric + metric;
        if (!best || row->DestinationPrefix.PrefixLength > best->DestinationPrefix.PrefixLength ||
            total < best_metric) {
            best = row;
            best_metric = total;
        }
    }
    return best;
}

static NTSTATUS resolve(struct adapter *adapter, const SOCKADDR_INET *remote, uint32_t preferred,
                        SOCKADDR_INET *local, uint32_t *ifindex)
{
    /* MIB rows are too large for a kernel stack. */
    struct {
        struct known_interfaces interfaces;
        MIB_IPFORWARD_ROW2 route;
    } *scratch = memory_allocate(MEMORY_DRIVER, sizeof(*scratch));
    MIB_IPFORWARD_TABLE2 *table = NULL;
    if (!scratch)
        return STATUS_INSUFFICIENT_RESOURCES;

    NTSTATUS status = GetIpForwardTable2(remote->si_family, &table);
    if (NT_SUCCESS(status)) {
        const MIB_IPFORWARD_ROW2 *row = best_row(adapter, table, remote, preferred, &scratch->interfaces);
        if (row) {
            NET_LUID luid = row->InterfaceLuid;
            *ifindex = row->InterfaceIndex;
            status = GetBestRoute2(&luid, 0, NULL, remote, 0, &scratch->route, local);
        } else {
            status = scratch->interfaces.no_memory ? STATUS_NO_MEMORY : STATUS_NETWORK_UNREACHABLE;
        }
        FreeMibTable(table);
    }
    memory_free(MEMORY_DRIVER, scratch, sizeof(*scratch));
    return status;
}

NTSTATUS route_resolve(struct adapter *adapter, const SOCKADDR_INET *remote, SOCKADDR_INET *local,
                       uint32_t *ifindex)
{
    return resolve(adapter, remote, 0, local, ifindex);
}

/* The interface that has the endpoint's source, the one on which it was learned if it has it; 0: none has it
 * any more. */
static uint32_t source_owner(const struct endpoint *endpoint)
{
    MIB_UNICASTIPADDRESS_TABLE *table;
    uint32_t owner = 0, bytes = endpoint->local.si_family == AF_INET ? 4 : 16;
    if (!NT_SUCCESS(GetUnicastIpAddressTable(endpoint->local.si_family, &table)))
        return 0;
    for (uint32_t i = 0; i < table->NumEntries && owner != endpoint->local_ifindex; i++)
        if (__builtin_memcmp(address_bytes(&table->Table[i].Address), address_bytes(&endpoint->local),
                             bytes) == 0)
            owner = table->Table[i].InterfaceIndex;
    FreeMibTable(table);
    return owner;
}

NTSTATUS route_refresh(struct peer *peer)
{
    struct adapter *adapter = peer->adapter;
    struct endpoint endpoint;
    /* The counters are read before what they guard: an answer that came too late is discarded, never the
     * news. */
    uint32_t update = __atomic_load_n(&peer->endpoint.update, __ATOMIC_ACQUIRE);
    uint32_t generation = route_generation(adapter);
    endpoint_read(&peer->endpoint, &endpoint);
    if (!endpoint.remote.si_family)
        return STATUS_BAD_NETWORK_PATH;

    /* A source that the peer's own packets taught us stays in use, unless a more specific route leads away
     * from the interface whose address it is.  (A host may take packets for an address of another interface
     * than they arrive on; then it answers from it whichever the way is.) */
    uint32_t owner = endpoint.learned && endpoint.local_ifindex ? source_owner(&endpoint) : 0;
    bool owned = owner == endpoint.local_ifindex;
    SOCKADDR_INET local = {0};
    uint32_t ifindex = 0;
    NTSTATUS status = resolve(adapter, &endpoint.remote, owned ? owner : 0, &local, &ifindex);
    if (is_no_memory(status))
        return status;
    if (NT_SUCCESS(status) && owner && (owner == ifindex || !owned))
        local = endpoint.local;
    endpoint_resolved(&peer->endpoint, update, &local, NT_SUCCESS(status) ? ifindex : 0, generation,
                      !NT_SUCCESS(status));
    return status;
}

static void refresh_run(struct work *work)
{
    struct peer *peer = CONTAINING_RECORD(work, struct peer, route_work);
    route_refresh(peer);
    peer_release(peer);
}

void route_initialize_peer(struct peer *peer)
{
    work_initialize(&peer->route_work, refresh_run);
}

void route_request_refresh(struct peer *peer)
{
    if (peer_reference(peer) && !work_queue(WORK_CONTROL, &peer->route_work))
        peer_release(peer);
}
