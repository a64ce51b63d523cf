/* Makes an adapter, configures it, brings it up and reads its configuration back.  Run it as an elevated
 * administrator with wyrm.dll beside it.  Any compiler of Windows programs:
 *     clang -I include samples/c/sample.c -lbcrypt        cl /std:c11 /I include samples\c\sample.c
 * bcrypt.lib */
#define WYRM_NO_PROTOTYPES
#include <wyrm/wireguard.h>

/* Needs windows.h before it. */
#include <bcrypt.h>
#include <stdio.h>
#include <string.h>

enum { PORT = 51820, KEEPALIVE_SECONDS = 25, BUFFER_BYTES = 64 * 1024 };

/* The DLL's functions that this sample uses. */
static struct {
    WIREGUARD_CREATE_ADAPTER_FUNC *create;
    WIREGUARD_CLOSE_ADAPTER_FUNC *close;
    WIREGUARD_SET_ADAPTER_STATE_FUNC *set_state;
    WIREGUARD_SET_CONFIGURATION_FUNC *set;
    WIREGUARD_GET_CONFIGURATION_FUNC *get;
    WIREGUARD_SET_LOGGER_FUNC *set_logger;
} api;

static int look_up(HMODULE module, const char *name, void *variable)
{
    FARPROC function = GetProcAddress(module, name);

    memcpy(variable, &function, sizeof(function));
    return function != NULL;
}

static int load(void)
{
    HMODULE module =
        LoadLibraryExW(L"wyrm.dll", NULL, LOAD_LIBRARY_SEARCH_APPLICATION_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);

    return module && look_up(module, "WireGuardCreateAdapter", &api.create) &&
           look_up(module, "WireGuardCloseAdapter", &api.close) &&
           look_up(module, "WireGuardSetAdapterState", &api.set_state) &&
           look_up(module, "WireGuardSetConfiguration", &api.set) &&
           look_up(module, "WireGuardGetConfiguration", &api.get) &&
           look_up(module, "WireGuardSetLogger", &api.set_logger);
}

/* What goes wrong is said here, with what to do about it. */
static VOID CALLBACK log_line(WIREGUARD_LOGGER_LEVEL level, DWORD64 timestamp, LPCWSTR message)
{
    static const char *const levels[] = {"info", "warning", "error"};

    (void)timestamp;
    fprintf(stderr, "%s: %ls\n", levels[level], message);
}

static int fail(const char *what)
{
    fprintf(stderr, "%s: error %lu\n", what, GetLastError());
    return 1;
}

/* An interface with a key of its own and one peer; returns the length. */
static DWORD write_configuration(void *buffer, size_t bytes)
{
    wyrm_writer writer;
    WIREGUARD_INTERFACE *config = wyrm_write_begin(&writer, buffer, bytes);
    WIREGUARD_PEER *peer = wyrm_write_peer(&writer);
    WIREGUARD_ALLOWED_IP *allowed = wyrm_write_allowed_ip(&writer);

    if (!config || !peer || !allowed ||
        BCryptGenRandom(NULL, config->PrivateKey, WIREGUARD_KEY_LENGTH, BCRYPT_USE_SYSTEM_PREFERRED_RNG) <
            0) {
        return 0;
    }
    config->Flags = WIREGUARD_INTERFACE_HAS_PRIVATE_KEY | WIREGUARD_INTERFACE_HAS_LISTEN_PORT |
                    WIREGUARD_INTERFACE_REPLACE_PEERS;
    config->ListenPort = PORT;
    peer->Flags = WIREGUARD_PEER_HAS_PUBLIC_KEY | WIREGUARD_PEER_HAS_ENDPOINT |
                  WIREGUARD_PEER_HAS_PERSISTENT_KEEPALIVE | WIREGUARD_PEER_REPLACE_ALLOWED_IPS;
    memset(peer->PublicKey, 0x42, WIREGUARD_KEY_LENGTH); /* the key that the peer's owner told you */
    peer->PersistentKeepalive = KEEPALIVE_SECONDS;
    peer->Endpoint.Ipv4.sin_family = AF_INET;
    peer->Endpoint.Ipv4.sin_port = (USHORT)(PORT << 8 | PORT >> 8); /* network byte order */
    memcpy(&peer->Endpoint.Ipv4.sin_addr, "\xc0\x00\x02\x01", 4);   /* 192.0.2.1 */
    allowed->AddressFamily = AF_INET;
    allowed->Cidr = 24;
    memcpy(&allowed->Address.V4, "\x0a\x48\x00\x00", 4); /* 10.72.0.0/24 */
    return (DWORD)writer.used;
}

static void print_configuration(const void *buffer, size_t bytes)
{
    wyrm_reader reader;
    const WIREGUARD_INTERFACE *config = wyrm_read_begin(&reader, buffer, bytes);
    const WIREGUARD_PEER *peer;
    const WIREGUARD_ALLOWED_IP *allowed;

    printf("port %u, %lu peers\n", config->ListenPort, config->PeersCount);
    while ((peer = wyrm_read_peer(&reader)) != NULL) {
        printf("peer %02x...: keepalive %u s, %llu bytes sent, %llu received\n", peer->PublicKey[0],
               peer->PersistentKeepalive, (unsigned long long)peer->TxBytes,
               (unsigned long long)peer->RxBytes);
        while ((allowed = wyrm_read_allowed_ip(&reader)) != NULL) {
            const BYTE *bytes_of = (const BYTE *)&allowed->Address;
            if (allowed->AddressFamily == AF_INET) {
                printf("  allowed %u.%u.%u.%u/%u\n", bytes_of[0], bytes_of[1], bytes_of[2], bytes_of[3],
                       allowed->Cidr);
            }
        }
    }
}

int main(void)
{
    static WYRM_ABI_ALIGN BYTE buffer[BUFFER_BYTES];
    WIREGUARD_ADAPTER_HANDLE adapter;
    DWORD bytes;
    BOOL set;
    int status = 0;

    if (!load()) {
        return fail("wyrm.dll cannot be used");
    }
    api.set_logger(log_line);
    adapter = api.create(L"Sample", L"Sample", NULL);
    if (!adapter) {
        return fail("no adapter");
    }
    bytes = write_configuration(buffer, sizeof(buffer));
    set = bytes && api.set(adapter, (const WIREGUARD_INTERFACE *)buffer, bytes);
    SecureZeroMemory(buffer, sizeof(buffer)); /* the private key */
    bytes = sizeof(buffer);
    if (!set || !api.set_state(adapter, WIREGUARD_ADAPTER_STATE_UP)) {
        status = fail("the adapter cannot be configured");
    } else if (!api.get(adapter, (WIREGUARD_INTERFACE *)buffer, &bytes)) {
        status = fail("the configuration cannot be read"); /* ERROR_MORE_DATA: again with `bytes` bytes */
    } else {
        print_configuration(buffer, bytes);
    }
    SecureZeroMemory(buffer, sizeof(buffer));
    /* IP addresses and routes: CreateUnicastIpAddressEntry, CreateIpForwardEntry2 with
     * WireGuardGetAdapterLUID. */
    api.close(adapter); /* and the adapter is gone */
    return status;
}
