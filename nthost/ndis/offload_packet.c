/* Task offloads, packet by packet: the NET_BUFFER_LIST information that goes down and comes up with packets,
 * and the headers' fields as the TCP/IP stack leaves them to the miniport (Microsoft: "Offloading Checksum
 * Tasks", "Offloading the Segmentation of Large TCP Packets", "UDP Segmentation Offload (USO)", "Indicating
 * Coalesced Segments"). */
#include "dice.h"
#include "edge/checksum.h"
#include "edge/packet.h"
#include "ndis.h"
#include "verify/verify.h"

#include <string.h>

#define TCP_SYN           0x02
#define TCP_RST           0x04
#define TCP_URG           0x20
#define IPV4_MORE_OR_REST 0x3fff /* more fragments, or a fragment's offset */

#define RECEIVE_TCP (NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_SUCCEEDED | NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_FAILED)
#define RECEIVE_UDP (NDIS_CHECKSUM_RECEIVE_UDP_CHECKSUM_SUCCEEDED | NDIS_CHECKSUM_RECEIVE_UDP_CHECKSUM_FAILED)
#define RECEIVE_IP  (NDIS_CHECKSUM_RECEIVE_IP_CHECKSUM_SUCCEEDED | NDIS_CHECKSUM_RECEIVE_IP_CHECKSUM_FAILED)

/* Writes the pseudo-header's sum (RFC 9293, 3.1) with this length where the checksum belongs. */
static void write_pseudo(const uint8_t *data, uint8_t version, uint8_t protocol, uint8_t *field,
                         uint32_t length)
{
    put16_raw(field, checksum_fold(checksum_pseudo(data + (version == 4 ? IPV4_SOURCE : IPV6_SOURCE),
                                                   version == 4 ? 8 : 32, protocol, length)));
}

/* ---- transmit ---- */

/* Where the TCP or UDP header begins whose checksum is wanted; 0: elsewhere than straight behind the IP
 * header, or in a fragment. */
static uint32_t transport_offset(const struct tun_packet *packet, uint8_t version, uint8_t protocol)
{
    uint32_t ip_bytes = version == 4 ? (packet->data[0] & 15) * 4u : IPV6_HEADER_BYTES;

    if (!packet->needs_checksum || packet->checksum_start != ip_bytes || ip_bytes < IPV4_HEADER_BYTES ||
        packet->length < ip_bytes + (protocol == PROTOCOL_TCP ? TCP_HEADER_BYTES : UDP_HEADER_BYTES) ||
        packet->data[version == 4 ? IPV4_PROTOCOL : IPV6_NEXT_HEADER] != protocol ||
        packet->checksum_offset != (protocol == PROTOCOL_TCP ? TCP_CHECKSUM : UDP_CHECKSUM) ||
        (version == 4 && get16(packet->data + IPV4_FRAGMENT) & IPV4_MORE_OR_REST))
        return 0;
    return ip_bytes;
}

static bool fits_checksum(uint32_t flags, const struct tun_packet *packet, struct offload_send *send)
{
    bool four = send->version == 4, tcp = packet->checksum_offset == TCP_CHECKSUM;
    uint32_t ip_bytes = transport_offset(packet, send->version, tcp ? PROTOCOL_TCP : PROTOCOL_UDP);
    uint32_t needed =
        tcp ? (four ? OFFLOAD_SUM_TCP4 : OFFLOAD_SUM_TCP6) : (four ? OFFLOAD_SUM_UDP4 : OFFLOAD_SUM_UDP6);

    if (!ip_bytes)
        return false;
    if (four && ip_bytes > IPV4_HEADER_BYTES)
        needed |= OFFLOAD_OPTIONS_IP4;
    if (tcp && packet->data[ip_bytes + TCP_DATA_OFFSET] >> 4 != TCP_HEADER_BYTES / 4)
        needed |= four ? OFFLOAD_OPTIONS_TCP4 : OFFLOAD_OPTIONS_TCP6;
    if (needed & ~flags)
        return false;
    send->ip_bytes = ip_bytes;
    send->word = (four ? NDIS_CHECKSUM_TRANSMIT_IS_IPV4 : NDIS_CHECKSUM_TRANSMIT_IS_IPV6) |
                 (tcp ? NDIS_CHECKSUM_TRANSMIT_TCP_CHECKSUM : NDIS_CHECKSUM_TRANSMIT_UDP_CHECKSUM) |
                 ip_bytes << NDIS_CHECKSUM_TRANSMIT_TCP_HEADER_OFFSET_SHIFT;
    return true;
}

/* The system has computed the IPv4 header's checksum already; verify mode asks for it all the same by chance,
 * which is right only if it was right. */
static bool fits_ip_checksum(uint32_t flags, const struct tun_packet *packet)
{
    uint32_t ip_bytes = (packet->data[0] & 15) * 4u;

    return host_options.verify && flags & OFFLOAD_SUM_IP4 && packet->data[0] >> 4 == 4 &&
           ip_bytes >= IPV4_HEADER_BYTES && ip_bytes <= packet->length &&
           (ip_bytes == IPV4_HEADER_BYTES || flags & OFFLOAD_OPTIONS_IP4) &&
           checksum_fold(checksum_add(0, packet->data, ip_bytes)) == 0xffff && dice_chance(2);
}

static bool fits_large(const struct ndis_adapter *adapter, uint32_t flags, const struct tun_packet *packet,
                       struct offload_send *send)
{
    bool four = send->version == 4, tcp = packet->gso_type != TUN_GSO_UDP;
    const struct offload_limits *limits = &adapter->large[(tcp ? 0 : 2) + (four ? 0 : 1)];
    uint32_t ip_bytes = transport_offset(packet, send->version, tcp ? PROTOCOL_TCP : PROTOCOL_UDP);
    uint32_t payload, headers = ip_bytes + UDP_HEADER_BYTES;
    uint32_t needed = tcp ? (four ? OFFLOAD_LARGE_TCP4 : OFFLOAD_LARGE_TCP6)
                          : (four ? OFFLOAD_LARGE_UDP4 : OFFLOAD_LARGE_UDP6);

    if (!(flags & needed) || !ip_bytes || !packet->gso_size)
        return false;
    if (tcp) {
        headers = ip_bytes + (packet->data[ip_bytes + TCP_DATA_OFFSET] >> 4) * 4u;
        if (packet->data[ip_bytes + TCP_FLAGS] & (TCP_SYN | TCP_RST | TCP_URG))
            return false;
    }
    if (packet->length <= headers + packet->gso_size)
        return false;
    payload = packet->length - headers;
    send->packets = (payload + packet->gso_size - 1) / packet->gso_size;
    if (payload > limits->payload_max || send->packets < limits->packets_min ||
        (limits->equal_only && payload % packet->gso_size))
        return false;
    send->ip_bytes = ip_bytes;
    send->header_bytes = headers;
    send->protocol = tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
    if (tcp) {
        send->index = TcpLargeSendNetBufferListInfo;
        send->word = NDIS_LSO_V2_TYPE | (four ? 0 : NDIS_LSO_V2_IP_VERSION) |
                     ip_bytes << NDIS_LSO_V2_TCP_HEADER_OFFSET_SHIFT | packet->gso_size;
    } else {
        send->index = UdpSegmentationOffloadInfo;
        send->word = (four ? 0 : NDIS_USO_IP_VERSION) | ip_bytes << NDIS_USO_UDP_HEADER_OFFSET_SHIFT |
                     packet->gso_size;
    }
    return true;
}

bool offload_fits(struct ndis_adapter *adapter, const struct tun_packet *packet, struct offload_send *send)
{
    uint32_t flags = __atomic_load_n(&adapter->offloads, __ATOMIC_ACQUIRE);
    bool fits;

    if (!flags || packet->length < IPV4_HEADER_BYTES)
        return false;
    *send = (struct offload_send){.version = packet->data[0] >> 4,
                                  .length = packet->length,
                                  .packets = 1,
                                  .index = TcpIpChecksumNetBufferListInfo};
    if (packet->gso_type != TUN_GSO_NONE)
        return fits_large(adapter, flags, packet, send);
    fits = packet->needs_checksum && fits_checksum(flags, packet, send);
    if ((fits || !packet->needs_checksum) && fits_ip_checksum(flags, packet)) {
        send->word |= NDIS_CHECKSUM_TRANSMIT_IS_IPV4 | NDIS_CHECKSUM_TRANSMIT_IP_HEADER_CHECKSUM;
        fits = true;
    }
    return fits;
}

void offload_write(const struct offload_send *send, uint8_t *data, NET_BUFFER_LIST *list)
{
    uint8_t *transport = data + send->ip_bytes;
    uint32_t length = send->length;

    list->NetBufferListInfo[send->index] = (void *)(uintptr_t)send->word;
    if (send->protocol == 0) { /* the checksum field holds the pseudo-header's sum already */
        if (send->word & NDIS_CHECKSUM_TRANSMIT_IP_HEADER_CHECKSUM)
            put16(data + IPV4_CHECKSUM, 0);
        return;
    }
    /* The length is that of the NET_BUFFER; what the headers say of it means nothing. */
    if (host_options.verify && dice_chance(2))
        length = send->version == 4 ? 0 : IPV6_HEADER_BYTES;
    if (send->version == 4) {
        put16(data + IPV4_TOTAL_LENGTH, length);
        put16(data + IPV4_CHECKSUM, 0);
    } else {
        put16(data + IPV6_PAYLOAD_LENGTH, length - IPV6_HEADER_BYTES);
    }
    /* The pseudo-header's sum without a length: that is another one for each packet. */
    write_pseudo(data, send->version, send->protocol,
                 transport + (send->protocol == PROTOCOL_TCP ? TCP_CHECKSUM : UDP_CHECKSUM), 0);
}

void offload_check_completed(const NET_BUFFER_LIST *list, uint32_t index)
{
    uintptr_t word = (uintptr_t)list->NetBufferListInfo[TcpLargeSendNetBufferListInfo];

    if (index == TcpLargeSendNetBufferListInfo && word != NDIS_LSO_V2_TYPE)
        verify_report(RULE_NBL_OFFLOAD,
                      "completed large send %p: LsoV2TransmitComplete is 0x%llx, must be the type alone",
                      (const void *)list, (unsigned long long)word);
}

/* ---- receive ---- */

/* The headers of a packet in pieces. */
struct received {
    uint8_t headers[OFFLOAD_HEADERS_MAX];
    uint8_t version;
    uint32_t ip_bytes, header_bytes; /* header_bytes 0: no TCP packet */
    uint32_t length;
};

static void look(struct received *received, uint8_t headers[OFFLOAD_HEADERS_MAX], const struct iovec *iov,
                 unsigned pieces)
{
    uint32_t have = 0;

    received->length = 0;
    for (unsigned i = 0; i < pieces; i++) {
        uint32_t take = OFFLOAD_HEADERS_MAX - have;

        if (take > iov[i].iov_len)
            take = (uint32_t)iov[i].iov_len;
        memcpy(headers + have, iov[i].iov_base, take);
        have += take;
        received->length += (uint32_t)iov[i].iov_len;
    }
    received->header_bytes = 0;
    received->version = headers[0] >> 4;
    received->ip_bytes = received->version == 4 ? (headers[0] & 15) * 4u : IPV6_HEADER_BYTES;
    if (received->ip_bytes < IPV4_HEADER_BYTES || have < received->ip_bytes + TCP_HEADER_BYTES ||
        headers[received->version == 4 ? IPV4_PROTOCOL : IPV6_NEXT_HEADER] != PROTOCOL_TCP)
        return;
    received->header_bytes = received->ip_bytes + (headers[received->ip_bytes + TCP_DATA_OFFSET] >> 4) * 4u;
    if (received->header_bytes > have || received->header_bytes < received->ip_bytes + TCP_HEADER_BYTES)
        received->header_bytes = 0;
}

/* Marks of checks that the miniport does not do now, or that contradict each other. */
static void check_marks(const NET_BUFFER_LIST *list, uint32_t flags, uint8_t version, uint32_t marks)
{
    uint32_t allowed = 0;

    if (flags & (version == 4 ? OFFLOAD_MARK_TCP4 : OFFLOAD_MARK_TCP6))
        allowed |= RECEIVE_TCP;
    if (flags & (version == 4 ? OFFLOAD_MARK_UDP4 : OFFLOAD_MARK_UDP6))
        allowed |= RECEIVE_UDP;
    if (version == 6 || flags & OFFLOAD_MARK_IP4) /* means nothing with IPv6 */
        allowed |= RECEIVE_IP;
    if (marks & (RECEIVE_TCP | RECEIVE_UDP | RECEIVE_IP) & ~allowed)
        verify_report(RULE_NBL_OFFLOAD,
                      "indicated NET_BUFFER_LIST %p: checksum information 0x%x, but of IPv%u only 0x%x is "
                      "enabled",
                      (const void *)list, marks, version, allowed);
    if ((marks & RECEIVE_TCP) == RECEIVE_TCP || (marks & RECEIVE_UDP) == RECEIVE_UDP ||
        (marks & RECEIVE_IP) == RECEIVE_IP)
        verify_report(RULE_NBL_OFFLOAD,
                      "indicated NET_BUFFER_LIST %p: checksum information 0x%x says succeeded and failed",
                      (const void *)list, marks);
}

static bool tcp_checksum_right(const struct received *received, const struct iovec *iov, unsigned pieces)
{
    const uint8_t *headers = received->headers;
    uint32_t skip = received->ip_bytes, done = 0;
    uint64_t sum =
        checksum_pseudo(headers + (received->version == 4 ? IPV4_SOURCE : IPV6_SOURCE),
                        received->version == 4 ? 8 : 32, PROTOCOL_TCP, received->length - received->ip_bytes);

    for (unsigned i = 0; i < pieces; i++) {
        uint32_t drop = skip < iov[i].iov_len ? skip : (uint32_t)iov[i].iov_len;
        uint32_t bytes = (uint32_t)iov[i].iov_len - drop;
        uint64_t part = checksum_add(0, (const uint8_t *)iov[i].iov_base + drop, bytes);

        skip -= drop;
        sum += done & 1 ? checksum_swap(part) : part;
        done += bytes;
    }
    return checksum_fold(sum) == 0xffff;
}

static void check_unit(const NET_BUFFER_LIST *list, uint32_t flags, const struct received *received,
                       const struct iovec *iov, unsigned pieces)
{
    NDIS_RSC_NBL_INFO info = {.Value = list->NetBufferListInfo[TcpRecvSegCoalesceInfo]};
    uint32_t marks = (uint32_t)(uintptr_t)list->NetBufferListInfo[TcpIpChecksumNetBufferListInfo];
    uint32_t wanted = NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_SUCCEEDED, said, payload;
    const uint8_t *headers = received->headers;
    bool four = received->version == 4;

    if (info.Info.CoalescedSegCount == 0)
        verify_report(RULE_NBL_OFFLOAD,
                      "indicated NET_BUFFER_LIST %p: DupAckCount is %u although CoalescedSegCount is 0",
                      (const void *)list, info.Info.DupAckCount);
    if (!(flags & (four ? OFFLOAD_COALESCE4 : OFFLOAD_COALESCE6)))
        verify_report(RULE_NBL_OFFLOAD,
                      "coalesced segments %p are indicated, but RSC is not enabled for IPv%u",
                      (const void *)list, received->version);
    if (!received->header_bytes || received->header_bytes > received->length)
        verify_report(RULE_NBL_OFFLOAD, "coalesced segments %p: there is no TCP header", (const void *)list);
    if (headers[received->ip_bytes + TCP_FLAGS] & (TCP_SYN | TCP_RST | TCP_URG))
        verify_report(RULE_NBL_OFFLOAD,
                      "coalesced segments %p: TCP flags 0x%02x, segments with SYN, RST or URG are none",
                      (const void *)list, headers[received->ip_bytes + TCP_FLAGS]);
    payload = received->length - received->header_bytes;
    said =
        four ? get16(headers + IPV4_TOTAL_LENGTH) : IPV6_HEADER_BYTES + get16(headers + IPV6_PAYLOAD_LENGTH);
    if (said != received->length || payload + info.Info.DupAckCount < info.Info.CoalescedSegCount)
        verify_report(RULE_NBL_OFFLOAD,
                      "coalesced segments %p: %u bytes with %u of payload, but CoalescedSegCount is %u and "
                      "the IP header says %u bytes",
                      (const void *)list, received->length, payload, info.Info.CoalescedSegCount, said);
    if (four)
        wanted |= NDIS_CHECKSUM_RECEIVE_IP_CHECKSUM_SUCCEEDED;
    if ((marks & wanted) != wanted)
        verify_report(RULE_NBL_OFFLOAD,
                      "coalesced segments %p: checksum information 0x%x does not say that IP's and TCP's "
                      "succeeded",
                      (const void *)list, marks);
    if (four && !(marks & NDIS_CHECKSUM_RECEIVE_IP_CHECKSUM_VALUE_INVALID) &&
        checksum_fold(checksum_add(0, headers, received->ip_bytes)) != 0xffff)
        verify_report(RULE_NBL_OFFLOAD,
                      "coalesced segments %p: the IPv4 checksum is wrong, IpChecksumValueInvalid is not set",
                      (const void *)list);
    if (!(marks & NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_VALUE_INVALID) &&
        !tcp_checksum_right(received, iov, pieces))
        verify_report(RULE_NBL_OFFLOAD,
                      "coalesced segments %p: the TCP checksum is wrong, TcpChecksumValueInvalid is not set",
                      (const void *)list);
}

void offload_check_received(struct ndis_adapter *adapter, const NET_BUFFER_LIST *list,
                            const struct iovec *iov, unsigned pieces)
{
    uint32_t marks = (uint32_t)(uintptr_t)list->NetBufferListInfo[TcpIpChecksumNetBufferListInfo];
    uint32_t flags = offload_lately(adapter);
    struct received received;

    look(&received, received.headers, iov, pieces);
    check_marks(list, flags, received.version, marks);
    if (list->NetBufferListInfo[TcpRecvSegCoalesceInfo])
        check_unit(list, flags, &received, iov, pieces);
}

bool offload_unit(const NET_BUFFER_LIST *list, struct iovec *iov, unsigned *pieces,
                  uint8_t headers[OFFLOAD_HEADERS_MAX], struct tun_packet *packet)
{
    NDIS_RSC_NBL_INFO info = {.Value = list->NetBufferListInfo[TcpRecvSegCoalesceInfo]};
    uint32_t segments = info.Info.CoalescedSegCount, payload, size, left;
    unsigned first = 1;
    struct received received;

    look(&received, headers, iov + 1, *pieces);
    if (!segments || !received.header_bytes || received.header_bytes >= received.length ||
        received.length > UINT16_MAX)
        return false;
    /* The headers leave their pieces and come from the copy. */
    for (left = received.header_bytes; left >= iov[first].iov_len; first++)
        left -= (uint32_t)iov[first].iov_len;
    iov[first] = (struct iovec){(uint8_t *)iov[first].iov_base + left, iov[first].iov_len - left};
    payload = received.length - received.header_bytes;
    /* A chain whose pieces are the segments says how long they were; else they are taken to be equal. */
    size = (uint32_t)iov[first].iov_len;
    if ((payload + size - 1) / size != segments)
        size = (payload + segments - 1) / segments;
    *packet = (struct tun_packet){
        .length = received.length,
        .needs_checksum = true,
        .checksum_start = (uint16_t)received.ip_bytes,
        .checksum_offset = TCP_CHECKSUM,
    };
    if (size < payload) {
        packet->gso_type = received.version == 4 ? TUN_GSO_TCP4 : TUN_GSO_TCP6;
        packet->gso_size = (uint16_t)size;
    }
    write_pseudo(headers, received.version, PROTOCOL_TCP, headers + received.ip_bytes + TCP_CHECKSUM,
                 received.length - received.ip_bytes);
    if (first > 1)
        memmove(iov + 1, iov + first, (*pieces + 1 - first) * sizeof *iov);
    *pieces -= first - 1;
    iov[0] = (struct iovec){headers, received.header_bytes};
    ++*pieces;
    return true;
}
