/* Task offloads with a miniport that does what it announces by code of its own: real TCP and UDP of this
 * machine go down as large sends and unfinished checksums, and come back as packets or as units of coalesced
 * segments. What it is given is judged field by field; what the receivers get must be what was sent, byte for
 * byte. */
#include "check.h"
#include "host.h"
#include "io/file.h"
#include "linux_side.h"
#include "ndis/adapter.h"
#include "nt/ndis.h"
#include "packets.h"
#include "sched/sched.h"
#include "test_network.h"

#define SUPPORTED(shift) ((uint32_t)NDIS_OFFLOAD_SUPPORTED << (shift))
#define TCP_BYTES        (host_options.verify ? 1500000u : 8000000u)

static DRIVER_OBJECT driver_object;

/* What the miniport announces. */
struct offer {
    const char *name;
    bool large, udp, checksums, tcp_options, coalesce;
    uint32_t large_max, packets_min;
    bool equal_only, contiguous; /* units in one piece, with right checksums; else in odd pieces */
    bool switched;               /* nothing at first, all of it by a status indication, then nothing again */
    uint8_t wrong_header;        /* 1: revision 0, 2: too short */
};

static struct {
    NDIS_HANDLE driver, adapter, pool;
    const struct offer *offer;
    NDIS_OFFLOAD now;
    uint32_t large, checksums, plain, units, cut_by_host, encapsulations;
    uint32_t longest, indicated, returned;
} mp;

/* ---- what it announces ---- */

static NDIS_OFFLOAD describe(const struct offer *offer)
{
    NDIS_OFFLOAD o = {
        .Header = {NDIS_OBJECT_TYPE_OFFLOAD, NDIS_OFFLOAD_REVISION_6, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_6}};
    uint32_t segments =
        offer->packets_min | (offer->equal_only ? 0 : NDIS_USO_IPV4_SUB_MSS_FINAL_SEGMENT_SUPPORTED);

    if (offer->large) {
        o.LsoV2.IPv4.Encapsulation = o.LsoV2.IPv6.Encapsulation = NDIS_ENCAPSULATION_NULL;
        o.LsoV2.IPv4.MaxOffLoadSize = o.LsoV2.IPv6.MaxOffLoadSize = offer->large_max;
        o.LsoV2.IPv4.MinSegmentCount = o.LsoV2.IPv6.MinSegmentCount = offer->packets_min;
        o.LsoV2.IPv6.Supported = SUPPORTED(NDIS_LSO_V2_IPV6_TCP_OPTIONS_SUPPORTED_SHIFT);
    }
    if (offer->udp) {
        o.UdpSegmentation.IPv4.Encapsulation = o.UdpSegmentation.IPv6.Encapsulation = NDIS_ENCAPSULATION_NULL;
        o.UdpSegmentation.IPv4.MaxOffLoadSize = o.UdpSegmentation.IPv6.MaxOffLoadSize = offer->large_max;
        o.UdpSegmentation.IPv4.Segments = o.UdpSegmentation.IPv6.Segments = segments;
    }
    if (offer->checksums) {
        o.Checksum.IPv4Transmit.Encapsulation = o.Checksum.IPv6Transmit.Encapsulation =
            NDIS_ENCAPSULATION_NULL;
        o.Checksum.IPv4Transmit.Supported = SUPPORTED(NDIS_CHECKSUM_IPV4_TRANSMIT_TCP_CHECKSUM_SHIFT) |
                                            SUPPORTED(NDIS_CHECKSUM_IPV4_TRANSMIT_UDP_CHECKSUM_SHIFT) |
                                            SUPPORTED(NDIS_CHECKSUM_IPV4_TRANSMIT_IP_CHECKSUM_SHIFT);
        o.Checksum.IPv6Transmit.Supported = SUPPORTED(NDIS_CHECKSUM_IPV6_TRANSMIT_TCP_CHECKSUM_SHIFT) |
                                            SUPPORTED(NDIS_CHECKSUM_IPV6_TRANSMIT_UDP_CHECKSUM_SHIFT);
        if (offer->tcp_options) {
            o.Checksum.IPv4Transmit.Supported |=
                SUPPORTED(NDIS_CHECKSUM_IPV4_TRANSMIT_TCP_OPTIONS_SUPPORTED_SHIFT);
            o.Checksum.IPv6Transmit.Supported |=
                SUPPORTED(NDIS_CHECKSUM_IPV6_TRANSMIT_TCP_OPTIONS_SUPPORTED_SHIFT);
        }
    }
    if (offer->coalesce) {
        o.Checksum.IPv4Receive.Encapsulation = o.Checksum.IPv6Receive.Encapsulation = NDIS_ENCAPSULATION_NULL;
        o.Checksum.IPv4Receive.Supported = SUPPORTED(NDIS_CHECKSUM_IPV4_RECEIVE_TCP_CHECKSUM_SHIFT) |
                                           SUPPORTED(NDIS_CHECKSUM_IPV4_RECEIVE_IP_CHECKSUM_SHIFT);
        o.Checksum.IPv6Receive.Supported = SUPPORTED(NDIS_CHECKSUM_IPV6_RECEIVE_TCP_CHECKSUM_SHIFT);
        o.Rsc.IPv4.Enabled = o.Rsc.IPv6.Enabled = TRUE;
    }
    return o;
}

static void announce_now(const NDIS_OFFLOAD *offload)
{
    NDIS_OFFLOAD copy = *offload;
    NDIS_STATUS_INDICATION indication = {
        .Header = {NDIS_OBJECT_TYPE_STATUS_INDICATION, NDIS_STATUS_INDICATION_REVISION_1,
                   NDIS_SIZEOF_STATUS_INDICATION_REVISION_1},
        .SourceHandle = mp.adapter,
        .StatusCode = NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG,
        .StatusBuffer = &copy,
        .StatusBufferSize = NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_6,
    };

    mp.now = copy;
    NdisMIndicateStatusEx(mp.adapter, &indication);
}

static NDIS_STATUS set_attributes(NDIS_HANDLE adapter)
{
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES attributes = {0};
    NDIS_OFFLOAD all = describe(mp.offer),
                 current = describe(mp.offer->switched ? &(struct offer){0} : mp.offer);
    NDIS_STATUS status;

    attributes.RegistrationAttributes = (NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES){
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
                   NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
                   NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2},
        .MiniportAdapterContext = &mp,
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
        .MtuSize = 1420,
        .MediaConnectState = MediaConnectStateConnected,
        .SupportedPacketFilters = NDIS_PACKET_TYPE_DIRECTED,
        .IfType = IF_TYPE_PROP_VIRTUAL,
    };
    status = NdisMSetMiniportAttributes(adapter, &attributes);
    if (status != NDIS_STATUS_SUCCESS)
        return status;
    mp.now = current;
    if (mp.offer->wrong_header == 1)
        current.Header.Revision = 0;
    else if (mp.offer->wrong_header == 2)
        current.Header.Size = NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_5;
    memset(&attributes, 0, sizeof attributes);
    attributes.OffloadAttributes = (NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES){
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
                   NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
                   NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1},
        .DefaultOffloadConfiguration = &current,
        .HardwareOffloadCapabilities = &all,
    };
    return NdisMSetMiniportAttributes(adapter, &attributes);
}

/* ---- its answers ---- */

static void exchange_addresses(uint8_t *packet)
{
    size_t bytes = packet[0] >> 4 == 4 ? 4 : 16, at = packet[0] >> 4 == 4 ? 12 : 8;
    uint8_t swap[16];

    memcpy(swap, packet + at, bytes);
    memcpy(packet + at, packet + at + bytes, bytes);
    memcpy(packet + at + bytes, swap, bytes);
}

/* Sets the lengths and checksums of a packet whose transport header begins at `ip`. */
static void complete(uint8_t *packet, uint32_t length, uint32_t ip)
{
    bool four = packet[0] >> 4 == 4, tcp = packet[four ? 9 : 6] == 6;
    uint8_t *field = packet + ip + (tcp ? 16 : 6);
    uint32_t sum;

    if (four) {
        w16(packet + 2, length);
        w16(packet + 10, 0);
        w16(packet + 10, ~naive_sum(0, packet, ip));
    } else {
        w16(packet + 4, length - 40);
    }
    if (!tcp)
        w16(packet + ip + 4, length - ip);
    w16(field, 0);
    sum = 0xffff & ~naive_sum(naive_pseudo(packet, tcp ? 6 : 17, length - ip), packet + ip, length - ip);
    w16(field, sum || tcp ? sum : 0xffff);
}

/* An NBL of our own around `memory`, which it owns, as a chain of MDLs with `piece` bytes each (0: one MDL),
 * the first with `head` bytes. */
static NET_BUFFER_LIST *list_around(uint8_t *memory, uint32_t length, uint32_t head, uint32_t piece)
{
    MDL *first = NULL, **tail = &first;
    NET_BUFFER_LIST *list;

    for (uint32_t at = 0; at < length;) {
        uint32_t take = piece == 0 ? length : at == 0 ? head : piece;

        if (take > length - at)
            take = length - at;
        *tail = NdisAllocateMdl(mp.adapter, memory + at, take);
        tail = &(*tail)->Next;
        at += take;
    }
    list = NdisAllocateNetBufferAndNetBufferList(mp.pool, 0, 0, first, 0, length);
    list->SourceHandle = mp.adapter;
    list->MiniportReserved[0] = memory;
    list->NetBufferListInfo[NetBufferListProtocolId] =
        (void *)(uintptr_t)(memory[0] >> 4 == 4 ? 0x0008 : 0xdd86);
    return list;
}

/* Cuts as an adapter would, by the documentation. */
static NET_BUFFER_LIST **cut(const uint8_t *packet, uint32_t length, uint32_t ip, uint32_t mss,
                             NET_BUFFER_LIST **tail)
{
    bool four = packet[0] >> 4 == 4, tcp = packet[four ? 9 : 6] == 6;
    uint32_t headers = ip + (tcp ? (packet[ip + 12] >> 4) * 4u : 8);

    for (uint32_t at = headers, index = 0; at < length; at += mss, index++) {
        uint32_t take = length - at < mss ? length - at : mss;
        uint8_t *out = malloc(headers + take);

        memcpy(out, packet, headers);
        memcpy(out + headers, packet + at, take);
        if (four)
            w16(out + 4, r16(packet + 4) + index);
        if (tcp) {
            w32(out + ip + 4, r32(packet + ip + 4) + at - headers);
            if (at + take < length)
                out[ip + 13] &= (uint8_t)~0x09; /* FIN, PSH */
            if (index)
                out[ip + 13] &= 0x7f; /* CWR */
        }
        complete(out, headers + take, ip);
        *tail = list_around(out, headers + take, 0, 0);
        tail = &(*tail)->Next;
    }
    return tail;
}

static NET_BUFFER_LIST *unit(uint8_t *packet, uint32_t length, uint32_t ip, uint32_t mss)
{
    bool four = packet[0] >> 4 == 4;
    uint32_t headers = ip + (packet[ip + 12] >> 4) * 4u;
    uint32_t marks = NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_SUCCEEDED;
    NDIS_RSC_NBL_INFO info = {.Info = {.CoalescedSegCount = (uint16_t)((length - headers + mss - 1) / mss)}};
    uint32_t heads[] = {headers, headers + mss, 13, headers + 5}, pieces[] = {mss, mss, 1999, 1024};
    unsigned shape = mp.units++ % 4;
    NET_BUFFER_LIST *list;

    complete(packet, length, ip);
    if (four)
        marks |= NDIS_CHECKSUM_RECEIVE_IP_CHECKSUM_SUCCEEDED;
    if (!mp.offer->contiguous || (length - headers) % mss) {
        w16(packet + ip + 16, 0x1234);
        marks |= NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_VALUE_INVALID;
    }
    list = mp.offer->contiguous ? list_around(packet, length, 0, 0)
                                : list_around(packet, length, heads[shape], pieces[shape]);
    list->NetBufferListInfo[TcpIpChecksumNetBufferListInfo] = (void *)(uintptr_t)marks;
    list->NetBufferListInfo[TcpRecvSegCoalesceInfo] = info.Value;
    return list;
}

/* ---- what it is given ---- */

/* Fields of a large send, as documented. */
static void check_large(const NET_BUFFER_LIST *list, const uint8_t *packet, uint32_t length, uint32_t ip,
                        uint32_t mss, bool tcp)
{
    bool four = packet[0] >> 4 == 4;
    const NET_BUFFER *buffer = list->FirstNetBuffer;
    uint32_t headers = ip + (tcp ? (packet[ip + 12] >> 4) * 4u : 8), payload = length - headers;
    uint32_t said = four ? r16(packet + 2) : r16(packet + 4), max, least;

    CHECK(!buffer->Next && payload > mss && mss > 0);
    CHECK(ip == (four ? (packet[0] & 15) * 4u : 40) && packet[four ? 9 : 6] == (tcp ? 6 : 17));
    CHECK(buffer->CurrentMdl->ByteCount - buffer->CurrentMdlOffset >= headers);
    CHECK_MSG(said == 0 || said == (four ? length : length - 40), "length %u in the header of %u", said,
              length);
    CHECK(r16(packet + ip + (tcp ? 16 : 6)) == naive_pseudo(packet, tcp ? 6 : 17, 0));
    CHECK(!tcp || !(packet[ip + 13] & 0x26)); /* SYN, RST, URG */
    CHECK(!four || !(r16(packet + 6) & 0x3fff));
    if (tcp) {
        max = four ? mp.now.LsoV2.IPv4.MaxOffLoadSize : mp.now.LsoV2.IPv6.MaxOffLoadSize;
        least = four ? mp.now.LsoV2.IPv4.MinSegmentCount : mp.now.LsoV2.IPv6.MinSegmentCount;
    } else {
        uint32_t segments =
            four ? mp.now.UdpSegmentation.IPv4.Segments : mp.now.UdpSegmentation.IPv6.Segments;

        max = four ? mp.now.UdpSegmentation.IPv4.MaxOffLoadSize : mp.now.UdpSegmentation.IPv6.MaxOffLoadSize;
        least = segments & NDIS_USO_IPV4_MIN_SEGMENT_COUNT;
        CHECK(segments & NDIS_USO_IPV4_SUB_MSS_FINAL_SEGMENT_SUPPORTED || payload % mss == 0);
    }
    CHECK_MSG(payload <= max && payload > mss * (least - 1), "%u bytes of payload, %u each, %u allowed",
              payload, mss, max);
    if (payload > mp.longest)
        mp.longest = payload;
    mp.large++;
}

/* Fills in what the checksum information asks for; everything else must be right already. */
static void fill_checksums(uint32_t word, uint8_t *packet, uint32_t length)
{
    bool four = packet[0] >> 4 == 4, tcp = word & NDIS_CHECKSUM_TRANSMIT_TCP_CHECKSUM;
    uint32_t ip =
        (word & NDIS_CHECKSUM_TRANSMIT_TCP_HEADER_OFFSET) >> NDIS_CHECKSUM_TRANSMIT_TCP_HEADER_OFFSET_SHIFT;

    CHECK(!(word & NDIS_CHECKSUM_TRANSMIT_IS_IPV4) == !four &&
          !(word & NDIS_CHECKSUM_TRANSMIT_IS_IPV6) == four);
    CHECK(mp.offer->checksums && mp.now.Checksum.IPv4Transmit.Encapsulation);
    if (tcp || word & NDIS_CHECKSUM_TRANSMIT_UDP_CHECKSUM) {
        CHECK(ip == (four ? (packet[0] & 15) * 4u : 40) && packet[four ? 9 : 6] == (tcp ? 6 : 17));
        CHECK(r16(packet + ip + (tcp ? 16 : 6)) == naive_pseudo(packet, tcp ? 6 : 17, length - ip));
        CHECK(!tcp || mp.offer->tcp_options || packet[ip + 12] >> 4 == 5);
        complete(packet, length, ip);
        mp.checksums++;
    } else if (four) {
        CHECK(word & NDIS_CHECKSUM_TRANSMIT_IP_HEADER_CHECKSUM && r16(packet + 10) == 0);
        w16(packet + 10, ~naive_sum(0, packet, (packet[0] & 15) * 4u));
    }
}

static NET_BUFFER_LIST **answer(NET_BUFFER_LIST *list, const NET_BUFFER *buffer, NET_BUFFER_LIST **tail)
{
    uint32_t large = (uint32_t)(uintptr_t)list->NetBufferListInfo[TcpLargeSendNetBufferListInfo];
    uint32_t udp = (uint32_t)(uintptr_t)list->NetBufferListInfo[UdpSegmentationOffloadInfo];
    uint32_t checksum = (uint32_t)(uintptr_t)list->NetBufferListInfo[TcpIpChecksumNetBufferListInfo];
    uint32_t length = buffer->DataLength, ip, mss;
    uint8_t *packet = malloc(length), *at = NdisGetDataBuffer((NET_BUFFER *)buffer, length, packet, 1, 0);

    if (at != packet)
        memcpy(packet, at, length);
    exchange_addresses(packet);
    if (large || udp) {
        mss = large ? large & NDIS_LSO_V2_MSS : udp & NDIS_USO_MSS;
        ip = large ? (large & NDIS_LSO_V2_TCP_HEADER_OFFSET) >> NDIS_LSO_V2_TCP_HEADER_OFFSET_SHIFT
                   : (udp & NDIS_USO_UDP_HEADER_OFFSET) >> NDIS_USO_UDP_HEADER_OFFSET_SHIFT;
        CHECK(!large || large & NDIS_LSO_V2_TYPE);
        CHECK(!((large ? large : udp) & 0x80000000u) == (packet[0] >> 4 == 4));
        CHECK(large ? mp.now.LsoV2.IPv4.Encapsulation : mp.now.UdpSegmentation.IPv4.Encapsulation);
        CHECK(!checksum);
        check_large(list, packet, length, ip, mss, large != 0);
        if (large)
            list->NetBufferListInfo[TcpLargeSendNetBufferListInfo] = (void *)(uintptr_t)NDIS_LSO_V2_TYPE;
        if (large && mp.now.Rsc.IPv4.Enabled) {
            *tail = unit(packet, length, ip, mss);
            return &(*tail)->Next;
        }
        tail = cut(packet, length, ip, mss, tail);
        free(packet);
        return tail;
    }
    if (checksum)
        fill_checksums(checksum, packet, length);
    else
        mp.plain++;
    *tail = list_around(packet, length, 0, 0);
    return &(*tail)->Next;
}

static VOID NTAPI on_send(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port, ULONG flags)
{
    NET_BUFFER_LIST *first = NULL, **tail = &first;
    bool raised = flags & NDIS_SEND_FLAGS_DISPATCH_LEVEL;
    uint32_t count = 0;

    for (NET_BUFFER_LIST *list = chain; list; list = list->Next) {
        mp.cut_by_host += list->FirstNetBuffer->Next != NULL;
        for (NET_BUFFER *buffer = list->FirstNetBuffer; buffer; buffer = buffer->Next)
            tail = answer(list, buffer, tail);
        list->Status = NDIS_STATUS_SUCCESS;
    }
    NdisMSendNetBufferListsComplete(mp.adapter, chain, raised ? NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL : 0);
    for (NET_BUFFER_LIST *list = first; list; list = list->Next)
        count++;
    __atomic_add_fetch(&mp.indicated, count, __ATOMIC_RELEASE);
    NdisMIndicateReceiveNetBufferLists(mp.adapter, first, 0, count,
                                       raised ? NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL : 0);
}

static VOID NTAPI on_return(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    for (NET_BUFFER_LIST *next; chain; chain = next) {
        next = chain->Next;
        free(chain->MiniportReserved[0]);
        for (MDL *mdl = chain->FirstNetBuffer->MdlChain, *after; mdl; mdl = after) {
            after = mdl->Next;
            NdisFreeMdl(mdl);
        }
        NdisFreeNetBufferList(chain);
        __atomic_add_fetch(&mp.returned, 1, __ATOMIC_RELEASE);
    }
}

/* ---- the rest of a miniport ---- */

static NDIS_STATUS NTAPI on_initialize(NDIS_HANDLE adapter, NDIS_HANDLE context,
                                       PNDIS_MINIPORT_INIT_PARAMETERS parameters)
{
    NET_BUFFER_LIST_POOL_PARAMETERS pool = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .fAllocateNetBuffer = TRUE,
        .PoolTag = 0x6f686345,
    };

    mp.adapter = adapter;
    CHECK(set_attributes(adapter) == NDIS_STATUS_SUCCESS);
    mp.pool = NdisAllocateNetBufferListPool(adapter, &pool);
    return mp.pool ? NDIS_STATUS_SUCCESS : NDIS_STATUS_RESOURCES;
}

static VOID NTAPI on_halt(NDIS_HANDLE context, NDIS_HALT_ACTION action)
{
    NdisFreeNetBufferListPool(mp.pool);
}

static NDIS_STATUS NTAPI on_pause(NDIS_HANDLE context, PNDIS_MINIPORT_PAUSE_PARAMETERS parameters)
{
    while (__atomic_load_n(&mp.indicated, __ATOMIC_ACQUIRE) !=
           __atomic_load_n(&mp.returned, __ATOMIC_ACQUIRE))
        NdisMSleep(1000);
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS NTAPI on_restart(NDIS_HANDLE context, PNDIS_MINIPORT_RESTART_PARAMETERS parameters)
{
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS NTAPI on_oid(NDIS_HANDLE context, PNDIS_OID_REQUEST request)
{
    const NDIS_OFFLOAD_ENCAPSULATION *wanted = request->DATA.SET_INFORMATION.InformationBuffer;

    if (request->RequestType != NdisRequestSetInformation)
        return NDIS_STATUS_NOT_SUPPORTED;
    if (request->DATA.SET_INFORMATION.Oid != OID_OFFLOAD_ENCAPSULATION)
        return request->DATA.SET_INFORMATION.Oid == OID_GEN_CURRENT_PACKET_FILTER ? NDIS_STATUS_SUCCESS
                                                                                  : NDIS_STATUS_NOT_SUPPORTED;
    CHECK(wanted->Header.Type == NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION &&
          wanted->IPv4.Enabled == NDIS_OFFLOAD_SET_ON &&
          wanted->IPv4.EncapsulationType == NDIS_ENCAPSULATION_NULL && wanted->IPv4.HeaderSize == 0 &&
          wanted->IPv6.Enabled == NDIS_OFFLOAD_SET_ON &&
          wanted->IPv6.EncapsulationType == NDIS_ENCAPSULATION_NULL && wanted->IPv6.HeaderSize == 0);
    mp.encapsulations++;
    return NDIS_STATUS_SUCCESS;
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

static bool register_miniport(void)
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS c = {
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS,
                   NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2,
                   NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2},
        .MajorNdisVersion = 6,
        .MinorNdisVersion = 83,
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

    memset(&driver_object, 0, sizeof driver_object);
    driver_object.Type = IO_TYPE_DRIVER;
    driver_object.Size = sizeof driver_object;
    return NdisMRegisterMiniportDriver(&driver_object, NULL, NULL, &c, &mp.driver) == NDIS_STATUS_SUCCESS;
}

/* ---- the tests ---- */

static void traffic(const char *name)
{
    for (unsigned family = 4; family <= 6; family += 2) {
        const char *own = family == 4 ? "10.9.0.1" : "fd09::1", *via = family == 4 ? "10.9.0.2" : "fd09::2";
        uint16_t from, to;
        uint32_t calls;
        double seconds;
        int a = side_udp(own, &from, false), b = side_udp(own, &to, true);

        for (unsigned run = 2; run <= 45; run += 43) {
            CHECK(side_udp_send_run(a, via, to, 1300, run));
            CHECK_MSG(side_udp_receive_run(b, 1300, run, 3000, &calls) == run,
                      "%s: UDP, family %u, %u datagrams", name, family, run);
        }
        for (unsigned i = 0; i < 20; i++)
            CHECK(side_udp_send_run(a, via, to, 700 + i, 1) &&
                  side_udp_receive_run(b, 700 + i, 1, 3000, &calls) == 1);
        side_close(a);
        side_close(b);
        CHECK_MSG(side_tcp(own, via, (uint16_t)(7200 + family), TCP_BYTES, &seconds), "%s: TCP, family %u",
                  name, family);
    }
}

static void run_offer(const struct offer *offer)
{
    struct ndis_adapter_options options = {.name = "echo1", .mtu = 1420};
    NDIS_OFFLOAD nothing = describe(&(struct offer){0}), all = describe(offer);
    bool valid = !offer->wrong_header, large = offer->large && valid;
    struct ndis_adapter *adapter = NULL;
    char error[256] = "";
    uint32_t before;

    memset(&mp, 0, sizeof mp);
    mp.offer = offer;
    if (!register_miniport())
        return;
    CHECK_MSG(ndis_adapter_create(&driver_object, &options, &adapter, error, sizeof error) == 0, "%s", error);
    CHECK(mp.encapsulations == 1);
    CHECK(side_command("ip addr add 10.9.0.1/24 dev echo1 && ip addr add fd09::1/64 dev echo1 nodad && "
                       "ip link set echo1 up"));
    traffic(offer->name);
    if (offer->switched) {
        CHECK(mp.large == 0 && mp.checksums == 0 && mp.units == 0);
        announce_now(&all);
        traffic("switched on");
    }
    CHECK_MSG((mp.large > 0) == large, "%s: %u large sends", offer->name, mp.large);
    CHECK_MSG((mp.units > 0) == (offer->coalesce && large), "%s: %u units", offer->name, mp.units);
    CHECK_MSG((mp.checksums > 0) == (offer->checksums && valid), "%s: %u checksums", offer->name,
              mp.checksums);
    if (large && offer->large_max > 30000)
        CHECK_MSG(mp.longest > 30000, "%s: %u bytes at most", offer->name, mp.longest);
    if (large && !host_options.verify && offer->large_max > 62000 && offer->packets_min == 2 &&
        !offer->equal_only && !offer->switched)
        CHECK_MSG(mp.cut_by_host == 0, "%s: %u were cut by the host", offer->name, mp.cut_by_host);
    if (offer->switched) {
        before = mp.large + mp.checksums;
        announce_now(&nothing);
        side_sleep_ms(1100); /* the checks allow as long for what was on its way */
        traffic("switched off");
        CHECK(mp.large + mp.checksums == before);
    }
    if (adapter)
        ndis_adapter_destroy(adapter);
    CHECK(mp.indicated == mp.returned);
    NdisMDeregisterMiniportDriver(mp.driver);
}

static uint32_t keyword(NDIS_HANDLE configuration, const uint16_t *name)
{
    NDIS_STRING string = {.Buffer = (uint16_t *)name};
    NDIS_CONFIGURATION_PARAMETER *parameter;
    NDIS_STATUS status;

    while (name[string.Length / 2])
        string.Length += 2;
    string.MaximumLength = string.Length;
    NdisReadConfiguration(&status, &parameter, configuration, &string, NdisParameterInteger);
    return status == NDIS_STATUS_SUCCESS ? parameter->ParameterData.IntegerData : 4711;
}

static void keywords(void)
{
    NDIS_CONFIGURATION_OBJECT object = {.Header = {NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT,
                                                   NDIS_CONFIGURATION_OBJECT_REVISION_1,
                                                   NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1}};
    NDIS_HANDLE configuration;

    CHECK(NdisOpenConfigurationEx(&object, &configuration) == NDIS_STATUS_SUCCESS);
    CHECK(keyword(configuration, u"*RscIPv4") == 1 && keyword(configuration, u"Own") == 4711);
    CHECK(ndis_keyword_set("*rscipv4=1") && ndis_keyword_set("*RscIPv4=0") && ndis_keyword_set("Own=0x10"));
    CHECK(!ndis_keyword_set("Own") && !ndis_keyword_set("=1"));
    CHECK(keyword(configuration, u"*RscIPv4") == 0 && keyword(configuration, u"Own") == 16 &&
          keyword(configuration, u"*RscIPv") == 4711);
    ndis_keyword_clear();
    CHECK(keyword(configuration, u"*RscIPv4") == 1 && keyword(configuration, u"Own") == 4711);
    NdisCloseConfiguration(configuration);
}

void test_offload(void)
{
    static const struct offer offers[] = {
        {"all", true, true, true, true, true, 65535, 2, false, false, false, 0},
        {"all, units in one piece", true, true, true, true, true, 65535, 2, false, true, false, 0},
        {"cut only", true, true, true, true, false, 65535, 2, false, false, false, 0},
        {"limits", true, true, true, false, false, 9000, 4, true, false, false, 0},
        {"checksums only", false, false, true, true, false, 0, 0, false, false, false, 0},
        {"switched", true, true, true, true, true, 65535, 2, false, false, true, 0},
        {"revision 0", true, true, true, true, false, 65535, 2, false, false, false, 1},
        {"too short", true, true, true, true, false, 65535, 2, false, false, false, 2},
    };

    keywords();
    for (unsigned i = 0; i < sizeof offers / sizeof *offers; i++)
        if (!offers[i].wrong_header ||
            !host_options.verify) /* verify mode ends with a report: 40-verify-rules */
            run_offer(&offers[i]);
    checks_hand_over();
}
