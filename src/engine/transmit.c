/* See transmit.h.  Packets are placed one behind the other in a buffer, each as header, plaintext, room for
 * padding and tag; equal sizes to one peer make a run.  When the buffer is full or the burst at its end all
 * of it is encrypted at once, in place, and each run goes out with one call (UDP_SEGMENT).  What a full
 * socket does not take waits, and the TUN device is not read until it is gone. */
#include "transmit.h"

#include "aligned.h"
#include "crypto/aead_batch.h"
#include "edge/segment.h"
#include "protocol/packet.h"
#include "sched/sched.h"
#include "system.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_PACKETS 128
/* Room for the largest packet behind a super-segment's worth of messages. */
#define BATCH_BYTES (192 * 1024)
/* The largest UDP payload over IPv6 (65535 - 40 - 8), of a run as of a message. */
#define RUN_BYTES_MAX 65487
#define OVERHEAD      (MESSAGE_DATA_HEADER_BYTES + AEAD_TAG_BYTES)

/* Messages of one session that go out in one call. */
struct run {
    struct peer *peer;
    struct session_object *session;
    uint32_t offset, bytes;
    uint32_t segment; /* bytes of each message but the last, which may be shorter */
    uint32_t count;
    bool closed; /* the last one is shorter */
    bool data;   /* not only a keepalive */
};

/* Of a run that the socket did not take. */
struct waiting_run {
    struct waiting_run *next;
    struct endpoint endpoint;
    uint32_t segment, bytes;
    uint8_t data[];
};

struct transmitter {
    struct aead_workspace workspace;
    struct aead_item items[BATCH_PACKETS];
    struct aead_segment source[BATCH_PACKETS], destination[BATCH_PACKETS];
    struct run runs[BATCH_PACKETS];
    uint32_t packets, run_count, used;
    uint64_t now_ns;
    struct waiting_run *first_waiting, *last_waiting;
    uint8_t buffer[BATCH_BYTES];
};

struct transmitter *transmitter_create(void)
{
    struct transmitter *tx = aligned_memory(sizeof(*tx));
    if (tx)
        memset(tx, 0, sizeof(*tx));
    return tx;
}

void transmitter_free(struct transmitter *transmitter)
{
    aligned_memory_free(transmitter);
}

/* ---- sockets ---- */

static bool may_be_the_source(int error)
{
    return error == -EINVAL || error == -EADDRNOTAVAIL || error == -ENETUNREACH || error == -EHOSTUNREACH ||
           error == -ENODEV;
}

/* 0, -EAGAIN, or another negative errno: lost like any datagram. */
static int send_run(struct engine *engine, struct endpoint *endpoint, const void *data, uint32_t bytes,
                    uint32_t segment)
{
    struct udp_socket *socket = engine->sockets[endpoint->remote.family == 6];
    const struct iovec iov = {(void *)data, bytes};
    if (!socket || !endpoint->remote.family)
        return -ENETUNREACH;
    bool sticky = endpoint->local.family != 0;
    int error = udp_send(socket, &iov, 1, segment, &endpoint->remote, sticky ? &endpoint->local : NULL,
                         endpoint->ifindex);
    if (sticky && may_be_the_source(error)) {
        endpoint_forget_source(endpoint);
        error = udp_send(socket, &iov, 1, segment, &endpoint->remote, NULL, 0);
    }
    return error;
}

bool transmit_message(struct engine *engine, struct endpoint *endpoint, const void *message, uint32_t length)
{
    return send_run(engine, endpoint, message, length, 0) == 0;
}

static void send_waiting(void *context);

/* Keeps a copy until the socket takes more. */
static bool wait_with(struct engine *engine, const struct endpoint *endpoint, const uint8_t *data,
                      uint32_t bytes, uint32_t segment)
{
    struct transmitter *tx = engine->transmitter;
    struct waiting_run *run = malloc(sizeof(*run) + bytes);
    if (!run)
        return false;
    *run = (struct waiting_run){.endpoint = *endpoint, .segment = segment, .bytes = bytes};
    memcpy(run->data, data, bytes);
    if (!tx->first_waiting) {
        tun_pause_reading(engine->tun, true);
        udp_want_write(engine->sockets[endpoint->remote.family == 6], send_waiting, engine);
    }
    *(tx->last_waiting ? &tx->last_waiting->next : &tx->first_waiting) = run;
    tx->last_waiting = run;
    return true;
}

static void drop_first_waiting(struct transmitter *tx)
{
    struct waiting_run *run = tx->first_waiting;
    tx->first_waiting = run->next;
    if (!run->next)
        tx->last_waiting = NULL;
    free(run);
}

/* The socket takes more. */
static void send_waiting(void *context)
{
    struct engine *engine = context;
    struct transmitter *tx = engine->transmitter;
    while (tx->first_waiting) {
        struct waiting_run *run = tx->first_waiting;
        struct udp_socket *socket = engine->sockets[run->endpoint.remote.family == 6];
        int error = send_run(engine, &run->endpoint, run->data, run->bytes, run->segment);
        if (error == -EAGAIN) {
            udp_want_write(socket, send_waiting, engine);
            return;
        }
        if (error)
            engine->drops.of[DROP_TX_SOCKET] +=
                run->segment ? (run->bytes + run->segment - 1) / run->segment : 1;
        drop_first_waiting(tx);
    }
    tun_pause_reading(engine->tun, false);
}

void transmit_drop_waiting(struct engine *engine)
{
    struct transmitter *tx = engine->transmitter;
    if (!tx->first_waiting)
        return;
    while (tx->first_waiting)
        drop_first_waiting(tx);
    tun_pause_reading(engine->tun, false);
}

/* ---- batches ---- */

static void begin(struct transmitter *tx)
{
    tx->packets = tx->run_count = tx->used = 0;
    tx->now_ns = system_time_ns();
}

static void finish_run(struct engine *engine, const struct run *run)
{
    struct transmitter *tx = engine->transmitter;
    struct peer *peer = run->peer;
    const uint8_t *data = tx->buffer + run->offset;
    int error = -EAGAIN;
    if (!tx->first_waiting)
        error = send_run(engine, &peer->endpoint, data, run->bytes, run->count > 1 ? run->segment : 0);
    if (error == -EAGAIN &&
        wait_with(engine, &peer->endpoint, data, run->bytes, run->count > 1 ? run->segment : 0))
        error = 0;
    if (error) {
        engine->drops.of[error == -EAGAIN ? DROP_TX_MEMORY : DROP_TX_SOCKET] += run->count;
        return;
    }
    peer->tx_bytes += run->bytes;
    peer_sent(peer, run->session, run->data, tx->now_ns);
}

/* Encrypts and sends what the buffer holds. */
static void flush(struct engine *engine)
{
    struct transmitter *tx = engine->transmitter;
    if (tx->packets && aead_seal_batch(tx->items, tx->packets, &tx->workspace) != tx->packets) {
        engine->drops.of[DROP_TX_SEAL] += tx->packets; /* not possible: each item was made to fit */
        tx->run_count = 0;
    }
    for (uint32_t i = 0; i < tx->run_count; i++)
        finish_run(engine, &tx->runs[i]);
    tx->packets = tx->run_count = tx->used = 0;
}

/* The run that a message of so many bytes joins. */
static void join_run(struct transmitter *tx, struct peer *peer, struct session_object *session,
                     uint32_t message, bool data)
{
    struct run *run = tx->run_count ? &tx->runs[tx->run_count - 1] : NULL;
    if (!run || run->session != session || run->closed || message > run->segment ||
        run->count == UDP_SEGMENTS_MAX || run->bytes + message > RUN_BYTES_MAX) {
        run = &tx->runs[tx->run_count++];
        *run = (struct run){.peer = peer, .session = session, .offset = tx->used, .segment = message};
    }
    run->bytes += message;
    run->count++;
    run->closed = message < run->segment;
    run->data |= data;
}

/* A place for a packet's plaintext in the batch, to be filled at once; NULL: the session has no nonce left,
 * or the packet is too large for any datagram. */
static uint8_t *place(struct engine *engine, struct peer *peer, struct session_object *session,
                      uint32_t bytes)
{
    struct transmitter *tx = engine->transmitter;
    uint32_t padding = packet_padding(bytes, engine->mtu), message = OVERHEAD + bytes + padding;
    uint64_t nonce;
    if (message > RUN_BYTES_MAX || !session_reserve_nonces(&session->session, 1, &nonce)) {
        engine->drops.of[DROP_TX_NONCES]++;
        return NULL;
    }
    if (tx->packets == BATCH_PACKETS || tx->used + message > BATCH_BYTES)
        flush(engine);

    uint8_t *header = tx->buffer + tx->used, *plaintext = header + MESSAGE_DATA_HEADER_BYTES;
    message_data_header_write((struct message_data_header *)header, session->session.remote_index, nonce);
    tx->source[tx->packets] = (struct aead_segment){plaintext, bytes};
    tx->destination[tx->packets] = (struct aead_segment){plaintext, bytes + padding + AEAD_TAG_BYTES};
    struct aead_item *item = &tx->items[tx->packets];
    *item = (struct aead_item){.key = session->session.send_key,
                               .source = &tx->source[tx->packets],
                               .source_count = 1,
                               .destination = &tx->destination[tx->packets],
                               .destination_count = 1,
                               .padding = padding};
    aead_nonce_from_counter(item->nonce, nonce);
    join_run(tx, peer, session, message, bytes != 0);
    tx->packets++;
    tx->used += message;
    return plaintext;
}

void transmit_staged(struct peer *peer)
{
    struct engine *engine = peer->engine;
    if (!peer->staged_first || !engine->up)
        return;
    begin(engine->transmitter);
    struct session_object *session = peer_current_session(peer, engine->transmitter->now_ns);
    if (!session) {
        peer_request_handshake(peer);
        return;
    }
    for (struct staged_packet *packet = peer->staged_first; packet; packet = packet->next) {
        uint8_t *plaintext = place(engine, peer, session, packet->bytes);
        if (plaintext)
            memcpy(plaintext, packet->data, packet->bytes);
    }
    flush(engine);
    peer_free_staged(peer);
}

void transmit_keepalive(struct peer *peer)
{
    struct engine *engine = peer->engine;
    if (!engine->up)
        return;
    if (!peer->staged_first)
        peer_stage(peer, NULL, 0);
    transmit_staged(peer);
}

/* ---- packets of the TUN device ---- */

/* The peer that a packet is for, or NULL. */
static struct peer *route(const struct engine *engine, const struct tun_packet *packet)
{
    struct packet_view view;
    if (packet_parse(packet->data, packet->length, &view) != PACKET_OK)
        return NULL;
    struct allowed_ips_peer *allowed = view.version == 4
                                           ? allowed_ips_lookup_v4(&engine->allowed_ips, view.destination)
                                           : allowed_ips_lookup_v6(&engine->allowed_ips, view.destination);
    return allowed ? (struct peer *)((char *)allowed - offsetof(struct peer, allowed)) : NULL;
}

static void stage_segments(struct peer *peer, const struct segmenter *segmenter)
{
    uint8_t *packet = malloc(UINT16_MAX);
    for (uint32_t i = 0; packet && i < segmenter->count; i++) {
        uint32_t length = segment_length(segmenter, i);
        if (length > UINT16_MAX)
            break;
        segment_write(segmenter, i, packet);
        peer_stage(peer, packet, length);
    }
    if (!packet)
        peer->engine->drops.of[DROP_TX_MEMORY] += segmenter->count;
    free(packet);
}

static void transmit_packet(struct engine *engine, const struct tun_packet *packet)
{
    struct transmitter *tx = engine->transmitter;
    struct segmenter segmenter;
    struct peer *peer = route(engine, packet);
    if (!peer || segment_begin(&segmenter, packet) != 0) {
        engine->drops.of[DROP_TX_NO_PEER]++;
        return;
    }
    if (!peer->endpoint.remote.family) {
        engine->drops.of[DROP_TX_ENDPOINT] += segmenter.count;
        return;
    }
    struct session_object *session = peer_current_session(peer, tx->now_ns);
    if (!session) {
        stage_segments(peer, &segmenter);
        peer_request_handshake(peer);
        return;
    }
    for (uint32_t i = 0; i < segmenter.count; i++) {
        uint8_t *plaintext = place(engine, peer, session, segment_length(&segmenter, i));
        if (plaintext)
            segment_write(&segmenter, i, plaintext);
    }
}

void transmit_packets(void *context, struct tun_packet *packets, unsigned count)
{
    struct engine *engine = context;
    if (count == 0) { /* as in another namespace, from which no other news come */
        log_info("the interface was deleted");
        loop_stop();
        return;
    }
    if (!engine->up) {
        engine->drops.of[DROP_TX_DOWN] += count;
        return;
    }
    begin(engine->transmitter);
    for (unsigned i = 0; i < count; i++)
        transmit_packet(engine, &packets[i]);
    flush(engine);
}
