/* A socket's members.  Internal to udp_socket.c, udp_send.c and udp_offload.c. */
#pragma once

#include "udp_socket.h"
#include "wsk.h"

#define IPPROTO_IP_LEVEL 0  /* IPPROTO_IP of ws2def.h, as an option level */
#define SEGMENT_PATHS    16 /* refusals remembered, by remote address */

struct udp_socket {
    struct adapter *adapter;
    ADDRESS_FAMILY family;
    volatile bool dead; /* the system has taken it away: it only wants to be closed */
    PWSK_SOCKET wsk;
    const WSK_PROVIDER_DATAGRAM_DISPATCH *dispatch;
    /* two per send (its completion, and the call itself), one per receive callback and per batch with kept
     * datagrams */
    EX_RUNDOWN_REF rundown;
    struct wsk_request request; /* making, options and closing, one at a time */

    /* ---- udp_offload.c ---- */
    volatile bool segmentation; /* UDP_SEND_MSG_SIZE is known */
    volatile bool coalescing;   /* UDP_RECV_MAX_COALESCED_SIZE was set, and datagrams may be coalesced */
    volatile bool coalescing_refused; /* it does harm: to be taken back */
    bool coalescing_off;              /* and was, under config_lock */
    volatile int32_t refusals;        /* of segmented sends */
    volatile uint64_t refused[SEGMENT_PATHS];
};

/* WskControlSocket with a ULONG.  PASSIVE_LEVEL, the socket's requests are the caller's. */
NTSTATUS udp_socket_set(struct udp_socket *socket, ULONG level, ULONG option, ULONG value);
NTSTATUS udp_socket_get(struct udp_socket *socket, ULONG level, ULONG option, ULONG *value);

/* Finds out what the system can do, as far as the adapter's keywords want it.  The socket is not yet bound.
 * PASSIVE_LEVEL. */
void udp_offload_detect(struct udp_socket *socket);
/* The segment size for messages of at most `largest` bytes to that address: `largest`, or 0: one by one. */
uint32_t udp_offload_segment(const struct udp_socket *socket, const SOCKADDR_INET *remote, uint32_t largest);
/* Segments of that size were refused with `status`, the same messages one by one were not. */
void udp_offload_refused(struct udp_socket *socket, const SOCKADDR_INET *remote, uint32_t segment,
                         NTSTATUS status);
/* Takes UDP_RECV_MAX_COALESCED_SIZE back where it was refused.  PASSIVE_LEVEL, config_lock held. */
void udp_offload_take_back(struct udp_socket *socket);
