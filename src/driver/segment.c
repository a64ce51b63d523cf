/* Cutting packets and filling in checksums; see segment.h. */
#include "segment.h"
#include "offload.h"
#include "protocol/byte_order.h"
#include "protocol/internet_checksum.h"
#include "protocol/packet.h"
#include "workspace.h"

#define TCP_FLAGS_NOT_CUT   (TCP_SYN | TCP_RST | TCP_URG)
#define TCP_FLAGS_LAST_ONLY (TCP_FIN | TCP_PSH)
/* Identifications of a large send's segments are of one half of the space (Microsoft: "Offloading the
 * Segmentation of Large TCP Packets"). */
#define IDENTIFICATION_COUNT 0x7fffu

/* ---- what is asked for ---- */

/* Payload bytes a segment, of a packet that is to be cut as `word` says (NDIS_LSO_V2_*, and NDIS_USO_*, which
 * has the same layout); 0: it must not be. */
static uint32_t cut_payload(uint32_t word, const struct transport_view *view, const uint8_t *headers,
                            uint32_t length, uint32_t mtu)
{
    uint32_t payload = (word & NDIS_LSO_V2_MSS) >> NDIS_LSO_V2_MSS_SHIFT;
    uint32_t offset = (word & NDIS_LSO_V2_TCP_HEADER_OFFSET) >> NDIS_LSO_V2_TCP_HEADER_OFFSET_SHIFT;
    uint32_t limit = mtu != 0 && mtu < PLAINTEXT_MAX_BYTES ? mtu : PLAINTEXT_MAX_BYTES;
    if (view->version == 4 && limit > UINT16_MAX)
        limit = UINT16_MAX;
    if (offset != view->ip_bytes || (word & NDIS_LSO_V2_IP_VERSION ? 6 : 4) != view->version)
        return 0;
    if (length <= view->header_bytes || length - view->header_bytes > OFFLOAD_CUT_MAX_BYTES ||
        view->header_bytes + payload > limit)
        return 0;
    if (view->protocol == TRANSPORT_TCP && headers[view->ip_bytes + TCP_FLAGS] & TCP_FLAGS_NOT_CUT)
        return 0;
    return payload;
}

/* Checksums alone; false when the request does not fit the packet. */
static bool sums_read(uint32_t word, const uint8_t *headers, uint32_t available, segment_request *request)
{
    struct transport_view view;
    uint32_t offset =
        (word & NDIS_CHECKSUM_TRANSMIT_TCP_HEADER_OFFSET) >> NDIS_CHECKSUM_TRANSMIT_TCP_HEADER_OFFSET_SHIFT;
    uint8_t version = headers[0] >> 4;
    bool tcp = word & NDIS_CHECKSUM_TRANSMIT_TCP_CHECKSUM, udp = word & NDIS_CHECKSUM_TRANSMIT_UDP_CHECKSUM;
    *request = 0;
    if (!tcp && !udp && !(word & NDIS_CHECKSUM_TRANSMIT_IP_HEADER_CHECKSUM))
        return true;
    if (!(word & (version == 4 ? NDIS_CHECKSUM_TRANSMIT_IS_IPV4 : NDIS_CHECKSUM_TRANSMIT_IS_IPV6)))
        return false;
    if (word & NDIS_CHECKSUM_TRANSMIT_IP_HEADER_CHECKSUM && version == 4)
        *request |= SEGMENT_SUM_IP;
    if (!tcp && !udp)
        return true;
    if (!transport_parse(headers, available, &view) || (tcp && udp) ||
        view.protocol != (tcp ? TRANSPORT_TCP : TRANSPORT_UDP) ||
        (tcp && offset != 0 && offset != view.ip_bytes))
        return false;
    *request |= SEGMENT_SUM_TRANSPORT;
    return true;
}

bool segment_request_read(NET_BUFFER_LIST *nbl, const uint8_t *headers, uint32_t available, uint32_t active,
                          uint32_t mtu, segment_request *request)
{
    uint32_t large = (uint32_t)(uintptr_t)NET_BUFFER_LIST_INFO(nbl, TcpLargeSendNetBufferListInfo);
    uint32_t udp = (uint32_t)(uintptr_t)NET_BUFFER_LIST_INFO(nbl, UdpSegmentationOffloadInfo);
    const NET_BUFFER *first = NET_BUFFER_LIST_FIRST_NB(nbl);
    struct transport_view view;

    if (large == 0 && udp == 0)
        return sums_read((uint32_t)(uintptr_t)NET_BUFFER_LIST_INFO(nbl, TcpIpChecksumNetBufferListInfo),
                         headers, available, request);
    segment_note_completion(nbl);
    if ((large != 0 && udp != 0) || NET_BUFFER_NEXT_NB(first) || !transport_parse(headers, available, &view))
        return false;
    uint32_t needed = large != 0 ? (view.version == 4 ? OFFLOAD_LSO4 : OFFLOAD_LSO6)
                                 : (view.version == 4 ? OFFLOAD_USO4 : OFFLOAD_USO6);
    if (!(active & needed) || view.protocol != (large != 0 ? TRANSPORT_TCP : TRANSPORT_UDP) ||
        (large != 0 && !(large & NDIS_LSO_V2_TYPE)))
        return false;
    uint32_t payload =
        cut_payload(large != 0 ? large : udp, &view, headers, NET_BUFFER_DATA_LENGTH(first), mtu);
    *request = payload | view.header_bytes / 4u << SEGMENT_HEADERS_SHIFT | SEGMENT_SUM_TRANSPORT |
               (view.version == 4 ? SEGMENT_SUM_IP : 0);
    return payload != 0;
}

/* ---- headers ---- */

static void sum_transport_header(struct segment_template *template)
{
    const struct transport_view *view = &template->view;
    uint8_t *transport = template->headers + view->ip_bytes;
    uint32_t transport_bytes = view->header_bytes - view->ip_bytes;
    if (view->protocol == TRANSPORT_TCP) {
        template->sequence = load_be32(transport + TCP_SEQUENCE);
        template->tcp_flags = transport[TCP_FLAGS];
        store_be16(transport + TCP_CHECKSUM, 0);
    } else {
        store_be16(transport + UDP_CHECKSUM, 0);
    }
    uint64_t sum = view->version == 4 ? internet_checksum_bytes(template->headers + IPV4_SOURCE, 8)
                                      : internet_checksum_bytes(template->headers + IPV6_SOURCE, 32);
    sum += internet_checksum_word(view->protocol);
    if (segment_payload(template->request) == 0) {
        /* the header stays, but for its checksum */
        template->transport_sum = sum + internet_checksum_bytes(transport, transport_bytes);
    } else if (view->protocol == TRANSPORT_TCP) {
        transport[TCP_FLAGS] = 0;
        store_be32(transport + TCP_SEQUENCE, 0);
        template->transport_sum = sum + internet_checksum_bytes(transport, transport_bytes);
    } else {
        store_be16(transport + UDP_LENGTH, 0);
        template->transport_sum = sum + internet_checksum_bytes(transport, transport_bytes);
    }
}

static void sum_ip_header(struct segment_template *template)
{
    uint8_t *ip = template->headers;
    store_be16(ip + IPV4_CHECKSUM, 0);
    if (segment_payload(template->request) != 0) {
        template->identification = load_be16(ip + IPV4_IDENTIFICATION);
        store_be16(ip + IPV4_IDENTIFICATION, 0);
        store_be16(ip + IPV4_TOTAL_LENGTH, 0);
    }
    template->ip_sum = internet_checksum_bytes(ip, template->view.ip_bytes);
}

bool segment_begin(struct segment_template *template, const NET_BUFFER *buffer, segment_request request)
{
    uint32_t length = NET_BUFFER_DATA_LENGTH(buffer);
    uint32_t available = length < TRANSPORT_HEADERS_MAX_BYTES ? length : TRANSPORT_HEADERS_MAX_BYTES;
    template->buffer = NULL;
    if (!mdl_copy(template->headers, NET_BUFFER_CURRENT_MDL(buffer), NET_BUFFER_CURRENT_MDL_OFFSET(buffer),
                  available))
        return false;
    if (!transport_parse(template->headers, available, &template->view)) {
        /* only an IPv4 header's sum can be wanted */
        if (request != SEGMENT_SUM_IP || available < IPV4_HEADER_MIN_BYTES || template->headers[0] >> 4 != 4)
            return false;
        uint16_t ip_bytes = (template->headers[0] & 15u) * 4;
        if (ip_bytes < IPV4_HEADER_MIN_BYTES || ip_bytes > available)
            return false;
        template->view =
            (struct transport_view){.version = 4, .ip_bytes = ip_bytes, .header_bytes = ip_bytes};
    }
    /* What was looked at when the NBL came may have changed since: it is the sender's memory. */
    if (segment_payload(request) != 0 && template->view.header_bytes != segment_headers(request))
        return false;
    template->request = request;
    template->payload_bytes = length - template->view.header_bytes;
    template->mdl = NET_BUFFER_CURRENT_MDL(buffer);
    template->mdl_start = 0;
    if (request & SEGMENT_SUM_TRANSPORT)
        sum_transport_header(template);
    if (request & SEGMENT_SUM_IP && template->view.version == 4)
        sum_ip_header(template);
    template->buffer = buffer;
    return true;
}

static void write_transport(const struct segment_template *template, uint32_t cut, uint32_t payload,
                            uint64_t sum, uint8_t *transport)
{
    const struct transport_view *view = &template->view;
    uint32_t size = segment_payload(template->request);
    uint16_t bytes = (uint16_t)(view->header_bytes - view->ip_bytes + payload);
    sum += template->transport_sum + internet_checksum_word(bytes);
    if (view->protocol == TRANSPORT_UDP) {
        if (size != 0) {
            store_be16(transport + UDP_LENGTH, bytes);
            sum += internet_checksum_word(bytes);
        }
        uint16_t checksum = (uint16_t)~internet_checksum_fold(sum);
        if (checksum == 0)
            checksum = 0xffff; /* RFC 768: zero would mean none */
        __builtin_memcpy(transport + UDP_CHECKSUM, &checksum, sizeof(checksum));
        return;
    }
    if (size != 0) {
        uint32_t sequence = template->sequence + cut;
        uint8_t flags = template->tcp_flags;
        if (cut + payload < template->payload_bytes)
            flags &= (uint8_t)~TCP_FLAGS_LAST_ONLY;
        if (cut != 0)
            flags &= (uint8_t)~TCP_CWR;
        store_be32(transport + TCP_SEQUENCE, sequence);
        transport[TCP_FLAGS] = flags;
        sum += internet_checksum_word((uint16_t)(sequence >> 16)) +
               internet_checksum_word((uint16_t)sequence) + internet_checksum_word(flags);
    }
    uint16_t checksum = (uint16_t)~internet_checksum_fold(sum);
    __builtin_memcpy(transport + TCP_CHECKSUM, &checksum, sizeof(checksum));
}

static void write_ipv4(const struct segment_template *template, uint32_t cut, uint32_t payload, uint8_t *ip)
{
    uint32_t size = segment_payload(template->request);
    uint64_t sum = template->ip_sum;
    if (size != 0) {
        uint16_t first = template->identification;
        uint16_t identification =
            (uint16_t)((first & ~IDENTIFICATION_COUNT) | ((first + cut / size) & IDENTIFICATION_COUNT));
        uint16_t length = (uint16_t)(template->view.header_bytes + payload);
        store_be16(ip + IPV4_TOTAL_LENGTH, length);
        store_be16(ip + IPV4_IDENTIFICATION, identification);
        sum += internet_checksum_word(length) + internet_checksum_word(identification);
    }
    uint16_t checksum = (uint16_t)~internet_checksum_fold(sum);
    __builtin_memcpy(ip + IPV4_CHECKSUM, &checksum, sizeof(checksum));
}

void segment_write_headers(const struct segment_template *template, uint32_t cut, uint32_t payload,
                           uint64_t sum, uint8_t *out)
{
    const struct transport_view *view = &template->view;
    __builtin_memcpy(out, template->headers, view->header_bytes);
    if (view->version == 6) {
        if (segment_payload(template->request) != 0)
            store_be16(out + IPV6_PAYLOAD_LENGTH, view->header_bytes - view->ip_bytes + payload);
    } else if (template->request & SEGMENT_SUM_IP) {
        write_ipv4(template, cut, payload, out);
    }
    if (template->request & SEGMENT_SUM_TRANSPORT)
        write_transport(template, cut, payload, sum, out + view->ip_bytes);
}

/* ---- payload ---- */

MDL *segment_seek(struct segment_template *template, uint32_t cut, uint32_t *offset)
{
    uint32_t at = NET_BUFFER_CURRENT_MDL_OFFSET(template->buffer) + template->view.header_bytes + cut;
    while (template->mdl && at - template->mdl_start >= MmGetMdlByteCount(template->mdl)) {
        template->mdl_start += MmGetMdlByteCount(template->mdl);
        template->mdl = template->mdl->Next;
    }
    *offset = at - template->mdl_start;
    return template->mdl;
}

bool segment_copy(struct segment_template *template, uint32_t cut, uint32_t bytes, uint8_t *out)
{
    uint32_t offset, headers = template->view.header_bytes, payload = bytes - headers;
    MDL *mdl = segment_seek(template, cut, &offset);
    if (payload > 0 && !mdl_copy(out + headers, mdl, offset, payload))
        return false;
    uint64_t sum =
        template->request & SEGMENT_SUM_TRANSPORT ? internet_checksum_bytes(out + headers, payload) : 0;
    segment_write_headers(template, cut, payload, sum, out);
    return true;
}
