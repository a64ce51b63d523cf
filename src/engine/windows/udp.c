/* The lower edge (edge/edge.h) over Winsock: one socket a family that never blocks, whose event the loop
 * waits for. Datagrams are sent one by one; the system chooses the local address.  All on the loop's thread.
 */
#include "udp.h"
#include "edge/edge.h"
#include "host.h"
#include "loop.h"
#include "sched/sched.h"

#include <winsock2.h>
#include <ws2tcpip.h>

#include <mstcpip.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BURST_DATAGRAMS 64
#define DATAGRAM_BYTES  65536
#define BURST_BYTES     (256 * 1024)
#define SOCKET_BYTES    (4 << 20)

#ifndef SIO_UDP_CONNRESET
#define SIO_UDP_CONNRESET _WSAIOW(IOC_VENDOR, 12)
#endif
#ifndef SIO_UDP_NETRESET
#define SIO_UDP_NETRESET _WSAIOW(IOC_VENDOR, 15)
#endif

struct udp_socket {
    SOCKET socket;
    uint8_t family;
    WSAEVENT event;
    udp_receive *receive;
    void *context;
    void (*writable)(void *context);
    void *writable_context;
    struct udp_socket *next; /* of all that are open */
    struct udp_datagram datagrams[BURST_DATAGRAMS];
    uint8_t buffer[BURST_BYTES];
};

static struct udp_socket *open_sockets;
static uint32_t way_out[2]; /* per family: the interface that datagrams leave through; 0: by the routes */

/* Winsock's numbers to those of <errno.h> that the engine tells apart. */
static int failure(void)
{
    switch (WSAGetLastError()) {
    case WSAEWOULDBLOCK:
        return -EAGAIN;
    case WSAEADDRINUSE:
    case WSAEACCES: /* somebody holds the port for himself alone */
        return -EADDRINUSE;
    case WSAEADDRNOTAVAIL:
        return -EADDRNOTAVAIL;
    case WSAEAFNOSUPPORT:
    case WSAEPROTONOSUPPORT:
        return -EAFNOSUPPORT;
    case WSAENETUNREACH:
        return -ENETUNREACH;
    case WSAEHOSTUNREACH:
        return -EHOSTUNREACH;
    case WSAEMSGSIZE:
        return -EMSGSIZE;
    case WSAENOBUFS:
        return -ENOBUFS;
    default:
        return -EIO;
    }
}

static int to_winsock(const struct udp_address *from, SOCKADDR_STORAGE *to)
{
    memset(to, 0, sizeof(*to));
    if (from->family == 4) {
        struct sockaddr_in *ipv4 = (struct sockaddr_in *)to;
        ipv4->sin_family = AF_INET;
        ipv4->sin_port = from->port;
        memcpy(&ipv4->sin_addr, from->bytes, 4);
        return sizeof(*ipv4);
    }
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)to;
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = from->port;
    memcpy(&ipv6->sin6_addr, from->bytes, 16);
    ipv6->sin6_scope_id = from->scope;
    return sizeof(*ipv6);
}

static void from_winsock(const SOCKADDR_STORAGE *from, struct udp_address *to)
{
    memset(to, 0, sizeof(*to));
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)from;
        to->family = 4;
        to->port = ipv4->sin_port;
        memcpy(to->bytes, &ipv4->sin_addr, 4);
        return;
    }
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)from;
    to->family = 6;
    to->port = ipv6->sin6_port;
    memcpy(to->bytes, &ipv6->sin6_addr, 16);
    to->scope = ipv6->sin6_scope_id;
}

static void set_option(SOCKET socket, int level, int name, DWORD value)
{
    setsockopt(socket, level, name, (const char *)&value, sizeof(value));
}

/* IP_UNICAST_IF takes the number in network byte order, IPV6_UNICAST_IF in the host's (Microsoft, "IPPROTO_IP
 * socket options"). */
static void apply_way_out(const struct udp_socket *udp)
{
    if (udp->family == 4)
        set_option(udp->socket, IPPROTO_IP, IP_UNICAST_IF, htonl(way_out[0]));
    else
        set_option(udp->socket, IPPROTO_IPV6, IPV6_UNICAST_IF, way_out[1]);
}

void udp_set_way_out(uint8_t family, uint32_t ifindex)
{
    if (way_out[family == 6] == ifindex)
        return;
    way_out[family == 6] = ifindex;
    for (struct udp_socket *udp = open_sockets; udp; udp = udp->next)
        if (udp->family == family)
            apply_way_out(udp);
}

/* A port unreachable message must not end the reception (SIO_UDP_CONNRESET). */
static void prepare(struct udp_socket *udp)
{
    BOOL off = FALSE;
    DWORD bytes;
    WSAIoctl(udp->socket, SIO_UDP_CONNRESET, &off, sizeof(off), NULL, 0, &bytes, NULL, NULL);
    WSAIoctl(udp->socket, SIO_UDP_NETRESET, &off, sizeof(off), NULL, 0, &bytes, NULL, NULL);
    set_option(udp->socket, SOL_SOCKET, SO_RCVBUF, SOCKET_BYTES);
    set_option(udp->socket, SOL_SOCKET, SO_SNDBUF, SOCKET_BYTES);
    set_option(udp->socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1);
    if (udp->family == 6)
        set_option(udp->socket, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (way_out[udp->family == 6])
        apply_way_out(udp);
}

int udp_open(uint8_t family, bool coalesce, udp_receive *receive, void *context, struct udp_socket **out)
{
    static bool started;
    WSADATA data;
    *out = NULL;
    if (!started && WSAStartup(MAKEWORD(2, 2), &data) != 0)
        return -EIO;
    started = true;
    struct udp_socket *udp = calloc(1, sizeof(*udp));
    if (!udp)
        return -ENOMEM;
    udp->family = family;
    udp->receive = receive;
    udp->context = context;
    udp->socket = WSASocketW(family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM, IPPROTO_UDP, NULL, 0,
                             WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    if (udp->socket == INVALID_SOCKET) {
        int error = failure();
        free(udp);
        return error;
    }
    udp->event = WSACreateEvent();
    udp->next = open_sockets;
    open_sockets = udp;
    prepare(udp);
    *out = udp;
    return 0;
}

/* One burst; of what is left the event need not tell: it is looked for again, behind other work. */
static void receive_burst(void *context)
{
    struct udp_socket *udp = context;
    unsigned count = 0;
    bool empty = false;
    for (uint32_t used = 0; count < BURST_DATAGRAMS && used + DATAGRAM_BYTES <= BURST_BYTES;) {
        SOCKADDR_STORAGE from;
        int from_bytes = sizeof(from);
        int got = recvfrom(udp->socket, (char *)udp->buffer + used, DATAGRAM_BYTES, 0,
                           (struct sockaddr *)&from, &from_bytes);
        if (got < 0 && WSAGetLastError() == WSAEMSGSIZE) /* nobody's: larger than any message */
            continue;
        if (got < 0) {
            empty = true;
            break;
        }
        struct udp_datagram *datagram = &udp->datagrams[count++];
        *datagram = (struct udp_datagram){.data = udp->buffer + used, .length = (uint32_t)got};
        from_winsock(&from, &datagram->from);
        used += ((uint32_t)got + 15) & ~15u;
    }
    if (count)
        udp->receive(udp->context, udp->datagrams, count, udp);
    if (!empty)
        loop_post(receive_burst, udp);
}

static void socket_signaled(void *context)
{
    struct udp_socket *udp = context;
    WSANETWORKEVENTS events;
    if (WSAEnumNetworkEvents(udp->socket, udp->event, &events) != 0)
        return;
    void (*writable)(void *) = udp->writable;
    if (events.lNetworkEvents & FD_WRITE && writable) {
        udp->writable = NULL;
        writable(udp->writable_context);
    }
    receive_burst(udp);
}

int udp_bind(struct udp_socket *udp, const struct udp_address *local)
{
    SOCKADDR_STORAGE address;
    int bytes = to_winsock(local, &address);
    if (bind(udp->socket, (struct sockaddr *)&address, bytes) != 0 ||
        WSAEventSelect(udp->socket, udp->event, FD_READ | FD_WRITE) != 0)
        return failure();
    return loop_add_handle(udp->event, socket_signaled, udp);
}

int udp_local(struct udp_socket *udp, struct udp_address *local)
{
    SOCKADDR_STORAGE address;
    int bytes = sizeof(address);
    if (getsockname(udp->socket, (struct sockaddr *)&address, &bytes) != 0)
        return failure();
    from_winsock(&address, local);
    return 0;
}

void udp_close(struct udp_socket *udp)
{
    if (!udp)
        return;
    struct udp_socket **link = &open_sockets;
    while (*link != udp)
        link = &(*link)->next;
    *link = udp->next;
    loop_remove_handle(udp->event);
    loop_forget(udp);
    closesocket(udp->socket);
    WSACloseEvent(udp->event);
    free(udp);
}

/* The socket's own buffer: free again when the callback returns. */
void udp_buffer_release(void *token)
{
}

void *udp_buffer_space(void *token)
{
    host_fatal("the buffers of this edge have no room for bookkeeping");
}

/* Windows has no such thing: way_out keeps datagrams out of the tunnel. */
int udp_set_mark(uint32_t mark)
{
    return mark ? -EOPNOTSUPP : 0;
}

/* Datagrams that went before a failure are gone; a full socket in the middle loses the rest, as a full queue
 * would. */
int udp_send(struct udp_socket *udp, const struct iovec *iov, unsigned iov_count, uint32_t segment,
             const struct udp_address *to, const struct udp_address *local, uint32_t ifindex)
{
    SOCKADDR_STORAGE address;
    int address_bytes = to_winsock(to, &address);
    if (iov_count != 1)
        return -EINVAL;
    const char *data = iov->iov_base;
    size_t left = iov->iov_len, step = segment ? segment : left;
    for (bool first = true; left || first; first = false) {
        size_t bytes = left < step ? left : step;
        if (sendto(udp->socket, data, (int)bytes, 0, (struct sockaddr *)&address, address_bytes) < 0) {
            int error = failure();
            return error == -EAGAIN && !first ? 0 : error;
        }
        data += bytes;
        left -= bytes;
    }
    return 0;
}

int udp_send_segments(struct udp_socket *udp, const struct iovec *iov, unsigned iov_count, uint32_t segment,
                      const struct udp_address *to, const struct udp_address *local, uint32_t ifindex)
{
    return udp_send(udp, iov, iov_count, segment, to, local, ifindex);
}

unsigned udp_offloads(const struct udp_socket *udp)
{
    return 0;
}

/* Winsock signals FD_WRITE once a send was refused and there is room again. */
void udp_want_write(struct udp_socket *udp, void (*writable)(void *context), void *context)
{
    udp->writable = writable;
    udp->writable_context = context;
}
