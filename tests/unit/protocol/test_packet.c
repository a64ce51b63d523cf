/* Inner packets: parsing at every length, padding against a definition in words, TAI64N, byte order. */
#include "protocol/packet.h"
#include "support.h"

static struct random rng = {11};

static void test_parse_v4(void)
{
    uint8_t packet[64] = {0x45};
    struct packet_view view;
    for (int i = 0; i < 4; i++) {
        packet[12 + i] = (uint8_t)(10 + i);
        packet[16 + i] = (uint8_t)(20 + i);
    }
    for (size_t length = 0; length <= 64; length++) {
        for (uint32_t total = 0; total <= 70; total++) {
            packet[2] = 0;
            packet[3] = (uint8_t)total;
            memset(&view, 0xa5, sizeof(view));
            struct packet_view untouched = view;
            /* exactly as many bytes as there are, so that the sanitiser sees a step too far */
            uint8_t *copy = malloc(length ? length : 1);
            memcpy(copy, packet, length);
            enum packet_result expected = length < 20                    ? PACKET_TOO_SHORT
                                          : total < 20 || total > length ? PACKET_BAD_LENGTH
                                                                         : PACKET_OK;
            CHECK(packet_parse(copy, length, &view) == expected);
            if (expected == PACKET_OK)
                CHECK(view.version == 4 && view.length == total && view.source == copy + 12 &&
                      view.destination == copy + 16);
            else
                CHECK(memcmp(&view, &untouched, sizeof(view)) == 0);
            free(copy);
        }
    }
    packet[2] = 0xff;
    packet[3] = 0xff;
    CHECK(packet_parse(packet, 65535, &view) == PACKET_OK && view.length == 65535);
    CHECK(packet_parse(packet, 65534, &view) == PACKET_BAD_LENGTH);
}

static void test_parse_v6(void)
{
    uint8_t packet[64] = {0x60};
    struct packet_view view;
    for (size_t length = 0; length <= 64; length++) {
        for (uint32_t payload = 0; payload <= 70; payload++) {
            packet[5] = (uint8_t)payload;
            uint8_t *copy = malloc(length ? length : 1);
            memcpy(copy, packet, length < 64 ? length : 64);
            enum packet_result expected = length < 40             ? PACKET_TOO_SHORT
                                          : payload + 40 > length ? PACKET_BAD_LENGTH
                                                                  : PACKET_OK;
            CHECK(packet_parse(copy, length, &view) == expected);
            if (expected == PACKET_OK)
                CHECK(view.version == 6 && view.length == payload + 40 && view.source == copy + 8 &&
                      view.destination == copy + 24);
            free(copy);
        }
    }
    packet[4] = 0xff;
    packet[5] = 0xff;
    CHECK(packet_parse(packet, 65575, &view) == PACKET_OK && view.length == 65575);
    CHECK(packet_parse(packet, 65574, &view) == PACKET_BAD_LENGTH);
}

static void test_versions(void)
{
    uint8_t packet[64] = {0};
    struct packet_view view;
    for (int version = 0; version < 16; version++) {
        packet[0] = (uint8_t)(version << 4 | 5);
        packet[3] = 20;
        enum packet_result result = packet_parse(packet, sizeof(packet), &view);
        CHECK((result == PACKET_OK) == (version == 4 || version == 6));
        CHECK((result == PACKET_BAD_VERSION) == (version != 4 && version != 6));
        if (version != 4 && version != 6)
            CHECK(packet_parse(packet, 1, &view) == PACKET_BAD_VERSION);
    }
}

static void test_padding(void)
{
    /* in words: 16's multiple unless that crosses the MTU of the unit */
    for (uint32_t mtu = 0; mtu <= 1500; mtu += mtu < 40 ? 1 : 37) {
        for (uint32_t length = 0; length <= 3100; length++) {
            uint32_t unit = mtu && length > mtu ? length % mtu : length;
            uint32_t padded = (unit + 15) / 16 * 16;
            if (mtu && padded > mtu)
                padded = mtu;
            if (packet_padding(length, mtu) != padded - unit)
                CHECK_MSG(false, "length %u mtu %u", length, mtu);
        }
    }
    static const struct {
        uint32_t length, mtu, padding;
    } rows[] = {
        {0, 1420, 0},     {1, 1420, 15},   {16, 1420, 0},   {1408, 1420, 0},
        {1409, 1420, 11}, {1419, 1420, 1}, {1420, 1420, 0}, {1421, 1420, 15},
        {2840, 1420, 0},  {1419, 0, 5},    {65535, 0, 1},   {5, 3, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_MSG(packet_padding(rows[i].length, rows[i].mtu) == rows[i].padding, "row %zu: %u", i,
                  packet_padding(rows[i].length, rows[i].mtu));
    /* never beyond the MTU, whatever the numbers */
    for (int n = 0; n < 100000; n++) {
        uint32_t length = random_below(&rng, 70000), mtu = 1 + random_below(&rng, 70000);
        uint32_t padding = packet_padding(length, mtu);
        if (padding > 15 || (length <= mtu && length + padding > mtu))
            CHECK_MSG(false, "length %u mtu %u", length, mtu);
    }
}

static void test_tai64n(void)
{
    uint8_t label[12], other[12];
    /* 1970-01-01 00:00:00 UTC, a multiple of the rounding? no: rounded down, in the second before, is clamped
     * to it */
    tai64n_from_system_time(label, 0);
    CHECK(load_be64(label) == UINT64_C(0x400000000000000a) && load_be32(label + 8) == 0);
    /* 2024-01-19 13:20:00 UTC = 1705670400 */
    uint64_t units = UINT64_C(116444736000000000) + UINT64_C(1705670400) * 10000000;
    tai64n_from_system_time(label, units);
    uint64_t rounded = units & ~(TAI64N_ROUNDING_100NS - 1);
    uint64_t since_1970 = rounded - UINT64_C(116444736000000000);
    CHECK(load_be64(label) == UINT64_C(0x400000000000000a) + since_1970 / 10000000);
    CHECK(load_be32(label + 8) == since_1970 % 10000000 * 100);
    CHECK(load_be64(label) >= UINT64_C(0x400000000000000a) + 1705670399);

    /* labels change every 2^17 units, by exactly that, and only upwards */
    for (int n = 0; n < 20000; n++) {
        uint64_t a = TEST_UTC_100NS + random_below(&rng, 1u << 31),
                 b = TEST_UTC_100NS + random_below(&rng, 1u << 31);
        if (n & 1)
            b = a + random_below(&rng, 1u << 18);
        tai64n_from_system_time(label, a);
        tai64n_from_system_time(other, b);
        CHECK(tai64n_is_after(other, label) == (b >> 17 > a >> 17));
        CHECK(tai64n_is_after(label, other) == (a >> 17 > b >> 17));
        CHECK(load_be32(label + 8) < 1000000000);
        CHECK(tai64n_is_after(other, label) == (memcmp(other, label, 12) > 0));
    }
    CHECK(TAI64N_ROUNDING_100NS * 100 < INITIATION_INTERVAL_MIN_NS);
}

static void test_byte_order(void)
{
    uint8_t bytes[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, out[8];
    CHECK(load_be16(bytes + 1) == 0x0203 && load_le32(bytes + 1) == 0x05040302 &&
          load_be32(bytes + 1) == 0x02030405);
    CHECK(load_le64(bytes + 1) == UINT64_C(0x0908070605040302) &&
          load_be64(bytes + 1) == UINT64_C(0x0203040506070809));
    store_le64(out, load_le64(bytes));
    CHECK(memcmp(out, bytes, 8) == 0);
    store_be64(out, load_be64(bytes));
    CHECK(memcmp(out, bytes, 8) == 0);
    store_be16(out, load_be16(bytes));
    CHECK(memcmp(out, bytes, 2) == 0);
    store_be32(out, load_be32(bytes));
    store_le32(out + 4, load_le32(bytes + 4));
    CHECK(memcmp(out, bytes, 8) == 0);
}

int main(void)
{
    test_parse_v4();
    test_parse_v6();
    test_versions();
    test_padding();
    test_tai64n();
    test_byte_order();
    return check_summary();
}
