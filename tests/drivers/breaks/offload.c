/* Task offloads: structures that contradict themselves, large sends that are completed otherwise than
 * documented, and receive information that is not enabled or not consistent. */
#include "breaks.h"

#define SUPPORTED(shift) ((ULONG)NDIS_OFFLOAD_SUPPORTED << (shift))
#define CHECKED          (NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_SUCCEEDED | NDIS_CHECKSUM_RECEIVE_IP_CHECKSUM_SUCCEEDED)
#define PAYLOAD          8u
#define TCP_CHECKSUM     36

/* ---- what is announced ---- */

static VOID everything(PNDIS_OFFLOAD offload)
{
    RtlZeroMemory(offload, sizeof(*offload));
    offload->Header.Type = NDIS_OBJECT_TYPE_OFFLOAD;
    offload->Header.Revision = NDIS_OFFLOAD_REVISION_3;
    offload->Header.Size = NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_3;
    offload->LsoV2.IPv4.Encapsulation = NDIS_ENCAPSULATION_NULL;
    offload->LsoV2.IPv4.MaxOffLoadSize = 60000;
    offload->LsoV2.IPv4.MinSegmentCount = 2;
    offload->Checksum.IPv4Receive.Encapsulation = NDIS_ENCAPSULATION_NULL;
    offload->Checksum.IPv4Receive.Supported = SUPPORTED(NDIS_CHECKSUM_IPV4_RECEIVE_TCP_CHECKSUM_SHIFT) |
                                              SUPPORTED(NDIS_CHECKSUM_IPV4_RECEIVE_IP_CHECKSUM_SHIFT);
    offload->Rsc.IPv4.Enabled = TRUE;
}

static NDIS_STATUS announce(struct adapter *adapter, PNDIS_OFFLOAD current, PNDIS_OFFLOAD hardware)
{
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES attributes;
    NDIS_STATUS status = set_registration_attributes(adapter);
    if (status == NDIS_STATUS_SUCCESS) {
        status = set_general_attributes(adapter);
    }
    if (status != NDIS_STATUS_SUCCESS) {
        return status;
    }
    RtlZeroMemory(&attributes, sizeof(attributes));
    attributes.OffloadAttributes = (NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES){
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
                   NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
                   NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1},
        .DefaultOffloadConfiguration = current,
        .HardwareOffloadCapabilities = hardware,
    };
    return NdisMSetMiniportAttributes(adapter->handle, &attributes);
}

static NDIS_STATUS announce_everything(struct adapter *adapter)
{
    NDIS_OFFLOAD offload;
    everything(&offload);
    return announce(adapter, &offload, &offload);
}

static BREAKS NDIS_STATUS offload_revision(struct adapter *adapter)
{
    NDIS_OFFLOAD offload;
    everything(&offload);
    offload.Header.Revision = NDIS_OFFLOAD_REVISION_4; /* which is longer */
    return announce(adapter, &offload, NULL);
}

static BREAKS NDIS_STATUS offload_no_size(struct adapter *adapter)
{
    NDIS_OFFLOAD offload;
    everything(&offload);
    offload.LsoV2.IPv4.MaxOffLoadSize = 0;
    return announce(adapter, &offload, NULL);
}

static BREAKS NDIS_STATUS offload_encapsulation(struct adapter *adapter)
{
    NDIS_OFFLOAD offload;
    everything(&offload);
    offload.Checksum.IPv4Receive.Encapsulation = 0x8000;
    return announce(adapter, &offload, NULL);
}

static BREAKS NDIS_STATUS offload_beyond(struct adapter *adapter)
{
    NDIS_OFFLOAD offload, hardware;
    everything(&offload);
    everything(&hardware);
    hardware.Rsc.IPv4.Enabled = FALSE;
    return announce(adapter, &offload, &hardware);
}

static BREAKS VOID offload_cut_short(struct adapter *adapter)
{
    NDIS_OFFLOAD offload;
    everything(&offload);
    NDIS_STATUS_INDICATION indication = {
        .Header = {NDIS_OBJECT_TYPE_STATUS_INDICATION, NDIS_STATUS_INDICATION_REVISION_1,
                   NDIS_SIZEOF_STATUS_INDICATION_REVISION_1},
        .SourceHandle = adapter->handle,
        .StatusCode = NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG,
        .StatusBuffer = &offload,
        .StatusBufferSize = offload.Header.Size - 4,
    };
    NdisMIndicateStatusEx(adapter->handle, &indication);
}

/* Takes the new settings and does not say that they apply. */
static BREAKS BOOLEAN offload_silent(struct adapter *adapter, PNDIS_OID_REQUEST request, NDIS_STATUS *status)
{
    if (request->RequestType != NdisRequestSetInformation ||
        request->DATA.SET_INFORMATION.Oid != OID_TCP_OFFLOAD_PARAMETERS) {
        return FALSE;
    }
    request->DATA.SET_INFORMATION.BytesRead = request->DATA.SET_INFORMATION.InformationBufferLength;
    *status = NDIS_STATUS_SUCCESS;
    return TRUE;
}

/* ---- large sends ---- */

static BREAKS BOOLEAN large_not_marked(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    complete_chain(adapter, chain, flags); /* the information is still the sender's */
    return TRUE;
}

static BOOLEAN complete_right(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    for (PNET_BUFFER_LIST list = chain; list; list = NET_BUFFER_LIST_NEXT_NBL(list)) {
        if (NET_BUFFER_LIST_INFO(list, TcpLargeSendNetBufferListInfo)) {
            NET_BUFFER_LIST_INFO(list, TcpLargeSendNetBufferListInfo) = (PVOID)(ULONG_PTR)NDIS_LSO_V2_TYPE;
        }
    }
    complete_chain(adapter, chain, flags);
    return TRUE;
}

/* ---- receives ---- */

static NDIS_HANDLE pool;
static PMDL unit_mdl;
/* 10.0.0.2:9 to 10.0.0.1:9, ACK, two segments of four bytes; the checksums are right. */
static UCHAR unit[40 + PAYLOAD] = {0x45, 0,    0,    sizeof(unit),
                                   0,    0,    0x40, 0,
                                   64,   6,    0x26, 0xc6,
                                   10,   0,    0,    2,
                                   10,   0,    0,    1,
                                   0,    9,    0,    9,
                                   0,    0,    0,    1,
                                   0,    0,    0,    1,
                                   0x50, 0x10, 1,    0,
                                   0,    0,    0,    0,
                                   1,    2,    3,    4,
                                   5,    6,    7,    8};

static USHORT sum_of(const UCHAR *data, ULONG bytes, ULONG sum)
{
    for (ULONG i = 0; i < bytes; i += 2) {
        sum += (ULONG)(data[i] << 8 | data[i + 1]);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (USHORT)~sum;
}

static VOID put(UCHAR *at, USHORT value)
{
    at[0] = (UCHAR)(value >> 8);
    at[1] = (UCHAR)value;
}

/* Indicates the unit; `wrong`: its TCP checksum is. */
static VOID indicate(struct adapter *adapter, ULONG marks, USHORT segments, USHORT duplicates, BOOLEAN wrong)
{
    NET_BUFFER_LIST_POOL_PARAMETERS parameters = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .ProtocolId = NDIS_PROTOCOL_ID_DEFAULT,
        .fAllocateNetBuffer = TRUE,
        .PoolTag = BREAKS_TAG,
    };
    NDIS_RSC_NBL_INFO info = {.Value = NULL};
    PNET_BUFFER_LIST list;

    put(unit + 10, 0);
    put(unit + 10, sum_of(unit, 20, 0));
    put(unit + TCP_CHECKSUM, 0);
    put(unit + TCP_CHECKSUM, sum_of(unit + 12, sizeof(unit) - 12, 6 + 20 + PAYLOAD));
    unit[TCP_CHECKSUM] ^= wrong;
    pool = NdisAllocateNetBufferListPool(adapter->handle, &parameters);
    unit_mdl = NdisAllocateMdl(adapter->handle, unit, sizeof(unit));
    list = NdisAllocateNetBufferAndNetBufferList(pool, 0, 0, unit_mdl, 0, sizeof(unit));
    list->SourceHandle = adapter->handle;
    info.Info.CoalescedSegCount = segments;
    info.Info.DupAckCount = duplicates;
    NET_BUFFER_LIST_INFO(list, NetBufferListProtocolId) = (PVOID)(ULONG_PTR)0x0008;
    NET_BUFFER_LIST_INFO(list, TcpIpChecksumNetBufferListInfo) = (PVOID)(ULONG_PTR)marks;
    NET_BUFFER_LIST_INFO(list, TcpRecvSegCoalesceInfo) = info.Value;
    NET_BUFFER_LIST_STATUS(list) = NDIS_STATUS_SUCCESS;
    NdisMIndicateReceiveNetBufferLists(adapter->handle, list, NDIS_DEFAULT_PORT_NUMBER, 1,
                                       NDIS_RECEIVE_FLAGS_RESOURCES);
    NdisFreeNetBufferList(list);
    NdisFreeMdl(unit_mdl);
    NdisFreeNetBufferListPool(pool);
}

static BREAKS BOOLEAN marks_not_enabled(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    indicate(adapter, NDIS_CHECKSUM_RECEIVE_UDP_CHECKSUM_SUCCEEDED, 0, 0, FALSE);
    return FALSE;
}

static BREAKS BOOLEAN marks_contradict(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    indicate(adapter, CHECKED | NDIS_CHECKSUM_RECEIVE_IP_CHECKSUM_FAILED, 0, 0, FALSE);
    return FALSE;
}

static BREAKS BOOLEAN unit_not_enabled(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    indicate(adapter, 0, 2, 0, FALSE);
    return FALSE;
}

static BREAKS BOOLEAN unit_of_none(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    indicate(adapter, CHECKED, 0, 3, FALSE);
    return FALSE;
}

static BREAKS BOOLEAN unit_wrong_count(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    indicate(adapter, CHECKED, PAYLOAD + 1, 0, FALSE);
    return FALSE;
}

static BREAKS BOOLEAN unit_not_checked(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    indicate(adapter, NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_SUCCEEDED, 2, 0, FALSE);
    return FALSE;
}

static BREAKS BOOLEAN unit_wrong_checksum(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    indicate(adapter, CHECKED, 2, 0, TRUE);
    return FALSE;
}

static BOOLEAN right_offload(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    indicate(adapter, CHECKED, 2, 0, FALSE);
    indicate(adapter, CHECKED | NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_VALUE_INVALID, 2, 1, TRUE);
    indicate(adapter, CHECKED, 0, 0, FALSE);
    return complete_right(adapter, chain, flags);
}

const struct rule_break offload_breaks[] = {
    {.name = "offload_revision", .initialize = offload_revision},
    {.name = "offload_no_size", .initialize = offload_no_size},
    {.name = "offload_encapsulation", .initialize = offload_encapsulation},
    {.name = "offload_beyond", .initialize = offload_beyond},
    {.name = "offload_cut_short", .initialize = announce_everything, .passive = offload_cut_short},
    {.name = "offload_silent", .initialize = announce_everything, .oid = offload_silent},
    {.name = "large_not_marked", .initialize = announce_everything, .send = large_not_marked},
    {.name = "marks_not_enabled", .initialize = announce_everything, .send = marks_not_enabled},
    {.name = "marks_contradict", .initialize = announce_everything, .send = marks_contradict},
    {.name = "unit_not_enabled", .send = unit_not_enabled},
    {.name = "unit_of_none", .initialize = announce_everything, .send = unit_of_none},
    {.name = "unit_wrong_count", .initialize = announce_everything, .send = unit_wrong_count},
    {.name = "unit_not_checked", .initialize = announce_everything, .send = unit_not_checked},
    {.name = "unit_wrong_checksum", .initialize = announce_everything, .send = unit_wrong_checksum},
    {.name = "right_offload", .initialize = announce_everything, .send = right_offload},
    {.name = NULL},
};
