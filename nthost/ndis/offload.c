/* Task offloads, the stack's side: what the miniport offers (offload attributes, NDIS_STATUS_TASK_OFFLOAD_
 * CURRENT_CONFIG), what is asked of it at binding, and the NET_BUFFER_LIST information that goes with packets
 * (Microsoft: "TCP/IP Task Offload").  Whatever the miniport does not offer the host does itself. */
#include "edge/checksum.h"
#include "edge/packet.h"
#include "ndis.h"
#include "verify/verify.h"

#include <string.h>

static bool supports(uint32_t word, uint32_t mask)
{
    return (word & mask) != 0;
}

/* Only bare IP packets are sent here. */
static bool bare(uint32_t encapsulation)
{
    return encapsulation & NDIS_ENCAPSULATION_NULL;
}

static uint32_t read_checksums(const NDIS_TCP_IP_CHECKSUM_OFFLOAD *checksum)
{
    uint32_t flags = 0;

    if (bare(checksum->IPv4Transmit.Encapsulation)) {
        uint32_t word = checksum->IPv4Transmit.Supported;

        if (supports(word, NDIS_CHECKSUM_IPV4_TRANSMIT_TCP_CHECKSUM) &&
            supports(word, NDIS_CHECKSUM_IPV4_TRANSMIT_TCP_OPTIONS_SUPPORTED))
            flags |= OFFLOAD_SUM_TCP4;
        if (supports(word, NDIS_CHECKSUM_IPV4_TRANSMIT_UDP_CHECKSUM))
            flags |= OFFLOAD_SUM_UDP4;
    }
    if (bare(checksum->IPv6Transmit.Encapsulation)) {
        uint32_t word = checksum->IPv6Transmit.Supported;

        if (supports(word, NDIS_CHECKSUM_IPV6_TRANSMIT_TCP_CHECKSUM) &&
            supports(word, NDIS_CHECKSUM_IPV6_TRANSMIT_TCP_OPTIONS_SUPPORTED))
            flags |= OFFLOAD_SUM_TCP6;
        if (supports(word, NDIS_CHECKSUM_IPV6_TRANSMIT_UDP_CHECKSUM))
            flags |= OFFLOAD_SUM_UDP6;
    }
    return flags;
}

void offload_current(struct ndis_adapter *adapter, const void *structure, uint32_t bytes)
{
    NDIS_OFFLOAD offload;
    uint32_t flags;

    memset(&offload, 0, sizeof offload);
    if (!structure || bytes < sizeof offload.Header)
        return;
    memcpy(&offload.Header, structure, sizeof offload.Header);
    if (offload.Header.Type != NDIS_OBJECT_TYPE_OFFLOAD || offload.Header.Size > bytes ||
        offload.Header.Size < NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1) {
        if (host_options.verify)
            verify_report(RULE_NDIS_ATTRIBUTES, "NDIS_OFFLOAD with an impossible header: type 0x%x, size %u",
                          offload.Header.Type, offload.Header.Size);
        return;
    }
    memcpy(&offload, structure, offload.Header.Size < sizeof offload ? offload.Header.Size : sizeof offload);
    flags = read_checksums(&offload.Checksum);
    adapter->large_max[0] = adapter->large_max[1] = 0;
    if (bare(offload.LsoV2.IPv4.Encapsulation)) {
        flags |= OFFLOAD_LARGE_TCP4;
        adapter->large_max[0] = offload.LsoV2.IPv4.MaxOffLoadSize;
    }
    if (bare(offload.LsoV2.IPv6.Encapsulation) &&
        supports(offload.LsoV2.IPv6.Supported, NDIS_LSO_V2_IPV6_TCP_OPTIONS_SUPPORTED)) {
        flags |= OFFLOAD_LARGE_TCP6;
        adapter->large_max[0] = offload.LsoV2.IPv6.MaxOffLoadSize;
    }
    if (bare(offload.UdpSegmentation.IPv4.Encapsulation) &&
        supports(offload.UdpSegmentation.IPv4.Segments, NDIS_USO_IPV4_SUB_MSS_FINAL_SEGMENT_SUPPORTED)) {
        flags |= OFFLOAD_LARGE_UDP4;
        adapter->large_max[1] = offload.UdpSegmentation.IPv4.MaxOffLoadSize;
    }
    if (bare(offload.UdpSegmentation.IPv6.Encapsulation) &&
        supports(offload.UdpSegmentation.IPv6.Segments, NDIS_USO_IPV6_SUB_MSS_FINAL_SEGMENT_SUPPORTED)) {
        flags |= OFFLOAD_LARGE_UDP6;
        adapter->large_max[1] = offload.UdpSegmentation.IPv6.MaxOffLoadSize;
    }
    if (offload.Rsc.IPv4.Enabled)
        flags |= OFFLOAD_COALESCE4;
    if (offload.Rsc.IPv6.Enabled)
        flags |= OFFLOAD_COALESCE6;
    __atomic_store_n(&adapter->offloads, flags, __ATOMIC_RELEASE);
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
        ndis_adapter_oid(adapter, true, OID_TCP_OFFLOAD_PARAMETERS, &parameters,
                         NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_3, &bytes);
    ndis_adapter_oid(adapter, true, OID_OFFLOAD_ENCAPSULATION, &encapsulation, sizeof encapsulation, &bytes);
}

/* ---- transmit ---- */

/* Writes the pseudo-header's sum (RFC 9293, 3.1) with this length where the checksum belongs. */
static void write_pseudo(uint8_t *data, uint8_t version, uint8_t protocol, uint8_t *field, uint32_t length)
{
    put16_raw(field, checksum_fold(checksum_pseudo(data + (version == 4 ? IPV4_SOURCE : IPV6_SOURCE),
                                                   version == 4 ? 8 : 32, protocol, length)));
}

/* Where a plain TCP or UDP header begins that the vnet_hdr names; 0: elsewhere, or behind extension headers.
 */
static uint32_t transport_offset(const struct tun_packet *packet, uint8_t version)
{
    uint32_t ip_bytes = version == 4 ? (packet->data[0] & 15) * 4u : IPV6_HEADER_BYTES;

    if (!packet->needs_checksum || packet->checksum_start != ip_bytes || packet->length <= ip_bytes ||
        ip_bytes > 60)
        return 0;
    return ip_bytes;
}

bool offload_fits(struct ndis_adapter *adapter, const struct tun_packet *packet, struct offload_send *send)
{
    uint32_t flags = __atomic_load_n(&adapter->offloads, __ATOMIC_ACQUIRE), needed, headers;
    uint8_t version = packet->data[0] >> 4;
    uint32_t ip_bytes = transport_offset(packet, version);
    bool four = version == 4;

    if (!flags || !ip_bytes)
        return false;
    *send = (struct offload_send){.version = version, .ip_bytes = ip_bytes, .packets = 1};
    if (packet->gso_type == TUN_GSO_NONE) {
        bool tcp = packet->checksum_offset == TCP_CHECKSUM;
        uint8_t protocol = packet->data[four ? IPV4_PROTOCOL : IPV6_NEXT_HEADER];

        needed =
            tcp ? (four ? OFFLOAD_SUM_TCP4 : OFFLOAD_SUM_TCP6) : (four ? OFFLOAD_SUM_UDP4 : OFFLOAD_SUM_UDP6);
        if (!(flags & needed) || protocol != (tcp ? PROTOCOL_TCP : PROTOCOL_UDP) ||
            (!tcp && packet->checksum_offset != UDP_CHECKSUM) ||
            packet->length < ip_bytes + (tcp ? TCP_HEADER_BYTES : UDP_HEADER_BYTES))
            return false;
        send->index = TcpIpChecksumNetBufferListInfo;
        send->word = (four ? NDIS_CHECKSUM_TRANSMIT_IS_IPV4 : NDIS_CHECKSUM_TRANSMIT_IS_IPV6) |
                     (tcp ? NDIS_CHECKSUM_TRANSMIT_TCP_CHECKSUM : NDIS_CHECKSUM_TRANSMIT_UDP_CHECKSUM) |
                     ip_bytes << NDIS_CHECKSUM_TRANSMIT_TCP_HEADER_OFFSET_SHIFT;
        return true;
    }
    send->protocol = packet->gso_type == TUN_GSO_UDP ? PROTOCOL_UDP : PROTOCOL_TCP;
    if (send->protocol == PROTOCOL_TCP) {
        if (packet->length < ip_bytes + TCP_HEADER_BYTES)
            return false;
        needed = four ? OFFLOAD_LARGE_TCP4 : OFFLOAD_LARGE_TCP6;
        headers = ip_bytes + (packet->data[ip_bytes + TCP_DATA_OFFSET] >> 4) * 4u;
        send->index = TcpLargeSendNetBufferListInfo;
        send->word = NDIS_LSO_V2_TYPE | (four ? 0 : NDIS_LSO_V2_IP_VERSION) |
                     ip_bytes << NDIS_LSO_V2_TCP_HEADER_OFFSET_SHIFT | packet->gso_size;
    } else {
        needed = four ? OFFLOAD_LARGE_UDP4 : OFFLOAD_LARGE_UDP6;
        headers = ip_bytes + UDP_HEADER_BYTES;
        send->index = UdpSegmentationOffloadInfo;
        send->word = (four ? 0 : NDIS_USO_IP_VERSION) | ip_bytes << NDIS_USO_UDP_HEADER_OFFSET_SHIFT |
                     packet->gso_size;
    }
    if (!(flags & needed) || !packet->gso_size || packet->length <= headers + packet->gso_size ||
        packet->length - headers > adapter->large_max[send->protocol == PROTOCOL_UDP])
        return false;
    send->packets = (packet->length - headers + packet->gso_size - 1) / packet->gso_size;
    return true;
}

void offload_write(const struct offload_send *send, uint8_t *data, NET_BUFFER_LIST *list)
{
    uint8_t *transport = data + send->ip_bytes;

    list->NetBufferListInfo[send->index] = (void *)(uintptr_t)send->word;
    if (send->protocol == 0)
        return; /* the checksum field holds the pseudo-header's sum already */
    /* The length is that of the NET_BUFFER; the pseudo-header's sum has none. */
    put16(data + (send->version == 4 ? IPV4_TOTAL_LENGTH : IPV6_PAYLOAD_LENGTH), 0);
    write_pseudo(data, send->version, send->protocol,
                 transport + (send->protocol == PROTOCOL_TCP ? TCP_CHECKSUM : UDP_CHECKSUM), 0);
}

void offload_check_completed(const NET_BUFFER_LIST *list, uint32_t index)
{
    uintptr_t word = (uintptr_t)list->NetBufferListInfo[TcpLargeSendNetBufferListInfo];

    if (index == TcpLargeSendNetBufferListInfo && word != NDIS_LSO_V2_TYPE)
        verify_report(RULE_NBL_FIELDS,
                      "completed large send %p: LsoV2TransmitComplete is 0x%llx, must be the type alone",
                      (const void *)list, (unsigned long long)word);
}

/* ---- receive ---- */

bool offload_unit(struct ndis_adapter *adapter, const NET_BUFFER_LIST *list, struct iovec *iov,
                  unsigned *pieces, uint8_t headers[OFFLOAD_HEADERS_MAX], struct tun_packet *packet)
{
    const uint8_t *data = iov[1].iov_base;
    uint32_t total = list->FirstNetBuffer->DataLength, ip_bytes, header_bytes, first;
    NDIS_RSC_NBL_INFO info = {.Value = list->NetBufferListInfo[TcpRecvSegCoalesceInfo]};
    uint8_t version = data[0] >> 4;

    ip_bytes = version == 4 ? (data[0] & 15) * 4u : IPV6_HEADER_BYTES;
    first = (uint32_t)iov[1].iov_len;
    if (first < ip_bytes + TCP_HEADER_BYTES || first < IPV6_HEADER_BYTES)
        return false;
    header_bytes = ip_bytes + (data[ip_bytes + TCP_DATA_OFFSET] >> 4) * 4u;
    if (header_bytes > OFFLOAD_HEADERS_MAX || header_bytes >= first || total > 65535)
        return false;
    *packet = (struct tun_packet){
        .length = total,
        .gso_type = version == 4 ? TUN_GSO_TCP4 : TUN_GSO_TCP6,
        .gso_size = (uint16_t)(*pieces > 1 ? first - header_bytes
                                           : (total - header_bytes + info.Info.CoalescedSegCount - 1) /
                                                 info.Info.CoalescedSegCount),
        .needs_checksum = true,
        .checksum_start = (uint16_t)ip_bytes,
        .checksum_offset = TCP_CHECKSUM,
    };
    if (host_options.verify) {
        uint32_t flags = __atomic_load_n(&adapter->offloads, __ATOMIC_ACQUIRE);
        uint32_t count = (total - header_bytes + packet->gso_size - 1) / packet->gso_size;
        uint32_t said = version == 4 ? (uint32_t)(data[IPV4_TOTAL_LENGTH] << 8 | data[IPV4_TOTAL_LENGTH + 1])
                                     : IPV6_HEADER_BYTES + get16(data + IPV6_PAYLOAD_LENGTH);

        if (!(flags & (version == 4 ? OFFLOAD_COALESCE4 : OFFLOAD_COALESCE6)))
            verify_report(RULE_NBL_FIELDS, "coalesced segments %p are indicated, but RSC is not enabled",
                          (const void *)list);
        if (count != info.Info.CoalescedSegCount || said != total)
            verify_report(RULE_NBL_FIELDS,
                          "coalesced segments %p: %u bytes of %u a segment, but CoalescedSegCount is %u and "
                          "the IP header says %u bytes",
                          (const void *)list, total, packet->gso_size, info.Info.CoalescedSegCount, said);
    }
    memcpy(headers, data, header_bytes);
    write_pseudo(headers, version, PROTOCOL_TCP, headers + ip_bytes + TCP_CHECKSUM, total - ip_bytes);
    iov[0] = (struct iovec){headers, header_bytes};
    iov[1] = (struct iovec){(uint8_t *)iov[1].iov_base + header_bytes, first - header_bytes};
    ++*pieces;
    return true;
}
