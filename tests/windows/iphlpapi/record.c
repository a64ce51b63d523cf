/* A stand-in of iphlpapi.dll, native under Wine, which lacks the calls that configure IP: it appends each as
 * a line to the file that WYRM_RECORD names, and answers as Windows does (IPv6 comes to an interface a little
 * later than IPv4; an object that is there is not made again).  WYRM_RECORD_FAIL names a call that is refused
 * with ERROR_ACCESS_DENIED; so does the file whose name is that of WYRM_RECORD with ".fail" behind it, for
 * processes that run already. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <winsock2.h>
#include <ws2ipdef.h>
#include <ws2tcpip.h>

#include <iphlpapi.h>
#include <netioapi.h>

struct dns_settings {
    ULONG Version;
    ULONG64 Flags;
    PWSTR Domain, NameServer, SearchList;
};

enum { IPV6_LATE = 3 };

static void text_of(const SOCKADDR_INET *address, char *text)
{
    const BYTE *bytes = address->si_family == AF_INET ? (const BYTE *)&address->Ipv4.sin_addr
                                                      : (const BYTE *)&address->Ipv6.sin6_addr;
    for (int i = 0; i < (address->si_family == AF_INET ? 4 : 16); i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
}

static void read_refused(wchar_t *path, char *name, DWORD size)
{
    DWORD got = 0;
    wcscat(path, L".fail");
    HANDLE file =
        CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return;
    if (ReadFile(file, name, size - 1, &got, NULL))
        name[got] = 0;
    CloseHandle(file);
}

static bool refused_by_variable(const char *call)
{
    wchar_t refused[64] = L"";
    char name[64] = "";
    GetEnvironmentVariableW(L"WYRM_RECORD_FAIL", refused, 64);
    WideCharToMultiByte(CP_UTF8, 0, refused, -1, name, sizeof name, NULL, NULL);
    return !strcmp(name, call);
}

/* Writes the line; the code that the call returns. */
static DWORD record(const char *call, const char *line)
{
    wchar_t path[MAX_PATH];
    char text[600], name[64] = "";
    DWORD put;
    if (GetEnvironmentVariableW(L"WYRM_RECORD", path, MAX_PATH - 5)) {
        HANDLE file = CreateFileW(path, FILE_APPEND_DATA, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                                  OPEN_ALWAYS, 0, NULL);
        snprintf(text, sizeof text, "%s %s\n", call, line);
        WriteFile(file, text, (DWORD)strlen(text), &put, NULL);
        CloseHandle(file);
        read_refused(path, name, sizeof name);
    }
    return strcmp(name, call) && !refused_by_variable(call) ? NO_ERROR : ERROR_ACCESS_DENIED;
}

/* The adapter of the stand-in for wintun.dll, whatever its name is. */
DWORD WINAPI ConvertInterfaceAliasToLuid(const WCHAR *alias, PNET_LUID luid)
{
    luid->Value = 0x35000012345600u;
    return NO_ERROR;
}

DWORD WINAPI ConvertInterfaceLuidToIndex(const NET_LUID *luid, PNET_IFINDEX index)
{
    *index = 7;
    return NO_ERROR;
}

DWORD WINAPI ConvertInterfaceLuidToGuid(const NET_LUID *luid, GUID *guid)
{
    memset(guid, 0, sizeof *guid);
    memcpy(guid, luid, sizeof *luid);
    return NO_ERROR;
}

VOID WINAPI InitializeUnicastIpAddressEntry(PMIB_UNICASTIPADDRESS_ROW row)
{
    memset(row, 0, sizeof *row);
    row->OnLinkPrefixLength = 255;
}

DWORD WINAPI CreateUnicastIpAddressEntry(const MIB_UNICASTIPADDRESS_ROW *row)
{
    char address[40], line[100];
    text_of(&row->Address, address);
    sprintf(line, "%s/%u dad %u", address, row->OnLinkPrefixLength, row->DadState);
    return record("CreateUnicastIpAddressEntry", line);
}

DWORD WINAPI DeleteUnicastIpAddressEntry(const MIB_UNICASTIPADDRESS_ROW *row)
{
    char address[40];
    text_of(&row->Address, address);
    return record("DeleteUnicastIpAddressEntry", address);
}

VOID WINAPI InitializeIpForwardEntry(PMIB_IPFORWARD_ROW2 row)
{
    memset(row, 0, sizeof *row);
    row->Metric = 0xFFFFFFFFu;
}

DWORD WINAPI CreateIpForwardEntry2(const MIB_IPFORWARD_ROW2 *row)
{
    char address[40], hop[40], line[200];
    text_of(&row->DestinationPrefix.Prefix, address);
    text_of(&row->NextHop, hop);
    sprintf(line, "%s/%u by %s metric %lu", address, row->DestinationPrefix.PrefixLength, hop, row->Metric);
    return record("CreateIpForwardEntry2", line);
}

DWORD WINAPI DeleteIpForwardEntry2(const MIB_IPFORWARD_ROW2 *row)
{
    char address[40], line[100];
    text_of(&row->DestinationPrefix.Prefix, address);
    sprintf(line, "%s/%u", address, row->DestinationPrefix.PrefixLength);
    return record("DeleteIpForwardEntry2", line);
}

VOID WINAPI InitializeIpInterfaceEntry(PMIB_IPINTERFACE_ROW row)
{
    memset(row, 0, sizeof *row);
}

DWORD WINAPI GetIpInterfaceEntry(PMIB_IPINTERFACE_ROW row)
{
    static int asked;
    if (row->Family == AF_INET6 && asked++ < IPV6_LATE)
        return ERROR_NOT_FOUND;
    row->NlMtu = 1400;
    row->Metric = 25;
    row->UseAutomaticMetric = TRUE;
    row->Connected = TRUE;
    row->SitePrefixLength = 64;
    return NO_ERROR;
}

DWORD WINAPI SetIpInterfaceEntry(PMIB_IPINTERFACE_ROW row)
{
    char line[100];
    if (row->Family == AF_INET && row->SitePrefixLength)
        return ERROR_INVALID_PARAMETER;
    sprintf(line, "IPv%d mtu %lu metric %lu%s", row->Family == AF_INET ? 4 : 6, row->NlMtu, row->Metric,
            row->UseAutomaticMetric ? " automatic" : "");
    return record("SetIpInterfaceEntry", line);
}

/* One default route by another interface, and one by nothing. */
DWORD WINAPI GetIpForwardTable2(ADDRESS_FAMILY family, PMIB_IPFORWARD_TABLE2 *table)
{
    *table = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof **table);
    if (!*table)
        return ERROR_NOT_ENOUGH_MEMORY;
    (*table)->NumEntries = family == AF_INET;
    (*table)->Table[0].DestinationPrefix.Prefix.si_family = family;
    (*table)->Table[0].InterfaceLuid.Value = 99;
    return NO_ERROR;
}

/* One that forwards IPv4, one that sends from others' addresses, one that would if it were connected, and one
 * that is well. */
DWORD WINAPI GetIpInterfaceTable(ADDRESS_FAMILY family, PMIB_IPINTERFACE_TABLE *table)
{
    enum { ROWS = 4 };
    MIB_IPINTERFACE_TABLE *made =
        HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof *made + ROWS * sizeof made->Table[0]);
    if (!made)
        return ERROR_NOT_ENOUGH_MEMORY;
    made->NumEntries = ROWS;
    for (ULONG i = 0; i < ROWS; i++) {
        made->Table[i].InterfaceLuid.Value = i + 1;
        made->Table[i].Family = i == 1 ? AF_INET6 : AF_INET;
        made->Table[i].Connected = i != 2;
        made->Table[i].ForwardingEnabled = i == 0 || i == 2;
        made->Table[i].WeakHostSend = i == 1;
    }
    *table = made;
    return NO_ERROR;
}

DWORD WINAPI ConvertInterfaceLuidToAlias(const NET_LUID *luid, PWSTR alias, SIZE_T units)
{
    if (units < 12)
        return ERROR_NOT_ENOUGH_MEMORY;
    wcscpy(alias, L"Ethernet 0");
    alias[9] = (WCHAR)(L'0' + luid->Value);
    return NO_ERROR;
}

/* What wyrm-engine.exe wants besides. */
DWORD WINAPI GetIfTable2(PMIB_IF_TABLE2 *table)
{
    *table = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof **table);
    return *table ? NO_ERROR : ERROR_NOT_ENOUGH_MEMORY;
}

NET_IFINDEX WINAPI if_nametoindex(const char *name)
{
    return 0;
}

char *WINAPI if_indextoname(NET_IFINDEX index, char *name)
{
    return NULL;
}

/* ---- notifications, which are not recorded ---- */

static struct {
    PIPFORWARD_CHANGE_CALLBACK routes;
    PIPINTERFACE_CHANGE_CALLBACK interfaces;
    PUNICAST_IPADDRESS_CHANGE_CALLBACK addresses;
    void *context[3];
} notified;
static HANDLE const handles[3] = {(HANDLE)(ULONG_PTR)0x101, (HANDLE)(ULONG_PTR)0x102,
                                  (HANDLE)(ULONG_PTR)0x103};

DWORD WINAPI NotifyRouteChange2(ADDRESS_FAMILY family, PIPFORWARD_CHANGE_CALLBACK callback, PVOID context,
                                BOOLEAN at_once, HANDLE *notification)
{
    if (refused_by_variable("NotifyRouteChange2"))
        return ERROR_ACCESS_DENIED;
    notified.routes = callback;
    notified.context[0] = context;
    *notification = handles[0];
    return NO_ERROR;
}

DWORD WINAPI NotifyIpInterfaceChange(ADDRESS_FAMILY family, PIPINTERFACE_CHANGE_CALLBACK callback,
                                     PVOID context, BOOLEAN at_once, HANDLE *notification)
{
    if (refused_by_variable("NotifyIpInterfaceChange"))
        return ERROR_ACCESS_DENIED;
    notified.interfaces = callback;
    notified.context[1] = context;
    *notification = handles[1];
    return NO_ERROR;
}

DWORD WINAPI NotifyUnicastIpAddressChange(ADDRESS_FAMILY family, PUNICAST_IPADDRESS_CHANGE_CALLBACK callback,
                                          PVOID context, BOOLEAN at_once, HANDLE *notification)
{
    if (refused_by_variable("NotifyUnicastIpAddressChange"))
        return ERROR_ACCESS_DENIED;
    notified.addresses = callback;
    notified.context[2] = context;
    *notification = handles[2];
    return NO_ERROR;
}

DWORD WINAPI CancelMibChangeNotify2(HANDLE notification)
{
    if (notification == handles[0])
        notified.routes = NULL;
    if (notification == handles[1])
        notified.interfaces = NULL;
    if (notification == handles[2])
        notified.addresses = NULL;
    return NO_ERROR;
}

/* For tests: tells whoever wants to know, each in turn. */
void StandInChange(void);
void StandInChange(void)
{
    static unsigned turn;
    turn++;
    if (turn % 3 == 0 && notified.routes)
        notified.routes(notified.context[0], NULL, MibAddInstance);
    if (turn % 3 == 1 && notified.interfaces)
        notified.interfaces(notified.context[1], NULL, MibParameterNotification);
    if (turn % 3 == 2 && notified.addresses)
        notified.addresses(notified.context[2], NULL, MibDeleteInstance);
}

unsigned StandInSubscriptions(void);
unsigned StandInSubscriptions(void)
{
    return (notified.routes != NULL) + (notified.interfaces != NULL) + (notified.addresses != NULL);
}

VOID WINAPI FreeMibTable(PVOID memory)
{
    HeapFree(GetProcessHeap(), 0, memory);
}

DWORD WINAPI SetInterfaceDnsSettings(GUID interface_guid, const struct dns_settings *settings);
DWORD WINAPI SetInterfaceDnsSettings(GUID interface_guid, const struct dns_settings *settings)
{
    char line[400];
    sprintf(line, "flags %llu servers %ls domains %ls", settings->Flags, settings->NameServer,
            settings->SearchList);
    return record("SetInterfaceDnsSettings", line);
}

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved)
{
    return TRUE;
}
