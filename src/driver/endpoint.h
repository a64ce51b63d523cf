/* Where a peer is: its address, and the local address and interface from which we answer.  Read by every sent
 * batch without a lock (sequence counter), written by authenticated packets, by SET and by the route
 * resolver. */
#pragma once

#include "nt/ke.h"
#include "nt/ws2.h"

#include <stdbool.h>
#include <stdint.h>

/* A copy; what the send path works with. */
struct endpoint {
    SOCKADDR_INET remote; /* si_family 0 = none */
    SOCKADDR_INET local;  /* address valid when local_ifindex != 0; port unused */
    uint32_t local_ifindex;
    uint32_t route_generation; /* of the route table when `local` was resolved; 0 = never */
    uint8_t unreachable;       /* negative cache: no route at route_generation */
    uint8_t learned;           /* `local` is what the peer's packets were sent to */
};

struct endpoint_cell {
    volatile uint32_t sequence; /* odd while it is written */
    volatile uint32_t
        update;      /* bumped by every change of `remote`: a resolver that started before it is discarded */
    KSPIN_LOCK lock; /* writers */
    struct endpoint value;
};

void endpoint_initialize(struct endpoint_cell *cell);
void endpoint_read(const struct endpoint_cell *cell, struct endpoint *copy); /* any IRQL <= DISPATCH_LEVEL */
/* SET: replaces remote and always forgets the source. */
void endpoint_set(struct endpoint_cell *cell, const SOCKADDR_INET *remote);
/* An authenticated packet came from `remote` to `local`/`ifindex`: writes only when something differs. True
 * if `remote` is another than before. */
bool endpoint_learn(struct endpoint_cell *cell, const SOCKADDR_INET *remote, const SOCKADDR_INET *local,
                    uint32_t ifindex);
void endpoint_forget_source(struct endpoint_cell *cell);
/* The resolver's answer, which may confirm a learned source; discarded (false) when the endpoint changed
 * since `update` was read. */
bool endpoint_resolved(struct endpoint_cell *cell, uint32_t update, const SOCKADDR_INET *local,
                       uint32_t ifindex, uint32_t generation, bool unreachable);
