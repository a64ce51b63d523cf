/* The programming interface that programs were written for before Wyrm, as its documentation tells it: twelve
 * functions found by name, three structures, constants.  Written down a second time, apart from
 * include/wyrm/wireguard.h and with other means (plain integers, explicit padding), so that a slip in that
 * header does not hide itself. */
#pragma once

#include <winsock2.h>
/* In this order: windows.h would bring the older winsock.h. */
#include <windows.h>
/* Needs the types of windows.h. */
#include <stdint.h>

typedef void *reference_adapter;

/* Everything is aligned to 8 bytes and stacked without gaps: interface, peer, its prefixes, peer, ... */
struct reference_interface {
    _Alignas(8) uint32_t flags;
    uint16_t listen_port;
    uint8_t private_key[32];
    uint8_t public_key[32];
    uint8_t pad[2];
    uint32_t peers_count;
    uint32_t pad_end;
};

struct reference_peer {
    _Alignas(8) uint32_t flags;
    uint32_t reserved;
    uint8_t public_key[32];
    uint8_t preshared_key[32];
    uint16_t persistent_keepalive;
    uint8_t pad[2];
    uint8_t endpoint[28]; /* SOCKADDR_INET */
    uint64_t tx_bytes;
    uint64_t rx_bytes;
    uint64_t last_handshake;
    uint32_t allowed_ips_count;
    uint32_t pad_end;
};

struct reference_allowed_ip {
    _Alignas(8) uint8_t address[16];
    uint16_t family;
    uint8_t cidr;
    uint8_t pad;
    uint32_t flags;
};

_Static_assert(sizeof(struct reference_interface) == 80 && sizeof(struct reference_peer) == 136 &&
                   sizeof(struct reference_allowed_ip) == 24,
               "the documented sizes");

enum {
    REFERENCE_INTERFACE_HAS_PUBLIC_KEY = 1,
    REFERENCE_INTERFACE_HAS_PRIVATE_KEY = 2,
    REFERENCE_INTERFACE_HAS_LISTEN_PORT = 4,
    REFERENCE_INTERFACE_REPLACE_PEERS = 8,
    REFERENCE_PEER_HAS_PUBLIC_KEY = 0x01,
    REFERENCE_PEER_HAS_PRESHARED_KEY = 0x02,
    REFERENCE_PEER_HAS_PERSISTENT_KEEPALIVE = 0x04,
    REFERENCE_PEER_HAS_ENDPOINT = 0x08,
    REFERENCE_PEER_REPLACE_ALLOWED_IPS = 0x20,
    REFERENCE_PEER_REMOVE = 0x40,
    REFERENCE_PEER_UPDATE = 0x80,
    REFERENCE_STATE_DOWN = 0,
    REFERENCE_STATE_UP = 1,
    REFERENCE_LOG_OFF = 0,
    REFERENCE_LOG_ON = 1,
    REFERENCE_LOG_ON_WITH_PREFIX = 2,
};

/* Level: 0 information, 1 warning, 2 error.  Time: 100 ns since 1601. */
typedef void(CALLBACK *reference_logger)(int level, uint64_t time, const wchar_t *line);

struct reference_api {
    reference_adapter(WINAPI *create)(const wchar_t *name, const wchar_t *type, const GUID *guid);
    reference_adapter(WINAPI *open)(const wchar_t *name);
    void(WINAPI *close)(reference_adapter adapter);
    void(WINAPI *luid)(reference_adapter adapter, uint64_t *luid);
    BOOL(WINAPI *get_state)(reference_adapter adapter, int *state);
    BOOL(WINAPI *set_state)(reference_adapter adapter, int state);
    BOOL(WINAPI *get)(reference_adapter adapter, void *config, DWORD *bytes);
    BOOL(WINAPI *set)(reference_adapter adapter, const void *config, DWORD bytes);
    DWORD(WINAPI *version)(void);
    BOOL(WINAPI *delete_driver)(void);
    void(WINAPI *set_logger)(reference_logger logger);
    BOOL(WINAPI *set_logging)(reference_adapter adapter, int state);
};
