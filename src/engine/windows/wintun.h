/* wintun.dll's public programming interface, as its documentation describes it (wintun.net, "API reference"):
 * declared here from that description, found at run time, nothing of it is part of this program.  All
 * functions use the Windows calling convention and set the last error. */
#pragma once

#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <ws2ipdef.h>

#include <iphlpapi.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct wintun_adapter_ *wintun_adapter;
typedef struct wintun_session_ *wintun_session;

#define WINTUN_PACKET_BYTES_MAX 0xFFFFu
#define WINTUN_RING_BYTES       0x400000u /* of 128 KiB to 64 MiB, a power of two */

struct wintun_functions {
    /* NULL: GetLastError() says why.  Closing an adapter removes it. */
    wintun_adapter(WINAPI *create_adapter)(const wchar_t *name, const wchar_t *tunnel_type,
                                           const GUID *requested_guid);
    void(WINAPI *close_adapter)(wintun_adapter adapter);
    void(WINAPI *get_adapter_luid)(wintun_adapter adapter, NET_LUID *luid);
    wintun_session(WINAPI *start_session)(wintun_adapter adapter, DWORD ring_bytes);
    void(WINAPI *end_session)(wintun_session session);
    /* Signaled when packets can be read; belongs to the session. */
    HANDLE(WINAPI *get_read_wait_event)(wintun_session session);
    /* NULL: ERROR_NO_MORE_ITEMS (nothing there now), ERROR_HANDLE_EOF (the adapter is going),
     * ERROR_INVALID_DATA (the ring is damaged).  Several may be held; each is released. */
    uint8_t *(WINAPI *receive_packet)(wintun_session session, DWORD *bytes);
    void(WINAPI *release_receive_packet)(wintun_session session, const uint8_t *packet);
    /* NULL: ERROR_BUFFER_OVERFLOW (the ring is full), ERROR_HANDLE_EOF.  Packets are sent in the order of
     * allocation. */
    uint8_t *(WINAPI *allocate_send_packet)(wintun_session session, DWORD bytes);
    void(WINAPI *send_packet)(wintun_session session, const uint8_t *packet);
};

/* Finds wintun.dll beside the program or in System32, nowhere else.  NULL with `error` filled: it is not
 * there, or lacks a function.  It stays loaded. */
const struct wintun_functions *wintun_load(char *error, size_t error_size);
/* The last wintun_load() failed because there is no wintun.dll. */
bool wintun_is_missing(void);
