/* UDP load for ./bench.
 *
 *   udp_load receive ADDRESS PORT [gro]                     until it is ended by a signal
 *   udp_load send ADDRESS PORT BYTES SECONDS [RATE] [gso]   as fast as it can, or RATE packets a second
 *
 * The sender prints two lines of JSON, {"packets", "seconds"}: what it sent, and what the receiver says that
 * it got of that (from its first packet to its last).  `gso`: the kernel is given runs of up to 64 packets to
 * be segmented (UDP_SEGMENT), as QUIC servers do; `gro`: the receiver takes coalesced runs (UDP_GRO).  A
 * datagram of one byte is a question: BEGIN, count from now on, or COUNT, which may be asked again. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* linux/udp.h */
#define UDP_GRO     104
#endif

#define NS_PER_SECOND  UINT64_C(1000000000)
#define BURST          64u
#define PACKET_MAX     1472u
#define RUN_MAX        65536u
#define RECEIVE_BUFFER (8 << 20)
#define ANSWER_SECONDS 1
#define ANSWER_TRIES   20
#define SETTLE_NS      200000000
#define BEGIN          'b'
#define COUNT          'c'

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NS_PER_SECOND + (uint64_t)time.tv_nsec;
}

static void print(char *text, size_t size, uint64_t packets, uint64_t ns)
{
    snprintf(text, size, "{\"packets\": %llu, \"seconds\": %.6f}\n", (unsigned long long)packets,
             (double)ns / (double)NS_PER_SECOND);
}

static int failed(const char *what)
{
    fprintf(stderr, "udp_load: %s: %s\n", what, strerror(errno));
    return 1;
}

static unsigned packets_in(struct msghdr *message, size_t length)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;

            memcpy(&size, CMSG_DATA(c), sizeof size);
            return size > 0 ? (unsigned)((length + (size_t)size - 1) / (size_t)size) : 1;
        }
    return 1;
}

static int receive(int fd, bool gro)
{
    static uint8_t buffer[BURST][RUN_MAX];
    struct mmsghdr messages[BURST];
    struct iovec vectors[BURST];
    struct sockaddr_in from[BURST];
    char control[BURST][CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
    uint64_t packets = 0, first = 0, last = 0;
    int one = 1, bytes = RECEIVE_BUFFER;

    if (gro && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one) < 0)
        return failed("UDP_GRO");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int got;

        for (unsigned i = 0; i < BURST; i++) {
            vectors[i] = (struct iovec){buffer[i], RUN_MAX};
            messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                                  .msg_namelen = sizeof from[i],
                                                  .msg_iov = &vectors[i],
                                                  .msg_iovlen = 1,
                                                  .msg_control = control[i],
                                                  .msg_controllen = sizeof control[i]};
        }
        got = recvmmsg(fd, messages, BURST, MSG_WAITFORONE, NULL);
        if (got < 0 && errno != EINTR && errno != ECONNREFUSED)
            return failed("receiving");
        for (int i = 0; i < got; i++) {
            if (messages[i].msg_len == 1) {
                char text[128];

                if (buffer[i][0] == BEGIN)
                    packets = first = last = 0;
                print(text, sizeof text, packets, last - first);
                sendto(fd, text, strlen(text), 0, (struct sockaddr *)&from[i], sizeof from[i]);
                continue;
            }
            last = now();
            if (packets == 0)
                first = last;
            packets += packets_in(&messages[i].msg_hdr, messages[i].msg_len);
        }
    }
}

static int send_load(int fd, unsigned bytes, double seconds, uint64_t rate, bool gso)
{
    static uint8_t payload[RUN_MAX];
    struct mmsghdr messages[BURST];
    unsigned run = gso ? (RUN_MAX - 100) / bytes : 1;
    struct iovec vector;
    uint64_t packets = 0, start, end;
    int segment = (int)bytes, buffer = RECEIVE_BUFFER;

    run = run > BURST ? BURST : run;
    vector = (struct iovec){payload, (size_t)bytes * run};
    if (gso && setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) < 0)
        return failed("UDP_SEGMENT");
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    for (unsigned i = 0; i < BURST; i++)
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vector, .msg_iovlen = 1}};
    start = now();
    end = start + (uint64_t)(seconds * (double)NS_PER_SECOND);
    for (uint64_t time = start; time < end; time = now()) {
        unsigned count = gso ? 1 : BURST;
        int sent;

        if (rate) { /* what is due; a nap when nothing is */
            uint64_t due = (time - start) * rate / NS_PER_SECOND;

            if (due < packets + run) {
                static const struct timespec pause = {.tv_nsec = 100000};

                nanosleep(&pause, NULL);
                continue;
            }
            if (due - packets < (uint64_t)count * run)
                count = (unsigned)((due - packets) / run);
        }
        sent = sendmmsg(fd, messages, count, 0);
        if (sent > 0)
            packets += (uint64_t)sent * run;
        else if (errno != EINTR && errno != ECONNREFUSED && errno != ENOBUFS)
            return failed("sending");
    }
    end = now();
    char text[128];

    print(text, sizeof text, packets, end - start);
    fputs(text, stdout);
    return 0;
}

/* Not before what is on its way has arrived: the question is another flow, and may overtake the load.  The
 * figures that answer COUNT are printed. */
static int ask(int fd, char question)
{
    static const struct timespec settled = {.tv_nsec = SETTLE_NS};
    struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    char text[128];

    nanosleep(&settled, NULL);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    for (unsigned i = 0; i < ANSWER_TRIES; i++) {
        ssize_t got;

        (void)!send(fd, &question, 1, 0);
        got = recv(fd, text, sizeof text - 1, 0);
        if (got > 0) {
            text[got] = 0;
            if (question == COUNT)
                fputs(text, stdout);
            return 0;
        }
    }
    fprintf(stderr, "udp_load: the receiver does not answer\n");
    return 1;
}

int main(int argc, char **argv)
{
    bool sending = argc >= 6 && strcmp(argv[1], "send") == 0;
    bool receiving = argc >= 4 && strcmp(argv[1], "receive") == 0;
    bool offload = argc >= 5 && (strcmp(argv[argc - 1], "gso") == 0 || strcmp(argv[argc - 1], "gro") == 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    unsigned bytes = sending ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
    uint64_t rate = sending && argc > 6 ? strtoull(argv[6], NULL, 10) : 0;
    int fd, status;

    if ((!sending && !receiving) || inet_pton(AF_INET, argv[2], &address.sin_addr) != 1 ||
        (sending && (bytes < 2 || bytes > PACKET_MAX || strtod(argv[5], NULL) <= 0))) {
        fprintf(stderr, "usage: udp_load receive ADDRESS PORT [gro]\n"
                        "       udp_load send ADDRESS PORT BYTES SECONDS [RATE] [gso]\n");
        return 2;
    }
    address.sin_port = htons((uint16_t)atoi(argv[3]));
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return failed("socket");
    if (receiving) {
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
            return failed(argv[2]);
        return receive(fd, offload);
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return failed(argv[2]);
    /* Another socket: a single byte must not be taken for a segment. */
    int asking = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (asking < 0 || connect(asking, (struct sockaddr *)&address, sizeof address) < 0)
        return failed(argv[2]);
    status = ask(asking, BEGIN);
    if (!status)
        status = send_load(fd, bytes, strtod(argv[5], NULL), rate, offload);
    return status ? status : ask(asking, COUNT);
}
