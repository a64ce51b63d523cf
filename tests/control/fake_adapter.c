/* See fake_adapter.h.  It also defines the host functions that the fronts use. */
#include "fake_adapter.h"

#include "edge/edge.h"
#include "host.h"
#include "io/file.h"
#include "ndis/adapter.h"
#include "netio/netio.h"
#include "sched/sched.h"

#include <wyrm/control.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_SUCCESS           0
#define STATUS_ALREADY_COMPLETE  0xFF
#define STATUS_BUFFER_OVERFLOW   ((int32_t)0x80000005)
#define STATUS_INVALID_PARAMETER ((int32_t)0xC000000D)
#define STATUS_NOT_IMPLEMENTED   ((int32_t)0xC0000002)
#define STATUS_INVALID_REQUEST   ((int32_t)0xC0000010)
#define STATUS_BUFFER_TOO_SMALL  ((int32_t)0xC0000023)
#define STATUS_ACCESS_DENIED     ((int32_t)0xC0000022)
#define STATUS_CANCELLED         ((int32_t)0xC0000120)

struct fake_peer {
    struct fake_peer *next;
    struct wyrm_ioctl_peer peer;
    struct wyrm_ioctl_allowed_ip *ips;
};

struct ndis_adapter {
    char name[16];
    pthread_mutex_t lock;
    struct wyrm_ioctl_interface interface;
    struct fake_peer *peers;
    uint32_t state;
    int32_t fail;
    bool paused, removed;
};

struct io_file {
    struct ndis_adapter *adapter;
    bool privileged;
};

struct io_request {
    void (*done)(void *context, int32_t status, uint64_t information);
    void *context;
    bool complete;
};

uint32_t fake_mark;
int fake_mark_result;
struct host_options host_options = {.cpus = 2};
const struct io_token io_token_system = {true, true, 0x4000, false};

struct ndis_adapter *fake_adapter_create(const char *name)
{
    struct ndis_adapter *adapter = calloc(1, sizeof *adapter);
    snprintf(adapter->name, sizeof adapter->name, "%s", name);
    pthread_mutex_init(&adapter->lock, NULL);
    return adapter;
}

static void free_peer(struct fake_peer *peer)
{
    free(peer->ips);
    free(peer);
}

static void free_peers(struct ndis_adapter *adapter)
{
    while (adapter->peers) {
        struct fake_peer *peer = adapter->peers;
        adapter->peers = peer->next;
        free_peer(peer);
    }
}

void fake_adapter_free(struct ndis_adapter *adapter)
{
    free_peers(adapter);
    pthread_mutex_destroy(&adapter->lock);
    free(adapter);
}

void fake_adapter_fail_next_set(struct ndis_adapter *adapter, int32_t status)
{
    adapter->fail = status;
}

/* ---- the driver ---- */

static void remove_ip(struct fake_peer *peer, const struct wyrm_ioctl_allowed_ip *ip)
{
    for (uint32_t i = 0; i < peer->peer.allowed_ips_count; i++) {
        struct wyrm_ioctl_allowed_ip *at = &peer->ips[i];
        if (at->family == ip->family && at->cidr == ip->cidr && !memcmp(at->address, ip->address, 16)) {
            *at = peer->ips[--peer->peer.allowed_ips_count];
            return;
        }
    }
}

static void add_ip(struct ndis_adapter *adapter, struct fake_peer *peer,
                   const struct wyrm_ioctl_allowed_ip *ip)
{
    for (struct fake_peer *other = adapter->peers; other; other = other->next)
        remove_ip(other, ip);
    peer->ips = reallocarray(peer->ips, peer->peer.allowed_ips_count + 1, sizeof *ip);
    peer->ips[peer->peer.allowed_ips_count] = *ip;
    peer->ips[peer->peer.allowed_ips_count++].flags = 0;
}

static int32_t set_peer(struct ndis_adapter *adapter, const struct wyrm_ioctl_peer *in, const uint8_t *ips)
{
    struct fake_peer **link = &adapter->peers, *peer;
    while (*link && memcmp((*link)->peer.public_key, in->public_key, 32) != 0)
        link = &(*link)->next;
    if (in->flags & WYRM_PEER_REMOVE) {
        if ((peer = *link)) {
            *link = peer->next;
            free_peer(peer);
        }
        return STATUS_SUCCESS;
    }
    if (!*link) {
        if (in->flags & WYRM_PEER_UPDATE_ONLY)
            return STATUS_SUCCESS;
        *link = calloc(1, sizeof **link);
        memcpy((*link)->peer.public_key, in->public_key, 32);
        (*link)->peer.flags = WYRM_PEER_HAS_PUBLIC_KEY | WYRM_PEER_HAS_PERSISTENT_KEEPALIVE;
        (*link)->peer.tx_bytes = 148;
        (*link)->peer.rx_bytes = 92;
        (*link)->peer.last_handshake = 133000000012345678; /* 2022-06-18 */
    }
    peer = *link;
    if (in->flags & WYRM_PEER_HAS_PRESHARED_KEY) {
        static const uint8_t zero[32];
        memcpy(peer->peer.preshared_key, in->preshared_key, 32);
        peer->peer.flags &= ~(uint32_t)WYRM_PEER_HAS_PRESHARED_KEY;
        if (memcmp(in->preshared_key, zero, 32) != 0)
            peer->peer.flags |= WYRM_PEER_HAS_PRESHARED_KEY;
    }
    if (in->flags & WYRM_PEER_HAS_ENDPOINT) {
        peer->peer.endpoint = in->endpoint;
        peer->peer.flags |= WYRM_PEER_HAS_ENDPOINT;
    }
    if (in->flags & WYRM_PEER_REPLACE_ALLOWED_IPS)
        peer->peer.allowed_ips_count = 0;
    for (uint32_t i = 0; i < in->allowed_ips_count; i++) {
        struct wyrm_ioctl_allowed_ip ip;
        memcpy(&ip, ips + i * sizeof ip, sizeof ip);
        if (ip.family != WYRM_FAMILY_IPV4 && ip.family != WYRM_FAMILY_IPV6)
            return STATUS_INVALID_PARAMETER;
        if (ip.flags & WYRM_ALLOWED_IP_REMOVE)
            remove_ip(peer, &ip);
        else
            add_ip(adapter, peer, &ip);
    }
    if (in->flags & WYRM_PEER_HAS_PERSISTENT_KEEPALIVE)
        peer->peer.persistent_keepalive = in->persistent_keepalive;
    return STATUS_SUCCESS;
}

static int32_t driver_set(struct ndis_adapter *adapter, const uint8_t *buffer, size_t length,
                          uint64_t *information)
{
    struct wyrm_ioctl_interface interface;
    size_t at = sizeof interface;
    if (adapter->fail) {
        int32_t status = adapter->fail;
        adapter->fail = 0;
        return status;
    }
    if (!buffer || length < sizeof interface)
        return STATUS_INVALID_PARAMETER;
    memcpy(&interface, buffer, sizeof interface);
    if (interface.flags & WYRM_INTERFACE_HAS_LISTEN_PORT) {
        adapter->interface.listen_port = interface.listen_port;
        adapter->interface.flags &= ~(uint32_t)WYRM_INTERFACE_HAS_LISTEN_PORT;
        if (interface.listen_port)
            adapter->interface.flags |= WYRM_INTERFACE_HAS_LISTEN_PORT;
    }
    if (interface.flags & WYRM_INTERFACE_REPLACE_PEERS)
        free_peers(adapter);
    if (interface.flags & WYRM_INTERFACE_HAS_PRIVATE_KEY) {
        static const uint8_t zero[32];
        bool clear = !memcmp(interface.private_key, zero, sizeof zero);
        memcpy(adapter->interface.private_key, interface.private_key, 32);
        adapter->interface.private_key[0] &= 248;
        adapter->interface.private_key[31] = (adapter->interface.private_key[31] & 127) | 64;
        adapter->interface.flags |= WYRM_INTERFACE_HAS_PRIVATE_KEY;
        if (clear)
            adapter->interface.flags &= ~(uint32_t)WYRM_INTERFACE_HAS_PRIVATE_KEY;
    }
    for (uint32_t i = 0; i < interface.peers_count; i++) {
        struct wyrm_ioctl_peer peer;
        *information = at;
        if (length - at < sizeof peer)
            return STATUS_INVALID_PARAMETER;
        memcpy(&peer, buffer + at, sizeof peer);
        at += sizeof peer;
        if (!(peer.flags & WYRM_PEER_HAS_PUBLIC_KEY))
            return STATUS_INVALID_PARAMETER;
        if ((peer.flags & WYRM_PEER_HAS_PROTOCOL_VERSION) && peer.protocol_version > 1)
            return STATUS_NOT_IMPLEMENTED;
        size_t ips = (size_t)peer.allowed_ips_count * sizeof(struct wyrm_ioctl_allowed_ip);
        if (ips > length - at)
            return STATUS_INVALID_PARAMETER;
        int32_t status = set_peer(adapter, &peer, buffer + at);
        if (status)
            return status;
        at += ips;
    }
    *information = at;
    return STATUS_SUCCESS;
}

static int32_t driver_get(struct ndis_adapter *adapter, uint8_t *buffer, size_t length, uint64_t *information)
{
    size_t at = 0;
    struct wyrm_ioctl_interface interface = adapter->interface;
    interface.peers_count = 0;
    for (struct fake_peer *peer = adapter->peers; peer; peer = peer->next)
        interface.peers_count++;
    if (buffer && at + sizeof interface <= length)
        memcpy(buffer, &interface, sizeof interface);
    at += sizeof interface;
    for (struct fake_peer *peer = adapter->peers; peer; peer = peer->next) {
        size_t ips = peer->peer.allowed_ips_count * sizeof *peer->ips;
        peer->peer.protocol_version = 1;
        if (buffer && at + sizeof peer->peer <= length)
            memcpy(buffer + at, &peer->peer, sizeof peer->peer);
        at += sizeof peer->peer;
        if (ips && buffer && at + ips <= length)
            memcpy(buffer + at, peer->ips, ips);
        at += ips;
    }
    *information = at;
    return !buffer || at > length ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

static int32_t driver_state(struct ndis_adapter *adapter, const void *in, uint32_t in_length, void *out,
                            uint32_t out_length, uint64_t *information)
{
    uint32_t verb;
    if (!in || in_length != sizeof verb)
        return STATUS_INVALID_PARAMETER;
    memcpy(&verb, in, sizeof verb);
    if (verb == WYRM_ADAPTER_QUERY) {
        if (!out || out_length != sizeof verb)
            return STATUS_INVALID_PARAMETER;
        memcpy(out, &adapter->state, sizeof verb);
        *information = sizeof verb;
        return STATUS_SUCCESS;
    }
    if (verb > WYRM_ADAPTER_UP)
        return STATUS_INVALID_PARAMETER;
    bool same = adapter->state == verb;
    adapter->state = verb;
    return same ? STATUS_ALREADY_COMPLETE : STATUS_SUCCESS;
}

/* ---- the host's functions ---- */

int32_t io_file_open(struct _DEVICE_OBJECT *device, const struct io_token *token, struct io_file **file)
{
    struct ndis_adapter *adapter = (struct ndis_adapter *)device;
    if (adapter->removed)
        return (int32_t)0xC0010018; /* NDIS_STATUS_ADAPTER_REMOVED */
    *file = calloc(1, sizeof **file);
    (*file)->adapter = adapter;
    (*file)->privileged = (token->system || token->administrator) && token->integrity >= 0x3000;
    return STATUS_SUCCESS;
}

void io_file_pass(struct io_file *file, const struct io_token *token)
{
    (void)file;
    (void)token;
}

int32_t io_file_control(struct io_file *file, uint32_t code, const void *in, uint32_t in_length, void *out,
                        uint32_t out_length, uint64_t *information)
{
    int32_t status = STATUS_INVALID_REQUEST;
    *information = 0;
    if (!file->privileged)
        return STATUS_ACCESS_DENIED;
    pthread_mutex_lock(&file->adapter->lock);
    if (code == WYRM_IOCTL_SET)
        status = driver_set(file->adapter, out, out_length, information);
    else if (code == WYRM_IOCTL_GET)
        status = driver_get(file->adapter, out, out_length, information);
    else if (code == WYRM_IOCTL_STATE)
        status = driver_state(file->adapter, in, in_length, out, out_length, information);
    else if (code == WYRM_IOCTL_LOG)
        status = STATUS_BUFFER_TOO_SMALL;
    pthread_mutex_unlock(&file->adapter->lock);
    return status;
}

struct io_request *io_file_control_async(struct io_file *file, uint32_t code, const void *in,
                                         uint32_t in_length, void *out, uint32_t out_length,
                                         void (*done)(void *context, int32_t status, uint64_t information),
                                         void *context)
{
    struct io_request *request = calloc(1, sizeof *request);
    request->done = done;
    request->context = context;
    if (code == WYRM_IOCTL_LOG && out_length >= sizeof(struct wyrm_ioctl_log_entry))
        return request; /* there never is a line: pends until it is cancelled */
    uint64_t information;
    int32_t status = io_file_control(file, code, in, in_length, out, out_length, &information);
    request->complete = true;
    done(context, status, information);
    return request;
}

void io_request_cancel(struct io_request *request)
{
    if (request->complete)
        return;
    request->complete = true;
    request->done(request->context, STATUS_CANCELLED, 0);
}

void io_request_release(struct io_request *request)
{
    free(request);
}

void io_file_close(struct io_file *file)
{
    free(file);
}

int32_t io_pnp(struct _DEVICE_OBJECT *device, uint8_t minor)
{
    return minor <= 0x17 ? STATUS_SUCCESS : STATUS_INVALID_REQUEST;
}

int32_t io_power(struct _DEVICE_OBJECT *device, uint8_t minor, uint32_t state)
{
    return minor <= 3 && state <= 7 ? STATUS_SUCCESS : STATUS_INVALID_REQUEST;
}

int32_t ndis_adapter_pause(struct ndis_adapter *adapter)
{
    adapter->paused = true;
    return STATUS_SUCCESS;
}

int32_t ndis_adapter_restart(struct ndis_adapter *adapter)
{
    adapter->paused = false;
    return STATUS_SUCCESS;
}

void ndis_adapter_surprise_remove(struct ndis_adapter *adapter)
{
    adapter->removed = true;
}

struct _DEVICE_OBJECT *ndis_adapter_device(struct ndis_adapter *adapter)
{
    return (struct _DEVICE_OBJECT *)adapter;
}

const char *ndis_adapter_name(struct ndis_adapter *adapter)
{
    return adapter->name;
}

int32_t ndis_adapter_oid(struct ndis_adapter *adapter, bool set, uint32_t oid, void *buffer, uint32_t length,
                         uint32_t *bytes)
{
    *bytes = 4;
    if (length < 4)
        return (int32_t)0xC0010014; /* NDIS_STATUS_INVALID_LENGTH */
    if (!set)
        memcpy(buffer, &oid, 4);
    return STATUS_SUCCESS;
}

bool ndis_adapter_link_up(struct ndis_adapter *adapter)
{
    return adapter->state == WYRM_ADAPTER_UP && !adapter->paused && !adapter->removed;
}

int udp_set_mark(uint32_t mark)
{
    int result = fake_mark_result;
    fake_mark_result = 0;
    if (!result)
        fake_mark = mark;
    return result;
}

struct host_count host_count_read(enum host_object kind)
{
    return (struct host_count){100u + kind, kind, 50};
}

const char *host_object_name(enum host_object kind)
{
    return kind == HOST_POOL ? "pool" : "other";
}

static void say(const char *format, va_list arguments)
{
    fputs("nthost: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void host_info(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void host_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void sched_thread_adopt(const char *name)
{
}

void sched_thread_disown(void)
{
}

void wsk_sockets_lost(void)
{
}
