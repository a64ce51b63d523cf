/* UDP_SEND_MSG_SIZE and UDP_RECV_MAX_COALESCED_SIZE of a WSK socket (Microsoft: "IPPROTO_UDP socket
 * options"). They are ULONGs, 0 = off.  Which of them a socket knows is what the edge below does; the
 * environment variable NTHOST_UDP_OFFLOADS ("no-send,no-receive,send-fails,unmarked,absurd") makes it an
 * older or a broken system. */
#include "wsk_internal.h"

#include <stdlib.h>
#include <string.h>

static uint32_t broken(void)
{
    static const struct {
        const char *word;
        uint32_t without, with;
    } words[] = {{"no-send", WSK_UDP_SEND, 0},
                 {"no-receive", WSK_UDP_RECEIVE, 0},
                 {"send-fails", 0, WSK_UDP_SEND_FAILS},
                 {"unmarked", 0, WSK_UDP_UNMARKED},
                 {"absurd", 0, WSK_UDP_ABSURD}};
    const char *at = getenv("NTHOST_UDP_OFFLOADS");
    uint32_t without = 0, with = 0;

    while (at && *at) {
        size_t length = strcspn(at, ",");
        bool found = length == 0;

        for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
            if (strlen(words[i].word) == length && strncmp(words[i].word, at, length) == 0) {
                without |= words[i].without;
                with |= words[i].with;
                found = true;
            }
        if (!found)
            host_warn("NTHOST_UDP_OFFLOADS: no such word: %.*s", (int)length, at);
        at += length + (at[length] == ',');
    }
    return with | (~without & (WSK_UDP_SEND | WSK_UDP_RECEIVE));
}

uint32_t wsk_udp_offloads(const struct udp_socket *udp)
{
    unsigned edge = udp_offloads(udp);
    uint32_t offloads = broken();

    if (!(edge & UDP_OFFLOAD_SEND))
        offloads &= ~(uint32_t)WSK_UDP_SEND;
    if (!(edge & UDP_OFFLOAD_RECEIVE))
        offloads &= ~(uint32_t)WSK_UDP_RECEIVE;
    return offloads;
}

NTSTATUS wsk_udp_set(struct wsk_socket *socket, ULONG option, SIZE_T size, const void *buffer)
{
    bool send = option == UDP_SEND_MSG_SIZE;
    uint32_t value;

    if ((!send && option != UDP_RECV_MAX_COALESCED_SIZE) ||
        !(socket->offloads & (send ? WSK_UDP_SEND : WSK_UDP_RECEIVE)))
        return STATUS_NOT_SUPPORTED;
    if (!buffer || size != sizeof value)
        return STATUS_INVALID_PARAMETER;
    memcpy(&value, buffer, sizeof value);
    if (value > WSK_MESSAGE_MAX_BYTES)
        return STATUS_INVALID_PARAMETER;
    __atomic_store_n(send ? &socket->send_segment : &socket->coalesced_max, value, __ATOMIC_RELAXED);
    return STATUS_SUCCESS;
}

NTSTATUS wsk_udp_get(const struct wsk_socket *socket, ULONG option, SIZE_T size, void *buffer,
                     SIZE_T *returned)
{
    bool send = option == UDP_SEND_MSG_SIZE;

    if ((!send && option != UDP_RECV_MAX_COALESCED_SIZE) ||
        !(socket->offloads & (send ? WSK_UDP_SEND : WSK_UDP_RECEIVE)))
        return STATUS_NOT_SUPPORTED;
    if (!buffer || size < sizeof(uint32_t))
        return STATUS_BUFFER_TOO_SMALL;
    memcpy(buffer, send ? &socket->send_segment : &socket->coalesced_max, sizeof(uint32_t));
    *returned = sizeof(uint32_t);
    return STATUS_SUCCESS;
}

bool wsk_udp_coalesced_size(const struct wsk_socket *socket, uint32_t segment, uint32_t length,
                            uint32_t *told)
{
    static uint32_t times;

    *told = segment;
    if (socket->offloads & WSK_UDP_ABSURD)
        *told = __atomic_fetch_add(&times, 1, __ATOMIC_RELAXED) % 2 ? 0 : length + 1;
    return !(socket->offloads & WSK_UDP_UNMARKED);
}
