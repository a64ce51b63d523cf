/* Verify mode's sends: the same packets, but in every shape that a protocol stack may choose.  NET_BUFFERs of
 * a flow are spread over NBLs at random; data is split over several MDLs, at odd addresses and offsets, also
 * in the middle of a header, with unused bytes in front and behind.  On completion everything must be as it
 * was; after it the memory is inaccessible or poisoned. */
#include "dice.h"
#include "edge/segment.h"
#include "ndis.h"
#include "strict_memory.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <string.h>

#define PIECES_MAX 4u
#define EDGE_FILL  0xee

struct piece {
    MDL *mdl;
    MDL saved;
    uint8_t *memory, *copy;
    uint32_t bytes;
};

struct strict_buffer {
    NET_BUFFER buffer;
    struct strict_buffer *next;
    uint32_t length;
    bool guarded;
    unsigned pieces;
    struct piece piece[PIECES_MAX];
};

struct strict_nbl {
    NET_BUFFER_LIST list;
    struct strict_buffer *buffers;
    uint32_t bytes;
    uint32_t offload; /* index of the information that was sent with it, 0: none */
    bool guarded;
};

static void piece_free(struct piece *piece, bool guarded)
{
    strict_free(guarded, piece->memory, piece->bytes);
    free(piece->copy);
    strict_free(guarded, piece->mdl, sizeof *piece->mdl);
}

static bool piece_make(struct piece *piece, bool guarded, const uint8_t *data, uint32_t bytes, uint32_t front,
                       uint32_t back)
{
    uint32_t total = front + bytes + back;

    /* It ends at an inaccessible page, and so starts at any alignment. */
    piece->memory = strict_allocate(guarded, total, 1, "sent packet's data", RULE_NBL_NOT_OWNED);
    piece->mdl = strict_allocate(guarded, MDL_BYTES(total), 16, "sent packet's MDL", RULE_NBL_NOT_OWNED);
    piece->copy = malloc(total);
    if (!piece->memory || !piece->mdl || !piece->copy)
        return false;
    memset(piece->mdl, 0, MDL_BYTES(total));
    piece->bytes = total;
    memset(piece->memory, EDGE_FILL, total);
    memcpy(piece->memory + front, data, bytes);
    memcpy(piece->copy, piece->memory, total);
    mdl_describe(piece->mdl, piece->memory, total);
    return true;
}

static void buffer_free(struct strict_buffer *b)
{
    for (unsigned i = 0; i < b->pieces; i++)
        piece_free(&b->piece[i], b->guarded);
    strict_free(b->guarded, b, sizeof *b);
}

/* `whole`: so many bytes from the start on lie in the first MDL. */
static struct strict_buffer *buffer_make(struct ndis_adapter *adapter, const uint8_t *data, uint32_t length,
                                         uint32_t whole)
{
    bool guarded = strict_guard();
    struct strict_buffer *b = strict_allocate(guarded, sizeof *b, 16, "sent NET_BUFFER", RULE_NBL_NOT_OWNED);
    uint32_t front = adapter->data_backfill + (dice_chance(2) ? dice_below(40) : 0);
    unsigned pieces = dice_chance(2) ? 1 : 2 + dice_below(PIECES_MAX - 1);
    uint32_t done = 0;

    if (!b)
        return NULL;
    memset(b, 0, sizeof *b);
    b->guarded = guarded;
    b->length = length;
    for (unsigned i = 0; i < pieces; i++) {
        bool last = i + 1 == pieces || done == length;
        uint32_t take = last ? length - done : 1 + dice_below(length - done);

        if (done == 0 && take < whole)
            take = whole;
        last |= done + take == length;

        b->pieces = i + 1;
        if (!piece_make(&b->piece[i], guarded, data + done, take, i == 0 ? front : 0,
                        last ? dice_below(14) : 0)) {
            buffer_free(b);
            return NULL;
        }
        if (i > 0)
            b->piece[i - 1].mdl->Next = b->piece[i].mdl;
        done += take;
        if (last)
            break;
    }
    for (unsigned i = 0; i < b->pieces; i++)
        b->piece[i].saved = *b->piece[i].mdl;
    net_buffer_set_data(&b->buffer, b->piece[0].mdl, front, length);
    b->buffer.NdisPoolHandle = adapter;
    return b;
}

static struct strict_nbl *nbl_make(struct ndis_adapter *adapter, uint8_t version)
{
    bool guarded = strict_guard();
    struct strict_nbl *nbl =
        strict_allocate(guarded, sizeof *nbl, 16, "sent NET_BUFFER_LIST", RULE_NBL_NOT_OWNED);

    if (!nbl)
        return NULL;
    memset(nbl, 0, sizeof *nbl);
    nbl->guarded = guarded;
    transmit_prepare_list(adapter, &nbl->list, version);
    return nbl;
}

/* The packet as it is, for the driver to complete. */
static NET_BUFFER_LIST *whole_list(struct ndis_adapter *adapter, const struct tun_packet *packet,
                                   const struct offload_send *send, uint8_t *scratch)
{
    struct strict_nbl *nbl = nbl_make(adapter, send->version);
    struct strict_buffer *b;

    if (!nbl)
        return NULL;
    memcpy(scratch, packet->data, packet->length);
    offload_write(send, scratch, &nbl->list);
    /* Microsoft, "Offloading the Segmentation of Large TCP Packets": all headers are in the first MDL. */
    b = buffer_make(adapter, scratch, packet->length, send->header_bytes);
    if (!b) {
        strict_free(nbl->guarded, nbl, sizeof *nbl);
        return NULL;
    }
    nbl->list.FirstNetBuffer = &b->buffer;
    nbl->buffers = b;
    nbl->bytes = packet->length;
    nbl->offload = send->index;
    return &nbl->list;
}

NET_BUFFER_LIST *strict_list(struct ndis_adapter *adapter, const struct tun_packet *packet)
{
    static uint8_t scratch[65536]; /* only the loop thread sends */
    struct segmenter segmenter;
    struct offload_send send;
    uint8_t version = packet->length ? packet->data[0] >> 4 : 0;
    NET_BUFFER_LIST *first = NULL, **tail = &first;
    NET_BUFFER **buffer_tail = NULL;
    struct strict_nbl *nbl = NULL;

    if ((version != 4 && version != 6) || segment_begin(&segmenter, packet) != 0)
        return NULL;
    if (packet->length <= sizeof scratch && offload_fits(adapter, packet, &send) && !dice_chance(4))
        return whole_list(adapter, packet, &send, scratch);
    for (uint32_t i = 0; i < segmenter.count; i++) {
        uint32_t length = segment_length(&segmenter, i);
        struct strict_buffer *b;

        segment_write(&segmenter, i, scratch);
        b = buffer_make(adapter, scratch, length, 0);
        if (!b)
            break;
        if (!nbl || dice_chance(4)) {
            nbl = nbl_make(adapter, version);
            if (!nbl) {
                buffer_free(b);
                break;
            }
            *tail = &nbl->list;
            tail = &nbl->list.Next;
            buffer_tail = &nbl->list.FirstNetBuffer;
        }
        *buffer_tail = &b->buffer;
        buffer_tail = &b->buffer.Next;
        b->next = nbl->buffers;
        nbl->buffers = b;
        nbl->bytes += length;
    }
    return first;
}

static void check_buffer(const NET_BUFFER_LIST *list, const struct strict_buffer *b)
{
    if (b->buffer.DataLength != b->length || b->buffer.MdlChain != b->piece[0].mdl)
        verify_report(RULE_NBL_FIELDS,
                      "sent NET_BUFFER_LIST %p: a NET_BUFFER came back with other data: %u bytes, was %u",
                      (const void *)list, b->buffer.DataLength, b->length);
    for (unsigned i = 0; i < b->pieces; i++) {
        const struct piece *piece = &b->piece[i];

        if (piece->mdl->Next != piece->saved.Next || piece->mdl->ByteCount != piece->saved.ByteCount ||
            piece->mdl->ByteOffset != piece->saved.ByteOffset || piece->mdl->StartVa != piece->saved.StartVa)
            verify_report(RULE_MDL_MISUSE, "sent NET_BUFFER_LIST %p: MDL %u of the sender was changed",
                          (const void *)list, i);
        if (memcmp(piece->memory, piece->copy, piece->bytes) != 0)
            verify_report(RULE_MDL_MISUSE, "sent NET_BUFFER_LIST %p: the sender's data was written to",
                          (const void *)list);
    }
}

uint32_t strict_completed(struct ndis_adapter *adapter, NET_BUFFER_LIST *list)
{
    struct strict_nbl *nbl = (struct strict_nbl *)list;
    uint32_t bytes = nbl->bytes;

    offload_check_completed(list, nbl->offload);
    while (nbl->buffers) {
        struct strict_buffer *b = nbl->buffers;

        nbl->buffers = b->next;
        check_buffer(list, b);
        buffer_free(b);
    }
    strict_free(nbl->guarded, nbl, sizeof *nbl);
    return bytes;
}
