/* The transmit side: packets of every shape from the stack - IP headers, lengths, bursts, super-segments -
 * with and without a session.  What arrives at the peers must open (peer.c).  NDIS's verify mode cuts the
 * packets into MDLs of its own choice. */
#include "target.h"

#define STEPS_MAX  64u
#define PACKET_MAX 9000u

static void send_packet(struct input *input, uint8_t choice)
{
    static uint8_t packet[PACKET_MAX];
    size_t length = 1 + input_u16(input) % (choice & 0x40 ? PACKET_MAX - 1 : 200), got, header;
    bool ipv6 = choice & 1;
    memset(packet, 0, length);
    header = ipv6 ? 40 : 20;
    if (choice & 2 && length >= header) { /* a right header, to a peer */
        uint8_t peer = choice >> 2 & 1;
        packet[0] = ipv6 ? 0x60 : 0x45;
        packet[ipv6 ? 4 : 2] = (uint8_t)((length - (ipv6 ? 40 : 0)) >> 8);
        packet[ipv6 ? 5 : 3] = (uint8_t)(length - (ipv6 ? 40 : 0));
        packet[ipv6 ? 6 : 9] = choice & 8 ? 6 : 17;
        memcpy(packet + (ipv6 ? 24 : 16),
               ipv6 ? (const uint8_t[]){0xfd, 0, 0, peer} : (const uint8_t[]){10, 0, peer, 5}, 4);
        if (choice & 8 && length >= header + 20)
            packet[header + 12] = 0x50;
        if (choice & 16)
            packet[input_u8(input) % length] ^= input_u8(input);
    } else {
        const uint8_t *bytes = input_bytes(input, length < 64 ? length : 64, &got);
        memcpy(packet, bytes, got);
    }
    sim_tun_send(machine_tun(), packet, (uint32_t)length);
}

void target_start(void)
{
}

void target_run(struct input *input)
{
    uint8_t start = input_u8(input);
    if (start & 1)
        peer_connect(0);
    if (start & 2)
        peer_connect(1);
    for (unsigned step = 0; step < STEPS_MAX && input_more(input); step++) {
        uint8_t choice = input_u8(input);
        if ((choice & 0x22) == 0x20) { /* something else than a packet */
            uint8_t what = input_u8(input);
            switch (what & 3) {
            case 0:
                machine_sleep_ns((uint64_t)(what >> 2) * 1000000u);
                break;
            case 1:
                machine_sleep_ns((uint64_t)(what >> 2) * 1000000000u);
                break;
            case 2:
                peer_send_response(input, what >> 2 & 1);
                break;
            case 3:
                tun_set_mtu(machine_tun(), 68u + input_u16(input) % 9000);
                break;
            }
            continue;
        }
        send_packet(input, choice);
        if (!(choice & 0x80))
            machine_sleep_ns(200000);
    }
    tun_set_mtu(machine_tun(), 1420);
}
