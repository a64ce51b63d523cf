/* See flow.h. */
#include "flow.h"
#include "protocol/byte_order.h"
#include "wire.h"
#include <stdlib.h>
#include <string.h>

#define FLOW_MAGIC     UINT32_C(0x5759524d)
#define TEXT_BYTES     12 /* magic, flow, number */
#define UDP_BYTES      8
#define TCP_BYTES      20
#define UDP            17
#define TCP            6
#define DEDUPE_INITIAL 64

struct packet_record {
    uint32_t length;
    uint32_t sequence;
    uint8_t flags; /* of TCP */
    uint8_t expected;
    bool delivered;
};

struct flow {
    uint8_t from;
    struct inner_address source, destination;
    bool ordered;
    uint8_t protocol;
    uint32_t sequence; /* of a stream: the next byte */
    uint32_t sent, capacity, received;
    int64_t highest; /* number of the latest delivered, -1: none */
    uint64_t last_delivery_ns;
    struct packet_record *records;
};

static struct flow *flows;
static int flow_count;

struct inner_address inner_of(uint8_t end, uint8_t family, uint8_t host)
{
    struct inner_address address = {.family = family};
    if (family == 4) {
        memcpy(address.bytes, (uint8_t[]){10, end, 0, host}, 4);
    } else {
        address.bytes[0] = 0xfd;
        address.bytes[3] = end;
        address.bytes[15] = host;
    }
    return address;
}

static uint32_t header_bytes(uint8_t family)
{
    return family == 4 ? 20 : 40;
}

uint32_t flow_packet_min(uint8_t family)
{
    return header_bytes(family) + UDP_BYTES + TEXT_BYTES;
}

int flow_new(uint8_t from, const struct inner_address *source, const struct inner_address *destination,
             bool ordered)
{
    struct flow *grown = realloc(flows, (size_t)(flow_count + 1) * sizeof(*flows));
    if (!grown)
        abort();
    flows = grown;
    flows[flow_count] = (struct flow){.from = from,
                                      .source = *source,
                                      .destination = *destination,
                                      .ordered = ordered,
                                      .highest = -1,
                                      .protocol = UDP};
    return flow_count++;
}

void flow_stream(int flow)
{
    flows[flow].protocol = TCP;
    flows[flow].sequence = random_below(UINT32_MAX);
}

int flow_between(uint8_t from, uint8_t to, uint8_t family)
{
    struct inner_address source = inner_of(from, family, 1), destination = inner_of(to, family, 1);
    return flow_new(from, &source, &destination, true);
}

static uint16_t ipv4_checksum(const uint8_t *header)
{
    uint32_t sum = 0;
    for (int i = 0; i < 20; i += 2)
        sum += i == 10 ? 0 : load_be16(header + i);
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)~(sum + (sum >> 16));
}

static void put_be16(uint8_t *place, uint32_t value)
{
    place[0] = (uint8_t)(value >> 8);
    place[1] = (uint8_t)value;
}

void ip_header(uint8_t *packet, uint32_t length, const struct inner_address *source,
               const struct inner_address *destination)
{
    memset(packet, 0, header_bytes(source->family));
    if (source->family == 4) {
        packet[0] = 0x45;
        put_be16(packet + 2, length);
        packet[8] = 64;
        packet[9] = 17;
        memcpy(packet + 12, source->bytes, 4);
        memcpy(packet + 16, destination->bytes, 4);
        put_be16(packet + 10, ipv4_checksum(packet));
    } else {
        packet[0] = 0x60;
        put_be16(packet + 4, length - 40);
        packet[6] = 17;
        packet[7] = 64;
        memcpy(packet + 8, source->bytes, 16);
        memcpy(packet + 24, destination->bytes, 16);
    }
}

bool ip_parse(const uint8_t *packet, uint32_t length, struct inner_address *source,
              struct inner_address *destination)
{
    uint8_t family = length ? packet[0] >> 4 : 0;
    if ((family != 4 && family != 6) || length < header_bytes(family))
        return false;
    *source = (struct inner_address){.family = family};
    *destination = *source;
    uint32_t bytes = family == 4 ? 4 : 16, at = family == 4 ? 12 : 8;
    memcpy(source->bytes, packet + at, bytes);
    memcpy(destination->bytes, packet + at + bytes, bytes);
    return true;
}

static uint8_t pattern(uint32_t flow, uint32_t number, uint32_t i)
{
    return (uint8_t)(flow * 31 + number * 7 + i * 13 + (i >> 8));
}

static uint32_t sum_bytes(uint32_t sum, const uint8_t *bytes, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
    return sum;
}

/* The checksum of TCP or UDP, whose field is zero (RFC 9293, 3.1). */
static uint32_t transport_checksum(const uint8_t *packet, uint32_t length, uint32_t header, uint8_t protocol)
{
    bool four = packet[0] >> 4 == 4;
    uint32_t sum = sum_bytes(protocol + length - header, packet + (four ? 12 : 8), four ? 8 : 32);
    sum = sum_bytes(sum, packet + header, length - header);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    sum = ~sum & 0xffff;
    return sum == 0 && protocol == UDP ? 0xffff : sum;
}

static uint32_t text_offset(const uint8_t *packet)
{
    uint8_t family = packet[0] >> 4;
    return header_bytes(family) + (packet[family == 4 ? 9 : 6] == TCP ? TCP_BYTES : UDP_BYTES);
}

/* Packet `number` of a flow, as recorded. */
static void write_packet(int index, uint32_t number, uint8_t *packet)
{
    const struct flow *flow = &flows[index];
    const struct packet_record *record = &flow->records[number];
    uint32_t header = header_bytes(flow->source.family), length = record->length, text;
    ip_header(packet, length, &flow->source, &flow->destination);
    packet[flow->source.family == 4 ? 9 : 6] = flow->protocol;
    text = text_offset(packet);
    if (flow->source.family == 4) {
        put_be16(packet + 4, number & 0x7fff);
        put_be16(packet + 10, ipv4_checksum(packet));
    }
    memset(packet + header, 0, text - header);
    put_be16(packet + header, 4000);
    put_be16(packet + header + 2, 4001);
    if (flow->protocol == TCP) {
        put_be16(packet + header + 4, record->sequence >> 16);
        put_be16(packet + header + 6, record->sequence);
        packet[header + 12] = TCP_BYTES / 4 << 4;
        packet[header + 13] = record->flags;
        put_be16(packet + header + 14, 1000);
    } else {
        put_be16(packet + header + 4, length - header);
    }
    store_le32(packet + text, FLOW_MAGIC);
    store_le32(packet + text + 4, (uint32_t)index);
    store_le32(packet + text + 8, number);
    for (uint32_t i = text + TEXT_BYTES; i < length; i++)
        packet[i] = pattern((uint32_t)index, number, i);
    put_be16(packet + header + (flow->protocol == TCP ? 16 : 6),
             transport_checksum(packet, length, header, flow->protocol));
}

uint32_t flow_build(int index, uint8_t *packet, uint32_t length, uint8_t expected)
{
    struct flow *flow = &flows[index];
    uint32_t headers = header_bytes(flow->source.family) + (flow->protocol == TCP ? TCP_BYTES : UDP_BYTES);
    if (flow->protocol == TCP && length > FLOW_SEGMENT_MAX)
        length = FLOW_SEGMENT_MAX;
    if (length < headers + TEXT_BYTES)
        length = headers + TEXT_BYTES;
    if (flow->sent == flow->capacity) {
        flow->capacity = flow->capacity ? 2 * flow->capacity : DEDUPE_INITIAL;
        struct packet_record *grown = realloc(flow->records, flow->capacity * sizeof(*flow->records));
        if (!grown)
            abort();
        flow->records = grown;
    }
    uint32_t number = flow->sent++;
    flow->records[number] =
        (struct packet_record){.length = length,
                               .expected = expected,
                               .sequence = flow->sequence,
                               .flags = flow->protocol == TCP && random_chance(10) ? 0x18 : 0x10};
    flow->sequence += length - headers;
    write_packet(index, number, packet);
    return length;
}

static bool is_unchanged(int index, uint32_t number, const uint8_t *packet, uint32_t length)
{
    static uint8_t sent[FLOW_PACKET_MAX];
    if (flows[index].records[number].length != length)
        return false;
    write_packet(index, number, sent);
    return memcmp(sent, packet, length) == 0;
}

/* Where flow and number are; NULL: nowhere. */
static const uint8_t *text_of(const uint8_t *packet, uint32_t length)
{
    struct inner_address source, destination;
    if (!ip_parse(packet, length, &source, &destination) || length < text_offset(packet) + TEXT_BYTES)
        return NULL;
    return packet + text_offset(packet);
}

void flow_delivered(uint8_t end, const uint8_t *packet, uint32_t length)
{
    const uint8_t *text = text_of(packet, length);
    if (!text) {
        violation("delivered-malformed", "end %u got %u bytes that are no packet of ours", end, length);
        return;
    }
    uint32_t index = load_le32(text + 4), number = load_le32(text + 8);
    if (load_le32(text) != FLOW_MAGIC || index >= (uint32_t)flow_count || number >= flows[index].sent) {
        violation("delivered-unknown", "end %u got a packet that nobody sent", end);
        return;
    }
    struct flow *flow = &flows[index];
    struct packet_record *record = &flow->records[number];
    if (!is_unchanged((int)index, number, packet, length))
        violation("delivered-changed", "end %u got packet %u of flow %u changed (%u bytes, sent were %u)",
                  end, number, index, length, record->length);
    if (record->expected != END_ANY && record->expected != end)
        violation("delivered-to-wrong-end", "packet %u of flow %u is for end %u, end %u got it", number,
                  index, record->expected, end);
    if (record->delivered)
        violation("delivered-twice", "packet %u of flow %u came to end %u again", number, index, end);
    if (flow->ordered && (int64_t)number < flow->highest && !wire_refused_lately())
        violation("delivered-out-of-order", "packet %u of flow %u came to end %u after packet %lld", number,
                  index, end, (long long)flow->highest);
    record->delivered = true;
    flow->received++;
    flow->last_delivery_ns = now_ns();
    if ((int64_t)number > flow->highest)
        flow->highest = number;
}

uint8_t flow_sender(const uint8_t *packet, uint32_t length)
{
    const uint8_t *text = text_of(packet, length);
    if (!text || load_le32(text) != FLOW_MAGIC || load_le32(text + 4) >= (uint32_t)flow_count)
        return END_NONE;
    return flows[load_le32(text + 4)].from;
}

const struct inner_address *flow_destination(int flow)
{
    return &flows[flow].destination;
}

void flow_expect_any(uint8_t from)
{
    for (int i = 0; i < flow_count; i++)
        for (uint32_t k = 0; flows[i].from == from && k < flows[i].sent; k++)
            flows[i].records[k].expected = END_ANY;
}

void flow_unordered(void)
{
    for (int i = 0; i < flow_count; i++)
        flows[i].ordered = false;
}

uint32_t flow_sent(int flow)
{
    return flows[flow].sent;
}

uint32_t flow_received(int flow)
{
    return flows[flow].received;
}

bool flow_was_received(int flow, uint32_t number)
{
    return number < flows[flow].sent && flows[flow].records[number].delivered;
}

uint64_t flow_last_delivery_ns(int flow)
{
    return flows[flow].last_delivery_ns;
}

void flow_reset(void)
{
    for (int i = 0; i < flow_count; i++)
        free(flows[i].records);
    free(flows);
    flows = NULL;
    flow_count = 0;
}
