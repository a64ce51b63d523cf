/* Packets for the tests, made and judged by code of its own: byte-by-byte checksums and headers, written from
 * the RFCs and not from nthost/edge. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct random {
    uint64_t state;
};

static inline uint32_t random_next(struct random *r)
{
    r->state = r->state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(r->state >> 33);
}

static inline uint32_t random_below(struct random *r, uint32_t n)
{
    return n ? random_next(r) % n : 0;
}

static inline void w16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline uint32_t r16(const uint8_t *p)
{
    return (uint32_t)(p[0] << 8 | p[1]);
}

static inline void w32(uint8_t *p, uint32_t v)
{
    w16(p, v >> 16);
    w16(p + 2, v);
}

static inline uint32_t r32(const uint8_t *p)
{
    return r16(p) << 16 | r16(p + 2);
}

/* RFC 1071, 16 bits at a time; not inverted. */
static inline uint32_t naive_sum(uint32_t sum, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static inline uint32_t naive_pseudo(const uint8_t *ip, uint32_t protocol, uint32_t length)
{
    uint8_t tail[4] = {(uint8_t)(length >> 8), (uint8_t)length, 0, (uint8_t)protocol};
    uint32_t sum = ip[0] >> 4 == 4 ? naive_sum(0, ip + 12, 8) : naive_sum(0, ip + 8, 32);

    return naive_sum(sum, tail, 4);
}

struct flow { /* what a packet of it looks like */
    int version;
    int protocol; /* 6, 17 */
    uint32_t ip_options, tcp_options;
    uint32_t sequence, identification;
    uint8_t id; /* distinguishes addresses and ports */
    uint8_t tos, ttl;
    bool dont_fragment;
};

static inline uint32_t ip_bytes(const struct flow *f)
{
    return f->version == 4 ? 20 + f->ip_options : 40;
}

static inline uint32_t header_bytes(const struct flow *f)
{
    return ip_bytes(f) + (f->protocol == 6 ? 20 + f->tcp_options : 8);
}

/* Sets lengths and checksums of a whole packet. `partial`: the transport checksum holds the pseudo-header's
 * sum only, as the kernel leaves it for an offload. */
static inline void finish(const struct flow *f, uint8_t *p, uint32_t length, bool partial)
{
    uint32_t ip = ip_bytes(f), transport_length = length - ip;
    uint8_t *field = p + ip + (f->protocol == 6 ? 16 : 6);
    uint32_t sum;

    if (f->version == 4) {
        w16(p + 2, length);
        w16(p + 10, 0);
        w16(p + 10, ~naive_sum(0, p, ip) & 0xffff);
    } else {
        w16(p + 4, length - 40);
    }
    if (f->protocol == 17)
        w16(p + ip + 4, transport_length);
    w16(field, 0);
    sum = naive_pseudo(p, (uint32_t)f->protocol, transport_length);
    if (partial) {
        w16(field, sum);
        return;
    }
    sum = ~naive_sum(sum, p + ip, transport_length) & 0xffff;
    if (f->protocol == 17 && sum == 0)
        sum = 0xffff;
    w16(field, sum);
}

/* Writes headers (flags for TCP), leaves the payload. */
static inline void headers(const struct flow *f, uint8_t *p, uint8_t flags)
{
    uint32_t ip = ip_bytes(f);

    memset(p, 0, header_bytes(f));
    if (f->version == 4) {
        p[0] = (uint8_t)(0x40 | ip / 4);
        p[1] = f->tos;
        w16(p + 4, f->identification);
        p[6] = f->dont_fragment ? 0x40 : 0;
        p[8] = f->ttl;
        p[9] = (uint8_t)f->protocol;
        w32(p + 12, 0x0a000001u + f->id);
        w32(p + 16, 0x0a010001u);
        memset(p + 20, 1, f->ip_options); /* no-operation */
    } else {
        w32(p, 0x60000000u | (uint32_t)f->tos << 20 | 0x12345);
        p[6] = (uint8_t)f->protocol;
        p[7] = f->ttl;
        p[8] = 0xfd;
        p[23] = f->id;
        p[24] = 0xfd;
        p[39] = 2;
    }
    w16(p + ip, 1000u + f->id);
    w16(p + ip + 2, 443);
    if (f->protocol == 6) {
        w32(p + ip + 4, f->sequence);
        w32(p + ip + 8, 0x01020304);
        p[ip + 12] = (uint8_t)((20 + f->tcp_options) / 4 << 4);
        p[ip + 13] = flags;
        w16(p + ip + 14, 4096);
        for (uint32_t i = 0; i < f->tcp_options; i++)
            p[ip + 20 + i] = (uint8_t)(f->id + i);
    }
}

static inline struct flow random_flow(struct random *r, uint8_t id)
{
    return (struct flow){
        .version = random_below(r, 2) ? 4 : 6,
        .protocol = random_below(r, 3) ? 6 : 17,
        .ip_options = 4 * (random_below(r, 4) ? 0 : random_below(r, 11)),
        .tcp_options = 4 * random_below(r, 11),
        .sequence = random_below(r, 4) ? random_next(r) : 0xffffff00u,
        .identification = random_below(r, 4) ? random_below(r, 65536) : 65530,
        .id = id,
        .tos = (uint8_t)(random_below(r, 64) << 2),
        .ttl = (uint8_t)(1 + random_below(r, 255)),
        .dont_fragment = random_below(r, 2),
    };
}
