/* Loads and stores of integers in wire order at any alignment.  Header only. */
#pragma once

#include <stdint.h>

static inline uint16_t load_be16(const uint8_t bytes[2])
{
    return (uint16_t)((uint16_t)bytes[0] << 8 | bytes[1]);
}

static inline uint32_t load_le32(const uint8_t bytes[4])
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline uint64_t load_le64(const uint8_t bytes[8])
{
    return (uint64_t)load_le32(bytes) | (uint64_t)load_le32(bytes + 4) << 32;
}

static inline uint32_t load_be32(const uint8_t bytes[4])
{
    return __builtin_bswap32(load_le32(bytes));
}

static inline uint64_t load_be64(const uint8_t bytes[8])
{
    return __builtin_bswap64(load_le64(bytes));
}

static inline void store_le32(uint8_t bytes[4], uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static inline void store_le64(uint8_t bytes[8], uint64_t value)
{
    store_le32(bytes, (uint32_t)value);
    store_le32(bytes + 4, (uint32_t)(value >> 32));
}

static inline void store_be16(uint8_t bytes[2], uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static inline void store_be32(uint8_t bytes[4], uint32_t value)
{
    store_le32(bytes, __builtin_bswap32(value));
}

static inline void store_be64(uint8_t bytes[8], uint64_t value)
{
    store_le64(bytes, __builtin_bswap64(value));
}
