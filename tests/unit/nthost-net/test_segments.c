/* Software segmentation and coalescing against an independent reference: every byte, every checksum, random
 * sizes, flags and options, both families, TCP and UDP; malformed input; and cutting what was coalesced gives
 * the packets back. */
#include "check.h"
#include "edge/coalesce.h"
#include "edge/segment.h"
#include "packets.h"

#define MAX_PACKET 65535u

static struct random rng = {12345};

/* ---- segmentation ---- */

/* The reference: packet `index` of the super-segment, from a copy of its headers. */
static uint32_t reference_cut(const struct flow *f, const uint8_t *super, uint32_t payload, uint32_t size,
                              uint32_t index, uint8_t *out)
{
    uint32_t h = header_bytes(f), ip = ip_bytes(f), count = (payload + size - 1) / size;
    uint32_t from = index * size, bytes = payload - from < size ? payload - from : size;

    memcpy(out, super, h);
    for (uint32_t i = 0; i < bytes; i++)
        out[h + i] = super[h + from + i];
    if (f->version == 4)
        w16(out + 4, r16(super + 4) + index);
    if (f->protocol == 6) {
        w32(out + ip + 4, r32(super + ip + 4) + from);
        if (index + 1 < count)
            out[ip + 13] &= (uint8_t)~0x09;
        if (index > 0)
            out[ip + 13] &= 0x7f;
    }
    finish(f, out, h + bytes, false);
    return h + bytes;
}

static void cut_one(uint32_t round)
{
    static uint8_t super[MAX_PACKET], expected[MAX_PACKET], got[MAX_PACKET];
    struct flow f = random_flow(&rng, (uint8_t)round);
    uint32_t h = header_bytes(&f);
    uint32_t payload = 1 + random_below(&rng, random_below(&rng, 3) ? 65535 - h : 5000);
    uint32_t size = 1 + random_below(&rng, random_below(&rng, 2) ? 1448 : 9000);
    uint8_t flags = (uint8_t)(0x10 | (random_below(&rng, 256) & 0xcb));
    struct tun_packet packet = {.data = super};
    struct segmenter s;
    bool same = true;

    if (payload / size > 300)
        size = payload / 300 + 1;
    if (payload > size * 2 && random_below(&rng, 4) == 0)
        payload -= payload % size; /* no shorter last */
    headers(&f, super, flags);
    for (uint32_t i = 0; i < payload; i++)
        super[h + i] = (uint8_t)random_next(&rng);
    if (f.protocol == 17 && payload > 2 && size > 2 &&
        random_below(&rng, 2)) { /* first sum zero: sent as 0xffff */
        uint32_t first = payload < size ? payload : size;

        w16(super + h, 0);
        memcpy(got, super, h + first);
        finish(&f, got, h + first, false);
        w16(super + h, r16(got + ip_bytes(&f) + 6));
    }
    finish(&f, super, h + payload, true);
    packet.length = h + payload;
    packet.gso_size = (uint16_t)size;
    packet.gso_type = f.protocol == 17 ? TUN_GSO_UDP : f.version == 4 ? TUN_GSO_TCP4 : TUN_GSO_TCP6;
    packet.needs_checksum = true;
    packet.checksum_start = (uint16_t)ip_bytes(&f);
    packet.checksum_offset = f.protocol == 17 ? 6 : 16;

    CHECK(segment_begin(&s, &packet) == 0);
    CHECK_MSG(s.count == (payload + size - 1) / size, "%u packets of %u by %u", s.count, payload, size);
    for (uint32_t i = 0; i < s.count && same; i++) {
        uint32_t length = reference_cut(&f, super, payload, size, i, expected);

        memset(got, 0xa5, length);
        segment_write(&s, i, got);
        same = segment_length(&s, i) == length && memcmp(got, expected, length) == 0;
    }
    CHECK_MSG(same, "round %u: version %d protocol %d payload %u size %u", round, f.version, f.protocol,
              payload, size);
}

/* A plain packet with an unfinished checksum, and a complete one. */
static void plain_one(uint32_t round)
{
    static uint8_t in[3000], expected[3000], got[3000];
    struct flow f = random_flow(&rng, (uint8_t)round);
    uint32_t h = header_bytes(&f), payload = random_below(&rng, 2000), length = h + payload;
    struct tun_packet packet = {.data = in, .length = length};
    struct segmenter s;

    headers(&f, in, 0x18);
    for (uint32_t i = 0; i < payload; i++)
        in[h + i] = (uint8_t)random_next(&rng);
    if (round % 50 == 0 && payload >= 2 && f.protocol == 17) { /* a sum of zero is sent as 0xffff */
        memset(in + h, 0, payload);
        finish(&f, in, length, false);
        w16(in + h, r16(in + ip_bytes(&f) + 6));
    }
    memcpy(expected, in, length);
    finish(&f, expected, length, false);
    memcpy(in, expected, length);
    CHECK(segment_begin(&s, &packet) == 0 && s.count == 1 && segment_length(&s, 0) == length);
    segment_write(&s, 0, got);
    CHECK(memcmp(got, expected, length) == 0);

    finish(&f, in, length, true);
    packet.needs_checksum = true;
    packet.checksum_start = (uint16_t)ip_bytes(&f);
    packet.checksum_offset = f.protocol == 17 ? 6 : 16;
    CHECK(segment_begin(&s, &packet) == 0);
    segment_write(&s, 0, got);
    CHECK_MSG(memcmp(got, expected, length) == 0, "round %u", round);
}

/* Damaged descriptions and headers: refused or cut without leaving the packet (the sanitizer watches). */
static void malformed(void)
{
    uint32_t length = 1 + random_below(&rng, 200);
    uint8_t *data = malloc(length), *out = malloc(length + 256);
    struct tun_packet packet = {.data = data, .length = length};
    struct segmenter s;

    for (uint32_t i = 0; i < length; i++)
        data[i] = (uint8_t)random_next(&rng);
    data[0] = (uint8_t)((random_below(&rng, 2) ? 0x40 : 0x60) | (random_next(&rng) & 15));
    if (length > 9)
        data[9] = random_below(&rng, 2) ? 6 : 17;
    packet.gso_type = (uint8_t)random_below(&rng, 4);
    packet.gso_size = (uint16_t)random_below(&rng, 60);
    packet.needs_checksum = random_below(&rng, 4);
    packet.checksum_start = (uint16_t)random_below(&rng, 220);
    packet.checksum_offset = (uint16_t)random_below(&rng, 20);
    if (segment_begin(&s, &packet) == 0)
        for (uint32_t i = 0; i < s.count; i++) {
            CHECK(segment_length(&s, i) <= length);
            segment_write(&s, i, out);
        }
    free(data);
    free(out);
}

/* ---- coalescing ---- */

#define PACKETS 400u

struct sent {
    uint8_t *data;
    uint32_t length;
    uint8_t flow;
    bool good; /* its checksum is right */
};

static struct sent sent[PACKETS];
static struct flow flows[4];
static uint32_t sent_count, received[4], runs, run_segments, misorder;

static uint32_t next_of_flow(uint8_t flow)
{
    for (uint32_t i = received[flow]; i < sent_count; i++)
        if (sent[i].flow == flow)
            return i;
    return UINT32_MAX;
}

/* Takes one packet that the peer would see, in its flow's order. */
static void take(const uint8_t *data, uint32_t length, bool id_may_differ)
{
    uint8_t flow = data[0] >> 4 == 4 ? data[15] : data[23];
    uint32_t expected;
    static uint8_t copy[MAX_PACKET];

    flow = (uint8_t)(data[0] >> 4 == 4 ? flow - 1 : flow);
    CHECK_MSG(flow < 4, "flow %u", flow);
    if (flow >= 4)
        return;
    expected = next_of_flow(flow);
    if (expected == UINT32_MAX) {
        misorder++;
        return;
    }
    received[flow] = expected + 1;
    memcpy(copy, data, length);
    if (id_may_differ && copy[0] >> 4 == 4) { /* with DF set the identification has no meaning: RFC 6864 */
        w16(copy + 4, r16(sent[expected].data + 4));
        w16(copy + 10, r16(sent[expected].data + 10));
    }
    if (length != sent[expected].length || memcmp(copy, sent[expected].data, length) != 0)
        misorder++;
}

static void emitted(void *context, const struct tun_packet *header, const struct iovec *iov,
                    unsigned iov_count, unsigned count)
{
    static uint8_t flat[MAX_PACKET], cut[MAX_PACKET];
    struct tun_packet packet = *header;
    struct segmenter s;
    uint32_t length = 0;

    for (unsigned i = 0; i < iov_count; i++) {
        CHECK(length + iov[i].iov_len <= sizeof flat);
        memcpy(flat + length, iov[i].iov_base, iov[i].iov_len);
        length += (uint32_t)iov[i].iov_len;
    }
    CHECK_MSG(length == header->length, "%u bytes, header says %u", length, header->length);
    if (header->gso_type == TUN_GSO_NONE) {
        CHECK(count == 1 && !header->needs_checksum);
        take(flat, length, false);
        return;
    }
    /* What the kernel relies on: headers in the first piece, lengths, the pseudo-header's sum. */
    const struct flow *f = &flows[flat[0] >> 4 == 4 ? flat[15] - 1 : flat[23]];

    runs++;
    run_segments += count;
    CHECK(iov[0].iov_len == header_bytes(f) && header->checksum_start == ip_bytes(f));
    CHECK(r16(flat + ip_bytes(f) + header->checksum_offset) ==
          naive_pseudo(flat, (uint32_t)f->protocol, length - ip_bytes(f)));
    if (f->version == 4)
        CHECK(naive_sum(0, flat, ip_bytes(f)) == 0xffff && r16(flat + 2) == length);
    else
        CHECK(r16(flat + 4) + 40 == length);
    if (f->protocol == 17)
        CHECK(r16(flat + ip_bytes(f) + 4) == length - ip_bytes(f));
    packet.data = flat;
    packet.length = length;
    CHECK(segment_begin(&s, &packet) == 0 && s.count == count);
    for (uint32_t i = 0; i < s.count; i++) {
        segment_write(&s, i, cut);
        take(cut, segment_length(&s, i), f->dont_fragment);
    }
}

/* One packet of a flow, mostly continuing it, sometimes with something that must break a run. */
static void make_packet(struct sent *packet, uint8_t id, bool *claimed)
{
    struct flow *f = &flows[id];
    uint32_t h = header_bytes(f), size = 200u + 100u * id;
    uint32_t payload = random_below(&rng, 20) ? size : random_below(&rng, size + 1);
    uint8_t flags = (uint8_t)(0x10 | (random_below(&rng, 25) ? 0 : 0x08) |
                              (random_below(&rng, 40) ? 0 : 1u << random_below(&rng, 8)));
    struct flow odd = *f;

    if (random_below(&rng, 40) == 0)
        odd.ttl++;
    if (random_below(&rng, 40) == 0)
        odd.tos ^= 4;
    if (random_below(&rng, 40) == 0)
        odd.sequence += 1; /* a hole */
    if (random_below(&rng, 40) == 0)
        odd.identification += 7;
    packet->flow = id;
    packet->length = h + payload;
    packet->data = malloc(packet->length);
    headers(&odd, packet->data, flags);
    for (uint32_t i = 0; i < payload; i++)
        packet->data[h + i] = (uint8_t)random_next(&rng);
    if (f->protocol == 6 && f->tcp_options && random_below(&rng, 40) == 0)
        packet->data[ip_bytes(f) + 21] ^= 1;
    if (f->protocol == 6 && random_below(&rng, 40) == 0)
        w16(packet->data + ip_bytes(f) + 14, 4097); /* another window */
    finish(&odd, packet->data, packet->length, false);
    packet->good = random_below(&rng, 40) != 0;
    *claimed = packet->good && random_below(&rng, 2);
    if (!packet->good)
        packet->data[packet->length - 1] ^= 0x10; /* damaged on the way: must come out as it is */
    if (packet->length > h && f->version == 4 && random_below(&rng, 60) == 0) {
        packet->data[6] |= 0x20; /* a fragment */
        w16(packet->data + 10, 0);
        w16(packet->data + 10, ~naive_sum(0, packet->data, ip_bytes(f)) & 0xffff);
    }
    f->sequence = odd.sequence + payload;
    f->identification = (odd.identification + 1) & 0xffff;
}

/* Random pieces, as MDL chains are. */
static unsigned scatter(const struct sent *packet, struct iovec *iov)
{
    unsigned count = 0;
    uint32_t done = 0;

    while (done < packet->length) {
        uint32_t bytes = packet->length - done;

        if (count < 5 && random_below(&rng, 3) == 0)
            bytes = 1 + random_below(&rng, bytes);
        iov[count++] = (struct iovec){packet->data + done, bytes};
        done += bytes;
    }
    return count;
}

static void coalesce_one(uint32_t round)
{
    static struct coalescer coalescer;
    struct iovec iov[8];
    bool tcp = random_below(&rng, 8), udp = random_below(&rng, 4);

    for (uint8_t i = 0; i < 4; i++) {
        flows[i] = random_flow(&rng, i);
        received[i] = 0;
    }
    misorder = 0;
    sent_count = 1 + random_below(&rng, PACKETS);
    coalesce_initialize(&coalescer, tcp, udp, emitted, NULL);
    bool claimed[PACKETS];

    for (uint32_t i = 0; i < sent_count; i++)
        make_packet(&sent[i], (uint8_t)(random_below(&rng, 4) ? i / 40 % 4 : random_below(&rng, 4)),
                    &claimed[i]);
    for (uint32_t i = 0; i < sent_count; i++) {
        unsigned pieces = scatter(&sent[i], iov);

        coalesce_add(&coalescer, iov, pieces, sent[i].length, claimed[i]);
        if (random_below(&rng, 100) == 0)
            coalesce_flush(&coalescer);
    }
    coalesce_flush(&coalescer);
    CHECK_MSG(misorder == 0, "round %u: %u packets came out in another order or changed", round, misorder);
    for (uint8_t i = 0; i < 4; i++)
        CHECK_MSG(next_of_flow(i) == UINT32_MAX, "round %u: packets of flow %u are missing", round, i);
    for (uint32_t i = 0; i < sent_count; i++)
        free(sent[i].data);
}

static void count_bytes(void *context, const struct tun_packet *header, const struct iovec *iov,
                        unsigned iov_count, unsigned count)
{
    for (unsigned i = 0; i < iov_count; i++)
        *(uint64_t *)context += iov[i].iov_len;
}

/* Headers that lie: nothing is read outside of the packet (the sanitizer watches), nothing is lost. */
static void garbage(void)
{
    static struct coalescer coalescer;
    uint32_t length = 1 + random_below(&rng, 150);
    uint8_t *data = malloc(length);
    uint32_t first = random_below(&rng, length + 1);
    struct iovec iov[2] = {{data, first}, {data + first, length - first}};
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < length; i++)
        data[i] = (uint8_t)random_next(&rng);
    if (length > 10) {
        bool v4 = random_below(&rng, 2);

        data[0] = (uint8_t)((v4 ? 0x40 : 0x60) | (random_below(&rng, 2) ? 5 : random_next(&rng) & 15));
        w16(data + (v4 ? 2 : 4), v4 ? length : length - 40);
        data[v4 ? 9 : 6] = random_below(&rng, 2) ? 6 : 17;
        if (v4)
            w16(data + 6, 0);
    }
    coalesce_initialize(&coalescer, true, true, count_bytes, &bytes);
    coalesce_add(&coalescer, iov, 2, length, random_below(&rng, 2));
    coalesce_add(&coalescer, iov, 2, length, random_below(&rng, 2));
    coalesce_flush(&coalescer);
    /* Twice the packet, or less by one repetition of the headers when both were joined. */
    CHECK(bytes <= 2 * (uint64_t)length && bytes >= length);
    free(data);
}

int main(void)
{
    for (uint32_t i = 0; i < 1500; i++)
        cut_one(i);
    for (uint32_t i = 0; i < 1500; i++)
        plain_one(i);
    for (uint32_t i = 0; i < 20000; i++)
        malformed();
    for (uint32_t i = 0; i < 400; i++)
        coalesce_one(i);
    for (uint32_t i = 0; i < 20000; i++)
        garbage();
    CHECK_MSG(runs > 1000 && run_segments > 3 * runs, "%u runs with %u segments: coalescing did not happen",
              runs, run_segments);
    return check_summary();
}
