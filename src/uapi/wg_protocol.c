/* Translation between the text of the userspace protocol and the driver's control structures.  Every value is
 * checked here, before anything reaches the driver, so that a refused set changes nothing. */
#include "wg_protocol.h"

#include "key_codec.h"

#include <wyrm/control.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

/* Bounds one set: about 200,000 peers with ten prefixes each. */
#define WG_SET_LIMIT_BYTES (128u << 20)
/* Seconds between 1601 and 1970 (Microsoft, "Converting a time_t value to a FILETIME"). */
#define FILETIME_UNIX_EPOCH_S 11644473600ull

static struct wyrm_ioctl_interface *set_interface(struct wg_set *set)
{
    return (struct wyrm_ioctl_interface *)set->buffer.data;
}

static struct wyrm_ioctl_peer *set_peer(struct wg_set *set)
{
    return (struct wyrm_ioctl_peer *)(set->buffer.data + set->peer_offset);
}

/* Appends a zeroed structure. NULL with *error filled. */
static void *set_append(struct wg_set *set, size_t size, int *error)
{
    if (set->buffer.length + size > WG_SET_LIMIT_BYTES) {
        *error = E2BIG;
        return NULL;
    }
    if (!secure_buffer_reserve(&set->buffer, size)) {
        *error = ENOMEM;
        return NULL;
    }
    void *at = set->buffer.data + set->buffer.length;
    memset(at, 0, size);
    set->buffer.length += size;
    return at;
}

/* Decimal digits only; no sign, no space, no empty text. */
static bool parse_number(const char *text, uint64_t maximum, uint64_t *value)
{
    size_t length = strlen(text);
    uint64_t sum = 0;
    if (!length || length > 19)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        sum = sum * 10 + (uint64_t)(text[i] - '0');
    }
    *value = sum;
    return sum <= maximum;
}

static bool parse_scope(const char *text, uint32_t *scope)
{
    uint64_t number;
    *scope = if_nametoindex(text);
    if (*scope)
        return true;
    if (!parse_number(text, UINT32_MAX, &number) || !number)
        return false;
    *scope = (uint32_t)number;
    return true;
}

/* "1.2.3.4:port" or "[ipv6%scope]:port". */
static bool parse_endpoint(const char *value, struct wyrm_ioctl_endpoint *endpoint)
{
    char text[128];
    size_t length = strlen(value);
    uint64_t port;
    if (length >= sizeof text)
        return false;
    memcpy(text, value, length + 1);
    char *colon = strrchr(text, ':');
    if (!colon || !parse_number(colon + 1, UINT16_MAX, &port) || !port)
        return false;
    *colon = 0;
    memset(endpoint, 0, sizeof *endpoint);
    endpoint->port = htons((uint16_t)port);
    if (text[0] != '[') {
        endpoint->family = WYRM_FAMILY_IPV4;
        return inet_pton(AF_INET, text, endpoint->u.ipv4.address) == 1;
    }
    if (colon - text < 2 || colon[-1] != ']')
        return false;
    colon[-1] = 0;
    char *percent = strchr(text, '%');
    if (percent) {
        *percent = 0;
        if (!parse_scope(percent + 1, &endpoint->u.ipv6.scope_id))
            return false;
    }
    endpoint->family = WYRM_FAMILY_IPV6;
    return inet_pton(AF_INET6, text + 1, endpoint->u.ipv6.address) == 1;
}

/* "address/prefix length", optionally with '-' in front: remove. Host bits are cleared. */
static bool parse_allowed_ip(const char *value, struct wyrm_ioctl_allowed_ip *ip)
{
    char text[64];
    uint64_t cidr;
    memset(ip, 0, sizeof *ip);
    if (*value == '-') {
        ip->flags = WYRM_ALLOWED_IP_REMOVE;
        value++;
    }
    size_t length = strlen(value);
    if (length >= sizeof text)
        return false;
    memcpy(text, value, length + 1);
    char *slash = strchr(text, '/');
    if (!slash)
        return false;
    *slash = 0;
    unsigned bits;
    if (inet_pton(AF_INET, text, ip->address) == 1) {
        ip->family = WYRM_FAMILY_IPV4;
        bits = 32;
    } else if (inet_pton(AF_INET6, text, ip->address) == 1) {
        ip->family = WYRM_FAMILY_IPV6;
        bits = 128;
    } else {
        return false;
    }
    if (!parse_number(slash + 1, bits, &cidr))
        return false;
    ip->cidr = (uint8_t)cidr;
    for (unsigned bit = ip->cidr; bit < bits; bit++)
        ip->address[bit / 8] &= (uint8_t)~(0x80u >> bit % 8);
    return true;
}

static int interface_line(struct wg_set *set, const char *key, const char *value)
{
    struct wyrm_ioctl_interface *interface = set_interface(set);
    uint64_t number;
    if (!strcmp(key, "private_key")) {
        if (!key_from_hex(interface->private_key, value, strlen(value)))
            return EINVAL;
        interface->flags |= WYRM_INTERFACE_HAS_PRIVATE_KEY;
        return 0;
    }
    if (!strcmp(key, "listen_port")) {
        if (!parse_number(value, UINT16_MAX, &number))
            return EINVAL;
        interface->flags |= WYRM_INTERFACE_HAS_LISTEN_PORT;
        interface->listen_port = (uint16_t)number;
        return 0;
    }
    if (!strcmp(key, "fwmark")) {
        if (!parse_number(value, UINT32_MAX, &number))
            return EINVAL;
        set->has_fwmark = true;
        set->fwmark = (uint32_t)number;
        return 0;
    }
    if (!strcmp(key, "replace_peers") && !strcmp(value, "true")) {
        interface->flags |= WYRM_INTERFACE_REPLACE_PEERS;
        return 0;
    }
    return EINVAL;
}

static int new_peer(struct wg_set *set, const char *value)
{
    int error = ENOMEM;
    struct wyrm_ioctl_peer *peer = set_append(set, sizeof *peer, &error);
    if (!peer)
        return error;
    set->peer_offset = set->buffer.length - sizeof *peer;
    set_interface(set)->peers_count++;
    if (!key_from_hex(peer->public_key, value, strlen(value)))
        return EINVAL;
    peer->flags = WYRM_PEER_HAS_PUBLIC_KEY;
    return 0;
}

/* Words that are switched on with "true" and cannot be switched off. */
static int peer_switch(struct wg_set *set, uint32_t flag, const char *value)
{
    struct wyrm_ioctl_peer *peer = set_peer(set);
    if (strcmp(value, "true") != 0)
        return EINVAL;
    peer->flags |= flag;
    if (flag == WYRM_PEER_REPLACE_ALLOWED_IPS) { /* also those named before it in this peer */
        set->buffer.length = set->peer_offset + sizeof *peer;
        peer->allowed_ips_count = 0;
    }
    return 0;
}

static int peer_line(struct wg_set *set, const char *key, const char *value)
{
    struct wyrm_ioctl_peer *peer = set_peer(set);
    uint64_t number;
    if (!strcmp(key, "remove"))
        return peer_switch(set, WYRM_PEER_REMOVE, value);
    if (!strcmp(key, "update_only"))
        return peer_switch(set, WYRM_PEER_UPDATE_ONLY, value);
    if (!strcmp(key, "replace_allowed_ips"))
        return peer_switch(set, WYRM_PEER_REPLACE_ALLOWED_IPS, value);
    if (!strcmp(key, "preshared_key")) {
        peer->flags |= WYRM_PEER_HAS_PRESHARED_KEY;
        return key_from_hex(peer->preshared_key, value, strlen(value)) ? 0 : EINVAL;
    }
    if (!strcmp(key, "endpoint")) {
        peer->flags |= WYRM_PEER_HAS_ENDPOINT;
        return parse_endpoint(value, &peer->endpoint) ? 0 : EINVAL;
    }
    if (!strcmp(key, "persistent_keepalive_interval")) {
        if (!parse_number(value, UINT16_MAX, &number))
            return EINVAL;
        peer->flags |= WYRM_PEER_HAS_PERSISTENT_KEEPALIVE;
        peer->persistent_keepalive = (uint16_t)number;
        return 0;
    }
    if (!strcmp(key, "protocol_version")) {
        if (!parse_number(value, UINT32_MAX, &number) || number != 1)
            return EINVAL;
        peer->flags |= WYRM_PEER_HAS_PROTOCOL_VERSION;
        peer->protocol_version = 1;
        return 0;
    }
    if (!strcmp(key, "allowed_ip")) {
        struct wyrm_ioctl_allowed_ip ip, *place;
        int error = ENOMEM;
        if (!parse_allowed_ip(value, &ip))
            return EINVAL;
        place = set_append(set, sizeof *place, &error);
        if (!place)
            return error;
        *place = ip;
        set_peer(set)->allowed_ips_count++; /* the buffer may have moved */
        return 0;
    }
    return EINVAL;
}

int wg_set_line(struct wg_set *set, const char *line, size_t length)
{
    char text[256]; /* the longest valid line is an endpoint or a key */
    int error = wg_set_finish(set);
    if (error)
        return error;
    if (length >= sizeof text || memchr(line, 0, length))
        return EINVAL;
    memcpy(text, line, length);
    text[length] = 0;
    char *equals = strchr(text, '=');
    if (equals) {
        *equals = 0;
        if (!strcmp(text, "public_key"))
            error = new_peer(set, equals + 1);
        else
            error =
                set->peer_offset ? peer_line(set, text, equals + 1) : interface_line(set, text, equals + 1);
    } else {
        error = EINVAL;
    }
    explicit_bzero(text, sizeof text);
    return error;
}

int wg_set_finish(struct wg_set *set)
{
    int error = 0;
    if (!set->buffer.length)
        set_append(set, sizeof(struct wyrm_ioctl_interface), &error);
    return error;
}

void wg_set_free(struct wg_set *set)
{
    secure_buffer_free(&set->buffer);
    *set = (struct wg_set){0};
}

/* ---- get ---- */

static bool append_endpoint(struct secure_buffer *out, const struct wyrm_ioctl_endpoint *endpoint)
{
    char text[INET6_ADDRSTRLEN], scope[IF_NAMESIZE + 1] = "";
    if (endpoint->family == WYRM_FAMILY_IPV4) {
        inet_ntop(AF_INET, endpoint->u.ipv4.address, text, sizeof text);
        return secure_buffer_printf(out, "endpoint=%s:%u\n", text, ntohs(endpoint->port));
    }
    inet_ntop(AF_INET6, endpoint->u.ipv6.address, text, sizeof text);
    uint32_t scope_id = endpoint->u.ipv6.scope_id;
    if (!scope_id)
        return secure_buffer_printf(out, "endpoint=[%s]:%u\n", text, ntohs(endpoint->port));
    if (if_indextoname(scope_id, scope))
        return secure_buffer_printf(out, "endpoint=[%s%%%s]:%u\n", text, scope, ntohs(endpoint->port));
    return secure_buffer_printf(out, "endpoint=[%s%%%u]:%u\n", text, scope_id, ntohs(endpoint->port));
}

static bool append_peer(struct secure_buffer *out, const struct wyrm_ioctl_peer *peer)
{
    bool done = secure_buffer_key_line(out, "public_key", peer->public_key);
    if (peer->flags & WYRM_PEER_HAS_PRESHARED_KEY)
        done = done && secure_buffer_key_line(out, "preshared_key", peer->preshared_key);
    done = done && secure_buffer_printf(out, "protocol_version=%u\n",
                                        peer->protocol_version ? peer->protocol_version : 1);
    if (peer->flags & WYRM_PEER_HAS_ENDPOINT)
        done = done && append_endpoint(out, &peer->endpoint);
    uint64_t seconds = 0, nanoseconds = 0;
    if (peer->last_handshake >= FILETIME_UNIX_EPOCH_S * 10000000) {
        seconds = peer->last_handshake / 10000000 - FILETIME_UNIX_EPOCH_S;
        nanoseconds = peer->last_handshake % 10000000 * 100;
    }
    return done && secure_buffer_printf(out,
                                        "last_handshake_time_sec=%llu\nlast_handshake_time_nsec=%llu\n"
                                        "tx_bytes=%llu\nrx_bytes=%llu\npersistent_keepalive_interval=%u\n",
                                        (unsigned long long)seconds, (unsigned long long)nanoseconds,
                                        (unsigned long long)peer->tx_bytes,
                                        (unsigned long long)peer->rx_bytes, peer->persistent_keepalive);
}

static int append_allowed_ip(struct secure_buffer *out, const struct wyrm_ioctl_allowed_ip *ip)
{
    char text[INET6_ADDRSTRLEN];
    bool ipv4 = ip->family == WYRM_FAMILY_IPV4;
    if ((!ipv4 && ip->family != WYRM_FAMILY_IPV6) || ip->cidr > (ipv4 ? 32 : 128))
        return EPROTO;
    inet_ntop(ipv4 ? AF_INET : AF_INET6, ip->address, text, sizeof text);
    return secure_buffer_printf(out, "allowed_ip=%s/%u\n", text, ip->cidr) ? 0 : ENOMEM;
}

/* Copies the next structure out of the answer (any alignment). false: the answer is too short. */
static bool take(const uint8_t **at, size_t *left, void *into, size_t size)
{
    if (*left < size)
        return false;
    memcpy(into, *at, size);
    *at += size;
    *left -= size;
    return true;
}

int wg_get_format(struct secure_buffer *out, const uint8_t *config, size_t length, uint32_t fwmark)
{
    struct wyrm_ioctl_interface interface;
    struct wyrm_ioctl_peer peer;
    struct wyrm_ioctl_allowed_ip ip;
    int error = EPROTO;
    if (!take(&config, &length, &interface, sizeof interface))
        return EPROTO;
    bool done = true;
    if (interface.flags & WYRM_INTERFACE_HAS_PRIVATE_KEY)
        done = secure_buffer_key_line(out, "private_key", interface.private_key);
    if (interface.flags & WYRM_INTERFACE_HAS_LISTEN_PORT)
        done = done && secure_buffer_printf(out, "listen_port=%u\n", interface.listen_port);
    if (fwmark)
        done = done && secure_buffer_printf(out, "fwmark=%u\n", fwmark);
    for (uint32_t i = 0; done && i < interface.peers_count; i++) {
        if (!take(&config, &length, &peer, sizeof peer) || !(peer.flags & WYRM_PEER_HAS_PUBLIC_KEY))
            goto leave;
        if ((peer.flags & WYRM_PEER_HAS_ENDPOINT) && peer.endpoint.family != WYRM_FAMILY_IPV4 &&
            peer.endpoint.family != WYRM_FAMILY_IPV6)
            goto leave;
        done = append_peer(out, &peer);
        for (uint32_t k = 0; done && k < peer.allowed_ips_count; k++) {
            error = EPROTO;
            if (!take(&config, &length, &ip, sizeof ip))
                goto leave;
            error = append_allowed_ip(out, &ip);
            if (error)
                goto leave;
        }
        error = EPROTO;
    }
    error = done ? 0 : ENOMEM;
leave:
    explicit_bzero(&interface, sizeof interface);
    explicit_bzero(&peer, sizeof peer);
    return error;
}

int wg_errno_of_status(int32_t status)
{
    switch ((uint32_t)status) {
    case 0xC000000D: /* STATUS_INVALID_PARAMETER */
    case 0xC0000002: /* STATUS_NOT_IMPLEMENTED: protocol version */
        return EINVAL;
    case 0xC000009A: /* STATUS_INSUFFICIENT_RESOURCES */
    case 0xC0000017: /* STATUS_NO_MEMORY */
        return ENOMEM;
    case 0xC0000022: /* STATUS_ACCESS_DENIED */
        return EACCES;
    case 0xC000020A: /* STATUS_ADDRESS_ALREADY_EXISTS */
        return EADDRINUSE;
    case 0xC000020E: /* STATUS_TOO_MANY_NODES */
        return ENOSPC;
    case 0xC0010018: /* NDIS_STATUS_ADAPTER_REMOVED */
    case 0xC00002B6: /* STATUS_DEVICE_REMOVED */
    case 0xC0000056: /* STATUS_DELETE_PENDING */
        return ENODEV;
    case 0xC000023C: /* STATUS_NETWORK_UNREACHABLE */
        return ENETUNREACH;
    case 0xC0000120: /* STATUS_CANCELLED */
        return ECANCELED;
    default:
        return status < 0 ? EIO : 0;
    }
}
