/* Upper edge, receive: software GRO.  What joins a run must be what segmentation of the run would give back:
 * same addresses, ports, TTL, TOS, TCP options, window and acknowledgement; sequence numbers and IPv4
 * identifications that follow each other; equal sizes but for the last. */
#include "coalesce.h"

#include "checksum.h"
#include "packet.h"

struct view { /* a packet's headers, contiguous */
    const uint8_t *headers;
    uint8_t version, protocol;
    uint16_t ip_bytes, header_bytes;
    uint32_t length, payload;
    const struct iovec *iov;
    unsigned iov_count;
    uint8_t copy[COALESCE_HEADERS];
};

static size_t gather(const struct iovec *iov, unsigned iov_count, uint8_t *out, size_t max)
{
    size_t done = 0;

    for (unsigned i = 0; i < iov_count && done < max; i++) {
        size_t take = iov[i].iov_len < max - done ? iov[i].iov_len : max - done;

        memcpy(out + done, iov[i].iov_base, take);
        done += take;
    }
    return done;
}

/* Fills the view; false if the packet can be neither the start nor a part of a run. */
static bool look(struct view *v, const struct iovec *iov, unsigned iov_count, uint32_t length)
{
    size_t have;

    v->iov = iov;
    v->iov_count = iov_count;
    v->length = length;
    v->protocol = 0;
    if (iov_count > 0 && iov[0].iov_len >= (length < COALESCE_HEADERS ? length : COALESCE_HEADERS)) {
        v->headers = iov[0].iov_base;
        have = iov[0].iov_len;
    } else {
        have = gather(iov, iov_count, v->copy, sizeof v->copy);
        v->headers = v->copy;
    }
    if (have < IPV4_HEADER_BYTES)
        return false;
    v->version = v->headers[0] >> 4;
    if (v->version == 4) {
        v->ip_bytes = (uint16_t)((v->headers[0] & 15) * 4);
        v->protocol = v->headers[IPV4_PROTOCOL];
        if (v->ip_bytes < IPV4_HEADER_BYTES || get16(v->headers + IPV4_TOTAL_LENGTH) != length ||
            (get16(v->headers + IPV4_FRAGMENT) & 0x3fff))
            return false;
    } else if (v->version == 6 && have >= IPV6_HEADER_BYTES) {
        v->ip_bytes = IPV6_HEADER_BYTES;
        v->protocol = v->headers[IPV6_NEXT_HEADER];
        if (get16(v->headers + IPV6_PAYLOAD_LENGTH) + IPV6_HEADER_BYTES != length)
            return false;
    } else {
        return false;
    }
    if (v->protocol == PROTOCOL_TCP) {
        if (have < v->ip_bytes + TCP_HEADER_BYTES)
            return false;
        v->header_bytes = (uint16_t)(v->ip_bytes + (v->headers[v->ip_bytes + TCP_DATA_OFFSET] >> 4) * 4);
        if (v->header_bytes < v->ip_bytes + TCP_HEADER_BYTES)
            return false;
    } else if (v->protocol == PROTOCOL_UDP) {
        v->header_bytes = (uint16_t)(v->ip_bytes + UDP_HEADER_BYTES);
        if (have < v->header_bytes || get16(v->headers + v->ip_bytes + UDP_LENGTH) != length - v->ip_bytes)
            return false;
    } else {
        return false;
    }
    if (have < v->header_bytes || v->header_bytes > length)
        return false;
    v->payload = length - v->header_bytes;
    return true;
}

static const uint8_t *addresses(const uint8_t *headers, uint8_t version)
{
    return headers + (version == 4 ? IPV4_SOURCE : IPV6_SOURCE);
}

static size_t address_bytes(uint8_t version)
{
    return version == 4 ? 8 : 32;
}

/* Addresses and ports. */
static bool same_flow(const struct coalesce_slot *slot, const struct view *v)
{
    return slot->version == v->version && slot->protocol == v->protocol && slot->ip_bytes == v->ip_bytes &&
           memcmp(slot->headers + slot->ip_bytes, v->headers + v->ip_bytes, 4) == 0 &&
           memcmp(addresses(slot->headers, v->version), addresses(v->headers, v->version),
                  address_bytes(v->version)) == 0;
}

static bool checksum_right(uint8_t version, uint8_t protocol, const uint8_t *headers, uint32_t ip_bytes,
                           const struct iovec *iov, unsigned iov_count, uint32_t length)
{
    uint64_t sum =
        checksum_pseudo(addresses(headers, version), address_bytes(version), protocol, length - ip_bytes);
    size_t skip = ip_bytes;
    bool odd = false;

    if (version == 4 && checksum_fold(checksum_add(0, headers, ip_bytes)) != 0xffff)
        return false;
    if (protocol == PROTOCOL_UDP && headers[ip_bytes + UDP_CHECKSUM] == 0 &&
        headers[ip_bytes + UDP_CHECKSUM + 1] == 0)
        return false; /* none: a run would get one */
    for (unsigned i = 0; i < iov_count; i++) {
        const uint8_t *at = iov[i].iov_base;
        size_t bytes = iov[i].iov_len;
        size_t drop = skip < bytes ? skip : bytes;
        uint64_t part;

        skip -= drop;
        at += drop;
        bytes -= drop;
        part = checksum_add(0, at, bytes);
        sum += odd ? checksum_swap(part) : part;
        odd ^= bytes & 1;
    }
    return checksum_fold(sum) == 0xffff;
}

static void emit_slot(struct coalescer *c, struct coalesce_slot *slot)
{
    struct tun_packet packet = {0};
    uint8_t *transport = slot->headers + slot->ip_bytes;
    uint32_t total = slot->header_bytes + slot->payload_bytes;

    slot->used = false;
    c->in_use--;
    packet.length = total;
    if (slot->segments == 1) {
        c->emit(c->context, &packet, slot->iov + 1, slot->pieces, 1);
        return;
    }
    /* The headers of the run: lengths, the last segment's PSH and FIN, and the pseudo-header's sum that the
     * kernel completes in each segment. The first packet's own headers in iov[1..] are skipped. */
    if (slot->version == 4) {
        put16(slot->headers + IPV4_TOTAL_LENGTH, total);
        put16(slot->headers + IPV4_CHECKSUM, 0);
        put16_raw(slot->headers + IPV4_CHECKSUM,
                  (uint16_t)~checksum_fold(checksum_add(0, slot->headers, slot->ip_bytes)));
    } else {
        put16(slot->headers + IPV6_PAYLOAD_LENGTH, total - IPV6_HEADER_BYTES);
    }
    if (slot->protocol == PROTOCOL_TCP) {
        transport[TCP_FLAGS] |= slot->last_flags & TCP_PSH;
        packet.checksum_offset = TCP_CHECKSUM;
        packet.gso_type = slot->version == 4 ? TUN_GSO_TCP4 : TUN_GSO_TCP6;
    } else {
        put16(transport + UDP_LENGTH, total - slot->ip_bytes);
        packet.checksum_offset = UDP_CHECKSUM;
        packet.gso_type = TUN_GSO_UDP;
    }
    put16_raw(
        transport + packet.checksum_offset,
        checksum_fold(checksum_pseudo(addresses(slot->headers, slot->version), address_bytes(slot->version),
                                      slot->protocol, total - slot->ip_bytes)));
    packet.needs_checksum = true;
    packet.checksum_start = slot->ip_bytes;
    packet.gso_size = (uint16_t)slot->size;
    slot->iov[0] = (struct iovec){slot->headers, slot->header_bytes};

    /* Drop the first packet's headers from its pieces: usually they are a part of the first one. */
    size_t skip = slot->header_bytes;
    unsigned index = 1;

    while (skip > 0) {
        size_t take = skip < slot->iov[index].iov_len ? skip : slot->iov[index].iov_len;

        slot->iov[index].iov_base = (char *)slot->iov[index].iov_base + take;
        slot->iov[index].iov_len -= take;
        skip -= take;
        index++;
    }
    c->emit(c->context, &packet, slot->iov, slot->pieces + 1, slot->segments);
}

static void emit_plain(struct coalescer *c, const struct view *v)
{
    struct tun_packet packet = {.length = v->length};

    c->emit(c->context, &packet, v->iov, v->iov_count, 1);
}

/* Could this packet be the first of a run? */
static bool may_start(const struct coalescer *c, const struct view *v)
{
    if (v->payload == 0 || v->iov_count > COALESCE_PIECES)
        return false;
    if (v->protocol == PROTOCOL_TCP)
        return c->tcp && (v->headers[v->ip_bytes + TCP_FLAGS] & ~TCP_PSH & ~TCP_ECE) == TCP_ACK;
    return c->udp;
}

static bool may_join(const struct coalesce_slot *slot, const struct view *v)
{
    const uint8_t *a = slot->headers, *b = v->headers;
    const uint8_t *ta = a + slot->ip_bytes, *tb = b + v->ip_bytes;

    if (slot->closed || slot->header_bytes != v->header_bytes || v->payload > slot->size ||
        slot->segments == COALESCE_SEGMENTS ||
        slot->header_bytes + slot->payload_bytes + v->payload > 65535 ||
        slot->pieces + v->iov_count > COALESCE_PIECES)
        return false;
    if (v->version == 4) {
        bool dont_fragment = b[IPV4_FRAGMENT] & 0x40;

        if (a[IPV4_TOS] != b[IPV4_TOS] || a[IPV4_TTL] != b[IPV4_TTL] ||
            (a[IPV4_FRAGMENT] & 0xc0) != (b[IPV4_FRAGMENT] & 0xc0) ||
            (!dont_fragment && get16(b + IPV4_IDENTIFICATION) != slot->next_identification) ||
            memcmp(a + IPV4_HEADER_BYTES, b + IPV4_HEADER_BYTES, slot->ip_bytes - IPV4_HEADER_BYTES) != 0)
            return false;
    } else if (memcmp(a, b, 4) != 0 || a[7] != b[7]) { /* version, class, flow label; hop limit */
        return false;
    }
    if (v->protocol == PROTOCOL_UDP)
        return true;
    return get32(tb + TCP_SEQUENCE) == slot->next_sequence && memcmp(ta + 8, tb + 8, 5) == 0 &&
           ((ta[TCP_FLAGS] ^ tb[TCP_FLAGS]) & ~TCP_PSH) == 0 && memcmp(ta + 14, tb + 14, 2) == 0 &&
           memcmp(ta + 18, tb + 18, slot->header_bytes - slot->ip_bytes - 18) == 0;
}

static void append(struct coalesce_slot *slot, const struct view *v, size_t skip)
{
    for (unsigned i = 0; i < v->iov_count; i++) {
        size_t bytes = v->iov[i].iov_len;
        size_t drop = skip < bytes ? skip : bytes;

        skip -= drop;
        if (bytes > drop)
            slot->iov[1 + slot->pieces++] = (struct iovec){(char *)v->iov[i].iov_base + drop, bytes - drop};
    }
    slot->segments++;
    slot->payload_bytes += v->payload;
    slot->next_sequence += v->payload;
    slot->next_identification++;
    if (v->protocol == PROTOCOL_TCP) {
        slot->last_flags = v->headers[v->ip_bytes + TCP_FLAGS];
        slot->closed = slot->last_flags & TCP_PSH;
    }
    if (v->payload < slot->size)
        slot->closed = true;
}

static void start(struct coalescer *c, struct coalesce_slot *slot, const struct view *v, bool checksum_ok)
{
    slot->used = true;
    c->in_use++;
    slot->version = v->version;
    slot->protocol = v->protocol;
    slot->checksum_ok = checksum_ok;
    slot->closed = false;
    slot->last_flags = 0;
    slot->ip_bytes = v->ip_bytes;
    slot->header_bytes = v->header_bytes;
    slot->size = v->payload;
    slot->segments = 0;
    slot->payload_bytes = 0;
    slot->next_sequence = get32(v->headers + v->ip_bytes + TCP_SEQUENCE);
    slot->next_identification = v->version == 4 ? get16(v->headers + IPV4_IDENTIFICATION) : 0;
    slot->length = v->length;
    slot->pieces = 0;
    slot->age = c->clock++;
    memcpy(slot->headers, v->headers, v->header_bytes);
    append(slot, v, 0);
    slot->first_pieces = slot->pieces;
}

static struct coalesce_slot *find(struct coalescer *c, const struct view *v)
{
    if (c->slots[c->last].used && same_flow(&c->slots[c->last], v))
        return &c->slots[c->last];
    for (unsigned i = 0; i < COALESCE_FLOWS; i++)
        if (c->slots[i].used && same_flow(&c->slots[i], v)) {
            c->last = i;
            return &c->slots[i];
        }
    return NULL;
}

static struct coalesce_slot *free_slot(struct coalescer *c)
{
    unsigned oldest = 0;

    for (unsigned i = 0; i < COALESCE_FLOWS; i++) {
        if (!c->slots[i].used) {
            c->last = i;
            return &c->slots[i];
        }
        if (c->slots[i].age < c->slots[oldest].age)
            oldest = i;
    }
    emit_slot(c, &c->slots[oldest]);
    c->last = oldest;
    return &c->slots[oldest];
}

void coalesce_initialize(struct coalescer *c, bool tcp, bool udp, coalesce_emit *emit, void *context)
{
    memset(c, 0, sizeof *c);
    c->tcp = tcp;
    c->udp = udp;
    c->emit = emit;
    c->context = context;
}

void coalesce_add(struct coalescer *c, const struct iovec *iov, unsigned iov_count, uint32_t length,
                  bool checksum_ok)
{
    struct view v;
    struct coalesce_slot *slot;

    if (!look(&v, iov, iov_count, length)) {
        if (c->in_use) /* a fragment or the like: its flow is not known, so nothing may overtake it */
            coalesce_flush(c);
        emit_plain(c, &v);
        return;
    }
    slot = c->in_use ? find(c, &v) : NULL;
    if (slot && may_start(c, &v) && may_join(slot, &v)) {
        if (!slot->checksum_ok)
            slot->checksum_ok = checksum_right(slot->version, slot->protocol, slot->headers, slot->ip_bytes,
                                               slot->iov + 1, slot->first_pieces, slot->length);
        if (slot->checksum_ok && (checksum_ok || checksum_right(v.version, v.protocol, v.headers, v.ip_bytes,
                                                                iov, iov_count, length))) {
            append(slot, &v, v.header_bytes);
            return;
        }
    }
    if (slot)
        emit_slot(c, slot);
    if (!may_start(c, &v)) {
        emit_plain(c, &v);
        return;
    }
    start(c, slot ? slot : free_slot(c), &v, checksum_ok);
}

void coalesce_flush(struct coalescer *c)
{
    while (c->in_use) {
        struct coalesce_slot *oldest = NULL;

        for (unsigned i = 0; i < COALESCE_FLOWS; i++)
            if (c->slots[i].used && (!oldest || c->slots[i].age < oldest->age))
                oldest = &c->slots[i];
        emit_slot(c, oldest);
    }
}
