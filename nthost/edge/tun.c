/* Upper edge: a Linux TUN device with vnet_hdr, so that the kernel hands over TCP (and UDP) super-segments
 * uncut and takes coalesced ones back.  One burst of reads per readiness event, one call of `receive` per
 * burst. */
#include "functions.h"
#include "host.h"
#include "sched/sched.h"

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

#define BURST_PACKETS  64u
#define BURST_BYTES    (128u * 1024)
#define LARGEST_READ   (65535u + sizeof(struct virtio_net_hdr))
#define READ_ALIGNMENT 64u
/* A tunnel driver puts each packet of a super-segment into a datagram that is larger by its own headers, and
 * the run has to fit into one segmented send again (65487 bytes over IPv6).  With packets of 1420 bytes that
 * leaves 5 % for headers; about 320 bytes are the kernel's reserve. */
#define GSO_MAX_BYTES    62200u
#define LARGEST_IOVECS   1024u                                            /* UIO_MAXIOV */
#define PACKET_ALIGNMENT (READ_ALIGNMENT - sizeof(struct virtio_net_hdr)) /* the packet itself is aligned */

struct tun {
    int fd;
    int control; /* a datagram socket for interface ioctls */
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

    if (!tun->segmentation)
        return ioctl(tun->fd, TUNSETOFFLOAD, 0ul);
    if (ioctl(tun->fd, TUNSETOFFLOAD, (unsigned long)(basic | TUN_F_USO4 | TUN_F_USO6)) == 0) {
        tun->accepts_udp = true;
        return 0;
    }
    return ioctl(tun->fd, TUNSETOFFLOAD, (unsigned long)basic);
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

static void tun_readable(void *context, uint32_t events)
{
    struct tun *tun = context;
    struct tun_packet packets[BURST_PACKETS];
    unsigned count = 0;
    size_t offset = PACKET_ALIGNMENT;

    if (__atomic_load_n(&tun->paused, __ATOMIC_ACQUIRE) || tun->delivering)
        return;
    while (count < BURST_PACKETS && offset + LARGEST_READ <= BURST_BYTES) {
        uint8_t *at = tun->buffer + offset;
        ssize_t got = read(tun->fd, at, LARGEST_READ);
        struct virtio_net_hdr header;

        if (got < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN && (events & (EPOLLERR | EPOLLHUP)) && count == 0) {
                host_warn("%s: reading packets failed: %s; the interface is no longer served", tun->name,
                          strerror(errno));
                loop_remove(tun->fd);
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
        count++;
        offset += ((size_t)got + READ_ALIGNMENT - 1) & ~(size_t)(READ_ALIGNMENT - 1);
    }
    if (count > 0) {
        tun->delivering = true;
        tun->receive(tun->context, packets, count);
        tun->delivering = false;
    }
}

static int linux_tun_open(const char *name, bool segmentation, tun_receive *receive, void *context,
                          struct tun **out, char *error, size_t error_size)
{
    struct ifreq request = {0};
    int header_size = sizeof(struct virtio_net_hdr);
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

    tun->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tun->fd < 0) {
        code = errno;
        if (code == ENOENT || code == ENODEV || code == ENXIO)
            fail(error, error_size, code,
                 "cannot make interface %s: /dev/net/tun is missing (%s); load the tun module or give the "
                 "container that device",
                 name);
        else
            fail(error, error_size, code,
                 "cannot make interface %s: /dev/net/tun cannot be opened (%s); root is needed", name);
        goto fail_free;
    }
    request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    memcpy(request.ifr_name, tun->name, sizeof request.ifr_name);
    if (ioctl(tun->fd, TUNSETIFF, &request) < 0) {
        code = errno;
        if (code == EPERM)
            fail(error, error_size, code, "cannot make interface %s: %s; root (CAP_NET_ADMIN) is needed",
                 name);
        else if (code == EBUSY)
            fail(error, error_size, code,
                 "cannot make interface %s: %s; another program already serves an interface of that name",
                 name);
        else
            fail(error, error_size, code, "cannot make interface %s: %s", name);
        goto fail_close;
    }
    if (ioctl(tun->fd, TUNSETVNETHDRSZ, &header_size) < 0 || set_offloads(tun) < 0) {
        code = errno;
        fail(error, error_size, code, "%s: the kernel refuses the offloads of TUN devices: %s", name);
        goto fail_close;
    }
    tun->control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (tun->control < 0) {
        code = errno;
        fail(error, error_size, code, "%s: no socket for interface settings: %s", name);
        goto fail_close;
    }
    if (ioctl(tun->control, SIOCGIFINDEX, &request) < 0) {
        code = errno;
        fail(error, error_size, code, "%s: the new interface has no index: %s", name);
        goto fail_close;
    }
    tun->ifindex = (uint32_t)request.ifr_ifindex;
    if (segmentation)
        net_set_gso_max(tun->ifindex, GSO_MAX_BYTES); /* refused by old kernels: only slower */
    tun->buffer = mmap(NULL, BURST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (tun->buffer == MAP_FAILED) {
        code = errno;
        fail(error, error_size, code, "%s: no memory for packets: %s", name);
        goto fail_close;
    }
    code = -loop_add(tun->fd, EPOLLIN, tun_readable, tun);
    if (code != 0) {
        fail(error, error_size, code, "%s: the event loop refuses the interface: %s", name);
        munmap(tun->buffer, BURST_BYTES);
        goto fail_close;
    }
    *out = tun;
    return 0;

fail_close:
    if (tun->control >= 0)
        close(tun->control);
    close(tun->fd);
fail_free:
    free(tun);
    return -code;
}

struct removal {
    struct tun *tun;
    struct sched_thread *waiter;
    bool done;
};

static void tun_free(struct tun *tun)
{
    loop_remove(tun->fd);
    close(tun->fd);
    close(tun->control);
    munmap(tun->buffer, BURST_BYTES);
    free(tun);
}

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

    return ioctl(tun->fd, TUNSETCARRIER, &carrier) < 0 ? -errno : 0;
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
        loop_modify(tun->fd, paused ? 0 : EPOLLIN);
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
    vector[0] = (struct iovec){&header, sizeof header};
    memcpy(vector + 1, iov, iov_count * sizeof *iov);
    for (;;) {
        if (writev(tun->fd, vector, (int)iov_count + 1) >= 0)
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
