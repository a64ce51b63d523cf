/* The socket that `wg`, wg-quick and `wyrm` talk to: /var/run/wireguard/NAME.sock; on Windows the named pipe
 * \\.\pipe\ProtectedPrefix\Administrators\Wyrm\NAME. */
#pragma once

#include "engine.h"
#include "front_server.h"

/* 0 or a negative errno with `error` filled.  Closed with control_close, while the loop no longer runs. */
int control_open(struct engine *engine, const char *name, struct front **front, char *error, unsigned size);
void control_close(struct front *front);
