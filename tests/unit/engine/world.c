/* See world.h. */
#include "world.h"

#include "sched/sched.h"
#include "system.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node nodes[WORLD_NODES];
uint64_t world_now_ns = 1000000000;
bool world_stopped;
uint16_t world_port_of_others;
bool (*world_filter)(unsigned from, uint8_t *data, uint32_t length);

struct udp_socket {
    bool open;
    uint8_t family;
    uint16_t port; /* network order */
    udp_receive *receive;
    void (*writable)(void *context);
    void *context, *writable_context;
    struct node *node;
    struct udp_socket *next;
};

struct tun {
    tun_receive *receive;
    void *context;
    struct node *node;
};

struct in_flight {
    struct in_flight *next;
    struct udp_address from, to;
    uint32_t length, segment;
    uint8_t data[];
};

struct post {
    void (*function)(void *context);
    void *context;
};

static struct udp_socket *sockets;
static struct in_flight *first, **last = &first;
static struct post posts[64];
static unsigned post_count;
static struct node *making;
static void (*system_changed)(void *context, unsigned mask, uint32_t ifindex);
static uint64_t random_state = 0x9e3779b97f4a7c15;

static unsigned number_of(const struct node *node)
{
    return (unsigned)(node - nodes);
}

uint32_t world_random(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % below;
}

/* ---- system.h, host.h, sched.h ---- */

uint64_t system_time_ns(void)
{
    return world_now_ns;
}

uint64_t system_utc_100ns(void)
{
    return UINT64_C(133000000000000000) + world_now_ns / 100;
}

void system_random(void *buffer, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)buffer)[i] = (uint8_t)world_random(256);
}

uint32_t system_jitter(void)
{
    return world_random(UINT32_MAX);
}

void log_error(const char *format, ...)
{
}
void log_info(const char *format, ...)
{
}

void loop_post(void (*function)(void *context), void *context)
{
    if (post_count == sizeof(posts) / sizeof(posts[0]))
        abort();
    posts[post_count++] = (struct post){function, context};
}

void loop_set_timer(uint64_t (*next)(void), void (*expire)(void))
{
}

void loop_stop(void)
{
    world_stopped = true;
}

/* ---- TUN ---- */

int tun_open(const char *name, bool segmentation, tun_receive *receive, void *context, struct tun **tun,
             char *error, size_t error_size)
{
    *tun = malloc(sizeof(**tun));
    **tun = (struct tun){receive, context, making};
    return 0;
}

void tun_close(struct tun *tun)
{
    free(tun);
}

int tun_set_mtu(struct tun *tun, uint32_t mtu)
{
    return 0;
}

int tun_set_link(struct tun *tun, bool up)
{
    return tun->node->tun_deleted ? -EBADFD : 0;
}

uint32_t tun_ifindex(const struct tun *tun)
{
    return 100 + number_of(tun->node);
}

bool tun_accepts_tcp_segments(const struct tun *tun)
{
    return true;
}

bool tun_accepts_udp_segments(const struct tun *tun)
{
    return true;
}

void tun_pause_reading(struct tun *tun, bool paused)
{
    tun->node->tun_paused = paused;
}

int tun_write(struct tun *tun, const struct tun_packet *header, const struct iovec *iov, unsigned iov_count)
{
    struct node *node = tun->node;
    struct inner_packet *packet = &node->inner[node->inner_count % INNER_KEPT];
    free(packet->data);
    packet->data = malloc(header->length ? header->length : 1);
    packet->length = 0;
    packet->gso_size = header->gso_size;
    for (unsigned i = 0; i < iov_count; i++) {
        memcpy(packet->data + packet->length, iov[i].iov_base, iov[i].iov_len);
        packet->length += (uint32_t)iov[i].iov_len;
    }
    if (packet->length != header->length)
        abort();
    node->inner_count++;
    node->inner_bytes += packet->length;
    return 0;
}

void world_forget_inner(unsigned node)
{
    for (unsigned i = 0; i < INNER_KEPT; i++) {
        free(nodes[node].inner[i].data);
        nodes[node].inner[i].data = NULL;
    }
    nodes[node].inner_count = 0;
    nodes[node].inner_bytes = 0;
}

void world_send_inner(unsigned node, struct tun_packet *packet)
{
    struct tun *tun = nodes[node].engine.tun;
    tun->receive(tun->context, packet, 1);
}

/* ---- UDP ---- */

int udp_open(uint8_t family, bool coalesce, udp_receive *receive, void *context, struct udp_socket **out)
{
    struct udp_socket *udp = calloc(1, sizeof(*udp));
    *udp = (struct udp_socket){
        .open = true, .family = family, .receive = receive, .context = context, .next = sockets};
    udp->node = (struct node *)context; /* the engine is its first member */
    sockets = udp;
    *out = udp;
    return 0;
}

static bool taken(const struct udp_socket *udp, uint16_t port)
{
    for (const struct udp_socket *other = sockets; other; other = other->next)
        if (other != udp && other->open && other->node == udp->node && other->family == udp->family &&
            other->port == port)
            return true;
    return false;
}

int udp_bind(struct udp_socket *udp, const struct udp_address *local)
{
    udp->port = local->port;
    while (!udp->port)
        udp->port = (uint16_t)(world_random(60000) + 1);
    return taken(udp, udp->port) || udp->port == __builtin_bswap16(world_port_of_others) ? -EADDRINUSE : 0;
}

int udp_local(struct udp_socket *udp, struct udp_address *local)
{
    *local = (struct udp_address){.family = udp->family, .port = udp->port};
    return 0;
}

void udp_close(struct udp_socket *udp)
{
    if (!udp)
        return;
    for (struct udp_socket **link = &sockets; *link; link = &(*link)->next)
        if (*link == udp) {
            *link = udp->next;
            break;
        }
    free(udp);
}

void udp_buffer_release(void *token)
{
}

int udp_set_mark(uint32_t mark)
{
    return mark == UINT32_MAX ? -EPERM : 0;
}

void udp_want_write(struct udp_socket *udp, void (*writable)(void *context), void *context)
{
    udp->writable = writable;
    udp->writable_context = context;
}

void world_socket_writable(unsigned node)
{
    nodes[node].socket_full = false;
    for (struct udp_socket *udp = sockets; udp; udp = udp->next)
        if (udp->node == &nodes[node] && udp->writable) {
            void (*writable)(void *) = udp->writable;
            udp->writable = NULL;
            writable(udp->writable_context);
        }
}

static struct udp_address outer(uint8_t family, unsigned last_byte, uint16_t port)
{
    struct udp_address address = {.family = family, .port = port};
    const uint8_t v4[4] = {192, 0, 2, (uint8_t)last_byte};
    if (family == 4) {
        memcpy(address.bytes, v4, sizeof(v4));
    } else {
        address.bytes[0] = 0x20, address.bytes[1] = 0x01, address.bytes[15] = (uint8_t)last_byte;
    }
    return address;
}

static void put_in_flight(const struct udp_address *from, const struct udp_address *to, const uint8_t *data,
                          uint32_t length, uint32_t segment)
{
    struct in_flight *datagram = malloc(sizeof(*datagram) + length);
    *datagram = (struct in_flight){.from = *from, .to = *to, .length = length, .segment = segment};
    memcpy(datagram->data, data, length);
    *last = datagram;
    last = &datagram->next;
}

int udp_send(struct udp_socket *udp, const struct iovec *iov, unsigned iov_count, uint32_t segment,
             const struct udp_address *to, const struct udp_address *local, uint32_t ifindex)
{
    struct node *node = udp->node;
    const uint8_t *data = iov[0].iov_base;
    uint32_t length = (uint32_t)iov[0].iov_len, step = segment ? segment : length;
    struct udp_address from = outer(udp->family, node->address, udp->port);
    if (iov_count != 1 || to->family != udp->family || (segment && length > segment * UDP_SEGMENTS_MAX))
        abort();
    if (node->socket_full)
        return -EAGAIN;
    if (local && (node->source_refused || memcmp(local->bytes, from.bytes, sizeof(from.bytes)) != 0))
        return -EADDRNOTAVAIL;
    node->sends++;
    for (uint32_t at = 0; at < length; at += step)
        node->messages[data[at] < 5 ? data[at] : 0]++;
    put_in_flight(&from, to, data, length, segment);
    return 0;
}

void world_inject(unsigned to, unsigned from_address, uint16_t from_port, const uint8_t *data,
                  uint32_t length)
{
    struct udp_address from = outer(4, from_address, __builtin_bswap16(from_port));
    struct udp_address destination = outer(4, nodes[to].address, 0);
    for (struct udp_socket *udp = sockets; udp; udp = udp->next)
        if (udp->node == &nodes[to] && udp->family == 4)
            destination.port = udp->port;
    put_in_flight(&from, &destination, data, length, 0);
}

static void deliver(struct in_flight *datagram)
{
    for (struct udp_socket *udp = sockets; udp; udp = udp->next) {
        struct udp_address here = outer(udp->family, udp->node->address, udp->port);
        if (here.family != datagram->to.family || here.port != datagram->to.port ||
            memcmp(here.bytes, datagram->to.bytes, sizeof(here.bytes)) != 0)
            continue;
        struct udp_datagram received = {.data = datagram->data,
                                        .length = datagram->length,
                                        .segment = datagram->segment,
                                        .from = datagram->from,
                                        .to = datagram->to,
                                        .ifindex = 7};
        received.to.port = 0;
        udp->receive(udp->context, &received, 1, NULL);
        return;
    }
}

/* ---- the system's interfaces ---- */

int net_interfaces(struct interface_entry **entries)
{
    int count = 0;
    *entries = calloc(WORLD_NODES, sizeof(**entries));
    for (unsigned i = 0; i < WORLD_NODES; i++)
        if (!nodes[i].tun_deleted)
            (*entries)[count++] =
                (struct interface_entry){.ifindex = 100 + i, .mtu = 1420, .flags = nodes[i].link_up ? 1 : 0};
    return count;
}

int net_subscribe(void (*changed)(void *context, unsigned mask, uint32_t ifindex), void *context)
{
    system_changed = changed;
    return 0;
}

void net_unsubscribe(void (*changed)(void *context, unsigned mask, uint32_t ifindex), void *context)
{
}

void world_set_link(unsigned node, bool up)
{
    nodes[node].link_up = up;
    system_changed(&nodes[node].engine, NET_CHANGED_LINK, 100 + node);
}

void world_move(unsigned node, unsigned address)
{
    nodes[node].address = address;
    system_changed(&nodes[node].engine, NET_CHANGED_ADDRESS, 7);
}

/* ---- life and time ---- */

void world_make(unsigned number)
{
    struct node *node = &nodes[number];
    char error[128];
    *node = (struct node){.address = number + 1, .made = true};
    snprintf(node->name, sizeof(node->name), "n%u", number);
    making = node;
    if (engine_create(&node->engine, node->name, error, sizeof(error)) != 0)
        abort();
}

void world_destroy_all(void)
{
    for (unsigned i = 0; i < WORLD_NODES; i++) {
        if (nodes[i].made)
            engine_destroy(&nodes[i].engine);
        world_forget_inner(i);
        nodes[i] = (struct node){0};
    }
    while (first) {
        struct in_flight *gone = first;
        first = gone->next;
        free(gone);
    }
    last = &first;
    post_count = 0;
    world_filter = NULL;
    world_stopped = false;
}

static bool deliver_next(void)
{
    struct in_flight *datagram = first;
    if (!datagram)
        return false;
    first = datagram->next;
    if (!first)
        last = &first;
    unsigned from = datagram->from.bytes[datagram->from.family == 4 ? 3 : 15];
    if (!world_filter || world_filter(from, datagram->data, datagram->length))
        deliver(datagram);
    free(datagram);
    return true;
}

static bool post_next(void)
{
    if (!post_count)
        return false;
    struct post post = posts[0];
    memmove(posts, posts + 1, --post_count * sizeof(posts[0]));
    post.function(post.context);
    return true;
}

/* The next deadline of all nodes. */
static uint64_t next_due(void)
{
    uint64_t due_ns = UINT64_MAX;
    for (unsigned i = 0; i < WORLD_NODES; i++) {
        uint64_t node_ns = nodes[i].made ? engine_next_due_ns(&nodes[i].engine) : UINT64_MAX;
        if (node_ns < due_ns)
            due_ns = node_ns;
    }
    return due_ns;
}

void world_run_ms(uint64_t milliseconds)
{
    uint64_t end_ns = world_now_ns + milliseconds * 1000000;
    for (;;) {
        /* All that is there, then the work it made: a burst fills queues. */
        while (deliver_next())
            ;
        if (post_next() || first)
            continue;
        uint64_t due_ns = next_due();
        if (due_ns > end_ns)
            break;
        if (due_ns > world_now_ns)
            world_now_ns = due_ns;
        for (unsigned i = 0; i < WORLD_NODES; i++)
            if (nodes[i].made)
                engine_expire(&nodes[i].engine);
    }
    world_now_ns = end_ns;
}
