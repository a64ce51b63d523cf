/* Test vectors as they stand in the RFCs: hexadecimal strings. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Decodes into `bytes` (at most `capacity`), returns the length; a malformed string ends the test program. */
static inline size_t hex_decode(uint8_t *bytes, size_t capacity, const char *hex)
{
    size_t length = strlen(hex);
    if (length % 2 != 0 || length / 2 > capacity) {
        fprintf(stderr, "bad hexadecimal string of %zu digits\n", length);
        exit(2);
    }
    for (size_t i = 0; i < length / 2; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0}, *end = NULL;
        bytes[i] = (uint8_t)strtoul(digits, &end, 16);
        if (*end != '\0') {
            fprintf(stderr, "bad hexadecimal digits '%s'\n", digits);
            exit(2);
        }
    }
    return length / 2;
}

/* Whether `length` bytes are what the string says. */
static inline int hex_equal(const uint8_t *bytes, size_t length, const char *hex)
{
    uint8_t expected[4096];
    return hex_decode(expected, sizeof expected, hex) == length && memcmp(bytes, expected, length) == 0;
}
