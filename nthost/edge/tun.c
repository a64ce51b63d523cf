/* Upper edge: a Linux TUN device with vnet_hdr, so that the kernel hands over TCP (and UDP) super-segments
 * uncut and takes coalesced ones back.  One burst of reads per readiness event, one call of `receive` per
 * burst.
 *
 * The device has several queues (Linux, Documentation/networking/tuntap.rst, "Multiqueue tuntap interface"),
 * of which each is first come, first served, and which the loop reads in turn: a packet waits for a burst of
 * each other queue at most, not for everything that a fast stream has in the device.  The kernel keeps a flow
 * in the queue into which its answers were written last, and gives new ones any; so answers go where the flow
 * came from. */
#include "functions.h"
#include "host.h"
#include "sched/sched.h"
#include "tun_flow.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Newer than Debian 12's kernel headers (Linux 6.2, uapi if_tun.h and virtio_net.h). */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define BURST_PACKETS 64u
#define LARGEST_READ  (65535u + sizeof(struct virtio_net_hdr))
/* Nothing more is read after so many bytes.  One super-segment is usually more: a burst is what the packets
 * of other queues wait for, and a second one in it made a stream no faster. */
#define BURST_ENOUGH   (48u * 1024)
#define BURST_BYTES    (128u * 1024)
#define READ_ALIGNMENT 64u
/* A tunnel driver puts each packet of a super-segment into a datagram that is larger by its own headers, and
 * the run has to fit into one segmented send again (65487 bytes over IPv6).  With packets of 1420 bytes that
 * leaves 5 % for headers; about 320 bytes are the kernel's reserve. */
#define GSO_MAX_BYTES    62200u
#define LARGEST_IOVECS   1024u                                            /* UIO_MAXIOV */
#define PACKET_ALIGNMENT (READ_ALIGNMENT - sizeof(struct virtio_net_hdr)) /* the packet itself is aligned */

#define QUEUES 8u

_Static_assert(BURST_ENOUGH + LARGEST_READ <= BURST_BYTES, "the last read of a burst fits");

struct queue {
    int fd;
    bool held; /* not watched while the loop is served from inside a callback of another queue's packets */
    struct tun *tun;
};

struct tun {
    struct queue queues[QUEUES]; /* the first one stands for the device */
    unsigned queue_count;
    uint8_t queue_of[TUN_FLOWS]; /* where flows came from, atomic; so the kernel need not move them */
    int control;                 /* a datagram socket for interface ioctls */
    uint32_t ifindex;
    char name[IFNAMSIZ];
    bool accepts_udp;
    bool segmentation;
    bool paused;
    bool delivering; /* the loop may be served again from inside a callback that waits */
    tun_receive *receive;
    void *context;
    uint8_t *buffer;
};

static int fail(char *error, size_t size, int code, const char *format, const char *name)
{
    if (error && size)
        snprintf(error, size, format, name, strerror(code));
    return -code;
}

static int set_offloads(struct tun *tun)
{
    unsigned basic = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

    int fd = tun->queues[0].fd;
    if (!tun->segmentation)
        return ioctl(fd, TUNSETOFFLOAD, 0ul);
    if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)(basic | TUN_F_USO4 | TUN_F_USO6)) == 0) {
        tun->accepts_udp = true;
        return 0;
    }
    return ioctl(fd, TUNSETOFFLOAD, (unsigned long)basic);
}

static bool parse_header(const struct virtio_net_hdr *header, struct tun_packet *packet)
{
    packet->needs_checksum = header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
    packet->checksum_start = header->csum_start;
    packet->checksum_offset = header->csum_offset;
    packet->gso_size = header->gso_size;
    switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_NONE:
        packet->gso_type = TUN_GSO_NONE;
        packet->gso_size = 0;
        return true;
    case VIRTIO_NET_HDR_GSO_TCPV4:
        packet->gso_type = TUN_GSO_TCP4;
        return true;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        packet->gso_type = TUN_GSO_TCP6;
        return true;
    case VIRTIO_NET_HDR_GSO_UDP_L4:
        packet->gso_type = TUN_GSO_UDP;
        return true;
    default:
        return false;
    }
}

static bool is_paused(const struct tun *tun)
{
    return __atomic_load_n(&tun->paused, __ATOMIC_ACQUIRE);
}

/* Watches again what was held meanwhile. */
static void release_held(struct tun *tun)
{
    for (unsigned i = 0; i < tun->queue_count; i++) {
        struct queue *queue = &tun->queues[i];
        if (queue->held) {
            queue->held = false;
            loop_modify(queue->fd, is_paused(tun) ? 0 : EPOLLIN);
        }
    }
}

static void queue_readable(void *context, uint32_t events)
{
    struct queue *queue = context;
    struct tun *tun = queue->tun;
    struct tun_packet packets[BURST_PACKETS];
    unsigned count = 0;
    size_t offset = PACKET_ALIGNMENT;

    if (is_paused(tun))
        return;
    if (tun->delivering) {
        queue->held = true;
        loop_modify(queue->fd, 0);
        return;
    }
    while (count < BURST_PACKETS && offset < BURST_ENOUGH) {
        uint8_t *at = tun->buffer + offset;
        ssize_t got = read(queue->fd, at, LARGEST_READ);
        struct virtio_net_hdr header;

        if (got < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN && (events & (EPOLLERR | EPOLLHUP)) && count == 0) {
                host_warn("%s: reading packets failed: %s; the interface is no longer served", tun->name,
                          strerror(errno));
                loop_remove(queue->fd);
                tun->receive(tun->context, packets, 0);
            }
            break;
        }
        if ((size_t)got <= sizeof header)
            continue;
        memcpy(&header, at, sizeof header);
        packets[count].data = at + sizeof header;
        packets[count].length = (uint32_t)((size_t)got - sizeof header);
        if (!parse_header(&header, &packets[count]))
            continue;
        if (tun->queue_count > 1)
            __atomic_store_n(&tun->queue_of[tun_flow(packets[count].data, packets[count].length)],
                             (uint8_t)(queue - tun->queues), __ATOMIC_RELAXED);
        count++;
        offset += ((size_t)got + READ_ALIGNMENT - 1) & ~(size_t)(READ_ALIGNMENT - 1);
    }
    if (count > 0) {
        tun->delivering = true;
        tun->receive(tun->context, packets, count);
        tun->delivering = false;
        release_held(tun);
    }
}

static void close_queues(struct tun *tun)
{
    for (unsigned i = 0; i < tun->queue_count; i++)
        close(tun->queues[i].fd);
    tun->queue_count = 0;
}

/* Opens one more queue.  0 or an errno. */
static int add_queue(struct tun *tun, int flags)
{
    struct ifreq request = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | flags)};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), code;

    if (fd < 0)
        return errno;
    memcpy(request.ifr_name, tun->name, sizeof request.ifr_name);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        code = errno;
        close(fd);
        return code;
    }
    tun->queues[tun->queue_count++] = (struct queue){.fd = fd, .tun = tun};
    return 0;
}

/* The device with all its queues.  One that exists and persists is taken as it is, with the one queue that
 * such devices have unless told otherwise.  0 or an errno. */
static int open_device(struct tun *tun)
{
    bool exists = if_nametoindex(tun->name) != 0;
    int code = add_queue(tun, exists ? 0 : IFF_MULTI_QUEUE | IFF_TUN_EXCL);

    if (code == EINVAL && exists)
        return EBUSY; /* it has several queues, as ours have */
    while (code == 0 && !exists && tun->queue_count < QUEUES)
        code = add_queue(tun, IFF_MULTI_QUEUE);
    return code;
}

static int describe_open_error(const struct tun *tun, int code, char *error, size_t size)
{
    if (code == ENOENT || code == ENODEV || code == ENXIO)
        return fail(error, size, code,
                    "cannot make interface %s: /dev/net/tun is missing (%s); load the tun module or give the "
                    "container that device",
                    tun->name);
    if (code == EPERM || code == EACCES)
        return fail(error, size, code, "cannot make interface %s: %s; root (CAP_NET_ADMIN) is needed",
                    tun->name);
    if (code == EBUSY)
        return fail(error, size, code,
                    "cannot make interface %s: %s; another program already serves an interface of that name",
                    tun->name);
    return fail(error, size, code, "cannot make interface %s: %s", tun->name);
}

/* What is needed of the new device.  0 or an errno; whatever was got is left to free_parts(). */
static int prepare(struct tun *tun, char *error, size_t error_size)
{
    int header_size = sizeof(struct virtio_net_hdr);

    if (ioctl(tun->queues[0].fd, TUNSETVNETHDRSZ, &header_size) < 0 || set_offloads(tun) < 0)
        return -fail(error, error_size, errno, "%s: the kernel refuses the offloads of TUN devices: %s",
                     tun->name);
    tun->control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (tun->control < 0)
        return -fail(error, error_size, errno, "%s: no socket for interface settings: %s", tun->name);
    tun->ifindex = if_nametoindex(tun->name);
    if (tun->ifindex == 0)
        return -fail(error, error_size, errno, "%s: the new interface has no index: %s", tun->name);
    if (tun->segmentation)
        net_set_gso_max(tun->ifindex, GSO_MAX_BYTES); /* refused by old kernels: only slower */
    tun->buffer = mmap(NULL, BURST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (tun->buffer == MAP_FAILED) {
        tun->buffer = NULL;
        return -fail(error, error_size, errno, "%s: no memory for packets: %s", tun->name);
    }
    for (unsigned i = 0; i < TUN_FLOWS; i++)
        tun->queue_of[i] = (uint8_t)(i % tun->queue_count);
    for (unsigned i = 0; i < tun->queue_count; i++) {
        int code = loop_add(tun->queues[i].fd, EPOLLIN, queue_readable, &tun->queues[i]);
        if (code != 0)
            return -fail(error, error_size, -code, "%s: the event loop refuses the interface: %s", tun->name);
    }
    return 0;
}

static void tun_free(struct tun *tun)
{
    for (unsigned i = 0; i < tun->queue_count; i++)
        loop_remove(tun->queues[i].fd);
    close_queues(tun);
    if (tun->control >= 0)
        close(tun->control);
    if (tun->buffer)
        munmap(tun->buffer, BURST_BYTES);
    free(tun);
}

static int linux_tun_open(const char *name, bool segmentation, tun_receive *receive, void *context,
                          struct tun **out, char *error, size_t error_size)
{
    struct tun *tun;
    int code;

    *out = NULL;
    if (!name || !name[0] || strlen(name) >= IFNAMSIZ)
        return fail(error, error_size, EINVAL, "interface name \"%s\" must have 1 to 15 bytes (%s)",
                    name ? name : "");
    tun = calloc(1, sizeof *tun);
    if (!tun)
        return fail(error, error_size, ENOMEM, "%s: %s", name);
    tun->control = -1;
    tun->segmentation = segmentation;
    tun->receive = receive;
    tun->context = context;
    snprintf(tun->name, sizeof tun->name, "%s", name);

    code = open_device(tun);
    if (code != 0)
        describe_open_error(tun, code, error, error_size);
    else
        code = prepare(tun, error, error_size);
    if (code != 0) {
        tun_free(tun);
        return -code;
    }
    *out = tun;
    return 0;
}

struct removal {
    struct tun *tun;
    struct sched_thread *waiter;
    bool done;
};

static void tun_free_on_loop(void *context)
{
    struct removal *removal = context;
    struct sched_thread *waiter = removal->waiter;

    tun_free(removal->tun);
    __atomic_store_n(&removal->done, true, __ATOMIC_RELEASE);
    sched_wake(waiter);
}

/* On the loop thread itself no callback can run; from another thread the loop does it between two events. */
static void linux_tun_close(struct tun *tun)
{
    struct removal removal = {.tun = tun, .waiter = sched_self()};

    if (!tun)
        return;
    if (loop_is_self()) {
        tun_free(tun);
        return;
    }
    __atomic_store_n(&tun->paused, true, __ATOMIC_RELEASE);
    loop_post(tun_free_on_loop, &removal);
    while (!__atomic_load_n(&removal.done, __ATOMIC_ACQUIRE))
        sched_block(SCHED_FOREVER);
}

static int linux_tun_set_mtu(struct tun *tun, uint32_t mtu)
{
    struct ifreq request = {0};

    memcpy(request.ifr_name, tun->name, sizeof request.ifr_name);
    request.ifr_mtu = (int)mtu;
    return ioctl(tun->control, SIOCSIFMTU, &request) < 0 ? -errno : 0;
}

static int linux_tun_set_link(struct tun *tun, bool up)
{
    int carrier = up;

    return ioctl(tun->queues[0].fd, TUNSETCARRIER, &carrier) < 0 ? -errno : 0;
}

static uint32_t linux_tun_ifindex(const struct tun *tun)
{
    return tun->ifindex;
}

static bool linux_tun_accepts_udp_segments(const struct tun *tun)
{
    return tun->accepts_udp;
}

static bool linux_tun_accepts_tcp_segments(const struct tun *tun)
{
    return tun->segmentation;
}

static void linux_tun_pause_reading(struct tun *tun, bool paused)
{
    if (__atomic_exchange_n(&tun->paused, paused, __ATOMIC_ACQ_REL) != paused)
        for (unsigned i = 0; i < tun->queue_count; i++)
            loop_modify(tun->queues[i].fd, paused ? 0 : EPOLLIN);
}

static int linux_tun_write(struct tun *tun, const struct tun_packet *packet, const struct iovec *iov,
                           unsigned iov_count)
{
    static const uint8_t gso_types[] = {
        [TUN_GSO_NONE] = VIRTIO_NET_HDR_GSO_NONE,
        [TUN_GSO_TCP4] = VIRTIO_NET_HDR_GSO_TCPV4,
        [TUN_GSO_TCP6] = VIRTIO_NET_HDR_GSO_TCPV6,
        [TUN_GSO_UDP] = VIRTIO_NET_HDR_GSO_UDP_L4,
    };
    struct virtio_net_hdr header = {0};
    struct iovec vector[LARGEST_IOVECS];
    int fd = tun->queues[0].fd;

    if (iov_count >= LARGEST_IOVECS)
        return -EMSGSIZE;
    if (packet->needs_checksum) {
        header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        header.csum_start = packet->checksum_start;
        header.csum_offset = packet->checksum_offset;
    }
    if (packet->gso_type != TUN_GSO_NONE) {
        header.gso_type = gso_types[packet->gso_type];
        header.gso_size = packet->gso_size;
        header.hdr_len = (uint16_t)iov[0].iov_len; /* the caller puts all headers into the first piece */
    }
    if (tun->queue_count > 1)
        fd = tun->queues[__atomic_load_n(&tun->queue_of[tun_flow(iov[0].iov_base, iov[0].iov_len)],
                                         __ATOMIC_RELAXED)]
                 .fd;
    vector[0] = (struct iovec){&header, sizeof header};
    memcpy(vector + 1, iov, iov_count * sizeof *iov);
    for (;;) {
        if (writev(fd, vector, (int)iov_count + 1) >= 0)
            return 0;
        if (errno != EINTR)
            return -errno;
    }
}

const struct tun_functions linux_tun = {
    .open = linux_tun_open,
    .close = linux_tun_close,
    .set_mtu = linux_tun_set_mtu,
    .set_link = linux_tun_set_link,
    .ifindex = linux_tun_ifindex,
    .accepts_tcp_segments = linux_tun_accepts_tcp_segments,
    .accepts_udp_segments = linux_tun_accepts_udp_segments,
    .pause_reading = linux_tun_pause_reading,
    .write = linux_tun_write,
};
