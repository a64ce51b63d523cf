/* Between the files of the scripted peer. */
#pragma once

#include "peer.h"

void peer_receive_handshake(struct peer *peer, const struct sim_address *from, const uint8_t *bytes,
                            uint32_t length);
void peer_receive_data(struct peer *peer, const struct sim_address *from, const uint8_t *bytes,
                       uint32_t length);
struct peer_event *peer_note(struct peer *peer, enum peer_event_kind kind, const struct sim_address *from,
                             uint32_t length);
/* A finished handshake becomes a session. */
struct peer_session *peer_begin_session(struct peer *peer);
struct peer_session *peer_session_by_index(const struct peer *peer, uint32_t local_index);

/* ---- timers ---- */
void peer_reschedule(struct peer *peer, bool wanted);
uint32_t peer_random32(void);
