/* Lower edge: UDP sockets.  Receives coalesced runs (UDP_GRO) into reference-counted buffers, sends runs of
 * equal-sized datagrams with one system call (UDP_SEGMENT), and tells when a full socket takes more. */
#include "functions.h"
#include "host.h"
#include "sched/sched.h"
#include "udp_buffer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO     104
#endif

#define SEND_BUFFER_BYTES    (4 << 20)
#define RECEIVE_BUFFER_BYTES (8 << 20)
#define READ_BURST_BYTES     16384

/* Structs of closed sockets are recycled, never freed: an event that the loop had already fetched when the
 * socket was removed finds a valid struct, and at worst reads an empty socket. */
struct udp_socket {
    struct udp_socket *next; /* all_sockets or recycled */
    int fd;                  /* -1: closed */
    uint8_t family;
    bool bound;
    bool coalesces;            /* UDP_GRO is on */
    bool no_segmentation;      /* the device below refused UDP_SEGMENT altogether */
    uint32_t largest_segment;  /* segments above this were refused (path MTU); fall back to single sends */
    pthread_mutex_t receiving; /* held while `receive` runs */
    pthread_mutex_t waiting;   /* guards writable and events */
    void (*writable)(void *context);
    void *writable_context;
    uint32_t events;
    udp_receive *receive;
    void *context;
};

static pthread_mutex_t sockets_lock = PTHREAD_MUTEX_INITIALIZER;
static struct udp_socket *all_sockets, *recycled;
static uint32_t current_mark;

static socklen_t to_sockaddr(uint8_t family, const struct udp_address *address, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;

        in->sin_family = AF_INET;
        in->sin_port = address->port;
        memcpy(&in->sin_addr, address->bytes, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

    in6->sin6_family = AF_INET6;
    in6->sin6_port = address->port;
    memcpy(&in6->sin6_addr, address->bytes, 16);
    in6->sin6_scope_id = address->scope;
    return sizeof *in6;
}

static void from_sockaddr(const struct sockaddr_storage *in, struct udp_address *address)
{
    memset(address, 0, sizeof *address);
    if (in->ss_family == AF_INET) {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)in;

        address->family = 4;
        address->port = in4->sin_port;
        memcpy(address->bytes, &in4->sin_addr, 4);
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)in;

        address->family = 6;
        address->port = in6->sin6_port;
        memcpy(address->bytes, &in6->sin6_addr, 16);
        address->scope = in6->sin6_scope_id;
    }
}

static void read_control(struct udp_socket *socket, struct msghdr *message, struct udp_datagram *datagram)
{
    datagram->segment = 0;
    datagram->ifindex = 0;
    memset(&datagram->to, 0, sizeof datagram->to);
    datagram->to.family = socket->family;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof info);
            memcpy(datagram->to.bytes, &info.ipi_addr, 4);
            datagram->ifindex = (uint32_t)info.ipi_ifindex;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof info);
            memcpy(datagram->to.bytes, &info.ipi6_addr, 16);
            datagram->ifindex = info.ipi6_ifindex;
        } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;

            memcpy(&size, CMSG_DATA(c), sizeof size);
            if (size > 0 && (uint32_t)size < datagram->length)
                datagram->segment = (uint32_t)size;
        }
    }
}

/* The bytes read; 0 when nothing more is there for now. */
static size_t udp_read(struct udp_socket *socket)
{
    struct udp_buffer *buffer = udp_buffer_take();
    struct mmsghdr messages[UDP_BUFFER_MESSAGES];
    struct iovec iov[UDP_BUFFER_MESSAGES];
    struct sockaddr_storage from[UDP_BUFFER_MESSAGES];
    char control[UDP_BUFFER_MESSAGES][CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))]
        __attribute__((aligned(8)));
    struct udp_datagram datagrams[UDP_BUFFER_MESSAGES];
    unsigned count = 0;
    size_t bytes = 0;
    int got;

    if (!buffer) { /* the driver keeps all: until one is back, datagrams wait in the socket or are dropped
                      there */
        pthread_mutex_lock(&socket->waiting);
        socket->events &= ~(uint32_t)EPOLLIN;
        loop_modify(socket->fd, socket->events);
        pthread_mutex_unlock(&socket->waiting);
        return 0;
    }
    for (unsigned i = 0; i < UDP_BUFFER_MESSAGES; i++) {
        iov[i] = (struct iovec){udp_buffer_message(buffer, i), UDP_BUFFER_MESSAGE_BYTES};
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &from[i],
            .msg_namelen = sizeof from[i],
            .msg_iov = &iov[i],
            .msg_iovlen = 1,
            .msg_control = control[i],
            .msg_controllen = sizeof control[i],
        };
    }
    got = recvmmsg(socket->fd, messages, UDP_BUFFER_MESSAGES, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++) {
        struct udp_datagram *datagram = &datagrams[count];

        bytes += messages[i].msg_len;
        if (messages[i].msg_hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
            continue;
        datagram->data = iov[i].iov_base;
        datagram->length = messages[i].msg_len;
        from_sockaddr(&from[i], &datagram->from);
        read_control(socket, &messages[i].msg_hdr, datagram);
        count++;
    }
    if (count > 0)
        socket->receive(socket->context, datagrams, count, buffer);
    else
        udp_buffer_release(buffer);
    return got == UDP_BUFFER_MESSAGES ? bytes : 0;
}

/* Of a flood of small datagrams more than one buffer is read before anything else is looked at: between two
 * buffers would be a system call, and threads of the driver would be woken for each. */
static void udp_read_burst(struct udp_socket *socket)
{
    size_t bytes = 0, more;

    do {
        more = udp_read(socket);
        bytes += more;
    } while (more > 0 && bytes < READ_BURST_BYTES && __atomic_load_n(&socket->fd, __ATOMIC_ACQUIRE) >= 0);
}

static void udp_event(void *context, uint32_t events)
{
    struct udp_socket *socket = context;

    if (events & EPOLLOUT) {
        void (*writable)(void *) = NULL;
        void *writable_context = NULL;

        pthread_mutex_lock(&socket->waiting);
        if (socket->fd >= 0 && socket->writable) {
            writable = socket->writable;
            writable_context = socket->writable_context;
            socket->writable = NULL;
            socket->events &= ~(uint32_t)EPOLLOUT;
            loop_modify(socket->fd, socket->events);
        }
        pthread_mutex_unlock(&socket->waiting);
        if (writable) {
            pthread_mutex_lock(&socket->receiving);
            if (__atomic_load_n(&socket->fd, __ATOMIC_ACQUIRE) >= 0)
                writable(writable_context);
            pthread_mutex_unlock(&socket->receiving);
        }
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        pthread_mutex_lock(&socket->receiving);
        if (__atomic_load_n(&socket->fd, __ATOMIC_ACQUIRE) >= 0 && socket->bound)
            udp_read_burst(socket);
        pthread_mutex_unlock(&socket->receiving);
    }
}

/* On the loop thread after a receive buffer came back. */
static void resume_receiving(void *unused)
{
    pthread_mutex_lock(&sockets_lock);
    for (struct udp_socket *socket = all_sockets; socket; socket = socket->next) {
        pthread_mutex_lock(&socket->waiting);
        if (socket->fd >= 0 && socket->bound && !(socket->events & EPOLLIN)) {
            socket->events |= EPOLLIN;
            loop_modify(socket->fd, socket->events);
        }
        pthread_mutex_unlock(&socket->waiting);
    }
    pthread_mutex_unlock(&sockets_lock);
}

static int set_flag(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

static void set_buffer(int fd, int forced, int plain, int bytes)
{
    if (set_flag(fd, SOL_SOCKET, forced, bytes) < 0)
        set_flag(fd, SOL_SOCKET, plain, bytes);
}

static int configure(int fd, uint8_t family, bool coalesce, bool *coalesces)
{
    int error;

    if (family == 4) {
        error = set_flag(fd, IPPROTO_IP, IP_PKTINFO, 1);
        set_flag(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    } else {
        error = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        if (!error)
            error = set_flag(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        set_flag(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
    }
    if (error)
        return error;
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER_BYTES);
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_BUFFER_BYTES);
    /* older kernels: single datagrams, nothing else changes */
    *coalesces = coalesce && set_flag(fd, IPPROTO_UDP, UDP_GRO, 1) == 0;
    return 0;
}

static int linux_udp_open(uint8_t family, bool coalesce, udp_receive *receive, void *context,
                          struct udp_socket **out)
{
    struct udp_socket *udp;
    bool coalesces;
    int fd, error;

    *out = NULL;
    if (family != 4 && family != 6)
        return -EAFNOSUPPORT;
    fd = socket(family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    error = configure(fd, family, coalesce, &coalesces);
    if (error) {
        close(fd);
        return error;
    }
    udp_buffer_set_notify(resume_receiving);
    pthread_mutex_lock(&sockets_lock);
    udp = recycled;
    if (udp) {
        recycled = udp->next;
    } else {
        udp = calloc(1, sizeof *udp);
        if (!udp) {
            pthread_mutex_unlock(&sockets_lock);
            close(fd);
            return -ENOMEM;
        }
        pthread_mutex_init(&udp->receiving, NULL);
        pthread_mutex_init(&udp->waiting, NULL);
    }
    udp->family = family;
    udp->bound = false;
    udp->coalesces = coalesces;
    udp->no_segmentation = false;
    udp->largest_segment = UINT32_MAX;
    udp->writable = NULL;
    udp->events = 0;
    udp->receive = receive;
    udp->context = context;
    udp->next = all_sockets;
    all_sockets = udp;
    if (current_mark)
        set_flag(fd, SOL_SOCKET, SO_MARK, (int)current_mark);
    __atomic_store_n(&udp->fd, fd, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&sockets_lock);
    *out = udp;
    return 0;
}

static int linux_udp_bind(struct udp_socket *socket, const struct udp_address *local)
{
    struct sockaddr_storage address;
    socklen_t length = to_sockaddr(socket->family, local, &address);
    int error;

    if (bind(socket->fd, (struct sockaddr *)&address, length) < 0)
        return -errno;
    socket->bound = true;
    socket->events = EPOLLIN;
    error = loop_add(socket->fd, EPOLLIN, udp_event, socket);
    if (error)
        socket->bound = false;
    return error;
}

static int linux_udp_local(struct udp_socket *socket, struct udp_address *local)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;

    memset(&address, 0, sizeof address);
    if (getsockname(socket->fd, (struct sockaddr *)&address, &length) < 0)
        return -errno;
    from_sockaddr(&address, local);
    return 0;
}

static void linux_udp_close(struct udp_socket *socket)
{
    bool inside = loop_is_self();
    int fd;

    if (!socket)
        return;
    if (!inside) /* a callback that runs now ends first */
        pthread_mutex_lock(&socket->receiving);
    pthread_mutex_lock(&socket->waiting);
    bool bound = socket->bound;
    fd = __atomic_exchange_n(&socket->fd, -1, __ATOMIC_ACQ_REL);
    socket->bound = false;
    socket->writable = NULL;
    pthread_mutex_unlock(&socket->waiting);
    if (!inside)
        pthread_mutex_unlock(&socket->receiving);
    /* Without the locks: it waits for an event that is under way, which takes them and finds the socket
     * closed. */
    if (bound)
        loop_remove(fd);
    close(fd);

    pthread_mutex_lock(&sockets_lock);
    for (struct udp_socket **link = &all_sockets; *link; link = &(*link)->next)
        if (*link == socket) {
            *link = socket->next;
            break;
        }
    socket->next = recycled;
    recycled = socket;
    pthread_mutex_unlock(&sockets_lock);
}

static int linux_udp_set_mark(uint32_t mark)
{
    int error = 0;

    pthread_mutex_lock(&sockets_lock);
    for (struct udp_socket *socket = all_sockets; socket && !error; socket = socket->next)
        error = set_flag(socket->fd, SOL_SOCKET, SO_MARK, (int)mark);
    if (!error)
        current_mark = mark;
    else
        for (struct udp_socket *socket = all_sockets; socket; socket = socket->next)
            set_flag(socket->fd, SOL_SOCKET, SO_MARK, (int)current_mark);
    pthread_mutex_unlock(&sockets_lock);
    return error;
}

struct send_control {
    char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))]
        __attribute__((aligned(8)));
    size_t pktinfo_length; /* with the source address only */
    size_t length;         /* with the segment size as well */
};

static void put_control(struct send_control *control, int level, int type, const void *data, size_t length)
{
    struct cmsghdr *header = (struct cmsghdr *)(control->bytes + control->length);

    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(header), data, length);
    control->length += CMSG_SPACE(length);
}

static void put_source(struct send_control *control, uint8_t family, const struct udp_address *local,
                       uint32_t ifindex)
{
    if (family == 4) {
        struct in_pktinfo info = {.ipi_ifindex = (int)ifindex};

        if (local)
            memcpy(&info.ipi_spec_dst, local->bytes, 4);
        put_control(control, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = ifindex};

        if (local)
            memcpy(&info.ipi6_addr, local->bytes, 16);
        put_control(control, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
    control->pktinfo_length = control->length;
}

/* One datagram or segmented run.  ICMP errors of earlier datagrams that the kernel reports here are not ours:
 * the call is repeated. */
static int send_once(struct udp_socket *socket, struct msghdr *message)
{
    for (unsigned attempt = 0;; attempt++) {
        if (sendmsg(socket->fd, message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno == EINTR || (errno == ECONNREFUSED && attempt < 2))
            continue;
        return errno == EWOULDBLOCK || errno == ENOBUFS ? -EAGAIN : -errno;
    }
}

/* Cuts the run in software: the next `want` bytes of the vector become one datagram. */
static unsigned take_piece(const struct iovec *iov, unsigned iov_count, unsigned *index, size_t *skip,
                           size_t want, struct iovec *piece, unsigned piece_max)
{
    unsigned count = 0;

    while (want > 0 && *index < iov_count && count < piece_max) {
        size_t left = iov[*index].iov_len - *skip;
        size_t take = left < want ? left : want;

        if (take > 0)
            piece[count++] = (struct iovec){(char *)iov[*index].iov_base + *skip, take};
        want -= take;
        *skip += take;
        if (*skip == iov[*index].iov_len) {
            (*index)++;
            *skip = 0;
        }
    }
    return count;
}

static int send_singly(struct udp_socket *socket, struct msghdr message, const struct iovec *iov,
                       unsigned iov_count, size_t total, uint32_t segment)
{
    struct iovec piece[64];
    unsigned index = 0;
    size_t skip = 0;
    bool sent = false;
    int error = 0;

    for (size_t done = 0; done < total; done += segment) {
        size_t want = total - done < segment ? total - done : segment;

        message.msg_iov = piece;
        message.msg_iovlen = take_piece(iov, iov_count, &index, &skip, want, piece, 64);
        error = send_once(socket, &message);
        if (error == -EAGAIN && sent) {
            /* Part of the run is out; the rest is lost like any datagram on a full queue: repeating the whole
             * run would duplicate what was sent. */
            return 0;
        }
        if (error)
            return error;
        sent = true;
    }
    return 0;
}

/* `kept`: the segment size is the caller's wish, and a path that does not take it refuses it. */
static int send_run(struct udp_socket *socket, const struct iovec *iov, unsigned iov_count, uint32_t segment,
                    bool kept, const struct udp_address *to, const struct udp_address *local,
                    uint32_t ifindex)
{
    struct sockaddr_storage address;
    struct send_control control = {.length = 0};
    struct msghdr message = {.msg_name = &address, .msg_iov = (struct iovec *)iov, .msg_iovlen = iov_count};
    size_t total = 0;
    int error;

    if (to->family != socket->family)
        return -EAFNOSUPPORT;
    message.msg_namelen = to_sockaddr(socket->family, to, &address);
    for (unsigned i = 0; i < iov_count; i++)
        total += iov[i].iov_len;
    if (local || ifindex)
        put_source(&control, socket->family, local, ifindex);
    message.msg_control = control.length ? control.bytes : NULL;
    message.msg_controllen = control.length;
    if (segment == 0 || segment >= total)
        return send_once(socket, &message);

    if (!__atomic_load_n(&socket->no_segmentation, __ATOMIC_RELAXED) &&
        (kept || segment <= __atomic_load_n(&socket->largest_segment, __ATOMIC_RELAXED)) &&
        total <= (size_t)segment * UDP_SEGMENTS_MAX) {
        uint16_t size = (uint16_t)segment;

        put_control(&control, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
        message.msg_control = control.bytes;
        message.msg_controllen = control.length;
        error = send_once(socket, &message);
        if (error != -EIO && error != -EINVAL && error != -EMSGSIZE && error != -EOPNOTSUPP)
            return error;
        if (kept && (error == -EINVAL || error == -EMSGSIZE))
            return -EMSGSIZE;
        message.msg_control = control.pktinfo_length ? control.bytes : NULL;
        message.msg_controllen = control.pktinfo_length;
        int single = send_singly(socket, message, iov, iov_count, total, segment);

        /* Only if the datagrams go out one by one was it the segmentation that was refused. */
        if (single == 0 && (error == -EIO || error == -EOPNOTSUPP))
            __atomic_store_n(&socket->no_segmentation, true, __ATOMIC_RELAXED);
        else if (single == 0)
            __atomic_store_n(&socket->largest_segment, segment - 1, __ATOMIC_RELAXED);
        return single;
    }
    return send_singly(socket, message, iov, iov_count, total, segment);
}

static int linux_udp_send(struct udp_socket *socket, const struct iovec *iov, unsigned iov_count,
                          uint32_t segment, const struct udp_address *to, const struct udp_address *local,
                          uint32_t ifindex)
{
    return send_run(socket, iov, iov_count, segment, false, to, local, ifindex);
}

static int linux_udp_send_segments(struct udp_socket *socket, const struct iovec *iov, unsigned iov_count,
                                   uint32_t segment, const struct udp_address *to,
                                   const struct udp_address *local, uint32_t ifindex)
{
    return send_run(socket, iov, iov_count, segment, true, to, local, ifindex);
}

static unsigned linux_udp_offloads(const struct udp_socket *socket)
{
    int size;
    socklen_t length = sizeof size;
    bool sends = getsockopt(socket->fd, IPPROTO_UDP, UDP_SEGMENT, &size, &length) == 0;

    return (sends ? UDP_OFFLOAD_SEND : 0) | (socket->coalesces ? UDP_OFFLOAD_RECEIVE : 0);
}

static void linux_udp_want_write(struct udp_socket *socket, void (*writable)(void *context), void *context)
{
    pthread_mutex_lock(&socket->waiting);
    if (socket->fd >= 0) {
        socket->writable = writable;
        socket->writable_context = context;
        if (!(socket->events & EPOLLOUT)) {
            socket->events |= EPOLLOUT;
            if (socket->bound)
                loop_modify(socket->fd, socket->events);
        }
    }
    pthread_mutex_unlock(&socket->waiting);
}

const struct udp_functions linux_udp = {
    .open = linux_udp_open,
    .bind = linux_udp_bind,
    .local = linux_udp_local,
    .close = linux_udp_close,
    .set_mark = linux_udp_set_mark,
    .send = linux_udp_send,
    .send_segments = linux_udp_send_segments,
    .offloads = linux_udp_offloads,
    .want_write = linux_udp_want_write,
};
