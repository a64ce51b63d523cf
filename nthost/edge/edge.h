/* The edges: real packets.  Linux headers stay behind this interface; the NT-facing files (ndis/, netio/) see
 * plain C. All callbacks run on the loop thread unless said otherwise; all addresses are in network byte
 * order. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* ---- upper edge: TUN with vnet_hdr ---- */
struct tun;
struct tun_packet { /* what was read: one IP packet or a super-segment to be cut */
    uint8_t *data;
    uint32_t length;
    uint16_t gso_size;   /* 0: a plain packet, else payload bytes per segment */
    uint8_t gso_type;    /* TUN_GSO_* */
    bool needs_checksum; /* checksum of the transport header still to be completed */
    uint16_t checksum_start, checksum_offset;
};
enum { TUN_GSO_NONE, TUN_GSO_TCP4, TUN_GSO_TCP6, TUN_GSO_UDP };

/* `receive` gets the packets read in one burst; it may use the buffers only during the call.  `count` 0: the
 * device cannot be read any more; perhaps said more than once. */
typedef void tun_receive(void *context, struct tun_packet *packets, unsigned count);
int tun_open(const char *name, bool segmentation, tun_receive *receive, void *context, struct tun **tun,
             char *error, size_t error_size);
void tun_close(struct tun *tun);
#define TUN_MTU_MAX 65535u
int tun_set_mtu(struct tun *tun, uint32_t mtu);
int tun_set_link(struct tun *tun, bool up); /* carrier / IFF_UP */
uint32_t tun_ifindex(const struct tun *tun);
/* Which super-segments tun_write() may be given (TUN_GSO_TCP4/TCP6, TUN_GSO_UDP). */
bool tun_accepts_tcp_segments(const struct tun *tun);
bool tun_accepts_udp_segments(const struct tun *tun);
/* Back-pressure: while paused nothing is read. Any thread. */
void tun_pause_reading(struct tun *tun, bool paused);
/* Writes one packet or super-segment (vnet_hdr fields from `header`; data = iov, the headers of a
 * super-segment all in iov[0]). Any thread. 0 or -errno. */
int tun_write(struct tun *tun, const struct tun_packet *header, const struct iovec *iov, unsigned iov_count);

/* ---- lower edge: UDP ---- */
struct udp_address {   /* endpoint or local address */
    uint8_t family;    /* 4 or 6 */
    uint16_t port;     /* network order */
    uint8_t bytes[16]; /* IPv4 in the first 4 */
    uint32_t scope;    /* IPv6 scope id (ifindex) */
};
struct udp_datagram { /* received; possibly a coalesced run */
    uint8_t *data;
    uint32_t length;
    uint32_t segment; /* 0 or bytes per datagram of a coalesced run (the last may be shorter) */
    struct udp_address from;
    struct udp_address to; /* local address from pktinfo */
    uint32_t ifindex;
};
struct udp_socket;
/* Buffers stay valid until udp_buffer_release(); `token` identifies the buffer that all datagrams of the call
 * share. */
typedef void udp_receive(void *context, struct udp_datagram *datagrams, unsigned count, void *token);
int udp_open(uint8_t family, bool coalesce, udp_receive *receive, void *context,
             struct udp_socket **socket);                                 /* 0/-errno */
int udp_bind(struct udp_socket *socket, const struct udp_address *local); /* port 0 = any; starts receiving */
int udp_local(struct udp_socket *socket, struct udp_address *local);
void udp_close(struct udp_socket *socket); /* no callback runs or will run after it returned */
void udp_buffer_release(void *token);      /* any thread */
/* Memory of UDP_BUFFER_SPACE_BYTES inside the buffer for the receiver's bookkeeping; its content is kept
 * while the buffer is recycled, zero at first. */
#define UDP_BUFFER_SPACE_BYTES (128u * 1024)
void *udp_buffer_space(void *token);
int udp_set_mark(uint32_t mark); /* SO_MARK of all sockets, present and future */
/* Sends `count` bytes of iov as one datagram, or as equal segments of `segment` bytes (UDP_SEGMENT).
 * `local`/`ifindex` (0 = none) choose the source.  Returns 0, -EAGAIN (call again after `writable`), or
 * -errno. Any thread. */
int udp_send(struct udp_socket *socket, const struct iovec *iov, unsigned iov_count, uint32_t segment,
             const struct udp_address *to, const struct udp_address *local, uint32_t ifindex);
/* The same with a segment size that the caller was told to give: it is kept or refused, -EMSGSIZE when a
 * segment does not fit into the path, where udp_send() would send one by one.  At most UDP_SEGMENTS_MAX
 * segments. */
int udp_send_segments(struct udp_socket *socket, const struct iovec *iov, unsigned iov_count,
                      uint32_t segment, const struct udp_address *to, const struct udp_address *local,
                      uint32_t ifindex);
#define UDP_SEGMENTS_MAX 64u /* older kernels' UDP_MAX_SEGMENTS */
/* Which of these the system below does itself. */
enum { UDP_OFFLOAD_SEND = 1, UDP_OFFLOAD_RECEIVE = 2 };
unsigned udp_offloads(const struct udp_socket *socket);
/* One call of `writable(context)` on the loop thread when the socket can take more. */
void udp_want_write(struct udp_socket *socket, void (*writable)(void *context), void *context);

/* ---- system's routes, addresses and interfaces (rtnetlink) ---- */
struct route_entry {
    uint8_t family; /* 4 or 6 */
    uint8_t prefix_length;
    uint8_t destination[16];
    uint8_t next_hop[16];
    bool has_next_hop;
    uint32_t ifindex;
    uint32_t metric;
    uint32_t table;
};
struct interface_entry {
    uint32_t ifindex;
    char name[16];
    uint32_t mtu;
    uint32_t flags; /* IFF_* */
    bool oper_up;
    uint16_t type; /* ARPHRD_* */
    uint8_t mac[6];
};
struct address_entry {
    uint8_t family;
    uint8_t bytes[16];
    uint8_t prefix_length;
    uint32_t ifindex;
};
/* Each returns a malloc'ed array (caller frees) and its count; negative errno on failure. family 0 = both. */
int net_routes(uint8_t family, struct route_entry **entries);
int net_interfaces(struct interface_entry **entries);
int net_addresses(uint8_t family, struct address_entry **entries);
/* MTU of one family (4, 6) on an interface. -ENOENT: it has no IPv6. Setting IPv4's sets the link's. */
int net_mtu(uint8_t family, uint32_t ifindex, uint32_t *mtu);
int net_set_mtu(uint8_t family, uint32_t ifindex, uint32_t mtu);
/* The largest TCP super-segment that the system gives to an interface, headers and kernel's reserve included.
 */
int net_set_gso_max(uint32_t ifindex, uint32_t bytes);
enum { NET_CHANGED_ROUTE = 1, NET_CHANGED_ADDRESS = 2, NET_CHANGED_LINK = 4 };
/* `changed(context, mask, ifindex)` on the loop thread for every change from now on; ifindex 0: any. It must
 * not subscribe or unsubscribe. A lost link also means lost routes. */
int net_subscribe(void (*changed)(void *context, unsigned mask, uint32_t ifindex), void *context);
void net_unsubscribe(void (*changed)(void *context, unsigned mask, uint32_t ifindex), void *context);
