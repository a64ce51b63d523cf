/* See flow.h. */
#include "flow.h"
#include "protocol/byte_order.h"
#include <stdlib.h>
#include <string.h>

#define FLOW_MAGIC     UINT32_C(0x5759524d)
#define TEXT_BYTES     12 /* magic, flow, number */
#define UDP_BYTES      8
#define DEDUPE_INITIAL 64

struct packet_record {
    uint32_t length;
    uint8_t expected;
    bool delivered;
};

struct flow {
    uint8_t from;
    struct inner_address source, destination;
    bool ordered;
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
    flows[flow_count] = (struct flow){
        .from = from, .source = *source, .destination = *destination, .ordered = ordered, .highest = -1};
    return flow_count++;
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

uint32_t flow_build(int index, uint8_t *packet, uint32_t length, uint8_t expected)
{
    struct flow *flow = &flows[index];
    uint32_t header = header_bytes(flow->source.family), text = header + UDP_BYTES;
    if (length < text + TEXT_BYTES)
        length = text + TEXT_BYTES;
    if (flow->sent == flow->capacity) {
        flow->capacity = flow->capacity ? 2 * flow->capacity : DEDUPE_INITIAL;
        struct packet_record *grown = realloc(flow->records, flow->capacity * sizeof(*flow->records));
        if (!grown)
            abort();
        flow->records = grown;
    }
    uint32_t number = flow->sent++;
    flow->records[number] = (struct packet_record){.length = length, .expected = expected};

    ip_header(packet, length, &flow->source, &flow->destination);
    put_be16(packet + header, 4000);
    put_be16(packet + header + 2, 4001);
    put_be16(packet + header + 4, length - header);
    put_be16(packet + header + 6, 0);
    store_le32(packet + text, FLOW_MAGIC);
    store_le32(packet + text + 4, (uint32_t)index);
    store_le32(packet + text + 8, number);
    for (uint32_t i = text + TEXT_BYTES; i < length; i++)
        packet[i] = pattern((uint32_t)index, number, i);
    return length;
}

static bool is_unchanged(const struct flow *flow, uint32_t index, uint32_t number, const uint8_t *packet,
                         uint32_t length)
{
    uint8_t header[40];
    ip_header(header, length, &flow->source, &flow->destination);
    if (memcmp(header, packet, header_bytes(flow->source.family)) != 0)
        return false;
    for (uint32_t i = header_bytes(flow->source.family) + UDP_BYTES + TEXT_BYTES; i < length; i++)
        if (packet[i] != pattern(index, number, i))
            return false;
    return true;
}

void flow_delivered(uint8_t end, const uint8_t *packet, uint32_t length)
{
    struct inner_address source, destination;
    if (!ip_parse(packet, length, &source, &destination) || length < flow_packet_min(source.family)) {
        violation("delivered-malformed", "end %u got %u bytes that are no packet of ours", end, length);
        return;
    }
    const uint8_t *text = packet + header_bytes(source.family) + UDP_BYTES;
    uint32_t index = load_le32(text + 4), number = load_le32(text + 8);
    if (load_le32(text) != FLOW_MAGIC || index >= (uint32_t)flow_count || number >= flows[index].sent) {
        violation("delivered-unknown", "end %u got a packet that nobody sent", end);
        return;
    }
    struct flow *flow = &flows[index];
    struct packet_record *record = &flow->records[number];
    if (record->length != length || !is_unchanged(flow, index, number, packet, length))
        violation("delivered-changed", "end %u got packet %u of flow %u changed (%u bytes, sent were %u)",
                  end, number, index, length, record->length);
    if (record->expected != END_ANY && record->expected != end)
        violation("delivered-to-wrong-end", "packet %u of flow %u is for end %u, end %u got it", number,
                  index, record->expected, end);
    if (record->delivered)
        violation("delivered-twice", "packet %u of flow %u came to end %u again", number, index, end);
    if (flow->ordered && (int64_t)number < flow->highest)
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
    struct inner_address source, destination;
    if (!ip_parse(packet, length, &source, &destination) || length < flow_packet_min(source.family))
        return END_NONE;
    const uint8_t *text = packet + header_bytes(source.family) + UDP_BYTES;
    uint32_t index = load_le32(text + 4);
    return load_le32(text) == FLOW_MAGIC && index < (uint32_t)flow_count ? flows[index].from : END_NONE;
}

const struct inner_address *flow_destination(int flow)
{
    return &flows[flow].destination;
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
