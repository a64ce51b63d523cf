/* Two adapters of one driver: a miniport that sends every packet back with its addresses exchanged, and what
 * each of its adapters saw. Used on Linux's edges and on simulated ones. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ndis_adapter;

struct two_port {     /* one adapter, as its driver sees it */
    uint32_t mine;    /* packets to 10.8.N.x: N is this adapter's number */
    uint32_t foreign; /* to the other's */
    uint32_t queries;
    uint32_t halted;
};
extern struct two_port two_ports[2];

/* Registers the driver and makes both adapters, "two0" and "two1". False: a check failed. */
bool two_adapters_make(struct ndis_adapter *adapters[2]);
/* Checks what does not need packets: identities, OID requests, pause of one while the other runs. */
void two_adapters_check(struct ndis_adapter *adapters[2]);
/* Removes adapter `which`; after both the driver. */
void two_adapters_remove(struct ndis_adapter *adapter, unsigned which);
void two_adapters_end(void);
/* Called, if set, while the driver handles a send and a pause; the same adapter's never overlap. */
extern void (*two_during_send)(unsigned which), (*two_during_pause)(unsigned which);
