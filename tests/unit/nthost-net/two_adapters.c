/* A miniport with state of its own for each adapter. */
#include "two_adapters.h"

#include "check.h"
#include "ndis/adapter.h"
#include "nt/ndis.h"

#include <stdio.h>
#include <stdlib.h>

#define PACKET_BYTES 2048u

struct port {
    NDIS_HANDLE adapter, pool;
    uint32_t number, indicated, returned;
    NET_IFINDEX ifindex;
    bool running;
};

struct two_port two_ports[2];
void (*two_during_send)(unsigned which), (*two_during_pause)(unsigned which);
static struct port ports[2];
static unsigned initialized;
static NDIS_HANDLE driver;
static DRIVER_OBJECT driver_object;

static NDIS_STATUS NTAPI on_initialize(NDIS_HANDLE adapter, NDIS_HANDLE context,
                                       PNDIS_MINIPORT_INIT_PARAMETERS parameters)
{
    struct port *port = &ports[initialized % 2];
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES attributes = {0};
    NET_BUFFER_LIST_POOL_PARAMETERS pool = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .fAllocateNetBuffer = TRUE,
        .PoolTag = 0x326f7754,
        .DataSize = PACKET_BYTES,
    };

    *port = (struct port){.adapter = adapter, .number = initialized++ % 2, .ifindex = parameters->IfIndex};
    attributes.RegistrationAttributes = (NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES){
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
                   NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
                   NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2},
        .MiniportAdapterContext = port,
        .InterfaceType = NdisInterfaceInternal,
    };
    if (NdisMSetMiniportAttributes(adapter, &attributes) != NDIS_STATUS_SUCCESS)
        return NDIS_STATUS_FAILURE;
    memset(&attributes, 0, sizeof attributes);
    attributes.GeneralAttributes = (NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES){
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
                   NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
                   NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2},
        .MediaType = NdisMediumIP,
        .MtuSize = 1400u + port->number,
        .MediaConnectState = MediaConnectStateConnected,
        .SupportedPacketFilters = NDIS_PACKET_TYPE_DIRECTED,
        .IfType = IF_TYPE_PROP_VIRTUAL,
    };
    if (NdisMSetMiniportAttributes(adapter, &attributes) != NDIS_STATUS_SUCCESS)
        return NDIS_STATUS_FAILURE;
    port->pool = NdisAllocateNetBufferListPool(adapter, &pool);
    return port->pool ? NDIS_STATUS_SUCCESS : NDIS_STATUS_RESOURCES;
}

static VOID NTAPI on_halt(NDIS_HANDLE context, NDIS_HALT_ACTION action)
{
    struct port *port = context;

    two_ports[port->number].halted++;
    NdisFreeNetBufferListPool(port->pool);
}

static NDIS_STATUS NTAPI on_pause(NDIS_HANDLE context, PNDIS_MINIPORT_PAUSE_PARAMETERS parameters)
{
    struct port *port = context;

    port->running = false;
    if (two_during_pause)
        two_during_pause(port->number);
    while (__atomic_load_n(&port->indicated, __ATOMIC_ACQUIRE) !=
           __atomic_load_n(&port->returned, __ATOMIC_ACQUIRE))
        NdisMSleep(1000);
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS NTAPI on_restart(NDIS_HANDLE context, PNDIS_MINIPORT_RESTART_PARAMETERS parameters)
{
    ((struct port *)context)->running = true;
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS NTAPI on_oid(NDIS_HANDLE context, PNDIS_OID_REQUEST request)
{
    struct port *port = context;

    if (request->RequestType == NdisRequestSetInformation)
        return NDIS_STATUS_NOT_SUPPORTED;
    two_ports[port->number].queries++;
    if (request->DATA.QUERY_INFORMATION.Oid != OID_GEN_VENDOR_ID)
        return NDIS_STATUS_NOT_SUPPORTED;
    memcpy(request->DATA.QUERY_INFORMATION.InformationBuffer, &port->number, 4);
    request->DATA.QUERY_INFORMATION.BytesWritten = 4;
    return NDIS_STATUS_SUCCESS;
}

/* A copy with the IPv4 addresses exchanged. */
static NET_BUFFER_LIST *reflect(const struct port *port, NET_BUFFER *sent)
{
    NET_BUFFER_LIST *list = NdisAllocateNetBufferList(port->pool, 0, 0);
    NET_BUFFER *buffer = list->FirstNetBuffer;
    uint8_t *out = MmGetSystemAddressForMdlSafe(buffer->MdlChain, NormalPagePriority), swap[4];
    uint8_t *in = NdisGetDataBuffer(sent, sent->DataLength, out, 1, 0);

    if (in && in != out)
        memcpy(out, in, sent->DataLength);
    if (out[16] == 10 && out[17] == 8) {
        two_ports[port->number].mine += out[18] == port->number;
        two_ports[port->number].foreign += out[18] != port->number;
    }
    memcpy(swap, out + 12, 4);
    memcpy(out + 12, out + 16, 4);
    memcpy(out + 16, swap, 4);
    buffer->DataLength = sent->DataLength;
    list->SourceHandle = port->adapter;
    list->NetBufferListInfo[NetBufferListProtocolId] = (void *)(uintptr_t)0x0008;
    return list;
}

static VOID NTAPI on_send(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER number, ULONG flags)
{
    struct port *port = context;
    NET_BUFFER_LIST *first = NULL, **tail = &first;
    bool raised = flags & NDIS_SEND_FLAGS_DISPATCH_LEVEL;
    uint32_t count = 0;

    CHECK(port->running);
    if (two_during_send)
        two_during_send(port->number);
    for (NET_BUFFER_LIST *list = chain; list; list = list->Next)
        for (NET_BUFFER *buffer = list->FirstNetBuffer; buffer; buffer = buffer->Next) {
            uint8_t storage[20], *header = NdisGetDataBuffer(buffer, 20, storage, 1, 0);

            if (!header || header[0] >> 4 != 4)
                continue; /* the system's own IPv6 */
            *tail = reflect(port, buffer);
            tail = &(*tail)->Next;
            count++;
        }
    NdisMSendNetBufferListsComplete(port->adapter, chain,
                                    raised ? NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL : 0);
    if (!first)
        return;
    __atomic_add_fetch(&port->indicated, count, __ATOMIC_RELEASE);
    NdisMIndicateReceiveNetBufferLists(port->adapter, first, 0, count,
                                       raised ? NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL : 0);
}

static VOID NTAPI on_return(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    struct port *port = context;

    for (NET_BUFFER_LIST *next; chain; chain = next) {
        next = chain->Next;
        NdisFreeNetBufferList(chain);
        __atomic_add_fetch(&port->returned, 1, __ATOMIC_RELEASE);
    }
}

static VOID NTAPI on_cancel(NDIS_HANDLE context, PVOID id)
{
}

static VOID NTAPI on_pnp(NDIS_HANDLE context, PNET_DEVICE_PNP_EVENT event)
{
}

static VOID NTAPI on_shutdown(NDIS_HANDLE context, NDIS_SHUTDOWN_ACTION action)
{
}

bool two_adapters_make(struct ndis_adapter *adapters[2])
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS c = {
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS,
                   NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2,
                   NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2},
        .MajorNdisVersion = 6,
        .MinorNdisVersion = 50,
        .InitializeHandlerEx = on_initialize,
        .HaltHandlerEx = on_halt,
        .PauseHandler = on_pause,
        .RestartHandler = on_restart,
        .OidRequestHandler = on_oid,
        .SendNetBufferListsHandler = on_send,
        .ReturnNetBufferListsHandler = on_return,
        .CancelSendHandler = on_cancel,
        .DevicePnPEventNotifyHandler = on_pnp,
        .ShutdownHandlerEx = on_shutdown,
    };

    memset(two_ports, 0, sizeof two_ports);
    memset(&driver_object, 0, sizeof driver_object);
    driver_object.Type = IO_TYPE_DRIVER;
    driver_object.Size = sizeof driver_object;
    if (NdisMRegisterMiniportDriver(&driver_object, NULL, NULL, &c, &driver) != NDIS_STATUS_SUCCESS)
        return false;
    for (unsigned i = 0; i < 2; i++) {
        char name[16], error[256] = "";
        struct ndis_adapter_options options = {.name = name};

        snprintf(name, sizeof name, "two%u", i);
        CHECK_MSG(ndis_adapter_create(&driver_object, &options, &adapters[i], error, sizeof error) == 0, "%s",
                  error);
        if (!adapters[i])
            return false;
    }
    return true;
}

void two_adapters_check(struct ndis_adapter *adapters[2])
{
    CHECK(ports[0].ifindex != ports[1].ifindex && ports[0].adapter != ports[1].adapter);
    CHECK(ndis_adapter_device(adapters[0]) != ndis_adapter_device(adapters[1]));
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t value = 99, bytes = 0, queries = two_ports[!i].queries;

        CHECK(ndis_adapter_media_mtu(ports[i].ifindex) == 1400 + i);
        CHECK(ndis_adapter_oid(adapters[i], false, OID_GEN_VENDOR_ID, &value, sizeof value, &bytes) ==
              NDIS_STATUS_SUCCESS);
        CHECK(value == i && two_ports[!i].queries == queries);
        CHECK(ndis_adapter_pause(adapters[i]) == NDIS_STATUS_SUCCESS);
        CHECK(!ports[i].running && ports[!i].running);
        CHECK(ndis_adapter_restart(adapters[i]) == NDIS_STATUS_SUCCESS && ports[i].running);
    }
}

void two_adapters_remove(struct ndis_adapter *adapter, unsigned which)
{
    uint32_t other = two_ports[!which].halted;

    ndis_adapter_destroy(adapter);
    CHECK(two_ports[which].halted == 1 && two_ports[!which].halted == other);
}

void two_adapters_end(void)
{
    NdisMDeregisterMiniportDriver(driver);
}
