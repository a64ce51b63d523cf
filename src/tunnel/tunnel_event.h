/* The event of a tunnel: there as long as the tunnel, whoever keeps it (`wyrm up`, the tunnel service), and
 * set to end it.  Only administrators and SYSTEM can make it under this name's access list or set it. */
#pragma once

#include "failure.h"

#include <winsock2.h>

/* Claims the name.  NULL: another process keeps this tunnel, or it cannot be made. */
HANDLE tunnel_event_claim(const char *name, struct failure *failure);
/* Opens that of a tunnel that is there.  NULL: GetLastError() (ERROR_FILE_NOT_FOUND: no such tunnel). */
HANDLE tunnel_event_open(const char *name, DWORD access);
