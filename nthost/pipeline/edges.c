/* The upper edge and the machine's settings in memory. */
#include "internal.h"

#include "edge/functions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERFACES_MAX  80u
#define NETWORK_IFINDEX 1u
#define NETWORK_MTU     1500u
#define LINK_UP         1u /* IFF_UP */
#define TYPE_ETHERNET   1u /* ARPHRD_ETHER */
#define TYPE_NONE       0xfffeu
#define TABLE_MAIN      254u /* RT_TABLE_MAIN */
#define TABLE_LOCAL     255u /* RT_TABLE_LOCAL */

static const uint8_t machine_address[4] = PIPELINE_ADDRESS;

struct tun {
    char name[16];
    uint32_t ifindex, mtu, ipv6_mtu;
    bool segmentation, up, paused;
    tun_receive *receive;
    void *context;
    uint64_t packets, bytes, writes;
};

/* By ifindex. They are made and removed by one thread at a time (the adapter's control gate). */
static struct tun *tuns[INTERFACES_MAX];

static struct tun *find(uint32_t ifindex)
{
    return ifindex < INTERFACES_MAX ? tuns[ifindex] : NULL;
}

/* ---- upper edge ---- */

static int memory_tun_open(const char *name, bool segmentation, tun_receive *receive, void *context,
                           struct tun **out, char *error, size_t error_size)
{
    uint32_t ifindex = NETWORK_IFINDEX + 1;
    struct tun *tun = calloc(1, sizeof *tun);

    while (ifindex < INTERFACES_MAX && tuns[ifindex])
        ifindex++;
    if (!tun || ifindex == INTERFACES_MAX) {
        snprintf(error, error_size, "at most %u interfaces", INTERFACES_MAX - NETWORK_IFINDEX - 1);
        free(tun);
        return -ENOSPC;
    }
    *tun = (struct tun){.ifindex = ifindex, .mtu = NETWORK_MTU, .ipv6_mtu = NETWORK_MTU};
    snprintf(tun->name, sizeof tun->name, "%s", name);
    tun->segmentation = segmentation;
    tun->receive = receive;
    tun->context = context;
    tuns[ifindex] = *out = tun;
    return 0;
}

static void memory_tun_close(struct tun *tun)
{
    if (!tun)
        return;
    tuns[tun->ifindex] = NULL;
    free(tun);
}

static int memory_tun_set_mtu(struct tun *tun, uint32_t mtu)
{
    tun->mtu = tun->ipv6_mtu = mtu;
    return 0;
}

static int memory_tun_set_link(struct tun *tun, bool up)
{
    tun->up = up;
    return 0;
}

static uint32_t memory_tun_ifindex(const struct tun *tun)
{
    return tun->ifindex;
}

static bool memory_tun_accepts_segments(const struct tun *tun)
{
    return tun->segmentation;
}

/* The benchmark asks before it sends. */
static void memory_tun_pause_reading(struct tun *tun, bool paused)
{
    __atomic_store_n(&tun->paused, paused, __ATOMIC_RELAXED);
}

static int memory_tun_write(struct tun *tun, const struct tun_packet *header, const struct iovec *iov,
                            unsigned iov_count)
{
    uint64_t bytes = 0, packets = 1;

    for (unsigned i = 0; i < iov_count; i++)
        bytes += iov[i].iov_len;
    if (header->gso_size && bytes > iov[0].iov_len) /* the headers of a super-segment are in iov[0] */
        packets = (bytes - header->checksum_start + header->gso_size - 1) / header->gso_size;
    __atomic_add_fetch(&tun->bytes, bytes, __ATOMIC_RELAXED);
    __atomic_add_fetch(&tun->packets, packets, __ATOMIC_RELAXED);
    __atomic_add_fetch(&tun->writes, 1, __ATOMIC_RELAXED);
    return 0;
}

void edges_tun_send(struct tun *tun, struct tun_packet *packets, unsigned count)
{
    tun->receive(tun->context, packets, count);
}

bool edges_tun_paused(const struct tun *tun)
{
    return __atomic_load_n(&tun->paused, __ATOMIC_RELAXED);
}

uint64_t edges_tun_packets(const struct tun *tun, uint64_t *bytes, uint64_t *writes)
{
    *bytes = __atomic_load_n(&tun->bytes, __ATOMIC_RELAXED);
    *writes = __atomic_load_n(&tun->writes, __ATOMIC_RELAXED);
    return __atomic_load_n(&tun->packets, __ATOMIC_RELAXED);
}

static const struct tun_functions memory_tun = {
    .open = memory_tun_open,
    .close = memory_tun_close,
    .set_mtu = memory_tun_set_mtu,
    .set_link = memory_tun_set_link,
    .ifindex = memory_tun_ifindex,
    .accepts_tcp_segments = memory_tun_accepts_segments,
    .accepts_udp_segments = memory_tun_accepts_segments,
    .pause_reading = memory_tun_pause_reading,
    .write = memory_tun_write,
};

/* ---- one network interface with one address and a default route; nothing ever changes ---- */

static int memory_routes(uint8_t family, struct route_entry **out)
{
    struct route_entry *entries = calloc(2, sizeof *entries);

    if (!entries)
        return -ENOMEM;
    *out = entries;
    if (family == 6)
        return 0;
    entries[0] = (struct route_entry){.family = 4, .ifindex = NETWORK_IFINDEX, .table = TABLE_MAIN};
    entries[1] = (struct route_entry){
        .family = 4, .ifindex = NETWORK_IFINDEX, .table = TABLE_LOCAL, .prefix_length = 32};
    memcpy(entries[1].destination, machine_address, sizeof machine_address);
    return 2;
}

static int memory_interfaces(struct interface_entry **out)
{
    struct interface_entry *entries = calloc(INTERFACES_MAX, sizeof *entries);
    int count = 0;

    if (!entries)
        return -ENOMEM;
    entries[count++] = (struct interface_entry){.ifindex = NETWORK_IFINDEX,
                                                .name = "network",
                                                .mtu = NETWORK_MTU,
                                                .flags = LINK_UP,
                                                .oper_up = true,
                                                .type = TYPE_ETHERNET,
                                                .mac = {2, 0, 0, 0, 0, 1}};
    for (unsigned i = 0; i < INTERFACES_MAX; i++) {
        if (!tuns[i])
            continue;
        entries[count] = (struct interface_entry){
            .ifindex = i, .mtu = tuns[i]->mtu, .flags = LINK_UP, .oper_up = tuns[i]->up, .type = TYPE_NONE};
        memcpy(entries[count++].name, tuns[i]->name, sizeof tuns[i]->name);
    }
    *out = entries;
    return count;
}

static int memory_addresses(uint8_t family, struct address_entry **out)
{
    struct address_entry *entry = calloc(1, sizeof *entry);

    if (!entry)
        return -ENOMEM;
    *out = entry;
    *entry = (struct address_entry){.family = 4, .prefix_length = 24, .ifindex = NETWORK_IFINDEX};
    memcpy(entry->bytes, machine_address, sizeof machine_address);
    return family == 6 ? 0 : 1;
}

static int memory_mtu(uint8_t family, uint32_t ifindex, uint32_t *mtu)
{
    const struct tun *tun = find(ifindex);

    if (!tun && ifindex != NETWORK_IFINDEX)
        return -ENODEV;
    *mtu = !tun ? NETWORK_MTU : family == 4 ? tun->mtu : tun->ipv6_mtu;
    return 0;
}

static int memory_set_mtu(uint8_t family, uint32_t ifindex, uint32_t mtu)
{
    struct tun *tun = find(ifindex);

    if (!tun)
        return -ENODEV;
    *(family == 4 ? &tun->mtu : &tun->ipv6_mtu) = mtu;
    return 0;
}

static int memory_set_gso_max(uint32_t ifindex, uint32_t bytes)
{
    (void)bytes;
    return find(ifindex) ? 0 : -ENODEV;
}

static int memory_subscribe(net_changed *changed, void *context)
{
    (void)changed;
    (void)context;
    return 0;
}

static void memory_unsubscribe(net_changed *changed, void *context)
{
    (void)changed;
    (void)context;
}

static const struct net_functions memory_net = {
    .routes = memory_routes,
    .interfaces = memory_interfaces,
    .addresses = memory_addresses,
    .mtu = memory_mtu,
    .set_mtu = memory_set_mtu,
    .set_gso_max = memory_set_gso_max,
    .subscribe = memory_subscribe,
    .unsubscribe = memory_unsubscribe,
};

void edges_use(void)
{
    edge_select(&memory_tun, &memory_udp, &memory_net);
}
