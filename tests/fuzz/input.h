/* A fuzz input, read front to back; what is missing at the end reads as zero. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
    const uint8_t *at, *end;
};

static inline bool input_more(const struct input *input)
{
    return input->at < input->end;
}

/* At most `length` bytes in place; *got says how many there are. */
static inline const uint8_t *input_bytes(struct input *input, size_t length, size_t *got)
{
    size_t left = (size_t)(input->end - input->at);
    const uint8_t *bytes = input->at;
    *got = length < left ? length : left;
    input->at += *got;
    return bytes;
}

static inline void input_copy(struct input *input, void *to, size_t length)
{
    size_t got;
    const uint8_t *bytes = input_bytes(input, length, &got);
    memset(to, 0, length);
    memcpy(to, bytes, got);
}

static inline uint8_t input_u8(struct input *input)
{
    return input_more(input) ? *input->at++ : 0;
}

static inline uint16_t input_u16(struct input *input)
{
    uint16_t value;
    input_copy(input, &value, sizeof value);
    return value;
}

static inline uint64_t input_u64(struct input *input)
{
    uint64_t value;
    input_copy(input, &value, sizeof value);
    return value;
}
