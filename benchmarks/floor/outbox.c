/* Messages on their way to the wire: runs of equal size, each one segmented send. */
#include "floor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* linux/udp.h */
#endif

#define RUNS    32u
#define SCRATCH (RUNS * 65536u)

struct run {
    struct iovec piece;
    unsigned messages;
    size_t segment;
    bool closed; /* a shorter message ends a run */
};

static struct run runs[RUNS];
static unsigned run_count;
static uint8_t *scratch;
static size_t used;
static uint64_t counter;
static int wire;

bool outbox_open(int socket)
{
    wire = socket;
    scratch = malloc(SCRATCH);
    return scratch != NULL;
}

static void account(size_t bytes)
{
    struct run *run = run_count > 0 ? &runs[run_count - 1] : NULL;

    if (!run || run->closed || bytes > run->segment || run->messages == RUN_MESSAGES ||
        run->piece.iov_len + bytes > RUN_BYTES) {
        run = &runs[run_count++];
        *run = (struct run){.piece = {scratch + used, 0}, .segment = bytes};
    }
    run->closed = bytes < run->segment;
    run->messages++;
    run->piece.iov_len += bytes;
}

/* Copying is faster than sending the pieces from where they are (measured: 5 %): the payload is in the cache
 * after its checksum was formed, and the kernel has one piece to copy instead of ninety. */
void outbox_put(const uint8_t *head, size_t head_length, uint8_t *body, size_t length)
{
    size_t bytes = head_length + length + OVERHEAD;
    uint8_t *out;

    if (run_count == RUNS || used + bytes > SCRATCH)
        outbox_send();
    account(bytes);
    out = scratch + used;
    used += bytes;
    memset(out, 0, MESSAGE_HEADER);
    out[0] = MESSAGE_DATA;
    memcpy(out + 8, &counter, 8);
    if (seals) {
        if (head_length)
            memcpy(body - head_length, head, head_length);
        seal_packet(out + MESSAGE_HEADER, body - head_length, head_length + length, counter);
    } else {
        if (head_length)
            memcpy(out + MESSAGE_HEADER, head, head_length);
        memcpy(out + MESSAGE_HEADER + head_length, body, length);
        memset(out + MESSAGE_HEADER + head_length + length, 0, MESSAGE_TAG);
    }
    counter++;
}

void outbox_send(void)
{
    struct mmsghdr messages[RUNS];
    char control[RUNS][CMSG_SPACE(sizeof(uint16_t))] __attribute__((aligned(8)));

    for (unsigned i = 0; i < run_count; i++) {
        struct msghdr *message = &messages[i].msg_hdr;

        *message = (struct msghdr){.msg_iov = &runs[i].piece, .msg_iovlen = 1};
        if (runs[i].messages > 1) {
            uint16_t segment = (uint16_t)runs[i].segment;
            struct cmsghdr *header = (struct cmsghdr *)control[i];

            header->cmsg_level = IPPROTO_UDP;
            header->cmsg_type = UDP_SEGMENT;
            header->cmsg_len = CMSG_LEN(sizeof segment);
            memcpy(CMSG_DATA(header), &segment, sizeof segment);
            message->msg_control = control[i];
            message->msg_controllen = sizeof control[i];
        }
    }
    for (unsigned done = 0; done < run_count;) {
        int sent = sendmmsg(wire, messages + done, run_count - done, 0);

        if (sent > 0)
            done += (unsigned)sent;
        else if (errno == EINTR || errno == ECONNREFUSED) /* the other end is not there yet */
            continue;
        else
            done++; /* lost, as any datagram may be */
    }
    run_count = 0;
    used = 0;
}
