/* `wyrm doctor` on Linux: looks for what commonly keeps a tunnel from working, and says what to do.  Changes
 * nothing. */
#include "command.h"
#include "device.h"
#include "format.h"
#include "programs.h"
#include "state.h"
#include "transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MINIMUM_MTU_IPV6 1280
#define SESSION_END_S    180 /* Reject-After-Time: nothing is carried by an older session */

enum grade { GOOD, WARNING, WRONG };

struct examination {
    struct output output;
    bool json;
    unsigned count, wrong;
};

/* One line of the report: of what, how it is, and (unless it is good) what to do. */
static void note(struct examination *examination, enum grade grade, const char *subject, const char *remedy,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

static void note(struct examination *examination, enum grade grade, const char *subject, const char *remedy,
                 const char *format, ...)
{
    static const char *const grades[] = {"ok", "warning", "wrong"};
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct output *output = &examination->output;
    examination->wrong += grade == WRONG;
    if (examination->json) {
        output_text(output, "%s{\"subject\":", examination->count ? "," : "");
        format_json_string(output, subject);
        output_text(output, ",\"grade\":\"%s\",\"text\":", grades[grade]);
        format_json_string(output, text);
        output_text(output, ",\"remedy\":");
        if (grade != GOOD)
            format_json_string(output, remedy);
        else
            output_text(output, "null");
        output_text(output, "}");
    } else {
        output_text(output, "%-8s %s: %s\n", grades[grade], subject, text);
        if (grade != GOOD)
            output_text(output, "         -> %s\n", remedy);
    }
    examination->count++;
}

static void examine_file(struct examination *examination, const char *directory, const char *file)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    bool there = access(path, R_OK) == 0;
    note(examination, there ? GOOD : WARNING, file,
         "`wyrm up` needs it beside this program, or --engine COMMAND", "%s%s", path,
         there ? "" : " cannot be read");
}

static void examine_system(struct examination *examination)
{
    char directory[PATH_MAX];
    bool root = geteuid() == 0;
    note(examination, root ? GOOD : WARNING, "permissions",
         "run it with sudo: what only root can see is not examined", root ? "root" : "not root");
    int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    int problem = errno;
    note(examination, tun >= 0 ? GOOD : WRONG, "TUN device",
         problem == EACCES || problem == EPERM ? "run it with sudo, or give the container NET_ADMIN"
                                               : "modprobe tun, or give the container /dev/net/tun",
         "/dev/net/tun %s%s",
         tun >= 0 ? "can be opened" : "cannot be opened: ", tun >= 0 ? "" : strerror(problem));
    if (tun >= 0)
        close(tun);
    note(examination, spawn_exists("ip") ? GOOD : WRONG, "iproute2", "install iproute2", "%s",
         spawn_exists("ip") ? "there" : "no `ip` in PATH: addresses and routes cannot be set");
    note(examination, spawn_exists("resolvconf") ? GOOD : WARNING, "resolvconf",
         "install openresolv if a configuration has DNS", "%s",
         spawn_exists("resolvconf") ? "there" : "not there: DNS of a configuration is not set");
    note(examination, spawn_exists("nft") ? GOOD : WARNING, "nftables",
         "install nftables if a configuration has a default route", "%s",
         spawn_exists("nft") ? "there" : "no `nft` in PATH: answers may be dropped by strict rp_filter");
    ssize_t length = readlink("/proc/self/exe", directory, sizeof directory - 1);
    if (length > 0) {
        directory[length] = 0;
        *strrchr(directory, '/') = 0;
        examine_file(examination, directory, "nthost");
        examine_file(examination, directory, "wyrm.sys");
    }
}

/* Tunnels of `up` whose process ended without `down`: their rules and DNS are still there. */
static void examine_left(struct examination *examination)
{
    char **names, remedy[64];
    size_t count = geteuid() == 0 ? state_names(&names) : 0;
    if (geteuid() != 0)
        return;
    for (size_t i = 0; i < count; i++) {
        struct state state;
        if (state_load(names[i], &state) == 0) {
            snprintf(remedy, sizeof remedy, "wyrm down %.15s", names[i]);
            if (!state_process(&state) && !if_nametoindex(names[i]))
                note(examination, WRONG, names[i], remedy,
                     "its process has ended, what `up` made may still be there");
            state_free(&state);
        }
        free(names[i]);
    }
    free(names);
}

static void examine_link(struct examination *examination, const struct device *device, bool ipv6)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device->name);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0) {
        note(examination, WARNING, device->name, "examine it in the network namespace where it is",
             "there is no such interface here, though its socket answers");
    } else {
        bool up = request.ifr_flags & IFF_UP;
        note(examination, up ? GOOD : WRONG, device->name, "ip link set it up, or use `wyrm up`",
             up ? "the interface is up" : "the interface is down");
        if (ioctl(fd, SIOCGIFMTU, &request) == 0) {
            bool low = ipv6 && request.ifr_mtu < MINIMUM_MTU_IPV6;
            note(examination, low ? WRONG : GOOD, device->name,
                 "IPv6 needs an MTU of 1280: set MTU, or take the IPv6 prefixes out of AllowedIPs", "MTU %d",
                 request.ifr_mtu);
        }
    }
    if (fd >= 0)
        close(fd);
}

/* A datagram to the endpoint must not be routed into the tunnel that it carries. */
static void examine_way(struct examination *examination, const struct device *device,
                        const struct device_peer *peer, const char *who)
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
        note(examination, WRONG, who, "check the routes of this machine (ip route)", "no route to %s",
             endpoint);
    else if (strstr(way, through))
        note(examination, WRONG, who,
             "use `wyrm up`, which gives default routes a mark and a table, or a route to the endpoint",
             "the way to %s leads through the tunnel itself", endpoint);
}

static void examine_peer(struct examination *examination, const struct device *device,
                         const struct device_peer *peer)
{
    char key[KEY_BASE64_LENGTH + 1] = "", who[64];
    key_to_base64(key, peer->public_key);
    snprintf(who, sizeof who, "%.15s peer %.8s...", device->name, key);
    if (!key_is_zero(device->private_key) && !memcmp(peer->public_key, device->public_key, KEY_LENGTH))
        note(examination, WRONG, who, "PublicKey is to be the other side's",
             "its public key is this adapter's own");
    if (!peer->allowed_ips.count)
        note(examination, WARNING, who, "give AllowedIPs", "it has no allowed IPs: nothing is sent to it");
    if (peer->endpoint.family)
        examine_way(examination, device, peer, who);
    int64_t age = (int64_t)time(NULL) - peer->handshake_seconds;
    if (peer->handshake_seconds && age <= SESSION_END_S)
        note(examination, GOOD, who, "", "handshake %lld s ago", (long long)age);
    else if (!peer->endpoint.family)
        note(examination, WARNING, who, "wait for the peer, or give an Endpoint",
             "it has no endpoint and no session: only the peer can begin");
    else if (!peer->handshake_seconds && peer->tx_bytes)
        note(examination, WRONG, who,
             "check Endpoint, the other side's port and firewall, and that both have each other's public key",
             "handshakes are sent and none was answered");
    else
        note(examination, GOOD, who, "", "no session; none is needed until there is something to send");
}

static void examine_device(struct examination *examination, const struct device *device)
{
    bool ipv6 = false, key = !key_is_zero(device->private_key);
    for (size_t i = 0; i < device->peer_count; i++)
        for (size_t k = 0; k < device->peers[i].allowed_ips.count; k++)
            ipv6 = ipv6 || device->peers[i].allowed_ips.items[k].family == 6;
    note(examination, key ? GOOD : WRONG, device->name, "wyrm set NAME private-key FILE", "%s",
         key ? "has a private key" : "has no private key: no handshake is possible");
    if (!device->peer_count)
        note(examination, WARNING, device->name, "wyrm set NAME peer KEY ...", "has no peer");
    examine_link(examination, device, ipv6);
    for (size_t i = 0; i < device->peer_count; i++)
        examine_peer(examination, device, &device->peers[i]);
}

static void examine_adapters(struct examination *examination, const char *only)
{
    struct failure failure;
    struct name_list names = {0};
    if (!transport_list(&names, &failure))
        note(examination, WRONG, "adapters", "run it with sudo", "%s", failure.text);
    if (!only && !names.count)
        note(examination, GOOD, "adapters", "", "there is none");
    for (size_t i = 0; i < (only ? 1 : names.count); i++) {
        const char *name = only ? only : names.items[i];
        struct device device = {0};
        if (transport_get(name, &device, &failure))
            examine_device(examination, &device);
        else
            note(examination, WRONG, name, "see what serves it, or begin anew: wyrm down, wyrm up", "%s",
                 failure.text);
        device_free(&device);
    }
    name_list_free(&names);
}

bool command_doctor(const struct invocation *invocation, struct failure *failure)
{
    struct examination examination = {.json = invocation->json};
    if (invocation->count > 1)
        return fail(failure, EXIT_USAGE, "doctor takes one adapter at most: wyrm doctor [NAME]");
    if (invocation->json)
        output_text(&examination.output, "{\"checks\":[");
    examine_system(&examination);
    examine_left(&examination);
    examine_adapters(&examination, invocation->count ? invocation->arguments[0] : NULL);
    if (invocation->json)
        output_text(&examination.output, "],\"wrong\":%u}\n", examination.wrong);
    if (!output_flush(&examination.output, failure))
        return false;
    if (examination.wrong)
        return fail(failure, EXIT_REFUSED, "%u of %u checks found something wrong", examination.wrong,
                    examination.count);
    return true;
}
