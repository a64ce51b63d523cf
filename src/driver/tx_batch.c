/* Filling and encrypting a transmit batch: plaintext is read once, straight from the sender's MDLs, and its
 * ciphertext lands in the batch buffer where the socket takes it from. */
#include "adapter.h"
#include "batch.h"
#include "memory.h"
#include "peer.h"
#include "protocol/internet_checksum.h"
#include "protocol/messages.h"
#include "protocol/packet.h"
#include "segment.h"
#include "wide.h"
#include "workspace.h"

/* Above this much in the sockets, plaintext owners are completed only when the socket has taken the
 * ciphertext: the one back-pressure that NDIS has. */
#define TX_OUTSTANDING_MAX_BYTES (4 * 1024 * 1024)

_Static_assert(MESSAGE_OVERHEAD_BYTES == MESSAGE_DATA_HEADER_BYTES + TAG_BYTES, "white paper 5.4.6");

void nbl_chain_complete(struct adapter *adapter, struct nbl_chain *chain)
{
    if (!chain->head)
        return;
    uint32_t count = chain->count;
    ULONG flags = KeGetCurrentIrql() >= DISPATCH_LEVEL ? NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL : 0;
    NdisMSendNetBufferListsComplete(adapter->miniport, chain->head, flags);
    *chain = (struct nbl_chain){0};
    ExReleaseRundownProtectionEx(&adapter->transmit_rundown, count);
}

bool tx_batch_room(const struct tx_batch *tx, uint32_t plaintext)
{
    if (tx->batch.count == 0)
        return plaintext + MESSAGE_OVERHEAD_BYTES <= tx->buffer_bytes;
    uint32_t used = tx->used + plaintext + MESSAGE_OVERHEAD_BYTES + MESSAGE_PADDING_MAX_BYTES;
    return tx->batch.count < tx->limit && used <= tx->buffer_bytes && used <= BATCH_MESSAGES_MAX_BYTES;
}

struct tx_packet *tx_batch_add(struct tx_batch *tx, uint32_t plaintext, uint32_t mtu)
{
    struct tx_packet *packet = &tx->packets[tx->batch.count++];
    uint32_t padding = packet_padding(plaintext, mtu);
    /* Padding never makes a message too long for the family that carries it, which is not known yet. */
    uint32_t limit = plaintext <= PLAINTEXT_V4_MAX_BYTES ? PLAINTEXT_V4_MAX_BYTES : PLAINTEXT_MAX_BYTES;
    if (padding > limit - plaintext)
        padding = limit - plaintext;
    packet->request = packet->cut = 0;
    packet->offset = tx->used;
    packet->plaintext = plaintext;
    packet->padding = padding;
    packet->sealed = 0;
    uint32_t message = plaintext + padding + MESSAGE_OVERHEAD_BYTES;
    tx->used += message;
    if (message > tx->largest)
        tx->largest = message;
    tx->plaintext += plaintext;
    return packet;
}

/* Describes the plaintext of packet `i`.  When its MDLs are too many for the table (each packet behind it
 * keeps room for one), it is copied to its place in the buffer and encrypted there.  False: an MDL cannot be
 * mapped. */
static bool describe_source(struct tx_batch *tx, struct workspace *workspace, uint32_t i,
                            struct aead_item *item)
{
    const struct tx_packet *packet = &tx->packets[i];
    item->source = &workspace->sources[workspace->sources_used];
    item->source_count = 0;
    if (packet->plaintext == 0)
        return true;
    if (packet->staged) {
        workspace->sources[workspace->sources_used++] =
            (struct aead_segment){(uint8_t *)packet->staged, packet->plaintext};
        item->source_count = 1;
        return true;
    }
    uint32_t behind = tx->batch.count - i - 1;
    uint32_t limit = WORKSPACE_SEGMENTS - workspace->sources_used - behind;
    MDL *mdl = NET_BUFFER_CURRENT_MDL(packet->buffer);
    uint32_t offset = NET_BUFFER_CURRENT_MDL_OFFSET(packet->buffer);
    item->source_count = workspace_add_mdl(workspace, mdl, offset, packet->plaintext, limit);
    if (item->source_count > 0)
        return true;
    uint8_t *copy = tx->buffer + packet->offset + MESSAGE_DATA_HEADER_BYTES;
    if (!mdl_copy(copy, mdl, offset, packet->plaintext))
        return false;
    workspace->sources[workspace->sources_used++] = (struct aead_segment){copy, packet->plaintext};
    item->source_count = 1;
    return true;
}

/* The sum of sources from `first` on, which follow each other. */
static uint64_t sum_sources(const struct workspace *workspace, uint32_t first)
{
    uint64_t sum = 0;
    bool odd = false;
    for (uint32_t i = first; i < workspace->sources_used; i++) {
        const struct aead_segment *source = &workspace->sources[i];
        uint64_t part = internet_checksum_bytes(source->data, source->length);
        sum += odd ? internet_checksum_at_odd(part) : part;
        odd ^= source->length & 1;
    }
    return sum;
}

/* The same for a packet of which the sender left something to us: its headers are written where they will be
 * encrypted, in place, and its payload stays where it is.  `template` is that of the packet before, most
 * often of the same NET_BUFFER. */
static bool describe_segment(struct tx_batch *tx, struct workspace *workspace, uint32_t i,
                             struct segment_template *template, struct aead_item *item)
{
    const struct tx_packet *packet = &tx->packets[i];
    uint8_t *message = tx->buffer + packet->offset + MESSAGE_DATA_HEADER_BYTES;
    if (template->buffer != packet->buffer && !segment_begin(template, packet->buffer, packet->request))
        return false;
    uint32_t headers = template->view.header_bytes, payload = packet->plaintext - headers, offset;
    uint32_t first = workspace->sources_used, behind = tx->batch.count - i - 1;
    item->source = &workspace->sources[first];
    workspace->sources[workspace->sources_used++] = (struct aead_segment){message, headers};
    item->source_count = 1;
    if (payload > 0) {
        MDL *mdl = segment_seek(template, packet->cut, &offset);
        uint32_t limit = WORKSPACE_SEGMENTS - workspace->sources_used - behind;
        uint32_t slices = workspace_add_mdl(workspace, mdl, offset, payload, limit);
        if (slices == 0) {
            workspace->sources[first].length = packet->plaintext;
            return segment_copy(template, packet->cut, packet->plaintext, message);
        }
        item->source_count += slices;
    }
    uint64_t sum = packet->request & SEGMENT_SUM_TRANSPORT ? sum_sources(workspace, first + 1) : 0;
    segment_write_headers(template, packet->cut, payload, sum, message);
    return true;
}

/* Counts what was sealed; counts and marks what was not. */
static void note_sealed(struct tx_batch *tx, const struct workspace *workspace)
{
    uint32_t item = 0;
    for (uint32_t i = 0; i < tx->batch.count; i++) {
        struct tx_packet *packet = &tx->packets[i];
        if (packet->sealed != 0 && workspace->items[item++].ok) {
            tx->sealed++;
            continue;
        }
        packet->sealed = 0;
        if (packet->nbl)
            NET_BUFFER_LIST_STATUS(packet->nbl) = NDIS_STATUS_RESOURCES;
    }
    if (tx->sealed < tx->batch.count)
        drop_count(tx->batch.adapter, DROP_TX_MEMORY, tx->batch.count - tx->sealed);
}

WSK_BUF_LIST *tx_batch_link(struct tx_batch *tx, uint32_t segment, bool *merged)
{
    WSK_BUF_LIST *first = NULL, **tail = &first, *run = NULL;
    *merged = false;
    for (uint32_t i = 0; i < tx->batch.count; i++) {
        const struct tx_packet *packet = &tx->packets[i];
        WSK_BUF_LIST *message = &tx->messages[i];
        if (packet->sealed == 0) { /* a gap in the buffer */
            run = NULL;
            continue;
        }
        if (run && packet->sealed <= segment) {
            run->Buffer.Length += packet->sealed;
            *merged = true;
        } else {
            message->Buffer = (WSK_BUF){tx->mdl, packet->offset, packet->sealed};
            *tail = message;
            tail = &message->Next;
            run = message;
        }
        if (packet->sealed != segment)
            run = NULL; /* only the last one may be shorter */
    }
    *tail = NULL;
    return first;
}

static void staged_free_all(struct tx_batch *tx)
{
    while (tx->staged) {
        struct staged_packet *next = tx->staged->next;
        memory_free(MEMORY_STAGED, tx->staged, sizeof(*tx->staged) + tx->staged->bytes);
        tx->staged = next;
    }
}

static void spans_release(struct tx_batch *tx, struct nbl_chain *done)
{
    for (int i = 0; i < 2; i++) {
        if (tx->span[i] && nbl_span_release(tx->span[i]))
            nbl_chain_append(done, tx->span[i]);
        tx->span[i] = NULL;
    }
}

void tx_batch_abandon(struct tx_batch *tx, NDIS_STATUS status, struct nbl_chain *done)
{
    for (uint32_t i = 0; i < tx->batch.count; i++)
        if (tx->packets[i].nbl)
            NET_BUFFER_LIST_STATUS(tx->packets[i].nbl) = status;
    tx->sealed = 0;
    spans_release(tx, done);
    nbl_chain_move(done, &tx->nbls);
    staged_free_all(tx);
}

void tx_batch_encrypt(struct tx_batch *tx, struct nbl_chain *done)
{
    const struct session *session = &tx->batch.session->session;
    struct workspace *workspace = workspace_acquire();
    struct segment_template template;
    uint32_t items = 0;

    template.buffer = NULL;
    template.view = (struct transport_view){0};
    if (!workspace) {
        drop_count(tx->batch.adapter, DROP_TX_MEMORY, tx->batch.count);
        tx_batch_abandon(tx, NDIS_STATUS_RESOURCES, done);
        return;
    }
    for (uint32_t i = 0; i < tx->batch.count; i++) {
        struct tx_packet *packet = &tx->packets[i];
        struct aead_item *item = &workspace->items[items];
        uint32_t sealed = packet->plaintext + packet->padding + TAG_BYTES;
        uint8_t *message = tx->buffer + packet->offset;

        packet->sealed = 0;
        if (!(packet->request ? describe_segment(tx, workspace, i, &template, item)
                              : describe_source(tx, workspace, i, item)))
            continue;
        packet->sealed = MESSAGE_DATA_HEADER_BYTES + sealed;
        message_data_header_write((struct message_data_header *)message, session->remote_index,
                                  tx->first_nonce + i);
        workspace->destinations[items] = (struct aead_segment){message + MESSAGE_DATA_HEADER_BYTES, sealed};
        item->key = session->send_key;
        item->aad = NULL;
        item->aad_length = 0;
        item->destination = &workspace->destinations[items];
        item->destination_count = 1;
        item->padding = packet->padding;
        aead_nonce_from_counter(item->nonce, tx->first_nonce + i);
        items++;
    }
    wide_seal(workspace, items, tx->used);
    note_sealed(tx, workspace);
    workspace_release(workspace);

    staged_free_all(tx);
    spans_release(tx, done);
    tx->hold = tx->nbls.head && tx->sealed &&
               __atomic_load_n(&tx->batch.adapter->tx_outstanding_bytes, __ATOMIC_RELAXED) >=
                   TX_OUTSTANDING_MAX_BYTES;
    if (!tx->hold)
        nbl_chain_move(done, &tx->nbls);
}

void tx_batch_retire(struct tx_batch *tx)
{
    if (tx->hold)
        nbl_chain_complete(tx->batch.adapter, &tx->nbls);
    if (tx->message)
        __atomic_sub_fetch(&tx->batch.adapter->messages_outstanding, 1, __ATOMIC_RELAXED);
    tx_batch_free(tx);
}
