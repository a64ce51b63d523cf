/* Scripted peers with the right keys: their messages pass mac1 and AEAD whatever the input does to the
 * content, unless it asks for damage behind that.  Two peers that the driver knows (1 with a preshared key)
 * and a stranger; they are written on src/crypto alone, so that a mistake in src/protocol cannot cancel
 * itself out. */
#pragma once

#include "input.h"
#include "machine.h"

enum { PEERS = 3, STRANGER = 2 };

struct peer_session {
    bool valid;
    uint32_t local_index, remote_index; /* local: the peer's own */
    uint8_t send_key[32], receive_key[32];
    uint64_t send_counter;
    uint64_t received_next; /* the driver counts upwards */
};

/* Sets the peers up and forgets their sessions; configures the driver: key, port, peers 0 and 1 with
 * endpoints and allowed IPs 10.0.N.0/24, fd00:N::/64. */
void peers_reset(void);
/* Once, before the first peers_reset(). */
void peers_start(void);

/* For targets that give the driver other keys and endpoints: what it sends says nothing to the peers any
 * more. */
void peers_deaf(void);

/* One step of a handshake; fields, order and damage from the input. */
void peer_send_initiation(struct input *input, unsigned peer);
void peer_send_response(struct input *input, unsigned peer);
void peer_send_cookie_reply(struct input *input, unsigned peer);
void peer_send_raw(struct input *input, unsigned peer);
/* The last message that the driver or anybody sent comes again, perhaps damaged. */
void peer_send_again(struct input *input, unsigned peer, bool reflect);

/* A whole handshake without damage, the peer as initiator: afterwards both sides have a session. */
void peer_connect(unsigned peer);
/* Of a peer, or of the driver (PEERS). */
void peer_public_key(unsigned peer, uint8_t key[32]);
struct peer_session *peer_session(unsigned peer);

/* A data message of this content; counter: of the session, then incremented. `damage`: one bit is changed
 * after it was sealed. Returns false if there is no session. */
bool peer_send_data(unsigned peer, const uint8_t *inner, size_t length, uint64_t counter,
                    uint32_t index_delta, struct input *damage);
/* How many data messages of the driver a peer has opened. */
uint64_t peer_packets_opened(void);
