/* Simulated UDP sockets of the driver's machine, as Linux's behave: by family and port, IPv6 only, pktinfo,
 * segmented sends, coalesced receives. */
#include "edge/functions.h"
#include "edge/udp_buffer.h"
#include "host.h"
#include "network.h"
#include "sched/sched.h"
#include "sched/sim.h"

#include <errno.h>
#include <stdlib.h>

#define QUEUE_MAX        4096u
#define QUEUE_BYTES_MAX  (8u << 20)
#define RUN_SEGMENTS_MAX 64u
#define RUN_BYTES_MAX    65535u
#define PORT_FIRST       32768u /* of those that the system picks */
#define PORT_COUNT       28232u
/* One in so many. */
#define MOOD_AGAIN      64u
#define MOOD_AT_ONCE    2u
#define MOOD_COALESCE   2u
#define MOOD_NO_SEND    8u /* sockets of a system that does not offer it */
#define MOOD_NO_RECEIVE 8u
#define MOOD_NO_PATH    16u   /* sockets that refuse segments whatever they offered */
#define MOOD_TOO_LARGE  512u  /* sends whose segments the path does not take */
#define PATH_MINIMUM    1232u /* every path takes these: 1280 - 40 - 8 */
#define AGAIN_DELAY_NS  2000000u

struct udp_socket {
    struct udp_socket *next;
    uint8_t family;
    bool bound, closed, coalesce;
    bool no_path;
    unsigned offloads; /* UDP_OFFLOAD_* */
    struct sim_address local;
    udp_receive *receive;
    void *context;
    struct sim_flight *queue, **tail;
    uint32_t queued, queued_bytes;
    bool delivery_due; /* an event will look at the queue */
    unsigned running;  /* callbacks of it that run now */
    struct sched_thread *closer;
    void (*writable)(void *context);
    void *writable_context;
    bool writable_due;
};

static struct udp_socket *sockets, *closed_sockets;

static struct sim_address from_udp(const struct udp_address *in)
{
    struct sim_address out = {.family = in->family, .port = in->port};

    memcpy(out.bytes, in->bytes, sim_address_bytes(in->family));
    return out;
}

static struct udp_address to_udp(const struct sim_address *in)
{
    struct udp_address out = {.family = in->family, .port = in->port};

    memcpy(out.bytes, in->bytes, sim_address_bytes(in->family));
    if (in->family == 6 && in->bytes[0] == 0xfe && (in->bytes[1] & 0xc0) == 0x80)
        out.scope = SIM_NETWORK_IFINDEX;
    return out;
}

/* ---- callbacks ---- */

static void leave(struct udp_socket *socket)
{
    if (--socket->running == 0 && socket->closer)
        sched_wake(socket->closer);
}

/* How many datagrams at the head of the queue make one coalesced run. */
static unsigned run_length(const struct udp_socket *socket)
{
    const struct sim_flight *first = socket->queue;
    uint32_t bytes = first->length;
    unsigned count = 1;

    if (!socket->coalesce || first->length == 0 || !network_mood(MOOD_COALESCE))
        return 1;
    for (const struct sim_flight *f = first->next; f && count < RUN_SEGMENTS_MAX; f = f->next) {
        if (f->length == 0 || f->length > first->length || bytes + f->length > RUN_BYTES_MAX ||
            !sim_same_address(&f->from, &first->from) || !sim_same_address(&f->to, &first->to))
            break;
        bytes += f->length;
        count++;
        if (f->length < first->length)
            break;
    }
    return count;
}

/* Moves the head of the queue, one datagram or a run, into the buffer. */
static void take(struct udp_socket *socket, uint8_t *to, struct udp_datagram *datagram)
{
    unsigned count = run_length(socket);

    *datagram = (struct udp_datagram){.data = to,
                                      .segment = count > 1 ? socket->queue->length : 0,
                                      .from = to_udp(&socket->queue->from),
                                      .to = to_udp(&socket->queue->to),
                                      .ifindex = SIM_NETWORK_IFINDEX};
    datagram->to.port = 0; /* as IP_PKTINFO: the address only */
    network_counts.runs += count > 1;
    for (; count && socket->queue; count--) {
        struct sim_flight *flight = socket->queue;

        memcpy(to + datagram->length, flight->data, flight->length);
        datagram->length += flight->length;
        socket->queued--;
        socket->queued_bytes -= flight->length;
        socket->queue = flight->next;
        if (!socket->queue)
            socket->tail = &socket->queue;
        network_counts.delivered++;
        free(flight);
    }
}

static void deliver(struct udp_socket *socket)
{
    /* A callback that waits may serve the loop again; what comes meanwhile is delivered afterwards. */
    if (socket->running)
        return;
    socket->running++;
    while (socket->queue && !socket->closed) {
        struct udp_datagram datagrams[UDP_BUFFER_MESSAGES];
        struct udp_buffer *buffer = udp_buffer_take();
        unsigned count = 0;

        if (!buffer)
            break; /* goes on when one comes back */
        while (socket->queue && count < UDP_BUFFER_MESSAGES) {
            take(socket, udp_buffer_message(buffer, count), &datagrams[count]);
            count++;
        }
        socket->receive(socket->context, datagrams, count, buffer);
    }
    leave(socket);
}

static void deliver_due(void *context)
{
    struct udp_socket *socket = context;

    socket->delivery_due = false;
    deliver(socket);
}

static void deliver_soon(struct udp_socket *socket)
{
    if (socket->delivery_due)
        return;
    socket->delivery_due = true;
    sim_at(sched_time_ns(), deliver_due, socket);
}

static void buffers_available(void *unused)
{
    (void)unused;
    for (struct udp_socket *socket = sockets; socket; socket = socket->next)
        if (socket->queue)
            deliver_soon(socket);
}

bool udp_arrived(struct sim_flight *flight)
{
    struct udp_socket *socket = sockets;

    while (socket &&
           !(socket->bound && socket->family == flight->to.family && socket->local.port == flight->to.port &&
             (sim_any_host(&socket->local) || sim_same_host(&socket->local, &flight->to))))
        socket = socket->next;
    if (!socket)
        return false;
    if (socket->queued >= QUEUE_MAX || socket->queued_bytes + flight->length > QUEUE_BYTES_MAX) {
        network_counts.overflowed++;
        free(flight);
        return true;
    }
    flight->next = NULL;
    *socket->tail = flight;
    socket->tail = &flight->next;
    socket->queued++;
    socket->queued_bytes += flight->length;
    /* Waiting for the rest of this instant lets several datagrams come together. */
    if (!network_mood(MOOD_AT_ONCE) || socket->running)
        deliver_soon(socket);
    else
        deliver(socket);
    return true;
}

/* ---- life ---- */

static int udp_sim_open(uint8_t family, bool coalesce, udp_receive *receive, void *context,
                        struct udp_socket **out)
{
    struct udp_socket *socket;

    *out = NULL;
    if (family != 4 && family != 6)
        return -EAFNOSUPPORT;
    socket = calloc(1, sizeof *socket);
    if (!socket)
        return -ENOMEM;
    udp_buffer_set_notify(buffers_available);
    socket->family = family;
    socket->coalesce = coalesce;
    if (!network_mood(MOOD_NO_SEND))
        socket->offloads |= UDP_OFFLOAD_SEND;
    if (coalesce && !network_mood(MOOD_NO_RECEIVE))
        socket->offloads |= UDP_OFFLOAD_RECEIVE;
    socket->no_path = network_mood(MOOD_NO_PATH);
    socket->receive = receive;
    socket->context = context;
    socket->tail = &socket->queue;
    socket->local.family = family;
    socket->next = sockets;
    sockets = socket;
    *out = socket;
    return 0;
}

static bool in_use(const struct sim_address *local)
{
    for (const struct udp_socket *socket = sockets; socket; socket = socket->next)
        if (socket->bound && socket->family == local->family && socket->local.port == local->port &&
            (sim_any_host(&socket->local) || sim_any_host(local) || sim_same_host(&socket->local, local)))
            return true;
    return false;
}

static int udp_sim_bind(struct udp_socket *socket, const struct udp_address *local)
{
    struct sim_address address = from_udp(local);

    if (local->family != socket->family)
        return -EAFNOSUPPORT;
    if (socket->bound)
        return -EINVAL;
    if (!sim_any_host(&address) && !routes_is_local(&address))
        return -EADDRNOTAVAIL;
    if (address.port) {
        if (in_use(&address))
            return -EADDRINUSE;
    } else {
        uint32_t first = (uint32_t)network_below(PORT_COUNT);

        for (uint32_t i = 0; i < PORT_COUNT; i++) {
            address.port = __builtin_bswap16((uint16_t)(PORT_FIRST + (first + i) % PORT_COUNT));
            if (!in_use(&address))
                break;
            if (i + 1 == PORT_COUNT)
                return -EADDRINUSE;
        }
    }
    socket->local = address;
    socket->bound = true;
    return 0;
}

static int udp_sim_local(struct udp_socket *socket, struct udp_address *local)
{
    *local = to_udp(&socket->local);
    return 0;
}

/* Structs of closed sockets stay: events that are due find them closed. */
static void udp_sim_close(struct udp_socket *socket)
{
    if (!socket)
        return;
    socket->closed = true;
    socket->bound = false;
    socket->writable = NULL;
    for (struct udp_socket **link = &sockets; *link; link = &(*link)->next)
        if (*link == socket) {
            *link = socket->next;
            break;
        }
    socket->next = closed_sockets;
    closed_sockets = socket;
    while (socket->queue) {
        struct sim_flight *flight = socket->queue;

        socket->queue = flight->next;
        free(flight);
    }
    socket->tail = &socket->queue;
    socket->queued = socket->queued_bytes = 0;
    if (loop_is_self()) /* called by the callback itself */
        return;
    socket->closer = sched_self();
    while (socket->running)
        sched_block(SCHED_FOREVER);
    socket->closer = NULL;
}

static int udp_sim_set_mark(uint32_t mark)
{
    (void)mark;
    return 0;
}

/* ---- sending ---- */

static void writable_due(void *context)
{
    struct udp_socket *socket = context;
    void (*writable)(void *) = socket->writable;

    socket->writable_due = false;
    if (!writable || socket->closed)
        return;
    socket->writable = NULL;
    socket->running++;
    writable(socket->writable_context);
    leave(socket);
    if (socket->queue && !socket->closed)
        deliver_soon(socket);
}

static void udp_sim_want_write(struct udp_socket *socket, void (*writable)(void *context), void *context)
{
    if (socket->closed)
        return;
    socket->writable = writable;
    socket->writable_context = context;
    if (socket->writable_due)
        return;
    socket->writable_due = true;
    sim_at(sched_time_ns() + network_below(AGAIN_DELAY_NS), writable_due, socket);
}

static int udp_sim_send(struct udp_socket *socket, const struct iovec *iov, unsigned iov_count,
                        uint32_t segment, const struct udp_address *to, const struct udp_address *local,
                        uint32_t ifindex)
{
    struct sim_address target = from_udp(to), source, wanted = {.family = socket->family};
    size_t total = 0, at = 0;
    uint8_t *data;
    int error;

    if (to->family != socket->family)
        return -EAFNOSUPPORT;
    for (unsigned i = 0; i < iov_count; i++)
        total += iov[i].iov_len;
    if (segment == 0 || segment > total)
        segment = (uint32_t)(total < UINT32_MAX ? total : UINT32_MAX);
    if (segment > SIM_DATAGRAM_MAX)
        return -EMSGSIZE;
    if (to->port == 0)
        return -EINVAL;
    if (!socket->bound) { /* as Linux: binds itself */
        struct udp_address any = {.family = socket->family};

        error = udp_sim_bind(socket, &any);
        if (error)
            return error;
    }
    if (ifindex && ifindex != SIM_NETWORK_IFINDEX)
        return routes_interface_get_mtu(ifindex) ? -ENETUNREACH : -ENODEV;
    if (local) {
        wanted = from_udp(local);
        wanted.family = socket->family;
    } else {
        wanted = socket->local;
    }
    error = routes_source(&target, &wanted, &source);
    if (error)
        return error;
    source.port = socket->local.port;
    if (network_mood(MOOD_AGAIN)) {
        network_counts.again++;
        return -EAGAIN;
    }
    data = malloc(total ? total : 1);
    if (!data)
        return -ENOBUFS;
    for (unsigned i = 0; i < iov_count; i++) {
        memcpy(data + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    at = 0;
    do {
        uint32_t bytes = total - at < segment ? (uint32_t)(total - at) : segment;

        network_send(&source, &target, data + at, bytes);
        at += bytes;
    } while (at < total);
    free(data);
    return 0;
}

static int udp_sim_send_segments(struct udp_socket *socket, const struct iovec *iov, unsigned iov_count,
                                 uint32_t segment, const struct udp_address *to,
                                 const struct udp_address *local, uint32_t ifindex)
{
    if (socket->no_path || (segment > PATH_MINIMUM && network_mood(MOOD_TOO_LARGE))) {
        network_counts.refused++;
        network_counts.refused_ns = sched_time_ns();
        return -EMSGSIZE;
    }
    return udp_sim_send(socket, iov, iov_count, segment, to, local, ifindex);
}

static unsigned udp_sim_offloads(const struct udp_socket *socket)
{
    return socket->offloads;
}

const struct udp_functions sim_udp = {
    .open = udp_sim_open,
    .bind = udp_sim_bind,
    .local = udp_sim_local,
    .close = udp_sim_close,
    .set_mark = udp_sim_set_mark,
    .send = udp_sim_send,
    .send_segments = udp_sim_send_segments,
    .offloads = udp_sim_offloads,
    .want_write = udp_sim_want_write,
};
