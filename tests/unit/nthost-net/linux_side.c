/* Plain Linux sockets and commands for the tests. */
#include "linux_side.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO     104
#endif

bool side_command(const char *format, ...)
{
    char command[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    return system(command) == 0;
}

bool side_enter_namespace(void)
{
    return unshare(CLONE_NEWNET) == 0 && side_command("ip link set lo up");
}

uint32_t side_ifindex(const char *name)
{
    return if_nametoindex(name);
}

double side_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void side_sleep_ms(int ms)
{
    usleep((useconds_t)ms * 1000);
}

bool side_wait(bool (*condition)(void *context), void *context, int ms)
{
    double limit = side_now() + ms / 1000.0;

    while (!condition(context)) {
        if (side_now() > limit)
            return false;
        side_sleep_ms(2);
    }
    return true;
}

static socklen_t make_address(const char *text, uint16_t port, struct sockaddr_storage *out)
{
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        return sizeof *in;
    }
    memset(out, 0, sizeof *out);
    inet_pton(AF_INET6, text, &in6->sin6_addr);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    return sizeof *in6;
}

static uint16_t port_of(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET ? ((const struct sockaddr_in *)address)->sin_port
                                               : ((const struct sockaddr_in6 *)address)->sin6_port);
}

int side_udp(const char *text, uint16_t *port, bool coalesce)
{
    struct sockaddr_storage address = {0};
    socklen_t length = make_address(text, 0, &address);
    int fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1, big = 4 << 20;

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0)
        return -1;
    getsockname(fd, (struct sockaddr *)&address, &length);
    *port = port_of(&address);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big);
    if (coalesce)
        setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one);
    return fd;
}

static void fill(uint8_t *data, uint32_t size, uint32_t number)
{
    for (uint32_t i = 0; i < size; i++)
        data[i] = (uint8_t)(number * 31 + i);
}

bool side_udp_send_run(int fd, const char *to, uint16_t port, uint32_t size, uint32_t count)
{
    static uint8_t data[65536];
    struct sockaddr_storage address;
    socklen_t length = make_address(to, port, &address);
    int segment = (int)size;
    bool sent;

    for (uint32_t i = 0; i < count; i++)
        fill(data + i * size, size, i);
    if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) < 0)
        return false;
    sent = sendto(fd, data, size * count, 0, (struct sockaddr *)&address, length) ==
           (ssize_t)size * (ssize_t)count;
    segment = 0;
    setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
    return sent;
}

bool side_udp_send(int fd, const char *to, uint16_t port, const void *data, uint32_t length)
{
    struct sockaddr_storage address;
    socklen_t bytes = make_address(to, port, &address);

    return sendto(fd, data, length, 0, (struct sockaddr *)&address, bytes) == (ssize_t)length;
}

static bool readable(int fd, int ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, ms) == 1;
}

uint32_t side_udp_receive_run(int fd, uint32_t size, uint32_t count, int ms, uint32_t *calls)
{
    static uint8_t data[65536], expected[65536];
    uint32_t right = 0;
    double limit = side_now() + ms / 1000.0;

    *calls = 0;
    while (right < count && side_now() < limit) {
        ssize_t got;

        if (!readable(fd, 50))
            continue;
        got = recv(fd, data, sizeof data, 0);
        (*calls)++;
        for (ssize_t at = 0; at + (ssize_t)size <= got; at += size) {
            fill(expected, size, right);
            if (memcmp(data + at, expected, size) != 0)
                return right;
            right++;
        }
    }
    return right;
}

int side_udp_receive(int fd, void *data, uint32_t size, int ms, uint16_t *port)
{
    struct sockaddr_storage from = {0};
    socklen_t length = sizeof from;
    ssize_t got;

    if (!readable(fd, ms))
        return -1;
    got = recvfrom(fd, data, size, 0, (struct sockaddr *)&from, &length);
    if (port)
        *port = port_of(&from);
    return (int)got;
}

void side_close(int fd)
{
    close(fd);
}

/* ---- TCP ---- */

struct transfer {
    int listener;
    uint64_t bytes, received;
    bool right;
};

static void *tcp_server(void *context)
{
    static uint8_t data[1 << 16];
    struct transfer *t = context;
    int fd = accept(t->listener, NULL, NULL);
    struct timeval limit = {.tv_sec = 20};

    if (fd < 0)
        return NULL;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    t->right = true;
    while (t->received < t->bytes && t->right) {
        ssize_t got = recv(fd, data, sizeof data, 0);

        if (got <= 0)
            break;
        for (ssize_t i = 0; i < got; i += 7) /* every seventh byte */
            if (data[i] != (uint8_t)((t->received + (uint64_t)i) % 251))
                t->right = false;
        t->received += (uint64_t)got;
    }
    close(fd);
    return NULL;
}

bool side_tcp(const char *server, const char *via, uint16_t port, uint64_t bytes, double *seconds)
{
    static uint8_t data[251 * 256];
    struct sockaddr_storage address;
    socklen_t length = make_address(server, port, &address);
    struct transfer t = {.bytes = bytes};
    struct timeval limit = {.tv_sec = 20};
    uint64_t sent = 0;
    pthread_t thread;
    double start;
    int fd, one = 1;

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i % 251);
    t.listener = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(t.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(t.listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (bind(t.listener, (struct sockaddr *)&address, length) < 0 || listen(t.listener, 1) < 0) {
        close(t.listener);
        return false;
    }
    pthread_create(&thread, NULL, tcp_server, &t);
    length = make_address(via, port, &address);
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    start = side_now();
    if (connect(fd, (struct sockaddr *)&address, length) == 0)
        while (sent < bytes) {
            size_t at = (size_t)(sent % sizeof data), room = sizeof data - at;
            ssize_t got =
                send(fd, data + at, room < bytes - sent ? room : (size_t)(bytes - sent), MSG_NOSIGNAL);

            if (got <= 0)
                break;
            sent += (uint64_t)got;
        }
    shutdown(fd, SHUT_WR);
    pthread_join(thread, NULL);
    *seconds = side_now() - start;
    close(fd);
    close(t.listener);
    return t.right && t.received == bytes;
}

bool side_again(const char *mode, int status, const char *text)
{
    char command[512], line[512];
    bool found = false;
    FILE *pipe;
    int ended;

    snprintf(command, sizeof command, "timeout 60 /proc/%d/exe %s 2>&1", (int)getpid(), mode);
    pipe = popen(command, "r");
    if (!pipe)
        return false;
    while (fgets(line, sizeof line, pipe)) {
        if (strstr(line, text))
            found = true;
    }
    ended = pclose(pipe);
    if (!found || ended != status << 8)
        fprintf(stderr, "%s: exit status %d, \"%s\" %s\n", mode, ended >> 8, text,
                found ? "printed" : "missing");
    return found && ended == status << 8;
}
