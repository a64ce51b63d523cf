/*
 * NDIS object identifier requests, the OIDs that a miniport must know, and the structures they carry.
 */
#ifndef NT_NDIS_OID_H
#define NT_NDIS_OID_H

#include "ndis_nbl.h"
#include "types.h"

typedef ULONG NDIS_OID, *PNDIS_OID;
#define NDIS_OID_REQUEST_FLAGS_VPORT_ID_VALID 1
#define NDIS_OID_REQUEST_NDIS_RESERVED_SIZE   0x10
#define NDIS_OID_REQUEST_REVISION_1           1
#define NDIS_OID_REQUEST_REVISION_2           2
#define NDIS_OID_REQUEST_TIMEOUT_INFINITE     0
#define NDIS_SIZEOF_OID_REQUEST_REVISION_1    0xEC
#define NDIS_SIZEOF_OID_REQUEST_REVISION_2    0xF8

#define OID_GEN_ADMIN_STATUS                             0x10288
#define OID_GEN_ALIAS                                    0x10289
#define OID_GEN_BROADCAST_BYTES_RCV                      0x2020B
#define OID_GEN_BROADCAST_BYTES_XMIT                     0x20205
#define OID_GEN_BROADCAST_FRAMES_RCV                     0x2020C
#define OID_GEN_BROADCAST_FRAMES_XMIT                    0x20206
#define OID_GEN_BYTES_RCV                                0x20219
#define OID_GEN_BYTES_XMIT                               0x2021A
#define OID_GEN_CURRENT_LOOKAHEAD                        0x1010F
#define OID_GEN_CURRENT_PACKET_FILTER                    0x1010E
#define OID_GEN_DEVICE_PROFILE                           0x20212
#define OID_GEN_DIRECTED_BYTES_RCV                       0x20207
#define OID_GEN_DIRECTED_BYTES_XMIT                      0x20201
#define OID_GEN_DIRECTED_FRAMES_RCV                      0x20208
#define OID_GEN_DIRECTED_FRAMES_XMIT                     0x20202
#define OID_GEN_DISCONTINUITY_TIME                       0x10282
#define OID_GEN_DRIVER_VERSION                           0x10110
#define OID_GEN_ENUMERATE_PORTS                          0x1020D
#define OID_GEN_FRIENDLY_NAME                            0x20216
#define OID_GEN_GET_NETCARD_TIME                         0x20210
#define OID_GEN_GET_TIME_CAPS                            0x2020F
#define OID_GEN_HARDWARE_STATUS                          0x10102
#define OID_GEN_HD_SPLIT_CURRENT_CONFIG                  0x10220
#define OID_GEN_HD_SPLIT_PARAMETERS                      0x1021E
#define OID_GEN_INIT_TIME_MS                             0x20213
#define OID_GEN_INTERFACE_INFO                           0x10287
#define OID_GEN_INTERRUPT_MODERATION                     0x10209
#define OID_GEN_IP_OPER_STATUS                           0x1028D
#define OID_GEN_ISOLATION_PARAMETERS                     0x10300
#define OID_GEN_LAST_CHANGE                              0x10281
#define OID_GEN_LINK_PARAMETERS                          0x10208
#define OID_GEN_LINK_SPEED                               0x10107
#define OID_GEN_LINK_SPEED_EX                            0x1028B
#define OID_GEN_LINK_STATE                               0x10207
#define OID_GEN_MACHINE_NAME                             0x1021A
#define OID_GEN_MAC_ADDRESS                              0x10205
#define OID_GEN_MAC_OPTIONS                              0x10113
#define OID_GEN_MAXIMUM_FRAME_SIZE                       0x10106
#define OID_GEN_MAXIMUM_LOOKAHEAD                        0x10105
#define OID_GEN_MAXIMUM_SEND_PACKETS                     0x10115
#define OID_GEN_MAXIMUM_TOTAL_SIZE                       0x10111
#define OID_GEN_MAX_LINK_SPEED                           0x10206
#define OID_GEN_MEDIA_CAPABILITIES                       0x10201
#define OID_GEN_MEDIA_CONNECT_STATUS                     0x10114
#define OID_GEN_MEDIA_CONNECT_STATUS_EX                  0x1028A
#define OID_GEN_MEDIA_DUPLEX_STATE                       0x1028C
#define OID_GEN_MEDIA_IN_USE                             0x10104
#define OID_GEN_MEDIA_SENSE_COUNTS                       0x20215
#define OID_GEN_MEDIA_SUPPORTED                          0x10103
#define OID_GEN_MINIPORT_RESTART_ATTRIBUTES              0x1021D
#define OID_GEN_MULTICAST_BYTES_RCV                      0x20209
#define OID_GEN_MULTICAST_BYTES_XMIT                     0x20203
#define OID_GEN_MULTICAST_FRAMES_RCV                     0x2020A
#define OID_GEN_MULTICAST_FRAMES_XMIT                    0x20204
#define OID_GEN_NDIS_RESERVED_1                          0x20217
#define OID_GEN_NDIS_RESERVED_2                          0x20218
#define OID_GEN_NDIS_RESERVED_3                          0x1020A
#define OID_GEN_NDIS_RESERVED_4                          0x1020B
#define OID_GEN_NDIS_RESERVED_5                          0x1020C
#define OID_GEN_NDIS_RESERVED_6                          0x10212
#define OID_GEN_NDIS_RESERVED_7                          0x2021E
#define OID_GEN_NETCARD_LOAD                             0x20211
#define OID_GEN_NETWORK_LAYER_ADDRESSES                  0x10118
#define OID_GEN_OPERATIONAL_STATUS                       0x10283
#define OID_GEN_PACKET_MONITOR                           0x102D1
#define OID_GEN_PCI_DEVICE_CUSTOM_PROPERTIES             0x10211
#define OID_GEN_PHYSICAL_MEDIUM                          0x10202
#define OID_GEN_PHYSICAL_MEDIUM_EX                       0x10213
#define OID_GEN_PORT_AUTHENTICATION_PARAMETERS           0x1020F
#define OID_GEN_PORT_STATE                               0x1020E
#define OID_GEN_PROMISCUOUS_MODE                         0x10280
#define OID_GEN_PROTOCOL_OPTIONS                         0x10112
#define OID_GEN_RCV_CRC_ERROR                            0x2020D
#define OID_GEN_RCV_DISCARDS                             0x2021B
#define OID_GEN_RCV_ERROR                                0x20104
#define OID_GEN_RCV_LINK_SPEED                           0x10285
#define OID_GEN_RCV_NO_BUFFER                            0x20105
#define OID_GEN_RCV_OK                                   0x20102
#define OID_GEN_RECEIVE_BLOCK_SIZE                       0x1010B
#define OID_GEN_RECEIVE_BUFFER_SPACE                     0x10109
#define OID_GEN_RECEIVE_HASH                             0x1021F
#define OID_GEN_RECEIVE_SCALE_CAPABILITIES               0x10203
#define OID_GEN_RECEIVE_SCALE_PARAMETERS                 0x10204
#define OID_GEN_RECEIVE_SCALE_PARAMETERS_V2              0x10214
#define OID_GEN_RESET_COUNTS                             0x20214
#define OID_GEN_RNDIS_CONFIG_PARAMETER                   0x1021B
#define OID_GEN_RSS_SET_INDIRECTION_TABLE_ENTRIES        0x102C0
#define OID_GEN_STATISTICS                               0x20106
#define OID_GEN_SUPPORTED_GUIDS                          0x10117
#define OID_GEN_SUPPORTED_LIST                           0x10101
#define OID_GEN_TIMEOUT_DPC_REQUEST_CAPABILITIES         0x10210
#define OID_GEN_TRANSMIT_BLOCK_SIZE                      0x1010A
#define OID_GEN_TRANSMIT_BUFFER_SPACE                    0x10108
#define OID_GEN_TRANSMIT_QUEUE_LENGTH                    0x2020E
#define OID_GEN_TRANSPORT_HEADER_OFFSET                  0x10119
#define OID_GEN_UNKNOWN_PROTOS                           0x10286
#define OID_GEN_VENDOR_DESCRIPTION                       0x1010D
#define OID_GEN_VENDOR_DRIVER_VERSION                    0x10116
#define OID_GEN_VENDOR_ID                                0x1010C
#define OID_GEN_VLAN_ID                                  0x1021C
#define OID_GEN_XMIT_DISCARDS                            0x2021C
#define OID_GEN_XMIT_ERROR                               0x20103
#define OID_GEN_XMIT_LINK_SPEED                          0x10284
#define OID_GEN_XMIT_OK                                  0x20101
#define OID_PNP_ADD_WAKE_UP_PATTERN                      0xFD010103u
#define OID_PNP_CAPABILITIES                             0xFD010100u
#define OID_PNP_ENABLE_WAKE_UP                           0xFD010106u
#define OID_PNP_QUERY_POWER                              0xFD010102u
#define OID_PNP_REMOVE_WAKE_UP_PATTERN                   0xFD010104u
#define OID_PNP_SET_POWER                                0xFD010101u
#define OID_PNP_WAKE_UP_ERROR                            0xFD020201u
#define OID_PNP_WAKE_UP_OK                               0xFD020200u
#define OID_PNP_WAKE_UP_PATTERN_LIST                     0xFD010105u
#define OID_PM_ADD_PROTOCOL_OFFLOAD                      0xFD01010Du
#define OID_PM_ADD_WOL_PATTERN                           0xFD01010Au
#define OID_PM_CURRENT_CAPABILITIES                      0xFD010107u
#define OID_PM_GET_PROTOCOL_OFFLOAD                      0xFD01010Eu
#define OID_PM_HARDWARE_CAPABILITIES                     0xFD010108u
#define OID_PM_PARAMETERS                                0xFD010109u
#define OID_PM_PROTOCOL_OFFLOAD_LIST                     0xFD010110u
#define OID_PM_REMOVE_PROTOCOL_OFFLOAD                   0xFD01010Fu
#define OID_PM_REMOVE_WOL_PATTERN                        0xFD01010Bu
#define OID_PM_RESERVED_1                                0xFD010111u
#define OID_PM_WOL_PATTERN_LIST                          0xFD01010Cu
#define OID_TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG        0xFC01020Eu
#define OID_TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES 0xFC01020Fu
#define OID_TCP_CONNECTION_OFFLOAD_PARAMETERS            0xFC030201u
#define OID_TCP_OFFLOAD_CURRENT_CONFIG                   0xFC01020Bu
#define OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES            0xFC01020Du
#define OID_TCP_OFFLOAD_PARAMETERS                       0xFC01020Cu
#define OID_TCP_RSC_STATISTICS                           0x2021D
#define OID_TCP_SAN_SUPPORT                              0xFC010204u
#define OID_TCP_TASK_OFFLOAD                             0xFC010201u
#define OID_OFFLOAD_ENCAPSULATION                        0x101010A
#define OID_802_3_ADD_MULTICAST_ADDRESS                  0x1010208
#define OID_802_3_CURRENT_ADDRESS                        0x1010102
#define OID_802_3_DELETE_MULTICAST_ADDRESS               0x1010209
#define OID_802_3_MAC_OPTIONS                            0x1010105
#define OID_802_3_MAXIMUM_LIST_SIZE                      0x1010104
#define OID_802_3_MULTICAST_LIST                         0x1010103
#define OID_802_3_PERMANENT_ADDRESS                      0x1010101
#define OID_802_3_RCV_ERROR_ALIGNMENT                    0x1020101
#define OID_802_3_RCV_OVERRUN                            0x1020203
#define OID_802_3_XMIT_DEFERRED                          0x1020201
#define OID_802_3_XMIT_HEARTBEAT_FAILURE                 0x1020205
#define OID_802_3_XMIT_LATE_COLLISIONS                   0x1020207
#define OID_802_3_XMIT_MAX_COLLISIONS                    0x1020202
#define OID_802_3_XMIT_MORE_COLLISIONS                   0x1020103
#define OID_802_3_XMIT_ONE_COLLISION                     0x1020102
#define OID_802_3_XMIT_TIMES_CRS_LOST                    0x1020206
#define OID_802_3_XMIT_UNDERRUN                          0x1020204
#define OID_RECEIVE_FILTER_ALLOCATE_QUEUE                0x10223
#define OID_RECEIVE_FILTER_CLEAR_FILTER                  0x10228
#define OID_RECEIVE_FILTER_CURRENT_CAPABILITIES          0x1022D
#define OID_RECEIVE_FILTER_ENUM_FILTERS                  0x10229
#define OID_RECEIVE_FILTER_ENUM_QUEUES                   0x10225
#define OID_RECEIVE_FILTER_FREE_QUEUE                    0x10224
#define OID_RECEIVE_FILTER_GLOBAL_PARAMETERS             0x10222
#define OID_RECEIVE_FILTER_HARDWARE_CAPABILITIES         0x10221
#define OID_RECEIVE_FILTER_MOVE_FILTER                   0x10230
#define OID_RECEIVE_FILTER_PARAMETERS                    0x1022A
#define OID_RECEIVE_FILTER_QUEUE_ALLOCATION_COMPLETE     0x1022B
#define OID_RECEIVE_FILTER_QUEUE_PARAMETERS              0x10226
#define OID_RECEIVE_FILTER_SET_FILTER                    0x10227

typedef enum _NDIS_REQUEST_TYPE {
    NdisRequestQueryInformation = 0,
    NdisRequestSetInformation = 1,
    NdisRequestQueryStatistics = 2,
    NdisRequestOpen = 3,
    NdisRequestClose = 4,
    NdisRequestSend = 5,
    NdisRequestTransferData = 6,
    NdisRequestReset = 7,
    NdisRequestGeneric1 = 8,
    NdisRequestGeneric2 = 9,
    NdisRequestGeneric3 = 10,
    NdisRequestGeneric4 = 11,
    NdisRequestMethod = 12,
} NDIS_REQUEST_TYPE;
typedef NDIS_REQUEST_TYPE *PNDIS_REQUEST_TYPE;

/* The handler fills BytesWritten/BytesRead on success and BytesNeeded when a buffer is too short. */
typedef struct _NDIS_OID_REQUEST {
    NDIS_OBJECT_HEADER Header;
    NDIS_REQUEST_TYPE RequestType;
    NDIS_PORT_NUMBER PortNumber;
    UINT Timeout;
    PVOID RequestId;
    NDIS_HANDLE RequestHandle;
    union {
        struct {
            NDIS_OID Oid;
            PVOID InformationBuffer;
            UINT InformationBufferLength;
            UINT BytesWritten;
            UINT BytesNeeded;
        } QUERY_INFORMATION;
        struct {
            NDIS_OID Oid;
            PVOID InformationBuffer;
            UINT InformationBufferLength;
            UINT BytesRead;
            UINT BytesNeeded;
        } SET_INFORMATION;
        struct {
            NDIS_OID Oid;
            PVOID InformationBuffer;
            ULONG InputBufferLength;
            ULONG OutputBufferLength;
            ULONG MethodId;
            UINT BytesWritten;
            UINT BytesRead;
            UINT BytesNeeded;
        } METHOD_INFORMATION;
    } DATA;
    UCHAR NdisReserved[NDIS_OID_REQUEST_NDIS_RESERVED_SIZE * sizeof(PVOID)];
    UCHAR MiniportReserved[2 * sizeof(PVOID)];
    UCHAR SourceReserved[2 * sizeof(PVOID)];
    UCHAR SupportedRevision;
    UCHAR Reserved1;
    USHORT Reserved2;
    ULONG SwitchId;
    ULONG VPortId;
    ULONG Flags;
} NDIS_OID_REQUEST, *PNDIS_OID_REQUEST;

#define NDIS_PACKET_TYPE_ALL_FUNCTIONAL                0x2000
#define NDIS_PACKET_TYPE_ALL_LOCAL                     0x80
#define NDIS_PACKET_TYPE_ALL_MULTICAST                 4
#define NDIS_PACKET_TYPE_BROADCAST                     8
#define NDIS_PACKET_TYPE_DIRECTED                      1
#define NDIS_PACKET_TYPE_FUNCTIONAL                    0x4000
#define NDIS_PACKET_TYPE_GROUP                         0x1000
#define NDIS_PACKET_TYPE_MAC_FRAME                     0x8000
#define NDIS_PACKET_TYPE_MULTICAST                     2
#define NDIS_PACKET_TYPE_NO_LOCAL                      0x10000
#define NDIS_PACKET_TYPE_PROMISCUOUS                   0x20
#define NDIS_PACKET_TYPE_SMT                           0x40
#define NDIS_PACKET_TYPE_SOURCE_ROUTING                0x10
#define NDIS_MAC_OPTION_8021P_PRIORITY                 0x40
#define NDIS_MAC_OPTION_8021Q_VLAN                     0x200
#define NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA            1
#define NDIS_MAC_OPTION_EOTX_INDICATION                0x20
#define NDIS_MAC_OPTION_FULL_DUPLEX                    0x10
#define NDIS_MAC_OPTION_NO_LOOPBACK                    8
#define NDIS_MAC_OPTION_RECEIVE_AT_DPC                 0x100
#define NDIS_MAC_OPTION_RECEIVE_SERIALIZED             2
#define NDIS_MAC_OPTION_RESERVED                       0x80000000u
#define NDIS_MAC_OPTION_SUPPORTS_MAC_ADDRESS_OVERWRITE 0x80
#define NDIS_MAC_OPTION_TRANSFERS_NOT_PEND             4

/* --- media --- */

typedef enum _NDIS_MEDIUM {
    NdisMedium802_3 = 0,
    NdisMediumFddi = 2,
    NdisMediumWan = 3,
    NdisMediumLocalTalk = 4,
    NdisMediumDix = 5,
    NdisMediumArcnetRaw = 6,
    NdisMediumArcnet878_2 = 7,
    NdisMediumAtm = 8,
    NdisMediumWirelessWan = 9,
    NdisMediumIrda = 10,
    NdisMediumBpc = 11,
    NdisMediumCoWan = 12,
    NdisMediumInfiniBand = 14,
    NdisMediumTunnel = 15,
    NdisMediumLoopback = 17,
    NdisMediumWiMAX = 18,
    NdisMediumIP = 19,
    NdisMediumMax = 20,
} NDIS_MEDIUM;
typedef NDIS_MEDIUM *PNDIS_MEDIUM;

typedef enum _NDIS_PHYSICAL_MEDIUM {
    NdisPhysicalMediumUnspecified = 0,
    NdisPhysicalMediumWirelessLan = 1,
    NdisPhysicalMediumCableModem = 2,
    NdisPhysicalMediumWirelessWan = 8,
    NdisPhysicalMedium802_3 = 14,
    NdisPhysicalMediumOther = 19,
    NdisPhysicalMediumMax = 21,
} NDIS_PHYSICAL_MEDIUM;
typedef NDIS_PHYSICAL_MEDIUM *PNDIS_PHYSICAL_MEDIUM;

typedef enum _NDIS_HARDWARE_STATUS {
    NdisHardwareStatusReady = 0,
    NdisHardwareStatusInitializing = 1,
    NdisHardwareStatusReset = 2,
    NdisHardwareStatusClosing = 3,
    NdisHardwareStatusNotReady = 4,
} NDIS_HARDWARE_STATUS;
typedef NDIS_HARDWARE_STATUS *PNDIS_HARDWARE_STATUS;

typedef enum _NDIS_MEDIA_STATE {
    NdisMediaStateConnected = 0,
    NdisMediaStateDisconnected = 1,
} NDIS_MEDIA_STATE;
typedef NDIS_MEDIA_STATE *PNDIS_MEDIA_STATE;

typedef enum _NET_IF_MEDIA_CONNECT_STATE {
    MediaConnectStateUnknown = 0,
    MediaConnectStateConnected = 1,
    MediaConnectStateDisconnected = 2,
} NET_IF_MEDIA_CONNECT_STATE;
typedef NET_IF_MEDIA_CONNECT_STATE *PNET_IF_MEDIA_CONNECT_STATE;

typedef NET_IF_MEDIA_CONNECT_STATE NDIS_MEDIA_CONNECT_STATE, *PNDIS_MEDIA_CONNECT_STATE;

typedef enum _NET_IF_MEDIA_DUPLEX_STATE {
    MediaDuplexStateUnknown = 0,
    MediaDuplexStateHalf = 1,
    MediaDuplexStateFull = 2,
} NET_IF_MEDIA_DUPLEX_STATE;
typedef NET_IF_MEDIA_DUPLEX_STATE *PNET_IF_MEDIA_DUPLEX_STATE;

typedef NET_IF_MEDIA_DUPLEX_STATE NDIS_MEDIA_DUPLEX_STATE, *PNDIS_MEDIA_DUPLEX_STATE;

typedef enum _NDIS_SUPPORTED_PAUSE_FUNCTIONS {
    NdisPauseFunctionsUnsupported = 0,
    NdisPauseFunctionsSendOnly = 1,
    NdisPauseFunctionsReceiveOnly = 2,
    NdisPauseFunctionsSendAndReceive = 3,
    NdisPauseFunctionsUnknown = 4,
} NDIS_SUPPORTED_PAUSE_FUNCTIONS;
typedef NDIS_SUPPORTED_PAUSE_FUNCTIONS *PNDIS_SUPPORTED_PAUSE_FUNCTIONS;

typedef enum _NET_IF_ACCESS_TYPE {
    NET_IF_ACCESS_LOOPBACK = 1,
    NET_IF_ACCESS_BROADCAST = 2,
    NET_IF_ACCESS_POINT_TO_POINT = 3,
    NET_IF_ACCESS_POINT_TO_MULTI_POINT = 4,
    NET_IF_ACCESS_MAXIMUM = 5,
} NET_IF_ACCESS_TYPE;
typedef NET_IF_ACCESS_TYPE *PNET_IF_ACCESS_TYPE;

typedef enum _NET_IF_DIRECTION_TYPE {
    NET_IF_DIRECTION_SENDRECEIVE = 0,
    NET_IF_DIRECTION_SENDONLY = 1,
    NET_IF_DIRECTION_RECEIVEONLY = 2,
    NET_IF_DIRECTION_MAXIMUM = 3,
} NET_IF_DIRECTION_TYPE;
typedef NET_IF_DIRECTION_TYPE *PNET_IF_DIRECTION_TYPE;

typedef enum _NET_IF_CONNECTION_TYPE {
    NET_IF_CONNECTION_DEDICATED = 1,
    NET_IF_CONNECTION_PASSIVE = 2,
    NET_IF_CONNECTION_DEMAND = 3,
    NET_IF_CONNECTION_MAXIMUM = 4,
} NET_IF_CONNECTION_TYPE;
typedef NET_IF_CONNECTION_TYPE *PNET_IF_CONNECTION_TYPE;

typedef enum _NET_IF_ADMIN_STATUS {
    NET_IF_ADMIN_STATUS_UP = 1,
    NET_IF_ADMIN_STATUS_DOWN = 2,
    NET_IF_ADMIN_STATUS_TESTING = 3,
} NET_IF_ADMIN_STATUS;
typedef NET_IF_ADMIN_STATUS *PNET_IF_ADMIN_STATUS;

#define IF_TYPE_ETHERNET_CSMACD      6
#define IF_TYPE_IEEE80211            0x47
#define IF_TYPE_OTHER                1
#define IF_TYPE_PPP                  0x17
#define IF_TYPE_PROP_VIRTUAL         0x35
#define IF_TYPE_SOFTWARE_LOOPBACK    0x18
#define IF_TYPE_TUNNEL               0x83
#define NDIS_LINK_SPEED_UNKNOWN      (-1)
#define NDIS_MAX_PHYS_ADDRESS_LENGTH 0x20

#define NDIS_LINK_STATE_DUPLEX_AUTO_NEGOTIATED          4
#define NDIS_LINK_STATE_PAUSE_FUNCTIONS_AUTO_NEGOTIATED 8
#define NDIS_LINK_STATE_RCV_LINK_SPEED_AUTO_NEGOTIATED  2
#define NDIS_LINK_STATE_XMIT_LINK_SPEED_AUTO_NEGOTIATED 1
#define NDIS_LINK_STATE_REVISION_1                      1
#define NDIS_SIZEOF_LINK_STATE_REVISION_1               0x28
typedef struct _NDIS_LINK_STATE {
    NDIS_OBJECT_HEADER Header;
    NDIS_MEDIA_CONNECT_STATE MediaConnectState;
    NDIS_MEDIA_DUPLEX_STATE MediaDuplexState;
    ULONG64 XmitLinkSpeed;
    ULONG64 RcvLinkSpeed;
    NDIS_SUPPORTED_PAUSE_FUNCTIONS PauseFunctions;
    ULONG AutoNegotiationFlags;
} NDIS_LINK_STATE, *PNDIS_LINK_STATE;

#define NDIS_LINK_PARAMETERS_REVISION_1        1
#define NDIS_SIZEOF_LINK_PARAMETERS_REVISION_1 0x20
typedef struct _NDIS_LINK_PARAMETERS {
    NDIS_OBJECT_HEADER Header;
    NDIS_MEDIA_DUPLEX_STATE MediaDuplexState;
    ULONG64 XmitLinkSpeed;
    ULONG64 RcvLinkSpeed;
    NDIS_SUPPORTED_PAUSE_FUNCTIONS PauseFunctions;
    ULONG AutoNegotiationFlags;
} NDIS_LINK_PARAMETERS, *PNDIS_LINK_PARAMETERS;

/* --- statistics --- */
#define NDIS_STATISTICS_INFO_REVISION_1                   1
#define NDIS_SIZEOF_STATISTICS_INFO_REVISION_1            0x98
#define NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_RCV   0x40000
#define NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_XMIT  0x200000
#define NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_RCV  4
#define NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_XMIT 0x100
#define NDIS_STATISTICS_FLAGS_VALID_BYTES_RCV             8
#define NDIS_STATISTICS_FLAGS_VALID_BYTES_XMIT            0x200
#define NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_RCV    0x10000
#define NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_XMIT   0x80000
#define NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_RCV   1
#define NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_XMIT  0x40
#define NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_RCV   0x20000
#define NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_XMIT  0x100000
#define NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_RCV  2
#define NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_XMIT 0x80
#define NDIS_STATISTICS_FLAGS_VALID_RCV_DISCARDS          0x10
#define NDIS_STATISTICS_FLAGS_VALID_RCV_ERROR             0x20
#define NDIS_STATISTICS_FLAGS_VALID_XMIT_DISCARDS         0x8000
#define NDIS_STATISTICS_FLAGS_VALID_XMIT_ERROR            0x400
#define NDIS_STATISTICS_BROADCAST_BYTES_RCV_SUPPORTED     0x8000
#define NDIS_STATISTICS_BROADCAST_BYTES_XMIT_SUPPORTED    0x200
#define NDIS_STATISTICS_BROADCAST_FRAMES_RCV_SUPPORTED    0x10000
#define NDIS_STATISTICS_BROADCAST_FRAMES_XMIT_SUPPORTED   0x400
#define NDIS_STATISTICS_BYTES_RCV_SUPPORTED               0x80000
#define NDIS_STATISTICS_BYTES_XMIT_SUPPORTED              0x100000
#define NDIS_STATISTICS_DIRECTED_BYTES_RCV_SUPPORTED      0x800
#define NDIS_STATISTICS_DIRECTED_BYTES_XMIT_SUPPORTED     0x20
#define NDIS_STATISTICS_DIRECTED_FRAMES_RCV_SUPPORTED     0x1000
#define NDIS_STATISTICS_DIRECTED_FRAMES_XMIT_SUPPORTED    0x40
#define NDIS_STATISTICS_GEN_STATISTICS_SUPPORTED          0x400000
#define NDIS_STATISTICS_MULTICAST_BYTES_RCV_SUPPORTED     0x2000
#define NDIS_STATISTICS_MULTICAST_BYTES_XMIT_SUPPORTED    0x80
#define NDIS_STATISTICS_MULTICAST_FRAMES_RCV_SUPPORTED    0x4000
#define NDIS_STATISTICS_MULTICAST_FRAMES_XMIT_SUPPORTED   0x100
#define NDIS_STATISTICS_RCV_CRC_ERROR_SUPPORTED           0x20000
#define NDIS_STATISTICS_RCV_DISCARDS_SUPPORTED            0x200000
#define NDIS_STATISTICS_RCV_ERROR_SUPPORTED               8
#define NDIS_STATISTICS_RCV_NO_BUFFER_SUPPORTED           0x10
#define NDIS_STATISTICS_RCV_OK_SUPPORTED                  2
#define NDIS_STATISTICS_TRANSMIT_QUEUE_LENGTH_SUPPORTED   0x40000
#define NDIS_STATISTICS_XMIT_DISCARDS_SUPPORTED           0x8000000
#define NDIS_STATISTICS_XMIT_ERROR_SUPPORTED              4
#define NDIS_STATISTICS_XMIT_OK_SUPPORTED                 1
typedef struct _NDIS_STATISTICS_INFO {
    NDIS_OBJECT_HEADER Header;
    ULONG SupportedStatistics;
    ULONG64 ifInDiscards;
    ULONG64 ifInErrors;
    ULONG64 ifHCInOctets;
    ULONG64 ifHCInUcastPkts;
    ULONG64 ifHCInMulticastPkts;
    ULONG64 ifHCInBroadcastPkts;
    ULONG64 ifHCOutOctets;
    ULONG64 ifHCOutUcastPkts;
    ULONG64 ifHCOutMulticastPkts;
    ULONG64 ifHCOutBroadcastPkts;
    ULONG64 ifOutErrors;
    ULONG64 ifOutDiscards;
    ULONG64 ifHCInUcastOctets;
    ULONG64 ifHCInMulticastOctets;
    ULONG64 ifHCInBroadcastOctets;
    ULONG64 ifHCOutUcastOctets;
    ULONG64 ifHCOutMulticastOctets;
    ULONG64 ifHCOutBroadcastOctets;
} NDIS_STATISTICS_INFO, *PNDIS_STATISTICS_INFO;

/* --- interrupt moderation --- */

typedef enum _NDIS_INTERRUPT_MODERATION {
    NdisInterruptModerationUnknown = 0,
    NdisInterruptModerationNotSupported = 1,
    NdisInterruptModerationEnabled = 2,
    NdisInterruptModerationDisabled = 3,
} NDIS_INTERRUPT_MODERATION;
typedef NDIS_INTERRUPT_MODERATION *PNDIS_INTERRUPT_MODERATION;

#define NDIS_INTERRUPT_MODERATION_PARAMETERS_REVISION_1        1
#define NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1 0xC
#define NDIS_INTERRUPT_MODERATION_CHANGE_NEEDS_REINITIALIZE    2
#define NDIS_INTERRUPT_MODERATION_CHANGE_NEEDS_RESET           1
typedef struct _NDIS_INTERRUPT_MODERATION_PARAMETERS {
    NDIS_OBJECT_HEADER Header;
    ULONG Flags;
    NDIS_INTERRUPT_MODERATION InterruptModeration;
} NDIS_INTERRUPT_MODERATION_PARAMETERS, *PNDIS_INTERRUPT_MODERATION_PARAMETERS;

/* --- power --- */

typedef enum _NDIS_DEVICE_POWER_STATE {
    NdisDeviceStateUnspecified = 0,
    NdisDeviceStateD0 = 1,
    NdisDeviceStateD1 = 2,
    NdisDeviceStateD2 = 3,
    NdisDeviceStateD3 = 4,
    NdisDeviceStateMaximum = 5,
} NDIS_DEVICE_POWER_STATE;
typedef NDIS_DEVICE_POWER_STATE *PNDIS_DEVICE_POWER_STATE;

typedef struct _NDIS_PM_WAKE_UP_CAPABILITIES {
    NDIS_DEVICE_POWER_STATE MinMagicPacketWakeUp;
    NDIS_DEVICE_POWER_STATE MinPatternWakeUp;
    NDIS_DEVICE_POWER_STATE MinLinkChangeWakeUp;
} NDIS_PM_WAKE_UP_CAPABILITIES, *PNDIS_PM_WAKE_UP_CAPABILITIES;
typedef struct _NDIS_PNP_CAPABILITIES {
    ULONG Flags;
    NDIS_PM_WAKE_UP_CAPABILITIES WakeUpCapabilities;
} NDIS_PNP_CAPABILITIES, *PNDIS_PNP_CAPABILITIES;

#define NDIS_PM_CAPABILITIES_REVISION_1                1
#define NDIS_PM_CAPABILITIES_REVISION_2                2
#define NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_1    0x34
#define NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2    0x3C
#define NDIS_PM_WAKE_ON_LINK_CHANGE_ENABLED            1
#define NDIS_PM_WAKE_ON_MEDIA_CONNECT_SUPPORTED        1
#define NDIS_PM_WAKE_ON_MEDIA_DISCONNECT_ENABLED       2
#define NDIS_PM_WAKE_ON_MEDIA_DISCONNECT_SUPPORTED     2
#define NDIS_PM_SELECTIVE_SUSPEND_ENABLED              0x10
#define NDIS_PM_SELECTIVE_SUSPEND_SUPPORTED            2
#define NDIS_PM_WOL_BITMAP_PATTERN_ENABLED             1
#define NDIS_PM_WOL_BITMAP_PATTERN_SUPPORTED           1
#define NDIS_PM_WOL_EAPOL_REQUEST_ID_MESSAGE_ENABLED   0x10000
#define NDIS_PM_WOL_EAPOL_REQUEST_ID_MESSAGE_SUPPORTED 0x10000
#define NDIS_PM_WOL_IPV4_DEST_ADDR_WILDCARD_ENABLED    0x200
#define NDIS_PM_WOL_IPV4_DEST_ADDR_WILDCARD_SUPPORTED  0x200
#define NDIS_PM_WOL_IPV4_TCP_SYN_ENABLED               4
#define NDIS_PM_WOL_IPV4_TCP_SYN_SUPPORTED             4
#define NDIS_PM_WOL_IPV6_DEST_ADDR_WILDCARD_ENABLED    0x800
#define NDIS_PM_WOL_IPV6_DEST_ADDR_WILDCARD_SUPPORTED  0x800
#define NDIS_PM_WOL_IPV6_TCP_SYN_ENABLED               8
#define NDIS_PM_WOL_IPV6_TCP_SYN_SUPPORTED             8
#define NDIS_PM_WOL_MAGIC_PACKET_ENABLED               2
#define NDIS_PM_WOL_MAGIC_PACKET_SUPPORTED             2
typedef struct _NDIS_PM_CAPABILITIES {
    NDIS_OBJECT_HEADER Header;
    ULONG Flags;
    ULONG SupportedWoLPacketPatterns;
    ULONG NumTotalWoLPatterns;
    ULONG MaxWoLPatternSize;
    ULONG MaxWoLPatternOffset;
    ULONG MaxWoLPacketSaveBuffer;
    ULONG SupportedProtocolOffloads;
    ULONG NumArpOffloadIPv4Addresses;
    ULONG NumNSOffloadIPv6Addresses;
    NDIS_DEVICE_POWER_STATE MinMagicPacketWakeUp;
    NDIS_DEVICE_POWER_STATE MinPatternWakeUp;
    NDIS_DEVICE_POWER_STATE MinLinkChangeWakeUp;
    ULONG SupportedWakeUpEvents;
    ULONG MediaSpecificWakeUpEvents;
} NDIS_PM_CAPABILITIES, *PNDIS_PM_CAPABILITIES;

#define NDIS_PM_PARAMETERS_REVISION_1             1
#define NDIS_PM_PARAMETERS_REVISION_2             2
#define NDIS_SIZEOF_NDIS_PM_PARAMETERS_REVISION_1 0x10
#define NDIS_SIZEOF_NDIS_PM_PARAMETERS_REVISION_2 0x14
typedef struct _NDIS_PM_PARAMETERS {
    NDIS_OBJECT_HEADER Header;
    ULONG EnabledWoLPacketPatterns;
    ULONG EnabledProtocolOffloads;
    ULONG WakeUpFlags;
    ULONG MediaSpecificWakeUpEvents;
} NDIS_PM_PARAMETERS, *PNDIS_PM_PARAMETERS;

NTKERNELAPI VOID NTAPI NdisMOidRequestComplete(NDIS_HANDLE MiniportAdapterHandle,
                                               PNDIS_OID_REQUEST OidRequest, NDIS_STATUS Status);

#endif
