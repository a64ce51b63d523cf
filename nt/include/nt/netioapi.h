/*
 * The kernel's IP helper (netio.sys): interfaces, routes, addresses and their change notifications.
 * Tables are freed with FreeMibTable; a notification is cancelled outside every lock that its callback takes.
 */
#ifndef NT_NETIOAPI_H
#define NT_NETIOAPI_H

#include "ndis_oid.h"
#include "status.h"
#include "types.h"
#include "ws2.h"

#define NET_IFINDEX_UNSPECIFIED           0
#define NET_IF_COMPARTMENT_ID_UNSPECIFIED 0
#define NET_IF_COMPARTMENT_ID_PRIMARY     1
#define IF_MAX_STRING_SIZE                0x100
#define IF_MAX_PHYS_ADDRESS_LENGTH        0x20

typedef enum _MIB_NOTIFICATION_TYPE {
    MibParameterNotification = 0,
    MibAddInstance = 1,
    MibDeleteInstance = 2,
    MibInitialNotification = 3,
} MIB_NOTIFICATION_TYPE;
typedef MIB_NOTIFICATION_TYPE *PMIB_NOTIFICATION_TYPE;

typedef enum _IF_OPER_STATUS {
    IfOperStatusUp = 1,
    IfOperStatusDown = 2,
    IfOperStatusTesting = 3,
    IfOperStatusUnknown = 4,
    IfOperStatusDormant = 5,
    IfOperStatusNotPresent = 6,
    IfOperStatusLowerLayerDown = 7,
} IF_OPER_STATUS;
typedef IF_OPER_STATUS *PIF_OPER_STATUS;

typedef enum _TUNNEL_TYPE {
    TUNNEL_TYPE_NONE = 0,
    TUNNEL_TYPE_OTHER = 1,
    TUNNEL_TYPE_DIRECT = 2,
    TUNNEL_TYPE_6TO4 = 11,
    TUNNEL_TYPE_ISATAP = 13,
    TUNNEL_TYPE_TEREDO = 14,
    TUNNEL_TYPE_IPHTTPS = 15,
} TUNNEL_TYPE;
typedef TUNNEL_TYPE *PTUNNEL_TYPE;

typedef enum _NL_ROUTE_PROTOCOL {
    RouteProtocolOther = 1,
    RouteProtocolLocal = 2,
    RouteProtocolNetMgmt = 3,
    RouteProtocolIcmp = 4,
    RouteProtocolDhcp = 19,
} NL_ROUTE_PROTOCOL;
typedef NL_ROUTE_PROTOCOL *PNL_ROUTE_PROTOCOL;

typedef enum _NL_ROUTE_ORIGIN {
    NlroManual = 0,
    NlroWellKnown = 1,
    NlroDHCP = 2,
    NlroRouterAdvertisement = 3,
    Nlro6to4 = 4,
} NL_ROUTE_ORIGIN;
typedef NL_ROUTE_ORIGIN *PNL_ROUTE_ORIGIN;

typedef enum _NL_PREFIX_ORIGIN {
    IpPrefixOriginOther = 0,
    IpPrefixOriginManual = 1,
    IpPrefixOriginWellKnown = 2,
    IpPrefixOriginDhcp = 3,
    IpPrefixOriginRouterAdvertisement = 4,
    IpPrefixOriginUnchanged = 16,
} NL_PREFIX_ORIGIN;
typedef NL_PREFIX_ORIGIN *PNL_PREFIX_ORIGIN;

typedef enum _NL_SUFFIX_ORIGIN {
    IpSuffixOriginOther = 0,
    IpSuffixOriginManual = 1,
    IpSuffixOriginWellKnown = 2,
    IpSuffixOriginDhcp = 3,
    IpSuffixOriginLinkLayerAddress = 4,
    IpSuffixOriginRandom = 5,
    IpSuffixOriginUnchanged = 16,
} NL_SUFFIX_ORIGIN;
typedef NL_SUFFIX_ORIGIN *PNL_SUFFIX_ORIGIN;

typedef enum _SCOPE_LEVEL {
    ScopeLevelInterface = 1,
    ScopeLevelLink = 2,
    ScopeLevelSubnet = 3,
    ScopeLevelAdmin = 4,
    ScopeLevelSite = 5,
    ScopeLevelOrganization = 8,
    ScopeLevelGlobal = 14,
    ScopeLevelCount = 16,
} SCOPE_LEVEL;
typedef SCOPE_LEVEL *PSCOPE_LEVEL;

typedef enum _NL_DAD_STATE {
    IpDadStateInvalid = 0,
    IpDadStateTentative = 1,
    IpDadStateDuplicate = 2,
    IpDadStateDeprecated = 3,
    IpDadStatePreferred = 4,
} NL_DAD_STATE;
typedef NL_DAD_STATE *PNL_DAD_STATE;

typedef enum _NL_ROUTER_DISCOVERY_BEHAVIOR {
    RouterDiscoveryDisabled = 0,
    RouterDiscoveryEnabled = 1,
    RouterDiscoveryDhcp = 2,
    RouterDiscoveryUnchanged = -1,
} NL_ROUTER_DISCOVERY_BEHAVIOR;
typedef NL_ROUTER_DISCOVERY_BEHAVIOR *PNL_ROUTER_DISCOVERY_BEHAVIOR;

typedef enum _NL_LINK_LOCAL_ADDRESS_BEHAVIOR {
    LinkLocalAlwaysOff = 0,
    LinkLocalDelayed = 1,
    LinkLocalAlwaysOn = 2,
    LinkLocalUnchanged = -1,
} NL_LINK_LOCAL_ADDRESS_BEHAVIOR;
typedef NL_LINK_LOCAL_ADDRESS_BEHAVIOR *PNL_LINK_LOCAL_ADDRESS_BEHAVIOR;

typedef struct _IP_ADDRESS_PREFIX {
    SOCKADDR_INET Prefix;
    UINT8 PrefixLength;
} IP_ADDRESS_PREFIX, *PIP_ADDRESS_PREFIX;

/* --- routes --- */
typedef struct _MIB_IPFORWARD_ROW2 {
    NET_LUID InterfaceLuid;
    NET_IFINDEX InterfaceIndex;
    IP_ADDRESS_PREFIX DestinationPrefix;
    SOCKADDR_INET NextHop;
    UCHAR SitePrefixLength;
    ULONG ValidLifetime;
    ULONG PreferredLifetime;
    ULONG Metric;
    NL_ROUTE_PROTOCOL Protocol;
    BOOLEAN Loopback;
    BOOLEAN AutoconfigureAddress;
    BOOLEAN Publish;
    BOOLEAN Immortal;
    ULONG Age;
    NL_ROUTE_ORIGIN Origin;
} MIB_IPFORWARD_ROW2, *PMIB_IPFORWARD_ROW2;

typedef struct _MIB_IPFORWARD_TABLE2 {
    ULONG NumEntries;
    MIB_IPFORWARD_ROW2 Table[1];
} MIB_IPFORWARD_TABLE2, *PMIB_IPFORWARD_TABLE2;

/* --- interfaces --- */
typedef struct _MIB_IF_ROW2 {
    NET_LUID InterfaceLuid;
    NET_IFINDEX InterfaceIndex;
    GUID InterfaceGuid;
    WCHAR Alias[IF_MAX_STRING_SIZE + 1];
    WCHAR Description[IF_MAX_STRING_SIZE + 1];
    ULONG PhysicalAddressLength;
    UCHAR PhysicalAddress[IF_MAX_PHYS_ADDRESS_LENGTH];
    UCHAR PermanentPhysicalAddress[IF_MAX_PHYS_ADDRESS_LENGTH];
    ULONG Mtu;
    ULONG Type;
    TUNNEL_TYPE TunnelType;
    NDIS_MEDIUM MediaType;
    NDIS_PHYSICAL_MEDIUM PhysicalMediumType;
    NET_IF_ACCESS_TYPE AccessType;
    NET_IF_DIRECTION_TYPE DirectionType;
    UCHAR InterfaceAndOperStatusFlags; /* MIB_IF_FLAG_* */
    IF_OPER_STATUS OperStatus;
    NET_IF_ADMIN_STATUS AdminStatus;
    NET_IF_MEDIA_CONNECT_STATE MediaConnectState;
    NET_IF_NETWORK_GUID NetworkGuid;
    NET_IF_CONNECTION_TYPE ConnectionType;
    ULONG64 TransmitLinkSpeed;
    ULONG64 ReceiveLinkSpeed;
    ULONG64 InOctets;
    ULONG64 InUcastPkts;
    ULONG64 InNUcastPkts;
    ULONG64 InDiscards;
    ULONG64 InErrors;
    ULONG64 InUnknownProtos;
    ULONG64 InUcastOctets;
    ULONG64 InMulticastOctets;
    ULONG64 InBroadcastOctets;
    ULONG64 OutOctets;
    ULONG64 OutUcastPkts;
    ULONG64 OutNUcastPkts;
    ULONG64 OutDiscards;
    ULONG64 OutErrors;
    ULONG64 OutUcastOctets;
    ULONG64 OutMulticastOctets;
    ULONG64 OutBroadcastOctets;
    ULONG64 OutQLen;
} MIB_IF_ROW2, *PMIB_IF_ROW2;
#define MIB_IF_FLAG_HARDWARE_INTERFACE  0x01
#define MIB_IF_FLAG_FILTER_INTERFACE    0x02
#define MIB_IF_FLAG_CONNECTOR_PRESENT   0x04
#define MIB_IF_FLAG_NOT_MEDIA_CONNECTED 0x10
#define MIB_IF_FLAG_PAUSED              0x20

typedef struct _MIB_IF_TABLE2 {
    ULONG NumEntries;
    MIB_IF_ROW2 Table[1];
} MIB_IF_TABLE2, *PMIB_IF_TABLE2;

typedef struct _NL_INTERFACE_OFFLOAD_ROD {
    UCHAR Supported;
} NL_INTERFACE_OFFLOAD_ROD, *PNL_INTERFACE_OFFLOAD_ROD;
#define NL_OFFLOAD_NL_CHECKSUM_SUPPORTED           0x00000001u
#define NL_OFFLOAD_NL_OPTIONS_SUPPORTED            0x00000002u
#define NL_OFFLOAD_TL_DATAGRAM_CHECKSUM_SUPPORTED  0x00000004u
#define NL_OFFLOAD_TL_STREAM_CHECKSUM_SUPPORTED    0x00000008u
#define NL_OFFLOAD_TL_STREAM_OPTIONS_SUPPORTED     0x00000010u
#define NL_OFFLOAD_FAST_PATH_COMPATIBLE            0x00000020u
#define NL_OFFLOAD_TL_LARGE_SEND_OFFLOAD_SUPPORTED 0x00000040u
#define NL_OFFLOAD_TL_GIANT_SEND_OFFLOAD_SUPPORTED 0x00000080u

typedef struct _MIB_IPINTERFACE_ROW {
    ADDRESS_FAMILY Family;
    NET_LUID InterfaceLuid;
    NET_IFINDEX InterfaceIndex;
    ULONG MaxReassemblySize;
    ULONG64 InterfaceIdentifier;
    ULONG MinRouterAdvertisementInterval;
    ULONG MaxRouterAdvertisementInterval;
    BOOLEAN AdvertisingEnabled;
    BOOLEAN ForwardingEnabled;
    BOOLEAN WeakHostSend;
    BOOLEAN WeakHostReceive;
    BOOLEAN UseAutomaticMetric;
    BOOLEAN UseNeighborUnreachabilityDetection;
    BOOLEAN ManagedAddressConfigurationSupported;
    BOOLEAN OtherStatefulConfigurationSupported;
    BOOLEAN AdvertiseDefaultRoute;
    NL_ROUTER_DISCOVERY_BEHAVIOR RouterDiscoveryBehavior;
    ULONG DadTransmits;
    ULONG BaseReachableTime;
    ULONG RetransmitTime;
    ULONG PathMtuDiscoveryTimeout;
    NL_LINK_LOCAL_ADDRESS_BEHAVIOR LinkLocalAddressBehavior;
    ULONG LinkLocalAddressTimeout;
    ULONG ZoneIndices[ScopeLevelCount];
    ULONG SitePrefixLength;
    ULONG Metric;
    ULONG NlMtu;
    BOOLEAN Connected;
    BOOLEAN SupportsWakeUpPatterns;
    BOOLEAN SupportsNeighborDiscovery;
    BOOLEAN SupportsRouterDiscovery;
    ULONG ReachableTime;
    NL_INTERFACE_OFFLOAD_ROD TransmitOffload;
    NL_INTERFACE_OFFLOAD_ROD ReceiveOffload;
    BOOLEAN DisableDefaultRoutes;
} MIB_IPINTERFACE_ROW, *PMIB_IPINTERFACE_ROW;

typedef struct _MIB_IPINTERFACE_TABLE {
    ULONG NumEntries;
    MIB_IPINTERFACE_ROW Table[1];
} MIB_IPINTERFACE_TABLE, *PMIB_IPINTERFACE_TABLE;

/* --- addresses --- */
typedef struct _MIB_UNICASTIPADDRESS_ROW {
    SOCKADDR_INET Address;
    NET_LUID InterfaceLuid;
    NET_IFINDEX InterfaceIndex;
    NL_PREFIX_ORIGIN PrefixOrigin;
    NL_SUFFIX_ORIGIN SuffixOrigin;
    ULONG ValidLifetime;
    ULONG PreferredLifetime;
    UINT8 OnLinkPrefixLength;
    BOOLEAN SkipAsSource;
    NL_DAD_STATE DadState;
    SCOPE_ID ScopeId;
    LARGE_INTEGER CreationTimeStamp;
} MIB_UNICASTIPADDRESS_ROW, *PMIB_UNICASTIPADDRESS_ROW;

typedef struct _MIB_UNICASTIPADDRESS_TABLE {
    ULONG NumEntries;
    MIB_UNICASTIPADDRESS_ROW Table[1];
} MIB_UNICASTIPADDRESS_TABLE, *PMIB_UNICASTIPADDRESS_TABLE;

/* --- calls; Family is AF_UNSPEC, AF_INET or AF_INET6 --- */
NTKERNELAPI VOID NTAPI FreeMibTable(PVOID Memory);
NTKERNELAPI NTSTATUS NTAPI GetIpForwardTable2(ADDRESS_FAMILY Family, PMIB_IPFORWARD_TABLE2 *Table);
NTKERNELAPI NTSTATUS NTAPI GetBestRoute2(NET_LUID *InterfaceLuid, NET_IFINDEX InterfaceIndex,
                                         const SOCKADDR_INET *SourceAddress,
                                         const SOCKADDR_INET *DestinationAddress, ULONG AddressSortOptions,
                                         PMIB_IPFORWARD_ROW2 BestRoute, SOCKADDR_INET *BestSourceAddress);
NTKERNELAPI NTSTATUS NTAPI GetIfEntry2(PMIB_IF_ROW2 Row);
NTKERNELAPI NTSTATUS NTAPI GetIfTable2(PMIB_IF_TABLE2 *Table);
NTKERNELAPI VOID NTAPI InitializeIpInterfaceEntry(PMIB_IPINTERFACE_ROW Row);
NTKERNELAPI NTSTATUS NTAPI GetIpInterfaceEntry(PMIB_IPINTERFACE_ROW Row);
NTKERNELAPI NTSTATUS NTAPI SetIpInterfaceEntry(PMIB_IPINTERFACE_ROW Row);
NTKERNELAPI NTSTATUS NTAPI GetIpInterfaceTable(ADDRESS_FAMILY Family, PMIB_IPINTERFACE_TABLE *Table);
NTKERNELAPI NTSTATUS NTAPI GetUnicastIpAddressTable(ADDRESS_FAMILY Family,
                                                    PMIB_UNICASTIPADDRESS_TABLE *Table);
NTKERNELAPI NTSTATUS NTAPI ConvertInterfaceLuidToIndex(const NET_LUID *InterfaceLuid,
                                                       PNET_IFINDEX InterfaceIndex);
NTKERNELAPI NTSTATUS NTAPI ConvertInterfaceIndexToLuid(NET_IFINDEX InterfaceIndex, PNET_LUID InterfaceLuid);
NTKERNELAPI NTSTATUS NTAPI ConvertInterfaceLuidToGuid(const NET_LUID *InterfaceLuid, GUID *InterfaceGuid);
NTKERNELAPI NTSTATUS NTAPI ConvertInterfaceGuidToLuid(const GUID *InterfaceGuid, PNET_LUID InterfaceLuid);

/* --- change notifications: Row holds only the key; NULL with MibInitialNotification --- */
typedef VOID NTAPI IPFORWARD_CHANGE_CALLBACK(PVOID CallerContext, PMIB_IPFORWARD_ROW2 Row,
                                             MIB_NOTIFICATION_TYPE NotificationType);
typedef IPFORWARD_CHANGE_CALLBACK *PIPFORWARD_CHANGE_CALLBACK;
typedef VOID NTAPI IPINTERFACE_CHANGE_CALLBACK(PVOID CallerContext, PMIB_IPINTERFACE_ROW Row,
                                               MIB_NOTIFICATION_TYPE NotificationType);
typedef IPINTERFACE_CHANGE_CALLBACK *PIPINTERFACE_CHANGE_CALLBACK;
typedef VOID NTAPI UNICAST_IPADDRESS_CHANGE_CALLBACK(PVOID CallerContext, PMIB_UNICASTIPADDRESS_ROW Row,
                                                     MIB_NOTIFICATION_TYPE NotificationType);
typedef UNICAST_IPADDRESS_CHANGE_CALLBACK *PUNICAST_IPADDRESS_CHANGE_CALLBACK;

NTKERNELAPI NTSTATUS NTAPI NotifyRouteChange2(ADDRESS_FAMILY AddressFamily,
                                              PIPFORWARD_CHANGE_CALLBACK Callback, PVOID CallerContext,
                                              BOOLEAN InitialNotification, HANDLE *NotificationHandle);
NTKERNELAPI NTSTATUS NTAPI NotifyIpInterfaceChange(ADDRESS_FAMILY Family,
                                                   PIPINTERFACE_CHANGE_CALLBACK Callback, PVOID CallerContext,
                                                   BOOLEAN InitialNotification, HANDLE *NotificationHandle);
NTKERNELAPI NTSTATUS NTAPI NotifyUnicastIpAddressChange(ADDRESS_FAMILY Family,
                                                        PUNICAST_IPADDRESS_CHANGE_CALLBACK Callback,
                                                        PVOID CallerContext, BOOLEAN InitialNotification,
                                                        HANDLE *NotificationHandle);
NTKERNELAPI NTSTATUS NTAPI CancelMibChangeNotify2(HANDLE NotificationHandle);

#endif
