/* Winsock Kernel as a driver writes it, for the tests of sockets: requests that are waited for, an inbox that
 * checks what arrives (byte k of message i is i * 31 + k), control data, lists of messages. */
#pragma once

#include "nt/ke.h"
#include "nt/wsk.h"

#include <stdbool.h>

#define IN_MAX 512u

extern WSK_PROVIDER_NPI npi;

struct request {
    IRP *irp;
    KEVENT done;
    NTSTATUS status;
    ULONG_PTR information;
};

struct inbox {
    PWSK_SOCKET socket;
    bool keep;
    uint32_t calls, datagrams, in_chain;         /* messages: coalesced datagrams are cut */
    uint32_t indications, largest, told, absurd; /* told: UDP_COALESCED_INFO */
    uint64_t bytes;
    WSK_DATAGRAM_INDICATION *kept;
    bool wrong;
    uint16_t from_port;
    uint32_t ifindex;
    uint8_t to[16];
    uint32_t size;
    KIRQL irql;
};

struct control { /* PKTINFO and the second, empty header */
    _Alignas(8) uint8_t bytes[160];
    ULONG length;
};

struct messages { /* a WSK_BUF_LIST over one buffer per message, the last shorter */
    WSK_BUF_LIST list[IN_MAX];
    MDL *mdl[IN_MAX];
    uint8_t *data;
    uint32_t count;
};

void request_prepare(struct request *request);
NTSTATUS request_wait(struct request *request);
const WSK_PROVIDER_DATAGRAM_DISPATCH *verbs(PWSK_SOCKET socket);
bool wait_datagrams(struct inbox *inbox, uint32_t count);
PWSK_SOCKET open_socket(ADDRESS_FAMILY family, struct inbox *inbox);
NTSTATUS set_option(PWSK_SOCKET socket, ULONG level, ULONG option, ULONG value);
NTSTATUS bind_socket(PWSK_SOCKET socket, ADDRESS_FAMILY family, USHORT port);
USHORT local_port(PWSK_SOCKET socket);
NTSTATUS close_socket(PWSK_SOCKET socket);
USHORT swap16(uint32_t v);
SOCKADDR_INET loopback(ADDRESS_FAMILY family, USHORT port);
struct control pktinfo(ADDRESS_FAMILY family, const void *address, ULONG ifindex, bool second);
void messages_make(struct messages *m, uint32_t size, uint32_t count, uint32_t last);
void messages_free(struct messages *m);
NTSTATUS send_messages(PWSK_SOCKET socket, WSK_BUF_LIST *list, SOCKADDR_INET to, struct control control);
NTSTATUS static_events(ULONG mask);
void wsk_register(void);
void wsk_deregister(void);
/* Appends a control message of `bytes` bytes of `value`. */
void control_add(struct control *control, INT level, INT type, ULONG value, ULONG bytes);
void wsk_verbs_hand_over(void); /* its checks, see test_network.h */
