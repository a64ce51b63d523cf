/* See load_socket.h. */
#include "load_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES (32 << 20)

union control {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

bool load_sockets_open(struct load_sockets *sockets, uint16_t first_port, uint32_t count)
{
    int bytes = BUFFER_BYTES;
    for (sockets->count = 0; sockets->count < count; sockets->count++) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct sockaddr_in any = {.sin_family = AF_INET};
        any.sin_port = first_port ? htons((uint16_t)(first_port + sockets->count)) : 0;
        if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0) {
            perror("handshake_load: socket");
            return false;
        }
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
        sockets->fds[sockets->count] = fd;
    }
    return true;
}

void load_sockets_close(struct load_sockets *sockets)
{
    for (uint32_t i = 0; i < sockets->count; i++)
        close(sockets->fds[i]);
}

void load_send(struct load_sockets *sockets, const struct load_datagram *datagrams, uint32_t count)
{
    struct mmsghdr messages[LOAD_BATCH];
    struct iovec vectors[LOAD_BATCH];
    union control controls[LOAD_BATCH];
    memset(messages, 0, sizeof(messages));
    memset(controls, 0, sizeof(controls));
    for (uint32_t i = 0; i < count; i++) {
        struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(sockets->first + datagrams[i].source)};
        struct msghdr *message = &messages[i].msg_hdr;
        vectors[i] = (struct iovec){(void *)datagrams[i].bytes, datagrams[i].length};
        controls[i].header.cmsg_len = CMSG_LEN(sizeof(info));
        controls[i].header.cmsg_level = IPPROTO_IP;
        controls[i].header.cmsg_type = IP_PKTINFO;
        memcpy(CMSG_DATA(&controls[i].header), &info, sizeof(info));
        message->msg_name = &sockets->to;
        message->msg_namelen = sizeof(sockets->to);
        message->msg_iov = &vectors[i];
        message->msg_iovlen = 1;
        message->msg_control = &controls[i];
        message->msg_controllen = sizeof(controls[i]);
    }
    for (uint32_t done = 0; done < count;) {
        int fd = sockets->fds[datagrams[0].socket];
        int sent = sendmmsg(fd, messages + done, count - done, 0);
        if (sent > 0) {
            done += (uint32_t)sent;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            poll(&wait, 1, 100);
        } else if (errno == EPERM || errno == EINVAL || errno == ENETUNREACH) {
            perror("handshake_load: sendmmsg (is there a local route for the source addresses?)");
            _exit(1);
        }
        /* anything else (a refused port, a full queue) concerns an earlier datagram: go on */
    }
}

uint32_t load_receive(struct load_sockets *sockets, struct load_datagram *datagrams, uint32_t count)
{
    struct mmsghdr messages[LOAD_BATCH];
    struct iovec vectors[LOAD_BATCH];
    uint32_t total = 0;
    for (uint32_t i = 0; i < sockets->count && total < count; i++) {
        uint32_t room = count - total < LOAD_BATCH ? count - total : LOAD_BATCH;
        memset(messages, 0, sizeof(messages));
        for (uint32_t j = 0; j < room; j++) {
            vectors[j] = (struct iovec){datagrams[total + j].bytes, LOAD_MESSAGE_BYTES};
            messages[j].msg_hdr.msg_iov = &vectors[j];
            messages[j].msg_hdr.msg_iovlen = 1;
        }
        int got = recvmmsg(sockets->fds[i], messages, room, 0, NULL);
        for (int j = 0; j < got; j++) {
            datagrams[total].socket = i;
            datagrams[total++].length = messages[j].msg_len;
        }
    }
    return total;
}

void load_wait(struct load_sockets *sockets, int milliseconds)
{
    struct pollfd waits[64];
    for (uint32_t i = 0; i < sockets->count; i++)
        waits[i] = (struct pollfd){.fd = sockets->fds[i], .events = POLLIN};
    poll(waits, sockets->count, milliseconds);
}
