/* Task offloads, their negotiation as NDIS and the TCP/IP stack do it (Microsoft: "TCP/IP Task Offload"):
 * what the miniport can do (offload attributes), what it does now (NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG),
 * and what is asked of it at binding.  Whatever the miniport does not offer the host does itself. */
#include "ndis.h"
#include "verify/verify.h"

#include <string.h>

#define ENCAPSULATIONS                                                                                       \
    (NDIS_ENCAPSULATION_NULL | NDIS_ENCAPSULATION_IEEE_802_3 | NDIS_ENCAPSULATION_IEEE_802_3_P_AND_Q |       \
     NDIS_ENCAPSULATION_IEEE_802_3_P_AND_Q_IN_OOB | NDIS_ENCAPSULATION_IEEE_LLC_SNAP_ROUTED)
/* Packets that were made by an older configuration arrive for so long. */
#define CHANGE_SETTLES_NS 1000000000ull

/* ---- structures ---- */

/* Copies an NDIS_OFFLOAD of any revision, `bytes` long; members that it does not have are zero. */
static bool take_offload(const void *structure, uint32_t bytes, const char *what, NDIS_OFFLOAD *offload)
{
    static const uint16_t sizes[] = {0,
                                     NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1,
                                     NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_2,
                                     NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_3,
                                     NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_4,
                                     NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_5,
                                     NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_6,
                                     NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_7,
                                     NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_8};
    const unsigned newest = sizeof sizes / sizeof *sizes - 1;
    NDIS_OBJECT_HEADER header = {0};
    unsigned revision;

    memset(offload, 0, sizeof *offload);
    if (structure && bytes >= sizeof header)
        memcpy(&header, structure, sizeof header);
    /* A newer revision than is known here begins with what is known. */
    revision = header.Revision > newest ? newest : header.Revision;
    if (header.Type != NDIS_OBJECT_TYPE_OFFLOAD || revision == 0 || header.Size < sizes[revision] ||
        header.Size > bytes) {
        if (host_options.verify)
            verify_report(
                RULE_OFFLOAD_STRUCTURE,
                "%s: NDIS_OFFLOAD has an impossible header: type 0x%x, revision %u, size %u in %u bytes",
                what, header.Type, header.Revision, header.Size, bytes);
        host_warn("%s: NDIS_OFFLOAD has an impossible header and is not used", what);
        return false;
    }
    memcpy(offload, structure, sizes[revision]);
    return true;
}

static void check_encapsulation(const char *what, const char *member, uint32_t encapsulation)
{
    if (encapsulation & ~(uint32_t)ENCAPSULATIONS)
        verify_report(RULE_OFFLOAD_STRUCTURE, "%s: %s.Encapsulation 0x%x has bits that mean nothing", what,
                      member, encapsulation);
}

static void check_large(const char *what, const char *member, uint32_t encapsulation, uint32_t payload_max)
{
    check_encapsulation(what, member, encapsulation);
    if (encapsulation && !payload_max)
        verify_report(RULE_OFFLOAD_STRUCTURE, "%s: %s is offered with a MaxOffLoadSize of 0", what, member);
}

/* Verify mode: contents that no stack can make sense of. */
static void check_offload(const NDIS_OFFLOAD *offload, const char *what)
{
    check_encapsulation(what, "Checksum.IPv4Transmit", offload->Checksum.IPv4Transmit.Encapsulation);
    check_encapsulation(what, "Checksum.IPv4Receive", offload->Checksum.IPv4Receive.Encapsulation);
    check_encapsulation(what, "Checksum.IPv6Transmit", offload->Checksum.IPv6Transmit.Encapsulation);
    check_encapsulation(what, "Checksum.IPv6Receive", offload->Checksum.IPv6Receive.Encapsulation);
    check_large(what, "LsoV2.IPv4", offload->LsoV2.IPv4.Encapsulation, offload->LsoV2.IPv4.MaxOffLoadSize);
    check_large(what, "LsoV2.IPv6", offload->LsoV2.IPv6.Encapsulation, offload->LsoV2.IPv6.MaxOffLoadSize);
    check_large(what, "UdpSegmentation.IPv4", offload->UdpSegmentation.IPv4.Encapsulation,
                offload->UdpSegmentation.IPv4.MaxOffLoadSize);
    check_large(what, "UdpSegmentation.IPv6", offload->UdpSegmentation.IPv6.Encapsulation,
                offload->UdpSegmentation.IPv6.MaxOffLoadSize);
}

/* Verify mode: what is done must be possible. */
static void check_possible(const struct ndis_adapter *adapter, const NDIS_OFFLOAD *now, const char *what)
{
    const NDIS_OFFLOAD *can = &adapter->hardware;
    const struct {
        const char *member;
        uint32_t now, can;
    } bits[] = {
        {"Checksum.IPv4Transmit", now->Checksum.IPv4Transmit.Supported, can->Checksum.IPv4Transmit.Supported},
        {"Checksum.IPv4Receive", now->Checksum.IPv4Receive.Supported, can->Checksum.IPv4Receive.Supported},
        {"Checksum.IPv6Transmit", now->Checksum.IPv6Transmit.Supported, can->Checksum.IPv6Transmit.Supported},
        {"Checksum.IPv6Receive", now->Checksum.IPv6Receive.Supported, can->Checksum.IPv6Receive.Supported},
        {"LsoV2.IPv4", now->LsoV2.IPv4.Encapsulation, can->LsoV2.IPv4.Encapsulation},
        {"LsoV2.IPv6", now->LsoV2.IPv6.Encapsulation, can->LsoV2.IPv6.Encapsulation},
        {"UdpSegmentation.IPv4", now->UdpSegmentation.IPv4.Encapsulation,
         can->UdpSegmentation.IPv4.Encapsulation},
        {"UdpSegmentation.IPv6", now->UdpSegmentation.IPv6.Encapsulation,
         can->UdpSegmentation.IPv6.Encapsulation},
        {"Rsc.IPv4", now->Rsc.IPv4.Enabled != 0, can->Rsc.IPv4.Enabled != 0},
        {"Rsc.IPv6", now->Rsc.IPv6.Enabled != 0, can->Rsc.IPv6.Enabled != 0},
    };

    for (unsigned i = 0; can->Header.Type && i < sizeof bits / sizeof *bits; i++)
        if (bits[i].now & ~bits[i].can)
            verify_report(RULE_OFFLOAD_STRUCTURE,
                          "%s: %s has 0x%x, which is beyond HardwareOffloadCapabilities (0x%x)", what,
                          bits[i].member, bits[i].now, bits[i].can);
}

/* ---- what is used of them ---- */

/* Only bare IP packets are sent here. */
static bool bare(uint32_t encapsulation)
{
    return encapsulation & NDIS_ENCAPSULATION_NULL;
}

static uint32_t when(uint32_t word, uint32_t mask, uint32_t flag)
{
    return word & mask ? flag : 0;
}

static uint32_t read_checksums(const NDIS_TCP_IP_CHECKSUM_OFFLOAD *checksum)
{
    uint32_t tx4 = bare(checksum->IPv4Transmit.Encapsulation) ? checksum->IPv4Transmit.Supported : 0;
    uint32_t rx4 = bare(checksum->IPv4Receive.Encapsulation) ? checksum->IPv4Receive.Supported : 0;
    uint32_t tx6 = bare(checksum->IPv6Transmit.Encapsulation) ? checksum->IPv6Transmit.Supported : 0;
    uint32_t rx6 = bare(checksum->IPv6Receive.Encapsulation) ? checksum->IPv6Receive.Supported : 0;

    return when(tx4, NDIS_CHECKSUM_IPV4_TRANSMIT_IP_CHECKSUM, OFFLOAD_SUM_IP4) |
           when(tx4, NDIS_CHECKSUM_IPV4_TRANSMIT_TCP_CHECKSUM, OFFLOAD_SUM_TCP4) |
           when(tx4, NDIS_CHECKSUM_IPV4_TRANSMIT_UDP_CHECKSUM, OFFLOAD_SUM_UDP4) |
           when(tx4, NDIS_CHECKSUM_IPV4_TRANSMIT_IP_OPTIONS_SUPPORTED, OFFLOAD_OPTIONS_IP4) |
           when(tx4, NDIS_CHECKSUM_IPV4_TRANSMIT_TCP_OPTIONS_SUPPORTED, OFFLOAD_OPTIONS_TCP4) |
           when(rx4, NDIS_CHECKSUM_IPV4_RECEIVE_IP_CHECKSUM, OFFLOAD_MARK_IP4) |
           when(rx4, NDIS_CHECKSUM_IPV4_RECEIVE_TCP_CHECKSUM, OFFLOAD_MARK_TCP4) |
           when(rx4, NDIS_CHECKSUM_IPV4_RECEIVE_UDP_CHECKSUM, OFFLOAD_MARK_UDP4) |
           when(tx6, NDIS_CHECKSUM_IPV6_TRANSMIT_TCP_CHECKSUM, OFFLOAD_SUM_TCP6) |
           when(tx6, NDIS_CHECKSUM_IPV6_TRANSMIT_UDP_CHECKSUM, OFFLOAD_SUM_UDP6) |
           when(tx6, NDIS_CHECKSUM_IPV6_TRANSMIT_TCP_OPTIONS_SUPPORTED, OFFLOAD_OPTIONS_TCP6) |
           when(rx6, NDIS_CHECKSUM_IPV6_RECEIVE_TCP_CHECKSUM, OFFLOAD_MARK_TCP6) |
           when(rx6, NDIS_CHECKSUM_IPV6_RECEIVE_UDP_CHECKSUM, OFFLOAD_MARK_UDP6);
}

static uint32_t read_large(const NDIS_OFFLOAD *offload, struct offload_limits large[4])
{
    const uint32_t final4 = NDIS_USO_IPV4_SUB_MSS_FINAL_SEGMENT_SUPPORTED;
    const uint32_t final6 = NDIS_USO_IPV6_SUB_MSS_FINAL_SEGMENT_SUPPORTED;
    uint32_t flags = 0;

    if (bare(offload->LsoV2.IPv4.Encapsulation))
        flags |= OFFLOAD_LARGE_TCP4;
    if (bare(offload->LsoV2.IPv6.Encapsulation) &&
        offload->LsoV2.IPv6.Supported & NDIS_LSO_V2_IPV6_TCP_OPTIONS_SUPPORTED)
        flags |= OFFLOAD_LARGE_TCP6;
    if (bare(offload->UdpSegmentation.IPv4.Encapsulation))
        flags |= OFFLOAD_LARGE_UDP4;
    if (bare(offload->UdpSegmentation.IPv6.Encapsulation))
        flags |= OFFLOAD_LARGE_UDP6;
    large[0] = (struct offload_limits){offload->LsoV2.IPv4.MaxOffLoadSize,
                                       offload->LsoV2.IPv4.MinSegmentCount, false};
    large[1] = (struct offload_limits){offload->LsoV2.IPv6.MaxOffLoadSize,
                                       offload->LsoV2.IPv6.MinSegmentCount, false};
    large[2] =
        (struct offload_limits){offload->UdpSegmentation.IPv4.MaxOffLoadSize,
                                offload->UdpSegmentation.IPv4.Segments & NDIS_USO_IPV4_MIN_SEGMENT_COUNT,
                                !(offload->UdpSegmentation.IPv4.Segments & final4)};
    large[3] =
        (struct offload_limits){offload->UdpSegmentation.IPv6.MaxOffLoadSize,
                                offload->UdpSegmentation.IPv6.Segments & NDIS_USO_IPV6_MIN_SEGMENT_COUNT,
                                !(offload->UdpSegmentation.IPv6.Segments & final6)};
    return flags;
}

static void use_offload(struct ndis_adapter *adapter, const NDIS_OFFLOAD *offload)
{
    uint32_t flags = read_checksums(&offload->Checksum), before;

    flags |= read_large(offload, adapter->large);
    if (offload->Rsc.IPv4.Enabled)
        flags |= OFFLOAD_COALESCE4;
    if (offload->Rsc.IPv6.Enabled)
        flags |= OFFLOAD_COALESCE6;
    before = offload_lately(adapter);
    if (host_options.verify) {
        __atomic_store_n(&adapter->offloads_before, before, __ATOMIC_RELAXED);
        __atomic_store_n(&adapter->offloads_changed_ns, sched_time_ns(), __ATOMIC_RELEASE);
    }
    __atomic_store_n(&adapter->offloads, flags, __ATOMIC_RELEASE);
}

uint32_t offload_lately(const struct ndis_adapter *adapter)
{
    uint32_t flags = __atomic_load_n(&adapter->offloads, __ATOMIC_ACQUIRE);
    uint64_t changed = __atomic_load_n(&adapter->offloads_changed_ns, __ATOMIC_ACQUIRE);

    if (changed && sched_time_ns() - changed < CHANGE_SETTLES_NS)
        flags |= __atomic_load_n(&adapter->offloads_before, __ATOMIC_RELAXED);
    return flags;
}

/* ---- what the miniport says ---- */

static void take_hardware(struct ndis_adapter *adapter, const void *structure, uint32_t bytes,
                          const char *what)
{
    NDIS_OFFLOAD offload;

    if (!take_offload(structure, bytes, what, &offload))
        return;
    if (host_options.verify)
        check_offload(&offload, what);
    adapter->hardware = offload;
}

static void take_current(struct ndis_adapter *adapter, const void *structure, uint32_t bytes,
                         const char *what)
{
    NDIS_OFFLOAD offload;

    if (!take_offload(structure, bytes, what, &offload))
        return;
    if (host_options.verify) {
        check_offload(&offload, what);
        check_possible(adapter, &offload, what);
    }
    use_offload(adapter, &offload);
    __atomic_add_fetch(&adapter->offload_indications, 1, __ATOMIC_RELEASE);
}

void offload_attributes(struct ndis_adapter *adapter,
                        const NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES *attributes)
{
    const NDIS_OFFLOAD *hardware = attributes->HardwareOffloadCapabilities;
    const NDIS_OFFLOAD *current = attributes->DefaultOffloadConfiguration;

    if (hardware)
        take_hardware(adapter, hardware, hardware->Header.Size, "HardwareOffloadCapabilities");
    if (current)
        take_current(adapter, current, current->Header.Size, "DefaultOffloadConfiguration");
}

void offload_indicated(struct ndis_adapter *adapter, const NDIS_STATUS_INDICATION *indication)
{
    if (indication->StatusCode == NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG)
        take_current(adapter, indication->StatusBuffer, indication->StatusBufferSize,
                     "NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG");
    else if (indication->StatusCode == NDIS_STATUS_TASK_OFFLOAD_HARDWARE_CAPABILITIES)
        take_hardware(adapter, indication->StatusBuffer, indication->StatusBufferSize,
                      "NDIS_STATUS_TASK_OFFLOAD_HARDWARE_CAPABILITIES");
}

/* ---- what is asked of it ---- */

/* After success the miniport has to say what it does now (Microsoft: "OID_TCP_OFFLOAD_PARAMETERS"). */
static void ask(struct ndis_adapter *adapter, uint32_t oid, const char *name, void *buffer, uint32_t length)
{
    uint32_t before = __atomic_load_n(&adapter->offload_indications, __ATOMIC_ACQUIRE), bytes;
    int32_t status = ndis_adapter_oid(adapter, true, oid, buffer, length, &bytes);
    uint64_t deadline = sched_time_ns() + CHANGE_SETTLES_NS;

    if (!host_options.verify || status != NDIS_STATUS_SUCCESS)
        return;
    while (__atomic_load_n(&adapter->offload_indications, __ATOMIC_ACQUIRE) == before) {
        if (sched_time_ns() >= deadline)
            verify_report(RULE_OFFLOAD_STRUCTURE,
                          "%s succeeded, but NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG was not indicated",
                          name);
        sched_block(sched_time_ns() + 10000000);
    }
}

void offload_bind(struct ndis_adapter *adapter)
{
    NDIS_OFFLOAD_ENCAPSULATION encapsulation = {
        .Header = {NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION, NDIS_OFFLOAD_ENCAPSULATION_REVISION_1,
                   NDIS_SIZEOF_OFFLOAD_ENCAPSULATION_REVISION_1},
        .IPv4 = {NDIS_OFFLOAD_SET_ON, NDIS_ENCAPSULATION_NULL, 0},
        .IPv6 = {NDIS_OFFLOAD_SET_ON, NDIS_ENCAPSULATION_NULL, 0},
    };
    NDIS_OFFLOAD_PARAMETERS parameters = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_OFFLOAD_PARAMETERS_REVISION_3,
                   NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_3},
        .RscIPv4 = NDIS_OFFLOAD_PARAMETERS_RSC_DISABLED,
        .RscIPv6 = NDIS_OFFLOAD_PARAMETERS_RSC_DISABLED,
    };
    uint32_t bytes;

    if (!(adapter->attributes & ATTRIBUTES_OFFLOAD))
        return;
    /* A TUN that takes no super-segments must not be given any. */
    if (__atomic_load_n(&adapter->offloads, __ATOMIC_RELAXED) & (OFFLOAD_COALESCE4 | OFFLOAD_COALESCE6) &&
        !tun_accepts_tcp_segments(adapter->tun))
        ask(adapter, OID_TCP_OFFLOAD_PARAMETERS, "OID_TCP_OFFLOAD_PARAMETERS", &parameters,
            NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_3);
    ndis_adapter_oid(adapter, true, OID_OFFLOAD_ENCAPSULATION, &encapsulation, sizeof encapsulation, &bytes);
}
