/* Which route and source a peer's endpoint gets (route.c), over tables that the test makes up.  Traps of the
 * bug history, by the hashes under which they are known: 9da6a84 prefix comparison, d9d7710 interface that is
 * down, 4bd8a24 endpoint that changes meanwhile, d42fbe8 and d064220 the tunnel's own route and selection by
 * LUID, 5642cbc tables after failures. */
#include "check.h"
#include "kernel_stub.h"

/* the code under test */
#include "endpoint.c"
#include "route.c"

#define OWN_LUID   UINT64_C(0x99)
#define OWN_INDEX  9
#define ROUTES_MAX 256

/* ---- the network ---- */

static MIB_IPFORWARD_ROW2 routes[ROUTES_MAX];
static uint32_t route_count;
static struct interface_state {
    uint64_t luid;
    IF_OPER_STATUS state;
    uint32_t metric, mtu;
} interfaces[8];
static uint32_t interface_count;
static MIB_UNICASTIPADDRESS_ROW addresses[8];
static uint32_t address_count;

static int tables_live;
static NTSTATUS table_status, best_status;
static uint64_t best_luid;          /* what GetBestRoute2 was asked about */
static void (*in_resolution)(void); /* called in the middle */

static struct interface_state *interface_find(uint64_t luid)
{
    for (uint32_t i = 0; i < interface_count; i++)
        if (interfaces[i].luid == luid)
            return &interfaces[i];
    return NULL;
}

NTSTATUS NTAPI GetIfEntry2(PMIB_IF_ROW2 row)
{
    const struct interface_state *found = interface_find(row->InterfaceLuid.Value);
    if (!found)
        return STATUS_NOT_FOUND;
    row->OperStatus = found->state;
    return STATUS_SUCCESS;
}

VOID NTAPI InitializeIpInterfaceEntry(PMIB_IPINTERFACE_ROW row)
{
    memset(row, 0, sizeof(*row));
}

NTSTATUS NTAPI GetIpInterfaceEntry(PMIB_IPINTERFACE_ROW row)
{
    const struct interface_state *found = interface_find(row->InterfaceLuid.Value);
    if (!found)
        return STATUS_NOT_FOUND;
    row->Metric = found->metric;
    row->NlMtu = found->mtu;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI SetIpInterfaceEntry(PMIB_IPINTERFACE_ROW row)
{
    struct interface_state *found = interface_find(row->InterfaceLuid.Value);
    if (!found)
        return STATUS_NOT_FOUND;
    found->mtu = row->NlMtu;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI GetIpForwardTable2(ADDRESS_FAMILY family, PMIB_IPFORWARD_TABLE2 *table)
{
    if (!NT_SUCCESS(table_status))
        return table_status;
    MIB_IPFORWARD_TABLE2 *made = calloc(1, sizeof(*made) + route_count * sizeof(routes[0]));
    for (uint32_t i = 0; i < route_count; i++)
        if (routes[i].DestinationPrefix.Prefix.si_family == family)
            made->Table[made->NumEntries++] = routes[i];
    tables_live++;
    *table = made;
    if (in_resolution)
        in_resolution();
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI GetUnicastIpAddressTable(ADDRESS_FAMILY family, PMIB_UNICASTIPADDRESS_TABLE *table)
{
    if (!NT_SUCCESS(table_status))
        return table_status;
    MIB_UNICASTIPADDRESS_TABLE *made = calloc(1, sizeof(*made) + address_count * sizeof(addresses[0]));
    for (uint32_t i = 0; i < address_count; i++)
        if (addresses[i].Address.si_family == family)
            made->Table[made->NumEntries++] = addresses[i];
    tables_live++;
    *table = made;
    return STATUS_SUCCESS;
}

VOID NTAPI FreeMibTable(PVOID table)
{
    tables_live--;
    free(table);
}

/* The source address tells which interface was asked for: its last byte is the LUID. */
NTSTATUS NTAPI GetBestRoute2(NET_LUID *luid, NET_IFINDEX index, const SOCKADDR_INET *source,
                             const SOCKADDR_INET *destination, ULONG sort, PMIB_IPFORWARD_ROW2 route,
                             SOCKADDR_INET *best_source)
{
    (void)index, (void)source, (void)sort, (void)route;
    best_luid = luid ? luid->Value : 0;
    if (!NT_SUCCESS(best_status))
        return best_status;
    memset(best_source, 0, sizeof(*best_source));
    best_source->si_family = destination->si_family;
    best_source->Ipv4.sin_addr.S_un.S_addr = __builtin_bswap32(0x0A000000u | (uint32_t)best_luid);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI NotifyRouteChange2(ADDRESS_FAMILY family, PIPFORWARD_CHANGE_CALLBACK callback, PVOID context,
                                  BOOLEAN initial, HANDLE *handle)
{
    (void)family, (void)callback, (void)context, (void)initial;
    *handle = (HANDLE)1;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI NotifyIpInterfaceChange(ADDRESS_FAMILY family, PIPINTERFACE_CHANGE_CALLBACK callback,
                                       PVOID context, BOOLEAN initial, HANDLE *handle)
{
    (void)family, (void)callback, (void)context, (void)initial;
    *handle = (HANDLE)2;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI NotifyUnicastIpAddressChange(ADDRESS_FAMILY family,
                                            PUNICAST_IPADDRESS_CHANGE_CALLBACK callback, PVOID context,
                                            BOOLEAN initial, HANDLE *handle)
{
    (void)family, (void)callback, (void)context, (void)initial;
    *handle = (HANDLE)3;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI CancelMibChangeNotify2(HANDLE handle)
{
    (void)handle;
    return STATUS_SUCCESS;
}

/* ---- the rest of the driver ---- */

void work_initialize(struct work *work, void (*run)(struct work *work))
{
    work->run = run;
}

bool work_queue(enum work_class class, struct work *work)
{
    (void)class, (void)work;
    return true;
}

void work_drain(struct work *work)
{
    (void)work;
}

bool peer_reference(struct peer *peer)
{
    (void)peer;
    return true;
}

void peer_release(struct peer *peer)
{
    (void)peer;
}

/* ---- helpers ---- */

static struct adapter adapter;
static struct peer peer;

static void network_clear(void)
{
    route_count = interface_count = address_count = 0;
    table_status = best_status = STATUS_SUCCESS;
    in_resolution = NULL;
}

static void interface_add(uint64_t luid, IF_OPER_STATUS state, uint32_t metric)
{
    interfaces[interface_count++] = (struct interface_state){luid, state, metric, 1500};
}

static SOCKADDR_INET inet4(uint32_t address)
{
    SOCKADDR_INET made = {0};
    made.si_family = AF_INET;
    made.Ipv4.sin_addr.S_un.S_addr = __builtin_bswap32(address);
    return made;
}

static SOCKADDR_INET inet6(const uint8_t bytes[16])
{
    SOCKADDR_INET made = {0};
    made.si_family = AF_INET6;
    memcpy(&made.Ipv6.sin6_addr, bytes, 16);
    return made;
}

static void route_add(SOCKADDR_INET prefix, uint8_t length, uint64_t luid, uint32_t index, uint32_t metric)
{
    MIB_IPFORWARD_ROW2 *row = &routes[route_count++];
    memset(row, 0, sizeof(*row));
    row->InterfaceLuid.Value = luid;
    row->InterfaceIndex = index;
    row->DestinationPrefix.Prefix = prefix;
    row->DestinationPrefix.PrefixLength = length;
    row->Metric = metric;
}

/* The interface index that is chosen, 0 for none. */
static uint32_t chosen(SOCKADDR_INET remote)
{
    SOCKADDR_INET local = {0};
    uint32_t index = 0;
    NTSTATUS status = route_resolve(&adapter, &remote, &local, &index);
    CHECK(tables_live == 0);
    return NT_SUCCESS(status) ? index : 0;
}

/* ---- 9da6a84: on which side of the prefix the mask goes ---- */

static void test_prefix_sides(void)
{
    /* One route of each length over an address of many bits, and the same with its last bit turned: the first
     * leads to interface 1, everything else to the default route of interface 2. */
    const uint32_t pattern = 0xA5C3965A;
    for (uint8_t length = 1; length <= 32; length++) {
        network_clear();
        interface_add(1, IfOperStatusUp, 5);
        interface_add(2, IfOperStatusUp, 5);
        route_add(inet4(0), 0, 2, 2, 0);
        uint32_t mask = 0xFFFFFFFFu << (32 - length);
        route_add(inet4(pattern & mask), length, 1, 1, 0);
        CHECK_MSG(chosen(inet4(pattern)) == 1, "/%u, the address itself", length);
        CHECK_MSG(chosen(inet4(pattern ^ ~mask)) == 1, "/%u, all host bits turned", length);
        for (uint8_t bit = 0; bit < 32; bit++) {
            uint32_t expected = bit < length ? 2 : 1;
            CHECK_MSG(chosen(inet4(pattern ^ 0x80000000u >> bit)) == expected, "/%u, bit %u turned", length,
                      bit);
        }
    }
    uint8_t bytes[16];
    for (int i = 0; i < 16; i++)
        bytes[i] = (uint8_t)(0xA5 ^ i * 29);
    for (uint32_t length = 1; length <= 128; length++) {
        network_clear();
        interface_add(1, IfOperStatusUp, 5);
        uint8_t prefix[16] = {0};
        for (uint32_t bit = 0; bit < length; bit++)
            prefix[bit / 8] |= (uint8_t)(bytes[bit / 8] & (0x80 >> bit % 8));
        route_add(inet6(prefix), (uint8_t)length, 1, 1, 0);
        CHECK_MSG(chosen(inet6(bytes)) == 1, "IPv6 /%u", length);
        for (uint32_t bit = length > 3 ? length - 3 : 0; bit < 128 && bit < length + 3; bit++) {
            uint8_t turned[16];
            memcpy(turned, bytes, 16);
            turned[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
            CHECK_MSG(chosen(inet6(turned)) == (bit < length ? 0u : 1u), "IPv6 /%u, bit %u turned", length,
                      bit);
        }
    }
}

/* ---- which of several ---- */

static void test_choice(void)
{
    network_clear();
    interface_add(1, IfOperStatusUp, 50);
    interface_add(2, IfOperStatusUp, 5);
    interface_add(3, IfOperStatusDown, 0);
    SOCKADDR_INET there = inet4(0xC6336401);
    CHECK(chosen(there) == 0); /* no route at all */

    route_add(inet4(0), 0, 1, 1, 0);
    CHECK(chosen(there) == 1);
    route_add(inet4(0), 0, 2, 2, 40); /* 45 in total against 50: the interface's metric counts */
    CHECK(chosen(there) == 2);
    interfaces[1].metric = 11;
    CHECK(chosen(there) == 1);
    route_add(inet4(0xC6330000), 16, 2, 2, 100000); /* a longer prefix wins whatever its metric is */
    CHECK(chosen(there) == 2);

    /* d9d7710: the best route of all leads over an interface that is down. */
    route_add(inet4(0xC6336401), 32, 3, 3, 0);
    CHECK(chosen(there) == 2);
    for (IF_OPER_STATUS state = IfOperStatusDown; state <= IfOperStatusLowerLayerDown; state++) {
        interfaces[2].state = state;
        CHECK_MSG(chosen(there) == 2, "interface state %d", state);
    }
    interfaces[2].state = IfOperStatusUp;
    CHECK(chosen(there) == 3);
    /* One that the system no longer knows. */
    route_add(inet4(0xC6336401), 32, 77, 77, 0);
    CHECK(chosen(there) == 3);

    /* d42fbe8: our own default and host routes are not for our own ciphertext. */
    interface_add(OWN_LUID, IfOperStatusUp, 0);
    route_add(inet4(0), 0, OWN_LUID, OWN_INDEX, 0);
    route_add(inet4(0xC6336401), 32, OWN_LUID, OWN_INDEX, 0);
    CHECK(chosen(there) == 3);
    /* d064220: what is ours is told by LUID: another interface with our index is not. */
    interface_add(4, IfOperStatusUp, 0);
    routes[route_count - 3].InterfaceLuid.Value = 4; /* the /32 of the interface that was gone */
    routes[route_count - 3].InterfaceIndex = OWN_INDEX;
    interfaces[2].state = IfOperStatusDown;
    CHECK(chosen(there) == OWN_INDEX);
    CHECK(best_luid == 4); /* and the source is asked for by LUID as well */
    routes[route_count - 3].InterfaceLuid.Value = OWN_LUID;
    routes[route_count - 3].InterfaceIndex = 4; /* whatever its index says */
    CHECK(chosen(there) == 2);
}

/* ---- 5642cbc and the like: failures ---- */

static void test_failures(void)
{
    SOCKADDR_INET there = inet4(0xC6336401), local;
    uint32_t index;
    network_clear();
    interface_add(1, IfOperStatusUp, 5);
    route_add(inet4(0), 0, 1, 1, 0);
    int live = memory_live;
    for (int refused = 0; refused < 3; refused++) {
        memory_refuse_in = refused;
        NTSTATUS status = route_resolve(&adapter, &there, &local, &index);
        CHECK(status == STATUS_SUCCESS || status == STATUS_INSUFFICIENT_RESOURCES);
        CHECK(refused > 0 || status == STATUS_INSUFFICIENT_RESOURCES);
        CHECK(tables_live == 0 && memory_live == live);
    }
    memory_refuse_in = -1;
    table_status = STATUS_INSUFFICIENT_RESOURCES;
    CHECK(route_resolve(&adapter, &there, &local, &index) == STATUS_INSUFFICIENT_RESOURCES);
    table_status = STATUS_SUCCESS;
    best_status = STATUS_NOT_FOUND;
    CHECK(route_resolve(&adapter, &there, &local, &index) == STATUS_NOT_FOUND);
    CHECK(tables_live == 0 && memory_live == live);
}

/* ---- 4bd8a24: the endpoint changes while its route is looked up ---- */

static void change_endpoint(void)
{
    SOCKADDR_INET other = inet4(0xCB007101);
    in_resolution = NULL;
    endpoint_set(&peer.endpoint, &other);
}

static void change_routes(void)
{
    in_resolution = NULL;
    bump(adapter.routes);
}

static void test_changes(void)
{
    struct endpoint endpoint;
    SOCKADDR_INET there = inet4(0xC6336401);
    network_clear();
    interface_add(1, IfOperStatusUp, 5);
    route_add(inet4(0), 0, 1, 1, 0);
    endpoint_initialize(&peer.endpoint);
    endpoint_set(&peer.endpoint, &there);

    in_resolution = change_endpoint;
    route_refresh(&peer);
    endpoint_read(&peer.endpoint, &endpoint);
    CHECK(endpoint.remote.Ipv4.sin_addr.S_un.S_addr == __builtin_bswap32(0xCB007101));
    CHECK(endpoint.local_ifindex == 0); /* the answer was about the old one */
    CHECK(NT_SUCCESS(route_refresh(&peer)));
    endpoint_read(&peer.endpoint, &endpoint);
    CHECK(endpoint.local_ifindex == 1 && endpoint.route_generation == route_generation(&adapter));

    /* The routes change meanwhile: the answer is kept, and is known to be stale. */
    endpoint_set(&peer.endpoint, &there);
    in_resolution = change_routes;
    route_refresh(&peer);
    endpoint_read(&peer.endpoint, &endpoint);
    CHECK(endpoint.route_generation != 0 && endpoint.route_generation != route_generation(&adapter));

    /* No route: remembered as such, until something changes. */
    route_count = 0;
    endpoint_set(&peer.endpoint, &there);
    CHECK(route_refresh(&peer) == STATUS_NETWORK_UNREACHABLE);
    endpoint_read(&peer.endpoint, &endpoint);
    CHECK(endpoint.unreachable && endpoint.route_generation == route_generation(&adapter));
    /* Want of memory says nothing about the network. */
    endpoint_set(&peer.endpoint, &there);
    memory_refuse_in = 0;
    CHECK(route_refresh(&peer) == STATUS_INSUFFICIENT_RESOURCES);
    memory_refuse_in = -1;
    endpoint_read(&peer.endpoint, &endpoint);
    CHECK(!endpoint.unreachable);
}

/* A source that the peer's packets taught us is used while it exists there, and no longer. */
/* A datagram of the same peer to `local` on another interface than before. */
static bool source_learned(struct endpoint_cell *cell, const SOCKADDR_INET *remote,
                           const SOCKADDR_INET *local, uint32_t ifindex)
{
    struct endpoint now;
    bool moved = endpoint_learn(cell, remote, local, ifindex);
    endpoint_read(cell, &now);
    return !moved && now.local_ifindex == ifindex;
}

static void test_learned_source(void)
{
    struct endpoint endpoint;
    SOCKADDR_INET there = inet4(0xC6336401), here = inet4(0x0A000063);
    network_clear();
    interface_add(1, IfOperStatusUp, 5);
    interface_add(2, IfOperStatusUp, 50);
    route_add(inet4(0), 0, 1, 1, 0);
    route_add(inet4(0), 0, 2, 2, 0);
    addresses[address_count].Address = here;
    addresses[address_count++].InterfaceIndex = 2;

    endpoint_initialize(&peer.endpoint);
    CHECK(endpoint_learn(&peer.endpoint, &there, &here, 2));
    CHECK(!endpoint_learn(&peer.endpoint, &there, &here, 2)); /* nothing new */
    CHECK(NT_SUCCESS(route_refresh(&peer)));
    endpoint_read(&peer.endpoint, &endpoint);
    CHECK(endpoint.local_ifindex == 2 &&
          endpoint.local.Ipv4.sin_addr.S_un.S_addr == here.Ipv4.sin_addr.S_un.S_addr);

    /* The same address, on another interface: the source is another one, the peer has not moved. */
    CHECK(source_learned(&peer.endpoint, &there, &here, 1));
    CHECK(source_learned(&peer.endpoint, &there, &here, 2));
    /* The smaller metric of another default route does not take it away, a more specific route does, */
    route_add(there, 32, 1, 1, 0);
    CHECK(NT_SUCCESS(route_refresh(&peer)));
    endpoint_read(&peer.endpoint, &endpoint);
    CHECK(endpoint.local_ifindex == 1 &&
          endpoint.local.Ipv4.sin_addr.S_un.S_addr != here.Ipv4.sin_addr.S_un.S_addr);
    /* but not an address of a third interface, which is good on every way. */
    CHECK(source_learned(&peer.endpoint, &there, &here, 2));
    addresses[0].InterfaceIndex = 3;
    CHECK(NT_SUCCESS(route_refresh(&peer)));
    endpoint_read(&peer.endpoint, &endpoint);
    CHECK(endpoint.local_ifindex == 1 &&
          endpoint.local.Ipv4.sin_addr.S_un.S_addr == here.Ipv4.sin_addr.S_un.S_addr);

    CHECK(source_learned(&peer.endpoint, &there, &here, 2));
    addresses[0].InterfaceIndex = 1; /* it has moved */
    CHECK(NT_SUCCESS(route_refresh(&peer)));
    endpoint_read(&peer.endpoint, &endpoint);
    CHECK(endpoint.local_ifindex == 1);

    /* SET forgets the source always. */
    endpoint_set(&peer.endpoint, &there);
    endpoint_read(&peer.endpoint, &endpoint);
    CHECK(endpoint.local_ifindex == 0 && endpoint.route_generation == 0);
}

/* The implausible MTU of the medium is replaced once, another is taken as it is (2dfeee4 and followers). */
static void test_mtu(void)
{
    volatile uint32_t mtu = 0;
    network_clear();
    mtu_refresh(&adapter, AF_INET, &mtu);
    CHECK(mtu == 0); /* the family is not there: unknown */
    interface_add(OWN_LUID, IfOperStatusUp, 0);
    const uint32_t plain[] = {576, 1280, 1420, 9000, 65535};
    for (uint32_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        interfaces[0].mtu = plain[i];
        mtu_refresh(&adapter, AF_INET, &mtu);
        CHECK_MSG(mtu == plain[i] && interfaces[0].mtu == plain[i], "MTU %u", plain[i]);
    }
    interfaces[0].mtu = 0x7FFFFFA0;
    mtu_refresh(&adapter, AF_INET6, &mtu);
    CHECK(mtu == 1420 && interfaces[0].mtu == 1420);
}

int main(void)
{
    adapter.luid.Value = OWN_LUID;
    adapter.ifindex = OWN_INDEX;
    peer.adapter = &adapter;
    CHECK(NT_SUCCESS(route_initialize(&adapter)));
    test_prefix_sides();
    test_choice();
    test_failures();
    test_changes();
    test_learned_source();
    test_mtu();
    route_uninitialize(&adapter);
    CHECK(memory_live == 0 && tables_live == 0);
    return check_summary();
}
