/* The system's interfaces and routes (edge/edge.h), as far as the engine asks: which interfaces there are,
 * and when anything changed.  A default route into the tunnel would swallow the tunnel's own datagrams: while
 * there is one, they leave through the interface of the best default route beside it. */
#include "net.h"
#include "edge/edge.h"
#include "sched/sched.h"
#include "udp.h"

#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <ws2ipdef.h>

#include <iphlpapi.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINUX_IFF_UP 1u /* the flag that the engine looks for */

static void (*subscriber)(void *context, unsigned mask, uint32_t ifindex);
static void *subscriber_context;
static volatile LONG pending; /* a change is on its way to the loop */
static HANDLE route_changes, interface_changes;
static uint32_t tunnel; /* index of the interface that the engine made */

void net_set_tunnel(uint32_t ifindex)
{
    tunnel = ifindex;
}

/* ---- interfaces ---- */

/* The adapter of an open session is up as long as it is there. */
int net_interfaces(struct interface_entry **entries)
{
    MIB_IF_TABLE2 *table;
    *entries = NULL;
    if (GetIfTable2(&table) != NO_ERROR)
        return -EIO;
    struct interface_entry *made = calloc(table->NumEntries + 1, sizeof(*made));
    ULONG count = table->NumEntries;
    for (ULONG i = 0; made && i < count; i++)
        made[i] = (struct interface_entry){.ifindex = table->Table[i].InterfaceIndex,
                                           .mtu = table->Table[i].Mtu,
                                           .flags = LINUX_IFF_UP,
                                           .oper_up = table->Table[i].OperStatus == IfOperStatusUp};
    FreeMibTable(table);
    *entries = made;
    return made ? (int)count : -ENOMEM;
}

/* ---- the way out of the tunnel ---- */

static uint64_t cost(const MIB_IPFORWARD_ROW2 *route)
{
    MIB_IPINTERFACE_ROW interface_row;
    InitializeIpInterfaceEntry(&interface_row);
    interface_row.Family = route->DestinationPrefix.Prefix.si_family;
    interface_row.InterfaceLuid = route->InterfaceLuid;
    if (GetIpInterfaceEntry(&interface_row) != NO_ERROR || !interface_row.Connected)
        return UINT64_MAX;
    return (uint64_t)route->Metric + interface_row.Metric;
}

static void choose_way_out(uint8_t family)
{
    MIB_IPFORWARD_TABLE2 *table;
    bool swallowed = false;
    if (!tunnel || GetIpForwardTable2(family == 4 ? AF_INET : AF_INET6, &table) != NO_ERROR)
        return;
    /* 0.0.0.0/1 and 128.0.0.0/1 are a default route too. */
    for (ULONG i = 0; i < table->NumEntries; i++)
        swallowed |=
            table->Table[i].InterfaceIndex == tunnel && table->Table[i].DestinationPrefix.PrefixLength <= 1;
    uint32_t best = 0;
    uint64_t best_cost = UINT64_MAX;
    for (ULONG i = 0; swallowed && i < table->NumEntries; i++) {
        const MIB_IPFORWARD_ROW2 *route = &table->Table[i];
        if (route->InterfaceIndex == tunnel || route->DestinationPrefix.PrefixLength != 0)
            continue;
        uint64_t its_cost = cost(route);
        if (its_cost < best_cost) {
            best_cost = its_cost;
            best = route->InterfaceIndex;
        }
    }
    FreeMibTable(table);
    udp_set_way_out(family, best);
}

/* ---- changes ---- */

static void tell(void *context)
{
    InterlockedExchange(&pending, 0);
    choose_way_out(4);
    choose_way_out(6);
    if (subscriber)
        subscriber(subscriber_context, NET_CHANGED_ROUTE | NET_CHANGED_ADDRESS | NET_CHANGED_LINK, 0);
}

/* On threads of the system; many changes in a row are one. */
static void changed(void)
{
    if (!InterlockedExchange(&pending, 1))
        loop_post(tell, NULL);
}

static void WINAPI route_changed(void *context, MIB_IPFORWARD_ROW2 *row, MIB_NOTIFICATION_TYPE type)
{
    changed();
}

static void WINAPI interface_changed(void *context, MIB_IPINTERFACE_ROW *row, MIB_NOTIFICATION_TYPE type)
{
    changed();
}

int net_subscribe(void (*function)(void *context, unsigned mask, uint32_t ifindex), void *context)
{
    DWORD(WINAPI * of_routes)(ADDRESS_FAMILY, PIPFORWARD_CHANGE_CALLBACK, PVOID, BOOLEAN, HANDLE *);
    DWORD(WINAPI * of_interfaces)(ADDRESS_FAMILY, PIPINTERFACE_CHANGE_CALLBACK, PVOID, BOOLEAN, HANDLE *);
    HMODULE module = GetModuleHandleW(L"iphlpapi.dll");
    *(FARPROC *)&of_routes = GetProcAddress(module, "NotifyRouteChange2");
    *(FARPROC *)&of_interfaces = GetProcAddress(module, "NotifyIpInterfaceChange");
    subscriber = function;
    subscriber_context = context;
    if (!of_routes || of_routes(AF_UNSPEC, route_changed, NULL, FALSE, &route_changes) != NO_ERROR)
        route_changes = NULL;
    if (!of_interfaces ||
        of_interfaces(AF_UNSPEC, interface_changed, NULL, FALSE, &interface_changes) != NO_ERROR)
        interface_changes = NULL;
    changed();
    return 0;
}

/* Waits for callbacks that run (CancelMibChangeNotify2). */
void net_unsubscribe(void (*function)(void *context, unsigned mask, uint32_t ifindex), void *context)
{
    if (route_changes)
        CancelMibChangeNotify2(route_changes);
    if (interface_changes)
        CancelMibChangeNotify2(interface_changes);
    route_changes = interface_changes = NULL;
    subscriber = NULL;
}
