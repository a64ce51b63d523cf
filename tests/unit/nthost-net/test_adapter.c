/* A whole adapter: a small miniport that reflects every packet (source and destination address exchanged), so
 * that real TCP and UDP of this machine run through software segmentation, the miniport and coalescing, and
 * back. */
#include "check.h"
#include "host.h"
#include "io/file.h"
#include "linux_side.h"
#include "ndis/adapter.h"
#include "nt/ndis.h"
#include "sched/sched.h"
#include "test_network.h"

#include <stdlib.h>

#define PACKET_BYTES 2048u

static DRIVER_OBJECT driver_object;
static DRIVER_DISPATCH *ndis_pnp; /* NDIS's own routine, before the miniport took its place */

static struct miniport {
    NDIS_HANDLE driver, adapter, pool;
    bool running, pend_pause, pend_oid, resources, skip_attributes;
    bool early_indication, double_completion, wrong_flags, wrong_protocol;
    uint32_t packets, lists, calls, returned, indicated;
    uint32_t largest_list;
    uint32_t queries, sets, filter;
    uint32_t initialized, halted, paused, restarted, removes, surprises;
    NDIS_HALT_ACTION halt_action;
    NET_IFINDEX ifindex;
    bool hold; /* keep what is sent, as a driver with a full queue does */
    NET_BUFFER_LIST *held;
    uint64_t held_bytes;
} mp;

static NDIS_STATUS set_attributes(NDIS_HANDLE adapter)
{
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES attributes = {0};
    static NDIS_OID oids[] = {OID_GEN_CURRENT_PACKET_FILTER, OID_GEN_CURRENT_LOOKAHEAD, OID_GEN_STATISTICS};
    NDIS_OFFLOAD offload = {
        /* what is reflected carries the sender's checksums, which are right */
        .Header = {NDIS_OBJECT_TYPE_OFFLOAD, NDIS_OFFLOAD_REVISION_1, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1},
        .Checksum.IPv4Receive = {NDIS_ENCAPSULATION_NULL, 0x3ff},
        .Checksum.IPv6Receive = {NDIS_ENCAPSULATION_NULL, 0xff}};
    NDIS_STATUS status;

    attributes.RegistrationAttributes = (NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES){
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
                   NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
                   NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2},
        .MiniportAdapterContext = &mp,
        .AttributeFlags = NDIS_MINIPORT_ATTRIBUTES_SURPRISE_REMOVE_OK,
        .InterfaceType = NdisInterfaceInternal,
    };
    status = NdisMSetMiniportAttributes(adapter, &attributes);
    if (status != NDIS_STATUS_SUCCESS)
        return status;
    memset(&attributes, 0, sizeof attributes);
    attributes.GeneralAttributes = (NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES){
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
                   NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
                   NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2},
        .MediaType = NdisMediumIP,
        .MtuSize = 1500,
        .MediaConnectState = MediaConnectStateDisconnected,
        .SupportedPacketFilters = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_BROADCAST,
        .IfType = IF_TYPE_PROP_VIRTUAL,
        .DataBackFillSize = 16,
        .SupportedOidList = oids,
        .SupportedOidListLength = sizeof oids,
    };
    status = NdisMSetMiniportAttributes(adapter, &attributes);
    if (status != NDIS_STATUS_SUCCESS)
        return status;
    memset(&attributes, 0, sizeof attributes);
    attributes.OffloadAttributes = (NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES){
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
                   NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
                   NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1},
        .DefaultOffloadConfiguration = &offload,
        .HardwareOffloadCapabilities = &offload,
    };
    return NdisMSetMiniportAttributes(adapter, &attributes);
}

static NDIS_STATUS NTAPI on_initialize(NDIS_HANDLE adapter, NDIS_HANDLE context,
                                       PNDIS_MINIPORT_INIT_PARAMETERS parameters)
{
    NET_BUFFER_LIST_POOL_PARAMETERS pool = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .fAllocateNetBuffer = TRUE,
        .PoolTag = 0x6f686345,
        .DataSize = PACKET_BYTES,
    };

    mp.initialized++;
    mp.adapter = adapter;
    mp.ifindex = parameters->IfIndex;
    CHECK(parameters->Header.Type == NDIS_OBJECT_TYPE_MINIPORT_INIT_PARAMETERS &&
          parameters->NetLuid.Value != 0);
    if (mp.skip_attributes)
        return NDIS_STATUS_FAILURE;
    CHECK(set_attributes(adapter) == NDIS_STATUS_SUCCESS);
    mp.pool = NdisAllocateNetBufferListPool(adapter, &pool);
    return mp.pool ? NDIS_STATUS_SUCCESS : NDIS_STATUS_RESOURCES;
}

static VOID NTAPI on_halt(NDIS_HANDLE context, NDIS_HALT_ACTION action)
{
    mp.halted++;
    mp.halt_action = action;
    NdisFreeNetBufferListPool(mp.pool);
}

static void indicate_link(bool up)
{
    NDIS_LINK_STATE state = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_LINK_STATE_REVISION_1, NDIS_SIZEOF_LINK_STATE_REVISION_1},
        .MediaConnectState = up ? MediaConnectStateConnected : MediaConnectStateDisconnected,
    };
    NDIS_STATUS_INDICATION indication = {
        .Header = {NDIS_OBJECT_TYPE_STATUS_INDICATION, NDIS_STATUS_INDICATION_REVISION_1,
                   NDIS_SIZEOF_STATUS_INDICATION_REVISION_1},
        .SourceHandle = mp.adapter,
        .StatusCode = NDIS_STATUS_LINK_STATE,
        .StatusBuffer = &state,
        .StatusBufferSize = sizeof state,
    };

    NdisMIndicateStatusEx(mp.adapter, &indication);
}

static void pause_later(void *unused)
{
    NdisMPauseComplete(mp.adapter);
}

static NDIS_STATUS NTAPI on_pause(NDIS_HANDLE context, PNDIS_MINIPORT_PAUSE_PARAMETERS parameters)
{
    mp.paused++;
    mp.running = false;
    while (__atomic_load_n(&mp.indicated, __ATOMIC_ACQUIRE) !=
           __atomic_load_n(&mp.returned, __ATOMIC_ACQUIRE))
        NdisMSleep(1000);
    if (!mp.pend_pause)
        return NDIS_STATUS_SUCCESS;
    loop_post(pause_later, NULL);
    return NDIS_STATUS_PENDING;
}

static NDIS_STATUS NTAPI on_restart(NDIS_HANDLE context, PNDIS_MINIPORT_RESTART_PARAMETERS parameters)
{
    mp.restarted++;
    mp.running = true;
    return NDIS_STATUS_SUCCESS;
}

static void oid_later(void *request)
{
    NdisMOidRequestComplete(mp.adapter, request, NDIS_STATUS_SUCCESS);
}

static NDIS_STATUS NTAPI on_oid(NDIS_HANDLE context, PNDIS_OID_REQUEST request)
{
    if (request->RequestType == NdisRequestSetInformation) {
        mp.sets++;
        if (request->DATA.SET_INFORMATION.Oid == OID_GEN_CURRENT_PACKET_FILTER) {
            memcpy(&mp.filter, request->DATA.SET_INFORMATION.InformationBuffer, sizeof mp.filter);
            request->DATA.SET_INFORMATION.BytesRead = sizeof mp.filter;
            return NDIS_STATUS_SUCCESS;
        }
        return request->DATA.SET_INFORMATION.Oid == OID_GEN_CURRENT_LOOKAHEAD ? NDIS_STATUS_SUCCESS
                                                                              : NDIS_STATUS_NOT_SUPPORTED;
    }
    mp.queries++;
    if (request->DATA.QUERY_INFORMATION.Oid != OID_GEN_VENDOR_ID)
        return NDIS_STATUS_NOT_SUPPORTED;
    if (request->DATA.QUERY_INFORMATION.InformationBufferLength < 4) {
        request->DATA.QUERY_INFORMATION.BytesNeeded = 4;
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    }
    memcpy(request->DATA.QUERY_INFORMATION.InformationBuffer, "\x12\x34\x56", 4);
    request->DATA.QUERY_INFORMATION.BytesWritten = 4;
    if (mp.pend_oid) {
        loop_post(oid_later, request);
        return NDIS_STATUS_PENDING;
    }
    return NDIS_STATUS_SUCCESS;
}

/* Copies one sent packet into an NBL of our own, addresses exchanged. */
static NET_BUFFER_LIST *reflect(NET_BUFFER *sent)
{
    NET_BUFFER_LIST *list = NdisAllocateNetBufferList(mp.pool, 0, 0);
    NET_BUFFER *buffer = list->FirstNetBuffer;
    uint8_t *out = MmGetSystemAddressForMdlSafe(buffer->MdlChain, NormalPagePriority), swap[16];
    uint8_t *in = NdisGetDataBuffer(sent, sent->DataLength, out, 1, 0);
    size_t bytes, at;

    if (in && in != out)
        memcpy(out, in, sent->DataLength);
    bytes = out[0] >> 4 == 4 ? 4 : 16;
    at = out[0] >> 4 == 4 ? 12 : 8;
    memcpy(swap, out + at, bytes);
    memcpy(out + at, out + at + bytes, bytes);
    memcpy(out + at + bytes, swap, bytes);
    buffer->DataLength = sent->DataLength;
    list->SourceHandle = mp.adapter;
    list->NetBufferListInfo[NetBufferListProtocolId] =
        (void *)(uintptr_t)((out[0] >> 4 == 4) != mp.wrong_protocol ? 0x0008 : 0xdd86);
    list->NetBufferListInfo[TcpIpChecksumNetBufferListInfo] =
        (void *)(uintptr_t)(NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_SUCCEEDED |
                            NDIS_CHECKSUM_RECEIVE_UDP_CHECKSUM_SUCCEEDED);
    return list;
}

static VOID NTAPI on_send(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port, ULONG flags)
{
    NET_BUFFER_LIST *first = NULL, **tail = &first;
    bool raised = flags & NDIS_SEND_FLAGS_DISPATCH_LEVEL;
    uint32_t count = 0;

    mp.calls++;
    if (mp.hold && chain) {
        NET_BUFFER_LIST *last = chain;

        for (NET_BUFFER_LIST *list = chain; list; last = list, list = list->Next)
            for (NET_BUFFER *buffer = list->FirstNetBuffer; buffer; buffer = buffer->Next)
                mp.held_bytes += buffer->DataLength;
        last->Next = mp.held;
        mp.held = chain;
        return;
    }
    for (NET_BUFFER_LIST *list = chain; list; list = list->Next) {
        uint32_t buffers = 0;

        mp.lists++;
        CHECK(list->ParentNetBufferList == NULL && list->SourceHandle != NULL && list->FirstNetBuffer);
        for (NET_BUFFER *buffer = list->FirstNetBuffer; buffer; buffer = buffer->Next, buffers++) {
            uint8_t storage[40], *header = NdisGetDataBuffer(buffer, 20, storage, 1, 0);
            uintptr_t protocol = (uintptr_t)list->NetBufferListInfo[NetBufferListProtocolId];

            if (!header || protocol != (header[0] >> 4 == 4 ? 0x0008 : 0xdd86) || buffer->DataOffset < 16)
                check_failed++;
            *tail = reflect(buffer);
            tail = &(*tail)->Next;
            count++;
        }
        list->Status = NDIS_STATUS_SUCCESS;
        if (buffers > mp.largest_list)
            mp.largest_list = buffers;
    }
    mp.packets += count;
    NdisMSendNetBufferListsComplete(mp.adapter, chain,
                                    (raised != mp.wrong_flags) ? NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL : 0);
    if (mp.double_completion)
        NdisMSendNetBufferListsComplete(mp.adapter, chain, 0);
    if (!first)
        return;
    if (mp.resources) {
        NdisMIndicateReceiveNetBufferLists(mp.adapter, first, 0, count,
                                           NDIS_RECEIVE_FLAGS_RESOURCES |
                                               (raised ? NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL : 0));
        while (first) {
            NET_BUFFER_LIST *next = first->Next;

            NdisFreeNetBufferList(first);
            first = next;
        }
        return;
    }
    __atomic_add_fetch(&mp.indicated, count, __ATOMIC_RELEASE);
    NdisMIndicateReceiveNetBufferLists(mp.adapter, first, 0, count,
                                       raised ? NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL : 0);
}

static VOID NTAPI on_return(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    uint32_t count = 0;

    while (chain) {
        NET_BUFFER_LIST *next = chain->Next;

        NdisFreeNetBufferList(chain);
        chain = next;
        count++;
    }
    __atomic_add_fetch(&mp.returned, count, __ATOMIC_RELEASE);
}

static VOID NTAPI on_cancel(NDIS_HANDLE context, PVOID id)
{
}

static VOID NTAPI on_pnp(NDIS_HANDLE context, PNET_DEVICE_PNP_EVENT event)
{
    mp.surprises += event->DevicePnPEvent == NdisDevicePnPEventSurpriseRemoved;
}

static VOID NTAPI on_shutdown(NDIS_HANDLE context, NDIS_SHUTDOWN_ACTION action)
{
}

/* Takes NDIS's place in the dispatch table and passes on. */
static NTSTATUS NTAPI own_pnp(PDEVICE_OBJECT device, PIRP irp)
{
    mp.removes += IoGetCurrentIrpStackLocation(irp)->MinorFunction == IRP_MN_REMOVE_DEVICE;
    return ndis_pnp(device, irp);
}

static bool register_miniport(void)
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

    memset(&mp, 0, sizeof mp);
    memset(&driver_object, 0, sizeof driver_object);
    driver_object.Type = IO_TYPE_DRIVER;
    driver_object.Size = sizeof driver_object;
    if (NdisMRegisterMiniportDriver(&driver_object, NULL, NULL, &c, &mp.driver) != NDIS_STATUS_SUCCESS)
        return false;
    ndis_pnp = driver_object.MajorFunction[IRP_MJ_PNP];
    driver_object.MajorFunction[IRP_MJ_PNP] = own_pnp;
    return true;
}

static struct ndis_adapter *make_adapter(void)
{
    struct ndis_adapter_options options = {.name = "echo0", .mtu = 1420};
    struct ndis_adapter *adapter = NULL;
    char error[256] = "";

    CHECK_MSG(ndis_adapter_create(&driver_object, &options, &adapter, error, sizeof error) == 0, "%s", error);
    return adapter;
}

static void configure_link(void)
{
    CHECK(side_command("ip addr add 10.7.0.1/24 dev echo0 && ip addr add fd07::1/64 dev echo0 nodad && "
                       "ip link set echo0 up"));
}

static void traffic(uint64_t bytes)
{
    uint16_t from, to;
    uint32_t calls, before;
    double seconds;
    int a, b;

    /* UDP: one segmented send becomes packets, and a run again. */
    for (unsigned family = 4; family <= 6; family += 2) {
        const char *own = family == 4 ? "10.7.0.1" : "fd07::1", *via = family == 4 ? "10.7.0.2" : "fd07::2";

        a = side_udp(own, &from, false);
        b = side_udp(own, &to, true);
        before = mp.packets;
        CHECK(side_udp_send_run(a, via, to, 1300, 45));
        CHECK_MSG(side_udp_receive_run(b, 1300, 45, 3000, &calls) == 45, "family %u", family);
        /* The kernel's own router solicitations and the like are among them. */
        CHECK_MSG(mp.packets - before >= 45 && mp.packets - before < 90, "%u packets", mp.packets - before);
        if (!host_options.verify)
            CHECK_MSG(calls < 10 && mp.largest_list >= 40, "%u calls, %u in a list", calls, mp.largest_list);
        CHECK(side_udp_send(a, via, to, "", 0)); /* empty datagram */
        CHECK(side_udp_receive(b, &calls, 4, 2000, NULL) == 0);
        side_close(a);
        side_close(b);
        CHECK_MSG(side_tcp(own, via, (uint16_t)(7000 + family), bytes, &seconds), "TCP, family %u", family);
    }
}

static bool packets_flow(void *context)
{
    return mp.packets > *(uint32_t *)context;
}

/* Sends that are not completed stop the reading of the TUN; completing them lets it go on. */
static void backpressure(void)
{
    uint16_t port, mark_port;
    int fd = side_udp("10.7.0.1", &port, false), mark = side_udp("10.7.0.1", &mark_port, false);
    uint32_t packets;
    uint64_t held;
    bool marked;

    mp.hold = true;
    for (unsigned i = 0; i < 60; i++) {
        side_udp_send_run(fd, "10.7.0.2", 9, 1200, 45);
        side_sleep_ms(1);
    }
    do {
        held = __atomic_load_n(&mp.held_bytes, __ATOMIC_ACQUIRE);
        side_sleep_ms(200);
    } while (held != __atomic_load_n(&mp.held_bytes, __ATOMIC_ACQUIRE));
    CHECK_MSG(held > 1500000 && held < 3000000, "%llu bytes of 3.2 MB reached the driver",
              (unsigned long long)held);
    packets = mp.packets;
    mp.hold = false;
    NdisMSendNetBufferListsComplete(mp.adapter, mp.held, 0);
    mp.held = NULL;
    side_udp_send_run(fd, "10.7.0.2", 9, 1200, 45);
    CHECK(side_wait(packets_flow, &packets, 2000));
    /* What had waited in the TUN's queue comes first: a mark behind it. */
    marked = false;
    for (unsigned i = 0; i < 60 && !marked; i++)
        marked = side_udp_send(fd, "10.7.0.2", mark_port, "m", 1) &&
                 side_udp_receive(mark, &held, sizeof held, 500, NULL) == 1;
    CHECK(marked);
    while (side_udp_receive(mark, &held, sizeof held, 100, NULL) >= 0)
        ;
    side_close(mark);
    side_close(fd);
}

static void lifecycle(struct ndis_adapter *adapter)
{
    uint32_t value = 0, bytes = 0, packets;
    uint16_t port;
    int fd;

    CHECK(strcmp(ndis_adapter_name(adapter), "echo0") == 0 && mp.ifindex == side_ifindex("echo0"));
    CHECK(mp.restarted == 1 && mp.queries > 0 &&
          mp.filter == (NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_BROADCAST));
    CHECK(ndis_adapter_oid(adapter, false, OID_GEN_VENDOR_ID, &value, 4, &bytes) == NDIS_STATUS_SUCCESS &&
          bytes == 4 && value == 0x563412);
    mp.pend_oid = true;
    CHECK(ndis_adapter_oid(adapter, false, OID_GEN_VENDOR_ID, &value, 4, &bytes) == NDIS_STATUS_SUCCESS &&
          bytes == 4);
    CHECK(ndis_adapter_oid(adapter, false, OID_GEN_VENDOR_ID, &value, 2, &bytes) ==
              NDIS_STATUS_BUFFER_TOO_SHORT &&
          bytes == 4);
    CHECK(ndis_adapter_oid(adapter, true, 0x12345, &value, 4, &bytes) == NDIS_STATUS_NOT_SUPPORTED);

    CHECK(!ndis_adapter_link_up(adapter));
    configure_link();
    CHECK(side_command("ip link show echo0 | grep -q NO-CARRIER"));
    indicate_link(true);
    CHECK(ndis_adapter_link_up(adapter) && side_command("ip link show echo0 | grep -q LOWER_UP"));
    traffic(host_options.verify ? 1000000 : 20000000);
    backpressure();

    /* Paused: nothing reaches the driver; then on again, pended and not. */
    CHECK(ndis_adapter_pause(adapter) == 0 && ndis_adapter_pause(adapter) == 0);
    packets = mp.packets;
    fd = side_udp("10.7.0.1", &port, false);
    CHECK(side_udp_send(fd, "10.7.0.2", 9, "x", 1));
    side_sleep_ms(30);
    CHECK(mp.packets == packets);
    CHECK(ndis_adapter_restart(adapter) == 0 && mp.restarted == 2);
    mp.pend_pause = true;
    CHECK(ndis_adapter_pause(adapter) == 0 && ndis_adapter_restart(adapter) == 0 && mp.paused == 2);
    side_close(fd);
    mp.resources = true; /* the driver keeps ownership of what it indicates */
    traffic(host_options.verify ? 300000 : 2000000);
    mp.resources = false;
    indicate_link(false);
    CHECK(!ndis_adapter_link_up(adapter));
    CHECK(io_pnp(ndis_adapter_device(adapter), IRP_MN_QUERY_REMOVE_DEVICE) == 0 &&
          io_pnp(ndis_adapter_device(adapter), IRP_MN_CANCEL_REMOVE_DEVICE) == 0);
    CHECK(mp.halted == 0);
}

void test_adapter(void)
{
    struct ndis_adapter_options options = {.name = "echo0"};
    struct ndis_adapter *adapter, *second;
    char error[256] = "";

    CHECK(ndis_adapter_create(&driver_object, &options, &adapter, error, sizeof error) < 0 && error[0]);
    CHECK(register_miniport());
    mp.skip_attributes = true;
    CHECK(ndis_adapter_create(&driver_object, &options, &adapter, error, sizeof error) < 0 &&
          adapter == NULL);
    CHECK(strstr(error, "0xc0000001") != NULL && side_ifindex("echo0") == 0);
    mp.skip_attributes = false;
    adapter = make_adapter();
    CHECK(ndis_adapter_create(&driver_object, &options, &second, error, sizeof error) < 0 &&
          strstr(error, "echo0"));
    if (adapter) {
        lifecycle(adapter);
        ndis_adapter_destroy(adapter);
        CHECK(mp.halted == 1 && mp.removes == 1 && mp.halt_action == NdisHaltDeviceInstanceDeInitialized);
        CHECK(mp.filter == 0 && side_ifindex("echo0") == 0);
        CHECK(mp.indicated == mp.returned);
    }
    adapter = make_adapter();
    if (adapter) {
        ndis_adapter_surprise_remove(adapter);
        ndis_adapter_destroy(adapter);
        CHECK(mp.surprises == 1 && mp.halt_action == NdisHaltDeviceSurpriseRemoved);
    }
    NdisMDeregisterMiniportDriver(mp.driver);
    CHECK(host_count_read(HOST_NBL_SENT).now == 0 && host_count_read(HOST_NBL_INDICATED).now == 0 &&
          host_count_read(HOST_DEVICE).now == 0);
    if (host_options.verify) {
        CHECK(side_again("rule ndis-double-completion", 70, "nbl-completed-twice"));
        CHECK(side_again("rule ndis-flags", 70, "ndis-flags"));
        CHECK(side_again("rule ndis-protocol", 70, "nbl-fields"));
        CHECK(side_again("rule ndis-link", 70, "link-state"));
        CHECK(side_again("rule ndis-paused-indication", 70, "ndis-state"));
        CHECK(side_again("rule ndis-early-deregister", 70, "ndis-state"));
        CHECK(side_again("rule ndis-attributes", 70, "ndis-attributes"));
        CHECK(side_again("rule ndis-after-halt", 70, "ndis-after-halt"));
        CHECK(side_again("rule ndis-list-twice", 70, "nbl-not-owned"));
    }
    checks_hand_over();
}

static NET_BUFFER_LIST *own_list(void)
{
    static uint8_t packet[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 7, 0, 2, 10, 7, 0, 1};
    MDL *mdl = NdisAllocateMdl(NULL, packet, sizeof packet);
    NET_BUFFER sent = {.DataLength = sizeof packet, .CurrentMdl = mdl, .MdlChain = mdl};

    return reflect(&sent);
}

void break_adapter_rule(const char *rule)
{
    struct ndis_adapter *adapter;
    uint16_t port;
    int fd;

    if (!register_miniport())
        return;
    adapter = make_adapter();
    configure_link();
    mp.double_completion = strcmp(rule, "ndis-double-completion") == 0;
    mp.wrong_flags = strcmp(rule, "ndis-flags") == 0;
    mp.wrong_protocol = strcmp(rule, "ndis-protocol") == 0;
    indicate_link(true);
    if (strcmp(rule, "ndis-link") == 0)
        indicate_link(true);
    if (strcmp(rule, "ndis-paused-indication") == 0) {
        ndis_adapter_pause(adapter);
        NdisMIndicateReceiveNetBufferLists(mp.adapter, own_list(), 0, 1, 0);
    }
    if (strcmp(rule, "ndis-early-deregister") == 0)
        NdisMDeregisterMiniportDriver(mp.driver);
    if (strcmp(rule, "ndis-attributes") == 0)
        set_attributes(mp.adapter);
    if (strcmp(rule, "ndis-list-twice") == 0) {
        NET_BUFFER_LIST *list = own_list();

        NdisFreeNetBufferList(list);
        NdisFreeNetBufferList(list);
    }
    if (strcmp(rule, "ndis-after-halt") == 0) {
        io_pnp(ndis_adapter_device(adapter), IRP_MN_REMOVE_DEVICE);
        indicate_link(false);
    }
    fd = side_udp("10.7.0.1", &port, false);
    for (unsigned i = 0; i < 40; i++) {
        side_udp_send(fd, "10.7.0.2", 9, "xyz", 3);
        side_sleep_ms(5);
    }
}

/* What the host itself costs: TCP through segmentation, a miniport that only copies, and coalescing. */
void measure(void)
{
    double seconds = 0;

    if (!register_miniport())
        return;
    struct ndis_adapter *adapter = make_adapter();

    configure_link();
    indicate_link(true);
    for (unsigned i = 0; i < 5; i++) {
        uint32_t packets = mp.packets, calls = mp.calls, lists = mp.lists;

        CHECK(side_tcp("10.7.0.1", "10.7.0.2", (uint16_t)(7100 + i), 500000000, &seconds));
        printf("TCP, every byte twice through the host: %.0f Mbit/s, %u packets in %u lists in %u calls\n",
               4000 / seconds, mp.packets - packets, mp.lists - lists, mp.calls - calls);
    }
    ndis_adapter_destroy(adapter);
    NdisMDeregisterMiniportDriver(mp.driver);
    checks_hand_over();
}
