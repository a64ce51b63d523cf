/* The functions of edge.h: one indirect jump to the implementation that was chosen. */
#include "functions.h"

static const struct tun_functions *tun_edge = &linux_tun;
static const struct udp_functions *udp_edge = &linux_udp;
static const struct net_functions *net_edge = &linux_net;

void edge_select(const struct tun_functions *tun, const struct udp_functions *udp,
                 const struct net_functions *net)
{
    tun_edge = tun;
    udp_edge = udp;
    net_edge = net;
}

/* ---- upper edge ---- */

int tun_open(const char *name, bool segmentation, tun_receive *receive, void *context, struct tun **tun,
             char *error, size_t error_size)
{
    return tun_edge->open(name, segmentation, receive, context, tun, error, error_size);
}

void tun_close(struct tun *tun)
{
    tun_edge->close(tun);
}

int tun_set_mtu(struct tun *tun, uint32_t mtu)
{
    return tun_edge->set_mtu(tun, mtu);
}

int tun_set_link(struct tun *tun, bool up)
{
    return tun_edge->set_link(tun, up);
}

uint32_t tun_ifindex(const struct tun *tun)
{
    return tun_edge->ifindex(tun);
}

bool tun_accepts_tcp_segments(const struct tun *tun)
{
    return tun_edge->accepts_tcp_segments(tun);
}

bool tun_accepts_udp_segments(const struct tun *tun)
{
    return tun_edge->accepts_udp_segments(tun);
}

void tun_pause_reading(struct tun *tun, bool paused)
{
    tun_edge->pause_reading(tun, paused);
}

int tun_write(struct tun *tun, const struct tun_packet *header, const struct iovec *iov, unsigned iov_count)
{
    return tun_edge->write(tun, header, iov, iov_count);
}

/* ---- lower edge ---- */

int udp_open(uint8_t family, bool coalesce, udp_receive *receive, void *context, struct udp_socket **socket)
{
    return udp_edge->open(family, coalesce, receive, context, socket);
}

int udp_bind(struct udp_socket *socket, const struct udp_address *local)
{
    return udp_edge->bind(socket, local);
}

int udp_local(struct udp_socket *socket, struct udp_address *local)
{
    return udp_edge->local(socket, local);
}

void udp_close(struct udp_socket *socket)
{
    udp_edge->close(socket);
}

int udp_set_mark(uint32_t mark)
{
    return udp_edge->set_mark(mark);
}

int udp_send(struct udp_socket *socket, const struct iovec *iov, unsigned iov_count, uint32_t segment,
             const struct udp_address *to, const struct udp_address *local, uint32_t ifindex)
{
    return udp_edge->send(socket, iov, iov_count, segment, to, local, ifindex);
}

int udp_send_segments(struct udp_socket *socket, const struct iovec *iov, unsigned iov_count,
                      uint32_t segment, const struct udp_address *to, const struct udp_address *local,
                      uint32_t ifindex)
{
    return udp_edge->send_segments(socket, iov, iov_count, segment, to, local, ifindex);
}

unsigned udp_offloads(const struct udp_socket *socket)
{
    return udp_edge->offloads(socket);
}

void udp_want_write(struct udp_socket *socket, void (*writable)(void *context), void *context)
{
    udp_edge->want_write(socket, writable, context);
}

/* ---- the system's settings ---- */

int net_routes(uint8_t family, struct route_entry **entries)
{
    return net_edge->routes(family, entries);
}

int net_interfaces(struct interface_entry **entries)
{
    return net_edge->interfaces(entries);
}

int net_addresses(uint8_t family, struct address_entry **entries)
{
    return net_edge->addresses(family, entries);
}

int net_mtu(uint8_t family, uint32_t ifindex, uint32_t *mtu)
{
    return net_edge->mtu(family, ifindex, mtu);
}

int net_set_mtu(uint8_t family, uint32_t ifindex, uint32_t mtu)
{
    return net_edge->set_mtu(family, ifindex, mtu);
}

int net_set_gso_max(uint32_t ifindex, uint32_t bytes)
{
    return net_edge->set_gso_max(ifindex, bytes);
}

int net_subscribe(net_changed *changed, void *context)
{
    return net_edge->subscribe(changed, context);
}

void net_unsubscribe(net_changed *changed, void *context)
{
    net_edge->unsubscribe(changed, context);
}
