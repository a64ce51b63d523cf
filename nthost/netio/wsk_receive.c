/* Received datagrams.  A burst of coalesced runs becomes one chain of WSK_DATAGRAM_INDICATIONs in one call of
 * WskReceiveFromEvent: one for a run where UDP_RECV_MAX_COALESCED_SIZE says so, else one for each datagram.
 * Indications, MDLs, control data and addresses lie in the receive buffer's own space; datagrams of a run
 * share MDL, control data and address.  The buffer goes back when its last datagram is released.  Verify mode
 * gives every datagram memory of its own, split and poisoned. */
#include "ndis/strict_memory.h"
#include "nt/mm.h"
#include "wsk_internal.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX  8u /* per receive buffer */
#define MESSAGE_BYTES 65536u
#define PFN_BYTES     (sizeof(PFN_NUMBER) * (MESSAGE_BYTES / 4096 + 2))
#define STRICT_MAGIC  0x74636972u
#define FREED_FILL    0xdd

struct message_space { /* shared by the datagrams of one coalesced run */
    MDL mdl;
    uint8_t pfns[PFN_BYTES];
    _Alignas(8) uint8_t control[64];
    SOCKADDR_IN6 from;
};

struct indication { /* one datagram: one cache line */
    WSK_DATAGRAM_INDICATION public;
    struct buffer_space *space; /* NULL: released */
};
_Static_assert(sizeof(struct indication) == 64, "one cache line");

struct buffer_space {
    int64_t references; /* datagrams not yet released */
    void *token;
    struct message_space messages[MESSAGES_MAX];
    _Alignas(64) struct indication indications[];
};

#define INDICATIONS_MAX ((UDP_BUFFER_SPACE_BYTES - sizeof(struct buffer_space)) / sizeof(struct indication))

/* ---- fast ---- */

static void space_put(struct buffer_space *space, int64_t count)
{
    if (__atomic_sub_fetch(&space->references, count, __ATOMIC_ACQ_REL) == 0)
        udp_buffer_release(space->token);
}

static void message_prepare(struct message_space *message, const struct udp_datagram *datagram)
{
    MmInitializeMdl(&message->mdl, datagram->data, datagram->length);
    message->mdl.MdlFlags = MDL_SOURCE_IS_NONPAGED_POOL;
    message->mdl.MappedSystemVa = datagram->data;
    wsk_address_to(&datagram->from, &message->from);
}

/* How many bytes of a run, of which `left` are left, go into one indication. */
static uint32_t unit_bytes(uint32_t maximum, const struct udp_datagram *datagram, uint32_t left)
{
    uint32_t unit = datagram->segment;

    if (unit == 0)
        return left;
    if (maximum > unit) /* whole datagrams of the run; a single one may be larger than the maximum */
        unit = maximum - maximum % unit;
    return unit < left ? unit : left;
}

/* Builds the chain; returns how many datagrams are in it. */
static uint32_t build(struct wsk_socket *socket, struct buffer_space *space, struct udp_datagram *datagrams,
                      unsigned count)
{
    uint32_t total = 0, maximum = __atomic_load_n(&socket->coalesced_max, __ATOMIC_RELAXED);

    for (unsigned i = 0; i < count && i < MESSAGES_MAX; i++) {
        struct udp_datagram *datagram = &datagrams[i];
        struct message_space *message = &space->messages[i];
        uint32_t offset = 0, control_bytes = 0, coalesced_bytes = 0, size;

        message_prepare(message, datagram);
        if (socket->deliver_pktinfo)
            control_bytes = wsk_control_pktinfo(datagram, socket->family, message->control);
        if (maximum && datagram->segment &&
            wsk_udp_coalesced_size(socket, datagram->segment, datagram->length, &size))
            coalesced_bytes = wsk_control_coalesced(size, message->control + control_bytes);
        do {
            struct indication *indication = &space->indications[total];
            uint32_t bytes = unit_bytes(maximum, datagram, datagram->length - offset);
            uint32_t told = control_bytes + (bytes > datagram->segment ? coalesced_bytes : 0);

            if (total == INDICATIONS_MAX)
                break;
            indication->public = (WSK_DATAGRAM_INDICATION){
                .Next = &space->indications[total + 1].public,
                .Buffer = {&message->mdl, offset, bytes},
                .ControlInfo = told ? (CMSGHDR *)message->control : NULL,
                .ControlInfoLength = told,
                .RemoteAddress = (SOCKADDR *)&message->from,
            };
            indication->space = space;
            total++;
            offset += bytes;
        } while (offset < datagram->length);
    }
    if (total)
        space->indications[total - 1].public.Next = NULL;
    return total;
}

static NTSTATUS indicate(struct wsk_socket *socket, uint32_t flags, WSK_DATAGRAM_INDICATION *chain)
{
    struct host_callback cb;
    NTSTATUS status;

    host_callback_begin(&cb, "WskReceiveFromEvent");
    status = socket->receive_from(socket->context, flags, chain);
    host_callback_end(&cb);
    if (status == STATUS_DATA_NOT_ACCEPTED && !socket->static_events)
        socket->events = false; /* until SO_WSK_EVENT_CALLBACK enables it again */
    return status;
}

static void deliver(struct wsk_socket *socket, struct udp_datagram *datagrams, unsigned count, void *token)
{
    struct buffer_space *space = udp_buffer_space(token);
    uint32_t total = build(socket, space, datagrams, count);
    uint8_t irql;

    if (total == 0) {
        udp_buffer_release(token);
        return;
    }
    space->token = token;
    __atomic_store_n(&space->references, total, __ATOMIC_RELEASE);
    __atomic_add_fetch(&socket->retained, total, __ATOMIC_RELAXED);
    host_count_add(HOST_DATAGRAM, total);
    irql = sched_irql_raise(SCHED_DISPATCH);
    if (indicate(socket, WSK_FLAG_AT_DISPATCH_LEVEL, &space->indications[0].public) != STATUS_PENDING) {
        __atomic_sub_fetch(&socket->retained, total, __ATOMIC_RELAXED);
        host_count_add(HOST_DATAGRAM, -(int64_t)total);
        space_put(space, total);
    }
    sched_irql_lower(irql);
}

/* ---- verify: every datagram on its own ---- */

struct strict_datagram {
    WSK_DATAGRAM_INDICATION public;
    uint32_t magic;
    bool guarded;
    MDL *mdl[2];
    uint8_t *memory[2];
    uint32_t bytes[2];
    _Alignas(8) uint8_t control[64];
    SOCKADDR_IN6 from;
};

static bool strict_piece(struct strict_datagram *d, unsigned index, const uint8_t *data, uint32_t bytes,
                         uint32_t front)
{
    d->bytes[index] = front + bytes;
    d->memory[index] =
        strict_allocate(d->guarded, front + bytes, 1, "datagram's data", RULE_WSK_DATAGRAM_RELEASE);
    d->mdl[index] =
        strict_allocate(d->guarded, sizeof(MDL) + PFN_BYTES, 16, "datagram's MDL", RULE_WSK_DATAGRAM_RELEASE);
    if (!d->memory[index] || !d->mdl[index])
        return false;
    memset(d->mdl[index], 0, sizeof(MDL) + PFN_BYTES);
    memset(d->memory[index], FREED_FILL, front);
    memcpy(d->memory[index] + front, data, bytes);
    MmInitializeMdl(d->mdl[index], d->memory[index], front + bytes);
    d->mdl[index]->MdlFlags = MDL_SOURCE_IS_NONPAGED_POOL;
    d->mdl[index]->MappedSystemVa = d->memory[index];
    return true;
}

/* A late reader is reported (guarded) or finds nonsense. */
static void datagram_free(struct strict_datagram *d)
{
    for (unsigned i = 0; i < 2; i++) {
        strict_free(d->guarded, d->memory[i], d->bytes[i]);
        strict_free(d->guarded, d->mdl[i], sizeof(MDL));
    }
    strict_free(d->guarded, d, sizeof *d);
}

static struct strict_datagram *strict_make(struct wsk_socket *socket, const struct udp_datagram *datagram,
                                           const uint8_t *data, uint32_t length)
{
    bool guarded = strict_guard();
    struct strict_datagram *d =
        strict_allocate(guarded, sizeof *d, 16, "datagram", RULE_WSK_DATAGRAM_RELEASE);
    uint32_t front = dice_chance(2) ? dice_below(64) : 0;
    uint32_t first = length > 1 && dice_chance(3) ? 1 + dice_below(length - 1) : length;
    uint32_t size;

    if (!d)
        return NULL;
    memset(d, 0, sizeof *d);
    d->guarded = guarded;
    d->magic = STRICT_MAGIC;
    if (!strict_piece(d, 0, data, first, front) ||
        (first < length && !strict_piece(d, 1, data + first, length - first, 0))) {
        datagram_free(d);
        return NULL;
    }
    if (first < length)
        d->mdl[0]->Next = d->mdl[1];
    d->public.Buffer = (WSK_BUF){d->mdl[0], front, length};
    wsk_address_to(&datagram->from, &d->from);
    d->public.RemoteAddress = (SOCKADDR *)&d->from;
    if (socket->deliver_pktinfo) {
        d->public.ControlInfoLength = wsk_control_pktinfo(datagram, socket->family, d->control);
        d->public.ControlInfo = (CMSGHDR *)d->control;
    }
    if (datagram->segment && length > datagram->segment &&
        wsk_udp_coalesced_size(socket, datagram->segment, length, &size)) {
        d->public.ControlInfoLength += wsk_control_coalesced(size, d->control + d->public.ControlInfoLength);
        d->public.ControlInfo = (CMSGHDR *)d->control;
    }
    return d;
}

static void strict_indicate(struct wsk_socket *socket, struct strict_datagram **list, uint32_t count)
{
    bool raised = !dice_chance(4);
    uint8_t irql;
    NTSTATUS status;

    for (uint32_t i = 0; i < count; i++) {
        list[i]->public.Next = i + 1 < count ? &list[i + 1]->public : NULL;
        ledger_add(HOST_DATAGRAM, list[i], OWNER_DRIVER, "received datagram");
    }
    host_count_add(HOST_DATAGRAM, count);
    __atomic_add_fetch(&socket->retained, count, __ATOMIC_RELAXED);
    irql = raised ? sched_irql_raise(SCHED_DISPATCH) : 0;
    status = indicate(socket, raised ? WSK_FLAG_AT_DISPATCH_LEVEL : 0, &list[0]->public);
    if (raised)
        sched_irql_lower(irql);
    if (status == STATUS_PENDING)
        return;
    host_count_add(HOST_DATAGRAM, -(int64_t)count);
    __atomic_sub_fetch(&socket->retained, count, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < count; i++) {
        ledger_remove(HOST_DATAGRAM, list[i], OWNER_DRIVER, RULE_WSK_DATAGRAM_RELEASE);
        datagram_free(list[i]);
    }
}

static void deliver_strict(struct wsk_socket *socket, struct udp_datagram *datagrams, unsigned count,
                           void *token)
{
    struct strict_datagram *list[32];
    uint32_t filled = 0;

    for (unsigned i = 0; i < count; i++) {
        const struct udp_datagram *datagram = &datagrams[i];
        uint32_t offset = 0;

        do {
            /* A run comes in parts of any length that the option allows. */
            uint32_t maximum = __atomic_load_n(&socket->coalesced_max, __ATOMIC_RELAXED);
            uint32_t bytes =
                unit_bytes(maximum ? dice_below(maximum + 1) : 0, datagram, datagram->length - offset);
            struct strict_datagram *d = strict_make(socket, datagram, datagram->data + offset, bytes);

            if (d)
                list[filled++] = d;
            offset += bytes;
            if (filled == 32 || (filled > 0 && dice_chance(8))) {
                strict_indicate(socket, list, filled);
                filled = 0;
            }
        } while (offset < datagram->length && socket->events);
    }
    if (filled > 0)
        strict_indicate(socket, list, filled);
    udp_buffer_release(token);
}

/* ---- both ---- */

static bool from_remote(const struct wsk_socket *socket, const struct udp_datagram *datagram)
{
    return datagram->from.port == socket->remote.port &&
           memcmp(datagram->from.bytes, socket->remote.bytes, sizeof datagram->from.bytes) == 0;
}

void wsk_indicate_lost(struct wsk_socket *socket)
{
    if (socket->receive_from)
        indicate(socket, 0, NULL);
}

/* The edge's callback, on the loop thread at PASSIVE_LEVEL. */
void wsk_received(void *context, struct udp_datagram *datagrams, unsigned count, void *token)
{
    struct wsk_socket *socket = context;
    unsigned kept = count;

    if (__builtin_expect(socket->has_remote, 0)) {
        kept = 0;
        for (unsigned i = 0; i < count; i++)
            if (from_remote(socket, &datagrams[i]))
                datagrams[kept++] = datagrams[i];
    }
    if (!socket->receive_from || !socket->events || socket->closing || kept == 0) {
        udp_buffer_release(token);
        return;
    }
    __atomic_add_fetch(&socket->inside, 1, __ATOMIC_ACQ_REL);
    if (host_options.verify)
        deliver_strict(socket, datagrams, kept, token);
    else
        deliver(socket, datagrams, kept, token);
    __atomic_sub_fetch(&socket->inside, 1, __ATOMIC_ACQ_REL);
}

void wsk_receive_check_closed(struct wsk_socket *socket)
{
    int64_t retained = __atomic_load_n(&socket->retained, __ATOMIC_ACQUIRE);

    /* What a callback in progress has in its hands is not retained yet: it is looked at again when the
     * callback has returned, before the socket is closed. */
    if (retained && __atomic_load_n(&socket->inside, __ATOMIC_ACQUIRE) > 0)
        return;
    retained = __atomic_load_n(&socket->retained, __ATOMIC_ACQUIRE);
    if (retained && host_options.verify)
        ledger_report(
            HOST_SOCKET, socket, RULE_WSK_DATAGRAM_RELEASE,
            "WskCloseSocket: %lld received datagrams are still retained; after it no function of the "
            "socket, WskRelease included, may be called",
            (long long)retained);
}

static int64_t release_strict(WSK_DATAGRAM_INDICATION *chain)
{
    WSK_DATAGRAM_INDICATION *next;
    int64_t count = 0;

    for (; chain; chain = next, count++) {
        /* The ledger first: memory of an unknown datagram must not be read. */
        ledger_remove(HOST_DATAGRAM, chain, OWNER_DRIVER, RULE_WSK_DATAGRAM_RELEASE);
        next = chain->Next;
        datagram_free((struct strict_datagram *)chain);
    }
    return count;
}

static int64_t release_fast(WSK_DATAGRAM_INDICATION *chain)
{
    struct buffer_space *space = NULL;
    int64_t total = 0, same = 0;

    while (chain) {
        struct indication *indication = (struct indication *)chain;
        WSK_DATAGRAM_INDICATION *next = chain->Next;
        struct buffer_space *own = indication->space;

        if (!own) {
            host_warn("WskRelease: datagram %p was released already", (void *)chain);
            break;
        }
        if (own != space) {
            if (same)
                space_put(space, same);
            space = own;
            same = 0;
        }
        indication->space = NULL;
        same++;
        total++;
        chain = next;
    }
    if (same)
        space_put(space, same);
    return total;
}

NTSTATUS NTAPI wsk_release(PWSK_SOCKET Socket, PWSK_DATAGRAM_INDICATION DatagramIndication)
{
    struct wsk_socket *socket = wsk_socket_from(Socket, "WskRelease");
    int64_t count;

    if (!DatagramIndication)
        return STATUS_INVALID_PARAMETER;
    count = host_options.verify ? release_strict(DatagramIndication) : release_fast(DatagramIndication);
    host_count_add(HOST_DATAGRAM, -count);
    if (socket)
        __atomic_sub_fetch(&socket->retained, count, __ATOMIC_RELEASE);
    return STATUS_SUCCESS;
}
