/* The driver's package: what is installed, installing, replacing, removing.  Callers hold the machine lock.
 * All log. */
#pragma once

#include "wyrm/wireguard.h"

#include <stdbool.h>

/* Adapters as they were before their driver was replaced. */
struct driver_upgrade {
    struct saved_adapter *saved;
};

/* Makes an equal or newer driver be installed: keeps one that is, else installs the one that comes with the
 * DLL, in its resources or beside it.  When adapters use an older one, they are stopped and remembered in
 * `upgrade`. */
bool driver_install(struct driver_upgrade *upgrade);
/* Starts the remembered adapters again with their configuration and state, on success and on failure alike.
 */
void driver_upgrade_finish(struct driver_upgrade *upgrade);
