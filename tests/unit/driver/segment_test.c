/* Transmit offloads: packets cut and summed by segment.c, alone and as tx_batch.c has them encrypted (with a
 * cipher that changes nothing), against segments made byte by byte from RFC 791, 8200, 9293 and 768; requests
 * that do not fit their packets; the Internet checksum. */
#include "check.h"
#include "kernel_stub.h"
#include "offload.h"
#include "packets.h"
#include "peer.h"
#include "protocol/internet_checksum.h"
#include "protocol/packet.h"
#include "segment.h"
#include "wide.h"
#include "workspace.h"

#include "../../../src/driver/tx_batch.c"

/* ---- what the code under test calls ---- */

static uint32_t dropped, completed;

VOID NTAPI InitializeSListHead(PSLIST_HEADER head)
{
    memset(head, 0, sizeof(*head));
}

USHORT NTAPI ExQueryDepthSList(PSLIST_HEADER head)
{
    (void)head;
    return 0;
}

PSLIST_ENTRY NTAPI ExpInterlockedPopEntrySList(PSLIST_HEADER head)
{
    PSLIST_ENTRY entry = (PSLIST_ENTRY)(uintptr_t)head->HeaderX64.Words[1];
    head->HeaderX64.Words[1] = 0;
    return entry;
}

PSLIST_ENTRY NTAPI ExpInterlockedPushEntrySList(PSLIST_HEADER head, PSLIST_ENTRY entry)
{
    head->HeaderX64.Words[1] = (uintptr_t)entry;
    return NULL;
}

PVOID NTAPI MmMapLockedPagesSpecifyCache(PMDL mdl, KPROCESSOR_MODE mode, MEMORY_CACHING_TYPE type,
                                         PVOID address, ULONG bug_check, ULONG priority)
{
    (void)mdl, (void)mode, (void)type, (void)address, (void)bug_check, (void)priority;
    return NULL;
}

void drop_count(struct adapter *adapter, enum drop_reason reason, uint32_t n)
{
    (void)adapter, (void)reason;
    dropped += n;
}

void tx_batch_free(struct tx_batch *tx)
{
    (void)tx;
}

KIRQL NTAPI KeGetCurrentIrql(void)
{
    return DISPATCH_LEVEL;
}

VOID NTAPI NdisMSendNetBufferListsComplete(NDIS_HANDLE adapter, PNET_BUFFER_LIST chain, ULONG flags)
{
    (void)adapter, (void)flags;
    for (; chain; chain = chain->Next)
        completed++;
}

VOID FASTCALL ExReleaseRundownProtectionEx(PEX_RUNDOWN_REF rundown, ULONG count)
{
    (void)rundown, (void)count;
}

/* Copies the segments one after another: what is in place already must be at its place. */
void wide_seal(struct workspace *workspace, uint32_t count, uint32_t bytes)
{
    struct aead_item *items = workspace->items;
    (void)bytes;
    for (size_t i = 0; i < count; i++) {
        uint8_t *out = items[i].destination->data;
        size_t used = 0;
        for (size_t j = 0; j < items[i].source_count; j++) {
            memmove(out + used, items[i].source[j].data, items[i].source[j].length);
            used += items[i].source[j].length;
        }
        memset(out + used, 0, items[i].padding);
        items[i].ok = used + items[i].padding + AEAD_TAG_BYTES == items[i].destination->length;
    }
}

/* ---- the reference ---- */

/* A packet as it was before its transport header was touched: made of complete headers. */
static void check_segment(const uint8_t *whole, uint32_t headers, uint32_t payload, uint32_t mss,
                          uint32_t index, const uint8_t *got, const char *what, uint32_t seed)
{
    uint8_t wanted[PACKET_MAX_BYTES];
    uint32_t cut = index * mss, here = payload - cut < mss ? payload - cut : mss;
    uint32_t ip = whole[0] >> 4 == 4 ? (whole[0] & 15u) * 4 : 40;
    memcpy(wanted, whole, headers);
    memcpy(wanted + headers, whole + headers + cut, here);
    if (whole[0] >> 4 == 4) {
        uint32_t id = (uint32_t)whole[4] << 8 | whole[5];
        id = (id & 0x8000) | ((id + index) & 0x7fff);
        wanted[4] = (uint8_t)(id >> 8), wanted[5] = (uint8_t)id;
    }
    if (whole[0] >> 4 == 4 ? whole[9] == 6 : whole[6] == 6) {
        uint32_t sequence = ((uint32_t)whole[ip + 4] << 24 | (uint32_t)whole[ip + 5] << 16 |
                             (uint32_t)whole[ip + 6] << 8 | whole[ip + 7]) +
                            cut;
        for (int i = 0; i < 4; i++)
            wanted[ip + 4 + i] = (uint8_t)(sequence >> (24 - 8 * i));
        if (cut + here != payload)
            wanted[ip + 13] &= 0xf6; /* FIN, PSH */
        if (index != 0)
            wanted[ip + 13] &= 0x7f; /* CWR */
    }
    packet_complete(wanted, headers + here);
    CHECK_MSG(memcmp(wanted, got, headers + here) == 0, "%s: segment %u of %u/%u, seed %u", what, index,
              payload, mss, seed);
}

/* ---- batches ---- */

static struct adapter the_adapter;
static struct peer the_peer = {.adapter = &the_adapter};
static struct session_object the_session;
static uint8_t batch_memory[BATCH_MESSAGES_MAX_BYTES + 4096];

static void batch_make(struct tx_batch *tx, struct tx_packet *packets, WSK_BUF_LIST *messages)
{
    *tx = (struct tx_batch){.buffer = batch_memory,
                            .buffer_bytes = sizeof(batch_memory),
                            .limit = BATCH_PACKETS,
                            .packets = packets,
                            .messages = messages};
    tx->batch.adapter = &the_adapter;
    tx->batch.peer = &the_peer;
    tx->batch.session = &the_session;
    memset(batch_memory, 0xee, sizeof(batch_memory));
}

/* Cuts the packet as transmit.c does, batch by batch, and compares each message. */
static void check_batches(NET_BUFFER_LIST *nbl, segment_request request, const uint8_t *whole,
                          uint32_t length, uint32_t seed)
{
    static struct tx_packet packets[BATCH_PACKETS];
    static WSK_BUF_LIST messages[BATCH_PACKETS];
    NET_BUFFER *buffer = NET_BUFFER_LIST_FIRST_NB(nbl);
    uint32_t headers = segment_headers(request), mss = segment_payload(request);
    uint32_t count = segment_count(request, length), index = 0;
    while (index < count) {
        struct tx_batch tx;
        struct nbl_chain done = {0};
        uint32_t first = index;
        batch_make(&tx, packets, messages);
        while (index < count && tx_batch_room(&tx, segment_bytes(request, length, index * mss))) {
            struct tx_packet *packet = tx_batch_add(&tx, segment_bytes(request, length, index * mss), 0);
            packet->buffer = buffer;
            packet->nbl = nbl;
            packet->staged = NULL;
            packet->request = request;
            packet->cut = index++ * mss;
        }
        dropped = 0;
        tx_batch_encrypt(&tx, &done);
        CHECK_MSG(dropped == 0 && index > first, "batch from segment %u, seed %u", first, seed);
        for (uint32_t i = first; i < index; i++)
            check_segment(whole, headers, length - headers, mss, i,
                          batch_memory + packets[i - first].offset + MESSAGE_DATA_HEADER_BYTES, "batch",
                          seed);
    }
}

/* ---- tests ---- */

static void test_cut(uint32_t seed)
{
    static uint8_t whole[PACKET_MAX_BYTES], out[PACKET_MAX_BYTES];
    struct spread spread;
    NET_BUFFER_LIST nbl;
    segment_request request;
    struct segment_template template;

    random_seed(seed);
    uint8_t version = random_below(2) ? 4 : 6, protocol = random_below(3) ? 6 : 17;
    uint32_t headers = packet_headers(whole, version, protocol, random_below(11), random_below(11));
    uint32_t mss = 1 + random_below(random_below(2) ? 1460 : 9000);
    uint32_t payload = 1 + random_below(random_below(2) ? 5000 : 65535 - headers);
    if (payload > mss * 300)
        payload = mss * 300;
    random_fill(whole + headers, payload);
    spread_make(&spread, whole, headers + payload, random_below(70), 1 + random_below(4000));
    nbl_make(&nbl, &spread);
    uint32_t word = mss | (headers_ip(whole) << 20) | (version == 6 ? 0x80000000u : 0);
    if (protocol == 6)
        nbl.NetBufferListInfo[TcpLargeSendNetBufferListInfo] = (void *)(uintptr_t)(word | 0x40000000u);
    else
        nbl.NetBufferListInfo[UdpSegmentationOffloadInfo] = (void *)(uintptr_t)word;
    CHECK(segment_wanted(&nbl));
    bool fits = segment_request_read(&nbl, whole, headers + payload, OFFLOAD_ALL, 0, &request);
    CHECK_MSG(fits, "seed %u", seed);
    if (protocol == 6)
        CHECK((uintptr_t)nbl.NetBufferListInfo[TcpLargeSendNetBufferListInfo] == 0x40000000u);
    CHECK(segment_headers(request) == headers && segment_payload(request) == mss);
    CHECK(segment_count(request, headers + payload) == (payload + mss - 1) / mss);

    CHECK(segment_begin(&template, &spread.buffer, request));
    for (uint32_t i = 0; i < segment_count(request, headers + payload); i++) {
        uint32_t bytes = segment_bytes(request, headers + payload, i * mss);
        CHECK(segment_copy(&template, i * mss, bytes, out));
        check_segment(whole, headers, payload, mss, i, out, "copy", seed);
    }
    check_batches(&nbl, request, whole, headers + payload, seed);
    spread_check(&spread, whole, headers + payload); /* the sender's bytes are as they were */
    spread_free(&spread);
}

/* Checksums alone: the result is the complete packet, whatever stood in the fields. */
static void test_sums(uint32_t seed)
{
    static uint8_t whole[PACKET_MAX_BYTES], complete[PACKET_MAX_BYTES], out[PACKET_MAX_BYTES];
    struct spread spread;
    NET_BUFFER_LIST nbl;
    segment_request request;
    struct segment_template template;

    random_seed(seed);
    uint8_t version = random_below(2) ? 4 : 6, protocol = random_below(2) ? 6 : 17;
    uint32_t headers = packet_headers(whole, version, protocol, random_below(11), random_below(11));
    uint32_t length = headers + random_below(random_below(8) ? 1500 : 60000), ip = headers_ip(whole);
    random_fill(whole + headers, length - headers);
    if (random_below(4) == 0)
        memset(whole + headers, 0, length - headers);
    packet_complete(whole, length);
    memcpy(complete, whole, length);
    random_fill(whole + ip + (protocol == 6 ? 16 : 6), 2);
    if (version == 4)
        random_fill(whole + 10, 2);
    spread_make(&spread, whole, length, random_below(70), 1 + random_below(4000));
    nbl_make(&nbl, &spread);
    uint32_t word = (version == 4 ? 1 | 16 : 2) | (protocol == 6 ? 4 | ip << 16 : 8);
    nbl.NetBufferListInfo[TcpIpChecksumNetBufferListInfo] = (void *)(uintptr_t)word;
    CHECK(segment_request_read(&nbl, whole, length, OFFLOAD_ALL, 0, &request));
    CHECK(segment_payload(request) == 0 && segment_count(request, length) == 1);
    CHECK(segment_begin(&template, &spread.buffer, request));
    CHECK(segment_copy(&template, 0, segment_bytes(request, length, 0), out));
    CHECK_MSG(memcmp(out, complete, length) == 0, "seed %u", seed);

    static struct tx_packet packets[BATCH_PACKETS];
    static WSK_BUF_LIST messages[BATCH_PACKETS];
    struct tx_batch tx;
    struct nbl_chain done = {0};
    batch_make(&tx, packets, messages);
    for (int i = 0; i < 2; i++) {
        if (!tx_batch_room(&tx, length))
            break;
        struct tx_packet *packet = tx_batch_add(&tx, length, 0);
        packet->buffer = &spread.buffer;
        packet->nbl = &nbl;
        packet->staged = NULL;
        packet->request = request;
    }
    dropped = 0;
    tx_batch_encrypt(&tx, &done);
    CHECK(dropped == 0);
    for (uint32_t i = 0; i < tx.batch.count; i++)
        CHECK_MSG(memcmp(batch_memory + packets[i].offset + MESSAGE_DATA_HEADER_BYTES, complete, length) == 0,
                  "seed %u", seed);
    spread_check(&spread, whole, length);
    spread_free(&spread);
}

/* More pieces than the workspace has room for: some packets are copied, all are right. */
static void test_many_pieces(void)
{
    static uint8_t whole[PACKET_MAX_BYTES];
    struct spread spread;
    NET_BUFFER_LIST nbl;
    segment_request request;
    random_seed(77);
    uint32_t headers = packet_headers(whole, 4, 6, 0, 3);
    random_fill(whole + headers, 50000);
    spread_make(&spread, whole, headers + 50000, 3, 61);
    nbl_make(&nbl, &spread);
    nbl.NetBufferListInfo[TcpLargeSendNetBufferListInfo] =
        (void *)(uintptr_t)(1388u | 20u << 20 | 0x40000000u);
    CHECK(segment_request_read(&nbl, whole, 120, OFFLOAD_ALL, 1440, &request));
    check_batches(&nbl, request, whole, headers + 50000, 77);
    spread_free(&spread);
}

/* Headers damaged at random are refused or accepted, but nothing outside is read (AddressSanitizer). */
static void test_damaged(uint32_t seed)
{
    uint8_t whole[256];
    struct spread spread;
    NET_BUFFER_LIST nbl;
    segment_request request;
    random_seed(seed);
    uint32_t headers = packet_headers(whole, random_below(2) ? 4 : 6, random_below(2) ? 6 : 17,
                                      random_below(11), random_below(11));
    uint32_t length = 1 + random_below(headers + 30);
    if (length > sizeof(whole))
        length = sizeof(whole);
    for (uint32_t i = random_below(4); i > 0; i--)
        random_fill(whole + random_below(headers), 1);
    spread_make(&spread, whole, length, random_below(9), 1 + random_below(40));
    nbl_make(&nbl, &spread);
    static const int slots[] = {TcpLargeSendNetBufferListInfo, UdpSegmentationOffloadInfo,
                                TcpIpChecksumNetBufferListInfo};
    uint32_t word = random_next();
    if (random_below(2))
        word = (word & 0xC0000007u) | headers_ip(whole) << 20;
    nbl.NetBufferListInfo[slots[random_below(3)]] = (void *)(uintptr_t)word;
    uint32_t available = length < TRANSPORT_HEADERS_MAX_BYTES ? length : TRANSPORT_HEADERS_MAX_BYTES;
    uint8_t *exact = malloc(available);
    memcpy(exact, whole, available);
    if (segment_request_read(&nbl, exact, available, OFFLOAD_ALL, 0, &request) && request != 0) {
        struct segment_template template;
        if (random_below(4) == 0) /* changed after it was looked at */
            random_fill(MmGetSystemAddressForMdlSafe(&spread.mdls[0], 0), 1);
        if (segment_begin(&template, &spread.buffer, request)) {
            for (uint32_t i = 0; i < segment_count(request, length); i++) {
                uint32_t cut = i * segment_payload(request), bytes = segment_bytes(request, length, cut);
                uint8_t *out = malloc(bytes);
                CHECK(bytes <= length && segment_copy(&template, cut, bytes, out));
                free(out);
            }
        }
    }
    free(exact);
    spread_free(&spread);
}

static bool reads(uint8_t *whole, uint32_t length, int slot, uint32_t word, uint32_t active, uint32_t mtu)
{
    struct spread spread;
    NET_BUFFER_LIST nbl;
    segment_request request;
    spread_make(&spread, whole, length, 0, 5000);
    nbl_make(&nbl, &spread);
    nbl.NetBufferListInfo[slot] = (void *)(uintptr_t)word;
    bool fits = segment_request_read(&nbl, whole, length < 120 ? length : 120, active, mtu, &request);
    spread_free(&spread);
    return fits;
}

static void test_refusals(void)
{
    uint8_t whole[4096];
    enum {
        LSO = TcpLargeSendNetBufferListInfo,
        USO = UdpSegmentationOffloadInfo,
        SUM = TcpIpChecksumNetBufferListInfo
    };
    const uint32_t v2 = 0x40000000u, v6 = 0x80000000u, at = 20u << 20;
    random_seed(5);
    packet_headers(whole, 4, 6, 0, 0);
    whole[20 + 13] = 0x18;
    CHECK(reads(whole, 4000, LSO, v2 | at | 1400, OFFLOAD_ALL, 1440));
    CHECK(!reads(whole, 4000, LSO, v2 | at | 1401, OFFLOAD_ALL, 1440));      /* beyond the MTU */
    CHECK(reads(whole, 4000, LSO, v2 | at | 1401, OFFLOAD_ALL, 0));          /* which is not known */
    CHECK(!reads(whole, 4000, LSO, v2 | at | 65500, OFFLOAD_ALL, 0));        /* beyond a message */
    CHECK(!reads(whole, 4000, LSO, v2 | at | 0, OFFLOAD_ALL, 1440));         /* no MSS */
    CHECK(!reads(whole, 4000, LSO, at | 1400, OFFLOAD_ALL, 1440));           /* version 1 */
    CHECK(!reads(whole, 4000, LSO, v2 | v6 | at | 1400, OFFLOAD_ALL, 1440)); /* not IPv6 */
    CHECK(!reads(whole, 4000, LSO, v2 | 24u << 20 | 1400, OFFLOAD_ALL, 1440));
    CHECK(!reads(whole, 4000, LSO, v2 | at | 1400, OFFLOAD_ALL & ~OFFLOAD_LSO4, 1440));
    CHECK(reads(whole, 4000, LSO, v2 | at | 1400, OFFLOAD_LSO4, 1440));
    CHECK(!reads(whole, 40, LSO, v2 | at | 1400, OFFLOAD_ALL, 1440)); /* nothing to cut */
    CHECK(!reads(whole, 39, LSO, v2 | at | 1400, OFFLOAD_ALL, 1440)); /* header not there */
    CHECK(!reads(whole, 4000, USO, at | 1400, OFFLOAD_ALL, 1440));    /* not UDP */
    CHECK(reads(whole, 400, SUM, 1 | 4 | 16 | 20 << 16, OFFLOAD_ALL, 1440));
    CHECK(!reads(whole, 400, SUM, 2 | 4 | 20 << 16, OFFLOAD_ALL, 1440)); /* not IPv6 */
    CHECK(!reads(whole, 400, SUM, 1 | 8, OFFLOAD_ALL, 1440));            /* not UDP */
    CHECK(!reads(whole, 400, SUM, 1 | 4 | 8, OFFLOAD_ALL, 1440));        /* both */
    CHECK(!reads(whole, 400, SUM, 1 | 4 | 24 << 16, OFFLOAD_ALL, 1440)); /* elsewhere */
    CHECK(reads(whole, 400, SUM, 1, OFFLOAD_ALL, 1440));                 /* nothing asked */
    for (uint32_t flag = 1; flag < 256; flag <<= 1) {
        whole[20 + 13] = (uint8_t)flag;
        bool ordinary = !(flag & (0x02 | 0x04 | 0x20));
        CHECK(reads(whole, 4000, LSO, v2 | at | 1400, OFFLOAD_ALL, 1440) == ordinary);
    }
    whole[20 + 13] = 0x10;
    whole[6] = 0x20; /* more fragments */
    CHECK(!reads(whole, 4000, LSO, v2 | at | 1400, OFFLOAD_ALL, 1440));
    CHECK(!reads(whole, 400, SUM, 1 | 4, OFFLOAD_ALL, 1440));
    CHECK(reads(whole, 400, SUM, 1 | 16, OFFLOAD_ALL, 1440)); /* its IP header can be summed */
    packet_headers(whole, 6, 17, 0, 0);
    CHECK(reads(whole, 4000, USO, v6 | 40u << 20 | 1200, OFFLOAD_USO6, 1440));
    CHECK(!reads(whole, 4000, USO, v6 | 40u << 20 | 1200, OFFLOAD_USO4, 1440));
    whole[6] = 0; /* hop-by-hop options */
    CHECK(!reads(whole, 4000, USO, v6 | 40u << 20 | 1200, OFFLOAD_ALL, 1440));
    CHECK(!reads(whole, 400, SUM, 2 | 8, OFFLOAD_ALL, 1440));
}

/* A UDP sum that comes out as zero is sent as 0xffff: zero would mean none. */
static void test_zero_sum(void)
{
    uint8_t whole[64], out[64];
    uint32_t zeroes = 0;
    random_seed(11);
    for (uint8_t version = 4; version <= 6; version += 2) {
        uint32_t headers = packet_headers(whole, version, 17, 0, 0), ip = headers_ip(whole);
        for (uint32_t value = 0; value <= 0xffff; value++) {
            struct spread spread;
            struct segment_template template;
            whole[headers] = (uint8_t)(value >> 8), whole[headers + 1] = (uint8_t)value;
            packet_complete(whole, headers + 2);
            if (whole[ip + 6] != 0xff || whole[ip + 7] != 0xff)
                continue;
            zeroes++;
            spread_make(&spread, whole, headers + 2, 0, 100);
            CHECK(segment_begin(&template, &spread.buffer, SEGMENT_SUM_TRANSPORT));
            CHECK(segment_copy(&template, 0, headers + 2, out) && memcmp(out, whole, headers + 2) == 0);
            spread_free(&spread);
        }
    }
    CHECK(zeroes >= 2);
}

/* The sender changes its memory behind our back: the headers are another length than they were. */
static void test_changed(void)
{
    uint8_t whole[2000];
    struct spread spread;
    struct segment_template template;
    random_seed(12);
    uint32_t headers = packet_headers(whole, 4, 6, 0, 3);
    segment_request request = 400u | headers / 4 << SEGMENT_HEADERS_SHIFT | SEGMENT_SUM_TRANSPORT;
    spread_make(&spread, whole, sizeof(whole), 0, 5000);
    CHECK(segment_begin(&template, &spread.buffer, request));
    ((uint8_t *)spread.mdls[0].MappedSystemVa)[20 + 12] = 0xf0;
    CHECK(!segment_begin(&template, &spread.buffer, request));
    spread_free(&spread);
}

static void test_checksum(void)
{
    static uint8_t bytes[300000];
    random_seed(9);
    for (int i = 0; i < 3000; i++) {
        uint32_t offset = random_below(64), length = random_below(i < 20 ? sizeof(bytes) - 64 : 3000);
        random_fill(bytes + offset, length < 3000 ? length : 3000);
        if (i % 7 == 0)
            memset(bytes + offset, i % 14 ? 0xff : 0x80, length);
        uint8_t *exact = malloc(length + 1);
        memcpy(exact, bytes + offset, length);
        uint16_t got = internet_checksum_fold(internet_checksum_bytes(exact, length));
        uint16_t wanted = packet_sum(0, exact, length);
        got = (uint16_t)(got << 8 | got >> 8);
        CHECK_MSG(got == wanted || (got % 0xffff == 0 && wanted % 0xffff == 0), "%u bytes", length);
        free(exact);
    }
}

int main(void)
{
    test_checksum();
    test_refusals();
    test_zero_sum();
    test_changed();
    test_many_pieces();
    for (uint32_t seed = 1; seed <= 400; seed++)
        test_cut(seed);
    for (uint32_t seed = 1; seed <= 600; seed++)
        test_sums(seed);
    for (uint32_t seed = 1; seed <= 20000; seed++)
        test_damaged(seed);
    return check_summary();
}
