/*
 * Breaks of the rules about NDIS: attributes, states, NET_BUFFER_LISTs, OID requests, link state.
 */
#include "breaks.h"

/* ---- attributes ---- */

static BREAKS NDIS_STATUS general_first(struct adapter *adapter)
{
    return set_general_attributes(adapter);
}

static BREAKS NDIS_STATUS registration_twice(struct adapter *adapter)
{
    set_registration_attributes(adapter);
    return set_registration_attributes(adapter);
}

static BREAKS NDIS_STATUS no_general(struct adapter *adapter)
{
    return set_registration_attributes(adapter);
}

static BREAKS NDIS_STATUS short_header(struct adapter *adapter)
{
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES attributes;
    RtlZeroMemory(&attributes, sizeof(attributes));
    attributes.RegistrationAttributes.Header =
        (NDIS_OBJECT_HEADER){NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
                             NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2, 8};
    return NdisMSetMiniportAttributes(adapter->handle, &attributes);
}

static BREAKS VOID attributes_late(struct adapter *adapter)
{
    set_general_attributes(adapter);
}

/* ---- states ---- */

static BREAKS VOID pause_complete_unasked(struct adapter *adapter)
{
    NdisMPauseComplete(adapter->handle);
}

static BREAKS VOID restart_complete_unasked(struct adapter *adapter)
{
    NdisMRestartComplete(adapter->handle, NDIS_STATUS_SUCCESS);
    NdisMRestartComplete(adapter->handle, NDIS_STATUS_SUCCESS);
}

static BREAKS NDIS_STATUS pause_fails(struct adapter *adapter)
{
    return NDIS_STATUS_FAILURE;
}

static BREAKS NDIS_STATUS pause_twice(struct adapter *adapter)
{
    NdisMPauseComplete(adapter->handle);
    return NDIS_STATUS_SUCCESS;
}

static BREAKS VOID not_a_handle(struct adapter *adapter)
{
    NdisMPauseComplete(adapter);
}

static NDIS_HANDLE halted_handle;

static VOID remember_handle(struct adapter *adapter)
{
    halted_handle = adapter->handle;
}

static VOID link_state(NDIS_HANDLE handle, BOOLEAN connected, PVOID buffer, ULONG length)
{
    NDIS_LINK_STATE state = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_LINK_STATE_REVISION_1, NDIS_SIZEOF_LINK_STATE_REVISION_1},
        .MediaConnectState = connected ? MediaConnectStateConnected : MediaConnectStateDisconnected,
    };
    NDIS_STATUS_INDICATION indication = {
        .Header = {NDIS_OBJECT_TYPE_STATUS_INDICATION, NDIS_STATUS_INDICATION_REVISION_1,
                   NDIS_SIZEOF_STATUS_INDICATION_REVISION_1},
        .SourceHandle = handle,
        .StatusCode = NDIS_STATUS_LINK_STATE,
        .StatusBuffer = buffer ? buffer : &state,
        .StatusBufferSize = buffer ? length : sizeof(state),
    };
    NdisMIndicateStatusEx(handle, &indication);
}

static BREAKS VOID after_halt(VOID)
{
    link_state(halted_handle, FALSE, NULL, 0);
}

static BREAKS VOID same_link_state(struct adapter *adapter)
{
    link_state(adapter->handle, FALSE, NULL, 0);
    link_state(adapter->handle, FALSE, NULL, 0);
}

static BREAKS VOID bad_link_state(struct adapter *adapter)
{
    ULONG nonsense = 1;
    link_state(adapter->handle, FALSE, &nonsense, sizeof(nonsense));
}

/* ---- sends ---- */

static PNET_BUFFER_LIST kept;

static BREAKS BOOLEAN complete_twice(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    NET_BUFFER_LIST_NEXT_NBL(chain) = NULL;
    complete_chain(adapter, chain, flags);
    NdisMSendNetBufferListsComplete(adapter->handle, chain, 0);
    return TRUE;
}

static BREAKS BOOLEAN use_after_completion(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    complete_chain(adapter, chain, flags);
    NET_BUFFER_LIST_STATUS(chain) = NDIS_STATUS_FAILURE;
    return TRUE;
}

static BREAKS BOOLEAN data_after_completion(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    PMDL mdl = NET_BUFFER_CURRENT_MDL(NET_BUFFER_LIST_FIRST_NB(chain));
    volatile UCHAR *data = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority);
    complete_chain(adapter, chain, flags);
    UCHAR byte = *data;
    keep(&byte);
    return TRUE;
}

static BREAKS BOOLEAN write_to_data(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    PNET_BUFFER buffer = NET_BUFFER_LIST_FIRST_NB(chain);
    PUCHAR data = MmGetSystemAddressForMdlSafe(NET_BUFFER_CURRENT_MDL(buffer), NormalPagePriority);
    data[NET_BUFFER_CURRENT_MDL_OFFSET(buffer)] ^= 0xff;
    complete_chain(adapter, chain, flags);
    return TRUE;
}

static BREAKS BOOLEAN advance_and_complete(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    NdisAdvanceNetBufferDataStart(NET_BUFFER_LIST_FIRST_NB(chain), 4, FALSE, NULL);
    complete_chain(adapter, chain, flags);
    return TRUE;
}

static BREAKS BOOLEAN dispatch_flag(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    if (KeGetCurrentIrql() != PASSIVE_LEVEL) {
        return FALSE;
    }
    NdisMSendNetBufferListsComplete(adapter->handle, chain, NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL);
    return TRUE;
}

static BREAKS BOOLEAN keep_first(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    if (kept) {
        return FALSE;
    }
    kept = chain;
    return TRUE;
}

static BREAKS NDIS_STATUS pause_with_kept(struct adapter *adapter)
{
    return NDIS_STATUS_SUCCESS;
}

/* ---- receives ---- */

static NDIS_HANDLE pool;
static PMDL packet_mdl;
static UCHAR packet[28] = {0x45, 0, 0,  28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0,
                           0,    2, 10, 0,  0, 1, 0, 9, 0,  9,  0, 8, 0,  0};

static PNET_BUFFER_LIST packet_make(struct adapter *adapter)
{
    NET_BUFFER_LIST_POOL_PARAMETERS parameters = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .ProtocolId = NDIS_PROTOCOL_ID_DEFAULT,
        .fAllocateNetBuffer = TRUE,
        .PoolTag = BREAKS_TAG,
    };
    PNET_BUFFER_LIST list;
    pool = NdisAllocateNetBufferListPool(adapter->handle, &parameters);
    packet_mdl = NdisAllocateMdl(adapter->handle, packet, sizeof(packet));
    list = NdisAllocateNetBufferAndNetBufferList(pool, 0, 0, packet_mdl, 0, sizeof(packet));
    list->SourceHandle = adapter->handle;
    NET_BUFFER_LIST_INFO(list, NetBufferListProtocolId) = (PVOID)(ULONG_PTR)0x0008;
    NET_BUFFER_LIST_STATUS(list) = NDIS_STATUS_SUCCESS;
    return list;
}

static VOID indicate(struct adapter *adapter, PNET_BUFFER_LIST list, ULONG flags)
{
    NdisMIndicateReceiveNetBufferLists(adapter->handle, list, NDIS_DEFAULT_PORT_NUMBER, 1, flags);
}

/* The restart handler has not returned: the stack may not be given anything yet, so another moment is needed.
 */
static BREAKS BOOLEAN indicate_parent(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    PNET_BUFFER_LIST list = packet_make(adapter);
    NET_BUFFER_LIST parent = {.Next = NULL};
    list->ParentNetBufferList = &parent;
    indicate(adapter, list, 0);
    return FALSE;
}

static BREAKS BOOLEAN indicate_without_source(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    PNET_BUFFER_LIST list = packet_make(adapter);
    list->SourceHandle = NULL;
    indicate(adapter, list, 0);
    return FALSE;
}

static BREAKS BOOLEAN indicate_wrong_count(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    NdisMIndicateReceiveNetBufferLists(adapter->handle, packet_make(adapter), NDIS_DEFAULT_PORT_NUMBER, 2, 0);
    return FALSE;
}

static BREAKS BOOLEAN indicate_flag(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    if (KeGetCurrentIrql() == PASSIVE_LEVEL) {
        indicate(adapter, packet_make(adapter), NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL);
    }
    return FALSE;
}

/* What is indicated with RESOURCES is the driver's again at once; without, it is the stack's: it is freed
 * here all the same. The host returns some late, so that one of a few is caught. */
static BREAKS BOOLEAN free_indicated(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    for (ULONG i = 0; i < 40; i++) {
        PNET_BUFFER_LIST list = packet_make(adapter);
        indicate(adapter, list, 0);
        NdisFreeNetBufferList(list);
    }
    return FALSE;
}

static BREAKS NDIS_STATUS indicate_paused(struct adapter *adapter)
{
    set_registration_attributes(adapter);
    indicate(adapter, packet_make(adapter), 0);
    return set_general_attributes(adapter);
}

static BREAKS VOID free_list_twice(struct adapter *adapter)
{
    PNET_BUFFER_LIST list = packet_make(adapter);
    NdisFreeNetBufferList(list);
    NdisFreeNetBufferList(list);
}

static BREAKS BOOLEAN complete_foreign(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    NdisMSendNetBufferListsComplete(adapter->handle, packet_make(adapter), 0);
    return FALSE;
}

/* ---- OID requests ---- */

static BREAKS BOOLEAN oid_too_much(struct adapter *adapter, PNDIS_OID_REQUEST request, NDIS_STATUS *status)
{
    if (request->RequestType != NdisRequestQueryInformation) {
        return FALSE;
    }
    request->DATA.QUERY_INFORMATION.BytesWritten =
        request->DATA.QUERY_INFORMATION.InformationBufferLength + 1;
    *status = NDIS_STATUS_SUCCESS;
    return TRUE;
}

static BREAKS BOOLEAN oid_needs_nothing(struct adapter *adapter, PNDIS_OID_REQUEST request,
                                        NDIS_STATUS *status)
{
    if (request->RequestType != NdisRequestQueryInformation) {
        return FALSE;
    }
    request->DATA.QUERY_INFORMATION.BytesNeeded = 0;
    *status = NDIS_STATUS_BUFFER_TOO_SHORT;
    return TRUE;
}

static BREAKS BOOLEAN oid_completed_twice(struct adapter *adapter, PNDIS_OID_REQUEST request,
                                          NDIS_STATUS *status)
{
    NdisMOidRequestComplete(adapter->handle, request, NDIS_STATUS_SUCCESS);
    NdisMOidRequestComplete(adapter->handle, request, NDIS_STATUS_SUCCESS);
    *status = NDIS_STATUS_PENDING;
    return TRUE;
}

static BREAKS BOOLEAN oid_all_good(struct adapter *adapter, PNDIS_OID_REQUEST request, NDIS_STATUS *status)
{
    *status = NDIS_STATUS_SUCCESS;
    return TRUE;
}

static BREAKS BOOLEAN oid_never(struct adapter *adapter, PNDIS_OID_REQUEST request, NDIS_STATUS *status)
{
    *status = NDIS_STATUS_PENDING;
    return TRUE;
}

const struct rule_break ndis_breaks[] = {
    {.name = "general_first", .initialize = general_first},
    {.name = "registration_twice", .initialize = registration_twice},
    {.name = "no_general", .initialize = no_general},
    {.name = "short_header", .initialize = short_header},
    {.name = "attributes_late", .passive = attributes_late},
    {.name = "pause_complete_unasked", .passive = pause_complete_unasked},
    {.name = "restart_complete_unasked", .passive = restart_complete_unasked},
    {.name = "pause_fails", .pause = pause_fails},
    {.name = "pause_twice", .pause = pause_twice},
    {.name = "not_a_handle", .passive = not_a_handle},
    {.name = "after_halt", .halt = remember_handle, .unload = after_halt},
    {.name = "same_link_state", .passive = same_link_state},
    {.name = "bad_link_state", .passive = bad_link_state},
    {.name = "complete_twice", .send = complete_twice},
    {.name = "use_after_completion", .send = use_after_completion},
    {.name = "data_after_completion", .send = data_after_completion},
    {.name = "write_to_data", .send = write_to_data},
    {.name = "advance_and_complete", .send = advance_and_complete},
    {.name = "dispatch_flag", .send = dispatch_flag},
    {.name = "pause_with_kept", .send = keep_first, .pause = pause_with_kept},
    {.name = "indicate_parent", .send = indicate_parent},
    {.name = "indicate_without_source", .send = indicate_without_source},
    {.name = "indicate_wrong_count", .send = indicate_wrong_count},
    {.name = "indicate_flag", .send = indicate_flag},
    {.name = "free_indicated", .send = free_indicated},
    {.name = "indicate_paused", .initialize = indicate_paused},
    {.name = "free_list_twice", .passive = free_list_twice},
    {.name = "complete_foreign", .send = complete_foreign},
    {.name = "oid_too_much", .oid = oid_too_much},
    {.name = "oid_needs_nothing", .oid = oid_needs_nothing},
    {.name = "oid_completed_twice", .oid = oid_completed_twice},
    {.name = "oid_all_good", .oid = oid_all_good},
    {.name = "oid_never", .oid = oid_never},
    {.name = NULL},
};
