/* floor-io and floor-aead:  PROGRAM IFNAME PORT ADDRESS:PORT
 * Makes the TUN interface IFNAME (address, MTU 1420 and `up` are the caller's), listens on PORT and sends to
 * ADDRESS:PORT, until it is ended by a signal. */
#include "floor.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104 /* linux/udp.h */
#endif

#define BURST_READS 64u /* of one readiness event of the TUN */
#define BURST_BYTES                                                                                          \
    (128u * 1024)          /* two super-segments: what is read is still in the cache when it is sent         \
                            */
#define ROOM          128u /* before each packet, for the headers of segments */
#define LARGEST_READ  65536u
#define RECEIVED_RUNS 4u
#define RECEIVED_RUN  65536u

static uint8_t *reading, *receiving;
static int tun, wire;
static bool udp_segments;

static void tun_readable(void)
{
    size_t at = ROOM;

    for (unsigned i = 0; i < BURST_READS && at + LARGEST_READ <= BURST_BYTES + LARGEST_READ; i++) {
        struct virtio_net_hdr header;
        uint8_t *packet = reading + at + sizeof header;
        ssize_t got = read(tun, reading + at, LARGEST_READ);
        bool sum;

        if (got <= (ssize_t)sizeof header)
            break;
        memcpy(&header, reading + at, sizeof header);
        sum = header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
        cut_packet(packet, (size_t)got - sizeof header, header.gso_type & ~VIRTIO_NET_HDR_GSO_ECN,
                   header.gso_size, sum ? header.csum_start : 0, header.csum_offset);
        at = (at + (size_t)got + ROOM + 63) & ~(size_t)63;
    }
    outbox_send();
}

static size_t segment_of(struct msghdr *message, size_t length)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;

            memcpy(&size, CMSG_DATA(c), sizeof size);
            return size > 0 ? (size_t)size : length;
        }
    return length;
}

static void wire_readable(void)
{
    struct mmsghdr messages[RECEIVED_RUNS];
    struct iovec vectors[RECEIVED_RUNS];
    char control[RECEIVED_RUNS][CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
    int got;

    for (unsigned i = 0; i < RECEIVED_RUNS; i++) {
        vectors[i] = (struct iovec){receiving + (size_t)i * RECEIVED_RUN, RECEIVED_RUN};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i],
                                              .msg_iovlen = 1,
                                              .msg_control = control[i],
                                              .msg_controllen = sizeof control[i]};
    }
    got = recvmmsg(wire, messages, RECEIVED_RUNS, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++) {
        size_t length = messages[i].msg_len, segment = segment_of(&messages[i].msg_hdr, length);
        uint8_t *run = vectors[i].iov_base;

        for (size_t at = 0; at < length; at += segment) {
            size_t bytes = length - at < segment ? length - at : segment;
            uint64_t counter;

            if (bytes <= OVERHEAD || run[at] != MESSAGE_DATA)
                continue;
            memcpy(&counter, run + at + 8, 8);
            if (unseal_packet(run + at + MESSAGE_HEADER, bytes - OVERHEAD, counter))
                join_packet(tun, udp_segments, run + at + MESSAGE_HEADER, bytes - OVERHEAD);
        }
    }
    join_flush(tun);
}

static int serve(void)
{
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = tun}, ready[2];

    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, tun, &event) < 0)
        return 1;
    event.data.fd = wire;
    if (epoll_ctl(loop, EPOLL_CTL_ADD, wire, &event) < 0)
        return 1;
    for (;;) {
        int count = epoll_wait(loop, ready, 2, -1);

        for (int i = 0; i < count; i++) {
            if (ready[i].data.fd == tun)
                tun_readable();
            else
                wire_readable();
        }
        if (count < 0 && errno != EINTR)
            return 1;
    }
}

int main(int argc, char **argv)
{
    char *colon = argc == 4 ? strrchr(argv[3], ':') : NULL;

    if (!colon || !argv[1][0] || strlen(argv[1]) >= IFNAMSIZ) {
        fprintf(stderr, "usage: %s IFNAME PORT ADDRESS:PORT\n", argv[0]);
        return 2;
    }
    *colon = 0;
    reading = malloc(BURST_BYTES + 2 * LARGEST_READ);
    receiving = malloc((size_t)RECEIVED_RUNS * RECEIVED_RUN);
    wire = wire_open((uint16_t)atoi(argv[2]), argv[3], (uint16_t)atoi(colon + 1));
    if (wire < 0 || !reading || !receiving || !outbox_open(wire) || !seal_open())
        return 1;
    tun = tun_open(argv[1], &udp_segments);
    return tun < 0 ? 1 : serve();
}
