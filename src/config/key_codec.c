/* See key_codec.h.  Characters are classified with arithmetic instead of tables and branches. */
#include "key_codec.h"

#include <string.h>

/* All ones when low <= c <= high, else 0 (all values below 2^15). */
static uint32_t in_range(uint32_t c, uint32_t low, uint32_t high)
{
    return (((low - 1 - c) & (c - high - 1)) >> 31) * UINT32_MAX;
}

/* 0..15, or a value with bit 8 set. */
static uint32_t hex_value(uint32_t c)
{
    uint32_t digit = in_range(c, '0', '9'), lower = in_range(c, 'a', 'f'), upper = in_range(c, 'A', 'F');
    return (digit & (c - '0')) | (lower & (c - 'a' + 10)) | (upper & (c - 'A' + 10)) |
           (~(digit | lower | upper) & 0x100);
}

bool key_from_hex(uint8_t key[KEY_LENGTH], const char *text, size_t length)
{
    uint32_t bad = 0;
    if (length != KEY_HEX_LENGTH)
        goto refuse;
    for (unsigned i = 0; i < KEY_LENGTH; i++) {
        uint32_t high = hex_value((uint8_t)text[2 * i]), low = hex_value((uint8_t)text[2 * i + 1]);
        bad |= high | low;
        key[i] = (uint8_t)(high << 4 | (low & 15));
    }
    if (!(bad & 0x100))
        return true;
refuse:
    explicit_bzero(key, KEY_LENGTH);
    return false;
}

void key_to_hex(char text[KEY_HEX_LENGTH + 1], const uint8_t key[KEY_LENGTH])
{
    for (unsigned i = 0; i < KEY_HEX_LENGTH; i++) {
        uint32_t value = i & 1 ? key[i / 2] & 15u : key[i / 2] >> 4;
        text[i] = (char)('0' + value + (in_range(value, 10, 15) & ('a' - '0' - 10)));
    }
    text[KEY_HEX_LENGTH] = 0;
}

static uint32_t base64_value(uint32_t c)
{
    uint32_t upper = in_range(c, 'A', 'Z'), lower = in_range(c, 'a', 'z'), digit = in_range(c, '0', '9'),
             plus = in_range(c, '+', '+'), slash = in_range(c, '/', '/');
    return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) | (plus & 62) |
           (slash & 63) | (~(upper | lower | digit | plus | slash) & 0x100);
}

static char base64_character(uint32_t value)
{
    return (char)('A' + value + (in_range(value, 26, 51) & (uint32_t)('a' - 'A' - 26)) +
                  (in_range(value, 52, 61) & (uint32_t)('0' - 'A' - 52)) +
                  (in_range(value, 62, 62) & (uint32_t)('+' - 'A' - 62)) +
                  (in_range(value, 63, 63) & (uint32_t)('/' - 'A' - 63)));
}

bool key_from_base64(uint8_t key[KEY_LENGTH], const char *text, size_t length)
{
    uint32_t bad = 0;
    if (length != KEY_BASE64_LENGTH || text[KEY_BASE64_LENGTH - 1] != '=')
        goto refuse;
    for (unsigned group = 0; group < 11; group++) {
        uint32_t bits = 0;
        unsigned count = group < 10 ? 3 : 2;
        for (unsigned i = 0; i < 4; i++) {
            uint32_t value = i <= count ? base64_value((uint8_t)text[4 * group + i]) : 0;
            bad |= value & 0x100;
            bits = bits << 6 | (value & 63);
        }
        for (unsigned i = 0; i < count; i++)
            key[3 * group + i] = (uint8_t)(bits >> (16 - 8 * i));
        if (count == 2)
            bad |= (bits >> 6 & 3) << 8; /* the last two bits carry nothing and must be 0 */
    }
    if (!bad)
        return true;
refuse:
    explicit_bzero(key, KEY_LENGTH);
    return false;
}

void key_to_base64(char text[KEY_BASE64_LENGTH + 1], const uint8_t key[KEY_LENGTH])
{
    for (unsigned group = 0; group < 11; group++) {
        const uint8_t *in = key + 3 * group;
        uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | (group < 10 ? in[2] : 0u);
        for (unsigned i = 0; i < 4; i++)
            text[4 * group + i] = base64_character(bits >> (18 - 6 * i) & 63);
    }
    text[KEY_BASE64_LENGTH - 1] = '=';
    text[KEY_BASE64_LENGTH] = 0;
}

bool key_is_zero(const uint8_t key[KEY_LENGTH])
{
    uint8_t any = 0;
    for (unsigned i = 0; i < KEY_LENGTH; i++)
        any |= key[i];
    return any == 0;
}

bool key_may_be_in(const char *text, size_t length)
{
    size_t run = 0, total = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
                     c == '/' || c == '=' || c == '-' || c == '_';
        run = digit ? run + 1 : 0;
        total += digit;
        /* What stays below leaves over 100 bits of a key unknown. */
        if (run >= 24 || total >= 40)
            return true;
    }
    return false;
}
