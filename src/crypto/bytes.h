/* Little-endian loads and stores at any alignment.  Internal to src/crypto. */
#pragma once

#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "every target of this project is little-endian"
#endif

static inline uint32_t load_le32(const uint8_t *from)
{
    uint32_t value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

static inline uint64_t load_le64(const uint8_t *from)
{
    uint64_t value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

static inline void store_le32(uint8_t *to, uint32_t value)
{
    __builtin_memcpy(to, &value, sizeof value);
}

static inline void store_le64(uint8_t *to, uint64_t value)
{
    __builtin_memcpy(to, &value, sizeof value);
}
