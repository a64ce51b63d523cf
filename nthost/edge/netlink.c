/* The system's routes, interfaces and addresses as rtnetlink tells them, and subscriptions to their changes.
 *
 * Which routes count: unicast and local routes of every table (main, local and the tables of policy rules,
 * with their table number), because a Windows forward table has no policy rules and also lists the host's own
 * addresses as on-link routes. Broadcast, multicast, blackhole and cached routes are left out. Of a multipath
 * route each hop is an entry. */
#include "functions.h"
#include "host.h"
#include "sched/sched.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DUMP_BUFFER_BYTES 65536u

struct list {
    void *items;
    size_t item_bytes;
    size_t count, capacity;
};

static void *list_append(struct list *list)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 32;
        void *items = realloc(list->items, capacity * list->item_bytes);

        if (!items)
            return NULL;
        list->items = items;
        list->capacity = capacity;
    }
    void *item = (char *)list->items + list->count++ * list->item_bytes;

    memset(item, 0, list->item_bytes);
    return item;
}

static uint8_t family_of(unsigned char af)
{
    return af == AF_INET ? 4 : af == AF_INET6 ? 6 : 0;
}

static uint32_t attribute_u32(const struct rtattr *attribute)
{
    uint32_t value = 0;

    if (RTA_PAYLOAD(attribute) >= sizeof value)
        memcpy(&value, RTA_DATA(attribute), sizeof value);
    return value;
}

static void attribute_address(const struct rtattr *attribute, uint8_t bytes[16])
{
    size_t length = RTA_PAYLOAD(attribute);

    memcpy(bytes, RTA_DATA(attribute), length < 16 ? length : 16);
}

/* A callback returns 0 or a negative errno that ends the dump. */
typedef int parse_message(const struct nlmsghdr *message, struct list *list);

static int parse_hops(const struct rtattr *multipath, const struct route_entry *common, struct list *list)
{
    const struct rtnexthop *hop = RTA_DATA(multipath);
    size_t left = RTA_PAYLOAD(multipath);

    while (left >= sizeof *hop && hop->rtnh_len >= sizeof *hop && hop->rtnh_len <= left) {
        struct route_entry *entry = list_append(list);
        const struct rtattr *attribute = RTNH_DATA(hop);
        int length = hop->rtnh_len - (int)sizeof *hop;

        if (!entry)
            return -ENOMEM;
        *entry = *common;
        entry->ifindex = (uint32_t)hop->rtnh_ifindex;
        for (; RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length))
            if (attribute->rta_type == RTA_GATEWAY) {
                attribute_address(attribute, entry->next_hop);
                entry->has_next_hop = true;
            }
        left -= RTNH_ALIGN(hop->rtnh_len) < left ? RTNH_ALIGN(hop->rtnh_len) : left;
        hop = RTNH_NEXT(hop);
    }
    return 0;
}

static int parse_route(const struct nlmsghdr *message, struct list *list)
{
    const struct rtmsg *route = NLMSG_DATA(message);
    const struct rtattr *attribute = RTM_RTA(route), *multipath = NULL;
    int length = (int)RTM_PAYLOAD(message);
    struct route_entry entry = {.family = family_of(route->rtm_family)};

    if (message->nlmsg_type != RTM_NEWROUTE || !entry.family || (route->rtm_flags & RTM_F_CLONED) ||
        (route->rtm_type != RTN_UNICAST && route->rtm_type != RTN_LOCAL))
        return 0;
    entry.prefix_length = route->rtm_dst_len;
    entry.table = route->rtm_table;
    for (; RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length)) {
        switch (attribute->rta_type) {
        case RTA_DST:
            attribute_address(attribute, entry.destination);
            break;
        case RTA_GATEWAY:
            attribute_address(attribute, entry.next_hop);
            entry.has_next_hop = true;
            break;
        case RTA_OIF:
            entry.ifindex = attribute_u32(attribute);
            break;
        case RTA_PRIORITY:
            entry.metric = attribute_u32(attribute);
            break;
        case RTA_TABLE:
            entry.table = attribute_u32(attribute);
            break;
        case RTA_MULTIPATH:
            multipath = attribute;
            break;
        default:
            break;
        }
    }
    if (multipath)
        return parse_hops(multipath, &entry, list);
    struct route_entry *kept = list_append(list);

    if (!kept)
        return -ENOMEM;
    *kept = entry;
    return 0;
}

static int parse_link(const struct nlmsghdr *message, struct list *list)
{
    const struct ifinfomsg *link = NLMSG_DATA(message);
    const struct rtattr *attribute = IFLA_RTA(link);
    int length = (int)IFLA_PAYLOAD(message);
    struct interface_entry *entry;

    if (message->nlmsg_type != RTM_NEWLINK)
        return 0;
    entry = list_append(list);
    if (!entry)
        return -ENOMEM;
    entry->ifindex = (uint32_t)link->ifi_index;
    entry->flags = link->ifi_flags;
    entry->type = link->ifi_type;
    entry->oper_up = (link->ifi_flags & IFF_UP) && (link->ifi_flags & IFF_RUNNING);
    for (; RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length)) {
        size_t bytes = RTA_PAYLOAD(attribute);

        switch (attribute->rta_type) {
        case IFLA_IFNAME:
            memcpy(entry->name, RTA_DATA(attribute),
                   bytes < sizeof entry->name ? bytes : sizeof entry->name - 1);
            break;
        case IFLA_MTU:
            entry->mtu = attribute_u32(attribute);
            break;
        case IFLA_ADDRESS:
            if (bytes == sizeof entry->mac)
                memcpy(entry->mac, RTA_DATA(attribute), bytes);
            break;
        default:
            break;
        }
    }
    return 0;
}

static int parse_address(const struct nlmsghdr *message, struct list *list)
{
    const struct ifaddrmsg *address = NLMSG_DATA(message);
    const struct rtattr *attribute = IFA_RTA(address);
    int length = (int)IFA_PAYLOAD(message);
    struct address_entry *entry;
    bool local = false;

    if (message->nlmsg_type != RTM_NEWADDR || !family_of(address->ifa_family))
        return 0;
    entry = list_append(list);
    if (!entry)
        return -ENOMEM;
    entry->family = family_of(address->ifa_family);
    entry->prefix_length = address->ifa_prefixlen;
    entry->ifindex = address->ifa_index;
    for (; RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length)) {
        if (attribute->rta_type == IFA_LOCAL) { /* on point-to-point links IFA_ADDRESS is the other end */
            attribute_address(attribute, entry->bytes);
            local = true;
        } else if (attribute->rta_type == IFA_ADDRESS && !local) {
            attribute_address(attribute, entry->bytes);
        }
    }
    return 0;
}

static int open_netlink(uint32_t groups)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | (groups ? SOCK_NONBLOCK : 0), NETLINK_ROUTE);

    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    return fd;
}

/* Reads one dump answer.  -EAGAIN: the kernel's tables changed meanwhile (NLM_F_DUMP_INTR), ask again. */
static int read_dump(int fd, parse_message *parse, struct list *list, char *buffer)
{
    bool interrupted = false;

    for (;;) {
        ssize_t got = recv(fd, buffer, DUMP_BUFFER_BYTES, 0);
        size_t left;

        if (got < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (got == 0)
            return -EPROTO;
        left = (size_t)got;
        for (struct nlmsghdr *m = (struct nlmsghdr *)buffer; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
            int error;

            if (m->nlmsg_flags & NLM_F_DUMP_INTR)
                interrupted = true;
            if (m->nlmsg_type == NLMSG_DONE)
                return interrupted ? -EAGAIN : 0;
            if (m->nlmsg_type == NLMSG_ERROR) {
                error = ((struct nlmsgerr *)NLMSG_DATA(m))->error;
                return error ? error : -EPROTO;
            }
            error = parse(m, list);
            if (error)
                return error;
        }
    }
}

static int dump(uint16_t type, uint8_t family, size_t item_bytes, parse_message *parse, void **items)
{
    struct {
        struct nlmsghdr header;
        struct rtmsg body; /* the kernel reads the family, the first byte of each kind of body */
    } request;
    struct list list = {.item_bytes = item_bytes};
    char *buffer = malloc(DUMP_BUFFER_BYTES);
    int fd, error = -EAGAIN;

    *items = NULL;
    if (!buffer)
        return -ENOMEM;
    fd = open_netlink(0);
    if (fd < 0) {
        free(buffer);
        return fd;
    }
    for (unsigned attempt = 0; attempt < 8 && error == -EAGAIN; attempt++) {
        list.count = 0;
        memset(&request, 0, sizeof request);
        request.header.nlmsg_len = sizeof request;
        request.header.nlmsg_type = type;
        request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
        request.header.nlmsg_seq = attempt + 1;
        request.body.rtm_family = family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC;
        if (send(fd, &request, sizeof request, 0) < 0)
            error = -errno;
        else
            error = read_dump(fd, parse, &list, buffer);
    }
    close(fd);
    free(buffer);
    /* A list that is torn again and again is better than none: the change that tore it is told, and who asked
     * then asks again. */
    if (error && error != -EAGAIN) {
        free(list.items);
        return error;
    }
    *items = list.items ? list.items : calloc(1, item_bytes);
    return *items ? (int)list.count : -ENOMEM;
}

static int linux_net_routes(uint8_t family, struct route_entry **entries)
{
    return dump(RTM_GETROUTE, family, sizeof **entries, parse_route, (void **)entries);
}

static int linux_net_interfaces(struct interface_entry **entries)
{
    return dump(RTM_GETLINK, 0, sizeof **entries, parse_link, (void **)entries);
}

static int linux_net_addresses(uint8_t family, struct address_entry **entries)
{
    return dump(RTM_GETADDR, family, sizeof **entries, parse_address, (void **)entries);
}

/* ---- changes ---- */

struct subscriber {
    struct subscriber *next;
    void (*changed)(void *context, unsigned mask, uint32_t ifindex);
    void *context;
};

static pthread_mutex_t subscribers_lock = PTHREAD_MUTEX_INITIALIZER;
static struct subscriber *subscribers;
static int change_fd = -1;

static void tell(unsigned mask, uint32_t ifindex)
{
    pthread_mutex_lock(&subscribers_lock);
    for (struct subscriber *s = subscribers; s; s = s->next)
        s->changed(s->context, mask, ifindex);
    pthread_mutex_unlock(&subscribers_lock);
}

static void tell_message(const struct nlmsghdr *message)
{
    switch (message->nlmsg_type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
        const struct rtmsg *route = NLMSG_DATA(message);
        const struct rtattr *attribute = RTM_RTA(route);
        int length = (int)RTM_PAYLOAD(message);
        uint32_t ifindex = 0;

        if (route->rtm_flags & RTM_F_CLONED)
            return;
        for (; RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length))
            if (attribute->rta_type == RTA_OIF)
                ifindex = attribute_u32(attribute);
        tell(NET_CHANGED_ROUTE, ifindex);
        return;
    }
    case RTM_NEWLINK:
    case RTM_DELLINK:
        tell(NET_CHANGED_LINK, (uint32_t)((const struct ifinfomsg *)NLMSG_DATA(message))->ifi_index);
        return;
    case RTM_NEWADDR:
    case RTM_DELADDR:
        tell(NET_CHANGED_ADDRESS, ((const struct ifaddrmsg *)NLMSG_DATA(message))->ifa_index);
        return;
    default:
        return;
    }
}

static void changes_readable(void *context, uint32_t events)
{
    char buffer[16384] __attribute__((aligned(8)));

    for (;;) {
        ssize_t got = recv(change_fd, buffer, sizeof buffer, MSG_DONTWAIT);
        size_t left;

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == ENOBUFS) { /* messages were lost: anything may have changed */
            tell(NET_CHANGED_ROUTE | NET_CHANGED_ADDRESS | NET_CHANGED_LINK, 0);
            continue;
        }
        if (got <= 0)
            return;
        left = (size_t)got;
        for (struct nlmsghdr *m = (struct nlmsghdr *)buffer; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left))
            tell_message(m);
    }
}

static int linux_net_subscribe(void (*changed)(void *context, unsigned mask, uint32_t ifindex), void *context)
{
    struct subscriber *subscriber = malloc(sizeof *subscriber);
    int error = 0;

    if (!subscriber)
        return -ENOMEM;
    subscriber->changed = changed;
    subscriber->context = context;
    pthread_mutex_lock(&subscribers_lock);
    if (change_fd < 0) {
        int fd = open_netlink(RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_IFADDR |
                              RTMGRP_IPV6_IFADDR);

        if (fd < 0) {
            error = fd;
        } else {
            change_fd = fd;
            error = loop_add(fd, EPOLLIN, changes_readable, NULL);
            if (error) {
                close(fd);
                change_fd = -1;
            }
        }
    }
    if (!error) {
        subscriber->next = subscribers;
        subscribers = subscriber;
    }
    pthread_mutex_unlock(&subscribers_lock);
    if (error)
        free(subscriber);
    return error;
}

/* The subscription socket stays open: the next subscriber uses it again. */
static void linux_net_unsubscribe(void (*changed)(void *context, unsigned mask, uint32_t ifindex),
                                  void *context)
{
    pthread_mutex_lock(&subscribers_lock);
    for (struct subscriber **link = &subscribers; *link; link = &(*link)->next)
        if ((*link)->changed == changed && (*link)->context == context) {
            struct subscriber *gone = *link;

            *link = gone->next;
            free(gone);
            break;
        }
    pthread_mutex_unlock(&subscribers_lock);
}

const struct net_functions linux_net = {
    .routes = linux_net_routes,
    .interfaces = linux_net_interfaces,
    .addresses = linux_net_addresses,
    .mtu = linux_net_mtu,
    .set_mtu = linux_net_set_mtu,
    .set_gso_max = linux_net_set_gso_max,
    .subscribe = linux_net_subscribe,
    .unsubscribe = linux_net_unsubscribe,
};
