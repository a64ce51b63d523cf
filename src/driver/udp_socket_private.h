/* A socket's members.  Internal to udp_socket.c and udp_send.c. */
#pragma once

#include "udp_socket.h"
#include "wsk.h"

#define IPPROTO_IP_LEVEL 0 /* IPPROTO_IP of ws2def.h, as an option level */

struct udp_socket {
    struct adapter *adapter;
    ADDRESS_FAMILY family;
    volatile bool dead; /* the system has taken it away: it only wants to be closed */
    PWSK_SOCKET wsk;
    const WSK_PROVIDER_DATAGRAM_DISPATCH *dispatch;
    /* two per send (its completion, and the call itself), one per receive callback and per batch with kept
     * datagrams */
    EX_RUNDOWN_REF rundown;
    struct wsk_request request; /* making and closing, one at a time */
};
