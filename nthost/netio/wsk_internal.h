/* What the files of the Winsock Kernel provider share. */
#pragma once

#include "edge/edge.h"
#include "host.h"
#include "ndis/dice.h"
#include "ndis/spin.h"
#include "nt/wsk.h"
#include "sched/sched.h"
#include "verify/verify.h"

#define WSK_SOCKET_MAGIC      0x6b63736bu
#define LEVEL_IP              0 /* IPPROTO_IP */
#define WSK_VERSION_1_0       MAKE_WSK_VERSION(1, 0)
#define CONTROL_MAX_BYTES     512u
#define WSK_MESSAGE_MAX_BYTES 65535u /* also the largest value of the UDP options */

struct wsk_client { /* one WskRegister */
    uint32_t magic;
    WSK_CLIENT_NPI npi;
    int32_t captured;
    int32_t sockets;
    uint32_t static_events; /* WSK_SET_STATIC_EVENT_CALLBACKS */
};

/* Where a message goes, copied out of the caller's memory. */
struct send_target {
    struct udp_address to;
    struct udp_address local;
    bool has_local;
    uint32_t ifindex;
    bool segments;    /* UDP_SEND_MSG_SIZE is known here */
    uint32_t segment; /* its value, 0 = none */
};

struct pending_send {
    struct pending_send *next;
    struct wsk_socket *socket;
    IRP *irp;
    struct send_target target;
    WSK_BUF_LIST single; /* WskSendTo */
    WSK_BUF_LIST *rest;  /* the caller's list; stays valid until the IRP completes */
    SIZE_T skip;         /* of the first message, which is cut into segments: so much of it is sent */
    SIZE_T sent_bytes;
    NTSTATUS status;
};

struct wsk_socket {
    WSK_SOCKET public; /* first: the driver's handle */
    uint32_t magic;
    uint8_t family; /* 4 or 6 */
    bool bound, closing;
    bool lost;               /* taken away by the system */
    struct wsk_socket *next; /* of all open ones */
    bool deliver_pktinfo;
    uint32_t offloads;      /* WSK_UDP_*: what its system offers, and how it fails */
    uint32_t send_segment;  /* UDP_SEND_MSG_SIZE, 0 = off */
    uint32_t coalesced_max; /* UDP_RECV_MAX_COALESCED_SIZE, 0 = off */
    bool events;            /* WskReceiveFromEvent enabled */
    bool static_events;
    bool has_remote, has_sendto;
    struct udp_address remote, sendto;
    struct wsk_client *client;
    void *context;
    PFN_WSK_RECEIVE_FROM_EVENT receive_from;
    struct udp_socket *udp;
    int32_t inside;   /* callbacks and deferred work of this socket that run now */
    int64_t retained; /* datagrams the client keeps */
    struct spin lock; /* pending sends */
    struct pending_send *pending, **pending_tail;
    bool flushing;
    IRP *close_irp;
};

/* The socket behind a handle; NULL (reported in verify mode) if it is none or closed. */
struct wsk_socket *wsk_socket_from(PWSK_SOCKET socket, const char *function);

/* ---- IRPs (wsk_irp.c) ---- */
/* Takes the IRP over at the provider's level: checks its stack locations. */
void wsk_irp_accept(IRP *irp, const char *function);
/* Completes it now; never touched afterwards. */
void wsk_irp_complete(IRP *irp, NTSTATUS status, ULONG_PTR information);
/* The result of a request that is already known. Completes inline (fast mode) or in one of the ways that a
 * caller must survive (verify mode); returns what the WSK function returns. */
NTSTATUS wsk_irp_result(IRP *irp, NTSTATUS status, ULONG_PTR information);
/* Marks it pending; it will be completed by wsk_irp_complete_pended(). */
void wsk_irp_pend(IRP *irp);
void wsk_irp_complete_pended(IRP *irp, NTSTATUS status, ULONG_PTR information);

NTSTATUS wsk_status_of(int error); /* negative errno to NTSTATUS */

/* ---- addresses and control data (wsk_address.c) ---- */
bool wsk_address_from(uint8_t family, const SOCKADDR *in, struct udp_address *out);
/* Writes a SOCKADDR_IN or SOCKADDR_IN6; returns its bytes. */
size_t wsk_address_to(const struct udp_address *in, void *out);
/* Reads a send's control data: STATUS_INVALID_PARAMETER when it is malformed. */
NTSTATUS wsk_control_parse(uint8_t family, const void *control, uint32_t length, struct send_target *target);
/* Writes IP_PKTINFO / IPV6_PKTINFO; returns bytes (padded). `out` has room for 40. */
uint32_t wsk_control_pktinfo(const struct udp_datagram *datagram, uint8_t family, void *out);
/* Writes UDP_COALESCED_INFO; returns bytes (padded), 24 at most. */
uint32_t wsk_control_coalesced(uint32_t segment, void *out);

/* ---- UDP segmentation and coalescing (wsk_offload.c) ---- */
enum {
    WSK_UDP_SEND = 1 << 0,
    WSK_UDP_RECEIVE = 1 << 1,
    /* The system is broken, for tests of what a driver does then (wsk_offload.c): */
    WSK_UDP_SEND_FAILS = 1 << 2, /* the option can be set, segmented sends are refused */
    WSK_UDP_UNMARKED = 1 << 3,   /* coalesced datagrams come without their control message */
    WSK_UDP_ABSURD = 1 << 4,     /* ... or with a size that cannot be */
};
uint32_t wsk_udp_offloads(const struct udp_socket *udp);
/* Level IPPROTO_UDP. */
NTSTATUS wsk_udp_set(struct wsk_socket *socket, ULONG option, SIZE_T size, const void *buffer);
NTSTATUS wsk_udp_get(const struct wsk_socket *socket, ULONG option, SIZE_T size, void *buffer,
                     SIZE_T *returned);
/* The size that is told of a coalesced datagram of `length` bytes; false: nothing is told. */
bool wsk_udp_coalesced_size(const struct wsk_socket *socket, uint32_t segment, uint32_t length,
                            uint32_t *told);

/* ---- data (wsk_send.c, wsk_receive.c) ---- */
WSK_SEND_TO wsk_send_to;
WSK_SEND_MESSAGES wsk_send_messages;
WSK_RELEASE_DATAGRAM_INDICATION_LIST wsk_release;
void wsk_send_cancel_all(struct wsk_socket *socket);
void wsk_received(void *socket, struct udp_datagram *datagrams, unsigned count, void *token);
/* Tells the client that the socket is lost; the caller counts in `inside`.  Loop thread. */
void wsk_indicate_lost(struct wsk_socket *socket);
/* Verify mode: has every datagram been released? */
void wsk_receive_check_closed(struct wsk_socket *socket);

/* ---- sockets (wsk_socket.c) ---- */
WSK_SOCKET_FUNCTION wsk_socket_create;
