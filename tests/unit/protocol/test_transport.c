/* TCP and UDP headers of inner packets: every available length, against a definition in words. */
#include "protocol/transport.h"
#include "support.h"

/* What transport_parse is to say of `length` bytes; 0: refused, else where the payload begins. */
static size_t expected(const uint8_t *packet, size_t length)
{
    size_t ip = packet[0] >> 4 == 4 ? (packet[0] & 15u) * 4u : 40;
    uint8_t version = packet[0] >> 4, protocol = packet[version == 4 ? 9 : 6];
    if ((version != 4 && version != 6) || ip < 20 || length < 20 || (protocol != 6 && protocol != 17))
        return 0;
    if (version == 4 && (packet[6] & 0x3f || packet[7]))
        return 0; /* a fragment */
    if (protocol == 17)
        return length >= ip + 8 ? ip + 8 : 0;
    if (length < ip + 20)
        return 0;
    size_t header = (packet[ip + 12] >> 4) * 4u;
    return header >= 20 && length >= ip + header ? ip + header : 0;
}

static void check_lengths(const uint8_t packet[TRANSPORT_HEADERS_MAX_BYTES])
{
    for (size_t length = 0; length <= TRANSPORT_HEADERS_MAX_BYTES; length++) {
        struct transport_view view, untouched;
        memset(&view, 0xa5, sizeof(view));
        untouched = view;
        /* exactly as many bytes as there are, so that the sanitiser sees a step too far */
        uint8_t *copy = malloc(length ? length : 1);
        memcpy(copy, packet, length);
        size_t payload = expected(packet, length);
        CHECK(transport_parse(copy, (uint32_t)length, &view) == (payload != 0));
        if (payload) {
            CHECK(view.header_bytes == payload && view.version == packet[0] >> 4);
            CHECK(view.protocol == packet[view.version == 4 ? 9 : 6]);
            CHECK(view.ip_bytes == (view.version == 4 ? (packet[0] & 15u) * 4u : 40));
        } else {
            CHECK(memcmp(&view, &untouched, sizeof(view)) == 0);
        }
        free(copy);
    }
}

int main(void)
{
    uint8_t packet[TRANSPORT_HEADERS_MAX_BYTES];
    static const uint8_t protocols[] = {TRANSPORT_TCP, TRANSPORT_UDP, 1, 44};
    for (unsigned first = 0; first < 256; first++)
        for (size_t p = 0; p < sizeof(protocols); p++)
            for (unsigned offset = 0; offset < 16; offset++) {
                memset(packet, (int)(offset << 4),
                       sizeof(packet)); /* also TCP's data offset, wherever it is */
                memset(packet, 0, 20);
                packet[0] = (uint8_t)first;
                packet[first >> 4 == 6 ? 6 : 9] = protocols[p];
                check_lengths(packet);
            }
    /* fragments: an offset, more of them; "do not fragment" is none */
    static const struct {
        uint8_t high, low;
    } fragments[] = {{0x20, 0}, {0, 1}, {0x1f, 0xff}, {0x40, 0}};
    for (size_t i = 0; i < sizeof(fragments) / sizeof(fragments[0]); i++) {
        memset(packet, 0x50, sizeof(packet));
        packet[0] = 0x45;
        packet[6] = fragments[i].high;
        packet[7] = fragments[i].low;
        packet[9] = TRANSPORT_TCP;
        check_lengths(packet);
    }
    return check_summary();
}
