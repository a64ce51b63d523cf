/* The TUN interface and the UDP socket, with every offload that the kernel has for them. */
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Newer than Debian 12's headers (Linux 6.2, uapi if_tun.h; linux/udp.h). */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define SOCKET_BYTES (4 << 20)
#define GSO_MAX_BYTES                                                                                        \
    62200u /* with 32 bytes more for each packet of 1420 the run fits one segmented send                     \
            */

static int failed(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    return -1;
}

/* Super-segments that are too large for one send would be two runs.  Refused by old kernels: only slower. */
static void limit_super_segments(const char *name)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
        struct rtattr attribute;
        uint32_t value;
    } request = {
        .header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST},
        .link = {.ifi_index = (int)if_nametoindex(name)},
        .attribute = {.rta_len = RTA_LENGTH(sizeof(uint32_t)), .rta_type = IFLA_GSO_MAX_SIZE},
        .value = GSO_MAX_BYTES,
    };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd >= 0) {
        (void)!send(fd, &request, sizeof request, 0);
        close(fd);
    }
}

int tun_open(const char *name, bool *udp)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    int header = sizeof(struct virtio_net_hdr);
    unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return failed("/dev/net/tun");
    memcpy(request.ifr_name, name, strlen(name) + 1);
    if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
        return failed(name);
    *udp = ioctl(fd, TUNSETOFFLOAD, offloads | TUN_F_USO4 | TUN_F_USO6) == 0; /* Linux 6.2 */
    if (!*udp && ioctl(fd, TUNSETOFFLOAD, offloads) < 0)
        return failed("offloads of the TUN device");
    limit_super_segments(name);
    return fd;
}

int wire_open(uint16_t port, const char *address, uint16_t peer_port)
{
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(port)}, peer = local;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int one = 1, bytes = SOCKET_BYTES;

    if (fd < 0)
        return failed("socket");
    peer.sin_port = htons(peer_port);
    if (inet_pton(AF_INET, address, &peer.sin_addr) != 1) {
        fprintf(stderr, "floor: '%s' is not an IPv4 address\n", address);
        return -1;
    }
    if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0 ||
        connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0)
        return failed(address);
    if (setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one) < 0)
        return failed("UDP_GRO");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
    return fd;
}
