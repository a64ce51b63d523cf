/*
 * The drivers' memory functions (nt/runtime/memory.c, compiled here natively under other names) against the
 * obvious byte loops: every length up to some hundred bytes and lengths around the size where they change
 * their method, every alignment, every overlap, with guard bytes on both sides.
 */
#include <stdlib.h>

#include "check.h"

void *rt_memcpy(void *destination, const void *source, size_t length);
void *rt_memmove(void *destination, const void *source, size_t length);
void *rt_memset(void *destination, int value, size_t length);
int rt_memcmp(const void *left, const void *right, size_t length);

#define AREA 16384

static uint8_t actual[AREA], expected[AREA], source[AREA];

static void fill(uint8_t *area, uint32_t seed)
{
    for (size_t i = 0; i < AREA; i++) {
        seed = seed * 1664525u + 1013904223u;
        area[i] = (uint8_t)(seed >> 24);
    }
}

static bool same(void)
{
    for (size_t i = 0; i < AREA; i++) {
        if (actual[i] != expected[i]) {
            return false;
        }
    }
    return true;
}

static void reset(uint32_t seed)
{
    fill(actual, seed);
    fill(expected, seed);
}

static void test_copy_and_set(size_t length, size_t to, size_t from)
{
    reset(1);
    for (size_t i = 0; i < length; i++) {
        expected[64 + to + i] = source[64 + from + i];
    }
    CHECK_MSG(rt_memcpy(actual + 64 + to, source + 64 + from, length) == actual + 64 + to && same(),
              "memcpy of %zu bytes, +%zu from +%zu", length, to, from);

    reset(2);
    for (size_t i = 0; i < length; i++) {
        expected[64 + to + i] = 0xA5;
    }
    CHECK_MSG(rt_memset(actual + 64 + to, 0x7FA5, length) == actual + 64 + to && same(),
              "memset of %zu bytes, +%zu", length, to);
}

static void test_overlap(size_t length, size_t to, size_t from)
{
    reset(3);
    for (size_t i = 0; i < length; i++) {
        expected[to + i] = actual[from + i];
    }
    CHECK_MSG(rt_memmove(actual + to, actual + from, length) == actual + to && same(),
              "memmove of %zu bytes, +%zu from +%zu", length, to, from);
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void test_compare(size_t length)
{
    fill(actual, 4);
    fill(expected, 4);
    expected[length] ^= 0xFF; /* behind the end: must not matter */
    CHECK_MSG(rt_memcmp(actual, expected, length) == 0, "memcmp of %zu equal bytes", length);
    for (size_t at = 0; at < length; at++) {
        fill(expected, 4);
        expected[at] = (uint8_t)(actual[at] + 0x81);
        if (at + 1 < length) {
            expected[at + 1] = (uint8_t)(actual[at + 1] + 1); /* a later difference must not matter */
        }
        CHECK_MSG(sign(rt_memcmp(actual, expected, length)) == (actual[at] < expected[at] ? -1 : 1),
                  "memcmp of %zu bytes that differ at %zu", length, at);
    }
}

int main(void)
{
    static const size_t large[] = {511, 512, 513, 1024, 2047, 2048, 2049, 4000};
    fill(source, 5);
    for (size_t length = 0; length <= 160; length++) {
        for (size_t to = 0; to < 16; to += 5) {
            for (size_t from = 0; from < 16; from += 3) {
                test_copy_and_set(length, to, from);
            }
        }
        for (size_t distance = 0; distance <= 80; distance++) {
            test_overlap(length, 1000, 1000 + distance);
            test_overlap(length, 1000 + distance, 1000);
        }
    }
    for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
        test_copy_and_set(large[i], 3, 7);
        test_overlap(large[i], 1000, 1001);
        test_overlap(large[i], 1001, 1000);
        test_overlap(large[i], 1000, 1000 + large[i]);
    }
    for (size_t length = 0; length <= 40; length++) {
        test_compare(length);
    }
    return check_summary();
}
