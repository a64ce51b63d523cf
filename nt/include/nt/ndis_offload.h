/*
 * NDIS task offload: capabilities, settings and the per-packet words in NetBufferListInfo.
 * Microsoft declares these words as bit-fields; here each is one integer with masks and shifts.
 * Header.Size is the NDIS_SIZEOF_..._REVISION_n constant of the chosen revision, never sizeof.
 */
#ifndef NT_NDIS_OFFLOAD_H
#define NT_NDIS_OFFLOAD_H

#include "ndis_nbl.h"
#include "types.h"

#define NDIS_OFFLOAD_FLAGS_GROUP_CHECKSUM_CAPABILITIES 1
#define NDIS_OFFLOAD_NOT_SUPPORTED                     0
#define NDIS_OFFLOAD_REVISION_1                        1
#define NDIS_OFFLOAD_REVISION_2                        2
#define NDIS_OFFLOAD_REVISION_3                        3
#define NDIS_OFFLOAD_REVISION_4                        4
#define NDIS_OFFLOAD_REVISION_5                        5
#define NDIS_OFFLOAD_REVISION_6                        6
#define NDIS_OFFLOAD_REVISION_7                        7
#define NDIS_OFFLOAD_REVISION_8                        8
#define NDIS_OFFLOAD_SET_NO_CHANGE                     0
#define NDIS_OFFLOAD_SET_OFF                           2
#define NDIS_OFFLOAD_SET_ON                            1
#define NDIS_OFFLOAD_SUPPORTED                         1
#define NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1            0x70
#define NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_2            0x90
#define NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_3            0x9C
#define NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_4            0xB1
#define NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_5            0xBC
#define NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_6            0xD8
#define NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_7            0xD8
#define NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_8            0xD9
#define NDIS_ENCAPSULATION_IEEE_802_3                  2
#define NDIS_ENCAPSULATION_IEEE_802_3_P_AND_Q          4
#define NDIS_ENCAPSULATION_IEEE_802_3_P_AND_Q_IN_OOB   8
#define NDIS_ENCAPSULATION_IEEE_LLC_SNAP_ROUTED        0x10
#define NDIS_ENCAPSULATION_NOT_SUPPORTED               0
#define NDIS_ENCAPSULATION_NULL                        1
#define NDIS_ENCAPSULATION_TYPE_GRE_MAC                1
#define NDIS_ENCAPSULATION_TYPE_VXLAN                  2

/* --- per packet: NetBufferListInfo[TcpIpChecksumNetBufferListInfo] --- */
typedef struct _NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO {
    union {
        ULONG Transmit;
        ULONG Receive;
        PVOID Value;
    };
} NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO, *PNDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO;
#define NDIS_CHECKSUM_TRANSMIT_IS_IPV4                   0x00000001u
#define NDIS_CHECKSUM_TRANSMIT_IS_IPV6                   0x00000002u
#define NDIS_CHECKSUM_TRANSMIT_TCP_CHECKSUM              0x00000004u
#define NDIS_CHECKSUM_TRANSMIT_UDP_CHECKSUM              0x00000008u
#define NDIS_CHECKSUM_TRANSMIT_IP_HEADER_CHECKSUM        0x00000010u
#define NDIS_CHECKSUM_TRANSMIT_TCP_HEADER_OFFSET         0x03FF0000u
#define NDIS_CHECKSUM_TRANSMIT_TCP_HEADER_OFFSET_SHIFT   16
#define NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_FAILED        0x00000001u
#define NDIS_CHECKSUM_RECEIVE_UDP_CHECKSUM_FAILED        0x00000002u
#define NDIS_CHECKSUM_RECEIVE_IP_CHECKSUM_FAILED         0x00000004u
#define NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_SUCCEEDED     0x00000008u
#define NDIS_CHECKSUM_RECEIVE_UDP_CHECKSUM_SUCCEEDED     0x00000010u
#define NDIS_CHECKSUM_RECEIVE_IP_CHECKSUM_SUCCEEDED      0x00000020u
#define NDIS_CHECKSUM_RECEIVE_LOOPBACK                   0x00000040u
#define NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_VALUE_INVALID 0x00000080u
#define NDIS_CHECKSUM_RECEIVE_IP_CHECKSUM_VALUE_INVALID  0x00000100u

/* --- per packet: NetBufferListInfo[TcpLargeSendNetBufferListInfo] --- */
typedef struct _NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO {
    union {
        ULONG Transmit;
        ULONG LsoV1Transmit;
        ULONG LsoV1TransmitComplete;
        ULONG LsoV2Transmit;
        ULONG LsoV2TransmitComplete;
        PVOID Value;
    };
} NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO, *PNDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO;
#define NDIS_LSO_V1_MSS                           0x000FFFFFu
#define NDIS_LSO_V1_MSS_SHIFT                     0
#define NDIS_LSO_V1_TCP_HEADER_OFFSET             0x3FF00000u
#define NDIS_LSO_V1_TCP_HEADER_OFFSET_SHIFT       20
#define NDIS_LSO_V1_TYPE                          0x40000000u
#define NDIS_LSO_V1_COMPLETE_TCP_PAYLOAD          0x3FFFFFFFu
#define NDIS_LSO_V1_COMPLETE_TCP_PAYLOAD_SHIFT    0
#define NDIS_LSO_V1_COMPLETE_TYPE                 0x40000000u
#define NDIS_LSO_V2_MSS                           0x000FFFFFu
#define NDIS_LSO_V2_MSS_SHIFT                     0
#define NDIS_LSO_V2_TCP_HEADER_OFFSET             0x3FF00000u
#define NDIS_LSO_V2_TCP_HEADER_OFFSET_SHIFT       20
#define NDIS_LSO_V2_TYPE                          0x40000000u
#define NDIS_LSO_V2_IP_VERSION                    0x80000000u
#define NDIS_TCP_LARGE_SEND_OFFLOAD_IPv4          0
#define NDIS_TCP_LARGE_SEND_OFFLOAD_IPv6          1
#define NDIS_TCP_LARGE_SEND_OFFLOAD_V1_TYPE       0
#define NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE       1
#define NDIS_LARGE_SEND_OFFLOAD_MAX_HEADER_LENGTH 0x80

/* --- per packet: NetBufferListInfo[UdpSegmentationOffloadInfo], NDIS 6.83 --- */
typedef struct _NDIS_UDP_SEGMENTATION_OFFLOAD_NET_BUFFER_LIST_INFO {
    union {
        ULONG Transmit;
        PVOID Value;
    };
} NDIS_UDP_SEGMENTATION_OFFLOAD_NET_BUFFER_LIST_INFO, *PNDIS_UDP_SEGMENTATION_OFFLOAD_NET_BUFFER_LIST_INFO;
#define NDIS_USO_MSS                       0x000FFFFFu
#define NDIS_USO_MSS_SHIFT                 0
#define NDIS_USO_UDP_HEADER_OFFSET         0x3FF00000u
#define NDIS_USO_UDP_HEADER_OFFSET_SHIFT   20
#define NDIS_USO_IP_VERSION                0x80000000u
#define NDIS_UDP_SEGMENTATION_OFFLOAD_IPV4 0
#define NDIS_UDP_SEGMENTATION_OFFLOAD_IPV6 1

/* --- per packet: NetBufferListInfo[TcpRecvSegCoalesceInfo] --- */
typedef struct _NDIS_RSC_NBL_INFO {
    union {
        struct {
            USHORT CoalescedSegCount;
            USHORT DupAckCount;
        } Info;
        PVOID Value;
    };
} NDIS_RSC_NBL_INFO, *PNDIS_RSC_NBL_INFO;

/* --- per packet: NetBufferListInfo[UdpRecvSegCoalesceOffloadInfo], NDIS 6.84 --- */
typedef struct _NDIS_UDP_RSC_OFFLOAD_NET_BUFFER_LIST_INFO {
    union {
        struct {
            USHORT SegCount;
            USHORT SegSize;
        } Receive;
        PVOID Value;
    };
} NDIS_UDP_RSC_OFFLOAD_NET_BUFFER_LIST_INFO, *PNDIS_UDP_RSC_OFFLOAD_NET_BUFFER_LIST_INFO;

/* --- capabilities --- */
typedef struct _NDIS_TCP_IP_CHECKSUM_OFFLOAD {
    struct {
        ULONG Encapsulation;
        ULONG Supported;
    } IPv4Transmit;
    struct {
        ULONG Encapsulation;
        ULONG Supported;
    } IPv4Receive;
    struct {
        ULONG Encapsulation;
        ULONG Supported;
    } IPv6Transmit;
    struct {
        ULONG Encapsulation;
        ULONG Supported;
    } IPv6Receive;
} NDIS_TCP_IP_CHECKSUM_OFFLOAD, *PNDIS_TCP_IP_CHECKSUM_OFFLOAD;
/* Each capability is two bits wide: multiply NDIS_OFFLOAD_SUPPORTED by the mask's lowest bit (the _SHIFT
 * constant). */
#define NDIS_CHECKSUM_IPV4_TRANSMIT_IP_OPTIONS_SUPPORTED                 0x00000003u
#define NDIS_CHECKSUM_IPV4_TRANSMIT_IP_OPTIONS_SUPPORTED_SHIFT           0
#define NDIS_CHECKSUM_IPV4_TRANSMIT_TCP_OPTIONS_SUPPORTED                0x0000000Cu
#define NDIS_CHECKSUM_IPV4_TRANSMIT_TCP_OPTIONS_SUPPORTED_SHIFT          2
#define NDIS_CHECKSUM_IPV4_TRANSMIT_TCP_CHECKSUM                         0x00000030u
#define NDIS_CHECKSUM_IPV4_TRANSMIT_TCP_CHECKSUM_SHIFT                   4
#define NDIS_CHECKSUM_IPV4_TRANSMIT_UDP_CHECKSUM                         0x000000C0u
#define NDIS_CHECKSUM_IPV4_TRANSMIT_UDP_CHECKSUM_SHIFT                   6
#define NDIS_CHECKSUM_IPV4_TRANSMIT_IP_CHECKSUM                          0x00000300u
#define NDIS_CHECKSUM_IPV4_TRANSMIT_IP_CHECKSUM_SHIFT                    8
#define NDIS_CHECKSUM_IPV4_RECEIVE_IP_OPTIONS_SUPPORTED                  0x00000003u
#define NDIS_CHECKSUM_IPV4_RECEIVE_IP_OPTIONS_SUPPORTED_SHIFT            0
#define NDIS_CHECKSUM_IPV4_RECEIVE_TCP_OPTIONS_SUPPORTED                 0x0000000Cu
#define NDIS_CHECKSUM_IPV4_RECEIVE_TCP_OPTIONS_SUPPORTED_SHIFT           2
#define NDIS_CHECKSUM_IPV4_RECEIVE_TCP_CHECKSUM                          0x00000030u
#define NDIS_CHECKSUM_IPV4_RECEIVE_TCP_CHECKSUM_SHIFT                    4
#define NDIS_CHECKSUM_IPV4_RECEIVE_UDP_CHECKSUM                          0x000000C0u
#define NDIS_CHECKSUM_IPV4_RECEIVE_UDP_CHECKSUM_SHIFT                    6
#define NDIS_CHECKSUM_IPV4_RECEIVE_IP_CHECKSUM                           0x00000300u
#define NDIS_CHECKSUM_IPV4_RECEIVE_IP_CHECKSUM_SHIFT                     8
#define NDIS_CHECKSUM_IPV6_TRANSMIT_IP_EXTENSION_HEADERS_SUPPORTED       0x00000003u
#define NDIS_CHECKSUM_IPV6_TRANSMIT_IP_EXTENSION_HEADERS_SUPPORTED_SHIFT 0
#define NDIS_CHECKSUM_IPV6_TRANSMIT_TCP_OPTIONS_SUPPORTED                0x0000000Cu
#define NDIS_CHECKSUM_IPV6_TRANSMIT_TCP_OPTIONS_SUPPORTED_SHIFT          2
#define NDIS_CHECKSUM_IPV6_TRANSMIT_TCP_CHECKSUM                         0x00000030u
#define NDIS_CHECKSUM_IPV6_TRANSMIT_TCP_CHECKSUM_SHIFT                   4
#define NDIS_CHECKSUM_IPV6_TRANSMIT_UDP_CHECKSUM                         0x000000C0u
#define NDIS_CHECKSUM_IPV6_TRANSMIT_UDP_CHECKSUM_SHIFT                   6
#define NDIS_CHECKSUM_IPV6_RECEIVE_IP_EXTENSION_HEADERS_SUPPORTED        0x00000003u
#define NDIS_CHECKSUM_IPV6_RECEIVE_IP_EXTENSION_HEADERS_SUPPORTED_SHIFT  0
#define NDIS_CHECKSUM_IPV6_RECEIVE_TCP_OPTIONS_SUPPORTED                 0x0000000Cu
#define NDIS_CHECKSUM_IPV6_RECEIVE_TCP_OPTIONS_SUPPORTED_SHIFT           2
#define NDIS_CHECKSUM_IPV6_RECEIVE_TCP_CHECKSUM                          0x00000030u
#define NDIS_CHECKSUM_IPV6_RECEIVE_TCP_CHECKSUM_SHIFT                    4
#define NDIS_CHECKSUM_IPV6_RECEIVE_UDP_CHECKSUM                          0x000000C0u
#define NDIS_CHECKSUM_IPV6_RECEIVE_UDP_CHECKSUM_SHIFT                    6

typedef struct _NDIS_TCP_LARGE_SEND_OFFLOAD_V1 {
    struct {
        ULONG Encapsulation;
        ULONG MaxOffLoadSize;
        ULONG MinSegmentCount;
        ULONG Supported;
    } IPv4;
} NDIS_TCP_LARGE_SEND_OFFLOAD_V1, *PNDIS_TCP_LARGE_SEND_OFFLOAD_V1;
#define NDIS_LSO_V1_IPV4_TCP_OPTIONS       0x00000003u
#define NDIS_LSO_V1_IPV4_TCP_OPTIONS_SHIFT 0
#define NDIS_LSO_V1_IPV4_IP_OPTIONS        0x0000000Cu
#define NDIS_LSO_V1_IPV4_IP_OPTIONS_SHIFT  2

typedef struct _NDIS_TCP_LARGE_SEND_OFFLOAD_V2 {
    struct {
        ULONG Encapsulation;
        ULONG MaxOffLoadSize;
        ULONG MinSegmentCount;
    } IPv4;
    struct {
        ULONG Encapsulation;
        ULONG MaxOffLoadSize;
        ULONG MinSegmentCount;
        ULONG Supported;
    } IPv6;
} NDIS_TCP_LARGE_SEND_OFFLOAD_V2, *PNDIS_TCP_LARGE_SEND_OFFLOAD_V2;
#define NDIS_LSO_V2_IPV6_IP_EXTENSION_HEADERS_SUPPORTED       0x00000003u
#define NDIS_LSO_V2_IPV6_IP_EXTENSION_HEADERS_SUPPORTED_SHIFT 0
#define NDIS_LSO_V2_IPV6_TCP_OPTIONS_SUPPORTED                0x0000000Cu
#define NDIS_LSO_V2_IPV6_TCP_OPTIONS_SUPPORTED_SHIFT          2

typedef struct _NDIS_TCP_RECV_SEG_COALESCE_OFFLOAD {
    struct {
        BOOLEAN Enabled;
    } IPv4;
    struct {
        BOOLEAN Enabled;
    } IPv6;
} NDIS_TCP_RECV_SEG_COALESCE_OFFLOAD, *PNDIS_TCP_RECV_SEG_COALESCE_OFFLOAD;

typedef struct _NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD {
    ULONG Supported;
    ULONG MaxHeaderSizeSupported;
} NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD, *PNDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD;

typedef struct _NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD_V2 {
    ULONG Supported;
    ULONG MaxHeaderSizeSupported;
    ULONG EncapsulationProtocolInfo;
    ULONG Reserved1;
    ULONG Reserved2;
} NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD_V2, *PNDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD_V2;

typedef struct _NDIS_UDP_SEGMENTATION_OFFLOAD {
    struct {
        ULONG Encapsulation;
        ULONG MaxOffLoadSize;
        ULONG Segments;
    } IPv4;
    struct {
        ULONG Encapsulation;
        ULONG MaxOffLoadSize;
        ULONG Segments;
        ULONG Supported;
    } IPv6;
} NDIS_UDP_SEGMENTATION_OFFLOAD, *PNDIS_UDP_SEGMENTATION_OFFLOAD;
#define NDIS_USO_IPV4_MIN_SEGMENT_COUNT                    0x0000003Fu
#define NDIS_USO_IPV4_MIN_SEGMENT_COUNT_SHIFT              0
#define NDIS_USO_IPV4_SUB_MSS_FINAL_SEGMENT_SUPPORTED      0x00000040u
#define NDIS_USO_IPV6_MIN_SEGMENT_COUNT                    0x0000003Fu
#define NDIS_USO_IPV6_MIN_SEGMENT_COUNT_SHIFT              0
#define NDIS_USO_IPV6_SUB_MSS_FINAL_SEGMENT_SUPPORTED      0x00000040u
#define NDIS_USO_IPV6_IP_EXTENSION_HEADERS_SUPPORTED       0x00000003u
#define NDIS_USO_IPV6_IP_EXTENSION_HEADERS_SUPPORTED_SHIFT 0

typedef struct _NDIS_UDP_RSC_OFFLOAD {
    BOOLEAN Enabled;
} NDIS_UDP_RSC_OFFLOAD, *PNDIS_UDP_RSC_OFFLOAD;

/* IPsec offload, which no one here offers: only the sizes matter. */
typedef struct _NDIS_OFFLOAD {
    NDIS_OBJECT_HEADER Header;
    NDIS_TCP_IP_CHECKSUM_OFFLOAD Checksum;
    NDIS_TCP_LARGE_SEND_OFFLOAD_V1 LsoV1;
    ULONG IPsecV1[7];
    NDIS_TCP_LARGE_SEND_OFFLOAD_V2 LsoV2;
    ULONG Flags;
    ULONG IPsecV2[8];
    NDIS_TCP_RECV_SEG_COALESCE_OFFLOAD Rsc;
    NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD EncapsulatedPacketTaskOffloadGre;
    NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD_V2 EncapsulatedPacketTaskOffloadVxlan;
    UCHAR EncapsulationTypes;
    ULONG Rfc6877Xlat[2];
    NDIS_UDP_SEGMENTATION_OFFLOAD UdpSegmentation;
    NDIS_UDP_RSC_OFFLOAD UdpRsc;
} NDIS_OFFLOAD, *PNDIS_OFFLOAD;

#define NDIS_TCP_CONNECTION_OFFLOAD_REVISION_1        1
#define NDIS_TCP_CONNECTION_OFFLOAD_REVISION_2        2
#define NDIS_SIZEOF_TCP_CONNECTION_OFFLOAD_REVISION_1 0x14
#define NDIS_SIZEOF_TCP_CONNECTION_OFFLOAD_REVISION_2 0x14
typedef struct _NDIS_TCP_CONNECTION_OFFLOAD {
    NDIS_OBJECT_HEADER Header;
    ULONG Encapsulation;
    ULONG Supported;
    ULONG TcpConnectionOffloadCapacity;
    ULONG Flags;
} NDIS_TCP_CONNECTION_OFFLOAD, *PNDIS_TCP_CONNECTION_OFFLOAD;

/* --- OID_TCP_OFFLOAD_PARAMETERS --- */
#define NDIS_OFFLOAD_PARAMETERS_CONNECTION_OFFLOAD_DISABLED 1
#define NDIS_OFFLOAD_PARAMETERS_CONNECTION_OFFLOAD_ENABLED  2
#define NDIS_OFFLOAD_PARAMETERS_LSOV1_DISABLED              1
#define NDIS_OFFLOAD_PARAMETERS_LSOV1_ENABLED               2
#define NDIS_OFFLOAD_PARAMETERS_LSOV2_DISABLED              1
#define NDIS_OFFLOAD_PARAMETERS_LSOV2_ENABLED               2
#define NDIS_OFFLOAD_PARAMETERS_NO_CHANGE                   0
#define NDIS_OFFLOAD_PARAMETERS_REVISION_1                  1
#define NDIS_OFFLOAD_PARAMETERS_REVISION_2                  2
#define NDIS_OFFLOAD_PARAMETERS_REVISION_3                  3
#define NDIS_OFFLOAD_PARAMETERS_REVISION_4                  4
#define NDIS_OFFLOAD_PARAMETERS_REVISION_5                  5
#define NDIS_OFFLOAD_PARAMETERS_REVISION_6                  6
#define NDIS_OFFLOAD_PARAMETERS_RSC_DISABLED                1
#define NDIS_OFFLOAD_PARAMETERS_RSC_ENABLED                 2
#define NDIS_OFFLOAD_PARAMETERS_RX_ENABLED_TX_DISABLED      3
#define NDIS_OFFLOAD_PARAMETERS_SKIP_REGISTRY_UPDATE        1
#define NDIS_OFFLOAD_PARAMETERS_TX_ENABLED_RX_DISABLED      2
#define NDIS_OFFLOAD_PARAMETERS_TX_RX_DISABLED              1
#define NDIS_OFFLOAD_PARAMETERS_TX_RX_ENABLED               4
#define NDIS_OFFLOAD_PARAMETERS_UDP_RSC_DISABLED            1
#define NDIS_OFFLOAD_PARAMETERS_UDP_RSC_ENABLED             2
#define NDIS_OFFLOAD_PARAMETERS_UDP_RSC_NO_CHANGE           0
#define NDIS_OFFLOAD_PARAMETERS_USO_DISABLED                1
#define NDIS_OFFLOAD_PARAMETERS_USO_ENABLED                 2
#define NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_1           0x14
#define NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_2           0x16
#define NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_3           0x1A
#define NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_4           0x20
#define NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_5           0x22
#define NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_6           0x23
typedef struct _NDIS_OFFLOAD_PARAMETERS {
    NDIS_OBJECT_HEADER Header;
    UCHAR IPv4Checksum;
    UCHAR TCPIPv4Checksum;
    UCHAR UDPIPv4Checksum;
    UCHAR TCPIPv6Checksum;
    UCHAR UDPIPv6Checksum;
    UCHAR LsoV1;
    UCHAR IPsecV1;
    UCHAR LsoV2IPv4;
    UCHAR LsoV2IPv6;
    UCHAR TcpConnectionIPv4;
    UCHAR TcpConnectionIPv6;
    ULONG Flags;
    UCHAR IPsecV2;
    UCHAR IPsecV2IPv4;
    UCHAR RscIPv4;
    UCHAR RscIPv6;
    UCHAR EncapsulatedPacketTaskOffload;
    UCHAR EncapsulationTypes;
    ULONG EncapsulationProtocolParameters;
    struct {
        UCHAR IPv4;
        UCHAR IPv6;
    } UdpSegmentation;
    struct {
        UCHAR Enabled;
    } UdpRsc;
} NDIS_OFFLOAD_PARAMETERS, *PNDIS_OFFLOAD_PARAMETERS;

/* --- OID_OFFLOAD_ENCAPSULATION --- */
#define NDIS_OFFLOAD_ENCAPSULATION_REVISION_1        1
#define NDIS_SIZEOF_OFFLOAD_ENCAPSULATION_REVISION_1 0x1C
typedef struct _NDIS_OFFLOAD_ENCAPSULATION {
    NDIS_OBJECT_HEADER Header;
    struct {
        ULONG Enabled;
        ULONG EncapsulationType;
        ULONG HeaderSize;
    } IPv4;
    struct {
        ULONG Enabled;
        ULONG EncapsulationType;
        ULONG HeaderSize;
    } IPv6;
} NDIS_OFFLOAD_ENCAPSULATION, *PNDIS_OFFLOAD_ENCAPSULATION;

/* --- OID_TCP_RSC_STATISTICS --- */
#define NDIS_RSC_STATISTICS_REVISION_1        1
#define NDIS_SIZEOF_RSC_STATISTICS_REVISION_1 0x28
typedef struct _NDIS_RSC_STATISTICS_INFO {
    NDIS_OBJECT_HEADER Header;
    ULONG64 CoalescedPkts;
    ULONG64 CoalescedOctets;
    ULONG64 CoalesceEvents;
    ULONG64 Aborts;
} NDIS_RSC_STATISTICS_INFO, *PNDIS_RSC_STATISTICS_INFO;

#endif
