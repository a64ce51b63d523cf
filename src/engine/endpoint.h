/* Where a peer is: its address, and the local one from which it is answered ("sticky": the one it last sent
 * to), so that a host with several addresses keeps talking from the same. */
#pragma once

#include "edge/edge.h"
#include "wyrm/control.h"

#include <stdbool.h>

struct endpoint {
    struct udp_address remote; /* family 0: not known */
    struct udp_address local;  /* family 0: the system chooses */
    uint32_t ifindex;
};

/* An address of the control interface (wyrm/control.h) and back.  False: of no known family. */
bool endpoint_from_control(struct udp_address *address, const struct wyrm_ioctl_endpoint *from);
void endpoint_to_control(struct wyrm_ioctl_endpoint *to, const struct udp_address *address);

/* A datagram from the peer was authentic: it is answered to where it came from, from where it went to. */
void endpoint_learn(struct endpoint *endpoint, const struct udp_address *from, const struct udp_address *to,
                    uint32_t ifindex);

/* The local address may be the trouble: the system chooses again. */
void endpoint_forget_source(struct endpoint *endpoint);
