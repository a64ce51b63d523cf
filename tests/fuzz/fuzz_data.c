/* Data messages of valid sessions: inner packets, lengths and counters from the input, sealed correctly, in
 * bursts and in any order.  What the driver indicates must be allowed to the peer that sent it, and once. */
#include "target.h"

#define STEPS_MAX 64u
#define INNER_MAX 1500u

static unsigned sent, indicated;

static void on_indicated(void *context, const uint8_t *packet, uint32_t length)
{
    static const uint8_t prefix[4] = {0xfd, 0, 0, 0};
    bool ok = false;
    if (length >= 20 && packet[0] >> 4 == 4)
        ok = packet[12] == 10 && packet[13] == 0 && packet[14] < 2 &&
             (packet[2] << 8 | packet[3]) == (int)length;
    else if (length >= 40 && packet[0] >> 4 == 6)
        ok = memcmp(packet + 8, prefix, 3) == 0 && packet[11] < 2 &&
             (packet[4] << 8 | packet[5]) + 40 == (int)length;
    if (!ok)
        machine_wrong("a packet was indicated that no peer may send (%u bytes)", length);
    if (++indicated > sent)
        machine_wrong("more packets were indicated than sent");
}

/* An IP packet that is right, or wrong where the input says so. */
static size_t make_inner(struct input *input, unsigned peer, uint8_t *packet)
{
    uint8_t flags = input_u8(input);
    bool ipv6 = flags & 1;
    size_t header = ipv6 ? 40 : 20, length = header + input_u16(input) % (INNER_MAX - header);
    memset(packet, 0, length);
    packet[0] = ipv6 ? 0x60 : 0x45;
    if (ipv6) {
        packet[4] = (uint8_t)((length - 40) >> 8);
        packet[5] = (uint8_t)(length - 40);
        memcpy(packet + 8, (const uint8_t[]){0xfd, 0, 0, (uint8_t)peer}, 4);
    } else {
        packet[2] = (uint8_t)(length >> 8);
        packet[3] = (uint8_t)length;
        memcpy(packet + 12, (const uint8_t[]){10, 0, (uint8_t)peer, 7}, 4);
    }
    packet[ipv6 ? 6 : 9] = flags & 2 ? 6 : 17;
    if (flags & 4) /* what follows overwrites the header */
        input_copy(input, packet, header);
    if (flags & 8)
        packet[input_u8(input) % header] ^= input_u8(input);
    if (flags & 16) { /* the transport header too: coalescing looks at it */
        size_t room = length - header < 24 ? length - header : 24;
        input_copy(input, packet + header, room);
    }
    if (flags & 32) { /* cut off, or more behind it */
        size_t other = input_u16(input) % INNER_MAX;
        if (other > length)
            memset(packet + length, 0, other - length);
        length = other;
    }
    if (!(flags & 64)) { /* padded as the white paper asks */
        size_t padded = (length + 15) & ~(size_t)15;
        memset(packet + length, 0, padded - length);
        length = padded;
    }
    return length;
}

static uint64_t choose_counter(struct input *input, struct peer_session *session, uint8_t how)
{
    switch (how & 3) {
    case 0:
    case 1:
        return session->send_counter++;
    case 2:
        return session->send_counter + (uint64_t)(int16_t)input_u16(input);
    default:
        return input_u64(input);
    }
}

void target_start(void)
{
}

void target_run(struct input *input)
{
    uint8_t inner[INNER_MAX + 64];
    sent = indicated = 0;
    sim_tun_receiver(machine_tun(), on_indicated, NULL);
    peer_connect(0);
    if (input_u8(input) & 1)
        peer_connect(1);
    for (unsigned step = 0; step < STEPS_MAX && input_more(input); step++) {
        uint8_t choice = input_u8(input), how = input_u8(input);
        unsigned peer = choice >> 4 & 1;
        struct peer_session *session = peer_session(peer);
        switch (choice & 7) {
        case 0:
        case 1:
        case 2: {
            size_t length = make_inner(input, peer, inner);
            uint64_t counter = choose_counter(input, session, how);
            sent++;
            peer_send_data(peer, inner, length, counter, how & 4 ? input_u8(input) : 0,
                           how & 8 ? input : NULL);
            break;
        }
        case 3: { /* a run of equal packets, as a stream is */
            size_t length = make_inner(input, peer, inner);
            for (unsigned i = how % 20; i > 0; i--) {
                sent++;
                peer_send_data(peer, inner, length, session->send_counter++, 0, NULL);
            }
            break;
        }
        case 4:
            peer_send_again(input, peer, false);
            break;
        case 5: {
            size_t length = make_inner(input, 1 - peer, inner);
            memcpy(inner + 16, (const uint8_t[]){10, 0, (uint8_t)peer, 3}, 4);
            if (length)
                sim_tun_send(machine_tun(), inner, (uint32_t)length);
            break;
        }
        case 6:
            machine_sleep_ns(how & 0x80 ? (uint64_t)(how & 0x7f) * 1000000000u : (uint64_t)how * 1000000u);
            break;
        case 7:
            peer_send_data(peer, NULL, 0, choose_counter(input, session, how), 0, NULL);
            break;
        }
        if (!(choice & 0x80))
            machine_sleep_ns(100000);
    }
    machine_sleep_ns(1000000);
    sim_tun_receiver(machine_tun(), NULL, NULL);
}
