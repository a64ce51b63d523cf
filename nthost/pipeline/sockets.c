/* The lower edge in memory: a datagram is copied into a receive buffer of the socket at whose port it
 * arrives, as the kernel would do it, and stays there until it is delivered.  A segmented send arrives as a
 * coalesced run. The copy is not counted (meter). */
#include "internal.h"

#include "edge/functions.h"
#include "edge/udp_buffer.h"
#include "ndis/spin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SOCKETS_MAX   160u
#define INBOX_MAX     16u /* buffers that wait */
#define PORT_FIRST    40000u
#define NETWORK_INDEX 1u

struct inbox {
    struct udp_buffer *buffer;
    struct udp_datagram datagrams[UDP_BUFFER_MESSAGES];
    unsigned count;
};

struct udp_socket {
    uint8_t family;
    bool bound, coalesce, discard;
    uint16_t port; /* network order */
    udp_receive *receive;
    void *context;
    struct spin lock; /* the inboxes */
    struct inbox inboxes[INBOX_MAX];
    unsigned inbox_count;
    uint64_t datagrams, bytes, lost;
};

static struct udp_socket *sockets[SOCKETS_MAX];
static struct spin sockets_lock; /* changes of the table; readers see a socket or NULL */

static struct udp_socket *find(uint8_t family, uint16_t port)
{
    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        struct udp_socket *socket = __atomic_load_n(&sockets[i], __ATOMIC_ACQUIRE);

        if (socket && socket->bound && socket->family == family && socket->port == port)
            return socket;
    }
    return NULL;
}

static int memory_udp_open(uint8_t family, bool coalesce, udp_receive *receive, void *context,
                           struct udp_socket **out)
{
    struct udp_socket *socket = calloc(1, sizeof *socket);
    unsigned at = 0;

    if (!socket)
        return -ENOMEM;
    socket->family = family;
    socket->coalesce = coalesce;
    socket->receive = receive;
    socket->context = context;
    spin_lock(&sockets_lock);
    while (at < SOCKETS_MAX && sockets[at])
        at++;
    if (at < SOCKETS_MAX)
        __atomic_store_n(&sockets[at], socket, __ATOMIC_RELEASE);
    spin_unlock(&sockets_lock);
    if (at == SOCKETS_MAX) {
        free(socket);
        return -EMFILE;
    }
    *out = socket;
    return 0;
}

static int memory_udp_bind(struct udp_socket *socket, const struct udp_address *local)
{
    socket->port = local->port;
    for (unsigned port = PORT_FIRST; !socket->port; port++)
        if (!find(socket->family, __builtin_bswap16((uint16_t)port)))
            socket->port = __builtin_bswap16((uint16_t)port);
    if (find(socket->family, socket->port))
        return -EADDRINUSE;
    socket->bound = true;
    return 0;
}

static int memory_udp_local(struct udp_socket *socket, struct udp_address *local)
{
    *local = (struct udp_address){.family = socket->family, .port = socket->port};
    return 0;
}

/* Nobody sends or delivers any more: the benchmark has stopped before its adapters go. */
static void memory_udp_close(struct udp_socket *socket)
{
    if (!socket)
        return;
    spin_lock(&sockets_lock);
    for (unsigned i = 0; i < SOCKETS_MAX; i++)
        if (sockets[i] == socket)
            __atomic_store_n(&sockets[i], NULL, __ATOMIC_RELEASE);
    spin_unlock(&sockets_lock);
    for (unsigned i = 0; i < socket->inbox_count; i++)
        udp_buffer_release(socket->inboxes[i].buffer);
    free(socket);
}

static int memory_udp_set_mark(uint32_t mark)
{
    (void)mark;
    return 0;
}

static void memory_udp_want_write(struct udp_socket *socket, void (*writable)(void *context), void *context)
{
    (void)socket; /* never full */
    (void)writable;
    (void)context;
}

/* Lock held. Where the next run goes. */
static struct inbox *inbox_with_room(struct udp_socket *socket)
{
    struct inbox *last = &socket->inboxes[socket->inbox_count];

    if (socket->inbox_count && last[-1].count < UDP_BUFFER_MESSAGES)
        return last - 1;
    if (socket->inbox_count == INBOX_MAX || !(last->buffer = udp_buffer_take()))
        return NULL;
    last->count = 0;
    socket->inbox_count++;
    return last;
}

/* Lock held. One datagram or coalesced run. */
static void arrive(struct udp_socket *socket, const uint8_t *data, uint32_t length, uint32_t segment,
                   const struct udp_address *from)
{
    struct inbox *inbox = inbox_with_room(socket);
    struct udp_datagram *datagram;

    if (!inbox) {
        socket->lost++;
        return;
    }
    datagram = &inbox->datagrams[inbox->count];
    *datagram = (struct udp_datagram){.data = udp_buffer_message(inbox->buffer, inbox->count),
                                      .length = length,
                                      .segment = segment < length ? segment : 0,
                                      .from = *from,
                                      .to = {.family = 4, .bytes = PIPELINE_ADDRESS},
                                      .ifindex = NETWORK_INDEX};
    memcpy(datagram->data, data, length);
    inbox->count++;
}

static int memory_udp_send(struct udp_socket *socket, const struct iovec *iov, unsigned iov_count,
                           uint32_t segment, const struct udp_address *to, const struct udp_address *local,
                           uint32_t ifindex)
{
    static __thread uint8_t gathered[UDP_BUFFER_MESSAGE_BYTES];
    struct udp_address from = {.family = 4, .port = socket->port, .bytes = PIPELINE_ADDRESS};
    uint64_t start = pipeline_tsc();
    enum phase phase = meter.phase;
    struct udp_socket *target;
    const uint8_t *data;
    size_t total = 0;

    (void)local;
    (void)ifindex;
    meter.phase = PHASE_OUTSIDE;
    for (unsigned i = 0; i < iov_count; i++)
        total += iov[i].iov_len;
    if (!segment || segment > total)
        segment = (uint32_t)total;
    target = total <= sizeof gathered ? find(to->family, to->port) : NULL;
    if (target) {
        uint64_t datagrams = segment ? (total + segment - 1) / segment : 1; /* one may be empty */
        __atomic_add_fetch(&target->datagrams, datagrams, __ATOMIC_RELAXED);
        __atomic_add_fetch(&target->bytes, total, __ATOMIC_RELAXED);
    }
    if (target && !target->discard) {
        data = iov[0].iov_base;
        if (iov_count > 1) {
            size_t at = 0;

            for (unsigned i = 0; i < iov_count; at += iov[i++].iov_len)
                memcpy(gathered + at, iov[i].iov_base, iov[i].iov_len);
            data = gathered;
        }
        spin_lock(&target->lock);
        if (target->coalesce || segment == total)
            arrive(target, data, (uint32_t)total, segment, &from);
        else
            for (size_t at = 0; at < total; at += segment)
                arrive(target, data + at, (uint32_t)(total - at < segment ? total - at : segment), 0, &from);
        spin_unlock(&target->lock);
    }
    meter.phase = phase;
    meter.edge_cycles += pipeline_tsc() - start;
    return 0;
}

static unsigned memory_udp_offloads(const struct udp_socket *socket)
{
    return UDP_OFFLOAD_SEND | (socket->coalesce ? UDP_OFFLOAD_RECEIVE : 0);
}

const struct udp_functions memory_udp = {
    .open = memory_udp_open,
    .bind = memory_udp_bind,
    .local = memory_udp_local,
    .close = memory_udp_close,
    .set_mark = memory_udp_set_mark,
    .send = memory_udp_send,
    .send_segments = memory_udp_send,
    .offloads = memory_udp_offloads,
    .want_write = memory_udp_want_write,
};

/* ---- for the benchmark ---- */

static bool inbox_take(struct udp_socket *socket, struct inbox *out)
{
    spin_lock(&socket->lock);
    bool any = socket->inbox_count > 0;
    if (any) {
        *out = socket->inboxes[0];
        socket->inbox_count--;
        memmove(socket->inboxes, socket->inboxes + 1, socket->inbox_count * sizeof *out);
    }
    spin_unlock(&socket->lock);
    return any;
}

uint32_t sockets_deliver(uint16_t port)
{
    struct udp_socket *socket = find(4, port);
    struct inbox inbox;
    uint32_t count = 0;

    while (socket && inbox_take(socket, &inbox)) {
        for (unsigned i = 0; i < inbox.count; i++) {
            uint32_t step = inbox.datagrams[i].segment;
            count += step ? (inbox.datagrams[i].length + step - 1) / step : 1;
        }
        gates_install_socket(socket->context);
        socket->receive(socket->context, inbox.datagrams, inbox.count, inbox.buffer);
    }
    return count;
}

void sockets_discard(uint16_t port, bool discard)
{
    struct udp_socket *socket = find(4, port);

    if (socket)
        socket->discard = discard;
}

uint64_t sockets_received(uint16_t port, uint64_t *bytes)
{
    const struct udp_socket *socket = find(4, port);

    *bytes = socket ? __atomic_load_n(&socket->bytes, __ATOMIC_RELAXED) : 0;
    return socket ? __atomic_load_n(&socket->datagrams, __ATOMIC_RELAXED) : 0;
}
