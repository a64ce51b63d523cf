/* The numbers of flows: the same in both directions, others for other addresses and ports, in bounds whatever
 * the bytes. */
#include "check.h"
#include "edge/tun_flow.h"

#include <stdlib.h>
#include <string.h>

#define IPV4 20u
#define IPV6 40u

struct packet {
    uint8_t bytes[64];
    size_t length;
};

static struct packet ipv4(uint8_t protocol, uint8_t source, uint8_t destination, uint8_t from, uint8_t to)
{
    struct packet p = {.length = IPV4 + 8};
    p.bytes[0] = 0x45;
    p.bytes[9] = protocol;
    memcpy(p.bytes + 12, (uint8_t[]){10, 0, 0, source, 10, 0, 0, destination}, 8);
    p.bytes[IPV4 + 1] = from;
    p.bytes[IPV4 + 3] = to;
    return p;
}

static struct packet ipv6(uint8_t protocol, uint8_t source, uint8_t destination, uint8_t from, uint8_t to)
{
    struct packet p = {.length = IPV6 + 8};
    p.bytes[0] = 0x60;
    p.bytes[6] = protocol;
    p.bytes[8] = p.bytes[24] = 0xfd;
    p.bytes[23] = source;
    p.bytes[39] = destination;
    p.bytes[IPV6 + 1] = from;
    p.bytes[IPV6 + 3] = to;
    return p;
}

static uint32_t number(struct packet p)
{
    uint8_t *exact = malloc(p.length ? p.length : 1); /* a byte too far is found */
    memcpy(exact, p.bytes, p.length);
    uint32_t flow = tun_flow(exact, p.length);
    free(exact);
    CHECK(flow < TUN_FLOWS);
    return flow;
}

static void directions(struct packet (*make)(uint8_t, uint8_t, uint8_t, uint8_t, uint8_t))
{
    unsigned different_ports = 0, different_addresses = 0;
    for (uint8_t i = 1; i < 100; i++) {
        CHECK(number(make(6, 1, i, 5, i)) == number(make(6, i, 1, i, 5)));
        CHECK(number(make(17, 1, i, 5, i)) == number(make(17, i, 1, i, 5)));
        different_ports += number(make(17, 1, 2, 5, i)) != number(make(17, 1, 2, 5, 200));
        different_addresses += number(make(1, 1, i, 0, 0)) != number(make(1, 1, 200, 0, 0));
        CHECK(number(make(1, 1, 2, 5, i)) == number(make(1, 1, 2, 6, 7))); /* no ports in ICMP */
    }
    CHECK_MSG(different_ports > 90 && different_addresses > 90, "%u and %u of 99 differ", different_ports,
              different_addresses);
}

static void fragments(void)
{
    struct packet first = ipv4(17, 1, 2, 3, 4), second = ipv4(17, 1, 2, 9, 9);
    first.bytes[6] = 0x20; /* more fragments */
    second.bytes[7] = 0x10;
    CHECK(number(first) == number(second));
}

static void any_bytes(void)
{
    struct packet p;
    srand(1);
    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof p.bytes; i++)
            p.bytes[i] = (uint8_t)rand();
        p.bytes[0] = (uint8_t)((round & 1 ? 0x40 : 0x60) | (rand() & 15));
        p.bytes[round & 1 ? 9 : 6] = round & 2 ? 6 : 17;
        p.bytes[6] &= round & 1 ? 0 : 255;
        p.length = (size_t)rand() % (sizeof p.bytes + 1);
        number(p);
    }
    p = ipv4(6, 1, 2, 3, 4);
    p.bytes[0] = 0x55;
    CHECK(number(p) == 0);
}

int main(void)
{
    directions(ipv4);
    directions(ipv6);
    fragments();
    any_bytes();
    return check_summary();
}
