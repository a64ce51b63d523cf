/* The scripted peer's data messages. */
#include "crypto/chacha20poly1305.h"
#include "peer.h"
#include "peer_internal.h"
#include "protocol/packet.h"
#include "wire.h"
#include <string.h>

static struct peer_session *object_of(struct session *session)
{
    return (struct peer_session *)session; /* its first member */
}

struct peer_session *peer_session(const struct peer *peer)
{
    struct session *session = session_set_current(&peer->set);
    return session && session_may_send(session, now_ns()) ? object_of(session) : NULL;
}

struct peer_session *peer_session_by_index(const struct peer *peer, uint32_t local_index)
{
    for (struct peer_session *session = peer->sessions; session; session = session->chain)
        if (session->session.local_index == local_index)
            return session;
    return NULL;
}

uint32_t peer_seal(const struct peer_session *session, uint64_t counter, const uint8_t *plain,
                   uint32_t length, uint8_t *wire)
{
    uint8_t nonce[12] = {0};
    store_le64(nonce + 4, counter);
    message_data_header_write((struct message_data_header *)wire, session->session.remote_index, counter);
    chacha20poly1305_seal(wire + MESSAGE_DATA_HEADER_BYTES, plain, length, NULL, 0, nonce,
                          session->session.send_key);
    return length + MESSAGE_DATA_MIN_BYTES;
}

void peer_send_raw(struct peer *peer, const void *bytes, uint32_t length)
{
    struct sim_address to =
        peer->remote.family ? peer->remote : node_address(peer->node, peer->address.family);
    const struct sim_datagram datagram = {.from = peer->address, .to = to, .data = bytes, .length = length};
    if (!peer->endpoint)
        return;
    sim->endpoint_send(peer->endpoint, &to, bytes, length);
    wire_overhear(&datagram);
}

bool peer_send_plain(struct peer *peer, const uint8_t *plain, uint32_t length)
{
    uint8_t wire[FLOW_PACKET_MAX + 64];
    uint64_t counter;
    struct peer_session *session = peer_session(peer);
    if (!session || !session_reserve_nonces(&session->session, 1, &counter))
        return false;
    peer_send_raw(peer, wire, peer_seal(session, counter, plain, length, wire));
    if (!peer->automatic)
        return true;
    if (length)
        peer_reschedule(peer, timers_data_sent(&peer->times, now_ns()));
    else
        timers_any_authenticated_sent(&peer->times, now_ns());
    if (session_wants_rekey_on_send(&session->session, now_ns()))
        peer_reschedule(peer, timers_request_handshake(&peer->times, now_ns()));
    return true;
}

bool peer_send(struct peer *peer, int flow, uint32_t length)
{
    uint8_t packet[FLOW_PACKET_MAX + 16] = {0};
    if (!peer_session(peer)) {
        if (peer->automatic)
            peer_reschedule(peer, timers_request_handshake(&peer->times, now_ns()));
        return false;
    }
    /* The adapter's check of the source is judged when the packet comes out. */
    length = flow_build(flow, packet, length, peer->node->end);
    return peer_send_plain(peer, packet, length + packet_padding(length, 0));
}

static void deliver(struct peer *peer, const uint8_t *plain, uint32_t length)
{
    struct packet_view view;
    if (packet_parse(plain, length, &view) != PACKET_OK) {
        violation("delivered-malformed", "end %u got a packet with a wrong header", peer->end);
        return;
    }
    if (length - view.length >= PADDING_MULTIPLE)
        violation("padding", "%u bytes of padding behind %u", length - view.length, view.length);
    flow_delivered(peer->end, plain, view.length);
}

void peer_receive_data(struct peer *peer, const struct sim_address *from, const uint8_t *bytes,
                       uint32_t length)
{
    const struct message_data_header *header = (const struct message_data_header *)bytes;
    static uint8_t plain[65536]; /* one thread runs at a time, and nothing here blocks */
    uint8_t nonce[12] = {0};
    uint64_t counter = load_le64(header->counter);
    struct peer_session *object = peer_session_by_index(peer, load_le32(header->receiver_index));
    if (!object) {
        peer_note(peer, GOT_UNKNOWN, from, length);
        return;
    }
    store_le64(nonce + 4, counter);
    if (!chacha20poly1305_open(plain, bytes + MESSAGE_DATA_HEADER_BYTES, length - MESSAGE_DATA_HEADER_BYTES,
                               NULL, 0, nonce, object->session.receive_key)) {
        peer_note(peer, GOT_INVALID, from, length);
        return;
    }
    length -= MESSAGE_DATA_MIN_BYTES;
    bool fresh = session_accept_counter(&object->session, counter);
    struct peer_event *event = peer_note(peer,
                                         !fresh   ? GOT_REPLAY
                                         : length ? GOT_DATA
                                                  : GOT_KEEPALIVE,
                                         from, length + MESSAGE_DATA_MIN_BYTES);
    event->receiver_index = object->session.local_index;
    event->counter = counter;
    if (!fresh)
        return;

    struct session_evictions evictions;
    peer->remote = *from;
    if (session_set_confirm(&peer->set, &object->session, &evictions))
        timers_handshake_complete(&peer->times, peer_random32());
    if (length == 0)
        timers_any_authenticated_received(&peer->times, now_ns());
    else
        peer_reschedule(peer, timers_data_received(&peer->times, now_ns()) && peer->automatic);
    if (peer->automatic && session_wants_rekey_on_receive(&object->session, now_ns()))
        peer_reschedule(peer, timers_request_handshake(&peer->times, now_ns()));
    if (length)
        deliver(peer, plain, length);
}
