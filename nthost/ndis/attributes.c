/* NdisMSetMiniportAttributes: which attributes, in which order, with which header per NDIS version. */
#include "ndis.h"
#include "verify/verify.h"

struct form { /* accepted header of one kind of attributes */
    uint8_t type;
    uint8_t highest_revision;
    uint16_t sizes[5];
    const char *name;
};

static const struct form forms[] = {
    {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
     2,
     {0, NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1,
      NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2},
     "registration"},
    {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
     2,
     {0, NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_1,
      NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2},
     "general"},
    {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
     1,
     {0, NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1},
     "offload"},
    {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES,
     4,
     {0, NDIS_SIZEOF_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_1,
      NDIS_SIZEOF_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_2,
      NDIS_SIZEOF_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_3,
      NDIS_SIZEOF_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_4},
     "hardware assist"},
};

static NDIS_STATUS refuse(const char *format, const char *name, const NDIS_OBJECT_HEADER *header)
{
    if (host_options.verify)
        verify_report(RULE_NDIS_ATTRIBUTES, format, name, header->Type, header->Revision, header->Size);
    host_warn(format, name, header->Type, header->Revision, header->Size);
    return NDIS_STATUS_INVALID_PARAMETER;
}

/* NDIS accepts a newer revision than it knows as the newest that it knows, but never a short structure. */
static NDIS_STATUS check_header(const NDIS_OBJECT_HEADER *header, const struct form *form)
{
    uint8_t revision = header->Revision > form->highest_revision ? form->highest_revision : header->Revision;

    if (revision == 0 || header->Size < form->sizes[revision])
        return refuse(
            "NdisMSetMiniportAttributes: %s attributes (type 0x%x) have an impossible header: revision %u, "
            "size %u",
            form->name, header);
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS set_general(struct ndis_adapter *adapter,
                               const NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *general)
{
    /* The host has an IP stack above and nothing for link layers. */
    if (general->MediaType != NdisMediumIP) {
        host_warn(
            "%s: the driver's medium is %d; only NdisMediumIP (%d), bare IP packets, can be served here",
            adapter->name, (int)general->MediaType, (int)NdisMediumIP);
        return NDIS_STATUS_UNSUPPORTED_MEDIA;
    }
    if (general->SupportedOidListLength % sizeof(NDIS_OID) ||
        (general->SupportedOidListLength && !general->SupportedOidList))
        return refuse("NdisMSetMiniportAttributes: %s attributes (type 0x%x, revision %u, size %u): "
                      "SupportedOidListLength is not that of an OID list",
                      "general", &general->Header);
    adapter->media_type = (uint32_t)general->MediaType;
    adapter->mtu_size = general->MtuSize;
    adapter->if_type = general->IfType;
    adapter->supported_filters = general->SupportedPacketFilters;
    adapter->data_backfill = general->DataBackFillSize;
    adapter->context_backfill = general->ContextBackFillSize;
    adapter->link_up = general->MediaConnectState == MediaConnectStateConnected;
    return NDIS_STATUS_SUCCESS;
}

NDIS_STATUS NTAPI NdisMSetMiniportAttributes(NDIS_HANDLE NdisMiniportHandle,
                                             PNDIS_MINIPORT_ADAPTER_ATTRIBUTES MiniportAttributes)
{
    struct ndis_adapter *adapter = adapter_from_handle(NdisMiniportHandle, "NdisMSetMiniportAttributes");
    const NDIS_OBJECT_HEADER *header = &MiniportAttributes->Header;
    const struct form *form = NULL;
    NDIS_STATUS status;
    unsigned kind = 0;

    if (!adapter)
        return NDIS_STATUS_INVALID_PARAMETER;
    for (unsigned i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i].type == header->Type) {
            form = &forms[i];
            kind = 1u << i;
        }
    if (!form)
        return refuse("NdisMSetMiniportAttributes: %s attributes: type 0x%x, revision %u, size %u", "unknown",
                      header);
    status = check_header(header, form);
    if (status != NDIS_STATUS_SUCCESS)
        return status;
    if (adapter->state != ADAPTER_INITIALIZING)
        return refuse(
            "NdisMSetMiniportAttributes: %s attributes (type 0x%x, revision %u, size %u) set outside "
            "MiniportInitializeEx",
            form->name, header);
    if (adapter->attributes & kind)
        return refuse("NdisMSetMiniportAttributes: %s attributes (type 0x%x, revision %u, size %u) set twice",
                      form->name, header);
    if (kind != ATTRIBUTES_REGISTRATION && !(adapter->attributes & ATTRIBUTES_REGISTRATION))
        return refuse(
            "NdisMSetMiniportAttributes: %s attributes (type 0x%x, revision %u, size %u) set before the "
            "registration attributes",
            form->name, header);
    if (kind == ATTRIBUTES_REGISTRATION) {
        adapter->context = MiniportAttributes->RegistrationAttributes.MiniportAdapterContext;
        adapter->attribute_flags = MiniportAttributes->RegistrationAttributes.AttributeFlags;
    } else if (kind == ATTRIBUTES_GENERAL) {
        status = set_general(adapter, &MiniportAttributes->GeneralAttributes);
        if (status != NDIS_STATUS_SUCCESS)
            return status;
    }
    if (kind == ATTRIBUTES_OFFLOAD)
        offload_attributes(adapter, &MiniportAttributes->OffloadAttributes);
    adapter->attributes |= kind;
    return NDIS_STATUS_SUCCESS;
}
