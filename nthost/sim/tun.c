/* Simulated upper edges.  Packets of applications wait in a queue, come into the driver in bursts on the loop
 * thread, and by chance as super-segments, as a TUN with vnet_hdr gives them; what the driver indicates is
 * cut into packets and handed to the scenario, on the loop thread as well. */
#include "edge/checksum.h"
#include "edge/coalesce.h"
#include "edge/functions.h"
#include "edge/packet.h"
#include "edge/segment.h"
#include "host.h"
#include "network.h"
#include "sched/sched.h"
#include "sched/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define QUEUE_MAX     1000u /* packets, in each direction; a TUN's txqueuelen is 500 */
#define BURST_PACKETS 64u
#define PACKET_MAX    65535u
#define MOOD_COALESCE 2u /* one burst in so many */
#define MOOD_UNSUMMED                                                                                        \
    2u /* one packet in so many comes without its checksum, as the system leaves it to an offload */

struct packet {
    struct packet *next;
    struct tun_packet header;
    uint8_t data[];
};

struct queue {
    struct packet *first, **tail;
    unsigned count;
    bool due;
};

struct tun {
    char name[16];
    uint32_t ifindex;
    bool segmentation, paused, link_up;
    bool delivering, closed;
    struct sched_thread *closer;
    tun_receive *receive;
    void *context;
    struct queue down, up;
    sim_tun_callback *callback;
    void *callback_context;
    struct coalescer coalescer;
    struct tun_packet burst[BURST_PACKETS];
    unsigned burst_count;
    struct tun *next_closed;
};

static struct tun *closed_tuns; /* events that are due find them closed */

static void append(struct queue *queue, const struct tun_packet *header, const struct iovec *iov,
                   unsigned iov_count, uint32_t length)
{
    struct packet *packet;
    uint32_t at = 0;

    if (queue->count >= QUEUE_MAX) {
        network_counts.overflowed++;
        return;
    }
    packet = calloc(1, sizeof *packet + length);
    if (!packet)
        host_fatal("no memory for a simulated packet");
    packet->header = *header;
    packet->header.data = packet->data;
    packet->header.length = length;
    for (unsigned i = 0; i < iov_count; i++) {
        memcpy(packet->data + at, iov[i].iov_base, iov[i].iov_len);
        at += (uint32_t)iov[i].iov_len;
    }
    *queue->tail = packet;
    queue->tail = &packet->next;
    queue->count++;
}

static struct packet *take(struct queue *queue)
{
    struct packet *packet = queue->first;

    queue->first = packet->next;
    if (!queue->first)
        queue->tail = &queue->first;
    queue->count--;
    return packet;
}

static void empty(struct queue *queue)
{
    while (queue->first)
        free(take(queue));
}

static void schedule(struct tun *tun, struct queue *queue, void (*event)(void *context))
{
    if (queue->due || !queue->first)
        return;
    queue->due = true;
    sim_at(sched_time_ns(), event, tun);
}

/* ---- down: from applications into the driver ---- */

/* Takes the checksum out of a TCP or UDP packet if it is right. */
static void unsum(struct tun_packet *packet)
{
    uint8_t *data = packet->data, version = data[0] >> 4, protocol;
    uint32_t ip_bytes, field, length = packet->length;
    uint64_t pseudo;

    if (length < IPV4_HEADER_BYTES || (version == 6 && length < IPV6_HEADER_BYTES))
        return;
    ip_bytes = version == 4 ? (data[0] & 15) * 4u : IPV6_HEADER_BYTES;
    protocol = data[version == 4 ? IPV4_PROTOCOL : IPV6_NEXT_HEADER];
    if ((version != 4 && version != 6) || (protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP) ||
        (version == 4 && get16(data + IPV4_FRAGMENT) & 0x3fff))
        return;
    field = ip_bytes + (protocol == PROTOCOL_TCP ? TCP_CHECKSUM : UDP_CHECKSUM);
    if (length < ip_bytes + (protocol == PROTOCOL_TCP ? TCP_HEADER_BYTES : UDP_HEADER_BYTES) ||
        (get16(data + field) == 0))
        return;
    pseudo = checksum_pseudo(data + (version == 4 ? IPV4_SOURCE : IPV6_SOURCE), version == 4 ? 8 : 32,
                             protocol, length - ip_bytes);
    if (checksum_fold(checksum_add(pseudo, data + ip_bytes, length - ip_bytes)) != 0xffff)
        return;
    put16_raw(data + field, checksum_fold(pseudo));
    packet->needs_checksum = true;
    packet->checksum_start = (uint16_t)ip_bytes;
    packet->checksum_offset = (uint16_t)(field - ip_bytes);
}

/* The coalescer's output: one packet or super-segment in a memory of its own. */
static void burst_add(void *context, const struct tun_packet *header, const struct iovec *iov,
                      unsigned iov_count, unsigned count)
{
    struct tun *tun = context;
    struct tun_packet *packet = &tun->burst[tun->burst_count];
    uint32_t at = 0;

    (void)count;
    *packet = *header;
    packet->length = 0;
    for (unsigned i = 0; i < iov_count; i++)
        packet->length += (uint32_t)iov[i].iov_len;
    packet->data = malloc(packet->length);
    if (!packet->data)
        host_fatal("no memory for a simulated packet");
    for (unsigned i = 0; i < iov_count; i++) {
        memcpy(packet->data + at, iov[i].iov_base, iov[i].iov_len);
        at += (uint32_t)iov[i].iov_len;
    }
    if (packet->gso_type == TUN_GSO_NONE && !packet->needs_checksum && tun->segmentation && network_moods &&
        sim_random_next(SIM_STREAM_TUN) % MOOD_UNSUMMED == 0)
        unsum(packet);
    tun->burst_count++;
}

static void down_due(void *context)
{
    struct tun *tun = context;
    struct packet *held[BURST_PACKETS];
    unsigned count = 0;

    tun->down.due = false;
    if (tun->paused || tun->closed || tun->delivering)
        return; /* looked at again when that ends */
    tun->burst_count = 0;
    while (tun->down.first && count < BURST_PACKETS)
        held[count++] = take(&tun->down);
    if (count > 1 && tun->segmentation &&
        (network_moods && sim_random_next(SIM_STREAM_TUN) % MOOD_COALESCE == 0)) {
        coalesce_initialize(&tun->coalescer, true, true, burst_add, tun);
        for (unsigned i = 0; i < count; i++) {
            struct iovec iov = {held[i]->data, held[i]->header.length};

            coalesce_add(&tun->coalescer, &iov, 1, held[i]->header.length, false);
        }
        coalesce_flush(&tun->coalescer);
    } else {
        for (unsigned i = 0; i < count; i++) {
            struct iovec iov = {held[i]->data, held[i]->header.length};

            burst_add(tun, &held[i]->header, &iov, 1, 1);
        }
    }
    for (unsigned i = 0; i < count; i++)
        free(held[i]);
    if (tun->burst_count) {
        tun->delivering = true;
        tun->receive(tun->context, tun->burst, tun->burst_count);
        tun->delivering = false;
        for (unsigned i = 0; i < tun->burst_count; i++)
            free(tun->burst[i].data);
    }
    if (tun->closer)
        sched_wake(tun->closer);
    if (!tun->paused && !tun->closed)
        schedule(tun, &tun->down, down_due);
}

/* A TCP packet longer than the MTU is what an application's large write makes: a super-segment. */
static void describe(const struct tun *tun, const uint8_t *data, uint32_t length, struct tun_packet *header)
{
    uint32_t mtu = routes_interface_get_mtu(tun->ifindex), ip_bytes, headers;
    uint8_t protocol;

    *header = (struct tun_packet){0};
    if (length <= mtu || length < IPV6_HEADER_BYTES + TCP_HEADER_BYTES || !tun->segmentation)
        return;
    if (data[0] >> 4 == 4) {
        ip_bytes = (data[0] & 15u) * 4;
        protocol = data[IPV4_PROTOCOL];
    } else {
        ip_bytes = IPV6_HEADER_BYTES;
        protocol = data[IPV6_NEXT_HEADER];
    }
    if (protocol != PROTOCOL_TCP || ip_bytes + TCP_HEADER_BYTES > length)
        return;
    headers = ip_bytes + (data[ip_bytes + TCP_DATA_OFFSET] >> 4) * 4u;
    if (headers >= mtu || headers >= length)
        return;
    header->gso_type = data[0] >> 4 == 4 ? TUN_GSO_TCP4 : TUN_GSO_TCP6;
    header->gso_size = (uint16_t)(mtu - headers);
    header->needs_checksum = true;
    header->checksum_start = (uint16_t)ip_bytes;
    header->checksum_offset = TCP_CHECKSUM;
}

void sim_tun_send(struct tun *tun, const uint8_t *packet, uint32_t length)
{
    struct iovec iov = {(void *)packet, length};
    struct tun_packet header;

    if (tun->closed || !tun->link_up || length == 0 || length > PACKET_MAX)
        return; /* nobody sends through an interface without a link */
    describe(tun, packet, length, &header);
    append(&tun->down, &header, &iov, 1, length);
    if (!tun->paused)
        schedule(tun, &tun->down, down_due);
}

/* ---- up: from the driver to the scenario ---- */

static void up_due(void *context)
{
    struct tun *tun = context;

    tun->up.due = false;
    while (tun->up.first) {
        struct packet *packet = take(&tun->up);

        if (tun->callback)
            tun->callback(tun->callback_context, packet->data, packet->header.length);
        free(packet);
    }
}

static int tun_sim_write(struct tun *tun, const struct tun_packet *header, const struct iovec *iov,
                         unsigned iov_count)
{
    struct segmenter segmenter;
    struct tun_packet whole = *header;
    uint8_t *data, *piece;
    uint32_t at = 0;
    int error;

    whole.length = 0;
    for (unsigned i = 0; i < iov_count; i++)
        whole.length += (uint32_t)iov[i].iov_len;
    if (whole.length == 0 || whole.length > PACKET_MAX)
        return -EINVAL;
    data = malloc(2u * PACKET_MAX + 2);
    if (!data)
        return -ENOMEM;
    for (unsigned i = 0; i < iov_count; i++) {
        memcpy(data + at, iov[i].iov_base, iov[i].iov_len);
        at += (uint32_t)iov[i].iov_len;
    }
    whole.data = data;
    error = segment_begin(&segmenter, &whole);
    if (error) {
        free(data);
        return error;
    }
    piece = data + PACKET_MAX + 1;
    for (uint32_t i = 0; i < segmenter.count; i++) {
        struct tun_packet plain = {0};
        struct iovec out = {piece, segment_length(&segmenter, i)};

        segment_write(&segmenter, i, piece);
        append(&tun->up, &plain, &out, 1, (uint32_t)out.iov_len);
    }
    free(data);
    schedule(tun, &tun->up, up_due);
    return 0;
}

void sim_tun_receiver(struct tun *tun, sim_tun_callback *callback, void *context)
{
    tun->callback = callback;
    tun->callback_context = context;
}

/* ---- life and settings ---- */

static int tun_sim_open(const char *name, bool segmentation, tun_receive *receive, void *context,
                        struct tun **out, char *error, size_t error_size)
{
    struct tun *tun;

    *out = NULL;
    if (!name || !name[0] || strlen(name) >= sizeof tun->name) {
        snprintf(error, error_size, "interface name \"%s\" must have 1 to 15 bytes", name ? name : "");
        return -EINVAL;
    }
    tun = calloc(1, sizeof *tun);
    if (!tun)
        host_fatal("no memory for a simulated interface");
    tun->ifindex = routes_interface_add(name);
    if (!tun->ifindex) {
        snprintf(error, error_size, "cannot make interface %s: there is one of that name", name);
        free(tun);
        return -EBUSY;
    }
    snprintf(tun->name, sizeof tun->name, "%s", name);
    tun->segmentation = segmentation;
    tun->receive = receive;
    tun->context = context;
    tun->down.tail = &tun->down.first;
    tun->up.tail = &tun->up.first;
    *out = tun;
    return 0;
}

static void tun_sim_close(struct tun *tun)
{
    if (!tun)
        return;
    tun->closed = true;
    if (!loop_is_self()) {
        tun->closer = sched_self();
        while (tun->delivering)
            sched_block(SCHED_FOREVER);
        tun->closer = NULL;
    }
    tun->callback = NULL;
    empty(&tun->down);
    empty(&tun->up);
    routes_interface_remove(tun->ifindex);
    tun->next_closed = closed_tuns;
    closed_tuns = tun;
}

static int tun_sim_set_mtu(struct tun *tun, uint32_t mtu)
{
    return routes_interface_mtu(tun->ifindex, mtu);
}

static int tun_sim_set_link(struct tun *tun, bool up)
{
    tun->link_up = up;
    routes_interface_link(tun->ifindex, up);
    return 0;
}

bool sim_tun_link_up(const struct tun *tun)
{
    return tun->link_up;
}

static uint32_t tun_sim_ifindex(const struct tun *tun)
{
    return tun->ifindex;
}

static bool tun_sim_accepts_segments(const struct tun *tun)
{
    return tun->segmentation;
}

static void tun_sim_pause_reading(struct tun *tun, bool paused)
{
    tun->paused = paused;
    if (!paused)
        schedule(tun, &tun->down, down_due);
}

const struct tun_functions sim_tun = {
    .open = tun_sim_open,
    .close = tun_sim_close,
    .set_mtu = tun_sim_set_mtu,
    .set_link = tun_sim_set_link,
    .ifindex = tun_sim_ifindex,
    .accepts_tcp_segments = tun_sim_accepts_segments,
    .accepts_udp_segments = tun_sim_accepts_segments,
    .pause_reading = tun_sim_pause_reading,
    .write = tun_sim_write,
};
