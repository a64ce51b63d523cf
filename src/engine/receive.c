/* See receive.h.  Datagrams of a call are sorted out, the data messages among them decrypted together, in
 * place, and then looked at in the order in which they came: replay, key confirmation, endpoint, allowed
 * source.  What remains is coalesced on its way to the TUN device. */
#include "receive.h"

#include "aligned.h"
#include "crypto/aead_batch.h"
#include "edge/coalesce.h"
#include "handshake_work.h"
#include "protocol/packet.h"
#include "system.h"
#include "transmit.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_PACKETS 128

struct rx_packet {
    struct session_object *session;
    uint64_t counter;
    uint32_t plaintext; /* bytes, with padding */
    const struct udp_datagram *origin;
};

/* What consecutive packets of one session came to. */
struct outcome {
    struct session_object *session; /* NULL: nothing yet */
    const struct udp_datagram *origin;
    uint64_t bytes;
    bool data;
};

struct receiver {
    struct aead_workspace workspace;
    struct aead_item items[BATCH_PACKETS];
    struct aead_segment source[BATCH_PACKETS], destination[BATCH_PACKETS];
    struct rx_packet packets[BATCH_PACKETS];
    uint32_t count;
    uint64_t now_ns;
    struct coalescer coalescer;
};

static void emit(void *context, const struct tun_packet *header, const struct iovec *iov, unsigned iov_count,
                 unsigned count)
{
    struct engine *engine = context;
    if (tun_write(engine->tun, header, iov, iov_count) != 0)
        engine->drops.of[DROP_RX_TUN] += count;
}

struct receiver *receiver_create(struct engine *engine)
{
    struct receiver *rx = aligned_memory(sizeof(*rx));
    if (!rx)
        return NULL;
    memset(rx, 0, sizeof(*rx));
    coalesce_initialize(&rx->coalescer, tun_accepts_tcp_segments(engine->tun),
                        tun_accepts_udp_segments(engine->tun), emit, engine);
    return rx;
}

void receiver_free(struct receiver *receiver)
{
    aligned_memory_free(receiver);
}

/* ---- what was decrypted ---- */

static bool source_allowed(const struct peer *peer, const struct packet_view *view)
{
    const struct allowed_ips *table = &peer->engine->allowed_ips;
    return &peer->allowed == (view->version == 4 ? allowed_ips_lookup_v4(table, view->source)
                                                 : allowed_ips_lookup_v6(table, view->source));
}

/* What authentic, fresh packets tell about the peer. */
static void heard(struct receiver *rx, const struct outcome *outcome)
{
    if (!outcome->session)
        return;
    struct peer *peer = outcome->session->peer;
    const struct udp_datagram *origin = outcome->origin;
    peer->rx_bytes += outcome->bytes;
    endpoint_learn(&peer->endpoint, &origin->from, &origin->to, origin->ifindex);
    peer_received(peer, outcome->session, outcome->data, rx->now_ns);
    if (peer_confirm_session(peer, outcome->session)) {
        peer_timers_handshake_complete(peer);
        transmit_staged(peer);
    }
}

static void accept_packet(struct receiver *rx, uint32_t i, struct outcome *outcome)
{
    const struct rx_packet *packet = &rx->packets[i];
    struct session_object *session = packet->session;
    const struct peer *peer = session->peer;
    struct drops *drops = &peer->engine->drops;
    struct packet_view view;
    if (!session_accept_counter(&session->session, packet->counter)) {
        drops->of[DROP_RX_REPLAYED]++;
        return;
    }
    if (outcome->session != session) {
        heard(rx, outcome);
        *outcome = (struct outcome){.session = session};
    }
    outcome->origin = packet->origin;
    outcome->bytes += packet->plaintext + MESSAGE_DATA_MIN_BYTES;
    if (packet->plaintext == 0)
        return;
    outcome->data = true;
    uint8_t *data = rx->destination[i].data;
    if (packet_parse(data, packet->plaintext, &view) != PACKET_OK || !source_allowed(peer, &view)) {
        drops->of[DROP_RX_SOURCE]++;
        return;
    }
    const struct iovec iov = {data, view.length};
    coalesce_add(&rx->coalescer, &iov, 1, view.length, false);
}

static void flush(struct receiver *rx)
{
    struct outcome outcome = {0};
    if (!rx->count)
        return;
    aead_open_batch(rx->items, rx->count, &rx->workspace);
    for (uint32_t i = 0; i < rx->count; i++)
        if (rx->items[i].ok)
            accept_packet(rx, i, &outcome);
        else
            rx->packets[i].session->peer->engine->drops.of[DROP_RX_FORGED]++;
    heard(rx, &outcome);
    rx->count = 0;
}

/* ---- what came in ---- */

static void receive_data(struct engine *engine, uint8_t *bytes, uint32_t length,
                         const struct udp_datagram *origin)
{
    struct receiver *rx = engine->receiver;
    const struct message_data_header *header = (const struct message_data_header *)bytes;
    enum index_kind kind;
    struct session_object *session =
        index_table_lookup(&engine->indexes, load_le32(header->receiver_index), &kind);
    if (!session || kind != INDEX_KIND_SESSION || !session_may_receive(&session->session, rx->now_ns)) {
        engine->drops.of[DROP_RX_INVALID]++;
        return;
    }
    if (rx->count == BATCH_PACKETS)
        flush(rx);
    uint32_t i = rx->count++, plaintext = length - MESSAGE_DATA_MIN_BYTES;
    uint64_t counter = load_le64(header->counter);
    uint8_t *sealed = bytes + MESSAGE_DATA_HEADER_BYTES;
    rx->packets[i] = (struct rx_packet){session, counter, plaintext, origin};
    rx->source[i] = (struct aead_segment){sealed, plaintext + AEAD_TAG_BYTES};
    rx->destination[i] = (struct aead_segment){sealed, plaintext};
    rx->items[i] = (struct aead_item){.key = session->session.receive_key,
                                      .source = &rx->source[i],
                                      .source_count = 1,
                                      .destination = &rx->destination[i],
                                      .destination_count = 1};
    aead_nonce_from_counter(rx->items[i].nonce, counter);
}

static void receive_message(struct engine *engine, uint8_t *bytes, uint32_t length,
                            const struct udp_datagram *origin)
{
    switch (message_classify(bytes, length)) {
    case MESSAGE_INVALID:
        engine->drops.of[DROP_RX_INVALID]++;
        return;
    case MESSAGE_DATA:
        receive_data(engine, bytes, length, origin);
        return;
    default:
        handshake_receive(engine, bytes, length, &origin->from, &origin->to, origin->ifindex);
    }
}

void receive_datagrams(void *context, struct udp_datagram *datagrams, unsigned count, void *token)
{
    struct engine *engine = context;
    struct receiver *rx = engine->receiver;
    rx->now_ns = system_time_ns();
    for (unsigned i = 0; i < count; i++) {
        struct udp_datagram *datagram = &datagrams[i];
        uint32_t segment = datagram->segment ? datagram->segment : datagram->length;
        for (uint32_t at = 0; at < datagram->length; at += segment) {
            uint32_t left = datagram->length - at;
            receive_message(engine, datagram->data + at, left < segment ? left : segment, datagram);
        }
    }
    flush(rx);
    coalesce_flush(&rx->coalescer);
    udp_buffer_release(token);
    engine_reap(engine);
}
