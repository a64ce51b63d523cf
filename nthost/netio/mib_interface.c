/* IP helper: interfaces, their identifiers and their per-family settings, from rtnetlink. */
#include "mib_internal.h"
#include "ndis/adapter.h"
#include "verify/verify.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_ENTRIES 256u

static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    uint32_t ifindex;
    uint16_t link_type;
} cache[CACHE_ENTRIES];

uint32_t mib_if_type(uint16_t link_type)
{
    switch (link_type) {
    case LINK_TYPE_ETHERNET:
        return IF_TYPE_ETHERNET_CSMACD;
    case LINK_TYPE_LOOPBACK:
        return IF_TYPE_SOFTWARE_LOOPBACK;
    case LINK_TYPE_NONE: /* TUN */
        return IF_TYPE_PROP_VIRTUAL;
    default:
        return IF_TYPE_OTHER;
    }
}

NET_LUID mib_luid(uint32_t ifindex, uint16_t link_type)
{
    NET_LUID luid;

    luid.Value = ((uint64_t)mib_if_type(link_type) << NET_LUID_IF_TYPE_SHIFT) |
                 ((uint64_t)ifindex << NET_LUID_NET_LUID_INDEX_SHIFT);
    return luid;
}

bool mib_link_type(uint32_t ifindex, uint16_t *link_type)
{
    struct interface_entry *entries;
    bool found = false;
    int count;

    pthread_mutex_lock(&cache_lock);
    if (cache[ifindex % CACHE_ENTRIES].ifindex == ifindex && ifindex) {
        *link_type = cache[ifindex % CACHE_ENTRIES].link_type;
        found = true;
    }
    pthread_mutex_unlock(&cache_lock);
    if (found)
        return true;
    count = net_interfaces(&entries);
    if (count < 0)
        return false;
    pthread_mutex_lock(&cache_lock);
    for (int i = 0; i < count; i++) {
        unsigned slot = entries[i].ifindex % CACHE_ENTRIES;

        cache[slot].ifindex = entries[i].ifindex;
        cache[slot].link_type = entries[i].type;
        if (entries[i].ifindex == ifindex) {
            *link_type = entries[i].type;
            found = true;
        }
    }
    pthread_mutex_unlock(&cache_lock);
    free(entries);
    return found;
}

uint32_t mib_index(const NET_LUID *luid, NET_IFINDEX index)
{
    if (luid && luid->Value)
        return (uint32_t)((luid->Value & NET_LUID_NET_LUID_INDEX) >> NET_LUID_NET_LUID_INDEX_SHIFT);
    return index;
}

uint8_t mib_family(ADDRESS_FAMILY family)
{
    return family == AF_UNSPEC ? 0 : family == AF_INET ? 4 : family == AF_INET6 ? 6 : 0xff;
}

void mib_address(uint8_t family, const uint8_t *bytes, uint32_t ifindex, SOCKADDR_INET *out)
{
    memset(out, 0, sizeof *out);
    if (family == 4) {
        out->Ipv4.sin_family = AF_INET;
        memcpy(&out->Ipv4.sin_addr, bytes, 4);
    } else {
        out->Ipv6.sin6_family = AF_INET6;
        memcpy(&out->Ipv6.sin6_addr, bytes, 16);
        if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) /* link-local: scoped */
            out->Ipv6.sin6_scope_id = ifindex;
    }
}

NTSTATUS mib_status_of(int error)
{
    switch (-error) {
    case 0:
        return STATUS_SUCCESS;
    case ENOMEM:
    case ENOBUFS:
        return STATUS_INSUFFICIENT_RESOURCES;
    case ENODEV:
    case ENXIO:
    case ENOENT:
        return STATUS_NOT_FOUND;
    case EPERM:
    case EACCES:
        return STATUS_ACCESS_DENIED;
    case EINVAL:
        return STATUS_INVALID_PARAMETER;
    default:
        return STATUS_UNSUCCESSFUL;
    }
}

/* ---- tables ---- */

struct table_header { /* in front of each table: FreeMibTable recognises its own */
    uint64_t magic;
    uint64_t padding;
};
#define TABLE_MAGIC 0x656c62617462696dull

void *mib_table_allocate(size_t header_bytes, size_t row_bytes, size_t count)
{
    size_t bytes = sizeof(struct table_header) + header_bytes + row_bytes * (count ? count : 1);
    struct table_header *table = lent_allocate(bytes, "MIB table", RULE_MIB_TABLE);

    if (!table)
        return NULL;
    memset(table, 0, bytes);
    table->magic = TABLE_MAGIC;
    host_count_add(HOST_MIB_TABLE, 1);
    if (host_options.verify)
        ledger_add(HOST_MIB_TABLE, table + 1, OWNER_DRIVER, "MIB table");
    return table + 1;
}

VOID NTAPI FreeMibTable(PVOID Memory)
{
    struct table_header *table = (struct table_header *)Memory - 1;

    if (!Memory)
        return;
    if (host_options.verify)
        ledger_remove(HOST_MIB_TABLE, Memory, OWNER_DRIVER, RULE_MIB_TABLE);
    if (table->magic != TABLE_MAGIC) {
        host_warn("FreeMibTable: %p is not a table", Memory);
        return;
    }
    table->magic = 0;
    host_count_add(HOST_MIB_TABLE, -1);
    lent_free(table);
}

/* ---- interfaces ---- */

static void make_guid(uint32_t ifindex, GUID *guid)
{
    *guid = (GUID){0x4e744e69, 0x6600, 0x4000, {0x80, 0, 0, 0, 0, 0, 0, 0}};
    for (unsigned i = 0; i < 4; i++)
        guid->Data4[4 + i] = (uint8_t)(ifindex >> (24 - 8 * i));
}

static void fill_row(const struct interface_entry *entry, MIB_IF_ROW2 *row)
{
    memset(row, 0, sizeof *row);
    row->InterfaceLuid = mib_luid(entry->ifindex, entry->type);
    row->InterfaceIndex = entry->ifindex;
    make_guid(entry->ifindex, &row->InterfaceGuid);
    for (unsigned i = 0; i < sizeof entry->name && entry->name[i]; i++)
        row->Alias[i] = row->Description[i] = (uint8_t)entry->name[i];
    if (entry->type == LINK_TYPE_ETHERNET) {
        row->PhysicalAddressLength = sizeof entry->mac;
        memcpy(row->PhysicalAddress, entry->mac, sizeof entry->mac);
        memcpy(row->PermanentPhysicalAddress, entry->mac, sizeof entry->mac);
    }
    row->Mtu = entry->mtu;
    row->Type = mib_if_type(entry->type);
    row->MediaType = entry->type == LINK_TYPE_ETHERNET ? NdisMedium802_3 : NdisMediumIP;
    row->OperStatus = entry->oper_up ? IfOperStatusUp : IfOperStatusDown;
    row->AdminStatus = entry->flags & LINK_FLAG_UP ? NET_IF_ADMIN_STATUS_UP : NET_IF_ADMIN_STATUS_DOWN;
    row->MediaConnectState = entry->oper_up ? MediaConnectStateConnected : MediaConnectStateDisconnected;
}

/* Traffic counters stay 0: Linux's own tools show them. */
NTSTATUS NTAPI GetIfEntry2(PMIB_IF_ROW2 Row)
{
    uint32_t ifindex = mib_index(&Row->InterfaceLuid, Row->InterfaceIndex);
    struct interface_entry *entries;
    NTSTATUS status = STATUS_NOT_FOUND;
    int count;

    if (!ifindex)
        return STATUS_INVALID_PARAMETER;
    count = net_interfaces(&entries);
    if (count < 0)
        return mib_status_of(count);
    for (int i = 0; i < count; i++)
        if (entries[i].ifindex == ifindex) {
            fill_row(&entries[i], Row);
            status = STATUS_SUCCESS;
        }
    free(entries);
    return status;
}

NTSTATUS NTAPI GetIfTable2(PMIB_IF_TABLE2 *Table)
{
    struct interface_entry *entries;
    int count = net_interfaces(&entries);
    MIB_IF_TABLE2 *table;

    *Table = NULL;
    if (count < 0)
        return mib_status_of(count);
    table = mib_table_allocate(offsetof(MIB_IF_TABLE2, Table), sizeof(MIB_IF_ROW2), (size_t)count);
    if (table) {
        table->NumEntries = (ULONG)count;
        for (int i = 0; i < count; i++)
            fill_row(&entries[i], &table->Table[i]);
    }
    free(entries);
    *Table = table;
    return table ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

/* ---- IP interfaces ---- */

VOID NTAPI InitializeIpInterfaceEntry(PMIB_IPINTERFACE_ROW Row)
{
    /* Microsoft: fills the row with values that SetIpInterfaceEntry leaves as they are. */
    memset(Row, 0xff, sizeof *Row);
    Row->Family = AF_UNSPEC;
    Row->InterfaceLuid.Value = 0;
    Row->InterfaceIndex = 0;
    Row->RouterDiscoveryBehavior = RouterDiscoveryUnchanged;
    Row->LinkLocalAddressBehavior = LinkLocalUnchanged;
}

/* The interface metric is 0: Linux has only route metrics, which the forward table carries whole. */
static bool fill_ip_row(const struct interface_entry *entry, uint8_t family, MIB_IPINTERFACE_ROW *row)
{
    uint32_t mtu, media;

    if (net_mtu(family, entry->ifindex, &mtu) != 0)
        return false;
    /* An interface nobody has given an MTU has that of its medium, which may be more than a TUN can have. */
    if (mtu == TUN_MTU_MAX && (media = ndis_adapter_media_mtu(entry->ifindex)) > mtu)
        mtu = media;
    memset(row, 0, sizeof *row);
    row->Family = family == 4 ? AF_INET : AF_INET6;
    row->InterfaceLuid = mib_luid(entry->ifindex, entry->type);
    row->InterfaceIndex = entry->ifindex;
    row->MaxReassemblySize = 65535;
    row->NlMtu = mtu;
    row->Connected = entry->oper_up;
    row->RouterDiscoveryBehavior = RouterDiscoveryDisabled;
    row->LinkLocalAddressBehavior = LinkLocalAlwaysOn;
    return true;
}

NTSTATUS NTAPI GetIpInterfaceEntry(PMIB_IPINTERFACE_ROW Row)
{
    uint32_t ifindex = mib_index(&Row->InterfaceLuid, Row->InterfaceIndex);
    uint8_t family = mib_family(Row->Family);
    struct interface_entry *entries;
    NTSTATUS status = STATUS_NOT_FOUND;
    int count;

    if (!ifindex || (family != 4 && family != 6))
        return STATUS_INVALID_PARAMETER;
    count = net_interfaces(&entries);
    if (count < 0)
        return mib_status_of(count);
    for (int i = 0; i < count; i++)
        if (entries[i].ifindex == ifindex && fill_ip_row(&entries[i], family, Row))
            status = STATUS_SUCCESS;
    free(entries);
    return status;
}

/* NlMtu is what can be set here; other members are accepted unchanged. */
NTSTATUS NTAPI SetIpInterfaceEntry(PMIB_IPINTERFACE_ROW Row)
{
    uint32_t ifindex = mib_index(&Row->InterfaceLuid, Row->InterfaceIndex);
    uint8_t family = mib_family(Row->Family);

    if (!ifindex || (family != 4 && family != 6))
        return STATUS_INVALID_PARAMETER;
    if (Row->NlMtu == 0 || Row->NlMtu == UINT32_MAX)
        return STATUS_SUCCESS;
    return mib_status_of(net_set_mtu(family, ifindex, Row->NlMtu));
}

NTSTATUS NTAPI GetIpInterfaceTable(ADDRESS_FAMILY Family, PMIB_IPINTERFACE_TABLE *Table)
{
    uint8_t family = mib_family(Family);
    struct interface_entry *entries;
    MIB_IPINTERFACE_TABLE *table;
    int count;

    *Table = NULL;
    if (family == 0xff)
        return STATUS_INVALID_PARAMETER;
    count = net_interfaces(&entries);
    if (count < 0)
        return mib_status_of(count);
    table = mib_table_allocate(offsetof(MIB_IPINTERFACE_TABLE, Table), sizeof(MIB_IPINTERFACE_ROW),
                               2 * (size_t)count);
    for (int i = 0; table && i < count; i++)
        for (uint8_t f = 4; f <= 6; f += 2)
            if ((family == 0 || family == f) && fill_ip_row(&entries[i], f, &table->Table[table->NumEntries]))
                table->NumEntries++;
    free(entries);
    *Table = table;
    return table ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

/* ---- conversions ---- */

NTSTATUS NTAPI ConvertInterfaceLuidToIndex(const NET_LUID *InterfaceLuid, PNET_IFINDEX InterfaceIndex)
{
    uint16_t type;
    uint32_t ifindex = InterfaceLuid ? mib_index(InterfaceLuid, 0) : 0;

    *InterfaceIndex = 0;
    if (!ifindex || !mib_link_type(ifindex, &type) || mib_luid(ifindex, type).Value != InterfaceLuid->Value)
        return STATUS_INVALID_PARAMETER;
    *InterfaceIndex = ifindex;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI ConvertInterfaceIndexToLuid(NET_IFINDEX InterfaceIndex, PNET_LUID InterfaceLuid)
{
    uint16_t type;

    InterfaceLuid->Value = 0;
    if (!InterfaceIndex || !mib_link_type(InterfaceIndex, &type))
        return STATUS_NOT_FOUND;
    *InterfaceLuid = mib_luid(InterfaceIndex, type);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI ConvertInterfaceLuidToGuid(const NET_LUID *InterfaceLuid, GUID *InterfaceGuid)
{
    NET_IFINDEX ifindex;
    NTSTATUS status = ConvertInterfaceLuidToIndex(InterfaceLuid, &ifindex);

    if (status == STATUS_SUCCESS)
        make_guid(ifindex, InterfaceGuid);
    return status;
}

NTSTATUS NTAPI ConvertInterfaceGuidToLuid(const GUID *InterfaceGuid, PNET_LUID InterfaceLuid)
{
    uint32_t ifindex = 0;
    GUID expected;

    for (unsigned i = 0; i < 4; i++)
        ifindex = ifindex << 8 | InterfaceGuid->Data4[4 + i];
    make_guid(ifindex, &expected);
    if (memcmp(&expected, InterfaceGuid, sizeof expected) != 0) {
        InterfaceLuid->Value = 0;
        return STATUS_INVALID_PARAMETER;
    }
    return ConvertInterfaceIndexToLuid(ifindex, InterfaceLuid);
}
