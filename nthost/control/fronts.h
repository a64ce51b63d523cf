/* The control fronts of a running adapter: sockets that other processes talk to. */
#pragma once

#include "front_server.h" /* front_close */

#include <stdint.h>

struct ndis_adapter;

/* /var/run/wireguard/NAME.sock: the WireGuard cross-platform userspace protocol, translated to the driver's
 * control codes. The only place of the host that knows WireGuard. `directory` NULL = /var/run/wireguard. */
int wg_front_open(struct ndis_adapter *adapter, const char *directory, struct front **front, char *error,
                  unsigned size);
/* DIRECTORY/NAME.ctl: raw open / control / cancel / close, PnP and power events, OIDs, counters
 * (docs/control-socket.md). */
int raw_front_open(struct ndis_adapter *adapter, const char *directory, struct front **front, char *error,
                   unsigned size);
