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
#define PIECES  2048u
#define COPIED  512u /* a packet up to this size is copied: cheaper than one more piece */
#define SCRATCH (RUNS * 65536u)

struct run {
    struct iovec *pieces;
    unsigned count, messages;
    size_t segment, bytes;
    bool closed; /* a shorter message ends a run */
};

static struct run runs[RUNS];
static struct iovec pieces[PIECES];
static unsigned run_count, piece_count;
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

static struct run *run_for(size_t bytes)
{
    struct run *run = run_count > 0 ? &runs[run_count - 1] : NULL;

    if (!run || run->closed || bytes > run->segment || run->messages == RUN_MESSAGES ||
        run->bytes + bytes > RUN_BYTES || run->count + 3 > 1000) {
        run = &runs[run_count++];
        *run = (struct run){.pieces = pieces + piece_count, .segment = bytes};
    }
    run->closed = bytes < run->segment;
    run->messages++;
    run->bytes += bytes;
    return run;
}

/* Memory that follows the last piece makes that one longer. */
static void add_piece(struct run *run, uint8_t *at, size_t length)
{
    struct iovec *last = run->count > 0 ? &run->pieces[run->count - 1] : NULL;

    if (last && (uint8_t *)last->iov_base + last->iov_len == at) {
        last->iov_len += length;
        return;
    }
    run->pieces[run->count++] = (struct iovec){at, length};
    piece_count++;
}

static uint8_t *take(size_t length)
{
    uint8_t *at = scratch + used;

    used += length;
    return at;
}

void outbox_put(const uint8_t *head, size_t head_length, uint8_t *body, size_t length)
{
    size_t bytes = head_length + length + OVERHEAD;
    struct run *run;
    uint8_t *out;

    if (run_count == RUNS || piece_count + 3 > PIECES || used + 65536 > SCRATCH)
        outbox_send();
    run = run_for(bytes);
    out = take(MESSAGE_HEADER);
    memset(out, 0, MESSAGE_HEADER);
    out[0] = MESSAGE_DATA;
    memcpy(out + 8, &counter, 8);
    if (seals) {
        uint8_t *sealed = take(head_length + length + MESSAGE_TAG);

        if (head_length)
            memcpy(body - head_length, head, head_length);
        seal_packet(sealed, body - head_length, head_length + length, counter);
        add_piece(run, out, bytes);
    } else if (head_length + length <= COPIED) {
        uint8_t *copy = take(head_length + length + MESSAGE_TAG);

        if (head_length)
            memcpy(copy, head, head_length);
        memcpy(copy + head_length, body, length);
        memset(copy + head_length + length, 0, MESSAGE_TAG);
        add_piece(run, out, bytes);
    } else {
        if (head_length)
            memcpy(take(head_length), head, head_length);
        add_piece(run, out, MESSAGE_HEADER + head_length);
        add_piece(run, body, length);
        add_piece(run, memset(take(MESSAGE_TAG), 0, MESSAGE_TAG), MESSAGE_TAG);
    }
    counter++;
}

void outbox_send(void)
{
    struct mmsghdr messages[RUNS];
    char control[RUNS][CMSG_SPACE(sizeof(uint16_t))] __attribute__((aligned(8)));

    for (unsigned i = 0; i < run_count; i++) {
        struct msghdr *message = &messages[i].msg_hdr;

        *message = (struct msghdr){.msg_iov = runs[i].pieces, .msg_iovlen = runs[i].count};
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
    run_count = piece_count = 0;
    used = 0;
}
