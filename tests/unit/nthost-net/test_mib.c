/* The IP helper against routes, addresses and links made with iproute2: tables, best routes and source
 * addresses, conversions, MTU, change notifications. */
#include "host.h"
#include "linux_side.h"
#include "nt/netioapi.h"
#include "test_network.h"

static uint32_t route_calls, link_calls, initial_calls;

static VOID NTAPI on_route(PVOID context, PMIB_IPFORWARD_ROW2 row, MIB_NOTIFICATION_TYPE type)
{
    if (type == MibInitialNotification)
        __atomic_add_fetch(&initial_calls, row == NULL, __ATOMIC_RELEASE);
    else
        __atomic_add_fetch(&route_calls, row != NULL, __ATOMIC_RELEASE);
}

static VOID NTAPI on_link(PVOID context, PMIB_IPINTERFACE_ROW row, MIB_NOTIFICATION_TYPE type)
{
    if (row && row->InterfaceIndex == *(uint32_t *)context)
        __atomic_add_fetch(&link_calls, 1, __ATOMIC_RELEASE);
}

static bool is_set(void *context)
{
    return __atomic_load_n((uint32_t *)context, __ATOMIC_ACQUIRE) != 0;
}

/* 192.0.2.x / 2001:db8::x */
static SOCKADDR_INET address(ADDRESS_FAMILY family, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    SOCKADDR_INET out = {0};

    out.si_family = family;
    if (family == AF_INET) {
        memcpy(&out.Ipv4.sin_addr, (uint8_t[]){a, b, c, d}, 4);
    } else {
        memcpy(out.Ipv6.sin6_addr.u.Byte, (uint8_t[]){0x20, 0x01, 0x0d, 0xb8, 0, c}, 6);
        out.Ipv6.sin6_addr.u.Byte[15] = d;
    }
    return out;
}

static void best_routes(uint32_t first, uint32_t second)
{
    SOCKADDR_INET to = address(AF_INET, 192, 0, 2, 9), source;
    MIB_IPFORWARD_ROW2 route;
    NET_LUID luid;

    CHECK(GetBestRoute2(NULL, 0, NULL, &to, 0, &route, &source) == STATUS_SUCCESS);
    CHECK(route.InterfaceIndex == first && route.DestinationPrefix.PrefixLength == 24);
    CHECK(source.Ipv4.sin_addr.S_un.S_addr == 0x010200c0); /* 192.0.2.1 */
    to = address(AF_INET, 10, 1, 1, 1);                    /* both defaults: the smaller metric */
    CHECK(GetBestRoute2(NULL, 0, NULL, &to, 0, &route, &source) == STATUS_SUCCESS);
    CHECK(route.InterfaceIndex == second && route.Metric == 5 &&
          route.NextHop.Ipv4.sin_addr.S_un.S_addr != 0);
    CHECK(source.Ipv4.sin_addr.S_un.S_addr == 0x016433c6);
    CHECK(ConvertInterfaceIndexToLuid(first, &luid) == STATUS_SUCCESS);
    CHECK(GetBestRoute2(&luid, 0, NULL, &to, 0, &route, &source) == STATUS_SUCCESS);
    CHECK(route.InterfaceIndex == first && route.Metric == 50);
    CHECK(source.Ipv4.sin_addr.S_un.S_addr == 0x010200c0);
    CHECK(GetBestRoute2(NULL, 9999, NULL, &to, 0, &route, &source) == STATUS_NOT_FOUND);
    /* An interface that is down does not count, even with the better route. */
    side_command("ip link set dev mb1 down");
    CHECK(GetBestRoute2(NULL, 0, NULL, &to, 0, &route, &source) == STATUS_SUCCESS &&
          route.InterfaceIndex == first);
    to = address(AF_INET6, 0, 0, 0, 9);
    CHECK(GetBestRoute2(NULL, 0, NULL, &to, 0, &route, &source) == STATUS_SUCCESS);
    CHECK(route.InterfaceIndex == first && source.Ipv6.sin6_addr.u.Byte[15] == 1);
    to = address(AF_INET6, 0, 0, 7, 9);
    CHECK(GetBestRoute2(NULL, 0, NULL, &to, 0, &route, &source) == STATUS_NETWORK_UNREACHABLE);
}

void test_mib(void)
{
    MIB_IPFORWARD_TABLE2 *routes;
    MIB_UNICASTIPADDRESS_TABLE *addresses;
    MIB_IPINTERFACE_ROW row;
    static MIB_IF_ROW2 entry;
    HANDLE route_handle, link_handle;
    uint32_t first, second, found = 0;
    NET_IFINDEX index;
    NET_LUID luid;
    GUID guid;

    CHECK(side_command(
        "ip link add mb0 type veth peer name mb0p && ip link add mb1 type veth peer name mb1p && "
        "ip link set mb0p up && ip link set mb1p up && "
        "ip addr add 192.0.2.1/24 dev mb0 && ip addr add 198.51.100.1/24 dev mb1 && "
        "ip addr add 2001:db8::1/64 dev mb0 nodad && ip link set mb0 up && ip link set mb1 up && "
        "ip route add default via 192.0.2.254 metric 50 && "
        "ip route add default via 198.51.100.254 metric 5"));
    first = side_ifindex("mb0");
    second = side_ifindex("mb1");

    CHECK(GetIpForwardTable2(AF_UNSPEC, &routes) == STATUS_SUCCESS);
    for (ULONG i = 0; i < routes->NumEntries; i++)
        if (routes->Table[i].DestinationPrefix.PrefixLength == 0 &&
            routes->Table[i].DestinationPrefix.Prefix.si_family == AF_INET)
            found += (routes->Table[i].InterfaceIndex == first && routes->Table[i].Metric == 50) +
                     16 * (routes->Table[i].InterfaceIndex == second && routes->Table[i].Metric == 5);
    CHECK(found == 17);
    FreeMibTable(routes);
    CHECK(GetIpForwardTable2(AF_INET6, &routes) == STATUS_SUCCESS);
    for (ULONG i = 0; i < routes->NumEntries; i++)
        CHECK(routes->Table[i].DestinationPrefix.Prefix.si_family == AF_INET6);
    FreeMibTable(routes);
    CHECK(GetIpForwardTable2(99, &routes) == STATUS_INVALID_PARAMETER && routes == NULL);

    CHECK(GetUnicastIpAddressTable(AF_INET, &addresses) == STATUS_SUCCESS);
    found = 0;
    for (ULONG i = 0; i < addresses->NumEntries; i++)
        found |= addresses->Table[i].InterfaceIndex == first && addresses->Table[i].OnLinkPrefixLength == 24;
    CHECK(found);
    FreeMibTable(addresses);

    CHECK(ConvertInterfaceIndexToLuid(first, &luid) == STATUS_SUCCESS &&
          ConvertInterfaceLuidToIndex(&luid, &index) == STATUS_SUCCESS && index == first);
    CHECK(luid.Value >> 48 == IF_TYPE_ETHERNET_CSMACD);
    CHECK(ConvertInterfaceLuidToGuid(&luid, &guid) == STATUS_SUCCESS);
    luid.Value = 0;
    CHECK(ConvertInterfaceGuidToLuid(&guid, &luid) == STATUS_SUCCESS && luid.Value != 0);
    guid.Data1++;
    CHECK(ConvertInterfaceGuidToLuid(&guid, &luid) == STATUS_INVALID_PARAMETER);
    CHECK(ConvertInterfaceIndexToLuid(9999, &luid) == STATUS_NOT_FOUND && luid.Value == 0);

    memset(&entry, 0, sizeof entry);
    entry.InterfaceIndex = first;
    CHECK(GetIfEntry2(&entry) == STATUS_SUCCESS && entry.OperStatus == IfOperStatusUp &&
          entry.Alias[0] == 'm' && entry.Mtu == 1500);
    InitializeIpInterfaceEntry(&row);
    row.Family = AF_INET;
    row.InterfaceIndex = first;
    row.NlMtu = 1333;
    CHECK(SetIpInterfaceEntry(&row) == STATUS_SUCCESS);
    InitializeIpInterfaceEntry(&row);
    row.Family = AF_INET6;
    row.InterfaceIndex = first;
    CHECK(GetIpInterfaceEntry(&row) == STATUS_SUCCESS && row.NlMtu == 1333 && row.Connected);
    row.InterfaceLuid.Value = 0;
    row.InterfaceIndex = 9999;
    CHECK(GetIpInterfaceEntry(&row) == STATUS_NOT_FOUND);

    best_routes(first, second);

    CHECK(NotifyRouteChange2(AF_UNSPEC, on_route, NULL, TRUE, &route_handle) == STATUS_SUCCESS);
    CHECK(NotifyIpInterfaceChange(AF_UNSPEC, on_link, &first, FALSE, &link_handle) == STATUS_SUCCESS);
    CHECK(side_wait(is_set, &initial_calls, 2000) && initial_calls == 1);
    CHECK(side_command("ip route add 10.99.0.0/16 via 192.0.2.77"));
    CHECK(side_wait(is_set, &route_calls, 2000));
    CHECK(side_command("ip link set mb0 mtu 1400"));
    CHECK(side_wait(is_set, &link_calls, 2000));
    CHECK(CancelMibChangeNotify2(route_handle) == STATUS_SUCCESS);
    side_sleep_ms(10);
    route_calls = 0;
    CHECK(side_command("ip route del 10.99.0.0/16 via 192.0.2.77"));
    side_sleep_ms(30);
    CHECK(route_calls == 0);
    CHECK(CancelMibChangeNotify2(link_handle) == STATUS_SUCCESS);
    CHECK(host_count_read(HOST_NOTIFICATION).now == 0 && host_count_read(HOST_MIB_TABLE).now == 0);
    side_command("ip link del mb0; ip link del mb1");
    if (host_options.verify) { /* each of these mistakes is reported */
        CHECK(side_again("rule mib-table-twice", 70, "mib-table"));
        CHECK(side_again("rule mib-cancel-twice", 70, "notification"));
    }
    checks_hand_over();
}

void break_mib_rule(const char *rule)
{
    MIB_IPFORWARD_TABLE2 *table;
    HANDLE handle;

    if (strcmp(rule, "mib-table-twice") == 0) {
        GetIpForwardTable2(AF_INET, &table);
        FreeMibTable(table);
        FreeMibTable(table);
    }
    if (strcmp(rule, "mib-cancel-twice") == 0) {
        NotifyRouteChange2(AF_INET, on_route, NULL, FALSE, &handle);
        CancelMibChangeNotify2(handle);
        CancelMibChangeNotify2(handle);
    }
}
