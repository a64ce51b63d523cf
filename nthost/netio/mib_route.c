/* IP helper: the forward table, unicast addresses, and the choice of route and source address. Which Linux
 * routes are in the table is said in edge/netlink.c. */
#include "mib_internal.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <string.h>

#define LIFETIME_INFINITE 0xffffffffu
#define LINUX_TABLE_LOCAL 255u

static void fill_route(const struct route_entry *entry, MIB_IPFORWARD_ROW2 *row)
{
    static const uint8_t zero[16];
    uint16_t type = 0;

    memset(row, 0, sizeof *row);
    mib_link_type(entry->ifindex, &type);
    row->InterfaceLuid = mib_luid(entry->ifindex, type);
    row->InterfaceIndex = entry->ifindex;
    mib_address(entry->family, entry->destination, entry->ifindex, &row->DestinationPrefix.Prefix);
    row->DestinationPrefix.PrefixLength = entry->prefix_length;
    mib_address(entry->family, entry->has_next_hop ? entry->next_hop : zero, entry->ifindex, &row->NextHop);
    row->ValidLifetime = row->PreferredLifetime = LIFETIME_INFINITE;
    row->Metric = entry->metric;
    row->Protocol = entry->table == LINUX_TABLE_LOCAL ? RouteProtocolLocal : RouteProtocolNetMgmt;
    row->Loopback = type == LINK_TYPE_LOOPBACK;
    row->Immortal = TRUE;
    row->Origin = NlroManual;
}

NTSTATUS NTAPI GetIpForwardTable2(ADDRESS_FAMILY Family, PMIB_IPFORWARD_TABLE2 *Table)
{
    uint8_t family = mib_family(Family);
    struct route_entry *entries;
    MIB_IPFORWARD_TABLE2 *table;
    int count;

    *Table = NULL;
    if (family == 0xff)
        return STATUS_INVALID_PARAMETER;
    count = net_routes(family, &entries);
    if (count < 0)
        return mib_status_of(count);
    table =
        mib_table_allocate(offsetof(MIB_IPFORWARD_TABLE2, Table), sizeof(MIB_IPFORWARD_ROW2), (size_t)count);
    if (table) {
        table->NumEntries = (ULONG)count;
        for (int i = 0; i < count; i++)
            fill_route(&entries[i], &table->Table[i]);
    }
    free(entries);
    *Table = table;
    return table ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

NTSTATUS NTAPI GetUnicastIpAddressTable(ADDRESS_FAMILY Family, PMIB_UNICASTIPADDRESS_TABLE *Table)
{
    uint8_t family = mib_family(Family);
    struct address_entry *entries;
    MIB_UNICASTIPADDRESS_TABLE *table;
    int count;

    *Table = NULL;
    if (family == 0xff)
        return STATUS_INVALID_PARAMETER;
    count = net_addresses(family, &entries);
    if (count < 0)
        return mib_status_of(count);
    table = mib_table_allocate(offsetof(MIB_UNICASTIPADDRESS_TABLE, Table), sizeof(MIB_UNICASTIPADDRESS_ROW),
                               (size_t)count);
    for (int i = 0; table && i < count; i++) {
        MIB_UNICASTIPADDRESS_ROW *row = &table->Table[table->NumEntries++];
        uint16_t type = 0;

        mib_link_type(entries[i].ifindex, &type);
        mib_address(entries[i].family, entries[i].bytes, entries[i].ifindex, &row->Address);
        row->InterfaceLuid = mib_luid(entries[i].ifindex, type);
        row->InterfaceIndex = entries[i].ifindex;
        row->PrefixOrigin = IpPrefixOriginManual;
        row->SuffixOrigin = IpSuffixOriginManual;
        row->ValidLifetime = row->PreferredLifetime = LIFETIME_INFINITE;
        row->OnLinkPrefixLength = entries[i].prefix_length;
        row->DadState = IpDadStatePreferred;
        row->ScopeId.Value = row->Address.si_family == AF_INET6 ? row->Address.Ipv6.sin6_scope_id : 0;
    }
    free(entries);
    *Table = table;
    return table ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

/* ---- choosing ---- */

static unsigned common_bits(const uint8_t *a, const uint8_t *b, unsigned limit)
{
    unsigned bits = 0;

    while (bits < limit) {
        uint8_t difference = a[bits / 8] ^ b[bits / 8];

        if (difference) {
            bits += (unsigned)__builtin_clz(difference) - 24;
            return bits < limit ? bits : limit;
        }
        bits += 8;
    }
    return limit;
}

static const uint8_t *address_bytes(const SOCKADDR_INET *address)
{
    return address->si_family == AF_INET ? (const uint8_t *)&address->Ipv4.sin_addr
                                         : (const uint8_t *)&address->Ipv6.sin6_addr;
}

static bool interface_is_up(const struct interface_entry *entries, int count, uint32_t ifindex)
{
    for (int i = 0; i < count; i++)
        if (entries[i].ifindex == ifindex)
            return entries[i].oper_up;
    return false;
}

static bool link_local(uint8_t family, const uint8_t *bytes)
{
    return family == 4 ? bytes[0] == 169 && bytes[1] == 254 : bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

/* RFC 6724 in short: the destination itself; else same scope, then an address of the outgoing interface, then
 * the longest common prefix. */
static bool choose_source(uint8_t family, const uint8_t *destination, uint32_t ifindex, SOCKADDR_INET *source)
{
    struct address_entry *entries;
    int count = net_addresses(family, &entries), best = -1;
    unsigned best_score = 0, width = family == 4 ? 32 : 128;

    if (count < 0)
        return false;
    for (int i = 0; i < count; i++) {
        bool same_scope = link_local(family, entries[i].bytes) == link_local(family, destination);
        unsigned bits = common_bits(entries[i].bytes, destination, width);
        unsigned score = 1 + bits + (entries[i].ifindex == ifindex ? 256 : 0) + (same_scope ? 512 : 0) +
                         (bits == width ? 1024 : 0);

        if (score > best_score) {
            best_score = score;
            best = i;
        }
    }
    if (best >= 0)
        mib_address(family, entries[best].bytes, entries[best].ifindex, source);
    free(entries);
    return best >= 0;
}

/* Longest prefix, then smallest metric, over interfaces that are up; the constraint is LUID, else index, else
 * none. */
static bool choose_route(uint8_t family, const uint8_t *destination, uint32_t ifindex,
                         struct route_entry *best)
{
    struct interface_entry *interfaces;
    struct route_entry *routes;
    int interface_count = net_interfaces(&interfaces);
    int route_count = interface_count < 0 ? -1 : net_routes(family, &routes);
    bool found = false;

    for (int i = 0; i < route_count; i++) {
        const struct route_entry *r = &routes[i];

        if ((ifindex && r->ifindex != ifindex) ||
            common_bits(r->destination, destination, r->prefix_length) < r->prefix_length ||
            !interface_is_up(interfaces, interface_count, r->ifindex))
            continue;
        if (!found || r->prefix_length > best->prefix_length ||
            (r->prefix_length == best->prefix_length && r->metric < best->metric)) {
            *best = *r;
            found = true;
        }
    }
    if (route_count >= 0)
        free(routes);
    if (interface_count >= 0)
        free(interfaces);
    return found;
}

NTSTATUS NTAPI GetBestRoute2(NET_LUID *InterfaceLuid, NET_IFINDEX InterfaceIndex,
                             const SOCKADDR_INET *SourceAddress, const SOCKADDR_INET *DestinationAddress,
                             ULONG AddressSortOptions, PMIB_IPFORWARD_ROW2 BestRoute,
                             SOCKADDR_INET *BestSourceAddress)
{
    uint8_t family = DestinationAddress ? mib_family(DestinationAddress->si_family) : 0xff;
    uint32_t ifindex = mib_index(InterfaceLuid, InterfaceIndex);
    const uint8_t *destination;
    struct route_entry route;
    uint16_t type;

    if (!BestRoute || !BestSourceAddress || (family != 4 && family != 6))
        return STATUS_INVALID_PARAMETER;
    if (ifindex && !mib_link_type(ifindex, &type))
        return STATUS_NOT_FOUND;
    destination = address_bytes(DestinationAddress);
    if (!choose_route(family, destination, ifindex, &route))
        return STATUS_NETWORK_UNREACHABLE;
    if (SourceAddress && SourceAddress->si_family == DestinationAddress->si_family)
        *BestSourceAddress = *SourceAddress;
    else if (!choose_source(family, destination, route.ifindex, BestSourceAddress))
        return STATUS_NETWORK_UNREACHABLE;
    fill_route(&route, BestRoute);
    return STATUS_SUCCESS;
}
