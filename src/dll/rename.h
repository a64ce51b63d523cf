/* The connection's name, as the network folder and `netsh` show it. */
#pragma once

#include "wyrm/wireguard.h"

/* Gives the interface the name.  Another connection of this name is renamed "NAME 1" and so on; when that
 * fails, ours gets the number.  A failure is a warning: the adapter works under the name that Windows gave
 * it. */
void connection_rename(const GUID *guid, const wchar_t *name);
