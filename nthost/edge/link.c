/* Settings of network interfaces: the MTU of each IP family, the largest super-segment. */
#include "functions.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int link_ioctl(uint32_t ifindex, unsigned long request, struct ifreq *data)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int error = 0;

    if (fd < 0)
        return -errno;
    if (!if_indextoname(ifindex, data->ifr_name) || ioctl(fd, request, data) < 0)
        error = -errno;
    close(fd);
    return error;
}

/* -ENOENT: the interface has no IPv6. */
static int open_ipv6_mtu(uint32_t ifindex, int flags)
{
    char name[IF_NAMESIZE], path[128];
    int fd;

    if (!if_indextoname(ifindex, name))
        return -errno;
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/mtu", name);
    fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int linux_net_mtu(uint8_t family, uint32_t ifindex, uint32_t *mtu)
{
    struct ifreq data = {0};
    char text[32] = {0};
    int fd, error;

    if (family == 4) {
        error = link_ioctl(ifindex, SIOCGIFMTU, &data);
        if (!error)
            *mtu = (uint32_t)data.ifr_mtu;
        return error;
    }
    fd = open_ipv6_mtu(ifindex, O_RDONLY);
    if (fd < 0)
        return fd;
    error = read(fd, text, sizeof text - 1) > 0 ? 0 : -EIO;
    close(fd);
    if (!error)
        *mtu = (uint32_t)strtoul(text, NULL, 10);
    return error;
}

int linux_net_set_mtu(uint8_t family, uint32_t ifindex, uint32_t mtu)
{
    struct ifreq data = {.ifr_mtu = (int)mtu};
    uint32_t link = 0;
    char text[32];
    int fd, length, error;

    if (family == 4)
        return link_ioctl(ifindex, SIOCSIFMTU, &data);
    error = linux_net_mtu(4, ifindex, &link);
    if (!error && link < mtu) /* IPv6 cannot have more than the link */
        error = link_ioctl(ifindex, SIOCSIFMTU, &data);
    if (error)
        return error;
    fd = open_ipv6_mtu(ifindex, O_WRONLY);
    if (fd < 0)
        return fd;
    length = snprintf(text, sizeof text, "%u\n", mtu);
    error = write(fd, text, (size_t)length) == length ? 0 : -errno;
    close(fd);
    return error;
}

int linux_net_set_gso_max(uint32_t ifindex, uint32_t bytes)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
        struct rtattr attribute;
        uint32_t bytes;
    } request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = RTM_NEWLINK,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .link = {.ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex},
        .attribute = {.rta_len = RTA_LENGTH(sizeof(uint32_t)), .rta_type = IFLA_GSO_MAX_SIZE},
        .bytes = bytes,
    };
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        uint8_t request[sizeof request];
    } answer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    int error = 0;

    if (fd < 0)
        return -errno;
    if (send(fd, &request, sizeof request, 0) < 0 || recv(fd, &answer, sizeof answer, 0) < 0)
        error = -errno;
    else if (answer.header.nlmsg_type == NLMSG_ERROR)
        error = answer.error.error;
    close(fd);
    return error;
}
