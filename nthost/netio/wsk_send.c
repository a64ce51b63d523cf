/* WskSendTo and WskSendMessages.  A chain of messages is walked once: what can go out as one segmented system
 * call does, with vectors straight into the caller's MDLs: a message that UDP_SEND_MSG_SIZE cuts, and runs of
 * equal-sized messages (plus one shorter last).  A full socket leaves the IRP pending until it is writable,
 * which is the back-pressure that a driver sees. */
#include "nt/io.h"
#include "nt/mm.h"
#include "wsk_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RUN_PIECES     512u
#define RUN_BYTES_IPV4 65507u /* 65535 - 20 - 8 */
#define RUN_BYTES_IPV6 65487u /* 65535 - 40 - 8: the kernel counts the IPv6 header into a super-packet */

/* Adds `left` bytes of `buffer`, from `skip` on, to the vector. Returns pieces added, 0 if they do not fit in
 * `room`, -1 if the MDL chain is shorter than the buffer says or cannot be mapped. */
static int buffer_pieces(const WSK_BUF *buffer, SIZE_T skip, SIZE_T left, struct iovec *iov, unsigned room)
{
    MDL *mdl = buffer->Mdl;
    SIZE_T offset = buffer->Offset + skip;
    unsigned count = 0;

    while (left > 0) {
        SIZE_T take;
        uint8_t *at;

        if (!mdl)
            return -1;
        if (offset >= mdl->ByteCount) {
            offset -= mdl->ByteCount;
            mdl = mdl->Next;
            continue;
        }
        if (count == room)
            return 0;
        take = mdl->ByteCount - offset;
        if (take > left)
            take = left;
        at = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority);
        if (!at)
            return -1;
        iov[count++] = (struct iovec){at + offset, take};
        left -= take;
        offset = 0;
        mdl = mdl->Next;
    }
    return (int)count;
}

struct run {
    struct iovec iov[RUN_PIECES];
    unsigned pieces, segments;
    SIZE_T size, bytes;
    bool cut;           /* it has more than one segment of one message */
    WSK_BUF_LIST *next; /* what comes behind the run: this message, less `skip` bytes of it */
    SIZE_T skip;
};

/* Adds as much of the message as goes into the run, at least one segment of size `run->size`. Segments added;
 * -1: it cannot be read. */
static int run_add(struct run *run, WSK_BUF_LIST *message, SIZE_T skip, SIZE_T limit)
{
    SIZE_T left = message->Buffer.Length - skip, room = limit > run->bytes ? limit - run->bytes : 0;
    SIZE_T segments = (left + run->size - 1) / run->size;
    int pieces;

    if (segments > UDP_SEGMENTS_MAX - run->segments)
        segments = UDP_SEGMENTS_MAX - run->segments;
    if (segments * run->size > room && left > room)
        segments = room / run->size;
    if (segments == 0 && run->segments == 0)
        segments = 1; /* larger than any datagram: the socket will say so */
    if (segments * run->size < left)
        left = segments * run->size;
    if (left == 0)
        return 0;
    pieces = buffer_pieces(&message->Buffer, skip, left, run->iov + run->pieces, RUN_PIECES - run->pieces);
    if (pieces <= 0)
        return run->segments == 0 ? -1 : 0; /* the next run starts with it, and reports it if it is bad */
    run->pieces += (unsigned)pieces;
    run->segments += (unsigned)segments;
    run->bytes += left;
    run->cut |= segments > 1;
    run->skip = skip + left;
    run->next = message;
    if (run->skip == message->Buffer.Length) {
        run->next = message->Next;
        run->skip = 0;
    }
    return (int)segments;
}

/* Collects the run that starts `skip` bytes into `list`; `cut`: UDP_SEND_MSG_SIZE or 0. False: its first
 * message cannot be read. */
static bool run_collect(struct run *run, WSK_BUF_LIST *list, SIZE_T skip, SIZE_T cut, SIZE_T limit)
{
    SIZE_T left = list->Buffer.Length - skip;

    run->next = list->Next;
    run->skip = run->bytes = 0;
    run->pieces = run->segments = 0;
    run->cut = false;
    run->size = cut && cut < left ? cut : left;
    if (run->size == 0)
        return true;
    if (run_add(run, list, skip, limit) < 0)
        return false;
    /* More of the same, as long as everything so far is of full size and was taken whole. */
    while (run->next && run->skip == 0 && run->bytes % run->size == 0) {
        left = run->next->Buffer.Length;
        if (left == 0 || (left > run->size && cut != run->size) || run_add(run, run->next, 0, limit) <= 0)
            break;
    }
    return true;
}

/* Sends as much of `send->rest` as the socket takes. -EAGAIN: the rest waits. 0: done, send->status says how.
 */
static int send_rest(struct wsk_socket *socket, struct pending_send *send)
{
    const struct send_target *target = &send->target;
    const struct udp_address *local = target->has_local ? &target->local : NULL;
    SIZE_T limit = socket->family == 4 ? RUN_BYTES_IPV4 : RUN_BYTES_IPV6;
    struct run run;

    while (send->rest) {
        int error;

        if (!run_collect(&run, send->rest, send->skip, target->segment, limit))
            error = -EINVAL;
        else if (!run.cut)
            error = udp_send(socket->udp, run.iov, run.pieces, (uint32_t)run.size, &target->to, local,
                             target->ifindex);
        else if (socket->offloads & WSK_UDP_SEND_FAILS)
            error = -EMSGSIZE;
        else
            error = udp_send_segments(socket->udp, run.iov, run.pieces, (uint32_t)run.size, &target->to,
                                      local, target->ifindex);
        if (error == -EAGAIN)
            return error;
        if (error && send->status == STATUS_SUCCESS)
            send->status = wsk_status_of(error);
        if (!error)
            send->sent_bytes += run.bytes;
        send->rest = run.next;
        send->skip = run.skip;
    }
    return 0;
}

/* ---- waiting for the socket ---- */

static void queue_append(struct wsk_socket *socket, struct pending_send *send)
{
    send->next = NULL;
    spin_lock(&socket->lock);
    *socket->pending_tail = send;
    socket->pending_tail = &send->next;
    spin_unlock(&socket->lock);
}

static struct pending_send *queue_first(struct wsk_socket *socket)
{
    struct pending_send *send;

    spin_lock(&socket->lock);
    send = socket->pending;
    spin_unlock(&socket->lock);
    return send;
}

static void queue_remove_first(struct wsk_socket *socket)
{
    spin_lock(&socket->lock);
    socket->pending = socket->pending->next;
    if (!socket->pending)
        socket->pending_tail = &socket->pending;
    spin_unlock(&socket->lock);
}

/* On the loop thread: the socket takes more. The edge keeps the socket alive while this runs. */
static void flush_pending(void *context)
{
    struct wsk_socket *socket = context;
    struct pending_send *send;
    bool raised = !host_options.verify || dice_chance(2);
    uint8_t irql;

    if (socket->flushing) /* a completion routine waits, and the loop is served inside of it */
        return;
    irql = raised ? sched_irql_raise(SCHED_DISPATCH) : 0;
    socket->flushing = true;
    __atomic_add_fetch(&socket->inside, 1, __ATOMIC_ACQ_REL);
    while (!socket->closing && (send = queue_first(socket)) != NULL) {
        if (send_rest(socket, send) == -EAGAIN) {
            udp_want_write(socket->udp, flush_pending, socket);
            break;
        }
        queue_remove_first(socket);
        wsk_irp_complete_pended(send->irp, send->status, send->sent_bytes);
        free(send);
    }
    socket->flushing = false;
    __atomic_sub_fetch(&socket->inside, 1, __ATOMIC_ACQ_REL);
    if (raised)
        sched_irql_lower(irql);
}

void wsk_send_cancel_all(struct wsk_socket *socket)
{
    struct pending_send *send;

    while ((send = queue_first(socket)) != NULL) {
        queue_remove_first(socket);
        wsk_irp_complete_pended(send->irp, STATUS_CANCELLED, 0);
        free(send);
    }
}

/* Behind everything that waits already: messages leave in the order of the calls. */
static NTSTATUS queue(struct wsk_socket *socket, const struct pending_send *send)
{
    struct pending_send *copy = malloc(sizeof *copy);

    if (!copy)
        return wsk_irp_result(send->irp, STATUS_INSUFFICIENT_RESOURCES, 0);
    *copy = *send;
    if (send->rest == &send->single)
        copy->rest = &copy->single;
    wsk_irp_pend(send->irp);
    queue_append(socket, copy);
    return STATUS_PENDING;
}

/* Verify mode: the packets leave the caller's memory only now, the last moment that the rules allow. */
static void flush_posted(void *context)
{
    struct wsk_socket *socket = context;

    flush_pending(socket);
    __atomic_sub_fetch(&socket->inside, 1, __ATOMIC_ACQ_REL);
}

static NTSTATUS start(struct wsk_socket *socket, struct pending_send *send)
{
    if (host_options.verify && dice_chance(3)) {
        NTSTATUS status;

        __atomic_add_fetch(&socket->inside, 1, __ATOMIC_ACQ_REL); /* keeps the socket until then */
        status = queue(socket, send);
        loop_post(flush_posted, socket);
        return status;
    }
    if (__builtin_expect(queue_first(socket) != NULL, 0) || send_rest(socket, send) == -EAGAIN) {
        NTSTATUS status = queue(socket, send);

        udp_want_write(socket->udp, flush_pending, socket);
        return status;
    }
    return wsk_irp_result(send->irp, send->status, send->sent_bytes);
}

/* Common checks of both functions; on failure *status is what to complete with. */
static bool prepare(struct wsk_socket *socket, struct pending_send *send, SOCKADDR *remote,
                    uint32_t control_length, const void *control, NTSTATUS *status)
{
    send->status = STATUS_SUCCESS;
    send->sent_bytes = 0;
    send->socket = socket;
    send->target.has_local = false;
    send->target.ifindex = 0;
    send->target.segments = socket->offloads & WSK_UDP_SEND;
    send->target.segment = __atomic_load_n(&socket->send_segment, __ATOMIC_RELAXED);
    send->skip = 0;
    if (!socket->bound) {
        *status = STATUS_INVALID_DEVICE_STATE;
        return false;
    }
    if (!remote && (socket->has_sendto || socket->has_remote)) {
        send->target.to = socket->has_sendto ? socket->sendto : socket->remote;
    } else if (!wsk_address_from(socket->family, remote, &send->target.to)) {
        *status = STATUS_INVALID_PARAMETER;
        return false;
    }
    *status = STATUS_SUCCESS;
    if (control_length)
        *status = control ? wsk_control_parse(socket->family, control, control_length, &send->target)
                          : STATUS_INVALID_PARAMETER;
    return *status == STATUS_SUCCESS;
}

NTSTATUS NTAPI wsk_send_to(PWSK_SOCKET Socket, PWSK_BUF Buffer, ULONG Flags, PSOCKADDR RemoteAddress,
                           ULONG ControlInfoLength, PCMSGHDR ControlInfo, PIRP Irp)
{
    struct wsk_socket *socket = wsk_socket_from(Socket, "WskSendTo");
    struct pending_send send;
    NTSTATUS status;

    wsk_irp_accept(Irp, "WskSendTo");
    send.irp = Irp;
    if (!socket)
        return wsk_irp_result(Irp, STATUS_FILE_CLOSED, 0);
    if (socket->lost)
        return wsk_irp_result(Irp, STATUS_CONNECTION_ABORTED, 0);
    if (!prepare(socket, &send, RemoteAddress, ControlInfoLength, ControlInfo, &status))
        return wsk_irp_result(Irp, status, 0);
    send.single = (WSK_BUF_LIST){.Next = NULL, .Buffer = *Buffer};
    send.rest = &send.single;
    return start(socket, &send);
}

NTSTATUS NTAPI wsk_send_messages(PWSK_SOCKET Socket, PWSK_BUF_LIST BufferList, ULONG Flags,
                                 PSOCKADDR RemoteAddress, ULONG ControlInfoLength, PCMSGHDR ControlInfo,
                                 PIRP Irp)
{
    struct wsk_socket *socket = wsk_socket_from(Socket, "WskSendMessages");
    struct pending_send send;
    NTSTATUS status;

    wsk_irp_accept(Irp, "WskSendMessages");
    send.irp = Irp;
    if (!socket)
        return wsk_irp_result(Irp, STATUS_FILE_CLOSED, 0);
    if (socket->lost)
        return wsk_irp_result(Irp, STATUS_CONNECTION_ABORTED, 0);
    if (!prepare(socket, &send, RemoteAddress, ControlInfoLength, ControlInfo, &status))
        return wsk_irp_result(Irp, status, 0);
    send.rest = BufferList;
    return start(socket, &send);
}
