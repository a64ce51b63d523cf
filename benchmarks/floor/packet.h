/* IPv4, TCP and UDP headers as far as cutting and coalescing need them, and the Internet checksum (RFC 1071).
 * Offsets are of RFC 791, 9293 and 768. */
#pragma once

#include <stdint.h>
#include <string.h>

enum {
    IP_TOS = 1,
    IP_LENGTH = 2,
    IP_ID = 4,
    IP_FRAGMENT = 6,
    IP_TTL = 8,
    IP_PROTOCOL = 9,
    IP_CHECKSUM = 10,
    IP_ADDRESSES = 12,
    IP_BYTES = 20,
    TCP_SEQUENCE = 4,
    TCP_ACKNOWLEDGEMENT = 8,
    TCP_OFFSET = 12,
    TCP_FLAGS = 13,
    TCP_CHECKSUM = 16,
    TCP_BYTES = 20,
    UDP_LENGTH = 4,
    UDP_CHECKSUM = 6,
    UDP_BYTES = 8
};
#define TCP_FIN  0x01u
#define TCP_PUSH 0x08u
#define TCP_ACK  0x10u
#define TCP_CWR  0x80u

static inline uint16_t load16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void store16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline uint32_t load32(const uint8_t *at)
{
    return (uint32_t)load16(at) << 16 | load16(at + 2);
}

static inline void store32(uint8_t *at, uint32_t value)
{
    store16(at, value >> 16);
    store16(at + 2, value & 0xffff);
}

/* The widest vectors that the processor has; set before main. */
extern uint64_t (*checksum_wide)(const uint8_t *bytes, size_t length);

/* Sum of 16-bit words in memory order, not folded.  64-bit sums of 32-bit words never carry out. */
static inline uint64_t checksum_words(const uint8_t *bytes, size_t length)
{
    uint64_t sum = 0;
    uint32_t word;
    size_t i;

    for (i = 0; i + 4 <= length; i += 4) {
        memcpy(&word, bytes + i, 4);
        sum += word;
    }
    if (i < length) {
        word = 0;
        memcpy(&word, bytes + i, length - i);
        sum += word;
    }
    return sum;
}

static inline uint64_t checksum_sum(const uint8_t *bytes, size_t length)
{
    return length < 64 ? checksum_words(bytes, length) : checksum_wide(bytes, length);
}

static inline uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* The pseudo-header of `bytes` of `protocol` between the addresses of an IPv4 header. */
static inline uint64_t checksum_pseudo(const uint8_t *ip, size_t bytes)
{
    return checksum_sum(ip + IP_ADDRESSES, 8) + ((uint64_t)ip[IP_PROTOCOL] << 8) +
           __builtin_bswap16((uint16_t)bytes);
}

static inline void store_checksum(uint8_t *at, uint16_t value) /* in memory order */
{
    memcpy(at, &value, 2);
}
