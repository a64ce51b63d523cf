/*
 * The correct part: registers a miniport, brings an adapter up and down, completes what it is sent, answers
 * the object identifiers that are asked, and completes IRPs; a break (breaks.h) steps in where it wants to.
 */
#include "breaks.h"

#define MTU        65535
#define LINK_SPEED 1000000000ULL

static const struct rule_break *const tables[] = {pool_breaks, irql_breaks, lock_breaks,    object_breaks,
                                                  irp_breaks,  ndis_breaks, offload_breaks, wsk_breaks};
static const struct rule_break nothing = {.name = "none"};
static const struct rule_break *chosen = &nothing;
static PDRIVER_DISPATCH ndis_dispatch[IRP_MJ_MAXIMUM_FUNCTION + 1];

PDRIVER_OBJECT breaks_driver;
NDIS_HANDLE breaks_ndis;
ULONG (*volatile init_only_pointer)(ULONG value);

static NDIS_OID supported_oids[] = {OID_GEN_SUPPORTED_LIST, OID_GEN_CURRENT_PACKET_FILTER,
                                    OID_GEN_CURRENT_LOOKAHEAD, OID_GEN_MAXIMUM_TOTAL_SIZE};

NT_INIT_CODE ULONG init_only(ULONG value)
{
    return value * 3 + 1;
}

/* ---- help for the breaks ---- */

BREAKS NTSTATUS complete_irp(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

BREAKS VOID complete_chain(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    for (PNET_BUFFER_LIST list = chain; list; list = NET_BUFFER_LIST_NEXT_NBL(list)) {
        NET_BUFFER_LIST_STATUS(list) = NDIS_STATUS_SUCCESS;
    }
    NdisMSendNetBufferListsComplete(
        adapter->handle, chain,
        NDIS_TEST_SEND_AT_DISPATCH_LEVEL(flags) ? NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL : 0);
}

VOID sleep_ms(LONG ms)
{
    LARGE_INTEGER interval = {.QuadPart = -10000LL * ms};
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

NDIS_STATUS set_registration_attributes(struct adapter *adapter)
{
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES attributes;

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
    return NdisMSetMiniportAttributes(adapter->handle, &attributes);
}

NDIS_STATUS set_general_attributes(struct adapter *adapter)
{
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES attributes;
    NDIS_PM_CAPABILITIES power = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_PM_CAPABILITIES_REVISION_2,
                   NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2},
    };

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
        .SupportedPacketFilters =
            NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_ALL_MULTICAST | NDIS_PACKET_TYPE_BROADCAST,
        .AccessType = NET_IF_ACCESS_BROADCAST,
        .DirectionType = NET_IF_DIRECTION_SENDRECEIVE,
        .ConnectionType = NET_IF_CONNECTION_DEDICATED,
        .IfType = IF_TYPE_PROP_VIRTUAL,
        .SupportedPauseFunctions = NdisPauseFunctionsUnsupported,
        .SupportedOidList = supported_oids,
        .SupportedOidListLength = sizeof(supported_oids),
        .PowerManagementCapabilitiesEx = &power,
    };
    return NdisMSetMiniportAttributes(adapter->handle, &attributes);
}

/* ---- the miniport ---- */

static NDIS_STATUS NTAPI initialize(NDIS_HANDLE handle, NDIS_HANDLE context,
                                    PNDIS_MINIPORT_INIT_PARAMETERS parameters)
{
    struct adapter *adapter = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*adapter), BREAKS_TAG);
    NDIS_STATUS status;

    if (!adapter) {
        return NDIS_STATUS_RESOURCES;
    }
    RtlZeroMemory(adapter, sizeof(*adapter));
    adapter->handle = handle;
    if (chosen->initialize) {
        status = chosen->initialize(adapter);
    } else {
        status = set_registration_attributes(adapter);
        if (status == NDIS_STATUS_SUCCESS) {
            status = set_general_attributes(adapter);
        }
    }
    if (status != NDIS_STATUS_SUCCESS) {
        ExFreePoolWithTag(adapter, BREAKS_TAG);
    }
    return status;
}

static VOID NTAPI halt(NDIS_HANDLE context, NDIS_HALT_ACTION action)
{
    if (chosen->halt) {
        chosen->halt(context);
    }
    ExFreePoolWithTag(context, BREAKS_TAG);
}

static NDIS_STATUS NTAPI pause(NDIS_HANDLE context, PNDIS_MINIPORT_PAUSE_PARAMETERS parameters)
{
    struct adapter *adapter = context;
    __atomic_store_n(&adapter->running, FALSE, __ATOMIC_RELEASE);
    return chosen->pause ? chosen->pause(adapter) : NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS NTAPI restart(NDIS_HANDLE context, PNDIS_MINIPORT_RESTART_PARAMETERS parameters)
{
    struct adapter *adapter = context;
    __atomic_store_n(&adapter->running, TRUE, __ATOMIC_RELEASE);
    if (chosen->passive) {
        chosen->passive(adapter);
    }
    return chosen->restart ? chosen->restart(adapter) : NDIS_STATUS_SUCCESS;
}

static VOID NTAPI send(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port, ULONG flags)
{
    if (!chosen->send || !chosen->send(context, chain, flags)) {
        complete_chain(context, chain, flags);
    }
}

static VOID NTAPI return_lists(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    if (chosen->returned) {
        chosen->returned(context, chain);
    }
}

static VOID NTAPI cancel_send(NDIS_HANDLE context, PVOID cancel_id)
{
}

static NDIS_STATUS query(struct adapter *adapter, PNDIS_OID_REQUEST request)
{
    const void *answer = &adapter->packet_filter;
    ULONG number = MTU, length = sizeof(ULONG);

    switch (request->DATA.QUERY_INFORMATION.Oid) {
    case OID_GEN_SUPPORTED_LIST:
        answer = supported_oids;
        length = sizeof(supported_oids);
        break;
    case OID_GEN_CURRENT_PACKET_FILTER:
        break;
    case OID_GEN_MAXIMUM_TOTAL_SIZE:
        answer = &number;
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
    NDIS_STATUS status;

    if (chosen->oid && chosen->oid(context, request, &status)) {
        return status;
    }
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
    if (chosen->unload) {
        chosen->unload();
    }
    NdisMDeregisterMiniportDriver(breaks_ndis);
}

static NTSTATUS NTAPI dispatch(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);

    switch (stack->MajorFunction) {
    case IRP_MJ_CREATE:
    case IRP_MJ_CLEANUP:
    case IRP_MJ_CLOSE:
        return complete_irp(irp, STATUS_SUCCESS, 0);
    case IRP_MJ_DEVICE_CONTROL:
        if (chosen->control) {
            return chosen->control(device, irp);
        }
        return complete_irp(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    default:
        return ndis_dispatch[stack->MajorFunction](device, irp);
    }
}

/* ---- the entry ---- */

NT_INIT_CODE static BOOLEAN same_name(const char *name, const WCHAR *wide, ULONG length)
{
    for (; length && *name && (WCHAR)*name == *wide; name++, wide++, length--) {
    }
    return !*name && !length;
}

/* The last part of ...\Services\NAME. */
NT_INIT_CODE static BOOLEAN choose(PUNICODE_STRING path)
{
    ULONG end = path->Length / sizeof(WCHAR), begin = end;

    while (begin && path->Buffer[begin - 1] != u'\\') {
        begin--;
    }
    if (same_name(nothing.name, path->Buffer + begin, end - begin)) {
        return TRUE;
    }
    for (ULONG i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
        for (const struct rule_break *one = tables[i]; one->name; one++) {
            if (same_name(one->name, path->Buffer + begin, end - begin)) {
                chosen = one;
                return TRUE;
            }
        }
    }
    return FALSE;
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
    NTSTATUS status;

    if (!choose(RegistryPath)) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    breaks_driver = DriverObject;
    init_only_pointer = init_only;
    status = NdisMRegisterMiniportDriver(DriverObject, RegistryPath, NULL, &miniport, &breaks_ndis);
    if (NT_SUCCESS(status)) {
        for (ULONG i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++) {
            ndis_dispatch[i] = DriverObject->MajorFunction[i];
            DriverObject->MajorFunction[i] = dispatch;
        }
    }
    return status;
}
