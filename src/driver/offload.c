/* Negotiation of the task offloads; what they do is in segment.c (out) and coalesce.c (in). */
#include "offload.h"
#include "adapter.h"
#include "driver.h"
#include "keyword.h"

#define ALL_OF(shift) ((uint32_t)NDIS_OFFLOAD_SUPPORTED << (shift))

#define OFFLOADS_IPV4                                                                                        \
    (OFFLOAD_TX_IP4 | OFFLOAD_TX_TCP4 | OFFLOAD_TX_UDP4 | OFFLOAD_RX_IP4 | OFFLOAD_RX_TCP4 |                 \
     OFFLOAD_RX_UDP4 | OFFLOAD_LSO4 | OFFLOAD_USO4 | OFFLOAD_RSC4)
#define OFFLOADS_RECEIVE                                                                                     \
    (OFFLOAD_RX_IP4 | OFFLOAD_RX_TCP4 | OFFLOAD_RX_UDP4 | OFFLOAD_RX_TCP6 | OFFLOAD_RX_UDP6 | OFFLOAD_RSC4 | \
     OFFLOAD_RSC6)

/* One setting: its keyword, its member of NDIS_OFFLOAD_PARAMETERS, and what it switches.  A checksum has two
 * directions; anything else has only `tx`. */
struct setting {
    const WCHAR *keyword;
    uint16_t member;
    uint16_t tx, rx;
};

#define MEMBER(name) __builtin_offsetof(NDIS_OFFLOAD_PARAMETERS, name)
static const struct setting settings[] = {
    {u"*IPChecksumOffloadIPv4", MEMBER(IPv4Checksum), OFFLOAD_TX_IP4, OFFLOAD_RX_IP4},
    {u"*TCPChecksumOffloadIPv4", MEMBER(TCPIPv4Checksum), OFFLOAD_TX_TCP4, OFFLOAD_RX_TCP4},
    {u"*UDPChecksumOffloadIPv4", MEMBER(UDPIPv4Checksum), OFFLOAD_TX_UDP4, OFFLOAD_RX_UDP4},
    {u"*TCPChecksumOffloadIPv6", MEMBER(TCPIPv6Checksum), OFFLOAD_TX_TCP6, OFFLOAD_RX_TCP6},
    {u"*UDPChecksumOffloadIPv6", MEMBER(UDPIPv6Checksum), OFFLOAD_TX_UDP6, OFFLOAD_RX_UDP6},
    {u"*LsoV2IPv4", MEMBER(LsoV2IPv4), OFFLOAD_LSO4, 0},
    {u"*LsoV2IPv6", MEMBER(LsoV2IPv6), OFFLOAD_LSO6, 0},
    {u"*UsoIPv4", MEMBER(UdpSegmentation.IPv4), OFFLOAD_USO4, 0},
    {u"*UsoIPv6", MEMBER(UdpSegmentation.IPv6), OFFLOAD_USO6, 0},
    {u"*RscIPv4", MEMBER(RscIPv4), OFFLOAD_RSC4, 0},
    {u"*RscIPv6", MEMBER(RscIPv6), OFFLOAD_RSC6, 0},
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

/* Not ours: enabling one of these is refused. */
static const uint16_t foreign[] = {MEMBER(LsoV1),         MEMBER(IPsecV1),     MEMBER(TcpConnectionIPv4),
                                   MEMBER(IPsecV2),       MEMBER(IPsecV2IPv4), MEMBER(TcpConnectionIPv6),
                                   MEMBER(UdpRsc.Enabled)};

/* ---- structures ---- */

/* Offload structures grew with NDIS: the revision is that of the running system. */
static void offload_header(NDIS_OBJECT_HEADER *header)
{
    static const struct {
        uint32_t version;
        UCHAR revision;
        USHORT size;
    } revisions[] = {
        {NDIS_RUNTIME_VERSION_685, NDIS_OFFLOAD_REVISION_7, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_7},
        {NDIS_RUNTIME_VERSION_683, NDIS_OFFLOAD_REVISION_6, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_6},
        {NDIS_RUNTIME_VERSION_670, NDIS_OFFLOAD_REVISION_5, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_5},
        {0, NDIS_OFFLOAD_REVISION_4, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_4},
    };
    uint32_t i = 0;
    while (driver.ndis_version < revisions[i].version)
        i++;
    header->Type = NDIS_OBJECT_TYPE_OFFLOAD;
    header->Revision = revisions[i].revision;
    header->Size = revisions[i].size;
}

/* What this system can be offered: older ones do not know UDP segmentation. */
static uint32_t offerable(void)
{
    uint32_t flags = OFFLOAD_ALL;
    if (driver.ndis_version < NDIS_RUNTIME_VERSION_683)
        flags &= ~(uint32_t)(OFFLOAD_USO4 | OFFLOAD_USO6);
    return flags;
}

static uint32_t when(uint32_t flags, uint32_t flag, uint32_t capability)
{
    return flags & flag ? capability : 0;
}

static void describe_checksums(NDIS_TCP_IP_CHECKSUM_OFFLOAD *checksum, uint32_t flags)
{
    uint32_t tx4 = OFFLOAD_TX_IP4 | OFFLOAD_TX_TCP4 | OFFLOAD_TX_UDP4;
    uint32_t rx4 = OFFLOAD_RX_IP4 | OFFLOAD_RX_TCP4 | OFFLOAD_RX_UDP4;
    uint32_t tx6 = OFFLOAD_TX_TCP6 | OFFLOAD_TX_UDP6, rx6 = OFFLOAD_RX_TCP6 | OFFLOAD_RX_UDP6;

    checksum->IPv4Transmit.Encapsulation = when(flags, tx4, NDIS_ENCAPSULATION_NULL);
    checksum->IPv4Transmit.Supported =
        when(flags, tx4, ALL_OF(NDIS_CHECKSUM_IPV4_TRANSMIT_IP_OPTIONS_SUPPORTED_SHIFT)) |
        when(flags, OFFLOAD_TX_TCP4, ALL_OF(NDIS_CHECKSUM_IPV4_TRANSMIT_TCP_OPTIONS_SUPPORTED_SHIFT)) |
        when(flags, OFFLOAD_TX_TCP4, ALL_OF(NDIS_CHECKSUM_IPV4_TRANSMIT_TCP_CHECKSUM_SHIFT)) |
        when(flags, OFFLOAD_TX_UDP4, ALL_OF(NDIS_CHECKSUM_IPV4_TRANSMIT_UDP_CHECKSUM_SHIFT)) |
        when(flags, OFFLOAD_TX_IP4, ALL_OF(NDIS_CHECKSUM_IPV4_TRANSMIT_IP_CHECKSUM_SHIFT));
    checksum->IPv4Receive.Encapsulation = when(flags, rx4, NDIS_ENCAPSULATION_NULL);
    checksum->IPv4Receive.Supported =
        when(flags, rx4, ALL_OF(NDIS_CHECKSUM_IPV4_RECEIVE_IP_OPTIONS_SUPPORTED_SHIFT)) |
        when(flags, OFFLOAD_RX_TCP4, ALL_OF(NDIS_CHECKSUM_IPV4_RECEIVE_TCP_OPTIONS_SUPPORTED_SHIFT)) |
        when(flags, OFFLOAD_RX_TCP4, ALL_OF(NDIS_CHECKSUM_IPV4_RECEIVE_TCP_CHECKSUM_SHIFT)) |
        when(flags, OFFLOAD_RX_UDP4, ALL_OF(NDIS_CHECKSUM_IPV4_RECEIVE_UDP_CHECKSUM_SHIFT)) |
        when(flags, OFFLOAD_RX_IP4, ALL_OF(NDIS_CHECKSUM_IPV4_RECEIVE_IP_CHECKSUM_SHIFT));
    checksum->IPv6Transmit.Encapsulation = when(flags, tx6, NDIS_ENCAPSULATION_NULL);
    checksum->IPv6Transmit.Supported =
        when(flags, OFFLOAD_TX_TCP6, ALL_OF(NDIS_CHECKSUM_IPV6_TRANSMIT_TCP_OPTIONS_SUPPORTED_SHIFT)) |
        when(flags, OFFLOAD_TX_TCP6, ALL_OF(NDIS_CHECKSUM_IPV6_TRANSMIT_TCP_CHECKSUM_SHIFT)) |
        when(flags, OFFLOAD_TX_UDP6, ALL_OF(NDIS_CHECKSUM_IPV6_TRANSMIT_UDP_CHECKSUM_SHIFT));
    checksum->IPv6Receive.Encapsulation = when(flags, rx6, NDIS_ENCAPSULATION_NULL);
    checksum->IPv6Receive.Supported =
        when(flags, rx6, ALL_OF(NDIS_CHECKSUM_IPV6_RECEIVE_IP_EXTENSION_HEADERS_SUPPORTED_SHIFT)) |
        when(flags, OFFLOAD_RX_TCP6, ALL_OF(NDIS_CHECKSUM_IPV6_RECEIVE_TCP_OPTIONS_SUPPORTED_SHIFT)) |
        when(flags, OFFLOAD_RX_TCP6, ALL_OF(NDIS_CHECKSUM_IPV6_RECEIVE_TCP_CHECKSUM_SHIFT)) |
        when(flags, OFFLOAD_RX_UDP6, ALL_OF(NDIS_CHECKSUM_IPV6_RECEIVE_UDP_CHECKSUM_SHIFT));
}

static void describe(NDIS_OFFLOAD *offload, uint32_t flags)
{
    __builtin_memset(offload, 0, sizeof(*offload));
    offload_header(&offload->Header);
    describe_checksums(&offload->Checksum, flags);
    if (flags & OFFLOAD_LSO4) {
        offload->LsoV2.IPv4.Encapsulation = NDIS_ENCAPSULATION_NULL;
        offload->LsoV2.IPv4.MaxOffLoadSize = OFFLOAD_CUT_MAX_BYTES;
        offload->LsoV2.IPv4.MinSegmentCount = OFFLOAD_CUT_MIN_SEGMENTS;
    }
    if (flags & OFFLOAD_LSO6) {
        offload->LsoV2.IPv6.Encapsulation = NDIS_ENCAPSULATION_NULL;
        offload->LsoV2.IPv6.MaxOffLoadSize = OFFLOAD_CUT_MAX_BYTES;
        offload->LsoV2.IPv6.MinSegmentCount = OFFLOAD_CUT_MIN_SEGMENTS;
        offload->LsoV2.IPv6.Supported = ALL_OF(NDIS_LSO_V2_IPV6_TCP_OPTIONS_SUPPORTED_SHIFT);
    }
    if (flags & OFFLOAD_USO4) {
        offload->UdpSegmentation.IPv4.Encapsulation = NDIS_ENCAPSULATION_NULL;
        offload->UdpSegmentation.IPv4.MaxOffLoadSize = OFFLOAD_CUT_MAX_BYTES;
        offload->UdpSegmentation.IPv4.Segments =
            OFFLOAD_CUT_MIN_SEGMENTS | NDIS_USO_IPV4_SUB_MSS_FINAL_SEGMENT_SUPPORTED;
    }
    if (flags & OFFLOAD_USO6) {
        offload->UdpSegmentation.IPv6.Encapsulation = NDIS_ENCAPSULATION_NULL;
        offload->UdpSegmentation.IPv6.MaxOffLoadSize = OFFLOAD_CUT_MAX_BYTES;
        offload->UdpSegmentation.IPv6.Segments =
            OFFLOAD_CUT_MIN_SEGMENTS | NDIS_USO_IPV6_SUB_MSS_FINAL_SEGMENT_SUPPORTED;
    }
    offload->Rsc.IPv4.Enabled = (flags & OFFLOAD_RSC4) != 0;
    offload->Rsc.IPv6.Enabled = (flags & OFFLOAD_RSC6) != 0;
}

/* ---- state ---- */

/* Enabled offloads as they are reported: a family that was switched off has none. */
static uint32_t reported(const struct offload_state *state)
{
    uint32_t flags = state->configured;
    if (state->off[0])
        flags &= ~(uint32_t)OFFLOADS_IPV4;
    if (state->off[1])
        flags &= OFFLOADS_IPV4;
    /* A unit's TCP checksum is not computed anew, so that its mark must be wanted. */
    if ((flags & (OFFLOAD_RX_TCP4 | OFFLOAD_RX_IP4)) != (OFFLOAD_RX_TCP4 | OFFLOAD_RX_IP4))
        flags &= ~(uint32_t)OFFLOAD_RSC4;
    if (!(flags & OFFLOAD_RX_TCP6))
        flags &= ~(uint32_t)OFFLOAD_RSC6;
    return flags;
}

/* Receive offloads change what the stack is given; they wait until it has said that it knows them (Microsoft:
 * "OID_TCP_OFFLOAD_PARAMETERS"). */
static void activate(struct offload_state *state)
{
    uint32_t flags = reported(state);
    if (!state->bound[0])
        flags &= ~(uint32_t)(OFFLOADS_RECEIVE & OFFLOADS_IPV4);
    if (!state->bound[1])
        flags &= ~(uint32_t)(OFFLOADS_RECEIVE & ~OFFLOADS_IPV4);
    __atomic_store_n(&state->active, flags, __ATOMIC_RELAXED);
}

static void indicate_configuration(struct adapter *adapter)
{
    NDIS_OFFLOAD offload;
    describe(&offload, reported(&adapter->offload));
    NDIS_STATUS_INDICATION indication = {
        .Header = {.Type = NDIS_OBJECT_TYPE_STATUS_INDICATION,
                   .Revision = NDIS_STATUS_INDICATION_REVISION_1,
                   .Size = NDIS_SIZEOF_STATUS_INDICATION_REVISION_1},
        .SourceHandle = adapter->miniport,
        .StatusCode = NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG,
        .StatusBuffer = &offload,
        .StatusBufferSize = offload.Header.Size,
    };
    NdisMIndicateStatusEx(adapter->miniport, &indication);
}

/* ---- keywords ---- */

/* All on, less what the keywords switch off (0 off; a checksum: 1 transmit, 2 receive, 3 both; else: 1 on).
 */
static uint32_t keywords_configured(struct adapter *adapter)
{
    NDIS_HANDLE configuration = keywords_open(adapter);
    uint32_t flags = offerable();
    if (!configuration)
        return flags;
    for (uint32_t i = 0; i < SETTINGS; i++) {
        const struct setting *setting = &settings[i];
        uint32_t all = setting->rx ? 3 : 1;
        uint32_t value = keyword_read(configuration, setting->keyword, 0, all, all);
        if (!(value & 1))
            flags &= ~(uint32_t)setting->tx;
        if (!(value & 2))
            flags &= ~(uint32_t)setting->rx;
    }
    NdisCloseConfiguration(configuration);
    return flags;
}

NDIS_STATUS offload_set_attributes(struct adapter *adapter)
{
    NDIS_OFFLOAD current, capabilities;
    NDIS_TCP_CONNECTION_OFFLOAD connection = {
        .Header = {.Type = NDIS_OBJECT_TYPE_OFFLOAD,
                   .Revision = NDIS_TCP_CONNECTION_OFFLOAD_REVISION_2,
                   .Size = NDIS_SIZEOF_TCP_CONNECTION_OFFLOAD_REVISION_2},
    };
    adapter->offload.configured = keywords_configured(adapter);
    activate(&adapter->offload);
    describe(&current, reported(&adapter->offload));
    describe(&capabilities, offerable());
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES attributes = {0};
    attributes.OffloadAttributes = (NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES){
        .Header = {.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
                   .Revision = NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
                   .Size = NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1},
        .DefaultOffloadConfiguration = &current,
        .HardwareOffloadCapabilities = &capabilities,
        .DefaultTcpConnectionOffloadConfiguration = &connection,
        .TcpConnectionOffloadHardwareCapabilities = &connection,
    };
    return NdisMSetMiniportAttributes(adapter->miniport, &attributes);
}

/* ---- OIDs ---- */

/* The request's structure, of a header that fits, in `copy` (zeroed behind what is there). */
static NDIS_STATUS take_structure(NDIS_OID_REQUEST *request, void *copy, uint32_t bytes, uint32_t needed,
                                  UCHAR type)
{
    uint32_t length = request->DATA.SET_INFORMATION.InformationBufferLength;
    const NDIS_OBJECT_HEADER *header = request->DATA.SET_INFORMATION.InformationBuffer;
    request->DATA.SET_INFORMATION.BytesRead = 0;
    if (length < needed) {
        request->DATA.SET_INFORMATION.BytesNeeded = needed;
        return NDIS_STATUS_INVALID_LENGTH;
    }
    if (header->Type != type || header->Revision == 0 || header->Size < needed || header->Size > length)
        return NDIS_STATUS_INVALID_DATA;
    uint32_t taken = header->Size < bytes ? header->Size : bytes;
    __builtin_memset(copy, 0, bytes);
    __builtin_memcpy(copy, header, taken);
    request->DATA.SET_INFORMATION.BytesRead = taken;
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS apply_value(const struct setting *setting, uint8_t value, uint32_t *flags)
{
    uint32_t both = setting->tx | setting->rx, on;
    if (value == NDIS_OFFLOAD_PARAMETERS_NO_CHANGE)
        return NDIS_STATUS_SUCCESS;
    if (setting->rx) {
        if (value > NDIS_OFFLOAD_PARAMETERS_TX_RX_ENABLED)
            return NDIS_STATUS_INVALID_DATA;
        on = (value == NDIS_OFFLOAD_PARAMETERS_TX_ENABLED_RX_DISABLED ? setting->tx : 0u) |
             (value == NDIS_OFFLOAD_PARAMETERS_RX_ENABLED_TX_DISABLED ? setting->rx : 0u) |
             (value == NDIS_OFFLOAD_PARAMETERS_TX_RX_ENABLED ? both : 0u);
    } else {
        if (value > NDIS_OFFLOAD_PARAMETERS_LSOV2_ENABLED)
            return NDIS_STATUS_INVALID_DATA;
        on = value == NDIS_OFFLOAD_PARAMETERS_LSOV2_ENABLED ? setting->tx : 0u;
    }
    if (on & ~offerable())
        return NDIS_STATUS_INVALID_PARAMETER;
    *flags = (*flags & ~both) | on;
    return NDIS_STATUS_SUCCESS;
}

NDIS_STATUS offload_set_parameters(struct adapter *adapter, NDIS_OID_REQUEST *request)
{
    NDIS_OFFLOAD_PARAMETERS parameters;
    uint32_t flags = adapter->offload.configured;
    NDIS_STATUS status = take_structure(request, &parameters, sizeof(parameters),
                                        NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_1, NDIS_OBJECT_TYPE_DEFAULT);
    if (status != NDIS_STATUS_SUCCESS)
        return status;
    const uint8_t *bytes = (const uint8_t *)&parameters;
    for (uint32_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        if (bytes[foreign[i]] > NDIS_OFFLOAD_PARAMETERS_LSOV1_DISABLED)
            return NDIS_STATUS_INVALID_PARAMETER;
    /* This one's values are of another set, in which 1 is on. */
    if (parameters.EncapsulatedPacketTaskOffload != NDIS_OFFLOAD_SET_NO_CHANGE &&
        parameters.EncapsulatedPacketTaskOffload != NDIS_OFFLOAD_SET_OFF)
        return NDIS_STATUS_INVALID_PARAMETER;
    for (uint32_t i = 0; i < SETTINGS; i++) {
        status = apply_value(&settings[i], bytes[settings[i].member], &flags);
        if (status != NDIS_STATUS_SUCCESS)
            return status;
    }
    adapter->offload.configured = flags;
    activate(&adapter->offload);
    indicate_configuration(adapter);
    return NDIS_STATUS_SUCCESS;
}

/* Only bare IP packets are known here: NDIS_ENCAPSULATION_NULL, no link-layer header. */
static bool encapsulation_valid(uint32_t enabled, uint32_t type, uint32_t header_bytes)
{
    if (enabled != NDIS_OFFLOAD_SET_ON)
        return enabled == NDIS_OFFLOAD_SET_NO_CHANGE || enabled == NDIS_OFFLOAD_SET_OFF;
    return type == NDIS_ENCAPSULATION_NULL && header_bytes == 0;
}

static void encapsulation_apply(struct offload_state *state, uint32_t family, uint32_t enabled)
{
    if (enabled == NDIS_OFFLOAD_SET_NO_CHANGE)
        return;
    state->off[family] = enabled == NDIS_OFFLOAD_SET_OFF;
    state->bound[family] = enabled == NDIS_OFFLOAD_SET_ON;
}

NDIS_STATUS offload_set_encapsulation(struct adapter *adapter, NDIS_OID_REQUEST *request)
{
    NDIS_OFFLOAD_ENCAPSULATION wanted;
    NDIS_STATUS status =
        take_structure(request, &wanted, sizeof(wanted), NDIS_SIZEOF_OFFLOAD_ENCAPSULATION_REVISION_1,
                       NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION);
    if (status != NDIS_STATUS_SUCCESS)
        return status;
    if (!encapsulation_valid(wanted.IPv4.Enabled, wanted.IPv4.EncapsulationType, wanted.IPv4.HeaderSize) ||
        !encapsulation_valid(wanted.IPv6.Enabled, wanted.IPv6.EncapsulationType, wanted.IPv6.HeaderSize))
        return NDIS_STATUS_INVALID_PARAMETER;
    encapsulation_apply(&adapter->offload, 0, wanted.IPv4.Enabled);
    encapsulation_apply(&adapter->offload, 1, wanted.IPv6.Enabled);
    activate(&adapter->offload);
    indicate_configuration(adapter);
    return NDIS_STATUS_SUCCESS;
}
