/* doctor.h on Linux. */
#include "doctor.h"
#include "programs.h"
#include "state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void examine_file(struct examination *examination, const char *directory, const char *file)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    bool there = access(path, R_OK) == 0;
    doctor_note(examination, there ? GOOD : WARNING, file,
                "`wyrm up` needs it beside this program, or --engine COMMAND", "%s%s", path,
                there ? "" : " cannot be read");
}

/* Tunnels of `up` whose process ended without `down`: their rules and DNS are still there. */
static void examine_left(struct examination *examination)
{
    char **names = NULL, remedy[64];
    if (geteuid() != 0)
        return;
    size_t count = state_names(&names);
    for (size_t i = 0; i < count; i++) {
        struct state state;
        if (state_load(names[i], &state) == 0) {
            snprintf(remedy, sizeof remedy, "wyrm down %.15s", names[i]);
            if (!state_process(&state) && !if_nametoindex(names[i]))
                doctor_note(examination, WRONG, names[i], remedy,
                            "its process has ended, what `up` made may still be there");
            state_free(&state);
        }
        free(names[i]);
    }
    free(names);
}

void doctor_system(struct examination *examination)
{
    char directory[PATH_MAX];
    bool root = geteuid() == 0;
    doctor_note(examination, root ? GOOD : WARNING, "permissions",
                "run it with sudo: what only root can see is not examined", root ? "root" : "not root");
    int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    int problem = errno;
    doctor_note(examination, tun >= 0 ? GOOD : WRONG, "TUN device",
                problem == EACCES || problem == EPERM ? "run it with sudo, or give the container NET_ADMIN"
                                                      : "modprobe tun, or give the container /dev/net/tun",
                "/dev/net/tun %s%s",
                tun >= 0 ? "can be opened" : "cannot be opened: ", tun >= 0 ? "" : strerror(problem));
    if (tun >= 0)
        close(tun);
    doctor_note(examination, spawn_exists("ip") ? GOOD : WRONG, "iproute2", "install iproute2", "%s",
                spawn_exists("ip") ? "there" : "no `ip` in PATH: addresses and routes cannot be set");
    doctor_note(examination, spawn_exists("resolvconf") ? GOOD : WARNING, "resolvconf",
                "install openresolv if a configuration has DNS", "%s",
                spawn_exists("resolvconf") ? "there" : "not there: DNS of a configuration is not set");
    doctor_note(examination, spawn_exists("nft") ? GOOD : WARNING, "nftables",
                "install nftables if a configuration has a default route", "%s",
                spawn_exists("nft") ? "there"
                                    : "no `nft` in PATH: answers may be dropped by strict rp_filter");
    ssize_t length = readlink("/proc/self/exe", directory, sizeof directory - 1);
    if (length > 0) {
        directory[length] = 0;
        *strrchr(directory, '/') = 0;
        examine_file(examination, directory, "nthost");
        examine_file(examination, directory, "wyrm.sys");
    }
    examine_left(examination);
}

void doctor_link(struct examination *examination, const struct device *device, bool ipv6)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device->name);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0) {
        doctor_note(examination, WARNING, device->name, "examine it in the network namespace where it is",
                    "there is no such interface here, though its socket answers");
    } else {
        bool up = request.ifr_flags & IFF_UP;
        doctor_note(examination, up ? GOOD : WRONG, device->name, "ip link set it up, or use `wyrm up`",
                    up ? "the interface is up" : "the interface is down");
        if (ioctl(fd, SIOCGIFMTU, &request) == 0) {
            bool low = ipv6 && request.ifr_mtu < MINIMUM_MTU_IPV6;
            doctor_note(examination, low ? WRONG : GOOD, device->name,
                        "IPv6 needs an MTU of 1280: set MTU, or take the IPv6 prefixes out of AllowedIPs",
                        "MTU %d", request.ifr_mtu);
        }
    }
    if (fd >= 0)
        close(fd);
}

/* A datagram to the endpoint must not be routed into the tunnel that it carries. */
void doctor_way(struct examination *examination, const struct device *device, const struct device_peer *peer,
                const char *who)
{
    char endpoint[INET6_ADDRSTRLEN], mark[16], way[512], through[32];
    if (!inet_ntop(peer->endpoint.family == 4 ? AF_INET : AF_INET6, peer->endpoint.address, endpoint,
                   sizeof endpoint) ||
        peer->endpoint.scope || !spawn_exists("ip"))
        return;
    snprintf(mark, sizeof mark, "%u", device->fwmark);
    const char *argv[] = {"ip", "route", "get", endpoint, "mark", mark, NULL};
    snprintf(through, sizeof through, " dev %s ", device->name);
    if (spawn_run(argv, NULL, way, sizeof way, true))
        doctor_note(examination, WRONG, who, "check the routes of this machine (ip route)", "no route to %s",
                    endpoint);
    else if (strstr(way, through))
        doctor_note(
            examination, WRONG, who,
            "use `wyrm up`, which gives default routes a mark and a table, or a route to the endpoint",
            "the way to %s leads through the tunnel itself", endpoint);
}
