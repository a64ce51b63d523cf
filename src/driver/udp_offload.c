/* What the sockets leave to the system: cutting runs of messages (UDP_SEND_MSG_SIZE) and coalescing received
 * ones (UDP_RECV_MAX_COALESCED_SIZE); Microsoft: "IPPROTO_UDP socket options", Windows 10 version 2004 and
 * later. Whether a system can do it is asked of each socket; what it does with it is checked, and given up
 * when it is wrong. */
#include "adapter.h"
#include "driver.h"
#include "udp_socket_private.h"

/* The largest message that can be coalesced: a datagram's length is 16 bits. */
#define COALESCED_MAX_BYTES 65535
/* Every path takes segments of this size (RFC 8200 section 5: 1280, less the IPv6 and UDP headers): when they
 * are refused, it is not for the path. */
#define SEGMENT_MIN_BYTES 1232
/* A path that has refused a segment size is asked again after so long (RFC 8899 section 5.1.1:
 * PMTU_RAISE_TIMER). */
#define PATH_RETRY_UNITS 35
#define PATH_UNIT_SHIFT  34 /* nanoseconds to units of 17 s */

void udp_offload_detect(struct udp_socket *socket)
{
    const struct adapter *adapter = socket->adapter;
    ULONG value = 1;
    socket->segmentation =
        adapter->udp_segmentation && NT_SUCCESS(udp_socket_set(socket, IPPROTO_UDP, UDP_SEND_MSG_SIZE, 0)) &&
        NT_SUCCESS(udp_socket_get(socket, IPPROTO_UDP, UDP_SEND_MSG_SIZE, &value)) && value == 0;
    if (!adapter->udp_coalescing ||
        !NT_SUCCESS(udp_socket_set(socket, IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE, COALESCED_MAX_BYTES)))
        return;
    socket->coalescing = true;
    /* A system that took the option and does not remember it may mean something else by it. */
    if (!NT_SUCCESS(udp_socket_get(socket, IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE, &value)) ||
        value != COALESCED_MAX_BYTES)
        udp_socket_set(socket, IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE, 0);
}

/* ---- segments: which sizes were refused, by remote address ---- */

/* An entry: 32 bits that name the address, the largest size that may be tried, when that was found out. */
static uint32_t path_name(const SOCKADDR_INET *remote)
{
    uint64_t words[2] = {0, 0};
    if (remote->si_family == AF_INET)
        __builtin_memcpy(words, &remote->Ipv4.sin_addr, sizeof(remote->Ipv4.sin_addr));
    else
        __builtin_memcpy(words, &remote->Ipv6.sin6_addr, sizeof(words));
    uint64_t mixed = (words[0] ^ (words[1] << 31 | words[1] >> 33)) * 0x9E3779B97F4A7C15ull;
    return (uint32_t)(mixed >> 32) | 1; /* not 0: that is an empty entry */
}

static uint16_t path_time(void)
{
    return (uint16_t)(time_now_ns() >> PATH_UNIT_SHIFT);
}

uint32_t udp_offload_segment(const struct udp_socket *socket, const SOCKADDR_INET *remote, uint32_t largest)
{
    if (!socket->segmentation)
        return 0;
    if (__atomic_load_n(&socket->refusals, __ATOMIC_RELAXED) == 0)
        return largest;
    uint32_t name = path_name(remote);
    uint64_t entry = __atomic_load_n(&socket->refused[name >> 8 & (SEGMENT_PATHS - 1)], __ATOMIC_RELAXED);
    bool refused = (uint32_t)(entry >> 32) == name && largest > (uint16_t)(entry >> 16) &&
                   (uint16_t)(path_time() - (uint16_t)entry) < PATH_RETRY_UNITS;
    return refused ? 0 : largest;
}

void udp_offload_refused(struct udp_socket *socket, const SOCKADDR_INET *remote, uint32_t segment,
                         NTSTATUS status)
{
    uint32_t name = path_name(remote);
    int32_t count = __atomic_add_fetch(&socket->refusals, 1, __ATOMIC_RELAXED);
    if (segment <= SEGMENT_MIN_BYTES) {
        socket->segmentation = false;
        log_line(socket->adapter, LOG_WARNING,
                 "Segments of %u bytes are refused (status %x): messages are sent one by one from now on",
                 segment, (uint32_t)status);
        return;
    }
    uint64_t entry = (uint64_t)name << 32 | (uint64_t)(segment - 1) << 16 | path_time();
    __atomic_store_n(&socket->refused[name >> 8 & (SEGMENT_PATHS - 1)], entry, __ATOMIC_RELAXED);
    log_line_limited(socket->adapter, LOG_WARNING,
                     "Segments of %u bytes are refused by a path (status %x, %u times): sent one by one",
                     segment, (uint32_t)status, (uint32_t)count);
}

/* ---- coalescing ---- */

uint32_t udp_message_bytes(const struct udp_socket *socket, const WSK_DATAGRAM_INDICATION *datagram)
{
    uint32_t length = (uint32_t)datagram->Buffer.Length, told = length;
    void *control = datagram->ControlInfo;
    SIZE_T left = control && socket->coalescing ? datagram->ControlInfoLength : 0;
    for (CMSGHDR *header = WSA_CMSG_FIRSTHDR(control, left); header;
         header = WSA_CMSG_NXTHDR(control, left, header)) {
        SIZE_T room = left - (SIZE_T)((uint8_t *)header - (uint8_t *)control);
        if (header->cmsg_len > room)
            break;
        if (header->cmsg_level != IPPROTO_UDP || header->cmsg_type != UDP_COALESCED_INFO)
            continue;
        if (header->cmsg_len < WSA_CMSG_LEN(sizeof(told)))
            return 0;
        __builtin_memcpy(&told, WSA_CMSG_DATA(header), sizeof(told));
        return told <= length ? told : 0;
    }
    return told;
}

void udp_coalescing_refuse(struct udp_socket *socket, const char *reason)
{
    if (!socket->coalescing || __atomic_exchange_n(&socket->coalescing_refused, true, __ATOMIC_RELAXED))
        return;
    log_line(socket->adapter, LOG_WARNING, "Coalesced datagrams %s: coalescing is switched off", reason);
    work_queue(WORK_CONTROL, &socket->adapter->socket_recovery.work);
}

/* `coalescing` stays: what is already coalesced may still come. */
void udp_offload_take_back(struct udp_socket *socket)
{
    if (!socket || socket->dead || socket->coalescing_off || !socket->coalescing_refused)
        return;
    socket->coalescing_off = true;
    if (!NT_SUCCESS(udp_socket_set(socket, IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE, 0)))
        log_line(socket->adapter, LOG_ERROR, "Coalescing cannot be switched off");
}
