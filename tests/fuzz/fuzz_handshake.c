/* Handshakes in both roles, cookies and everything around them, in any order, with any content that passes
 * mac1 and AEAD, and damaged. */
#include "target.h"

#define STEPS_MAX 48u

/* An inner packet to a peer: makes the driver begin a handshake, or send. */
static void send_inner(unsigned peer)
{
    uint8_t packet[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 9, 1, 10, 0, (uint8_t)peer, 1};
    sim_tun_send(machine_tun(), packet, sizeof packet);
}

void target_start(void)
{
}

void target_run(struct input *input)
{
    for (unsigned step = 0; step < STEPS_MAX && input_more(input); step++) {
        uint8_t choice = input_u8(input);
        unsigned peer = (choice >> 4) % PEERS;
        bool wait = choice & 0x80;
        switch (choice & 15) {
        case 0:
        case 1:
            peer_send_initiation(input, peer);
            break;
        case 2:
        case 3:
            peer_send_response(input, peer);
            break;
        case 4:
            peer_send_cookie_reply(input, peer);
            break;
        case 5:
            peer_send_raw(input, peer);
            break;
        case 6:
            send_inner(peer);
            break;
        case 7:
            peer_send_data(peer, NULL, 0, peer_session(peer)->send_counter++, 0, NULL);
            break;
        case 8:
            peer_send_again(input, peer, false);
            break;
        case 9:
            peer_send_again(input, peer, true);
            break;
        case 10:
            machine_sleep_ns((uint64_t)input_u8(input) * 1000000u);
            break;
        case 11:
            machine_sleep_ns((uint64_t)input_u8(input) * 1000000000u);
            break;
        case 12: /* enough at once that the driver is under load */
            for (unsigned i = input_u8(input); i > 0; i--)
                peer_send_again(input, peer, false);
            break;
        default:
            break;
        }
        if (!wait)
            machine_sleep_ns(300000);
    }
}
