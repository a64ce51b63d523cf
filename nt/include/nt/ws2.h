/*
 * Socket addresses, options and control data as WSK and the IP helper use them.
 * The names collide with the Linux socket headers: a source file includes either this or those.
 */
#ifndef NT_WS2_H
#define NT_WS2_H

#include "types.h"

typedef USHORT ADDRESS_FAMILY;
#define AF_UNSPEC   0
#define AF_INET     2
#define AF_INET6    0x17
#define SOCK_STREAM 1
#define SOCK_DGRAM  2
#define SOCK_RAW    3

typedef enum _IPPROTO {
    IPPROTO_HOPOPTS = 0,
    IPPROTO_ICMP = 1,
    IPPROTO_IGMP = 2,
    IPPROTO_IPV4 = 4,
    IPPROTO_TCP = 6,
    IPPROTO_UDP = 17,
    IPPROTO_IPV6 = 41,
    IPPROTO_ROUTING = 43,
    IPPROTO_FRAGMENT = 44,
    IPPROTO_ESP = 50,
    IPPROTO_AH = 51,
    IPPROTO_ICMPV6 = 58,
    IPPROTO_NONE = 59,
    IPPROTO_DSTOPTS = 60,
    IPPROTO_SCTP = 132,
    IPPROTO_RAW = 255,
    IPPROTO_MAX = 256,
} IPPROTO;
typedef IPPROTO *PIPPROTO;

#define SOL_SOCKET            0xFFFF
#define SOL_IP                0xFFFB
#define SOL_IPV6              0xFFFA
#define SO_BROADCAST          0x20
#define SO_COMPARTMENT_ID     0x3004
#define SO_EXCLUSIVEADDRUSE   (-5)
#define SO_PORT_SCALABILITY   0x3006
#define SO_RANDOMIZE_PORT     0x3005
#define SO_RCVBUF             0x1002
#define SO_REUSEADDR          4
#define SO_REUSE_UNICASTPORT  0x3007
#define SO_SNDBUF             0x1001
#define IP_DONTFRAGMENT       0xE
#define IP_ECN                0x32
#define IP_MTU                0x49
#define IP_MTU_DISCOVER       0x47
#define IP_OPTIONS            1
#define IP_PKTINFO            0x13
#define IP_RECVECN            0x32
#define IP_RECVTCLASS         0x28
#define IP_RECVTOS            0x28
#define IP_RTHDR              0x20
#define IP_TCLASS             0x27
#define IP_TOS                3
#define IP_TTL                4
#define IP_UNICAST_IF         0x1F
#define IP_USER_MTU           0x4C
#define IPV6_DONTFRAG         0xE
#define IPV6_ECN              0x32
#define IPV6_HOPLIMIT         0x15
#define IPV6_MTU              0x48
#define IPV6_MTU_DISCOVER     0x47
#define IPV6_PKTINFO          0x13
#define IPV6_PROTECTION_LEVEL 0x17
#define IPV6_RECVECN          0x32
#define IPV6_RECVTCLASS       0x28
#define IPV6_RTHDR            0x20
#define IPV6_TCLASS           0x27
#define IPV6_UNICAST_HOPS     4
#define IPV6_UNICAST_IF       0x1F
#define IPV6_USER_MTU         0x4C
#define IPV6_V6ONLY           0x1B
/* Sizes below are ULONGs; UDP_SEND_MSG_SIZE is an option and a control message, UDP_COALESCED_INFO a control
 * message. */
#define UDP_SEND_MSG_SIZE           2
#define UDP_RECV_MAX_COALESCED_SIZE 3
#define UDP_COALESCED_INFO          3
#define MSG_TRUNC                   0x100
#define MSG_CTRUNC                  0x200
#define MSG_BCAST                   0x400
#define MSG_MCAST                   0x800
#define INADDR_ANY                  0
#define INADDR_LOOPBACK             0x7F000001
#define INADDR_BROADCAST            0xFFFFFFFFu
#define INADDR_NONE                 0xFFFFFFFFu

typedef enum _PMTUD_STATE {
    IP_PMTUDISC_NOT_SET = 0,
    IP_PMTUDISC_DO = 1,
    IP_PMTUDISC_DONT = 2,
    IP_PMTUDISC_PROBE = 3,
    IP_PMTUDISC_MAX = 4,
} PMTUD_STATE;
typedef PMTUD_STATE *PPMTUD_STATE;

typedef struct _IN_ADDR {
    union {
        struct {
            UCHAR s_b1, s_b2, s_b3, s_b4;
        } S_un_b;
        struct {
            USHORT s_w1, s_w2;
        } S_un_w;
        ULONG S_addr;
    } S_un;
} IN_ADDR, *PIN_ADDR;

typedef struct _IN6_ADDR {
    union {
        UCHAR Byte[16];
        USHORT Word[8];
    } u;
} IN6_ADDR, *PIN6_ADDR;

typedef struct _SCOPE_ID {
    ULONG Value;
} SCOPE_ID, *PSCOPE_ID;

typedef struct _SOCKADDR {
    ADDRESS_FAMILY sa_family;
    CHAR sa_data[14];
} SOCKADDR, *PSOCKADDR;

/* Ports and addresses are in network byte order, scope ids in the host's. */
typedef struct _SOCKADDR_IN {
    ADDRESS_FAMILY sin_family;
    USHORT sin_port;
    IN_ADDR sin_addr;
    CHAR sin_zero[8];
} SOCKADDR_IN, *PSOCKADDR_IN;

typedef struct _SOCKADDR_IN6 {
    ADDRESS_FAMILY sin6_family;
    USHORT sin6_port;
    ULONG sin6_flowinfo;
    IN6_ADDR sin6_addr;
    union {
        ULONG sin6_scope_id;
        SCOPE_ID sin6_scope_struct;
    };
} SOCKADDR_IN6, *PSOCKADDR_IN6;

typedef union _SOCKADDR_INET {
    SOCKADDR_IN Ipv4;
    SOCKADDR_IN6 Ipv6;
    ADDRESS_FAMILY si_family;
} SOCKADDR_INET, *PSOCKADDR_INET;

typedef struct _SOCKADDR_STORAGE {
    ADDRESS_FAMILY ss_family;
    CHAR __ss_pad1[6];
    int64_t __ss_align;
    CHAR __ss_pad2[112];
} SOCKADDR_STORAGE, *PSOCKADDR_STORAGE;

typedef struct _SOCKET_ADDRESS {
    PSOCKADDR lpSockaddr;
    LONG iSockaddrLength;
} SOCKET_ADDRESS, *PSOCKET_ADDRESS;

/* --- control data: a sequence of headers, each followed by its data, both padded to the pointer size --- */
typedef struct _CMSGHDR {
    SIZE_T cmsg_len;
    LONG cmsg_level;
    LONG cmsg_type;
} CMSGHDR, *PCMSGHDR, WSACMSGHDR, *PWSACMSGHDR;

typedef struct _IN_PKTINFO {
    IN_ADDR ipi_addr;
    ULONG ipi_ifindex;
} IN_PKTINFO, *PIN_PKTINFO;

typedef struct _IN6_PKTINFO {
    IN6_ADDR ipi6_addr;
    ULONG ipi6_ifindex;
} IN6_PKTINFO, *PIN6_PKTINFO;

#define WSA_CMSGHDR_ALIGN(length)                                                                            \
    (((SIZE_T)(length) + _Alignof(CMSGHDR) - 1) & ~((SIZE_T) _Alignof(CMSGHDR) - 1))
#define WSA_CMSGDATA_ALIGN(length) (((SIZE_T)(length) + sizeof(PVOID) - 1) & ~((SIZE_T)sizeof(PVOID) - 1))
#define WSA_CMSG_DATA(cmsg)        ((PUCHAR)(cmsg) + WSA_CMSGDATA_ALIGN(sizeof(CMSGHDR)))
/* Bytes one control message with that much data takes, padding included. */
#define WSA_CMSG_SPACE(length) (WSA_CMSGDATA_ALIGN(sizeof(CMSGHDR) + WSA_CMSGHDR_ALIGN(length)))
/* The value of its cmsg_len. */
#define WSA_CMSG_LEN(length) (WSA_CMSGDATA_ALIGN(sizeof(CMSGHDR)) + (SIZE_T)(length))

/* First header of a control buffer, or NULL when it holds none. */
static inline PCMSGHDR WSA_CMSG_FIRSTHDR(PVOID Control, SIZE_T ControlLength)
{
    return ControlLength >= sizeof(CMSGHDR) ? (PCMSGHDR)Control : NULL;
}

/* The header after Cmsg, or NULL; a header whose length is nonsense ends the walk. */
static inline PCMSGHDR WSA_CMSG_NXTHDR(PVOID Control, SIZE_T ControlLength, PCMSGHDR Cmsg)
{
    SIZE_T offset = (SIZE_T)((PUCHAR)Cmsg - (PUCHAR)Control);
    SIZE_T room = ControlLength - offset;
    SIZE_T step;
    if (Cmsg->cmsg_len < sizeof(CMSGHDR) || Cmsg->cmsg_len > room) {
        return NULL;
    }
    step = WSA_CMSGHDR_ALIGN(Cmsg->cmsg_len);
    if (step > room || room - step < sizeof(CMSGHDR)) {
        return NULL;
    }
    return (PCMSGHDR)((PUCHAR)Cmsg + step);
}

#endif
