/* See netio.h. */
#include "win/netio.h"

#include "win/dns_client.h"

#include <string.h>

/* InterfaceMetric and the time between two looks for a new family. */
#define LOOK_MS 50

/* netioapi.h of Windows 10 2004 and later (DNS_INTERFACE_SETTINGS version 1). */
#define SETTINGS_VERSION_1 1
#define SETTING_IPV6       0x0001
#define SETTING_NAMESERVER 0x0002
#define SETTING_SEARCHLIST 0x0004
struct dns_settings {
    ULONG Version;
    ULONG64 Flags;
    PWSTR Domain, NameServer, SearchList;
    ULONG RegistrationEnabled, RegisterAdapterName, EnableLLMNR, QueryAdapterName;
    PWSTR ProfileNameServer;
};

/* X(name in iphlpapi.dll, arguments) */
#define FUNCTIONS(X)                                                                                         \
    X(InitializeUnicastIpAddressEntry, void, (MIB_UNICASTIPADDRESS_ROW *))                                   \
    X(CreateUnicastIpAddressEntry, DWORD, (const MIB_UNICASTIPADDRESS_ROW *))                                \
    X(DeleteUnicastIpAddressEntry, DWORD, (const MIB_UNICASTIPADDRESS_ROW *))                                \
    X(InitializeIpForwardEntry, void, (MIB_IPFORWARD_ROW2 *))                                                \
    X(CreateIpForwardEntry2, DWORD, (const MIB_IPFORWARD_ROW2 *))                                            \
    X(DeleteIpForwardEntry2, DWORD, (const MIB_IPFORWARD_ROW2 *))                                            \
    X(InitializeIpInterfaceEntry, void, (MIB_IPINTERFACE_ROW *))                                             \
    X(GetIpInterfaceEntry, DWORD, (MIB_IPINTERFACE_ROW *))                                                   \
    X(SetIpInterfaceEntry, DWORD, (MIB_IPINTERFACE_ROW *))                                                   \
    X(GetIpInterfaceTable, DWORD, (ADDRESS_FAMILY, MIB_IPINTERFACE_TABLE **))                                \
    X(ConvertInterfaceLuidToAlias, DWORD, (const NET_LUID *, WCHAR *, SIZE_T))                               \
    X(GetIpForwardTable2, DWORD, (ADDRESS_FAMILY, MIB_IPFORWARD_TABLE2 **))                                  \
    X(FreeMibTable, void, (void *))                                                                          \
    X(ConvertInterfaceLuidToGuid, DWORD, (const NET_LUID *, GUID *))                                         \
    X(ConvertInterfaceAliasToLuid, DWORD, (const WCHAR *, NET_LUID *))                                       \
    X(SetInterfaceDnsSettings, DWORD, (GUID, const struct dns_settings *))

#define MEMBER(name, result, arguments) result(WINAPI *name) arguments;
static struct {
    FUNCTIONS(MEMBER)
} ip;

static BOOL CALLBACK load(PINIT_ONCE once, void *parameter, void **context)
{
    HMODULE module = LoadLibraryExW(L"iphlpapi.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    FARPROC function;
    if (!module)
        return TRUE;
#define LOOK_UP(name, result, arguments)                                                                     \
    function = GetProcAddress(module, #name);                                                                \
    memcpy(&ip.name, &function, sizeof function);
    FUNCTIONS(LOOK_UP)
    return TRUE;
}

static void need(void)
{
    static INIT_ONCE once = INIT_ONCE_STATIC_INIT;
    InitOnceExecuteOnce(&once, load, NULL, NULL);
}

static ADDRESS_FAMILY family_of(uint8_t family)
{
    return family == 4 ? AF_INET : AF_INET6;
}

static void fill_address(SOCKADDR_INET *address, const struct netio_prefix *prefix)
{
    memset(address, 0, sizeof *address);
    address->si_family = family_of(prefix->family);
    if (prefix->family == 4)
        memcpy(&address->Ipv4.sin_addr, prefix->bytes, 4);
    else
        memcpy(&address->Ipv6.sin6_addr, prefix->bytes, 16);
}

static DWORD unless_there(DWORD code)
{
    return code == ERROR_OBJECT_ALREADY_EXISTS ? 0 : code;
}

DWORD netio_add_address(const NET_LUID *luid, const struct netio_prefix *address)
{
    MIB_UNICASTIPADDRESS_ROW row;
    need();
    if (!ip.InitializeUnicastIpAddressEntry || !ip.CreateUnicastIpAddressEntry)
        return ERROR_NOT_SUPPORTED;
    ip.InitializeUnicastIpAddressEntry(&row);
    fill_address(&row.Address, address);
    row.InterfaceLuid = *luid;
    row.OnLinkPrefixLength = address->length;
    row.DadState = IpDadStatePreferred;
    row.ValidLifetime = row.PreferredLifetime = 0xFFFFFFFFu;
    return unless_there(ip.CreateUnicastIpAddressEntry(&row));
}

DWORD netio_delete_address(const NET_LUID *luid, const struct netio_prefix *address)
{
    MIB_UNICASTIPADDRESS_ROW row;
    need();
    if (!ip.InitializeUnicastIpAddressEntry || !ip.DeleteUnicastIpAddressEntry)
        return ERROR_NOT_SUPPORTED;
    ip.InitializeUnicastIpAddressEntry(&row);
    fill_address(&row.Address, address);
    row.InterfaceLuid = *luid;
    DWORD code = ip.DeleteUnicastIpAddressEntry(&row);
    return code == ERROR_NOT_FOUND ? 0 : code;
}

static DWORD route_row(MIB_IPFORWARD_ROW2 *row, const NET_LUID *luid, const struct netio_prefix *destination)
{
    struct netio_prefix network = *destination;
    need();
    if (!ip.InitializeIpForwardEntry || !ip.CreateIpForwardEntry2 || !ip.DeleteIpForwardEntry2)
        return ERROR_NOT_SUPPORTED;
    for (unsigned bit = network.length; bit < sizeof network.bytes * 8; bit++)
        network.bytes[bit / 8] &= (uint8_t)~(0x80u >> bit % 8);
    ip.InitializeIpForwardEntry(row);
    row->InterfaceLuid = *luid;
    fill_address(&row->DestinationPrefix.Prefix, &network);
    row->DestinationPrefix.PrefixLength = network.length;
    row->NextHop.si_family = family_of(network.family); /* the unspecified address: on link */
    return 0;
}

DWORD netio_add_route(const NET_LUID *luid, const struct netio_prefix *destination, uint32_t metric)
{
    MIB_IPFORWARD_ROW2 row;
    DWORD code = route_row(&row, luid, destination);
    if (code)
        return code;
    row.Metric = metric;
    return unless_there(ip.CreateIpForwardEntry2(&row));
}

DWORD netio_delete_route(const NET_LUID *luid, const struct netio_prefix *destination)
{
    MIB_IPFORWARD_ROW2 row;
    DWORD code = route_row(&row, luid, destination);
    if (!code)
        code = ip.DeleteIpForwardEntry2(&row);
    return code == ERROR_NOT_FOUND ? 0 : code;
}

static DWORD interface_row(MIB_IPINTERFACE_ROW *row, const NET_LUID *luid, uint8_t family)
{
    need();
    if (!ip.InitializeIpInterfaceEntry || !ip.GetIpInterfaceEntry || !ip.SetIpInterfaceEntry)
        return ERROR_NOT_SUPPORTED;
    ip.InitializeIpInterfaceEntry(row);
    row->InterfaceLuid = *luid;
    row->Family = family_of(family);
    return ip.GetIpInterfaceEntry(row);
}

DWORD netio_set_interface(const NET_LUID *luid, uint8_t family, uint32_t mtu, uint32_t metric,
                          uint32_t wait_ms)
{
    MIB_IPINTERFACE_ROW row;
    DWORD code = interface_row(&row, luid, family);
    for (uint32_t waited = 0; code == ERROR_NOT_FOUND && waited < wait_ms; waited += LOOK_MS) {
        Sleep(LOOK_MS);
        code = interface_row(&row, luid, family);
    }
    if (code)
        return code;
    row.NlMtu = mtu;
    if (metric == NETIO_METRIC_AUTOMATIC) {
        row.UseAutomaticMetric = TRUE;
    } else if (metric != NETIO_METRIC_KEEP) {
        row.UseAutomaticMetric = FALSE;
        row.Metric = metric;
    }
    /* Of IPv4 Get fills it with what Set refuses (documented with SetIpInterfaceEntry). */
    if (family == 4)
        row.SitePrefixLength = 0;
    return ip.SetIpInterfaceEntry(&row);
}

DWORD netio_find(const WCHAR *alias, NET_LUID *luid)
{
    need();
    return ip.ConvertInterfaceAliasToLuid ? ip.ConvertInterfaceAliasToLuid(alias, luid) : ERROR_NOT_SUPPORTED;
}

DWORD netio_get_mtu(const NET_LUID *luid, uint8_t family, uint32_t *mtu)
{
    MIB_IPINTERFACE_ROW row;
    DWORD code = interface_row(&row, luid, family);
    if (!code)
        *mtu = row.NlMtu;
    return code;
}

DWORD netio_risky_interfaces(netio_risky *each, void *context)
{
    MIB_IPINTERFACE_TABLE *table;
    WCHAR alias[IF_MAX_STRING_SIZE + 1];
    need();
    if (!ip.GetIpInterfaceTable || !ip.ConvertInterfaceLuidToAlias || !ip.FreeMibTable)
        return ERROR_NOT_SUPPORTED;
    DWORD code = ip.GetIpInterfaceTable(AF_UNSPEC, &table);
    for (ULONG i = 0; !code && i < table->NumEntries; i++) {
        const MIB_IPINTERFACE_ROW *row = &table->Table[i];
        if (!row->Connected || (!row->ForwardingEnabled && !row->WeakHostSend))
            continue;
        if (ip.ConvertInterfaceLuidToAlias(&row->InterfaceLuid, alias, IF_MAX_STRING_SIZE + 1))
            wcscpy(alias, L"?");
        each(context, alias, row->Family == AF_INET ? 4 : 6, row->ForwardingEnabled, row->WeakHostSend);
    }
    if (!code)
        ip.FreeMibTable(table);
    return code;
}

static bool covers(const IP_ADDRESS_PREFIX *prefix, const SOCKADDR_INET *address)
{
    bool ipv4 = address->si_family == AF_INET;
    const uint8_t *left = ipv4 ? (const uint8_t *)&prefix->Prefix.Ipv4.sin_addr
                               : (const uint8_t *)&prefix->Prefix.Ipv6.sin6_addr;
    const uint8_t *right =
        ipv4 ? (const uint8_t *)&address->Ipv4.sin_addr : (const uint8_t *)&address->Ipv6.sin6_addr;
    unsigned whole = prefix->PrefixLength / 8, rest = prefix->PrefixLength % 8;
    if (prefix->PrefixLength > (ipv4 ? 32 : 128) || memcmp(left, right, whole) != 0)
        return false;
    return !rest || !((left[whole] ^ right[whole]) >> (8 - rest));
}

/* The longest prefix, then the smallest sum of the route's and the interface's metrics, as Windows chooses.
 */
DWORD netio_way_to(const SOCKADDR_INET *to, const NET_LUID *without, NET_LUID *luid, uint32_t *mtu)
{
    MIB_IPFORWARD_TABLE2 *table;
    MIB_IPINTERFACE_ROW row;
    bool found = false;
    uint8_t length = 0, family = to->si_family == AF_INET ? 4 : 6;
    uint64_t best = 0;
    need();
    if (!ip.GetIpForwardTable2 || !ip.FreeMibTable)
        return ERROR_NOT_SUPPORTED;
    DWORD code = ip.GetIpForwardTable2(to->si_family, &table);
    if (code)
        return code;
    for (ULONG i = 0; i < table->NumEntries; i++) {
        const MIB_IPFORWARD_ROW2 *route = &table->Table[i];
        const IP_ADDRESS_PREFIX *prefix = &route->DestinationPrefix;
        if (route->Loopback || (without && route->InterfaceLuid.Value == without->Value) ||
            !covers(prefix, to) || (found && prefix->PrefixLength < length) ||
            interface_row(&row, &route->InterfaceLuid, family) || !row.Connected)
            continue;
        uint64_t metric = (uint64_t)route->Metric + row.Metric;
        if (found && prefix->PrefixLength == length && metric >= best)
            continue;
        found = true;
        length = prefix->PrefixLength;
        best = metric;
        *luid = route->InterfaceLuid;
        *mtu = row.NlMtu;
    }
    ip.FreeMibTable(table);
    return found ? 0 : ERROR_NETWORK_UNREACHABLE;
}

/* Where Windows before 10 2004 has an interface's servers (documented as the interface's parameters of Tcpip
 * and Tcpip6); the DNS client looks at them again when the interface changes. */
static DWORD set_dns_registry(const GUID *guid, uint8_t family, const WCHAR *servers, const WCHAR *domains)
{
    static const WCHAR *const keys[] = {
        L"SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters\\Interfaces\\",
        L"SYSTEM\\CurrentControlSet\\Services\\Tcpip6\\Parameters\\Interfaces\\"};
    WCHAR path[160];
    HKEY key;
    wcscpy(path, keys[family != 4]);
    if (!StringFromGUID2(guid, path + wcslen(path), 40))
        return ERROR_INVALID_PARAMETER;
    DWORD code =
        (DWORD)RegCreateKeyExW(HKEY_LOCAL_MACHINE, path, 0, NULL, 0, KEY_SET_VALUE, NULL, &key, NULL);
    if (code)
        return code;
    code = (DWORD)RegSetValueExW(key, L"NameServer", 0, REG_SZ, (const BYTE *)servers,
                                 (DWORD)(wcslen(servers) + 1) * sizeof *servers);
    if (!code)
        code = (DWORD)RegSetValueExW(key, L"SearchList", 0, REG_SZ, (const BYTE *)domains,
                                     (DWORD)(wcslen(domains) + 1) * sizeof *domains);
    RegCloseKey(key);
    /* One that does not run reads them when it starts. */
    if (!code)
        dns_client_refresh();
    return code;
}

DWORD netio_set_dns(const NET_LUID *luid, uint8_t family, const WCHAR *servers, const WCHAR *domains)
{
    WCHAR server_text[2048], domain_text[2048];
    GUID guid;
    need();
    if (wcslen(servers) >= 2048 || wcslen(domains) >= 2048)
        return ERROR_BUFFER_OVERFLOW;
    if (!ip.ConvertInterfaceLuidToGuid)
        return ERROR_NOT_SUPPORTED;
    DWORD code = ip.ConvertInterfaceLuidToGuid(luid, &guid);
    if (code)
        return code;
    if (!ip.SetInterfaceDnsSettings)
        return set_dns_registry(&guid, family, servers, domains);
    wcscpy(server_text, servers);
    wcscpy(domain_text, domains);
    struct dns_settings settings = {.Version = SETTINGS_VERSION_1,
                                    .Flags = SETTING_NAMESERVER | SETTING_SEARCHLIST |
                                             (family == 6 ? SETTING_IPV6 : 0),
                                    .NameServer = server_text,
                                    .SearchList = domain_text};
    return ip.SetInterfaceDnsSettings(guid, &settings);
}
