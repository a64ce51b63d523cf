/*
 * The smallest complete NDIS 6 miniport: a layer 3 adapter that is always connected, completes every packet
 * it is given and receives none.  It proves the tool chain and nthost's adapter life cycle without any
 * protocol.
 */
#include <nt/ndis.h>
#include <nt/rtl.h>

#define POOL_TAG   0x696e694du /* "Mini" */
#define MTU        65535
#define LINK_SPEED 1000000000ULL
#define VENDOR_ID  0x00FFFFFFu
#define NBL_SUPPORTS                                                                                         \
    (NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_XMIT | NDIS_STATISTICS_FLAGS_VALID_BYTES_XMIT)

enum adapter_state { ADAPTER_PAUSED, ADAPTER_RUNNING };

struct adapter {
    NDIS_HANDLE handle;
    ULONG packet_filter;
    enum adapter_state state;
    uint64_t packets_out;
    uint64_t bytes_out;
};

static NDIS_HANDLE driver_handle;

static NDIS_OID supported_oids[] = {
    OID_GEN_SUPPORTED_LIST,
    OID_GEN_HARDWARE_STATUS,
    OID_GEN_TRANSMIT_BUFFER_SPACE,
    OID_GEN_VENDOR_ID,
    OID_GEN_VENDOR_DRIVER_VERSION,
    OID_GEN_CURRENT_PACKET_FILTER,
    OID_GEN_STATISTICS,
    OID_GEN_XMIT_OK,
    OID_GEN_MAXIMUM_TOTAL_SIZE,
    OID_GEN_VENDOR_DESCRIPTION,
    OID_GEN_CURRENT_LOOKAHEAD,
};

static NDIS_STATUS NTAPI initialize(NDIS_HANDLE handle, NDIS_HANDLE driver_context,
                                    PNDIS_MINIPORT_INIT_PARAMETERS parameters)
{
    struct adapter *adapter = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*adapter), POOL_TAG);
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES attributes;
    NDIS_PM_CAPABILITIES power = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_PM_CAPABILITIES_REVISION_2,
                   NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2},
    };
    NDIS_STATUS status;

    if (!adapter) {
        return NDIS_STATUS_RESOURCES;
    }
    RtlZeroMemory(adapter, sizeof(*adapter));
    adapter->handle = handle;
    adapter->state = ADAPTER_PAUSED;

    RtlZeroMemory(&attributes, sizeof(attributes));
    attributes.RegistrationAttributes = (NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES){
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
                   NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
                   NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2},
        .MiniportAdapterContext = adapter,
        .AttributeFlags =
            NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND | NDIS_MINIPORT_ATTRIBUTES_SURPRISE_REMOVE_OK,
        .InterfaceType = NdisInterfaceInternal,
    };
    status = NdisMSetMiniportAttributes(handle, &attributes);
    if (status != NDIS_STATUS_SUCCESS) {
        goto free_adapter;
    }

    RtlZeroMemory(&attributes, sizeof(attributes));
    attributes.GeneralAttributes = (NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES){
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
                   NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
                   NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2},
        .MediaType = NdisMediumIP,
        .PhysicalMediumType = NdisPhysicalMediumUnspecified,
        .MtuSize = MTU,
        .MaxXmitLinkSpeed = LINK_SPEED,
        .XmitLinkSpeed = LINK_SPEED,
        .MaxRcvLinkSpeed = LINK_SPEED,
        .RcvLinkSpeed = LINK_SPEED,
        .MediaConnectState = MediaConnectStateConnected,
        .MediaDuplexState = MediaDuplexStateFull,
        .LookaheadSize = MTU,
        .MacOptions = NDIS_MAC_OPTION_TRANSFERS_NOT_PEND | NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA |
                      NDIS_MAC_OPTION_NO_LOOPBACK,
        .SupportedPacketFilters =
            NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_ALL_MULTICAST | NDIS_PACKET_TYPE_BROADCAST,
        .AccessType = NET_IF_ACCESS_BROADCAST,
        .DirectionType = NET_IF_DIRECTION_SENDRECEIVE,
        .ConnectionType = NET_IF_CONNECTION_DEDICATED,
        .IfType = IF_TYPE_PROP_VIRTUAL,
        .SupportedStatistics =
            NDIS_STATISTICS_DIRECTED_FRAMES_XMIT_SUPPORTED | NDIS_STATISTICS_BYTES_XMIT_SUPPORTED,
        .SupportedPauseFunctions = NdisPauseFunctionsUnsupported,
        .SupportedOidList = supported_oids,
        .SupportedOidListLength = sizeof(supported_oids),
        .PowerManagementCapabilitiesEx = &power,
    };
    status = NdisMSetMiniportAttributes(handle, &attributes);
    if (status != NDIS_STATUS_SUCCESS) {
        goto free_adapter;
    }
    return NDIS_STATUS_SUCCESS;

free_adapter:
    ExFreePoolWithTag(adapter, POOL_TAG);
    return status;
}

static VOID NTAPI halt(NDIS_HANDLE context, NDIS_HALT_ACTION action)
{
    ExFreePoolWithTag(context, POOL_TAG);
}

static NDIS_STATUS NTAPI pause(NDIS_HANDLE context, PNDIS_MINIPORT_PAUSE_PARAMETERS parameters)
{
    struct adapter *adapter = context;
    __atomic_store_n(&adapter->state, ADAPTER_PAUSED, __ATOMIC_RELEASE);
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS NTAPI restart(NDIS_HANDLE context, PNDIS_MINIPORT_RESTART_PARAMETERS parameters)
{
    struct adapter *adapter = context;
    __atomic_store_n(&adapter->state, ADAPTER_RUNNING, __ATOMIC_RELEASE);
    return NDIS_STATUS_SUCCESS;
}

static VOID NTAPI send(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port, ULONG flags)
{
    struct adapter *adapter = context;
    BOOLEAN running = __atomic_load_n(&adapter->state, __ATOMIC_ACQUIRE) == ADAPTER_RUNNING;

    for (PNET_BUFFER_LIST list = chain; list; list = NET_BUFFER_LIST_NEXT_NBL(list)) {
        NET_BUFFER_LIST_STATUS(list) = running ? NDIS_STATUS_SUCCESS : NDIS_STATUS_PAUSED;
        for (PNET_BUFFER buffer = NET_BUFFER_LIST_FIRST_NB(list); running && buffer;
             buffer = NET_BUFFER_NEXT_NB(buffer)) {
            __atomic_fetch_add(&adapter->packets_out, 1, __ATOMIC_RELAXED);
            __atomic_fetch_add(&adapter->bytes_out, NET_BUFFER_DATA_LENGTH(buffer), __ATOMIC_RELAXED);
        }
    }
    NdisMSendNetBufferListsComplete(
        adapter->handle, chain,
        NDIS_TEST_SEND_AT_DISPATCH_LEVEL(flags) ? NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL : 0);
}

static VOID NTAPI return_lists(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    /* Nothing is ever indicated. */
}

static VOID NTAPI cancel_send(NDIS_HANDLE context, PVOID cancel_id)
{
}

static NDIS_STATUS query(struct adapter *adapter, PNDIS_OID_REQUEST request)
{
    static const char description[] = "Minimal test adapter";
    NDIS_STATISTICS_INFO statistics;
    const void *answer;
    ULONG number = 0, length = sizeof(number);

    answer = &number;
    switch (request->DATA.QUERY_INFORMATION.Oid) {
    case OID_GEN_SUPPORTED_LIST:
        answer = supported_oids;
        length = sizeof(supported_oids);
        break;
    case OID_GEN_HARDWARE_STATUS:
        number = NdisHardwareStatusReady;
        break;
    case OID_GEN_TRANSMIT_BUFFER_SPACE:
    case OID_GEN_MAXIMUM_TOTAL_SIZE:
        number = MTU;
        break;
    case OID_GEN_VENDOR_ID:
        number = VENDOR_ID;
        break;
    case OID_GEN_VENDOR_DRIVER_VERSION:
        number = 0x00010000;
        break;
    case OID_GEN_VENDOR_DESCRIPTION:
        answer = description;
        length = sizeof(description);
        break;
    case OID_GEN_CURRENT_PACKET_FILTER:
        number = adapter->packet_filter;
        break;
    case OID_GEN_XMIT_OK:
        number = (ULONG)adapter->packets_out;
        break;
    case OID_GEN_STATISTICS:
        RtlZeroMemory(&statistics, sizeof(statistics));
        statistics.Header = (NDIS_OBJECT_HEADER){NDIS_OBJECT_TYPE_DEFAULT, NDIS_STATISTICS_INFO_REVISION_1,
                                                 NDIS_SIZEOF_STATISTICS_INFO_REVISION_1};
        statistics.SupportedStatistics = NBL_SUPPORTS;
        statistics.ifHCOutUcastPkts = adapter->packets_out;
        statistics.ifHCOutOctets = adapter->bytes_out;
        answer = &statistics;
        length = sizeof(statistics);
        break;
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    if (request->DATA.QUERY_INFORMATION.InformationBufferLength < length) {
        request->DATA.QUERY_INFORMATION.BytesNeeded = length;
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    }
    RtlCopyMemory(request->DATA.QUERY_INFORMATION.InformationBuffer, answer, length);
    request->DATA.QUERY_INFORMATION.BytesWritten = length;
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS set(struct adapter *adapter, PNDIS_OID_REQUEST request)
{
    switch (request->DATA.SET_INFORMATION.Oid) {
    case OID_GEN_CURRENT_PACKET_FILTER:
    case OID_GEN_CURRENT_LOOKAHEAD:
        if (request->DATA.SET_INFORMATION.InformationBufferLength < sizeof(ULONG)) {
            request->DATA.SET_INFORMATION.BytesNeeded = sizeof(ULONG);
            return NDIS_STATUS_INVALID_LENGTH;
        }
        if (request->DATA.SET_INFORMATION.Oid == OID_GEN_CURRENT_PACKET_FILTER) {
            RtlCopyMemory(&adapter->packet_filter, request->DATA.SET_INFORMATION.InformationBuffer,
                          sizeof(ULONG));
        }
        request->DATA.SET_INFORMATION.BytesRead = sizeof(ULONG);
        return NDIS_STATUS_SUCCESS;
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
}

static NDIS_STATUS NTAPI oid_request(NDIS_HANDLE context, PNDIS_OID_REQUEST request)
{
    switch (request->RequestType) {
    case NdisRequestQueryInformation:
    case NdisRequestQueryStatistics:
        return query(context, request);
    case NdisRequestSetInformation:
        return set(context, request);
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
}

static VOID NTAPI cancel_oid_request(NDIS_HANDLE context, PVOID request_id)
{
}

static VOID NTAPI pnp_event(NDIS_HANDLE context, PNET_DEVICE_PNP_EVENT event)
{
}

static VOID NTAPI shutdown(NDIS_HANDLE context, NDIS_SHUTDOWN_ACTION action)
{
}

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
    NdisMDeregisterMiniportDriver(driver_handle);
}

DRIVER_INITIALIZE DriverEntry;

NT_INIT_CODE NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS miniport = {
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS,
                   NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2,
                   NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2},
        .MajorNdisVersion = 6,
        .MinorNdisVersion = 50,
        .MajorDriverVersion = 1,
        .InitializeHandlerEx = initialize,
        .HaltHandlerEx = halt,
        .UnloadHandler = unload,
        .PauseHandler = pause,
        .RestartHandler = restart,
        .OidRequestHandler = oid_request,
        .SendNetBufferListsHandler = send,
        .ReturnNetBufferListsHandler = return_lists,
        .CancelSendHandler = cancel_send,
        .DevicePnPEventNotifyHandler = pnp_event,
        .ShutdownHandlerEx = shutdown,
        .CancelOidRequestHandler = cancel_oid_request,
    };
    if (NdisGetVersion() < NDIS_RUNTIME_VERSION_650) {
        return NDIS_STATUS_UNSUPPORTED_REVISION;
    }
    return NdisMRegisterMiniportDriver(DriverObject, RegistryPath, NULL, &miniport, &driver_handle);
}
