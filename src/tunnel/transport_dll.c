/* transport.h over wyrm.dll: the adapters of this machine, whoever made them. */
#include "transport.h"

#include "crypto/secure_memory.h"
#include "library.h"

#include <stdlib.h>
#include <string.h>

#define EPOCH_1601_S 11644473600ll
#define TICKS_PER_S  10000000ll
/* A configuration may grow between asking its length and reading it. */
#define READ_ATTEMPTS 16

/* ---- names ---- */

struct listing {
    struct name_list *names;
    bool no_memory;
};

static BOOL CALLBACK add_name(const WYRM_ADAPTER_INFORMATION *information, void *context)
{
    struct listing *listing = context;
    struct name_list *names = listing->names;
    char name[DEVICE_NAME_BYTES];
    if (!information->Present || !information->Started || !utf8_of(information->Name, name, sizeof name))
        return TRUE;
    char **items = realloc(names->items, (names->count + 1) * sizeof *items);
    if (items) {
        names->items = items;
        items[names->count] = strdup(name);
    }
    listing->no_memory = !items || !items[names->count];
    names->count += !listing->no_memory;
    return !listing->no_memory;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

bool transport_list(struct name_list *names, struct failure *failure)
{
    struct listing listing = {.names = names};
    const struct library *library = library_load(failure);
    if (!library)
        return false;
    BOOL listed = library->enumerate(add_name, &listing);
    DWORD code = GetLastError();
    if (listing.no_memory)
        return fail(failure, EXIT_REFUSED, "out of memory");
    if (!listed)
        return fail_windows(failure, code, "the adapters cannot be listed");
    if (names->count)
        qsort(names->items, names->count, sizeof *names->items, compare_names);
    return true;
}

void name_list_free(struct name_list *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct name_list){0};
}

/* ---- reading ---- */

/* The buffer is the caller's to wipe and free, in any case. */
static bool read_configuration(const struct library *library, WIREGUARD_ADAPTER_HANDLE adapter,
                               const char *name, WIREGUARD_INTERFACE **config, DWORD *bytes,
                               struct failure *failure)
{
    DWORD wanted = 4096;
    for (unsigned attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        *config = malloc(wanted);
        if (!*config)
            return fail(failure, EXIT_REFUSED, "out of memory");
        *bytes = wanted;
        if (library->get(adapter, *config, &wanted)) {
            *bytes = wanted;
            return true;
        }
        if (GetLastError() != ERROR_MORE_DATA)
            return fail_windows(failure, GetLastError(), "%.200s cannot be read", name);
        secure_zero(*config, *bytes);
        free(*config);
        *config = NULL;
    }
    return fail(failure, EXIT_NO_ANSWER, "%.200s: its configuration grows faster than it can be read", name);
}

static void take_endpoint(const SOCKADDR_INET *from, struct endpoint *to)
{
    bool ipv4 = from->si_family == AF_INET;
    to->family = ipv4 ? 4 : 6;
    if (ipv4)
        memcpy(to->address, &from->Ipv4.sin_addr, 4);
    else
        memcpy(to->address, &from->Ipv6.sin6_addr, 16);
    USHORT port = ipv4 ? from->Ipv4.sin_port : from->Ipv6.sin6_port;
    to->port = (uint16_t)(port << 8 | port >> 8);
    to->scope = ipv4 ? 0 : from->Ipv6.sin6_scope_id;
}

static bool take_peer(struct device *device, wyrm_reader *reader, const WIREGUARD_PEER *from)
{
    struct device_peer *peer = device_add_peer(device);
    if (!peer)
        return false;
    memcpy(peer->public_key, from->PublicKey, KEY_LENGTH);
    if (from->Flags & WIREGUARD_PEER_HAS_PRESHARED_KEY)
        memcpy(peer->preshared_key, from->PresharedKey, KEY_LENGTH);
    if (from->Flags & WIREGUARD_PEER_HAS_PERSISTENT_KEEPALIVE)
        peer->keepalive = from->PersistentKeepalive;
    if (from->Flags & WIREGUARD_PEER_HAS_ENDPOINT)
        take_endpoint(&from->Endpoint, &peer->endpoint);
    peer->rx_bytes = from->RxBytes;
    peer->tx_bytes = from->TxBytes;
    if (from->LastHandshake) {
        peer->handshake_seconds = (int64_t)(from->LastHandshake / TICKS_PER_S) - EPOCH_1601_S;
        peer->handshake_nanoseconds = (uint32_t)(from->LastHandshake % TICKS_PER_S * 100);
    }
    for (const WIREGUARD_ALLOWED_IP *allowed; (allowed = wyrm_read_allowed_ip(reader));) {
        bool ipv4 = allowed->AddressFamily == AF_INET;
        struct config_prefix prefix = {.family = ipv4 ? 4 : 6, .length = allowed->Cidr};
        memcpy(prefix.bytes, &allowed->Address, ipv4 ? 4 : 16);
        if (!device_peer_add_prefix(peer, &prefix))
            return false;
    }
    return true;
}

static bool take_configuration(struct device *device, const WIREGUARD_INTERFACE *config, DWORD bytes,
                               struct failure *failure)
{
    wyrm_reader reader;
    if (!wyrm_read_begin(&reader, config, bytes))
        return fail(failure, EXIT_NO_ANSWER, "%.200s: its configuration is damaged", device->name);
    if (config->Flags & WIREGUARD_INTERFACE_HAS_PRIVATE_KEY)
        memcpy(device->private_key, config->PrivateKey, KEY_LENGTH);
    if (config->Flags & WIREGUARD_INTERFACE_HAS_PUBLIC_KEY)
        memcpy(device->public_key, config->PublicKey, KEY_LENGTH);
    if (config->Flags & WIREGUARD_INTERFACE_HAS_LISTEN_PORT)
        device->listen_port = config->ListenPort;
    for (const WIREGUARD_PEER *peer; (peer = wyrm_read_peer(&reader));)
        if (!take_peer(device, &reader, peer))
            return fail(failure, EXIT_REFUSED, "out of memory");
    return !reader.damaged ||
           fail(failure, EXIT_NO_ANSWER, "%.200s: its configuration is damaged", device->name);
}

bool transport_get(const char *name, struct device *device, struct failure *failure)
{
    WIREGUARD_INTERFACE *config = NULL;
    DWORD bytes = 0;
    size_t length = strlen(name);
    const struct library *library = library_load(failure);
    WIREGUARD_ADAPTER_HANDLE adapter = library ? library_open(library, name, failure) : NULL;
    if (!adapter)
        return false;
    memcpy(device->name, name, length < sizeof device->name ? length + 1 : 0);
    bool done = read_configuration(library, adapter, name, &config, &bytes, failure) &&
                take_configuration(device, config, bytes, failure);
    library->close(adapter);
    if (config)
        secure_zero(config, bytes);
    free(config);
    return done;
}

/* ---- changing ---- */

static void put_endpoint(const struct endpoint *from, SOCKADDR_INET *to)
{
    USHORT port = (USHORT)(from->port << 8 | from->port >> 8);
    if (from->family == 4) {
        to->Ipv4.sin_family = AF_INET;
        to->Ipv4.sin_port = port;
        memcpy(&to->Ipv4.sin_addr, from->address, 4);
    } else {
        to->Ipv6.sin6_family = AF_INET6;
        to->Ipv6.sin6_port = port;
        to->Ipv6.sin6_scope_id = from->scope;
        memcpy(&to->Ipv6.sin6_addr, from->address, 16);
    }
}

static void put_prefix(const struct prefix_change *from, WIREGUARD_ALLOWED_IP *to)
{
    bool ipv4 = from->prefix.family == 4;
    to->AddressFamily = ipv4 ? AF_INET : AF_INET6;
    to->Cidr = from->prefix.length;
    to->Flags = from->remove ? WIREGUARD_ALLOWED_IP_REMOVE : 0;
    memcpy(&to->Address, from->prefix.bytes, ipv4 ? 4 : 16);
}

static void put_peer(const struct peer_change *from, WIREGUARD_PEER *to)
{
    memcpy(to->PublicKey, from->public_key, KEY_LENGTH);
    to->Flags = WIREGUARD_PEER_HAS_PUBLIC_KEY;
    if (from->remove) {
        to->Flags |= WIREGUARD_PEER_REMOVE;
        return;
    }
    if (from->has_preshared_key) {
        to->Flags |= WIREGUARD_PEER_HAS_PRESHARED_KEY;
        memcpy(to->PresharedKey, from->preshared_key, KEY_LENGTH);
    }
    if (from->has_keepalive) {
        to->Flags |= WIREGUARD_PEER_HAS_PERSISTENT_KEEPALIVE;
        to->PersistentKeepalive = from->keepalive;
    }
    if (from->has_endpoint) {
        to->Flags |= WIREGUARD_PEER_HAS_ENDPOINT;
        put_endpoint(&from->endpoint, &to->Endpoint);
    }
    if (from->replace_allowed_ips)
        to->Flags |= WIREGUARD_PEER_REPLACE_ALLOWED_IPS;
}

/* The length needed; written as far as there is room. */
static size_t write_change(const struct change *change, void *buffer, size_t bytes)
{
    wyrm_writer writer;
    WIREGUARD_INTERFACE *config = wyrm_write_begin(&writer, buffer, bytes);
    if (config) {
        config->Flags = (change->has_private_key ? WIREGUARD_INTERFACE_HAS_PRIVATE_KEY : 0) |
                        (change->has_listen_port ? WIREGUARD_INTERFACE_HAS_LISTEN_PORT : 0) |
                        (change->replace_peers ? WIREGUARD_INTERFACE_REPLACE_PEERS : 0);
        config->ListenPort = change->listen_port;
        memcpy(config->PrivateKey, change->private_key, KEY_LENGTH);
    }
    for (size_t i = 0; i < change->peer_count; i++) {
        const struct peer_change *from = &change->peers[i];
        WIREGUARD_PEER *peer = wyrm_write_peer(&writer);
        if (peer)
            put_peer(from, peer);
        for (size_t k = 0; !from->remove && k < from->prefix_count; k++) {
            WIREGUARD_ALLOWED_IP *allowed = wyrm_write_allowed_ip(&writer);
            if (allowed)
                put_prefix(&from->prefixes[k], allowed);
        }
    }
    return writer.used;
}

bool transport_set(const char *name, const struct change *change, struct failure *failure)
{
    const struct library *library = library_load(failure);
    if (!library)
        return false;
    if (change->has_fwmark && change->fwmark)
        return fail(failure, EXIT_USAGE, "there is no fwmark on Windows: leave it out");
    size_t bytes = write_change(change, NULL, 0);
    void *buffer = bytes <= MAXDWORD ? malloc(bytes) : NULL;
    if (!buffer)
        return fail(failure, EXIT_REFUSED, "out of memory");
    write_change(change, buffer, bytes);
    WIREGUARD_ADAPTER_HANDLE adapter = library_open(library, name, failure);
    bool done = adapter != NULL;
    if (done && !library->set(adapter, buffer, (DWORD)bytes))
        done = fail_windows(failure, GetLastError(), "%.200s refused it", name);
    if (adapter)
        library->close(adapter);
    secure_zero(buffer, bytes);
    free(buffer);
    return done;
}
