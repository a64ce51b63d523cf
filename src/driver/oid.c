/* Attributes, OIDs, statistics and link state of the miniport (NDIS: "Miniport Adapter OID Requests"). */
#include "oid.h"
#include "driver.h"
#include "offload.h"
#include "state.h"
#include "version.h"

/* No medium limits us: the per-family MTU of the IP layer is what counts (route.c). */
#define MEDIA_MTU    0x7FFFFFA0u
#define LINK_SPEED   100000000000ull /* bits per second */
#define BUFFER_SPACE (64u * 1024 * 1024)
#define VENDOR_ID    0x00FFFFFFu /* no IEEE code */
#define VENDOR_TEXT  "Wyrm Tunnel"
#define SUPPORTED_FILTER                                                                                     \
    (NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_ALL_MULTICAST | NDIS_PACKET_TYPE_BROADCAST |               \
     NDIS_PACKET_TYPE_ALL_LOCAL | NDIS_PACKET_TYPE_ALL_FUNCTIONAL)

static const NDIS_OID supported_oids[] = {
    OID_GEN_MAXIMUM_TOTAL_SIZE,
    OID_GEN_CURRENT_LOOKAHEAD,
    OID_GEN_TRANSMIT_BUFFER_SPACE,
    OID_GEN_RECEIVE_BUFFER_SPACE,
    OID_GEN_TRANSMIT_BLOCK_SIZE,
    OID_GEN_RECEIVE_BLOCK_SIZE,
    OID_GEN_VENDOR_DESCRIPTION,
    OID_GEN_VENDOR_ID,
    OID_GEN_VENDOR_DRIVER_VERSION,
    OID_GEN_XMIT_OK,
    OID_GEN_RCV_OK,
    OID_GEN_CURRENT_PACKET_FILTER,
    OID_GEN_STATISTICS,
    OID_GEN_INTERRUPT_MODERATION,
    OID_GEN_LINK_PARAMETERS,
    OID_PNP_SET_POWER,
    OID_PNP_QUERY_POWER,
    OID_TCP_OFFLOAD_PARAMETERS,
    OID_TCP_RSC_STATISTICS,
    OID_OFFLOAD_ENCAPSULATION,
};

/* ---- attributes ---- */

static NDIS_STATUS set_registration(struct adapter *adapter)
{
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES attributes = {0};
    attributes.RegistrationAttributes = (NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES){
        .Header = {.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
                   .Revision = NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
                   .Size = NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2},
        .MiniportAdapterContext = adapter,
        .AttributeFlags =
            NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND | NDIS_MINIPORT_ATTRIBUTES_SURPRISE_REMOVE_OK,
        .InterfaceType = NdisInterfaceInternal,
    };
    return NdisMSetMiniportAttributes(adapter->miniport, &attributes);
}

#define STATISTICS_SUPPORTED                                                                                 \
    (NDIS_STATISTICS_DIRECTED_FRAMES_RCV_SUPPORTED | NDIS_STATISTICS_MULTICAST_FRAMES_RCV_SUPPORTED |        \
     NDIS_STATISTICS_BROADCAST_FRAMES_RCV_SUPPORTED | NDIS_STATISTICS_BYTES_RCV_SUPPORTED |                  \
     NDIS_STATISTICS_RCV_DISCARDS_SUPPORTED | NDIS_STATISTICS_RCV_ERROR_SUPPORTED |                          \
     NDIS_STATISTICS_DIRECTED_FRAMES_XMIT_SUPPORTED | NDIS_STATISTICS_MULTICAST_FRAMES_XMIT_SUPPORTED |      \
     NDIS_STATISTICS_BROADCAST_FRAMES_XMIT_SUPPORTED | NDIS_STATISTICS_BYTES_XMIT_SUPPORTED |                \
     NDIS_STATISTICS_XMIT_ERROR_SUPPORTED | NDIS_STATISTICS_XMIT_DISCARDS_SUPPORTED |                        \
     NDIS_STATISTICS_DIRECTED_BYTES_RCV_SUPPORTED | NDIS_STATISTICS_MULTICAST_BYTES_RCV_SUPPORTED |          \
     NDIS_STATISTICS_BROADCAST_BYTES_RCV_SUPPORTED | NDIS_STATISTICS_DIRECTED_BYTES_XMIT_SUPPORTED |         \
     NDIS_STATISTICS_MULTICAST_BYTES_XMIT_SUPPORTED | NDIS_STATISTICS_BROADCAST_BYTES_XMIT_SUPPORTED |       \
     NDIS_STATISTICS_XMIT_OK_SUPPORTED | NDIS_STATISTICS_RCV_OK_SUPPORTED |                                  \
     NDIS_STATISTICS_GEN_STATISTICS_SUPPORTED)

static NDIS_STATUS set_general(struct adapter *adapter)
{
    NDIS_PM_CAPABILITIES power = {
        .Header = {.Type = NDIS_OBJECT_TYPE_DEFAULT,
                   .Revision = NDIS_PM_CAPABILITIES_REVISION_2,
                   .Size = NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2},
        .MinMagicPacketWakeUp = NdisDeviceStateUnspecified,
        .MinPatternWakeUp = NdisDeviceStateUnspecified,
        .MinLinkChangeWakeUp = NdisDeviceStateUnspecified,
    };
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES attributes = {0};
    attributes.GeneralAttributes = (NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES){
        .Header = {.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
                   .Revision = NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
                   .Size = NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2},
        .MediaType = NdisMediumIP,
        .PhysicalMediumType = NdisPhysicalMediumUnspecified,
        .MtuSize = MEDIA_MTU,
        .MaxXmitLinkSpeed = LINK_SPEED,
        .XmitLinkSpeed = LINK_SPEED,
        .MaxRcvLinkSpeed = LINK_SPEED,
        .RcvLinkSpeed = LINK_SPEED,
        .MediaConnectState = MediaConnectStateDisconnected,
        .MediaDuplexState = MediaDuplexStateFull,
        .LookaheadSize = MEDIA_MTU,
        .MacOptions = NDIS_MAC_OPTION_TRANSFERS_NOT_PEND | NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA |
                      NDIS_MAC_OPTION_NO_LOOPBACK,
        .SupportedPacketFilters = SUPPORTED_FILTER,
        .AccessType = NET_IF_ACCESS_BROADCAST,
        .DirectionType = NET_IF_DIRECTION_SENDRECEIVE,
        .ConnectionType = NET_IF_CONNECTION_DEDICATED,
        .IfType = IF_TYPE_PROP_VIRTUAL,
        .IfConnectorPresent = FALSE,
        .SupportedStatistics = STATISTICS_SUPPORTED,
        .SupportedPauseFunctions = NdisPauseFunctionsUnsupported,
        .SupportedOidList = (PNDIS_OID)supported_oids,
        .SupportedOidListLength = sizeof(supported_oids),
        .AutoNegotiationFlags = NDIS_LINK_STATE_XMIT_LINK_SPEED_AUTO_NEGOTIATED |
                                NDIS_LINK_STATE_RCV_LINK_SPEED_AUTO_NEGOTIATED |
                                NDIS_LINK_STATE_DUPLEX_AUTO_NEGOTIATED,
        .PowerManagementCapabilitiesEx = &power,
    };
    return NdisMSetMiniportAttributes(adapter->miniport, &attributes);
}

NDIS_STATUS oid_set_attributes(struct adapter *adapter)
{
    NDIS_STATUS status = set_registration(adapter);
    if (status == NDIS_STATUS_SUCCESS)
        status = set_general(adapter);
    if (status == NDIS_STATUS_SUCCESS)
        status = offload_set_attributes(adapter);
    return status;
}

/* ---- queries ---- */

static NDIS_STATUS answer(NDIS_OID_REQUEST *request, const void *value, uint32_t bytes)
{
    uint32_t room = request->DATA.QUERY_INFORMATION.InformationBufferLength;
    if (room < bytes) {
        request->DATA.QUERY_INFORMATION.BytesNeeded = bytes;
        request->DATA.QUERY_INFORMATION.BytesWritten = 0;
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    }
    __builtin_memcpy(request->DATA.QUERY_INFORMATION.InformationBuffer, value, bytes);
    request->DATA.QUERY_INFORMATION.BytesWritten = bytes;
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS answer_u32(NDIS_OID_REQUEST *request, uint32_t value)
{
    return answer(request, &value, sizeof(value));
}

/* Counters that may be asked for with 4 or 8 bytes. */
static NDIS_STATUS answer_counter(NDIS_OID_REQUEST *request, uint64_t value)
{
    if (request->DATA.QUERY_INFORMATION.InformationBufferLength >= sizeof(uint64_t))
        return answer(request, &value, sizeof(value));
    NDIS_STATUS status = answer_u32(request, (uint32_t)value);
    request->DATA.QUERY_INFORMATION.BytesNeeded = sizeof(uint64_t);
    return status;
}

static NDIS_STATUS answer_statistics(struct adapter *adapter, NDIS_OID_REQUEST *request)
{
    counters_sum sum;
    counters_read(adapter, &sum);
    NDIS_STATISTICS_INFO info = {
        .Header = {.Type = NDIS_OBJECT_TYPE_DEFAULT,
                   .Revision = NDIS_STATISTICS_INFO_REVISION_1,
                   .Size = NDIS_SIZEOF_STATISTICS_INFO_REVISION_1},
        .SupportedStatistics =
            NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_RCV |
            NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_RCV |
            NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_RCV | NDIS_STATISTICS_FLAGS_VALID_BYTES_RCV |
            NDIS_STATISTICS_FLAGS_VALID_RCV_DISCARDS | NDIS_STATISTICS_FLAGS_VALID_RCV_ERROR |
            NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_XMIT |
            NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_XMIT |
            NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_XMIT | NDIS_STATISTICS_FLAGS_VALID_BYTES_XMIT |
            NDIS_STATISTICS_FLAGS_VALID_XMIT_ERROR | NDIS_STATISTICS_FLAGS_VALID_XMIT_DISCARDS |
            NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_RCV | NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_RCV |
            NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_RCV |
            NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_XMIT |
            NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_XMIT |
            NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_XMIT,
        .ifInDiscards = sum.rx_discards,
        .ifInErrors = sum.rx_errors,
        .ifHCInOctets = sum.rx_bytes,
        .ifHCInUcastPkts = sum.rx_packets,
        .ifHCOutOctets = sum.tx_bytes,
        .ifHCOutUcastPkts = sum.tx_packets,
        .ifOutErrors = sum.tx_errors,
        .ifOutDiscards = sum.tx_discards,
        .ifHCInUcastOctets = sum.rx_bytes,
        .ifHCOutUcastOctets = sum.tx_bytes,
    };
    return answer(request, &info, NDIS_SIZEOF_STATISTICS_INFO_REVISION_1);
}

static NDIS_STATUS answer_coalescing(struct adapter *adapter, NDIS_OID_REQUEST *request)
{
    counters_sum sum;
    counters_read(adapter, &sum);
    NDIS_RSC_STATISTICS_INFO info = {
        .Header = {.Type = NDIS_OBJECT_TYPE_DEFAULT,
                   .Revision = NDIS_RSC_STATISTICS_REVISION_1,
                   .Size = NDIS_SIZEOF_RSC_STATISTICS_REVISION_1},
        .CoalescedPkts = sum.rsc_packets,
        .CoalescedOctets = sum.rsc_bytes,
        .CoalesceEvents = sum.rsc_units,
        .Aborts = sum.rsc_aborts,
    };
    return answer(request, &info, NDIS_SIZEOF_RSC_STATISTICS_REVISION_1);
}

static NDIS_STATUS answer_interrupt_moderation(NDIS_OID_REQUEST *request)
{
    NDIS_INTERRUPT_MODERATION_PARAMETERS moderation = {
        .Header = {.Type = NDIS_OBJECT_TYPE_DEFAULT,
                   .Revision = NDIS_INTERRUPT_MODERATION_PARAMETERS_REVISION_1,
                   .Size = NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1},
        .InterruptModeration = NdisInterruptModerationNotSupported,
    };
    return answer(request, &moderation, NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1);
}

static NDIS_STATUS query(struct adapter *adapter, NDIS_OID_REQUEST *request)
{
    counters_sum sum;
    switch (request->DATA.QUERY_INFORMATION.Oid) {
    case OID_GEN_MAXIMUM_TOTAL_SIZE:
    case OID_GEN_TRANSMIT_BLOCK_SIZE:
    case OID_GEN_RECEIVE_BLOCK_SIZE:
        return answer_u32(request, MEDIA_MTU);
    case OID_GEN_TRANSMIT_BUFFER_SPACE:
    case OID_GEN_RECEIVE_BUFFER_SPACE:
        return answer_u32(request, BUFFER_SPACE);
    case OID_GEN_VENDOR_ID:
        return answer_u32(request, VENDOR_ID);
    case OID_GEN_VENDOR_DESCRIPTION:
        return answer(request, VENDOR_TEXT, sizeof(VENDOR_TEXT));
    case OID_GEN_VENDOR_DRIVER_VERSION:
        return answer_u32(request, WYRM_VERSION_MAJOR << 16 | WYRM_VERSION_MINOR);
    case OID_GEN_XMIT_OK:
        counters_read(adapter, &sum);
        return answer_counter(request, sum.tx_packets);
    case OID_GEN_RCV_OK:
        counters_read(adapter, &sum);
        return answer_counter(request, sum.rx_packets);
    case OID_GEN_STATISTICS:
        return answer_statistics(adapter, request);
    case OID_GEN_INTERRUPT_MODERATION:
        return answer_interrupt_moderation(request);
    case OID_TCP_RSC_STATISTICS:
        return answer_coalescing(adapter, request);
    case OID_PNP_QUERY_POWER:
        request->DATA.QUERY_INFORMATION.BytesWritten = 0;
        return NDIS_STATUS_SUCCESS;
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
}

/* ---- sets ---- */

static NDIS_STATUS take_u32(NDIS_OID_REQUEST *request, uint32_t *value)
{
    if (request->DATA.SET_INFORMATION.InformationBufferLength != sizeof(*value)) {
        request->DATA.SET_INFORMATION.BytesNeeded = sizeof(*value);
        request->DATA.SET_INFORMATION.BytesRead = 0;
        return NDIS_STATUS_INVALID_LENGTH;
    }
    __builtin_memcpy(value, request->DATA.SET_INFORMATION.InformationBuffer, sizeof(*value));
    request->DATA.SET_INFORMATION.BytesRead = sizeof(*value);
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS set_power(struct adapter *adapter, NDIS_OID_REQUEST *request)
{
    uint32_t power;
    NDIS_STATUS status = take_u32(request, &power);
    if (status == NDIS_STATUS_SUCCESS && power == NdisDeviceStateD0)
        state_resumed(adapter);
    else if (status == NDIS_STATUS_SUCCESS)
        state_suspended(adapter);
    return status;
}

static NDIS_STATUS set(struct adapter *adapter, NDIS_OID_REQUEST *request)
{
    uint32_t ignored;
    switch (request->DATA.SET_INFORMATION.Oid) {
    case OID_GEN_CURRENT_PACKET_FILTER:
    case OID_GEN_CURRENT_LOOKAHEAD:
        return take_u32(request, &ignored);
    case OID_GEN_LINK_PARAMETERS:
        request->DATA.SET_INFORMATION.BytesRead = request->DATA.SET_INFORMATION.InformationBufferLength;
        return NDIS_STATUS_SUCCESS;
    case OID_GEN_INTERRUPT_MODERATION:
        return NDIS_STATUS_INVALID_DATA;
    case OID_PNP_SET_POWER:
        return set_power(adapter, request);
    case OID_TCP_OFFLOAD_PARAMETERS:
        return offload_set_parameters(adapter, request);
    case OID_OFFLOAD_ENCAPSULATION:
        return offload_set_encapsulation(adapter, request);
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
}

NDIS_STATUS oid_request(struct adapter *adapter, NDIS_OID_REQUEST *request)
{
    switch (request->RequestType) {
    case NdisRequestQueryInformation:
    case NdisRequestQueryStatistics:
        return query(adapter, request);
    case NdisRequestSetInformation:
        return set(adapter, request);
    case NdisRequestMethod:
        return NDIS_STATUS_INVALID_OID;
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
}

/* ---- link state ---- */

void oid_indicate_link(struct adapter *adapter, bool connected)
{
    NDIS_LINK_STATE link = {
        .Header = {.Type = NDIS_OBJECT_TYPE_DEFAULT,
                   .Revision = NDIS_LINK_STATE_REVISION_1,
                   .Size = NDIS_SIZEOF_LINK_STATE_REVISION_1},
        .MediaConnectState = connected ? MediaConnectStateConnected : MediaConnectStateDisconnected,
        .MediaDuplexState = MediaDuplexStateFull,
        .XmitLinkSpeed = LINK_SPEED,
        .RcvLinkSpeed = LINK_SPEED,
        .PauseFunctions = NdisPauseFunctionsUnsupported,
    };
    NDIS_STATUS_INDICATION indication = {
        .Header = {.Type = NDIS_OBJECT_TYPE_STATUS_INDICATION,
                   .Revision = NDIS_STATUS_INDICATION_REVISION_1,
                   .Size = NDIS_SIZEOF_STATUS_INDICATION_REVISION_1},
        .SourceHandle = adapter->miniport,
        .StatusCode = NDIS_STATUS_LINK_STATE,
        .StatusBuffer = &link,
        .StatusBufferSize = NDIS_SIZEOF_LINK_STATE_REVISION_1,
    };
    NdisMIndicateStatusEx(adapter->miniport, &indication);
}
