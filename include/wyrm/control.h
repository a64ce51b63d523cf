/* The binary control interface of a Wyrm adapter: I/O control codes, structures and flags of
 * DeviceIoControl on the adapter's NET device interface.
 *
 * Plain C11 or C++11, no other header than stdint/stddef, so that the driver (freestanding), user-mode
 * programs and nthost compile the same text.  The layout has no pointers and explicit alignment: 32-bit and
 * 64-bit callers use the same bytes.  Integers are little-endian host order unless a comment says otherwise.
 *
 * Access: each code asks for the adapter's own access check (SYSTEM, or Administrators at high integrity):
 * read access for GET and LOG, write access for SET and STATE, whatever access the handle carries. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define WYRM_CONTROL_ASSERT(condition) static_assert(condition, #condition)
#define WYRM_CONTROL_ALIGN             alignas(8)
#else
#define WYRM_CONTROL_ASSERT(condition) _Static_assert(condition, #condition)
#define WYRM_CONTROL_ALIGN             _Alignas(8)
#endif

/* ---- control codes: CTL_CODE(45208, function, method, FILE_READ_DATA | FILE_WRITE_DATA) ---- */
#define WYRM_IOCTL_DEVICE_TYPE 45208u
#define WYRM_IOCTL_CODE(function_id, method)                                                                 \
    ((WYRM_IOCTL_DEVICE_TYPE << 16) | (3u << 14) | ((function_id) << 2) | (method))
/* The transfer methods of CTL_CODE (Microsoft, "Defining I/O Control Codes"). */
#define WYRM_METHOD_BUFFERED   0u
#define WYRM_METHOD_IN_DIRECT  1u
#define WYRM_METHOD_OUT_DIRECT 2u

/* In: none.  Out: the configuration and the counters: interface, then per peer: peer, its allowed IPs.
 * Buffer absent or too small: STATUS_BUFFER_OVERFLOW (ERROR_MORE_DATA), Information = the full size in bytes,
 * filled as far as whole structures fit.  Over 4 GiB: STATUS_SECTION_TOO_BIG.  Endpoint and preshared-key
 * bytes without their flag are left as the caller had them. */
#define WYRM_IOCTL_GET WYRM_IOCTL_CODE(321u, WYRM_METHOD_OUT_DIRECT)
/* In: none (NULL, 0).  The configuration to apply is passed as the *output* buffer, in the layout of GET.
 * Information = bytes consumed, on failure too; what was consumed before a failure stays applied. */
#define WYRM_IOCTL_SET WYRM_IOCTL_CODE(322u, WYRM_METHOD_IN_DIRECT)
/* In: uint32_t enum wyrm_adapter_state (exactly 4 bytes).  Out: for QUERY a uint32_t (exactly 4 bytes).
 * Setting the state the adapter already has: STATUS_ALREADY_COMPLETE (a success). */
#define WYRM_IOCTL_STATE WYRM_IOCTL_CODE(323u, WYRM_METHOD_BUFFERED)
/* In: none.  Out: one struct wyrm_log_entry.  Blocks until there is a line; each line goes to one reader. */
#define WYRM_IOCTL_LOG WYRM_IOCTL_CODE(324u, WYRM_METHOD_BUFFERED)

WYRM_CONTROL_ASSERT(WYRM_IOCTL_GET == 0xB098C506u);
WYRM_CONTROL_ASSERT(WYRM_IOCTL_SET == 0xB098C509u);
WYRM_CONTROL_ASSERT(WYRM_IOCTL_STATE == 0xB098C50Cu);
WYRM_CONTROL_ASSERT(WYRM_IOCTL_LOG == 0xB098C510u);

/* ---- constants ---- */
#define WYRM_KEY_LENGTH      32u
#define WYRM_LOG_TEXT_LENGTH 120u
/* Address families as Windows numbers them (AF_INET, AF_INET6). */
#define WYRM_FAMILY_IPV4 2u
#define WYRM_FAMILY_IPV6 23u

enum wyrm_adapter_state {
    WYRM_ADAPTER_DOWN = 0,
    WYRM_ADAPTER_UP = 1,
    WYRM_ADAPTER_QUERY = 2, /* only as the verb of STATE */
};

/* wyrm_ioctl_interface.flags: which fields are present (GET) or to be applied (SET). */
enum {
    WYRM_INTERFACE_HAS_PUBLIC_KEY = 0x1, /* GET only */
    WYRM_INTERFACE_HAS_PRIVATE_KEY = 0x2,
    WYRM_INTERFACE_HAS_LISTEN_PORT = 0x4,
    WYRM_INTERFACE_REPLACE_PEERS = 0x8, /* SET only: remove all peers first */
};

/* wyrm_ioctl_peer.flags */
enum {
    WYRM_PEER_HAS_PUBLIC_KEY = 0x1, /* required by SET */
    WYRM_PEER_HAS_PRESHARED_KEY = 0x2,
    WYRM_PEER_HAS_PERSISTENT_KEEPALIVE = 0x4,
    WYRM_PEER_HAS_ENDPOINT = 0x8,
    WYRM_PEER_HAS_PROTOCOL_VERSION = 0x10,
    WYRM_PEER_REPLACE_ALLOWED_IPS = 0x20, /* SET only: remove its allowed IPs first */
    WYRM_PEER_REMOVE = 0x40,              /* SET only */
    WYRM_PEER_UPDATE_ONLY = 0x80,         /* SET only: do not create the peer */
};

/* wyrm_ioctl_allowed_ip.flags */
enum {
    WYRM_ALLOWED_IP_REMOVE = 0x1, /* SET only: take this prefix away from the peer */
};

/* ---- structures; in a buffer they stand one after the other without gaps ---- */
struct wyrm_ioctl_interface {
    WYRM_CONTROL_ALIGN uint32_t flags;    /* WYRM_INTERFACE_* */
    uint16_t listen_port;                 /* host order; 0 on SET: any free port */
    uint8_t private_key[WYRM_KEY_LENGTH]; /* all zero on SET: take the identity away */
    uint8_t public_key[WYRM_KEY_LENGTH];
    uint8_t padding_0[2];
    uint32_t peers_count; /* number of wyrm_ioctl_peer that follow */
    uint8_t padding_1[4];
};

/* The bytes of Windows' SOCKADDR_INET. */
struct wyrm_ioctl_endpoint {
    uint16_t family; /* WYRM_FAMILY_* */
    uint16_t port;   /* network order */
    union {
        struct {
            uint8_t address[4];
            uint8_t zero[8];
        } ipv4;
        struct {
            uint32_t flow_info; /* network order */
            uint8_t address[16];
            uint32_t scope_id; /* host order: interface index */
        } ipv6;
    } u;
};

struct wyrm_ioctl_peer {
    WYRM_CONTROL_ALIGN uint32_t flags; /* WYRM_PEER_* */
    uint32_t protocol_version;         /* 0: the newest known; 1 */
    uint8_t public_key[WYRM_KEY_LENGTH];
    uint8_t preshared_key[WYRM_KEY_LENGTH];
    uint16_t persistent_keepalive; /* seconds; 0: off */
    uint8_t padding_0[2];
    struct wyrm_ioctl_endpoint endpoint;
    uint64_t tx_bytes;          /* GET only */
    uint64_t rx_bytes;          /* GET only */
    uint64_t last_handshake;    /* GET only: 100 ns since 1601-01-01 UTC; 0: never */
    uint32_t allowed_ips_count; /* number of wyrm_ioctl_allowed_ip that follow this peer */
    uint8_t padding_1[4];
};

struct wyrm_ioctl_allowed_ip {
    WYRM_CONTROL_ALIGN uint8_t address[16]; /* network order; IPv4 in the first 4 */
    uint16_t family;                        /* WYRM_FAMILY_* */
    uint8_t cidr;                           /* prefix length in bits: 0..32 or 0..128 */
    uint8_t padding_0;
    uint32_t flags; /* WYRM_ALLOWED_IP_*; clients of before 1.0 left padding here, so always write it */
};

struct wyrm_ioctl_log_entry {
    WYRM_CONTROL_ALIGN uint64_t timestamp; /* 100 ns since 1601-01-01 UTC */
    char text[WYRM_LOG_TEXT_LENGTH]; /* UTF-8, NUL-terminated; first character '1' error, '2' warning, '3'
                                        information */
};

/* ---- the layout is the interface ---- */
WYRM_CONTROL_ASSERT(sizeof(struct wyrm_ioctl_interface) == 80);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_interface, flags) == 0);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_interface, listen_port) == 4);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_interface, private_key) == 6);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_interface, public_key) == 38);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_interface, peers_count) == 72);

WYRM_CONTROL_ASSERT(sizeof(struct wyrm_ioctl_endpoint) == 28);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_endpoint, family) == 0);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_endpoint, port) == 2);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_endpoint, u.ipv4.address) == 4);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_endpoint, u.ipv6.flow_info) == 4);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_endpoint, u.ipv6.address) == 8);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_endpoint, u.ipv6.scope_id) == 24);

WYRM_CONTROL_ASSERT(sizeof(struct wyrm_ioctl_peer) == 136);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_peer, flags) == 0);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_peer, protocol_version) == 4);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_peer, public_key) == 8);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_peer, preshared_key) == 40);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_peer, persistent_keepalive) == 72);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_peer, endpoint) == 76);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_peer, tx_bytes) == 104);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_peer, rx_bytes) == 112);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_peer, last_handshake) == 120);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_peer, allowed_ips_count) == 128);

WYRM_CONTROL_ASSERT(sizeof(struct wyrm_ioctl_allowed_ip) == 24);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_allowed_ip, address) == 0);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_allowed_ip, family) == 16);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_allowed_ip, cidr) == 18);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_allowed_ip, flags) == 20);

WYRM_CONTROL_ASSERT(sizeof(struct wyrm_ioctl_log_entry) == 128);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_log_entry, timestamp) == 0);
WYRM_CONTROL_ASSERT(offsetof(struct wyrm_ioctl_log_entry, text) == 8);
