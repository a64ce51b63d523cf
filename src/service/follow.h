/* Follows the machine's network while a tunnel is up: names of endpoints are asked for again when a peer does
 * not answer or the network has changed (endpoint_policy.h), and the MTU is that of the ways to the
 * endpoints. The runner's thread only. */
#pragma once

#include "config.h"
#include "tunnel.h"

#include <winsock2.h>

struct network_watch;
struct followed; /* a peer whose endpoint is a name */

struct follow {
    struct tunnel *tunnel;
    const struct config *config;
    HANDLE event; /* auto-reset: the network has changed, or a question was answered */
    struct network_watch *watch;
    struct followed *peers;
    size_t peer_count;
    volatile LONG network_changed;
};

/* Before all others: makes the event and begins to watch.  What is not possible is logged. */
void follow_start(struct follow *follow);
/* The tunnel is up with this configuration, for the first time, again or changed; both stay the caller's. */
void follow_tunnel(struct follow *follow, struct tunnel *tunnel, const struct config *config);
/* There is no tunnel for the moment. */
void follow_nothing(struct follow *follow);
/* To be called when the event is set, and after what it returned last (milliseconds) at the latest. */
uint32_t follow_look(struct follow *follow);
void follow_end(struct follow *follow);
