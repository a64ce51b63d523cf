/* Packets that wait for a session. */
#include "peer.h"

#include <stdlib.h>
#include <string.h>

static void free_first(struct peer *peer)
{
    struct staged_packet *packet = peer->staged_first;
    peer->staged_first = packet->next;
    if (!packet->next)
        peer->staged_last = NULL;
    peer->staged_packets--;
    peer->staged_bytes -= packet->bytes;
    free(packet);
}

static void lose_first(struct peer *peer)
{
    peer->engine->drops.of[DROP_TX_STAGED] += peer->staged_first->bytes != 0; /* a keepalive is no loss */
    free_first(peer);
}

void peer_stage(struct peer *peer, const uint8_t *bytes, uint32_t count)
{
    struct staged_packet *packet = malloc(sizeof(*packet) + count);
    if (!packet) {
        peer->engine->drops.of[DROP_TX_MEMORY]++;
        return;
    }
    packet->next = NULL;
    packet->bytes = count;
    if (count)
        memcpy(packet->data, bytes, count);
    while (peer->staged_first &&
           (peer->staged_packets >= PEER_STAGED_PACKETS || peer->staged_bytes + count > PEER_STAGED_BYTES))
        lose_first(peer);
    *(peer->staged_last ? &peer->staged_last->next : &peer->staged_first) = packet;
    peer->staged_last = packet;
    peer->staged_packets++;
    peer->staged_bytes += count;
}

void peer_purge_staged(struct peer *peer)
{
    while (peer->staged_first)
        lose_first(peer);
}

void peer_free_staged(struct peer *peer)
{
    while (peer->staged_first)
        free_first(peer);
}
