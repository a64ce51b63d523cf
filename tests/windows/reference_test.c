/* A program that knows nothing of Wyrm: it loads wireguard.dll from its own folder or System32, looks up the
 * twelve functions, makes a tunnel, changes it, reads it and takes it down, as programs in the field do.  It
 * runs against the build for a vendor named WireGuard. */
#include "lib/reference_api.h"
#include "lib/report.h"

#include <string.h>
#include <wchar.h>

enum { PORT = 51871, BUFFER_BYTES = 2048, IF_TYPE_PROPRIETARY_VIRTUAL = 53, KEEPALIVE_SECONDS = 25 };

static const GUID guid = {0x72b1a4d0, 0x1c5e, 0x4d3f, {0x8a, 0x11, 0x60, 0x02, 0x9c, 0x55, 0xd1, 0x07}};
static struct reference_api api;
static LONG lines;

static void CALLBACK count_line(int level, uint64_t time, const wchar_t *line)
{
    if (level >= 0 && level <= 2 && time && line[0]) {
        InterlockedIncrement(&lines);
    }
}

static bool load(void)
{
    static const char *const names[] = {
        "WireGuardCreateAdapter",    "WireGuardOpenAdapter",      "WireGuardCloseAdapter",
        "WireGuardGetAdapterLUID",   "WireGuardGetAdapterState",  "WireGuardSetAdapterState",
        "WireGuardGetConfiguration", "WireGuardSetConfiguration", "WireGuardGetRunningDriverVersion",
        "WireGuardDeleteDriver",     "WireGuardSetLogger",        "WireGuardSetAdapterLogging",
    };
    HMODULE module = LoadLibraryExW(L"wireguard.dll", NULL,
                                    LOAD_LIBRARY_SEARCH_APPLICATION_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);
    FARPROC functions[ARRAYSIZE(names)];

    _Static_assert(sizeof(functions) == sizeof(api), "one pointer for each name, in this order");
    if (!check(module != NULL, "wireguard.dll loads")) {
        return false;
    }
    for (size_t i = 0; i < ARRAYSIZE(names); i++) {
        functions[i] = GetProcAddress(module, names[i]);
        if (!check(functions[i] != NULL, "%s", names[i])) {
            return false;
        }
    }
    memcpy(&api, functions, sizeof(api));
    return true;
}

/* One interface, two peers: the first with an IPv4 endpoint and two prefixes, the second with none. */
struct configuration {
    struct reference_interface head;
    struct reference_peer first;
    struct reference_allowed_ip first_ips[2];
    struct reference_peer second;
};

static void write_configuration(struct configuration *config)
{
    static const uint8_t endpoint[] = {AF_INET, 0, 0xca, 0x6c, 192, 0, 2, 1}; /* 192.0.2.1:51820 */

    memset(config, 0, sizeof(*config));
    config->head.flags = REFERENCE_INTERFACE_HAS_PRIVATE_KEY | REFERENCE_INTERFACE_HAS_LISTEN_PORT |
                         REFERENCE_INTERFACE_REPLACE_PEERS;
    config->head.listen_port = PORT;
    memset(config->head.private_key, 0x48, sizeof(config->head.private_key));
    config->head.peers_count = 2;
    config->first.flags = REFERENCE_PEER_HAS_PUBLIC_KEY | REFERENCE_PEER_HAS_PRESHARED_KEY |
                          REFERENCE_PEER_HAS_PERSISTENT_KEEPALIVE | REFERENCE_PEER_HAS_ENDPOINT |
                          REFERENCE_PEER_REPLACE_ALLOWED_IPS;
    memset(config->first.public_key, 0x11, sizeof(config->first.public_key));
    memset(config->first.preshared_key, 0x22, sizeof(config->first.preshared_key));
    config->first.persistent_keepalive = KEEPALIVE_SECONDS;
    memcpy(config->first.endpoint, endpoint, sizeof(endpoint));
    config->first.allowed_ips_count = 2;
    config->first_ips[0].family = AF_INET;
    config->first_ips[0].cidr = 24;
    memcpy(config->first_ips[0].address, "\x0a\x48\x00", 3);
    config->first_ips[1].family = AF_INET6;
    config->first_ips[1].cidr = 64;
    memcpy(config->first_ips[1].address, "\xfd\x72", 2);
    config->second.flags = REFERENCE_PEER_HAS_PUBLIC_KEY;
    memset(config->second.public_key, 0x33, sizeof(config->second.public_key));
}

/* The peer with this first byte of its key in a configuration that was read; NULL: not there. */
static const struct reference_peer *find_peer(const BYTE *buffer, uint8_t key)
{
    const struct reference_interface *head = (const void *)buffer;
    const struct reference_peer *peer = (const void *)(head + 1);

    for (uint32_t i = 0; i < head->peers_count; i++) {
        if (peer->public_key[0] == key) {
            return peer;
        }
        peer = (const void *)((const struct reference_allowed_ip *)(peer + 1) + peer->allowed_ips_count);
    }
    return NULL;
}

static bool has_prefix(const struct reference_peer *peer, uint16_t family, uint8_t cidr, uint8_t first_byte)
{
    const struct reference_allowed_ip *prefix = (const void *)(peer + 1);

    for (uint32_t i = 0; i < peer->allowed_ips_count; i++) {
        if (prefix[i].family == family && prefix[i].cidr == cidr && prefix[i].address[0] == first_byte) {
            return true;
        }
    }
    return false;
}

static void check_read(reference_adapter adapter, const struct configuration *config)
{
    static _Alignas(8) BYTE buffer[BUFFER_BYTES];
    const struct reference_interface *head = (const void *)buffer;
    const struct reference_peer *first, *second;
    DWORD bytes = sizeof(struct reference_interface);

    check(!api.get(adapter, buffer, &bytes) && GetLastError() == ERROR_MORE_DATA && bytes == sizeof(*config),
          "the length needed: %lu", bytes);
    bytes = sizeof(buffer);
    if (!check(api.get(adapter, buffer, &bytes) && bytes == sizeof(*config) && head->peers_count == 2,
               "the configuration is read")) {
        return;
    }
    check(head->listen_port == PORT &&
              head->flags == (REFERENCE_INTERFACE_HAS_PUBLIC_KEY | REFERENCE_INTERFACE_HAS_PRIVATE_KEY |
                              REFERENCE_INTERFACE_HAS_LISTEN_PORT),
          "the interface: port %u, flags %#lx", head->listen_port, (unsigned long)head->flags);
    first = find_peer(buffer, 0x11);
    second = find_peer(buffer, 0x33);
    check(first && (first->flags & 0xf) == 0xf && first->persistent_keepalive == KEEPALIVE_SECONDS &&
              memcmp(first->endpoint, config->first.endpoint, 8) == 0 &&
              memcmp(first->preshared_key, config->first.preshared_key, 32) == 0,
          "the first peer");
    check(first && has_prefix(first, AF_INET, 24, 0x0a) && has_prefix(first, AF_INET6, 64, 0xfd),
          "its prefixes");
    check(second && !second->allowed_ips_count && !(second->flags & REFERENCE_PEER_HAS_ENDPOINT) &&
              !second->last_handshake,
          "the second peer");
}

/* Only the second peer is named; what is not flagged stays. */
static void check_change(reference_adapter adapter, struct configuration *config)
{
    static _Alignas(8) BYTE buffer[BUFFER_BYTES];
    struct {
        struct reference_interface head;
        struct reference_peer peer;
    } change = {.head = {.peers_count = 1}, .peer = config->second};
    DWORD bytes = sizeof(buffer);

    change.peer.flags |= REFERENCE_PEER_REMOVE;
    check(api.set(adapter, &change, sizeof(change)), "a peer is removed");
    memset(change.peer.public_key, 0x44, sizeof(change.peer.public_key));
    change.peer.flags = REFERENCE_PEER_HAS_PUBLIC_KEY | REFERENCE_PEER_UPDATE;
    check(api.set(adapter, &change, sizeof(change)), "one that is not there is not made by an update");
    check(api.get(adapter, buffer, &bytes) && find_peer(buffer, 0x11) && !find_peer(buffer, 0x33) &&
              !find_peer(buffer, 0x44) && ((struct reference_interface *)buffer)->listen_port == PORT,
          "the first alone is left");
}

int main(void)
{
    struct configuration config;
    reference_adapter adapter, other;
    uint64_t luid = 0;
    int state = -1;

    if (!load()) {
        return report();
    }
    api.set_logger(count_line);
    adapter = api.create(L"Reference", L"Example", &guid);
    if (!check(adapter != NULL, "an adapter")) {
        return report();
    }
    check(api.version() != 0, "the driver runs");
    api.luid(adapter, &luid);
    check(luid >> 48 == IF_TYPE_PROPRIETARY_VIRTUAL, "the LUID's type: %u", (unsigned)(luid >> 48));
    check(api.set_logging(adapter, REFERENCE_LOG_ON_WITH_PREFIX), "its log is followed");
    write_configuration(&config);
    check(api.set(adapter, &config, sizeof(config)), "the configuration is set");
    check(api.set_state(adapter, REFERENCE_STATE_UP) && api.get_state(adapter, &state) &&
              state == REFERENCE_STATE_UP,
          "it is up");
    check_read(adapter, &config);
    check_change(adapter, &config);
    other = api.open(L"Reference");
    check(other != NULL && api.get_state(other, &state) && state == REFERENCE_STATE_UP, "it can be opened");
    api.close(other);
    check(api.set_state(adapter, REFERENCE_STATE_DOWN), "it is down");
    check(api.set_logging(adapter, REFERENCE_LOG_OFF) && lines > 0, "there were %ld lines", lines);
    api.close(adapter);
    check(!api.open(L"Reference") && GetLastError() == ERROR_NOT_FOUND, "it is gone when it is closed");
    check(api.delete_driver(), "and so is the driver");
    api.set_logger(NULL);
    return report();
}
