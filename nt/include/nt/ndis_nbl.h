/*
 * NDIS data path objects: NET_BUFFER, NET_BUFFER_LIST, their pools and the calls that move them.
 * The layout is that of NDIS 6.80 and later; below 6.80 NetBufferListInfo is shorter, so a driver touches no
 * slot that is newer than the running version (NdisGetVersion).
 */
#ifndef NT_NDIS_NBL_H
#define NT_NDIS_NBL_H

#include "ex.h"
#include "mm.h"
#include "status.h"
#include "types.h"

typedef PVOID NDIS_HANDLE, *PNDIS_HANDLE;
typedef ULONG NDIS_PORT_NUMBER, *PNDIS_PORT_NUMBER;

typedef struct _NDIS_OBJECT_HEADER {
    UCHAR Type;
    UCHAR Revision;
    USHORT Size;
} NDIS_OBJECT_HEADER, *PNDIS_OBJECT_HEADER;
#define NDIS_OBJECT_TYPE_BIND_PARAMETERS                             0x86
#define NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT                        0xA9
#define NDIS_OBJECT_TYPE_DEFAULT                                     0x80
#define NDIS_OBJECT_TYPE_DEVICE_OBJECT_ATTRIBUTES                    0x85
#define NDIS_OBJECT_TYPE_DRIVER_WRAPPER_OBJECT                       0xAA
#define NDIS_OBJECT_TYPE_DRIVER_WRAPPER_REVISION_1                   1
#define NDIS_OBJECT_TYPE_FILTER_ATTACH_PARAMETERS                    0x99
#define NDIS_OBJECT_TYPE_FILTER_ATTRIBUTES                           0x8D
#define NDIS_OBJECT_TYPE_FILTER_DRIVER_CHARACTERISTICS               0x8B
#define NDIS_OBJECT_TYPE_FILTER_PARTIAL_CHARACTERISTICS              0x8C
#define NDIS_OBJECT_TYPE_FILTER_PAUSE_PARAMETERS                     0x9A
#define NDIS_OBJECT_TYPE_FILTER_RESTART_PARAMETERS                   0x9B
#define NDIS_OBJECT_TYPE_HD_SPLIT_ATTRIBUTES                         0xAB
#define NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES         0x9F
#define NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES 0xAF
#define NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES         0xA0
#define NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_PACKET_DIRECT_ATTRIBUTES   0xC5
#define NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES    0x9E
#define NDIS_OBJECT_TYPE_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES 0xA4
#define NDIS_OBJECT_TYPE_MINIPORT_DEVICE_POWER_NOTIFICATION          0xC6
#define NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS             0x8A
#define NDIS_OBJECT_TYPE_MINIPORT_INIT_PARAMETERS                    0x81
#define NDIS_OBJECT_TYPE_MINIPORT_INTERRUPT                          0x84
#define NDIS_OBJECT_TYPE_MINIPORT_PNP_CHARACTERISTICS                0x92
#define NDIS_OBJECT_TYPE_MINIPORT_SS_CHARACTERISTICS                 0xB4
#define NDIS_OBJECT_TYPE_NSI_COMPARTMENT_RW_STRUCT                   0xAD
#define NDIS_OBJECT_TYPE_NSI_INTERFACE_PERSIST_RW_STRUCT             0xAE
#define NDIS_OBJECT_TYPE_NSI_NETWORK_RW_STRUCT                       0xAC
#define NDIS_OBJECT_TYPE_OFFLOAD                                     0xA7
#define NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION                       0xA8
#define NDIS_OBJECT_TYPE_OID_REQUEST                                 0x96
#define NDIS_OBJECT_TYPE_OPEN_PARAMETERS                             0x87
#define NDIS_OBJECT_TYPE_PCI_DEVICE_CUSTOM_PROPERTIES_REVISION_1     1
#define NDIS_OBJECT_TYPE_PCI_DEVICE_CUSTOM_PROPERTIES_REVISION_2     2
#define NDIS_OBJECT_TYPE_PORT_CHARACTERISTICS                        0x9C
#define NDIS_OBJECT_TYPE_PORT_STATE                                  0x9D
#define NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS             0x95
#define NDIS_OBJECT_TYPE_PROTOCOL_RESTART_PARAMETERS                 0xA3
#define NDIS_OBJECT_TYPE_REQUEST_EX                                  0x96
#define NDIS_OBJECT_TYPE_RESTART_GENERAL_ATTRIBUTES                  0xA2
#define NDIS_OBJECT_TYPE_RSS_CAPABILITIES                            0x88
#define NDIS_OBJECT_TYPE_RSS_PARAMETERS                              0x89
#define NDIS_OBJECT_TYPE_RSS_PARAMETERS_V2                           0xC8
#define NDIS_OBJECT_TYPE_RSS_PROCESSOR_INFO                          0xB1
#define NDIS_OBJECT_TYPE_RSS_SET_INDIRECTION_ENTRIES                 0xC9
#define NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION                          0x83
#define NDIS_OBJECT_TYPE_SHARED_MEMORY_PROVIDER_CHARACTERISTICS      0xB0
#define NDIS_OBJECT_TYPE_STATUS_INDICATION                           0x98
#define NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS                       0x97
#define NDIS_OBJECT_REVISION_1                                       1

/* Indexes of NetBufferListInfo; the version in which a slot appeared is in nt/facts. */

typedef enum _NDIS_NET_BUFFER_LIST_INFO {
    TcpIpChecksumNetBufferListInfo = 0,
    IPsecOffloadV1NetBufferListInfo = 1,
    IPsecOffloadV2NetBufferListInfo = 1,
    TcpLargeSendNetBufferListInfo = 2,
    TcpReceiveNoPush = 2,
    ClassificationHandleNetBufferListInfo = 3,
    Ieee8021QNetBufferListInfo = 4,
    NetBufferListCancelId = 5,
    MediaSpecificInformation = 6,
    NetBufferListFrameType = 7,
    NetBufferListProtocolId = 7,
    NetBufferListHashValue = 8,
    NetBufferListHashInfo = 9,
    WfpNetBufferListInfo = 10,
    IPsecOffloadV2TunnelNetBufferListInfo = 11,
    IPsecOffloadV2HeaderNetBufferListInfo = 12,
    NetBufferListCorrelationId = 13,
    NetBufferListFilteringInfo = 14,
    MediaSpecificInformationEx = 15,
    NblOriginalInterfaceIfIndex = 16,
    NblReAuthWfpFlowContext = 16,
    TcpReceiveBytesTransferred = 17,
    NrtNameResolutionId = 17,
    UdpRecvSegCoalesceOffloadInfo = 17,
    SwitchForwardingReserved = 18,
    SwitchForwardingDetail = 19,
    VirtualSubnetInfo = 20,
    IMReserved = 21,
    TcpRecvSegCoalesceInfo = 22,
    UdpSegmentationOffloadInfo = 22,
    RscTcpTimestampDelta = 23,
    TcpSendOffloadsSupplementalNetBufferListInfo = 23,
    GftOffloadInformation = 24,
    GftFlowEntryId = 25,
    NetBufferListInfoReserved3 = 26,
    MaxNetBufferListInfo = 27,
} NDIS_NET_BUFFER_LIST_INFO;
typedef NDIS_NET_BUFFER_LIST_INFO *PNDIS_NET_BUFFER_LIST_INFO;

typedef struct _NET_BUFFER NET_BUFFER, *PNET_BUFFER;
typedef struct _NET_BUFFER_LIST NET_BUFFER_LIST, *PNET_BUFFER_LIST;

typedef struct _NET_BUFFER_DATA {
    PNET_BUFFER Next;
    PMDL CurrentMdl;
    ULONG CurrentMdlOffset;
    union {
        ULONG DataLength;
        SIZE_T stDataLength;
    };
    PMDL MdlChain;
    ULONG DataOffset;
} NET_BUFFER_DATA, *PNET_BUFFER_DATA;

typedef union _NET_BUFFER_HEADER {
    struct {
        PNET_BUFFER Next;
        PMDL CurrentMdl;
        ULONG CurrentMdlOffset;
        union {
            ULONG DataLength;
            SIZE_T stDataLength;
        };
        PMDL MdlChain;
        ULONG DataOffset;
    };
    SLIST_HEADER Link;
} NET_BUFFER_HEADER, *PNET_BUFFER_HEADER;

/* DataLength bytes, starting CurrentMdlOffset bytes into CurrentMdl. */
struct _NET_BUFFER {
    union {
        struct {
            PNET_BUFFER Next;
            PMDL CurrentMdl;
            ULONG CurrentMdlOffset;
            union {
                ULONG DataLength;
                SIZE_T stDataLength;
            };
            PMDL MdlChain;
            ULONG DataOffset;
        };
        SLIST_HEADER Link;
        NET_BUFFER_HEADER NetBufferHeader;
    };
    USHORT ChecksumBias;
    USHORT Reserved;
    NDIS_HANDLE NdisPoolHandle;
    NT_ALLOCATION_ALIGNED PVOID NdisReserved[2];
    PVOID ProtocolReserved[6];
    NT_ALLOCATION_ALIGNED PVOID MiniportReserved[4];
    PHYSICAL_ADDRESS DataPhysicalAddress;
    union {
        struct _NET_BUFFER_SHARED_MEMORY *SharedMemoryInfo;
        struct _SCATTER_GATHER_LIST *ScatterGatherList;
    };
};

typedef struct _NET_BUFFER_LIST_CONTEXT {
    NT_ALLOCATION_ALIGNED struct _NET_BUFFER_LIST_CONTEXT *Next;
    USHORT Size;
    USHORT Offset;
    NT_ALLOCATION_ALIGNED UCHAR ContextData[];
} NET_BUFFER_LIST_CONTEXT, *PNET_BUFFER_LIST_CONTEXT;

typedef struct _NET_BUFFER_LIST_DATA {
    PNET_BUFFER_LIST Next;
    PNET_BUFFER FirstNetBuffer;
} NET_BUFFER_LIST_DATA, *PNET_BUFFER_LIST_DATA;

typedef union _NET_BUFFER_LIST_HEADER {
    struct {
        PNET_BUFFER_LIST Next;
        PNET_BUFFER FirstNetBuffer;
    };
    SLIST_HEADER Link;
} NET_BUFFER_LIST_HEADER, *PNET_BUFFER_LIST_HEADER;

struct _NET_BUFFER_LIST {
    union {
        struct {
            PNET_BUFFER_LIST Next;
            PNET_BUFFER FirstNetBuffer;
        };
        SLIST_HEADER Link;
        NET_BUFFER_LIST_HEADER NetBufferListHeader;
    };
    PNET_BUFFER_LIST_CONTEXT Context;
    PNET_BUFFER_LIST ParentNetBufferList;
    NDIS_HANDLE NdisPoolHandle;
    NT_ALLOCATION_ALIGNED PVOID NdisReserved[2];
    PVOID ProtocolReserved[4];
    NT_ALLOCATION_ALIGNED PVOID MiniportReserved[2];
    PVOID Scratch;
    NDIS_HANDLE SourceHandle;
    ULONG NblFlags;
    LONG ChildRefCount;
    ULONG Flags;
    union {
        NDIS_STATUS Status;
        ULONG NdisReserved2;
    };
    PVOID NetBufferListInfo[MaxNetBufferListInfo];
};

#define NET_BUFFER_NEXT_NB(_NB)                  ((_NB)->Next)
#define NET_BUFFER_FIRST_MDL(_NB)                ((_NB)->MdlChain)
#define NET_BUFFER_DATA_LENGTH(_NB)              ((_NB)->DataLength)
#define NET_BUFFER_DATA_OFFSET(_NB)              ((_NB)->DataOffset)
#define NET_BUFFER_CURRENT_MDL(_NB)              ((_NB)->CurrentMdl)
#define NET_BUFFER_CURRENT_MDL_OFFSET(_NB)       ((_NB)->CurrentMdlOffset)
#define NET_BUFFER_PROTOCOL_RESERVED(_NB)        ((_NB)->ProtocolReserved)
#define NET_BUFFER_MINIPORT_RESERVED(_NB)        ((_NB)->MiniportReserved)
#define NET_BUFFER_CHECKSUM_BIAS(_NB)            ((_NB)->ChecksumBias)
#define NET_BUFFER_LIST_NEXT_NBL(_NBL)           ((_NBL)->Next)
#define NET_BUFFER_LIST_FIRST_NB(_NBL)           ((_NBL)->FirstNetBuffer)
#define NET_BUFFER_LIST_FLAGS(_NBL)              ((_NBL)->Flags)
#define NET_BUFFER_LIST_NBL_FLAGS(_NBL)          ((_NBL)->NblFlags)
#define NET_BUFFER_LIST_STATUS(_NBL)             ((_NBL)->Status)
#define NET_BUFFER_LIST_INFO(_NBL, _Id)          ((_NBL)->NetBufferListInfo[(_Id)])
#define NET_BUFFER_LIST_PROTOCOL_RESERVED(_NBL)  ((_NBL)->ProtocolReserved)
#define NET_BUFFER_LIST_MINIPORT_RESERVED(_NBL)  ((_NBL)->MiniportReserved)
#define NET_BUFFER_LIST_CONTEXT_DATA_START(_NBL) ((PUCHAR)((_NBL)->Context + 1) + (_NBL)->Context->Offset)
#define NET_BUFFER_LIST_CONTEXT_DATA_SIZE(_NBL)  ((_NBL)->Context->Size)
#define NDIS_GET_NET_BUFFER_LIST_CANCEL_ID(_NBL) (NET_BUFFER_LIST_INFO(_NBL, NetBufferListCancelId))

#define NDIS_NBL_FLAGS_CAPTURE_TIMESTAMP_ON_TRANSMIT         0x10000
#define NDIS_NBL_FLAGS_HD_SPLIT                              0x100
#define NDIS_NBL_FLAGS_IS_IPV4                               0x200
#define NDIS_NBL_FLAGS_IS_IPV6                               0x400
#define NDIS_NBL_FLAGS_IS_LOOPBACK_PACKET                    0x8000
#define NDIS_NBL_FLAGS_IS_TCP                                0x800
#define NDIS_NBL_FLAGS_IS_UDP                                0x1000
#define NDIS_NBL_FLAGS_RECV_READ_ONLY                        2
#define NDIS_NBL_FLAGS_SEND_READ_ONLY                        1
#define NDIS_NBL_FLAGS_SPLIT_AT_UPPER_LAYER_PROTOCOL_HEADER  0x2000
#define NDIS_NBL_FLAGS_SPLIT_AT_UPPER_LAYER_PROTOCOL_PAYLOAD 0x4000
#define NBL_FLAGS_MINIPORT_RESERVED                          0xF000
#define NBL_FLAGS_NDIS_RESERVED                              0xFFC
#define NBL_FLAGS_PROTOCOL_RESERVED                          0xFFF00003u
#define NBL_FLAGS_SCRATCH                                    0xF0000
#define NBL_PROT_RSVD_FLAGS                                  0xFFF00003u
#define NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK                   2
#define NDIS_SEND_FLAGS_DISPATCH_LEVEL                       1
#define NDIS_SEND_FLAGS_SINGLE_QUEUE                         4
#define NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL              1
#define NDIS_SEND_COMPLETE_FLAGS_SINGLE_QUEUE                2
#define NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL                    1
#define NDIS_RECEIVE_FLAGS_MORE_NBLS                         0x2000
#define NDIS_RECEIVE_FLAGS_PERFECT_FILTERED                  0x400
#define NDIS_RECEIVE_FLAGS_RESOURCES                         2
#define NDIS_RECEIVE_FLAGS_SHARED_MEMORY_INFO_VALID          0x1000
#define NDIS_RECEIVE_FLAGS_SINGLE_ETHER_TYPE                 0x100
#define NDIS_RECEIVE_FLAGS_SINGLE_QUEUE                      0x800
#define NDIS_RECEIVE_FLAGS_SINGLE_VLAN                       0x200
#define NDIS_RETURN_FLAGS_DISPATCH_LEVEL                     1
#define NDIS_RETURN_FLAGS_SINGLE_QUEUE                       2
#define NDIS_TEST_SEND_AT_DISPATCH_LEVEL(_Flags)             (((_Flags) & NDIS_SEND_FLAGS_DISPATCH_LEVEL) != 0)
#define NDIS_TEST_RECEIVE_AT_DISPATCH_LEVEL(_Flags)          (((_Flags) & NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL) != 0)
#define NDIS_TEST_RECEIVE_CANNOT_PEND(_Flags)                (((_Flags) & NDIS_RECEIVE_FLAGS_RESOURCES) != 0)
#define NDIS_TEST_RETURN_AT_DISPATCH_LEVEL(_Flags)           (((_Flags) & NDIS_RETURN_FLAGS_DISPATCH_LEVEL) != 0)
#define NDIS_DEFAULT_PORT_NUMBER                             0
#define NDIS_PROTOCOL_ID_DEFAULT                             0
#define NDIS_PROTOCOL_ID_IP6                                 3
#define NDIS_PROTOCOL_ID_IPX                                 6
#define NDIS_PROTOCOL_ID_MASK                                0xF
#define NDIS_PROTOCOL_ID_MAX                                 0xF
#define NDIS_PROTOCOL_ID_NBF                                 7
#define NDIS_PROTOCOL_ID_TCP_IP                              2
#define NDIS_ETH_TYPE_802_1Q                                 0x8100
#define NDIS_ETH_TYPE_802_1X                                 0x888E
#define NDIS_ETH_TYPE_ARP                                    0x806
#define NDIS_ETH_TYPE_IPV4                                   0x800
#define NDIS_ETH_TYPE_IPV6                                   0x86DD
#define NDIS_ETH_TYPE_SLOW_PROTOCOL                          0x8809

typedef struct _NET_BUFFER_LIST_POOL_PARAMETERS {
    NDIS_OBJECT_HEADER Header;
    UCHAR ProtocolId;
    BOOLEAN fAllocateNetBuffer;
    USHORT ContextSize;
    ULONG PoolTag;
    ULONG DataSize;
    ULONG Flags;
} NET_BUFFER_LIST_POOL_PARAMETERS, *PNET_BUFFER_LIST_POOL_PARAMETERS;

typedef struct _NET_BUFFER_POOL_PARAMETERS {
    NDIS_OBJECT_HEADER Header;
    ULONG PoolTag;
    ULONG DataSize;
    ULONG Flags;
} NET_BUFFER_POOL_PARAMETERS, *PNET_BUFFER_POOL_PARAMETERS;
#define NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1             1
#define NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_2             2
#define NET_BUFFER_POOL_PARAMETERS_REVISION_1                  1
#define NET_BUFFER_POOL_PARAMETERS_REVISION_2                  2
#define NET_BUFFER_LIST_POOL_FLAG_VERIFY                       1
#define NET_BUFFER_POOL_FLAG_VERIFY                            1
#define NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1 0x10
#define NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_2 0x14
#define NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_1      0xC
#define NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_2      0x10

typedef PMDL NTAPI NET_BUFFER_ALLOCATE_MDL(PULONG BufferSize);
typedef NET_BUFFER_ALLOCATE_MDL *NET_BUFFER_ALLOCATE_MDL_HANDLER;
typedef VOID NTAPI NET_BUFFER_FREE_MDL(PMDL Mdl);
typedef NET_BUFFER_FREE_MDL *NET_BUFFER_FREE_MDL_HANDLER;

NTKERNELAPI NDIS_HANDLE NTAPI NdisAllocateNetBufferListPool(NDIS_HANDLE NdisHandle,
                                                            PNET_BUFFER_LIST_POOL_PARAMETERS Parameters);
NTKERNELAPI VOID NTAPI NdisFreeNetBufferListPool(NDIS_HANDLE PoolHandle);
NTKERNELAPI NDIS_HANDLE NTAPI NdisAllocateNetBufferPool(NDIS_HANDLE NdisHandle,
                                                        PNET_BUFFER_POOL_PARAMETERS Parameters);
NTKERNELAPI VOID NTAPI NdisFreeNetBufferPool(NDIS_HANDLE PoolHandle);
NTKERNELAPI PNET_BUFFER_LIST NTAPI NdisAllocateNetBufferAndNetBufferList(NDIS_HANDLE PoolHandle,
                                                                         USHORT ContextSize,
                                                                         USHORT ContextBackFill,
                                                                         PMDL MdlChain, ULONG DataOffset,
                                                                         SIZE_T DataLength);
NTKERNELAPI PNET_BUFFER_LIST NTAPI NdisAllocateNetBufferList(NDIS_HANDLE PoolHandle, USHORT ContextSize,
                                                             USHORT ContextBackFill);
NTKERNELAPI VOID NTAPI NdisFreeNetBufferList(PNET_BUFFER_LIST NetBufferList);
NTKERNELAPI PNET_BUFFER NTAPI NdisAllocateNetBuffer(NDIS_HANDLE PoolHandle, PMDL MdlChain, ULONG DataOffset,
                                                    SIZE_T DataLength);
NTKERNELAPI PNET_BUFFER NTAPI NdisAllocateNetBufferMdlAndData(NDIS_HANDLE PoolHandle);
NTKERNELAPI VOID NTAPI NdisFreeNetBuffer(PNET_BUFFER NetBuffer);
NTKERNELAPI PMDL NTAPI NdisAllocateMdl(NDIS_HANDLE NdisHandle, PVOID VirtualAddress, UINT Length);
NTKERNELAPI VOID NTAPI NdisFreeMdl(PMDL Mdl);
NTKERNELAPI PVOID NTAPI NdisGetDataBuffer(PNET_BUFFER NetBuffer, ULONG BytesNeeded, PVOID Storage,
                                          UINT AlignMultiple, UINT AlignOffset);
NTKERNELAPI VOID NTAPI NdisAdvanceNetBufferDataStart(PNET_BUFFER NetBuffer, ULONG DataOffsetDelta,
                                                     BOOLEAN FreeMdl,
                                                     NET_BUFFER_FREE_MDL_HANDLER FreeMdlHandler);
NTKERNELAPI NDIS_STATUS NTAPI
NdisRetreatNetBufferDataStart(PNET_BUFFER NetBuffer, ULONG DataOffsetDelta, ULONG DataBackFill,
                              NET_BUFFER_ALLOCATE_MDL_HANDLER AllocateMdlHandler);
NTKERNELAPI NDIS_STATUS NTAPI NdisCopyFromNetBufferToNetBuffer(PNET_BUFFER Destination,
                                                               ULONG DestinationOffset, ULONG BytesToCopy,
                                                               const NET_BUFFER *Source, ULONG SourceOffset,
                                                               PULONG BytesCopied);

NTKERNELAPI VOID NTAPI NdisMSendNetBufferListsComplete(NDIS_HANDLE MiniportAdapterHandle,
                                                       PNET_BUFFER_LIST NetBufferList,
                                                       ULONG SendCompleteFlags);
NTKERNELAPI VOID NTAPI NdisMIndicateReceiveNetBufferLists(NDIS_HANDLE MiniportAdapterHandle,
                                                          PNET_BUFFER_LIST NetBufferList,
                                                          NDIS_PORT_NUMBER PortNumber,
                                                          ULONG NumberOfNetBufferLists, ULONG ReceiveFlags);

#endif
