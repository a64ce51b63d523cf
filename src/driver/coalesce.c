/* Coalescing received TCP segments; see coalesce.h. */
#include "coalesce.h"
#include "offload.h"
#include "protocol/byte_order.h"
#include "protocol/internet_checksum.h"
#include "protocol/transport.h"

/* Two no-operations and the timestamps, as everybody sends them (RFC 7323, appendix A). */
#define TIMESTAMP_OPTION_BYTES 12
static const uint8_t timestamp_option[4] = {1, 1, 8, 10};

struct segment {
    const uint8_t *headers;
    struct transport_view view;
    uint32_t slot, length, payload;
    uint8_t flags;
};

/* ---- finishing ---- */

/* The first segment's headers become those of the unit (Microsoft: "Updating the IP Headers for Coalesced
 * Segments").  Its TCP checksum is not computed anew, and marked so. */
static void unit_finish(struct coalescer *coalescer, struct rx_batch *rx, const struct coalesce_unit *unit)
{
    if (unit->segments == 1)
        return;
    uint8_t *headers = unit->headers, *tcp = headers + unit->ip_bytes;
    const uint8_t *latest = unit->latest + unit->ip_bytes;
    uintptr_t checksums =
        NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_SUCCEEDED | NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_VALUE_INVALID;
    NDIS_RSC_NBL_INFO info = {.Value = NULL};
    if (headers[0] >> 4 == 4) {
        store_be16(headers + IPV4_TOTAL_LENGTH, unit->length);
        store_be16(headers + IPV4_CHECKSUM, 0);
        uint16_t checksum =
            (uint16_t)~internet_checksum_fold(internet_checksum_bytes(headers, unit->ip_bytes));
        __builtin_memcpy(headers + IPV4_CHECKSUM, &checksum, sizeof(checksum));
        checksums |= NDIS_CHECKSUM_RECEIVE_IP_CHECKSUM_SUCCEEDED;
    } else {
        store_be16(headers + IPV6_PAYLOAD_LENGTH, unit->length - unit->ip_bytes);
    }
    tcp[TCP_FLAGS] |= latest[TCP_FLAGS] & TCP_PSH;
    __builtin_memcpy(tcp + TCP_ACKNOWLEDGMENT, latest + TCP_ACKNOWLEDGMENT, 4);
    __builtin_memcpy(tcp + TCP_WINDOW, latest + TCP_WINDOW, 2);

    NET_BUFFER_DATA_LENGTH(NET_BUFFER_LIST_FIRST_NB(unit->nbl)) = unit->length;
    info.Info.CoalescedSegCount = unit->segments;
    NET_BUFFER_LIST_INFO(unit->nbl, TcpRecvSegCoalesceInfo) = info.Value;
    NET_BUFFER_LIST_INFO(unit->nbl, TcpIpChecksumNetBufferListInfo) = (PVOID)checksums;
    coalescer->units++;
    coalescer->segments += unit->segments;
    coalescer->bytes += unit->length - unit->header_bytes;
}

static void unit_close(struct coalescer *coalescer, struct rx_batch *rx, uint32_t index)
{
    unit_finish(coalescer, rx, &coalescer->units_open[index]);
    coalescer->open--;
    for (uint32_t i = index; i < coalescer->open; i++)
        coalescer->units_open[i] = coalescer->units_open[i + 1];
}

void coalesce_end(struct coalescer *coalescer, struct rx_batch *rx)
{
    for (uint32_t i = 0; i < coalescer->open; i++)
        unit_finish(coalescer, rx, &coalescer->units_open[i]);
    coalescer->open = 0;
}

/* ---- which belong together ---- */

static bool same_flow(const struct coalesce_unit *unit, const struct segment *segment)
{
    const uint8_t *a = unit->headers, *b = segment->headers;
    if (a[0] >> 4 != b[0] >> 4 ||
        __builtin_memcmp(a + unit->ip_bytes, b + segment->view.ip_bytes, 4) != 0) /* ports */
        return false;
    return a[0] >> 4 == 4 ? __builtin_memcmp(a + IPV4_SOURCE, b + IPV4_SOURCE, 8) == 0
                          : __builtin_memcmp(a + IPV6_SOURCE, b + IPV6_SOURCE, 32) == 0;
}

/* May the segment be part of a unit ("Exception Conditions that Terminate Coalescing")? */
static bool is_plain_data(const struct segment *segment)
{
    const struct transport_view *view = &segment->view;
    uint32_t options = view->header_bytes - view->ip_bytes - TCP_HEADER_BYTES;
    if (segment->payload == 0 || (segment->flags & (uint8_t)~TCP_PSH) != TCP_ACK ||
        (segment->headers[view->ip_bytes + TCP_DATA_OFFSET] & 15) != 0)
        return false;
    if (view->version == 4 && view->ip_bytes != IPV4_HEADER_MIN_BYTES)
        return false;
    return options == 0 || (options == TIMESTAMP_OPTION_BYTES &&
                            __builtin_memcmp(segment->headers + view->ip_bytes + TCP_HEADER_BYTES,
                                             timestamp_option, sizeof(timestamp_option)) == 0);
}

/* Is the segment, plain data of the unit's flow, the next one of the unit? */
static bool continues(const struct coalesce_unit *unit, const struct segment *segment)
{
    const uint8_t *a = unit->headers, *b = segment->headers;
    uint32_t ip_bytes = unit->ip_bytes, options = ip_bytes + TCP_HEADER_BYTES;
    if (segment->view.header_bytes != unit->header_bytes || segment->payload > unit->segment_bytes ||
        unit->length + segment->payload > UINT16_MAX)
        return false;
    if (a[0] >> 4 == 4) {
        /* type of service with ECN, DF, time to live */
        if (a[1] != b[1] || a[IPV4_TTL] != b[IPV4_TTL] ||
            ((a[IPV4_FRAGMENT] ^ b[IPV4_FRAGMENT]) & (IPV4_DONT_FRAGMENT >> 8)) != 0)
            return false;
    } else if (__builtin_memcmp(a, b, 4) != 0 || a[IPV6_HOP_LIMIT] != b[IPV6_HOP_LIMIT]) {
        return false; /* traffic class with ECN, flow label */
    }
    uint32_t advance = load_be32(b + ip_bytes + TCP_ACKNOWLEDGMENT) -
                       load_be32(unit->latest + ip_bytes + TCP_ACKNOWLEDGMENT);
    return load_be32(b + ip_bytes + TCP_SEQUENCE) == unit->next_sequence && advance <= INT32_MAX &&
           __builtin_memcmp(a + options, b + options, unit->header_bytes - options) == 0;
}

/* ---- a packet comes ---- */

static void unit_append(struct coalesce_unit *unit, struct rx_batch *rx, const struct segment *segment)
{
    MDL *mdl = rx_batch_payload_mdl(rx, segment->slot, unit->header_bytes, segment->payload);
    if (unit->segments == 1) /* all but the last MDL of a chain end with their data */
        rx_batch_trim_first(rx, unit->slot, unit->length);
    unit->tail->Next = mdl;
    unit->tail = mdl;
    unit->latest = segment->headers;
    unit->segments++;
    unit->length += segment->payload;
    unit->next_sequence += segment->payload;
}

static void unit_open(struct coalescer *coalescer, struct rx_batch *rx, const struct segment *segment,
                      NET_BUFFER_LIST *nbl)
{
    if (coalescer->open == COALESCE_FLOWS)
        unit_close(coalescer, rx, 0);
    struct coalesce_unit *unit = &coalescer->units_open[coalescer->open++];
    unit->nbl = nbl;
    unit->headers = rx->buffer + segment->slot * rx->stride;
    unit->latest = segment->headers;
    unit->tail = NET_BUFFER_CURRENT_MDL(NET_BUFFER_LIST_FIRST_NB(nbl));
    unit->slot = segment->slot;
    unit->next_sequence =
        load_be32(segment->headers + segment->view.ip_bytes + TCP_SEQUENCE) + segment->payload;
    unit->length = segment->length;
    unit->segment_bytes = (uint16_t)segment->payload;
    unit->ip_bytes = segment->view.ip_bytes;
    unit->header_bytes = segment->view.header_bytes;
    unit->segments = 1;
}

NET_BUFFER_LIST *coalesce_add(struct coalescer *coalescer, struct rx_batch *rx, uint32_t i,
                              const struct packet_view *view)
{
    struct segment segment = {.headers = rx->buffer + i * rx->stride, .slot = i, .length = view->length};
    if (!(coalescer->offloads & (view->version == 4 ? OFFLOAD_RSC4 : OFFLOAD_RSC6)))
        return rx_batch_prepare(rx, i, view->length, view->version, coalescer->offloads);
    if (!transport_parse(segment.headers, view->length, &segment.view)) {
        coalesce_end(coalescer, rx); /* of which flow it is cannot be told: nothing is to overtake it */
        return rx_batch_prepare(rx, i, view->length, view->version, coalescer->offloads);
    }
    if (segment.view.protocol != TRANSPORT_TCP)
        return rx_batch_prepare(rx, i, view->length, view->version, coalescer->offloads);
    segment.payload = view->length - segment.view.header_bytes;
    segment.flags = segment.headers[segment.view.ip_bytes + TCP_FLAGS];

    bool plain = is_plain_data(&segment);
    for (uint32_t at = coalescer->open; at-- > 0;) {
        struct coalesce_unit *unit = &coalescer->units_open[at];
        if (!same_flow(unit, &segment))
            continue;
        if (plain && continues(unit, &segment)) {
            unit_append(unit, rx, &segment);
            if (segment.flags & TCP_PSH || segment.payload < unit->segment_bytes)
                unit_close(coalescer, rx, at);
            return NULL;
        }
        coalescer->aborts++;
        unit_close(coalescer, rx, at);
        break;
    }
    NET_BUFFER_LIST *nbl = rx_batch_prepare(rx, i, view->length, view->version, coalescer->offloads);
    if (plain && !(segment.flags & TCP_PSH))
        unit_open(coalescer, rx, &segment, nbl);
    return nbl;
}
