/* The edges' two implementations: Linux (tun.c, udp.c, netlink.c, link.c) and simulated (sim/).  One is
 * chosen before anything is opened; dispatch.c passes each function of edge.h on to it. */
#pragma once

#include "edge.h"

struct tun_functions {
    int (*open)(const char *name, bool segmentation, tun_receive *receive, void *context, struct tun **tun,
                char *error, size_t error_size);
    void (*close)(struct tun *tun);
    int (*set_mtu)(struct tun *tun, uint32_t mtu);
    int (*set_link)(struct tun *tun, bool up);
    uint32_t (*ifindex)(const struct tun *tun);
    bool (*accepts_tcp_segments)(const struct tun *tun);
    bool (*accepts_udp_segments)(const struct tun *tun);
    void (*pause_reading)(struct tun *tun, bool paused);
    int (*write)(struct tun *tun, const struct tun_packet *header, const struct iovec *iov,
                 unsigned iov_count);
};

struct udp_functions {
    int (*open)(uint8_t family, bool coalesce, udp_receive *receive, void *context,
                struct udp_socket **socket);
    int (*bind)(struct udp_socket *socket, const struct udp_address *local);
    int (*local)(struct udp_socket *socket, struct udp_address *local);
    void (*close)(struct udp_socket *socket);
    int (*set_mark)(uint32_t mark);
    int (*send)(struct udp_socket *socket, const struct iovec *iov, unsigned iov_count, uint32_t segment,
                const struct udp_address *to, const struct udp_address *local, uint32_t ifindex);
    int (*send_segments)(struct udp_socket *socket, const struct iovec *iov, unsigned iov_count,
                         uint32_t segment, const struct udp_address *to, const struct udp_address *local,
                         uint32_t ifindex);
    unsigned (*offloads)(const struct udp_socket *socket);
    void (*want_write)(struct udp_socket *socket, void (*writable)(void *context), void *context);
};

typedef void net_changed(void *context, unsigned mask, uint32_t ifindex);

struct net_functions {
    int (*routes)(uint8_t family, struct route_entry **entries);
    int (*interfaces)(struct interface_entry **entries);
    int (*addresses)(uint8_t family, struct address_entry **entries);
    int (*mtu)(uint8_t family, uint32_t ifindex, uint32_t *mtu);
    int (*set_mtu)(uint8_t family, uint32_t ifindex, uint32_t mtu);
    int (*set_gso_max)(uint32_t ifindex, uint32_t bytes);
    int (*subscribe)(net_changed *changed, void *context);
    void (*unsubscribe)(net_changed *changed, void *context);
};

extern const struct tun_functions linux_tun;
extern const struct udp_functions linux_udp;
extern const struct net_functions linux_net;
/* link.c's part of linux_net. */
int linux_net_mtu(uint8_t family, uint32_t ifindex, uint32_t *mtu);
int linux_net_set_mtu(uint8_t family, uint32_t ifindex, uint32_t mtu);
int linux_net_set_gso_max(uint32_t ifindex, uint32_t bytes);

/* Instead of Linux. Before anything is opened. */
void edge_select(const struct tun_functions *tun, const struct udp_functions *udp,
                 const struct net_functions *net);
