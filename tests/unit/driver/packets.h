/* Random IP packets with TCP or UDP headers, spread over MDLs, and completed (lengths and checksums) byte by
 * byte, straight from the RFCs: the reference for segmentation and coalescing. */
#pragma once

#include "check.h"
#include "nt/ndis.h"

#include <stdlib.h>
#include <string.h>

#define PACKET_MAX_BYTES 70000

static uint64_t random_state;

static inline void random_seed(uint32_t seed)
{
    random_state = seed * 0x9E3779B97F4A7C15ull + 1;
}

static inline uint32_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 16);
}

static inline uint32_t random_below(uint32_t bound)
{
    return bound ? random_next() % bound : 0;
}

static inline void random_fill(uint8_t *bytes, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)random_next();
}

static inline uint32_t headers_ip(const uint8_t *packet)
{
    return packet[0] >> 4 == 4 ? (packet[0] & 15u) * 4 : 40;
}

/* Headers with random addresses, ports and fields; options in units of 4 bytes.  Lengths and checksums are
 * random too.  Returns how long they are. */
static inline uint32_t packet_headers(uint8_t *packet, uint8_t version, uint8_t protocol, uint32_t ip_options,
                                      uint32_t tcp_options)
{
    uint32_t ip = version == 4 ? 20 + ip_options * 4 : 40;
    uint32_t transport = protocol == 6 ? 20 + tcp_options * 4 : 8;
    random_fill(packet, ip + transport);
    packet[0] = (uint8_t)(version << 4 | (version == 4 ? ip / 4 : packet[0] & 15u));
    packet[version == 4 ? 9 : 6] = protocol;
    if (version == 4)
        packet[6] &= 0x40, packet[7] = 0;
    if (protocol == 6) {
        packet[ip + 12] = (uint8_t)(transport / 4 << 4);
        packet[ip + 13] &= 0xd9; /* no SYN, RST, URG */
    }
    return ip + transport;
}

/* Sum of big-endian words, added to `sum`, folded. */
static inline uint16_t packet_sum(uint32_t sum, const uint8_t *bytes, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++) {
        sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
        if (sum > 0xffff)
            sum -= 0xffff;
    }
    return (uint16_t)sum;
}

/* Fills in lengths and checksums of a whole packet. */
static inline void packet_complete(uint8_t *packet, uint32_t length)
{
    uint32_t ip = headers_ip(packet), transport = length - ip;
    bool four = packet[0] >> 4 == 4;
    uint8_t protocol = packet[four ? 9 : 6];
    uint32_t at = four ? 2 : 4, value = four ? length : transport;
    packet[at] = (uint8_t)(value >> 8), packet[at + 1] = (uint8_t)value;
    uint8_t pseudo[40] = {0};
    uint32_t addresses = four ? 8 : 32;
    memcpy(pseudo, packet + (four ? 12 : 8), addresses);
    pseudo[addresses + 1] = protocol;
    pseudo[addresses + 2] = (uint8_t)(transport >> 8), pseudo[addresses + 3] = (uint8_t)transport;
    if (protocol == 17)
        packet[ip + 4] = (uint8_t)(transport >> 8), packet[ip + 5] = (uint8_t)transport;
    uint32_t field = ip + (protocol == 6 ? 16 : 6);
    packet[field] = packet[field + 1] = 0;
    uint16_t sum = packet_sum(packet_sum(0, pseudo, addresses + 4), packet + ip, transport);
    sum = (uint16_t)~sum;
    if (protocol == 17 && sum == 0)
        sum = 0xffff;
    packet[field] = (uint8_t)(sum >> 8), packet[field + 1] = (uint8_t)sum;
    if (four) {
        packet[10] = packet[11] = 0;
        sum = (uint16_t)~packet_sum(0, packet, ip);
        packet[10] = (uint8_t)(sum >> 8), packet[11] = (uint8_t)sum;
    }
}

/* `bytes` spread over MDLs of `piece` bytes each (more when they would be too many), behind `skip` bytes that
 * do not belong to the packet.  Each piece is a heap block of its own, so that AddressSanitizer sees every
 * byte too far. */
#define SPREAD_PIECES 1100
struct spread {
    MDL mdls[SPREAD_PIECES];
    NET_BUFFER buffer;
    uint32_t count, skip;
};

static inline void spread_make(struct spread *spread, const uint8_t *bytes, uint32_t length, uint32_t skip,
                               uint32_t piece)
{
    uint32_t total = skip + length;
    memset(&spread->buffer, 0, sizeof(spread->buffer));
    spread->count = 0;
    spread->skip = skip;
    if (piece < total / (SPREAD_PIECES - 1) + 1)
        piece = total / (SPREAD_PIECES - 1) + 1;
    for (uint32_t at = 0; at < total; at += piece) {
        MDL *mdl = &spread->mdls[spread->count++];
        uint32_t here = total - at < piece ? total - at : piece;
        uint8_t *block = malloc(here);
        for (uint32_t i = 0; i < here; i++)
            block[i] = at + i < skip ? 0xcc : bytes[at + i - skip];
        memset(mdl, 0, sizeof(*mdl));
        mdl->MdlFlags = MDL_SOURCE_IS_NONPAGED_POOL;
        mdl->MappedSystemVa = block;
        mdl->ByteCount = here;
        if (spread->count > 1)
            mdl[-1].Next = mdl;
    }
    /* NDIS: the current MDL is the one that holds the first byte */
    uint32_t first = 0, offset = skip;
    while (offset >= spread->mdls[first].ByteCount)
        offset -= spread->mdls[first++].ByteCount;
    NET_BUFFER_CURRENT_MDL(&spread->buffer) = &spread->mdls[first];
    NET_BUFFER_CURRENT_MDL_OFFSET(&spread->buffer) = offset;
    NET_BUFFER_DATA_LENGTH(&spread->buffer) = length;
}

/* Are the bytes still the same? */
static inline void spread_check(const struct spread *spread, const uint8_t *bytes, uint32_t length)
{
    uint32_t at = 0, wrong = 0;
    for (uint32_t i = 0; i < spread->count; i++) {
        const uint8_t *block = spread->mdls[i].MappedSystemVa;
        for (uint32_t j = 0; j < spread->mdls[i].ByteCount; j++, at++)
            wrong += at >= spread->skip && block[j] != bytes[at - spread->skip];
    }
    CHECK(at == spread->skip + length && wrong == 0);
}

static inline void spread_free(struct spread *spread)
{
    for (uint32_t i = 0; i < spread->count; i++)
        free(spread->mdls[i].MappedSystemVa);
}

static inline void nbl_make(NET_BUFFER_LIST *nbl, struct spread *spread)
{
    memset(nbl, 0, sizeof(*nbl));
    NET_BUFFER_LIST_FIRST_NB(nbl) = &spread->buffer;
}
