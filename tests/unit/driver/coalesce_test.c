/* Receive segment coalescing (coalesce.c with rx_batch.c's NBLs): what comes out, cut again, is what went in,
 * flow by flow and byte by byte; the rules by which units end; counts and marks. */
#include "check.h"
#include "coalesce.h"
#include "kernel_stub.h"
#include "offload.h"
#include "packets.h"
#include "segment.h"

#include "../../../src/driver/rx_batch.c"

#define SLOTS  64
#define STRIDE 2112
#define RSC    (OFFLOAD_RSC4 | OFFLOAD_RSC6 | OFFLOAD_RX_TCP4 | OFFLOAD_RX_IP4 | OFFLOAD_RX_TCP6)

/* ---- what the code under test calls ---- */

VOID NTAPI MmBuildMdlForNonPagedPool(PMDL mdl)
{
    mdl->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
    mdl->MappedSystemVa = (uint8_t *)mdl->StartVa + mdl->ByteOffset;
}

struct workspace *workspace_acquire(void)
{
    return NULL;
}

void workspace_release(struct workspace *workspace)
{
    (void)workspace;
}

uint32_t workspace_add_mdl(struct workspace *workspace, MDL *mdl, uint32_t offset, uint32_t length,
                           uint32_t limit)
{
    (void)workspace, (void)mdl, (void)offset, (void)length, (void)limit;
    return 0;
}

bool mdl_copy(uint8_t *to, MDL *mdl, uint32_t offset, uint32_t length)
{
    for (; mdl && length > 0; mdl = mdl->Next) {
        uint32_t here = mdl->ByteCount > offset ? mdl->ByteCount - offset : 0;
        here = here < length ? here : length;
        memcpy(to, (uint8_t *)mdl->MappedSystemVa + (here ? offset : 0), here);
        offset -= offset < mdl->ByteCount ? offset : mdl->ByteCount;
        to += here;
        length -= here;
    }
    return length == 0;
}

size_t aead_open_batch(struct aead_item *items, size_t count, struct aead_workspace *workspace)
{
    (void)items, (void)workspace;
    return count;
}

void udp_origin_of_datagram(const WSK_DATAGRAM_INDICATION *datagram, struct rx_origin *origin)
{
    (void)datagram, (void)origin;
}

void drop_count(struct adapter *adapter, enum drop_reason reason, uint32_t n)
{
    (void)adapter, (void)reason, (void)n;
}

void rx_batch_free(struct rx_batch *rx)
{
    (void)rx;
}

VOID FASTCALL ExReleaseRundownProtection(PEX_RUNDOWN_REF rundown)
{
    (void)rundown;
}

/* ---- a batch ---- */

static struct adapter the_adapter;
static struct rx_batch the_batch = {.slots = SLOTS, .stride = STRIDE};
static NET_BUFFER_LIST lists[SLOTS], *list_pointers[SLOTS];
static NET_BUFFER buffers[SLOTS];
static struct rx_packet slots[SLOTS];
static uint8_t originals[SLOTS][STRIDE];
static uint32_t lengths[SLOTS];

static void batch_make(void)
{
    the_batch.batch.adapter = &the_adapter;
    the_batch.buffer = aligned_alloc(64, SLOTS * STRIDE);
    the_batch.mdl_bytes = 128;
    the_batch.mdls = calloc(SLOTS * 2, the_batch.mdl_bytes);
    the_batch.nbls = list_pointers;
    the_batch.packets = slots;
    for (uint32_t i = 0; i < SLOTS; i++) {
        list_pointers[i] = &lists[i];
        NET_BUFFER_LIST_FIRST_NB(&lists[i]) = &buffers[i];
        MDL *mdl = slot_mdl(&the_batch, i, 0);
        MmInitializeMdl(mdl, the_batch.buffer + i * STRIDE, STRIDE);
        MmBuildMdlForNonPagedPool(mdl);
    }
}

static void batch_free(void)
{
    free(the_batch.buffer);
    free(the_batch.mdls);
}

/* The packet that was prepared in originals[i] arrives. */
static struct nbl_chain indicated;
static struct coalescer coalescer;

static void arrive(uint32_t i)
{
    struct packet_view view;
    if (!the_batch.buffer)
        abort();
    memset(the_batch.buffer + i * STRIDE, 0xdd, STRIDE);
    memcpy(the_batch.buffer + i * STRIDE, originals[i], lengths[i]);
    CHECK(packet_parse(originals[i], lengths[i], &view) == PACKET_OK && view.length == lengths[i]);
    NET_BUFFER_LIST *nbl = coalesce_add(&coalescer, &the_batch, i, &view);
    if (nbl)
        nbl_chain_append(&indicated, nbl);
}

static void begin(uint32_t offloads)
{
    indicated = (struct nbl_chain){0};
    coalesce_begin(&coalescer, offloads);
}

/* Cuts the units again; the packets in the order in which they are told.  Returns how many. */
static uint32_t recut(uint8_t out[SLOTS][STRIDE], uint32_t out_lengths[SLOTS])
{
    static uint8_t flat[PACKET_MAX_BYTES];
    uint32_t count = 0;
    for (NET_BUFFER_LIST *nbl = indicated.head; nbl; nbl = nbl->Next) {
        NET_BUFFER *buffer = NET_BUFFER_LIST_FIRST_NB(nbl);
        uint32_t length = NET_BUFFER_DATA_LENGTH(buffer), at = 0;
        if (!NET_BUFFER_CURRENT_MDL(buffer))
            abort();
        uintptr_t info = (uintptr_t)NET_BUFFER_LIST_INFO(nbl, TcpRecvSegCoalesceInfo);
        uintptr_t marks = (uintptr_t)NET_BUFFER_LIST_INFO(nbl, TcpIpChecksumNetBufferListInfo);
        CHECK(length <= 65535 && mdl_copy(flat, NET_BUFFER_CURRENT_MDL(buffer), 0, length));
        if (info == 0) {
            CHECK(NET_BUFFER_CURRENT_MDL(buffer)->Next == NULL && count < SLOTS);
            CHECK(!(marks & NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_VALUE_INVALID));
            memcpy(out[count], flat, length);
            out_lengths[count++] = length;
            continue;
        }
        for (MDL *mdl = NET_BUFFER_CURRENT_MDL(buffer); mdl; mdl = mdl->Next)
            at += mdl->ByteCount;
        CHECK(at == length && info >> 16 == 0 && info >= 2);
        CHECK(marks & NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_SUCCEEDED);
        CHECK(marks & NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_VALUE_INVALID);
        uint32_t ip = headers_ip(flat), headers = ip + (flat[ip + 12] >> 4) * 4u;
        uint32_t mss = NET_BUFFER_CURRENT_MDL(buffer)->ByteCount - headers;
        if (flat[0] >> 4 == 4) {
            CHECK(marks & NDIS_CHECKSUM_RECEIVE_IP_CHECKSUM_SUCCEEDED);
            CHECK(packet_sum(0, flat, ip) == 0xffff && (uint32_t)(flat[2] << 8 | flat[3]) == length);
        } else {
            CHECK((uint32_t)(flat[4] << 8 | flat[5]) == length - 40);
        }
        struct segment_template template;
        segment_request request =
            mss | headers / 4 << SEGMENT_HEADERS_SHIFT | SEGMENT_SUM_IP | SEGMENT_SUM_TRANSPORT;
        CHECK(segment_count(request, length) == info);
        CHECK(segment_begin(&template, buffer, request));
        for (uint32_t i = 0; i < info && count < SLOTS; i++, count++) {
            out_lengths[count] = segment_bytes(request, length, i * mss);
            CHECK(segment_copy(&template, i * mss, out_lengths[count], out[count]));
        }
    }
    return count;
}

/* ---- flows ---- */

struct flow {
    uint8_t headers[120];
    uint32_t header_bytes, mss, sequence;
    uint16_t identification;
};

static void flow_make(struct flow *flow, uint32_t number)
{
    uint8_t version = random_below(2) ? 4 : 6;
    bool timestamps = random_below(2);
    flow->header_bytes = packet_headers(flow->headers, version, 6, 0, timestamps ? 3 : 0);
    uint32_t ip = headers_ip(flow->headers);
    flow->headers[ip] = (uint8_t)number; /* the port: flows differ */
    flow->headers[ip + 13] = 0x10;
    flow->headers[ip + 12] &= 0xf0;
    if (timestamps)
        memcpy(flow->headers + ip + 20, "\1\1\10\12", 4);
    flow->mss = 1 + random_below(1400);
    flow->sequence = random_below(4) ? random_next() : 0xffffff00u;
    flow->identification = (uint16_t)random_next();
}

/* The flow's next segment, into slot i. */
static uint8_t *flow_next(struct flow *flow, uint32_t i, uint32_t payload, uint8_t flags)
{
    uint8_t *packet = originals[i];
    uint32_t ip = headers_ip(flow->headers);
    memcpy(packet, flow->headers, flow->header_bytes);
    random_fill(packet + flow->header_bytes, payload);
    for (int j = 0; j < 4; j++)
        packet[ip + 4 + j] = (uint8_t)(flow->sequence >> (24 - 8 * j));
    packet[ip + 13] |= flags;
    if (packet[0] >> 4 == 4) {
        packet[4] = (uint8_t)(flow->identification >> 8), packet[5] = (uint8_t)flow->identification;
        flow->identification =
            (uint16_t)((flow->identification & 0x8000) | ((flow->identification + 1) & 0x7fff));
    }
    flow->sequence += payload;
    lengths[i] = flow->header_bytes + payload;
    return packet;
}

static void flow_done(uint32_t i)
{
    packet_complete(originals[i], lengths[i]);
}

/* Segments of a super-segment become one unit, and the whole again. */
static void test_unit(uint32_t seed)
{
    static uint8_t out[SLOTS][STRIDE];
    uint32_t out_lengths[SLOTS];
    struct flow flow;
    random_seed(seed);
    flow_make(&flow, 1);
    uint32_t count = 2 + random_below(40);
    begin(RSC);
    for (uint32_t i = 0; i < count; i++) {
        bool last = i + 1 == count;
        flow_next(&flow, i, last ? 1 + random_below(flow.mss) : flow.mss, last && random_below(2) ? 8 : 0);
        flow_done(i);
        arrive(i);
    }
    coalesce_end(&coalescer, &the_batch);
    CHECK_MSG(indicated.count == 1 && coalescer.units == 1 && coalescer.segments == count, "seed %u", seed);
    CHECK(recut(out, out_lengths) == count);
    for (uint32_t i = 0; i < count; i++)
        CHECK_MSG(out_lengths[i] == lengths[i] && memcmp(out[i], originals[i], lengths[i]) == 0,
                  "segment %u of %u, seed %u", i, count, seed);
}

/* Which flow a packet is of: its port; 0 for those that are of none. */
static uint32_t flow_of(const uint8_t *packet)
{
    return packet[headers_ip(packet)];
}

/* Several flows, interleaved, with everything that ends a unit: each flow's packets come out as they went in.
 */
static void test_mix(uint32_t seed, uint64_t *joined)
{
    static uint8_t out[SLOTS][STRIDE];
    uint32_t out_lengths[SLOTS], flows_count, next[16] = {0};
    struct flow flows[12] = {0};
    random_seed(seed);
    flows_count = 1 + random_below(12);
    for (uint32_t f = 0; f < flows_count; f++)
        flow_make(&flows[f], f + 1);
    begin(random_below(8) ? RSC : RSC & ~OFFLOAD_RSC6);
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct flow *flow = &flows[random_below(flows_count)];
        uint32_t ip = headers_ip(flow->headers);
        bool four = flow->headers[0] >> 4 == 4;
        if (random_below(20) == 0)
            flow->sequence += random_below(3) - 1;
        if (random_below(40) == 0)
            flow->headers[random_below(2) ? (four ? 8 : 7) : 1]++; /* time to live, traffic class */
        if (random_below(40) == 0 && four)
            flow->headers[6] ^= 0x40;
        if (random_below(40) == 0)
            flow->headers[ip + (flow->header_bytes > ip + 20 ? 27 : 14)]++; /* timestamp, window */
        uint32_t payload = random_below(12) ? flow->mss : random_below(1 + flow->mss + random_below(20));
        uint8_t *packet =
            flow_next(flow, i, payload, random_below(10) ? 0 : (uint8_t)(1u << random_below(8)));
        if (random_below(60) == 0)
            packet[four ? 9 : 6] = 17; /* something else */
        if (random_below(60) == 0 && four)
            packet[6] |= 0x20; /* a fragment: its ports are those of a flow, too */
        flow_done(i);
        arrive(i);
    }
    coalesce_end(&coalescer, &the_batch);
    *joined += coalescer.segments - coalescer.units;
    uint32_t count = recut(out, out_lengths);
    CHECK(count == SLOTS);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t flow = flow_of(out[i]), at = next[flow & 15];
        while (at < SLOTS && flow_of(originals[at]) != flow)
            at++;
        next[flow & 15] = at + 1;
        /* a window or an acknowledgment is that of the unit's last segment: compared in test_rules */
        if (at < SLOTS && originals[at][0] >> 4 == out[i][0] >> 4) {
            uint32_t ip = headers_ip(out[i]);
            memcpy(out[i] + ip + 14, originals[at] + ip + 14, 4);
        }
        CHECK_MSG(at < SLOTS && out_lengths[i] == lengths[at] &&
                      memcmp(out[i], originals[at], lengths[at]) == 0,
                  "packet %u, seed %u", i, seed);
    }
}

enum change { SAME, ACK_ON, ACK_BACK, WINDOW, ECN, HOPS, BIGGER, GAP, REPEATED, EMPTY, FIN, URG, TS, OTHER };

/* Two segments, the second changed: how many NBLs? */
static uint32_t two(enum change change, uint32_t seed, bool four)
{
    struct flow flow;
    random_seed(seed);
    do
        flow_make(&flow, 1);
    while ((flow.headers[0] >> 4 == 4) != four || flow.header_bytes == headers_ip(flow.headers) + 20);
    flow.mss = 1000;
    uint32_t ip = headers_ip(flow.headers);
    memset(flow.headers + ip + 8, 0x44, 4);
    begin(RSC);
    flow_next(&flow, 0, 1000, 0);
    flow_done(0);
    uint32_t payload = change == BIGGER ? 1001 : change == EMPTY ? 0 : 1000;
    flow.sequence += change == GAP ? 1 : change == REPEATED ? -1000u : 0;
    uint8_t *packet = flow_next(&flow, 1, payload, change == FIN ? 1 : change == URG ? 0x20 : 0);
    if (change == ACK_ON)
        packet[ip + 11]++;
    if (change == ACK_BACK)
        packet[ip + 11]--;
    if (change == WINDOW)
        packet[ip + 14]++;
    if (change == ECN)
        packet[1] ^= four ? 1 : 0x10;
    if (change == HOPS)
        packet[four ? 8 : 7]++;
    if (change == TS)
        packet[ip + 27]++;
    if (change == OTHER)
        packet[ip + 20] = 2;
    flow_done(1);
    arrive(0);
    arrive(1);
    coalesce_end(&coalescer, &the_batch);
    if (change == ACK_ON || change == WINDOW) { /* those of the last one */
        uint8_t flat[4096];
        NET_BUFFER *buffer = NET_BUFFER_LIST_FIRST_NB(indicated.head);
        CHECK(mdl_copy(flat, NET_BUFFER_CURRENT_MDL(buffer), 0, NET_BUFFER_DATA_LENGTH(buffer)));
        CHECK(memcmp(flat + ip + 8, packet + ip + 8, 4) == 0 &&
              memcmp(flat + ip + 14, packet + ip + 14, 2) == 0);
    }
    return indicated.count;
}

static void test_rules(void)
{
    for (uint32_t seed = 1; seed < 20; seed++) {
        for (int four = 0; four < 2; four++) {
            CHECK(two(SAME, seed, four) == 1);
            CHECK(two(ACK_ON, seed, four) == 1);
            CHECK(two(WINDOW, seed, four) == 1);
            for (enum change change = ECN; change <= OTHER; change++)
                CHECK_MSG(two(change, seed, four) == 2, "change %d", (int)change);
            CHECK(two(ACK_BACK, seed, four) == 2);
        }
    }
}

/* A fragment is of a flow that cannot be told: what came before it is told before it. */
static void test_fragment(void)
{
    struct flow flow;
    random_seed(4);
    do
        flow_make(&flow, 1);
    while (flow.headers[0] >> 4 != 4);
    begin(RSC);
    for (uint32_t i = 0; i < 5; i++) {
        uint8_t *packet = flow_next(&flow, i, i == 2 ? 0 : flow.mss, 0);
        if (i == 2)
            packet[6] |= 0x20;
        flow_done(i);
        arrive(i);
    }
    coalesce_end(&coalescer, &the_batch);
    CHECK(indicated.count == 3 && coalescer.units == 2);
}

/* 64 KB at most, and nothing when it is off. */
static void test_limits(void)
{
    struct flow flow;
    uint32_t total = 0;
    random_seed(3);
    do
        flow_make(&flow, 1);
    while (flow.headers[0] >> 4 != 4);
    begin(RSC);
    for (uint32_t i = 0; i < 40; i++) {
        flow_next(&flow, i, 2000, 0);
        flow_done(i);
        arrive(i);
    }
    coalesce_end(&coalescer, &the_batch);
    CHECK(indicated.count == 2);
    for (NET_BUFFER_LIST *nbl = indicated.head; nbl; nbl = nbl->Next) {
        CHECK(NET_BUFFER_DATA_LENGTH(NET_BUFFER_LIST_FIRST_NB(nbl)) <= 65535);
        total += NET_BUFFER_DATA_LENGTH(NET_BUFFER_LIST_FIRST_NB(nbl)) - flow.header_bytes;
    }
    CHECK(total == 40 * 2000);
    begin(OFFLOAD_ALL & ~OFFLOAD_RSC4);
    for (uint32_t i = 0; i < 40; i++)
        arrive(i);
    coalesce_end(&coalescer, &the_batch);
    CHECK(indicated.count == 40);
    for (NET_BUFFER_LIST *nbl = indicated.head; nbl; nbl = nbl->Next) {
        NET_BUFFER *buffer = NET_BUFFER_LIST_FIRST_NB(nbl);
        CHECK(NET_BUFFER_CURRENT_MDL(buffer)->Next == NULL); /* nothing is left of the last use */
        CHECK(NET_BUFFER_CURRENT_MDL(buffer)->ByteCount == STRIDE &&
              !nbl->NetBufferListInfo[TcpRecvSegCoalesceInfo]);
    }
}

int main(void)
{
    uint64_t joined = 0;
    batch_make();
    test_rules();
    test_limits();
    test_fragment();
    for (uint32_t seed = 1; seed <= 300; seed++)
        test_unit(seed);
    for (uint32_t seed = 1; seed <= 600; seed++)
        test_mix(seed, &joined);
    CHECK_MSG(joined > 2000, "%llu segments were joined to others", (unsigned long long)joined);
    batch_free();
    return check_summary();
}
