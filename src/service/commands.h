/* What an administrator does with tunnels' services, through the service control manager (Microsoft, "Service
 * Control Manager"). */
#pragma once

#include "failure.h"

#include <stdbool.h>

/* FILE.conf: checked, encrypted by the service's account and stored, and a service made for it. */
bool command_install(const char *file, struct failure *failure);
bool command_remove(const char *name, struct failure *failure);
bool command_start(const char *name, struct failure *failure);
bool command_stop(const char *name, struct failure *failure);
/* NAME: the service reads what it has stored again.  FILE.conf: that is its new configuration. */
bool command_reload(const char *word, struct failure *failure);
/* For the installer, each with all tunnels: whatever fails, the others follow; the first failure is told. */
bool command_remove_all(struct failure *failure);
bool command_stop_all(struct failure *failure);
/* Those that start with the machine; does not wait until they are up. */
bool command_start_all(struct failure *failure);
/* NULL: all. */
bool command_status(const char *name, bool json, struct failure *failure);
